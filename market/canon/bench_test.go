package canon

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/adapters"
)

// benchTrades makes rows of 50 instruments in a mixed order.
func benchTrades(w *world, n int) *market.Batch {
	b := market.NewBatch(market.KindTrade)
	feed := w.feeds.Intern("sim-alpha")
	x := uint32(1)
	for i := range n {
		x = x*1664525 + 1013904223
		in := w.insts.Intern("alpha", market.Spot, fmt.Sprintf("C%02d-USDT", x>>16%50))
		ts := int64(1_760_000_000_000_000) + int64(i)*137
		e := market.Envelope{Feed: feed, Inst: in, EventTS: ts, IngestTS: ts + 23_000, Seq: uint64(i), HasSeq: true}
		b.AppendEnvelope(&e)
		b.Cols[market.TradeVenueID].AppendText(fmt.Appendf(nil, "%d", 10218208+i))
		b.Cols[market.TradeSide].AppendInt(int64(1 + x>>31))
		b.Cols[market.TradePrice].AppendDec(6700000+int64(x>>20), 2)
		b.Cols[market.TradeQuantity].AppendDec(1+int64(x>>12), 8)
		b.Cols[market.TradePrints].AppendInt(1)
	}
	return b
}

func benchDecode(b *testing.B, o Options) {
	w := newWorld()
	text := w.write(b, o, benchTrades(w, 20_000))
	lines := bytes.Split(bytes.TrimSuffix(text, []byte{'\n'}), []byte{'\n'})
	d := Adapter.New(w.env())
	var out market.Chunk
	rec := adapters.Record{Ingest: market.NoTime}
	if o.Format == CSV {
		rec.Data = lines[0]
		if err := d.Decode(&rec, &out); err != nil {
			b.Fatal(err)
		}
		lines = lines[1:]
	}
	b.SetBytes(int64(len(text) / len(lines)))
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		rec.Data = lines[i%len(lines)]
		if err := d.Decode(&rec, &out); err != nil {
			b.Fatal(err)
		}
		if i%4096 == 4095 {
			out.Reset()
		}
	}
}

// One operation is one trade.
func BenchmarkDecode_CSVTrade(b *testing.B) {
	benchDecode(b, Options{Format: CSV, Kind: market.KindTrade})
}

func BenchmarkDecode_JSONLTrade(b *testing.B) { benchDecode(b, Options{Format: JSONL}) }

func BenchmarkDecode_JSONLBook(b *testing.B) {
	w := newWorld()
	lv := strings.Repeat(`["67000.12","0.51230000"],`, 20)
	line := []byte(`{"kind":"orderbook.delta","feed":"sim-alpha","exchange":"alpha","market":"spot","symbol":"BTC-USDT",` +
		`"event_ts":1760000000000000,"seq":5,"first_seq":5,"prev_seq":4,"bids":[` + lv[:len(lv)-1] + `],"asks":[]}`)
	d := Adapter.New(w.env())
	var out market.Chunk
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for i := range b.N {
		if err := d.Decode(&adapters.Record{Data: line}, &out); err != nil {
			b.Fatal(err)
		}
		if i%1024 == 1023 {
			out.Reset()
		}
	}
}

// One operation is one trade.
func BenchmarkWriter_CSVTrade(b *testing.B) {
	w := newWorld()
	batch := benchTrades(w, 4096)
	wr := NewWriter(discard{}, Options{Format: CSV, Kind: market.KindTrade}, w.feeds, w.insts)
	b.ReportAllocs()
	for i := range b.N {
		if err := wr.WriteRow(batch, i%4096); err != nil {
			b.Fatal(err)
		}
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
