package features_test

import (
	"math/rand/v2"
	"testing"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/book"
	"github.com/pinova-group/tidemark/specs"
)

// bookTape is batches of deltas of two instruments with books of 1000 levels a side, each
// changing six levels near the best prices, all 1000 of a side within 10 bps, 50 messages a second and instrument. The
// first batch has the snapshots.
func bookTape(insts *market.Instruments, batches, rows int) []*market.Batch {
	g := rand.New(rand.NewPCG(1, 2))
	mid := [2]int64{6_000_000, 300_000}
	ts := int64(1_700_000_000) * market.Second
	seq := uint64(0)
	envelope := func(b *market.Batch, k int) {
		seq++
		ts += 10 * market.Millisecond
		b.AppendEnvelope(&market.Envelope{Feed: 7, Inst: insts.Intern("binance", market.Perp, [2]string{"BTC-USDT", "ETH-USDT"}[k]),
			EventTS: ts, IngestTS: ts + 1000, Seq: seq, HasSeq: true})
		for _, c := range []int{market.BookFirstSeq, market.BookPrevSeq, market.BookChecksum, market.BookDepth} {
			b.Cols[c].AppendNull(false)
		}
	}
	var out []*market.Batch
	for n := range batches {
		b := market.NewBatch(market.KindBook)
		for i := range rows {
			k := i % 2
			envelope(b, k)
			first := n == 0 && i < 2
			var p, q [2][]int64
			if first {
				for l := range int64(1000) {
					p[0], p[1] = append(p[0], mid[k]-l), append(p[1], mid[k]+1+l)
					q[0], q[1] = append(q[0], 1+g.Int64N(5000)), append(q[1], 1+g.Int64N(5000))
				}
				b.Cols[market.BookOrigin].AppendInt(market.OriginVenue)
			} else {
				d := int64(0)
				for range 3 { // as venues send them: the best first
					d += g.Int64N(6) + 1
					p[0], p[1] = append(p[0], mid[k]+1-d), append(p[1], mid[k]+d)
					q[0], q[1] = append(q[0], g.Int64N(5000)), append(q[1], g.Int64N(5000))
				}
				b.Cols[market.BookOrigin].AppendInt(market.OriginDelta)
			}
			for s := range 2 {
				b.Cols[market.BookBidPrice+2*s].AppendDecs(p[s], 2)
				b.Cols[market.BookBidPrice+2*s+1].AppendDecs(q[s], 3)
			}
		}
		out = append(out, b)
	}
	return out
}

// What a delta costs: applied to a book, with a view that only counts, with book_1s.
func BenchmarkBook1s(b *testing.B) {
	insts := market.NewInstruments()
	tape := bookTape(insts, 60, 1024)
	events := float64(60 * 1024)
	b.Run("apply", func(b *testing.B) {
		for b.Loop() {
			var books [2]book.Book
			for _, batch := range tape {
				for i := range batch.N {
					bids, asks := book.LevelsOf(batch.Cols, i)
					if err := books[batch.Inst[i]].Apply(bids, asks); err != nil {
						b.Fatal(err)
					}
				}
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/events, "ns/event")
	})
	text, _ := specs.Find("book_1s")
	for name, spec := range map[string]string{"count": "view: n\nversion: 1\nfrom: book\nby: [exchange, market, symbol]\nwindow: {tumbling: 1s}\nfeatures:\n  n: count()\n",
		"one": "view: n\nversion: 1\nfrom: book\nby: [exchange, market, symbol]\nwindow: {tumbling: 1s}\nfeatures:\n  n: last(book.mid)\n", "book_1s": string(text)} {
		plan, err := features.Compile([]features.Source{{Name: "b.yaml", Text: []byte(spec)}}, features.Options{Feeds: market.NewFeeds()})
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			var out features.Rows
			var marks [market.NumKinds]int64
			for b.Loop() {
				task := plan.NewTask(insts, market.NoTime)
				for _, batch := range tape {
					if err := task.Push(batch); err != nil {
						b.Fatal(err)
					}
					for k := range marks {
						marks[k] = batch.TS[batch.N-1]
					}
					if err := task.Advance(&marks, &out); err != nil {
						b.Fatal(err)
					}
					out.Reset()
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/events, "ns/event")
		})
	}
}
