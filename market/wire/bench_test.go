package wire_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/wire"
)

func benchTrade() *market.Batch {
	b := market.NewBatch(market.KindTrade)
	b.AppendEnvelope(&market.Envelope{
		Feed: 2, EventTS: 1717200000123456, IngestTS: 1717200000200000, Seq: 5116583924, HasSeq: true,
		ID: market.ID{1, 2, 3, 4, 5, 6, 7, 8, 9}, RawBytes: 168,
	})
	b.Cols[market.TradeVenueID].AppendText([]byte("5116583924"))
	b.Cols[market.TradeSide].AppendInt(market.SideBuy)
	b.Cols[market.TradePrice].AppendDec(6183763, 2)
	b.Cols[market.TradeQuantity].AppendDec(15, 3)
	b.Cols[market.TradePrints].AppendInt(1)
	return b
}

// benchBook is a delta of 25 bids and 25 asks.
func benchBook() *market.Batch {
	b := market.NewBatch(market.KindBook)
	b.AppendEnvelope(&market.Envelope{Feed: 2, EventTS: 1717200000123456, IngestTS: 1717200000200000, Seq: 5116583924, HasSeq: true, ID: market.ID{1, 2, 3}, RawBytes: 1900})
	b.Cols[market.BookOrigin].AppendInt(market.OriginDelta)
	b.Cols[market.BookFirstSeq].AppendInt(5116583900)
	b.Cols[market.BookPrevSeq].AppendInt(5116583899)
	b.Cols[market.BookChecksum].AppendNull(false)
	p, q := make([]int64, 25), make([]int64, 25)
	for _, c := range []int{market.BookBidPrice, market.BookAskPrice} {
		for i := range p {
			p[i], q[i] = 6183763+int64(i*c), int64(i*i*i*i*37%200000)
		}
		b.Cols[c].AppendDecs(p, 2)
		b.Cols[c+1].AppendDecs(q, 3)
	}
	b.Cols[market.BookDepth].AppendNull(false)
	return b
}

func BenchmarkCodec(b *testing.B) {
	w := newWorld()
	for name, batch := range map[string]*market.Batch{"trade": benchTrade(), "book50": benchBook()} {
		enc, dec := wire.NewEncoder(w.feeds, w.insts), wire.NewDecoder(w.feeds, w.insts)
		msg, err := enc.Append(nil, batch, 0)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name+"/encode", func(b *testing.B) {
			b.SetBytes(int64(len(msg)))
			b.ReportAllocs()
			buf := msg
			for b.Loop() {
				buf, _ = enc.Append(buf[:0], batch, 0)
			}
		})
		b.Run(name+"/decode", func(b *testing.B) {
			b.SetBytes(int64(len(msg)))
			b.ReportAllocs()
			out := market.NewBatch(batch.Kind)
			for b.Loop() {
				if out.N == 1024 {
					out.Reset()
				}
				if err := dec.Decode(msg, batch.Kind, out); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"/vtproto-decode", func(b *testing.B) { // into a message, not yet a batch
			b.SetBytes(int64(len(msg)))
			b.ReportAllocs()
			for b.Loop() {
				if err := newMessage(batch.Kind).UnmarshalVT(msg); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkDecode_Trades reads trades of eight instruments, no two alike, one by one and in blocks.
func BenchmarkDecode_Trades(b *testing.B) {
	w := newWorld()
	var insts []market.Inst
	for i := range 8 {
		insts = append(insts, w.insts.Intern("kraken", market.Spot, fmt.Sprintf("C%02d-USD", i)))
	}
	r := rand.New(rand.NewPCG(1, 2))
	batch, enc := market.NewBatch(market.KindTrade), wire.NewEncoder(w.feeds, w.insts)
	const rows = 512
	var memory []byte // of all, as in a batch of records
	ends := []int{0}
	for i := range 16 * rows {
		batch.Reset()
		ts := int64(1717200000123456 + i*1500)
		e := market.Envelope{Feed: 2, Inst: insts[r.IntN(8)], EventTS: ts, IngestTS: ts + 20000, Seq: uint64(900000 + i/8), HasSeq: true, RawBytes: uint32(90 + r.IntN(60)), Shard: 2}
		for k := range e.ID {
			e.ID[k] = byte(r.Uint32())
		}
		batch.AppendEnvelope(&e)
		batch.Cols[market.TradeVenueID].AppendText(strconv.AppendInt(nil, int64(445765+i), 10))
		batch.Cols[market.TradeSide].AppendInt(1 + int64(r.IntN(2)))
		batch.Cols[market.TradePrice].AppendDec(int64(math.Exp(5+10*r.Float64())), int8(1+r.IntN(5)))
		batch.Cols[market.TradeQuantity].AppendDec(int64(math.Exp(10*r.Float64())), int8(r.IntN(3)))
		batch.Cols[market.TradePrints].AppendInt(1)
		var err error
		if memory, err = enc.Append(memory, batch, 0); err != nil {
			b.Fatal(err)
		}
		ends = append(ends, len(memory))
	}
	msgs := make([][]byte, len(ends)-1)
	for i := range msgs {
		msgs[i] = memory[ends[i]:ends[i+1]]
	}
	for _, n := range []int{1, wire.BlockRows} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			dec, out, at := wire.NewDecoder(w.feeds, w.insts), market.NewBatch(market.KindTrade), 0
			for _, m := range msgs {
				if err := dec.Decode(m, market.KindTrade, out); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			for b.Loop() {
				out.Reset()
				for i := at; i < at+rows; i += n {
					if !dec.DecodeBlock(msgs[i:i+n], out) {
						b.Fatal("no block")
					}
				}
				at = (at + rows) % len(msgs)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*rows), "ns/event")
		})
	}
}

func TestCodec_DoesNotAllocate(t *testing.T) {
	w := newWorld()
	for _, k := range kinds {
		b := golden(k)
		enc, dec := wire.NewEncoder(w.feeds, w.insts), wire.NewDecoder(w.feeds, w.insts)
		msg, err := enc.Append(nil, b, 0)
		if err != nil {
			t.Fatal(err)
		}
		out, buf := market.NewBatch(k), make([]byte, 0, 4096)
		round := func() {
			out.Reset()
			for range 10 {
				buf, _ = enc.Append(buf[:0], b, 0)
				if err := dec.Decode(msg, k, out); err != nil {
					t.Fatal(err)
				}
			}
		}
		round()
		if n := testing.AllocsPerRun(50, round); n != 0 {
			t.Errorf("%s: %v allocations in ten rounds", k, n)
		}
	}
}
