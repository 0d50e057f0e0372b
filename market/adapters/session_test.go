package adapters

import (
	"bufio"
	"compress/gzip"
	"errors"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/pinova-group/tidemark/internal/exdata"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/book"
)

// replay is what an adapter made of a file.
type replay struct {
	env      Env
	dec      Decoder
	records  int // with at least one event
	events   map[market.Kind]int
	filtered map[string]int
	bad      map[string]int
	chunk    *market.Chunk
	each     func(*market.Chunk) // sees the chunk of every record; nil keeps one chunk of all
}

func newReplay(a *Adapter) *replay {
	r := &replay{
		env:      Env{Feeds: market.NewFeeds(), Insts: market.NewInstruments()},
		events:   map[market.Kind]int{},
		filtered: map[string]int{}, bad: map[string]int{},
		chunk: &market.Chunk{},
	}
	r.dec = a.New(r.env)
	return r
}

func (r *replay) push(t testing.TB, rec Record) {
	t.Helper()
	before := r.chunk.Len()
	err := r.dec.Decode(&rec, r.chunk)
	var bad *BadRecord
	switch {
	case err == nil:
		r.records++
		if r.chunk.Len() == before {
			t.Errorf("record %d: neither events nor an error", rec.Offset)
		}
	case errors.Is(err, ErrFiltered):
		r.filtered[strings.TrimPrefix(err.Error(), "filtered: ")]++
		if r.chunk.Len() != before {
			t.Errorf("record %d: filtered, but has events", rec.Offset)
		}
	case errors.As(err, &bad):
		r.bad[bad.Reason] += bad.Count
		if len(r.bad) < 4 {
			t.Logf("record %d: %v", rec.Offset, err)
		}
	default:
		t.Errorf("record %d: error of no known kind: %v", rec.Offset, err)
	}
	if r.each != nil {
		r.each(r.chunk)
		r.count()
		r.chunk.Reset()
	}
}

func (r *replay) count() {
	for k, b := range r.chunk.Batches {
		if b != nil && b.N > 0 {
			r.events[market.Kind(k)] += b.N
		}
	}
}

// file decodes a file of the exchange data, framed as the adapter asks.
func (r *replay) file(t testing.TB, a *Adapter, name string) *replay {
	t.Helper()
	in := openData(t, name)
	defer in.Close()
	if a.Framing == Whole {
		data, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		r.push(t, Record{Data: data, Ingest: market.NoTime, Offset: 1})
	} else {
		lines := bufio.NewScanner(in)
		lines.Buffer(nil, MaxLine)
		for n := int64(1); lines.Scan(); n++ {
			r.push(t, Record{Data: lines.Bytes(), Ingest: market.NoTime, Offset: n})
		}
		if err := lines.Err(); err != nil {
			t.Fatal(err)
		}
	}
	if r.each == nil {
		r.count()
	}
	return r
}

func openData(t testing.TB, name string) io.ReadCloser {
	t.Helper()
	f, err := os.Open(exdata.Path(t, name))
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case strings.HasSuffix(name, ".gz"):
		z, err := gzip.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		return z
	case strings.HasSuffix(name, ".zst"):
		z, err := zstd.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		return z.IOReadCloser()
	}
	return f
}

func replayFile(t testing.TB, a *Adapter, name string) *replay {
	t.Helper()
	return newReplay(a).file(t, a, name)
}

func (r *replay) wantBad(t testing.TB) {
	t.Helper()
	if len(r.bad) != 0 {
		t.Errorf("bad records: %v", r.bad)
	}
}

func (r *replay) wantEvents(t testing.TB, want map[market.Kind]int) {
	t.Helper()
	if !maps.Equal(r.events, want) {
		t.Errorf("events: got %v, want %v", r.events, want)
	}
}

func (r *replay) wantFiltered(t testing.TB, want map[string]int) {
	t.Helper()
	if !maps.Equal(r.filtered, want) {
		t.Errorf("filtered: got %v, want %v", r.filtered, want)
	}
}

// symbols lists the instruments that the decoder has met.
func (r *replay) symbols() []string {
	var out []string
	for i := range r.env.Insts.Len() {
		x := r.env.Insts.Get(market.Inst(i))
		out = append(out, x.Exchange+" "+x.Venue.String()+" "+x.Symbol)
	}
	slices.Sort(out)
	return out
}

// books rebuilds the books of all instruments from the rows of a batch.
type books map[market.Inst]*book.Book

func (s books) apply(t testing.TB, b *market.Batch, i int) *book.Book {
	t.Helper()
	k := s[b.Inst[i]]
	if k == nil {
		k = &book.Book{}
		s[b.Inst[i]] = k
	}
	bids, asks := book.LevelsOf(b.Cols, i)
	var err error
	if b.Cols[market.BookOrigin].I64[i] == market.OriginDelta {
		err = k.Apply(bids, asks)
	} else {
		err = k.Replace(bids, asks)
	}
	if err != nil {
		t.Fatalf("book of %d, row %d: %v", b.Inst[i], i, err)
	}
	return k
}

// uniqueIDs fails when two events of a kind share their id.
func (r *replay) uniqueIDs(t testing.TB) {
	t.Helper()
	for k, b := range r.chunk.Batches {
		if b == nil {
			continue
		}
		seen := map[market.ID]int{}
		for i, id := range b.ID {
			if j, dup := seen[id]; dup {
				t.Errorf("%v rows %d and %d have the same id", market.Kind(k), j, i)
				return
			}
			seen[id] = i
		}
	}
}
