package features_test

import (
	"fmt"
	"math/big"
	"testing"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/market"
)

// simpleTrade is a trade of instrument 0 or 2 with a whole price and quantities in thousandths.
func simpleTrade(inst int, ts, price, milli int64, side int64) *event {
	return &event{kind: market.KindTrade, inst: inst, ts: ts, ingest: ts, feed: 7,
		cols: map[string]value{"price": decCell{price, 0}, "quantity": decCell{milli, 3}, "side": intCell(side), "prints": intCell(1), "id": nil}}
}

// rowsOf drives the events in one batch and returns the rows of each view: closed ones,
// then those that a look at the open windows adds.
func (r *rig) rowsOf(events []*event, last int64) (closed, peeked [][]outRow) {
	task := r.plan.NewTask(r.insts, 0)
	b := market.NewBatch(market.KindTrade)
	for i, e := range events {
		e.seq = uint64(i)
		appendEvent(b, e)
	}
	if err := task.Push(b); err != nil {
		r.t.Fatal(err)
	}
	var out features.Rows
	task.Peek(&out)
	peeked = make([][]outRow, len(r.plan.Outputs()))
	r.collect(task, &out, peeked)
	out.Reset()
	if err := task.Close(last, &out); err != nil {
		r.t.Fatal(err)
	}
	closed = make([][]outRow, len(r.plan.Outputs()))
	r.collect(task, &out, closed)
	return closed, peeked
}

// Every event is in one bar: the closed bars and the open one hold the total, to the last
// digit; bars cut by split hold the size.
func TestBars_ConserveVolume(t *testing.T) {
	r := newRig(t, `
view: whole
version: 1
from: trade
by: [exchange, symbol]
window: {bar: sum(quantity), size: 12.5, reset: 1h}
features:
  volume: decimal(sum(quantity), 3)
  n: count()
`, `
view: cut
version: 1
from: trade
by: [exchange, symbol]
window: {bar: sum(quantity), size: 12.5, cut: split, reset: 1h}
features:
  volume: decimal(sum(quantity), 3)
  n: count()
`)
	var events []*event
	total := new(big.Int)
	ts := int64(1_700_000_000) * market.Second
	for i := range int64(4000) {
		ts += (i * 7919 % 13) * market.Second
		q := 1 + i*i*31%9973
		if i%500 == 3 {
			q = 90_001 // several bars at once
		}
		events = append(events, simpleTrade(0, ts, 100, q, 1))
		total.Add(total, big.NewInt(q))
	}
	closed, peeked := r.rowsOf(events, ts)
	for v, name := range []string{"whole", "cut"} {
		sum, rows, odd := new(big.Int), 0, 0
		for _, row := range peeked[v] {
			x, _ := new(big.Int).SetString(row.vals[0].(string), 10)
			sum.Add(sum, x)
			rows++
			if x.Int64() != 12_500 {
				odd++
			}
		}
		if sum.Cmp(total) != 0 {
			t.Errorf("%s: bars hold %v thousandths, the events %v", name, sum, total)
		}
		if len(peeked[v]) != len(closed[v])+1 {
			t.Errorf("%s: %d rows with the open bar, %d without", name, len(peeked[v]), len(closed[v]))
		}
		cutByReset := int((ts-events[0].ts)/market.Hour) + 2
		if name == "cut" && odd > cutByReset {
			t.Errorf("cut: %d of %d bars hold another amount than the size", odd, rows)
		}
	}
}

// One row makes at most so many bars; the last takes the rest and says so.
func TestBars_PartsOfARowAreBounded(t *testing.T) {
	r := newRig(t, `
view: cut
version: 1
from: trade
by: [exchange, symbol]
window: {bar: sum(quantity), size: 0.001, cut: split, reset: 1h}
features:
  volume: decimal(sum(quantity), 3)
`)
	ts := int64(1_700_000_000) * market.Second
	closed, _ := r.rowsOf([]*event{simpleTrade(0, ts, 100, 1_000_000_000, 1), simpleTrade(0, ts+1, 100, 1, 1)}, ts+1)
	rows := closed[0]
	if len(rows) != 10_001 {
		t.Fatalf("%d rows", len(rows))
	}
	want := fmt.Sprint([]string{"kraken", "BTC-USD"}, ts, ts, ts, ts+100*market.Millisecond, []string{"truncated"})
	if got := rows[9999]; got.text != want || got.vals[0] != "999990001" {
		t.Errorf("got %s %v, want %s", got.text, got.vals, want)
	}
	if got := rows[10000]; got.vals[0] != "1" {
		t.Errorf("the next row gives %v", got.vals)
	}
}

// A trade that is several times the size closes one bar when rows are whole and several
// with one time when they are cut.
func TestBars_CrossedTwice(t *testing.T) {
	r := newRig(t, `
view: whole
version: 1
from: trade
by: [symbol]
window: {bar: sum(quantity), size: 10, reset: 1d}
features:
  volume: sum(quantity)
  n: count()
`, `
view: cut
version: 1
from: trade
by: [symbol]
window: {bar: sum(quantity), size: 10, cut: split, reset: 1d}
features:
  volume: sum(quantity)
  n: count()
  notional: sum(price * quantity)
`)
	ts := int64(1_700_000_000) * market.Second
	closed, peeked := r.rowsOf([]*event{simpleTrade(0, ts, 2, 4_000, 1), simpleTrade(0, ts+5, 3, 29_000, 1)}, ts+5)
	got := func(rows []outRow) (s string) {
		for _, row := range rows {
			s += fmt.Sprintln(row.ts-ts, row.vals)
		}
		return s
	}
	if g, w := got(closed[0]), "5 [33 2]\n"; g != w {
		t.Errorf("whole:\n%swant\n%s", g, w)
	}
	if g, w := got(closed[1]), "5 [10 2 26]\n5 [10 1 30]\n5 [10 1 30]\n"; g != w {
		t.Errorf("cut:\n%swant\n%s", g, w)
	}
	if g, w := got(peeked[1]), "5 [10 2 26]\n5 [10 1 30]\n5 [10 1 30]\n5 [3 1 9]\n"; g != w {
		t.Errorf("cut, with the open bar:\n%swant\n%s", g, w)
	}
}
