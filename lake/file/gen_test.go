package file

import (
	"math"
	"math/rand/v2"

	"github.com/pinova-group/tidemark/market"
)

// randomEvents makes n events of a kind in the total order, with nulls, extreme values
// and empty lists, over a few instruments and feeds.
func randomEvents(r *rand.Rand, kind market.Kind, n int, insts *market.Instruments, feeds *market.Feeds) *market.Batch {
	symbols := []string{"BTC-USDT", "ETH-USDT", "BTC-USD-220527", "A", "ZRX-EUR"}
	b := market.NewBatch(kind)
	ts := int64(1_700_000_000_000_000)
	for i := range n {
		ts += int64(r.IntN(3)) * int64(r.IntN(1000))
		e := market.Envelope{
			Feed:     feeds.Intern([]string{"binance-spot", "kraken-spot", "elsewhere"}[r.IntN(3)]),
			Inst:     insts.Intern([]string{"binance", "kraken"}[r.IntN(2)], market.Spot, symbols[r.IntN(len(symbols))]),
			EventTS:  ts - int64(r.IntN(5)),
			IngestTS: market.NoTime,
			Seq:      uint64(i), HasSeq: true,
			RawBytes: r.Uint32(),
			Flags:    uint8(r.IntN(16)),
		}
		if r.IntN(4) > 0 {
			e.IngestTS = ts + int64(r.IntN(1e6))
		}
		if r.IntN(50) == 0 {
			e.Seq = math.MaxUint64 - uint64(r.IntN(3))
		}
		for k := range e.ID {
			e.ID[k] = byte(r.Uint32())
		}
		b.AppendEnvelope(&e)
		b.TS[i] = ts
		b.Epoch[i] = uint32(r.IntN(3))
		for c, f := range market.Schema(kind) {
			appendRandom(r, &b.Cols[c], &f)
		}
	}
	return b
}

func appendRandom(r *rand.Rand, c *market.Col, f *market.Field) {
	null := f.Nullable && r.IntN(3) == 0
	number := func() int64 {
		switch r.IntN(20) {
		case 0:
			return math.MaxInt64
		case 1:
			return math.MinInt64
		case 2:
			return 0
		}
		return r.Int64N(1e9) - 1e3
	}
	switch f.Type {
	case market.TypeDec:
		if null {
			c.AppendNull(true)
			return
		}
		c.AppendDec(number(), int8(r.IntN(19)))
	case market.TypeDecs:
		m := make([]int64, r.IntN(4)*r.IntN(4))
		for i := range m {
			m[i] = number()
		}
		c.AppendDecs(m, int8(r.IntN(19)))
	case market.TypeText:
		if null {
			c.AppendNullText()
			return
		}
		c.AppendText([]byte([]string{"", "3412345678", "naïve — ☂", "x"}[r.IntN(4)]))
	default:
		switch {
		case null:
			c.AppendNull(false)
		case f.Type == market.TypeBool:
			c.AppendInt(int64(r.IntN(2)))
		case f.Type == market.TypeEnum:
			c.AppendInt(int64(r.IntN(len(f.Words))))
		default:
			c.AppendInt(number())
		}
	}
}
