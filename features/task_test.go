package features_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/market"
)

const t0 = int64(1_700_000_040) * market.Second // a full minute

func trade(at int64, price int64) *event {
	return &event{kind: market.KindTrade, inst: 0, ts: at, ingest: at + 5000, feed: 8, cols: map[string]value{
		"price": decCell{price, 2}, "quantity": decCell{100, 2}, "side": intCell(1), "prints": intCell(1), "id": "a",
	}}
}

func (r *rig) batch(events ...*event) *market.Batch {
	b := market.NewBatch(market.KindTrade)
	for _, e := range events {
		appendEvent(b, e)
	}
	return b
}

func marks(trade int64) *[market.NumKinds]int64 {
	var m [market.NumKinds]int64
	for k := range m {
		m[k] = market.NoTime
	}
	m[market.KindTrade] = trade
	return &m
}

func TestPush_RefusesWhatBreaksTheOrder(t *testing.T) {
	r := newRig(t, barsSpec)
	for name, c := range map[string]struct {
		batch func() *market.Batch
		want  string
	}{
		"below the mark":  {func() *market.Batch { return r.batch(trade(t0-1, 1)) }, "below the mark"},
		"back in time":    {func() *market.Batch { return r.batch(trade(t0+9, 1), trade(t0+8, 1)) }, "back in time"},
		"before a pushed": {func() *market.Batch { return r.batch(trade(t0+2, 1)) }, "back in time"},
		"no time":         {func() *market.Batch { return r.batch(trade(market.NoTime, 1)) }, "below the mark"},
		"no instrument": {func() *market.Batch {
			e := trade(t0+9, 1)
			e.inst = 99
			return r.batch(e)
		}, "not registered"},
		"short column": {func() *market.Batch {
			b := r.batch(trade(t0+9, 1))
			b.Cols[market.TradePrice].Scale = nil
			return b
		}, "column price"},
		"short envelope": {func() *market.Batch {
			b := r.batch(trade(t0+9, 1))
			b.Flags = nil
			return b
		}, "envelope"},
	} {
		t.Run(name, func(t *testing.T) {
			task := r.plan.NewTask(r.insts, 0)
			var out features.Rows
			if err := task.Push(r.batch(trade(t0+5, 1))); err != nil {
				t.Fatal(err)
			}
			if err := task.Advance(marks(t0), &out); err != nil {
				t.Fatal(err)
			}
			err := task.Push(c.batch())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want %q", err, c.want)
			}
			if again := task.Advance(marks(t0+1), &out); !errors.Is(again, err) {
				t.Fatalf("after an error the task goes on: %v", again)
			}
		})
	}
}

func TestAdvance_RefusesFallingMarks(t *testing.T) {
	r := newRig(t, barsSpec)
	task := r.plan.NewTask(r.insts, 0)
	var out features.Rows
	if err := task.Advance(marks(t0), &out); err != nil {
		t.Fatal(err)
	}
	if err := task.Advance(marks(t0-1), &out); err == nil || !strings.Contains(err.Error(), "falls") {
		t.Fatalf("error %v", err)
	}
}

func TestAdvance_EmitsRowsBelowTheMark(t *testing.T) {
	r := newRig(t, barsSpec)
	task := r.plan.NewTask(r.insts, 0)
	var out features.Rows
	if err := task.Push(r.batch(trade(t0, 100), trade(t0+59*market.Second, 200), trade(t0+60*market.Second, 300))); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		mark int64
		rows int
	}{{market.NoTime, 0}, {t0 + 60*market.Second - 1, 0}, {t0 + 60*market.Second, 1}, {t0 + 119*market.Second, 0}, {t0 + 120*market.Second, 1}, {t0 + market.Hour, 0}} {
		out.Reset()
		if err := task.Advance(marks(c.mark), &out); err != nil {
			t.Fatal(err)
		}
		if out.Len() != c.rows {
			t.Errorf("mark %d: %d rows, want %d", c.mark-t0, out.Len(), c.rows)
		}
	}
	if got := task.OldestNeeded(market.KindTrade); got != t0+market.Hour-market.Minute {
		t.Errorf("oldest needed %d", got-t0)
	}
}

