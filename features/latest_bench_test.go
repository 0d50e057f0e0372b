package features_test

import (
	"fmt"
	"testing"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/market"
)

const benchFair = `
view: fair
version: 1
from: quote
by: [market, symbol]
let:
  mid: (bid_price + ask_price) / 2
window: {latest: exchange, every: 1s, max_age: 5s}
features:
  venues: count()
  guard: mean(mid)
  fair: mean(mid where abs(mid - guard) <= 0.02 * guard)
`

const benchRank = `
view: ranked
version: 1
from: quote
by: [market, symbol]
window: {latest: exchange, every: 1s, max_age: 5s, emit: members}
features:
  place: rank(bid_price)
  part: share(bid_quantity)
  venues: count()
`

// benchLatest runs 500 symbols on 10 venues, 20,000 quotes a second: one op is a batch of
// 4096 quotes, and a fifth of the rows of a second.
func benchLatest(b *testing.B, spec string) {
	p, err := features.Compile([]features.Source{{Name: "bench", Text: []byte(spec)}}, features.Options{})
	if err != nil {
		b.Fatal(err)
	}
	insts := market.NewInstruments()
	var ids []market.Inst
	for s := range 500 {
		for e := range 10 {
			ids = append(ids, insts.Intern(fmt.Sprintf("venue%d", e), market.Spot, fmt.Sprintf("S%d-USDT", s)))
		}
	}
	const size, step = 4096, 50
	batch := market.NewBatch(market.KindQuote)
	x := uint64(88172645463325252)
	for i := range size {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		ts := int64(1_700_000_000)*market.Second + int64(i)*step
		batch.AppendEnvelope(&market.Envelope{Feed: 1, Inst: ids[int(x>>20)%len(ids)], EventTS: ts, IngestTS: ts + 20000, Seq: uint64(i), HasSeq: true})
		for c, m := range []int64{4_000_000 + int64(x>>40)%1000, int64(x>>12) % 1_000_000, 4_000_100 + int64(x>>40)%1000, int64(x>>13) % 1_000_000} {
			batch.Cols[c].AppendDec(m, 2)
		}
	}
	task := p.NewTask(insts, 0)
	var out features.Rows
	var marks [market.NumKinds]int64
	rows := 0
	one := func() {
		if err := task.Push(batch); err != nil {
			b.Fatal(err)
		}
		for k := range batch.TS {
			batch.TS[k] += size * step
			batch.IngestTS[k] += size * step
		}
		marks[market.KindQuote] = batch.TS[0]
		if err := task.Advance(&marks, &out); err != nil {
			b.Fatal(err)
		}
		rows += out.Len()
		out.Reset()
	}
	for range 50 {
		one()
		for k := range batch.Inst { // other members, in the same order of time
			batch.Inst[k] = ids[(int(batch.Inst[k])+7)%len(ids)]
		}
	}
	rows = 0
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		one()
	}
	ns := float64(b.Elapsed().Nanoseconds())
	b.ReportMetric(ns/float64(b.N)/size, "ns/event")
	b.ReportMetric(float64(rows)/float64(b.N)/size, "rows/event")
	if rows > 0 {
		b.ReportMetric(ns/float64(rows), "ns/row")
	}
}

func BenchmarkLatest_Group(b *testing.B)   { benchLatest(b, benchFair) }
func BenchmarkLatest_Members(b *testing.B) { benchLatest(b, benchRank) }

// Push alone: one row a minute of each group.
func BenchmarkLatest_Push(b *testing.B) {
	benchLatest(b, `
view: fair
version: 1
from: quote
by: [market, symbol]
let:
  mid: (bid_price + ask_price) / 2
window: {latest: exchange, every: 1h, max_age: 1h}
features:
  fair: mean(mid)
  size: sum(bid_quantity + ask_quantity)
`)
}
