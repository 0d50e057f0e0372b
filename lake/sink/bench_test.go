//go:build unix

package sink_test

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/pinova-group/tidemark/lake"
	"github.com/pinova-group/tidemark/lake/sink"
	"github.com/pinova-group/tidemark/market"
)

// trades makes trades of 64 symbols over a span of time, in the total order as the sequencer
// gives them, and hands them out in batches.
func trades(tb testing.TB, insts *market.Instruments, rows int, span int64, each func(*market.Batch)) {
	tb.Helper()
	midnight := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC).UnixMicro()
	x, seq, price := uint64(1), [64]uint64{}, [64]int64{}
	handles := [64]market.Inst{}
	for k := range handles {
		handles[k] = insts.Intern("binance", market.Spot, fmt.Sprintf("S%02d-USDT", k))
	}
	var id []byte
	batch := market.NewBatch(market.KindTrade)
	for i := range rows {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		k := x % 64
		seq[k]++
		price[k] += int64(x>>32%21) - 10
		e := market.Envelope{Feed: 1, Inst: handles[k], EventTS: midnight + int64(float64(i)*float64(span)/float64(rows)), Seq: seq[k], HasSeq: true, RawBytes: 150}
		e.IngestTS = e.EventTS + int64(x>>40%5000)
		for c := range e.ID {
			e.ID[c] = byte(x >> (c % 8 * 8))
		}
		binary.BigEndian.PutUint32(e.ID[12:], uint32(i))
		batch.AppendEnvelope(&e)
		id = strconv.AppendInt(id[:0], 1e9+int64(i), 10)
		batch.Cols[market.TradeVenueID].AppendText(id)
		batch.Cols[market.TradeSide].AppendInt(1 + int64(x>>50&1))
		batch.Cols[market.TradePrice].AppendDec(5_000_000+price[k], 2)
		batch.Cols[market.TradeQuantity].AppendDec(int64(x>>20%1_000_000), 5)
		batch.Cols[market.TradePrints].AppendInt(1)
		if batch.N == 8192 || i == rows-1 {
			each(batch)
			batch.Reset()
		}
	}
}

// day makes a lake with a day of trades.
func day(b *testing.B, rows int) *world {
	b.Helper()
	l, err := lake.Open(b.Context(), lake.Config{Dir: b.TempDir(), Now: time.Now, Build: "test"})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = l.Close() })
	w := &world{insts: market.NewInstruments(), feeds: market.NewFeeds(), lake: l}
	w.write(b, rows, market.Day)
	return w
}

// write adds trades to the lake.
func (w *world) write(b *testing.B, rows int, span int64) {
	b.Helper()
	s := sink.NewEvents(w.lake, w.insts, w.feeds, sink.Config{})
	trades(b, w.insts, rows, span, func(batch *market.Batch) {
		if err := s.Add(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
		if s.Waiting() < 4<<20 { // as an import does
			return
		}
		if err := s.Commit(b.Context(), nil); err != nil {
			b.Fatal(err)
		}
	})
	if err := s.Commit(b.Context(), nil); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkWrite puts six hours of a million trades each into a lake: known ids, order, Parquet,
// commits. The time is processor time without that of making the trades. input-MB is the
// greatest resident memory of the process, the program in it, once the trades were made alone, rss-MB
// once they were written; -benchtime 1x and nothing else in the run, or both are of what came before.
func BenchmarkWrite(b *testing.B) {
	const rows, span = 6 << 20, 6 * market.Hour
	var input, all, made, wrote float64
	for range b.N {
		insts := market.NewInstruments()
		start := processor()
		trades(b, insts, rows, span, func(*market.Batch) {})
		input, made = resident(), made+processor()-start
		l, err := lake.Open(b.Context(), lake.Config{Dir: b.TempDir(), Now: time.Now, Build: "test"})
		if err != nil {
			b.Fatal(err)
		}
		w := &world{insts: insts, feeds: market.NewFeeds(), lake: l}
		start = processor()
		w.write(b, rows, span)
		all, wrote = resident(), wrote+processor()-start
		_ = l.Close()
	}
	n := float64(rows) * float64(b.N)
	b.ReportMetric((wrote-made)/n, "cpu-ns/row")
	b.ReportMetric(1e3*n/(wrote-made), "Mrows/s/core")
	b.ReportMetric(input, "input-MB")
	b.ReportMetric(all, "rss-MB")
}

// resident is the greatest resident memory of the process so far, in MB.
func resident() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return float64(u.Maxrss) * 1024 / 1e6 // Linux gives KiB
}

// processor is the user time of the process in nanoseconds.
func processor() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return float64(u.Utime.Nano())
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
			start := processor()
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
			b.ReportMetric((processor()-start)/float64(rows), "cpu-ns/row")
			b.ReportMetric(100*float64(read)/float64(total)/float64(b.N), "read%")
		})
	}
}
