package file

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"

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
			e.Seq = math.MaxUint64 - uint64(i)
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
		case f.Type == market.TypeTime:
			c.AppendInt(market.MinEventTime + r.Int64N(market.MaxEventTime-market.MinEventTime))
		default:
			c.AppendInt(number())
		}
	}
}

const tradeStart = 1_700_000_000_000_000

// tradeBatch makes trades as an exchange has them: prices that walk, round quantities,
// rising numbers, in the total order.
func tradeBatch(insts *market.Instruments, feeds *market.Feeds, n, symbols int) *market.Batch {
	r := rand.New(rand.NewPCG(7, 7))
	b := market.NewBatch(market.KindTrade)
	feed := feeds.Intern("binance-spot")
	handles, price, number := make([]market.Inst, symbols), make([]int64, symbols), make([]int64, symbols)
	for i := range handles {
		handles[i] = insts.Intern("binance", market.Spot, fmt.Sprintf("C%02d-USDT", i))
		price[i], number[i] = 1_000_000+r.Int64N(5_000_000), r.Int64N(1e9)
	}
	ts := int64(tradeStart)
	var text []byte
	for range n {
		ts += r.Int64N(4) * r.Int64N(3600_000_000/int64(n)+1)
		s := int(r.ExpFloat64()*float64(symbols)/4) % symbols
		price[s] += r.Int64N(7)*r.Int64N(3) - 6
		number[s]++
		e := market.Envelope{
			Feed: feed, Inst: handles[s], EventTS: ts, IngestTS: ts + 3000 + r.Int64N(20_000),
			Seq: uint64(number[s]), HasSeq: true, RawBytes: uint32(100 + r.IntN(40)),
		}
		binary.LittleEndian.PutUint64(e.ID[:], r.Uint64())
		binary.LittleEndian.PutUint64(e.ID[8:], r.Uint64())
		b.AppendEnvelope(&e)
		text = strconv.AppendInt(text[:0], number[s], 10)
		b.Cols[market.TradeVenueID].AppendText(text)
		b.Cols[market.TradeSide].AppendInt(1 + r.Int64N(2))
		b.Cols[market.TradePrice].AppendDec(price[s], 2)
		b.Cols[market.TradeQuantity].AppendDec(1+int64(r.ExpFloat64()*float64([]int64{1000, 50_000, 2_000_000}[r.IntN(3)])), 5)
		b.Cols[market.TradePrints].AppendInt(1)
	}
	return b
}

// trades is a file of such trades.
func trades(t testing.TB, insts *market.Instruments, feeds *market.Feeds, n, symbols int) []byte {
	t.Helper()
	p := NewPacker(nil, market.KindTrade, false, insts, feeds)
	w, err := NewWriter(p.Columns(), EventKeys())
	if err != nil {
		t.Fatal(err)
	}
	cols, err := p.Pack(tradeBatch(insts, feeds, n, symbols))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Append(cols, nil); err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	if _, err := w.Finish(&buf); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}
