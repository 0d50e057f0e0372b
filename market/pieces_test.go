package market_test

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pinova-group/tidemark/market"
)

func TestAppendPieces_IsAppendRowsForEach(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, k := range []market.Kind{market.KindTrade, market.KindBook, market.KindFunding, market.KindStatus} {
		src := []*market.Batch{market.NewBatch(k), market.NewBatch(k)}
		for _, b := range src {
			for range 50 {
				appendRandomRow(r, b)
			}
		}
		want, got := market.NewBatch(k), market.NewBatch(k)
		appendRandomRow(r, want)
		got.AppendRows(want, 0, 1)
		var ps []market.Piece
		for range 40 {
			lo := r.IntN(50)
			p := market.Piece{Src: r.IntN(2), Lo: lo, Hi: lo + r.IntN(51-lo)}
			ps = append(ps, p)
			want.AppendRows(src[p.Src], p.Lo, p.Hi)
		}
		got.AppendPieces(src, ps)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-by rows +by pieces)\n%s", k, diff)
		}
	}
}

func appendRandomRow(r *rand.Rand, b *market.Batch) {
	b.AppendEnvelope(&market.Envelope{
		Feed: market.FeedID(r.IntN(9)), Shard: uint16(r.IntN(9)), Inst: market.Inst(r.IntN(9)), EventTS: r.Int64(), IngestTS: r.Int64(),
		Seq: r.Uint64(), HasSeq: r.IntN(2) == 0, ID: market.ID{byte(r.IntN(256))}, RawBytes: r.Uint32(), Flags: uint8(r.IntN(8)),
	})
	b.TS[b.N-1], b.Epoch[b.N-1] = r.Int64(), r.Uint32()
	for i, f := range b.Fields {
		c := &b.Cols[i]
		null := f.Nullable && r.IntN(3) == 0
		switch f.Type {
		case market.TypeDec:
			if null {
				c.AppendNull(true)
			} else {
				c.AppendDec(r.Int64(), int8(r.IntN(19)))
			}
		case market.TypeText:
			if null {
				c.AppendNullText()
			} else {
				c.AppendText(make([]byte, r.IntN(5)))
			}
		case market.TypeDecs:
			c.AppendDecs(make([]int64, r.IntN(4)), int8(r.IntN(19)))
		default:
			if null {
				c.AppendNull(false)
			} else {
				c.AppendInt(r.Int64())
			}
		}
	}
}
