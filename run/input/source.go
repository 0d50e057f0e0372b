package input

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"sync/atomic"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/adapters"
)

// Bad is a record, or a part of one, that could not be used.
type Bad struct {
	Input  string
	Line   int64 // from 1; 0 when the input is no text
	Offset int64 // bytes into the decompressed input
	Reason string
	Detail string
	Count  int // events lost, at least 1
	Shard  uint16
	Raw    []byte // the record, its first MaxRaw bytes if it is longer
}

// Place is where a row came from.
type Place struct {
	Input        string
	Line, Offset int64
	Raw          []byte // its record, at most MaxRaw bytes

	payload *Payload
}

// Payload is what a venue sent, without what the collector put around it.
type Payload struct {
	Format    string // name of the adapter
	Data      []byte
	Ingest    int64 // when it was received, µs; market.NoTime where that is not known
	URL, Conn string
}

// Source is what became of one input file.
type Source struct {
	Path     string
	Format   string // name of the adapter, "" when none was recognised
	Comp     string // "", gzip, zstd, parquet
	Shard    uint16
	Records  int64
	Events   int64
	Bad      int64 // events lost in bad records
	Filtered int64 // records dropped on purpose
	Empty    bool
	Lines    []Line // lines of feeds in it, in order of appearance
}

// Line is one line (shard) of a feed: lateness is judged within it.
type Line struct {
	Feed  market.FeedID
	Shard uint16
}

// source reads one file.
type source struct {
	Source
	cfg       *Config
	conn      string // the one connection of a capture that is read, "" for all
	firstConn bool
	adapter   *adapters.Adapter
	dec       adapters.Decoder
	st        *stream
	lines     *lines
	whole     bool // its one record has been read
	ended     bool // the file has been read to its end
	known     map[Line]*progress
	last      *progress // line of the row noted last
	stale     bool      // a kind of one of the lines may have fallen behind it
	pending   market.Chunk
	places    [market.NumKinds][]Place // of the rows of pending, when asked for
	place     Place                    // of the record decoded last
	rec       adapters.Record
	unwrap    *adapters.Unwrapper  // nil: payloads are not asked for
	bare      adapters.Record      // rec without what is around it
	payload   *Payload             // of rec, nil while no row has it
	single    bool                 // the rows decoded last are of bare
	head      [market.NumKinds]int // first row of pending that was not taken
	waiting   int                  // rows of pending that were not taken
	key       int64                // time of the next row, as far as known
	newest    int64                // greatest event time so far
	started   bool
	read      *atomic.Int64
}

// begin opens the file again, or goes on with the stream that the probe left open.
func (s *source) begin() error {
	s.started = true
	s.newest = math.MinInt64
	s.known = map[Line]*progress{}
	if s.st == nil {
		st, err := openStream(s.Path, s.cfg.Stdin, s.read)
		if err != nil {
			return err
		}
		s.st = st
	}
	s.Comp = s.st.comp
	s.lines = newLines(s.st.r)
	s.rec = adapters.Record{Ingest: market.NoTime, Shard: s.Shard}
	if s.adapter != nil {
		s.dec = s.adapter.New(s.cfg.env())
		if s.cfg.Payloads && s.adapter.Payloads {
			s.unwrap = &adapters.Unwrapper{}
		}
	}
	return nil
}

func (s *source) close() {
	if s.st != nil {
		s.st.close()
		s.st = nil
	}
}

// decode reads the next record and appends its events to out. It returns io.EOF at the
// end of the file; bad records go to the reader's list.
func (s *source) decode(out *market.Chunk, bad func(Bad)) error {
	if s.ended {
		return io.EOF
	}
	if s.adapter == nil {
		s.ended = true
		return s.unrecognised(bad)
	}
	data, err := s.record()
	if err == nil && s.skips(data) {
		s.rec.Data = nil
		return nil
	}
	if err == nil {
		s.Records++
		if s.cfg.Places {
			s.place = Place{s.Path, s.lines.line, s.lines.offset, bytes.Clone(data[:min(len(data), MaxRaw)]), nil}
		}
		s.rec.Data, s.rec.Offset = data, s.lines.line
		held := s.unwrapped()
		if err := s.dec.Decode(&s.rec, out); err != nil {
			s.judge(err, data, bad)
		}
		s.single = s.single && s.held() >= held // else rows of other records are among them
		return nil
	}
	s.single = false
	if !s.stopped(err, data, bad) {
		return nil
	}
	s.ended = true
	if f, ok := s.dec.(adapters.Flusher); ok {
		if err := f.Flush(out); err != nil {
			s.judge(err, nil, bad)
		}
	}
	return nil // what was flushed is settled before the next call says that this is the end
}

// unwrapped readies the payload of the record to be decoded, and returns how many the decoder holds.
func (s *source) unwrapped() int {
	if s.unwrap == nil {
		return 0
	}
	s.bare, s.single = s.unwrap.Unwrap(&s.rec)
	s.payload = nil
	return s.held()
}

func (s *source) held() int {
	if h, ok := s.dec.(adapters.Holder); ok {
		return h.Held()
	}
	return 0
}

// payloadOf is the payload of the rows that the last record added to a batch, nil where it
// cannot stand for them.
func (s *source) payloadOf(b *market.Batch, from int) *Payload {
	if !s.single {
		return nil
	}
	for _, x := range b.Inst[from+1:] {
		if x != b.Inst[from] {
			return nil
		}
	}
	if s.payload == nil {
		s.payload = &Payload{s.adapter.Name, bytes.Clone(s.bare.Data), s.bare.Ingest, s.bare.URL, s.bare.Conn}
	}
	return s.payload
}

