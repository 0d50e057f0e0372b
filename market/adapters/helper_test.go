package adapters

import (
	"bufio"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/pinova-group/tidemark/internal/exdata"
	"github.com/pinova-group/tidemark/market"
)

// readFile returns a data file, decompressed.
func readFile(t testing.TB, name string) []byte {
	t.Helper()
	return readHead(t, name, 1<<40)
}

// readHead returns the first n bytes of a data file, decompressed.
func readHead(t testing.TB, name string, n int64) []byte {
	t.Helper()
	f, err := os.Open(exdata.Path(t, name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var r io.Reader = f
	switch {
	case strings.HasSuffix(name, ".gz"):
		if r, err = gzip.NewReader(f); err != nil {
			t.Fatal(err)
		}
	case strings.HasSuffix(name, ".zst"):
		z, err := zstd.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		defer z.Close()
		r = z
	}
	b, err := io.ReadAll(io.LimitReader(r, n))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// splitLines cuts a text into lines.
func splitLines(b []byte) [][]byte {
	var out [][]byte
	s := bufio.NewScanner(strings.NewReader(string(b)))
	s.Buffer(nil, 64<<20)
	for s.Scan() {
		out = append(out, []byte(s.Text()))
	}
	return out
}

// decoded is what a decoder made of an input.
type decoded struct {
	env      Env
	chunk    market.Chunk
	filtered map[string]int
	bad      map[string]int
	badAt    map[int64]string // line → reason
}

// decodeLines runs a decoder over lines and checks that every batch is well formed.
func decodeLines(t testing.TB, a *Adapter, env Env, in [][]byte) *decoded {
	t.Helper()
	if env.Feeds == nil {
		env.Feeds, env.Insts = market.NewFeeds(), market.NewInstruments()
	}
	d := &decoded{env: env, filtered: map[string]int{}, bad: map[string]int{}, badAt: map[int64]string{}}
	dec := a.New(env)
	note := func(line int64, err error) {
		var bad *BadRecord
		switch {
		case err == nil:
		case errors.Is(err, ErrFiltered):
			d.filtered[strings.TrimPrefix(err.Error(), "filtered: ")]++
		case errors.As(err, &bad):
			if bad.Count < 1 || bad.Reason == "" {
				t.Fatalf("line %d: empty bad record %+v", line, bad)
			}
			d.bad[bad.Reason] += bad.Count
			d.badAt[line] = bad.Reason
		default:
			t.Fatalf("line %d: unknown error %v", line, err)
		}
	}
	for i, l := range in {
		note(int64(i+1), dec.Decode(&Record{Data: l, Ingest: market.NoTime, Offset: int64(i + 1)}, &d.chunk))
	}
	if f, ok := dec.(Flusher); ok {
		note(0, f.Flush(&d.chunk))
	}
	checkChunk(t, &d.chunk)
	return d
}

func (d *decoded) rows(k market.Kind) int {
	if d.chunk.Batches[k] == nil {
		return 0
	}
	return d.chunk.Batches[k].N
}

// counts gives the rows by kind.
func (d *decoded) counts() map[string]int {
	m := map[string]int{}
	for k, b := range d.chunk.Batches {
		if b != nil && b.N > 0 {
			m[market.Kind(k).String()] = b.N
		}
	}
	return m
}

// checkChunk fails when a column of a batch has not exactly one value for each row.
func checkChunk(t testing.TB, c *market.Chunk) {
	t.Helper()
	for k, b := range c.Batches {
		if b == nil {
			continue
		}
		for i, f := range market.Schema(market.Kind(k)) {
			col := &b.Cols[i]
			n := len(col.I64)
			switch f.Type {
			case market.TypeText, market.TypeDecs:
				n = max(0, len(col.Off)-1)
			}
			if n != b.N {
				t.Fatalf("%v: column %s has %d values for %d rows", market.Kind(k), f.Name, n, b.N)
			}
			if (f.Type == market.TypeDec || f.Type == market.TypeDecs) && len(col.Scale) != b.N {
				t.Fatalf("%v: column %s has %d scales for %d rows", market.Kind(k), f.Name, len(col.Scale), b.N)
			}
		}
		for i := range b.N {
			if !market.ValidTime(b.EventTS[i]) {
				t.Fatalf("%v: row %d has event time %d", market.Kind(k), i, b.EventTS[i])
			}
		}
	}
}
