package sequence

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/pinova-group/tidemark/market"
)

func TestOrdered_AgreesWithASort(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var o ordered
		var held []entry
		row := uint32(0)
		for range rapid.IntRange(1, 6).Draw(t, "rounds") {
			n := rapid.SampledFrom([]int{0, 1, 5, 33, 200, 3000}).Draw(t, "n")
			// Spans that take one to four passes of the radix, and one beyond it.
			span := rapid.SampledFrom([]int64{1, 3, 1000, 1 << 20, 1 << 32, 1 << 45}).Draw(t, "span")
			seed := rapid.Uint64().Draw(t, "seed")
			for range n {
				seed = seed*6364136223846793005 + 1442695040888963407
				x := makeEntry(t0+int64(seed>>1)%span, seed>>62, uint32(seed>>40&1), seed>>33&3, row)
				row++
				o.add(x)
				held = append(held, x)
			}
			slices.SortFunc(held, compare)
			bound := t0 + rapid.Int64Range(-1, span).Draw(t, "bound")
			k := 0
			for k < len(held) && held[k].ts <= bound {
				k++
			}
			got := o.upTo(bound)
			if len(got) != k || o.len() != len(held)-k {
				t.Fatalf("%d rows, want %d; %d left", len(got), k, o.len())
			}
			for i := range got {
				if got[i] != held[i] {
					t.Fatalf("place %d of %d: row %d, want %d", i, k, got[i].row(), held[i].row())
				}
			}
			held = slices.Clone(held[k:])
		}
	})
}

// Rows of several feeds, each behind the others by some time, leave as a sort of all has them.
func TestKindState_FeedsLeaveInOneOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := &kindState{}
		feeds := rapid.IntRange(1, 6).Draw(t, "feeds")
		for range feeds {
			k.fks = append(k.fks, &feedKind{})
		}
		var held []entry
		for row := range uint32(rapid.IntRange(0, 300).Draw(t, "rows")) {
			feed := rapid.IntRange(0, feeds-1).Draw(t, "feed")
			ts := t0 + int64(row/4) - int64(feed)*20 - rapid.Int64Range(0, 3).Draw(t, "lag")
			x := makeEntry(ts, uint64(feed)<<32|uint64(row&1), 0, uint64(row>>1&1), row)
			k.fks[feed].ord.add(x)
			held = append(held, x)
			if rapid.IntRange(0, 20).Draw(t, "release") > 0 {
				continue
			}
			slices.SortFunc(held, compare)
			bound := rapid.Int64Range(t0-140, t0+100).Draw(t, "bound")
			got, n := k.upTo(bound), 0
			for n < len(held) && held[n].ts <= bound {
				n++
			}
			if len(got) != n || k.waiting() != (len(held) > n) {
				t.Fatalf("%d rows, want %d", len(got), n)
			}
			for i := range got {
				if got[i] != held[i].row() {
					t.Fatalf("place %d: row %d, want %d", i, got[i], held[i].row())
				}
			}
			held = held[n:]
		}
	})
}

// drawBatch makes rows of any kind with random values, nulls and lists.
func drawBatch(t *rapid.T, k market.Kind, n int) *market.Batch {
	b := market.NewBatch(k)
	word := func() int64 { return rapid.Int64().Draw(t, "v") }
	for i := range n {
		e := market.Envelope{
			Feed: 1, Shard: uint16(word()), EventTS: word(), IngestTS: word(), Seq: uint64(word()), HasSeq: word()&1 == 0,
			RawBytes: uint32(word()), Flags: uint8(word()),
		}
		e.ID[3] = byte(word())
		b.AppendEnvelope(&e)
		b.Epoch[i], b.TS[i] = uint32(word()), word()
		for c, f := range market.Schema(k) {
			col := &b.Cols[c]
			null := f.Nullable && rapid.Bool().Draw(t, "null")
			switch {
			case f.Type == market.TypeText && null:
				col.AppendNullText()
			case f.Type == market.TypeText:
				col.AppendText([]byte(rapid.StringN(0, 5, 9).Draw(t, "text")))
			case f.Type == market.TypeDecs:
				col.AppendDecs(rapid.SliceOfN(rapid.Int64(), 0, 4).Draw(t, "list"), int8(word()&15))
			case null:
				col.AppendNull(f.Type == market.TypeDec)
			case f.Type == market.TypeDec:
				col.AppendDec(word(), int8(word()&15))
			default:
				col.AppendInt(word())
			}
		}
	}
	return b
}

func TestGather_AgreesWithRowByRow(t *testing.T) {
	w := newWorld()
	rapid.Check(t, func(t *rapid.T) {
		k := market.Kind(rapid.IntRange(1, int(market.KindStatus)).Draw(t, "kind"))
		b := drawBatch(t, k, rapid.IntRange(1, 40).Draw(t, "n"))
		var rows []uint32
		for range rapid.IntRange(0, 6).Draw(t, "runs") {
			i := rapid.IntRange(0, b.N-1).Draw(t, "from")
			for j := range rapid.IntRange(1, 20).Draw(t, "len") {
				if i+j < b.N {
					rows = append(rows, uint32(i+j))
				}
			}
		}
		got, want := market.NewBatch(k), market.NewBatch(k)
		before := rapid.IntRange(0, b.N).Draw(t, "before")
		appendRange(got, b, 0, before)
		gather(got, b, rows)
		for i := range before {
			appendRange(want, b, i, i+1)
		}
		for _, r := range rows {
			appendRange(want, b, int(r), int(r)+1)
		}
		if got.N != want.N || checkBatch(got, got.Fields, w.feeds, 1) != nil {
			t.Fatalf("%d rows, want %d: %v", got.N, want.N, checkBatch(got, got.Fields, w.feeds, 1))
		}
		for i := range got.N {
			src := i
			if i >= before {
				src = int(rows[i-before])
			}
			if g, x := dumpRow(w, got, i), dumpRow(w, b, src); g != x || g != dumpRow(w, want, i) {
				t.Fatalf("row %d:\n got %s\nwant %s\n  or %s", i, g, x, dumpRow(w, want, i))
			}
		}
	})
}

// The snapshot's batch codec keeps every column.
func TestCodec_BatchRoundTrip(t *testing.T) {
	w := newWorld()
	rapid.Check(t, func(t *rapid.T) {
		k := market.Kind(rapid.IntRange(1, int(market.KindStatus)).Draw(t, "kind"))
		b := drawBatch(t, k, rapid.IntRange(0, 20).Draw(t, "n"))
		e := &enc{feeds: make([]int32, market.MaxFeeds), insts: make([]int32, 1)}
		e.batch(b)
		d := &dec{b: e.b, feeds: []market.FeedID{1}, insts: []market.Inst{0}}
		got := market.NewBatch(k)
		if d.batch(got); d.bad || len(d.b) != 0 || got.N != b.N {
			t.Fatalf("bad %v, %d bytes left, %d rows of %d", d.bad, len(d.b), got.N, b.N)
		}
		for i := range b.N {
			if dumpRow(w, got, i) != dumpRow(w, b, i) || got.Seq[i] != b.Seq[i] {
				t.Fatalf("row %d:\n%s\n%s", i, dumpRow(w, got, i), dumpRow(w, b, i))
			}
		}
	})
}
