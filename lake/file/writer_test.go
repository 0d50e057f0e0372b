package file

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/pinova-group/tidemark/market"
)

// packed writes rows of event batches as one file.
func packed(t *testing.T, w *Writer, p *Packer, batches ...*market.Batch) ([]byte, *Info) {
	t.Helper()
	for _, b := range batches {
		cols, err := p.Pack(b)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Append(cols, nil); err != nil {
			t.Fatal(err)
		}
	}
	var buf bytes.Buffer
	info, err := w.Finish(&buf)
	if err != nil {
		t.Fatal(err)
	}
	return buf.Bytes(), info
}

// TestWriter_SameRowsSameBytes hands the same rows in in batches of other sizes and
// another order: the file is the same, bit by bit.
func TestWriter_SameRowsSameBytes(t *testing.T) {
	for kind := market.Kind(1); kind <= market.KindWatermark; kind++ {
		insts, feeds := market.NewInstruments(), market.NewFeeds()
		r := rand.New(rand.NewPCG(1, uint64(kind)))
		all := randomEvents(r, kind, 20_000, insts, feeds)
		p := NewPacker(kind, true, insts, feeds)
		w, err := NewWriter(p.Columns(), EventKeys())
		if err != nil {
			t.Fatal(err)
		}
		want, info := packed(t, w, p, all)
		if info.Rows != int64(all.N) || info.Size != int64(len(want)) || info.Meta.GetNumRows() != info.Rows {
			t.Fatalf("%s: %d rows in %d bytes, want %d in %d", kind, info.Rows, info.Size, all.N, len(want))
		}
		var parts []*market.Batch
		for lo := 0; lo < all.N; {
			hi := min(all.N, lo+1+r.IntN(10_000))
			b := market.NewBatch(kind)
			b.AppendRows(all, lo, hi)
			parts = append(parts, b)
			lo = hi
		}
		r.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
		again, _ := packed(t, w, p, parts...)
		fresh, err := NewWriter(p.Columns(), EventKeys())
		if err != nil {
			t.Fatal(err)
		}
		other, _ := packed(t, fresh, NewPacker(kind, true, insts, feeds), parts...)
		if !bytes.Equal(want, again) || !bytes.Equal(want, other) {
			t.Errorf("%s: another order of %d batches gives another file", kind, len(parts))
		}
	}
}