func TestClose_MarksWindowsThatReachPastTheEnd(t *testing.T) {
	r := newRig(t, barsSpec)
	end := t0 + 60*market.Second
	for _, c := range []struct {
		last  int64
		flags []string
	}{{end - 1, nil}, {end - 2, []string{"partial"}}} {
		task := r.plan.NewTask(r.insts, 0)
		var out, peek features.Rows
		if err := task.Push(r.batch(trade(t0, 100), trade(c.last, 200))); err != nil {
			t.Fatal(err)
		}
		before := task.AppendSnapshot(nil)
		task.Peek(&peek)
		if string(task.AppendSnapshot(nil)) != string(before) {
			t.Error("peek changed the state")
		}
		if err := task.Close(c.last, &out); err != nil {
			t.Fatal(err)
		}
		if out.Len() != 1 || peek.Len() != 1 {
			t.Fatalf("%d rows, %d by peek", out.Len(), peek.Len())
		}
		got := features.FlagNames(nil, out.Views[0].Flags[0])
		if strings.Join(got, " ") != strings.Join(c.flags, " ") || peek.Views[0].Flags[0] != out.Views[0].Flags[0] {
			t.Errorf("last %d: flags %v, want %v", c.last-end, got, c.flags)
		}
		if err := task.Push(r.batch(trade(t0+market.Hour, 1))); err == nil {
			t.Error("a closed task takes rows")
		}
	}
}

// The rows of Peek have the numbers that their entities have in the task, whatever the
// order in which these appeared.
func TestPeek_NamesTheEntities(t *testing.T) {
	r := newRig(t, barsSpec, engineSpecs["direct"][0])
	task := r.plan.NewTask(r.insts, 0)
	want := map[string]bool{}
	for k, i := range []int{5, 2, 0, 4} {
		e := trade(t0+int64(k), int64(1000+i))
		e.inst = i
		if err := task.Push(r.batch(e)); err != nil {
			t.Fatal(err)
		}
		in := r.world.insts[i]
		want[fmt.Sprint([]string{in.Exchange, in.Venue.String(), in.Symbol}, 10+float64(i)/100)] = true
	}
	var peek features.Rows
	for range 2 { // also behind rows that are there already
		task.Peek(&peek)
	}
	v := &peek.Views[0]
	if v.Len() != 2*len(want) {
		t.Fatalf("%d rows", v.Len())
	}
	for i := range v.Len() {
		if got := fmt.Sprint(task.EntityNames(0, v.Entity[i]), v.Features[0].F64[i]); !want[got] {
			t.Errorf("row of %s, want one of %v", got, want)
		}
	}
}

// F5: an entity without events leaves no state behind.
func TestTask_ForgetsIdleEntities(t *testing.T) {
	r := newRig(t, barsSpec, engineSpecs["rolling"][0], engineSpecs["flat"][0])
	task := r.plan.NewTask(r.insts, 0)
	var out features.Rows
	empty := task.AppendSnapshot(nil)
	if err := task.Push(r.batch(trade(t0, 100), trade(t0+1, 200))); err != nil {
		t.Fatal(err)
	}
	if err := task.Advance(marks(t0+market.Hour), &out); err != nil {
		t.Fatal(err)
	}
	if got := task.AppendSnapshot(nil); len(got) != len(empty) {
		t.Errorf("%d bytes of state, want %d", len(got), len(empty))
	}
}

func TestOverflow_IsNullWithAFlag(t *testing.T) {
	r := newRig(t, `
view: huge
version: 1
from: trade
by: [symbol]
window: {tumbling: 1m}
features:
  cube: sum(price * price * price * price)
  far: ln(last(price) / first(price))
  ticks: decimal(max(price), 18)
  n: count()
  whole: floor(max(price) / first(price))
`)
	task := r.plan.NewTask(r.insts, 0)
	var out features.Rows
	big := trade(t0+1, 1<<62)
	big.cols["price"] = decCell{1 << 62, 0}
	small := trade(t0, 1)
	small.cols["price"] = decCell{1, 18}
	if err := task.Push(r.batch(small, big)); err != nil {
		t.Fatal(err)
	}
	if err := task.Close(t0+1, &out); err != nil {
		t.Fatal(err)
	}
	v := &out.Views[0]
	if v.Flags[0]&features.FlagOverflow == 0 {
		t.Error("no flag overflow")
	}
	for k, want := range []bool{false, true, false, false, true} {
		if v.Features[k].IsNull(0) != want {
			t.Errorf("%s null = %t, want %t", r.plan.Outputs()[0].Fields[k].Name, !want, want)
		}
	}
}