// stopped judges an error of reading and reports whether the file has ended with it.
func (s *source) stopped(err error, data []byte, bad func(Bad)) bool {
	var dmg *DamagedError
	switch {
	case errors.Is(err, errTooLong):
		s.reject(bad, fmt.Sprintf("record is longer than %d MiB", s.limit()>>20), "", 1, data)
		return false
	case errors.Is(err, io.EOF):
	case errors.As(err, &dmg):
		s.reject(bad, dmg.Reason, dmg.Cause.Error(), 1, data)
	default:
		s.reject(bad, "input cannot be read further", err.Error(), 1, data)
	}
	return true
}

func (s *source) record() ([]byte, error) {
	if s.adapter.Framing == adapters.Whole {
		return s.readWhole()
	}
	return s.lines.read()
}

func (s *source) limit() int {
	if s.adapter.Framing == adapters.Whole {
		return MaxWhole
	}
	return MaxLine
}

// judge counts what a decoder said of a record.
func (s *source) judge(err error, data []byte, bad func(Bad)) {
	var br *adapters.BadRecord
	switch {
	case errors.As(err, &br):
		s.reject(bad, br.Reason, br.Detail, max(1, br.Count), data)
	case adapters.IsLayout(err):
	case errors.Is(err, adapters.ErrFiltered):
		s.Filtered++
	default:
		s.reject(bad, err.Error(), "", 1, data)
	}
}

func (s *source) reject(bad func(Bad), reason, detail string, n int, raw []byte) {
	s.Bad += int64(n)
	bad(Bad{
		Input: s.Path, Line: s.lines.line, Offset: s.lines.offset, Reason: reason, Detail: detail,
		Count: n, Shard: s.Shard, Raw: raw[:min(len(raw), MaxRaw)],
	})
}

// unrecognised makes one bad record of a file that no adapter knows.
func (s *source) unrecognised(bad func(Bad)) error {
	raw, err := s.st.r.Peek(keepLong) // what is there is what is kept
	s.Records++
	s.lines.line = 1
	var dmg *DamagedError
	if len(raw) == 0 && errors.As(err, &dmg) {
		s.reject(bad, dmg.Reason, dmg.Cause.Error(), 1, raw)
	} else {
		s.reject(bad, "format is not recognised", "", 1, raw)
	}
	return io.EOF
}

func (s *source) readWhole() ([]byte, error) {
	if s.whole {
		return nil, io.EOF
	}
	s.whole = true
	s.lines.line = 1
	data, err := io.ReadAll(io.LimitReader(s.st.r, MaxWhole+1))
	if err == nil && len(data) > MaxWhole {
		return data[:keepLong], errTooLong
	}
	if err == nil && len(data) == 0 {
		return nil, io.EOF
	}
	return data, err
}

// note counts the new rows of a record and keeps how far the lines are that they belong to.
func (s *source) note(b *market.Batch, from int, begin func(Line)) {
	s.Events += int64(b.N - from)
	for i := from; i < b.N; i++ {
		l := Line{b.Feed[i], b.Shard[i]}
		if s.last == nil || s.last.Line != l {
			s.last = s.known[l]
			if s.last == nil {
				s.last = newProgress(l, s.cfg.Feeds.Get(l.Feed))
				s.known[l] = s.last
				s.Lines = append(s.Lines, l)
				begin(l)
			}
		}
		if s.last.note(b.Kind, b.EventTS[i], b.IngestTS[i]) {
			s.stale = true
		}
	}
}

// take moves the waiting rows with event times up to bound into out and reports whether
// one of them was a control row, which ends a chunk. Control rows wait for all others.
func (s *source) take(out *Chunk, bound int64) (control bool) {
	for k := range s.pending.Batches {
		b := s.pending.Batches[k]
		if b == nil || s.head[k] == b.N {
			continue
		}
		if isControl(market.Kind(k)) && s.othersWait() {
			continue
		}
		lo := s.head[k]
		hi := lo
		for hi < b.N && b.EventTS[hi] <= bound {
			hi++
		}
		if hi == lo {
			continue
		}
		out.BatchOf(b.Kind, b.Fields).AppendRows(b, lo, hi)
		if s.cfg.placed() {
			out.places[k] = append(out.places[k], s.places[k][lo:hi]...)
		}
		s.head[k] = hi
		s.waiting -= hi - lo
		control = control || isControl(market.Kind(k))
	}
	if s.waiting == 0 {
		s.pending.Reset()
		for k := range s.places {
			s.places[k] = s.places[k][:0]
		}
		s.head = [market.NumKinds]int{}
		return control
	}
	s.key = s.nextWaiting()
	return control
}

func (s *source) othersWait() bool {
	for k, b := range s.pending.Batches {
		if b != nil && !isControl(market.Kind(k)) && s.head[k] < b.N {
			return true
		}
	}
	return false
}

func (s *source) nextWaiting() int64 {
	t := int64(math.MaxInt64)
	for k, b := range s.pending.Batches {
		if b != nil && s.head[k] < b.N && (!isControl(market.Kind(k)) || !s.othersWait()) {
			t = min(t, b.EventTS[s.head[k]])
		}
	}
	return t
}

func isControl(k market.Kind) bool { return k == market.KindStatus || k == market.KindWatermark }
