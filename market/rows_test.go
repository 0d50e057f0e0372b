package market

import (
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// drawBatch makes a batch of a kind with random values and nulls in every column.
func drawBatch(t *rapid.T, k Kind, n int) *Batch {
	b := NewBatch(k)
	u := rapid.Uint64Range(0, 1<<40)
	for range n {
		b.AppendEnvelope(&Envelope{
			Feed: FeedID(u.Draw(t, "feed") % 4096), Inst: Inst(u.Draw(t, "inst")), EventTS: int64(u.Draw(t, "ts")),
			IngestTS: int64(u.Draw(t, "ingest")), Seq: u.Draw(t, "seq"), HasSeq: rapid.Bool().Draw(t, "has"),
			ID: ID{byte(u.Draw(t, "id"))}, RawBytes: uint32(u.Draw(t, "raw")), Flags: uint8(u.Draw(t, "flags")),
		})
		for i, f := range Schema(k) {
			drawValue(t, &b.Cols[i], f)
		}
	}
	return b
}

func drawValue(t *rapid.T, c *Col, f Field) {
	null := f.Nullable && rapid.IntRange(0, 3).Draw(t, "null") == 0
	v := rapid.Int64().Draw(t, "v")
	switch f.Type {
	case TypeText:
		if null {
			c.AppendNullText()
		} else {
			c.AppendText([]byte(rapid.StringN(0, 3, -1).Draw(t, "text")))
		}
	case TypeDecs:
		c.AppendDecs(rapid.SliceOfN(rapid.Int64(), 0, 3).Draw(t, "list"), int8(v&7))
	case TypeDec:
		if null {
			c.AppendNull(true)
		} else {
			c.AppendDec(v, int8(v&7))
		}
	default:
		if null {
			c.AppendNull(false)
		} else {
			c.AppendInt(v)
		}
	}
}

// values prints a batch row by row, so that two ways to hold the same rows compare equal.
func values(b *Batch) [][]any {
	out := [][]any{}
	for i := range b.N {
		row := []any{b.Feed[i], b.Shard[i], b.Inst[i], b.EventTS[i], b.IngestTS[i], b.Seq[i], b.HasSeq[i], b.ID[i], b.RawBytes[i], b.TS[i], b.Epoch[i], b.Flags[i]}
		for j, f := range Schema(b.Kind) {
			c := &b.Cols[j]
			row = append(row, c.IsNull(i))
			switch f.Type {
			case TypeText:
				row = append(row, string(c.Text(i)))
			case TypeDecs:
				row = append(row, append([]int64{}, c.Decs(i)...), c.Scale[i])
			case TypeDec:
				row = append(row, c.I64[i], c.Scale[i])
			default:
				row = append(row, c.I64[i])
			}
		}
		out = append(out, row)
	}
	return out
}

func TestBatch_AppendRowsAndTruncateKeepValues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := Kind(rapid.IntRange(1, int(KindWatermark)).Draw(t, "kind"))
		src := drawBatch(t, k, rapid.IntRange(1, 90).Draw(t, "n"))
		dst := drawBatch(t, k, rapid.IntRange(0, 70).Draw(t, "m"))
		lo := rapid.IntRange(0, src.N).Draw(t, "lo")
		hi := rapid.IntRange(lo, src.N).Draw(t, "hi")
		want := append(values(dst), values(src)[lo:hi]...)
		before := dst.N
		dst.AppendRows(src, lo, hi)
		if d := gocmp.Diff(want, values(dst)); d != "" {
			t.Fatal(d)
		}
		n := rapid.IntRange(0, dst.N).Draw(t, "keep")
		if d := gocmp.Diff(want[:n:n], values(dst.First(n))[:n:n]); d != "" {
			t.Fatal(d)
		}
		if d := gocmp.Diff(want, values(dst)); d != "" {
			t.Fatalf("the first %d of %d change it: %s", n, dst.N, d)
		}
		dst.Truncate(n)
		if d := gocmp.Diff(want[:n:n], values(dst)[:n:n]); d != "" {
			t.Fatal(d)
		}
		// What is appended after a cut must not meet nulls that were cut away.
		dst.AppendRows(src, 0, src.N)
		if d := gocmp.Diff(append(want[:n:n], values(src)...), values(dst)); d != "" {
			t.Fatalf("after a cut at %d of %d: %s", n, before, d)
		}
	})
}
