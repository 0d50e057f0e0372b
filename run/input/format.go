package input

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/adapters"
)

// Auto is the format that is found by looking at the content.
const Auto = "auto"

// formats returns the adapters that may read the input: all of them, or those whose name
// is, or begins with, the one that was asked for.
func formats(cfg *Config) ([]*adapters.Adapter, error) {
	if cfg.Format == "" || cfg.Format == Auto {
		return cfg.Adapters, nil
	}
	var out []*adapters.Adapter
	names := []string{Auto}
	for _, a := range cfg.Adapters {
		names = append(names, a.Name)
		if a.Name == cfg.Format || strings.HasPrefix(a.Name, cfg.Format+"-") {
			out = append(out, a)
		}
	}
	if len(out) == 0 {
		return nil, fault.Usage("format_unknown", fmt.Sprintf("unknown input format %q", cfg.Format), fault.DidYouMean(cfg.Format, names))
	}
	return out, nil
}

// probe opens a file, finds its format and, when it is one of several, the time of its
// first event. A file is then closed again until the merge comes to it: a thousand daily
// files need one open file.
//
// It also returns the connections of a capture that holds them one after the other.
func (s *source) probe(candidates []*adapters.Adapter, several bool) ([]conn, error) {
	st, err := openStream(s.Path, s.cfg.Stdin, s.read)
	if err != nil {
		return nil, &fault.Error{Code: "input_unreadable", Message: "cannot read the input", Where: s.Path, Why: cause(err), Exit: fault.ExitUsage, Cause: err}
	}
	st.r = bufio.NewReaderSize(st.r, headSize)
	head, err := st.r.Peek(headSize)
	s.key = math.MinInt64
	s.adapter = pick(candidates, head)
	if s.adapter == nil && len(head) == 0 && errors.Is(err, io.EOF) {
		s.adapter = emptyAdapter
	}
	if s.adapter != nil && s.adapter != emptyAdapter {
		s.Format = s.adapter.Name
	}
	conns, err := s.connections(head)
	if len(conns) == 0 && (!several || OneReading(s.Path)) {
		s.st = st // a stream is not opened again; its first event is read at once
		return nil, err
	}
	defer st.close()
	if s.adapter != nil && len(conns) == 0 {
		s.key = s.firstTime(head, st.r)
	}
	return conns, err
}

// pick returns the candidate that is surest of the input; the only candidate is taken
// whatever the input looks like.
func pick(candidates []*adapters.Adapter, head []byte) *adapters.Adapter {
	if len(candidates) == 1 {
		return candidates[0]
	}
	var best *adapters.Adapter
	sure := 0
	for _, a := range candidates {
		if n := a.Detect(head); n > sure {
			best, sure = a, n
		}
	}
	return best
}

var emptyAdapter = &adapters.Adapter{Name: "empty", New: func(adapters.Env) adapters.Decoder { return nothing{} }}

type nothing struct{}

func (nothing) State(*adapters.State) {}

func (nothing) Decode(*adapters.Record, *market.Chunk) error {
	return adapters.Bad("format is not recognised", nil)
}

// firstTime decodes the first records with a decoder of its own and returns the earliest
// event time of the first that has events; when the head has none, the file must be read
// at once.
func (s *source) firstTime(head []byte, r *bufio.Reader) int64 {
	env := s.cfg.env()
	env.Feeds, env.Insts = market.NewFeeds(), market.NewInstruments()
	dec := s.adapter.New(env)
	var ch market.Chunk
	decode := func(line int64, data []byte) (int64, bool) {
		rec := adapters.Record{Data: data, Ingest: market.NoTime, Offset: line, Shard: s.Shard}
		_ = dec.Decode(&rec, &ch) // told when the file is read
		return earliest(&ch)
	}
	if s.adapter.Framing == adapters.Whole {
		data, _ := io.ReadAll(io.LimitReader(r, MaxWhole)) // told when the file is read
		if t, ok := decode(1, data); ok {
			return t
		}
		return math.MinInt64
	}
	for line := int64(1); ; line++ {
		data, rest, more := bytes.Cut(head, []byte("\n"))
		if !more && len(head) == headSize {
			return math.MinInt64 // the head ends inside a record
		}
		if t, ok := decode(line, bytes.TrimSuffix(data, []byte("\r"))); ok {
			return t
		}
		if head = rest; !more {
			return math.MinInt64
		}
	}
}

func earliest(ch *market.Chunk) (int64, bool) {
	t, ok := int64(math.MaxInt64), false
	for _, b := range ch.Batches {
		if b == nil {
			continue
		}
		for _, e := range b.EventTS {
			t, ok = min(t, e), true
		}
	}
	return t, ok
}
