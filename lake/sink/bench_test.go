package sink_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/pinova-group/tidemark/lake"
	"github.com/pinova-group/tidemark/lake/sink"
	"github.com/pinova-group/tidemark/market"
)

// day makes a lake with a day of trades of 64 symbols, in the total order as the sequencer
// gives them.
func day(b *testing.B, rows int) *world {
	b.Helper()
	l, err := lake.Open(b.Context(), lake.Config{Dir: b.TempDir(), Now: time.Now, Build: "test"})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = l.Close() })
	w := &world{insts: market.NewInstruments(), feeds: market.NewFeeds(), lake: l}
	s := sink.NewEvents(l, w.insts, w.feeds, sink.Config{})
	midnight := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC).UnixMicro()
	x, seq, price := uint64(1), [64]uint64{}, [64]int64{}
	batch := market.NewBatch(market.KindTrade)
	for i := range rows {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		k := x % 64
		seq[k]++
		price[k] += int64(x>>32%21) - 10
		e := market.Envelope{
			Feed: 1, Inst: w.insts.Intern("binance", market.Spot, fmt.Sprintf("S%02d-USDT", k)), EventTS: midnight + int64(i)*(market.Day/int64(rows)),
			Seq: seq[k], HasSeq: true, RawBytes: 150,
		}
		e.IngestTS = e.EventTS + int64(x>>40%5000)
		for c := range e.ID {
			e.ID[c] = byte(x >> (c % 8 * 8))
		}
		e.ID[15] = byte(i)
		batch.AppendEnvelope(&e)
		batch.Cols[market.TradeVenueID].AppendText(fmt.Appendf(nil, "%d", 1e9+i))
		batch.Cols[market.TradeSide].AppendInt(1 + int64(x>>50&1))
		batch.Cols[market.TradePrice].AppendDec(5_000_000+price[k], 2)
		batch.Cols[market.TradeQuantity].AppendDec(int64(x>>20%1_000_000), 5)
		batch.Cols[market.TradePrints].AppendInt(1)
		if batch.N == 8192 || i == rows-1 {
			if err := s.Add(b.Context(), batch); err != nil {
				b.Fatal(err)
			}
			batch.Reset()
		}
	}
	if err := s.Commit(b.Context(), nil); err != nil {
		b.Fatal(err)
	}
	return w
}

// BenchmarkScan reads a day in the total order, and one symbol of one hour of it. The
// share of the files' bytes that was read is read%.
func BenchmarkScan(b *testing.B) {
	w := day(b, 4<<20)
	tab, err := w.lake.Load(b.Context(), "processed.trade")
	if err != nil {
		b.Fatal(err)
	}
	all, err := tab.Scan(b.Context(), lake.Query{})
	if err != nil {
		b.Fatal(err)
	}
	total := all.Plan().Bytes
	all.Close()
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixMicro()
	for _, c := range []struct {
		name string
		q    lake.Query
	}{
		{"3_columns", lake.Query{Columns: []string{"ts", "price_mantissa", "quantity_mantissa"}}},
		{"all", lake.Query{}},
		{"hour_of_a_symbol", lake.Query{Where: map[string][]string{"symbol": {"S17-USDT"}}, From: noon, To: noon + market.Hour}},
	} {
		b.Run(c.name, func(b *testing.B) {
			var rows, read int64
			for range b.N {
				sc, err := tab.Scan(b.Context(), c.q)
				if err != nil {
					b.Fatal(err)
				}
				for {
					got, err := sc.Next()
					if err != nil {
						b.Fatal(err)
					}
					if got == nil {
						break
					}
					rows += int64(got.N)
				}
				read += sc.BytesRead()
				sc.Close()
			}
			b.ReportMetric(float64(rows)/b.Elapsed().Seconds()/1e6, "Mrows/s")
			b.ReportMetric(100*float64(read)/float64(total)/float64(b.N), "read%")
		})
	}
}
