package backfill

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/lake"
	"github.com/pinova-group/tidemark/market"
)

const day0 = 20_000 * market.Day

// inputsOf makes tables of one file an hour, out of nothing.
func inputsOf(t *testing.T, v *Views, from, to int64, rows int64) *Inputs {
	t.Helper()
	in := &Inputs{Views: v, Last: market.NoTime, Sealed: market.NoTime}
	for _, input := range v.Plan.Inputs() {
		tab := Table{Name: "processed." + input.Name, Snapshot: 7, input: input}
		for h := from; h < to; h += market.Hour {
			tab.Files = append(tab.Files, File{Path: input.Name + market.FormatTime(h), Rows: rows, Bytes: rows * 10, First: h, Last: h + market.Hour - 1})
		}
		in.Tables = append(in.Tables, tab)
	}
	in.Last = to - 1
	return in
}

func mustLoad(t *testing.T, views ...string) *Views {
	t.Helper()
	v, err := Load(views, nil)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestCut_CoversTheRangeOnce(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 2000 {
		from := day0 + r.Int64N(market.Day)
		rg := Range{from, from + 1 + r.Int64N(400*market.Day)}
		lookback, rows := r.Int64N(10*market.Day), r.Int64N(1<<34)
		part := Range{from, rg.To}
		part.From += r.Int64N(rg.To - from)
		part.To -= r.Int64N(part.To - part.From)
		s := step(rg, part, lookback, rows, 1+r.IntN(16))
		parts := cut(rg, s)
		at := rg.From
		for _, p := range parts {
			if p.From != at || p.To <= p.From || p.To != rg.To && p.To%s != 0 {
				t.Fatalf("%+v cut by %d: %+v", rg, s, p)
			}
			at = p.To
		}
		if at != rg.To || len(parts) > maxTasks {
			t.Fatalf("%+v cut by %d: %d parts up to %d", rg, s, len(parts), at)
		}
	}
}

// With the step that is chosen, workers that take task after task are done at most half as late again as with any other whose tasks
// are no longer than they may be.
func TestStep_IsDoneSoon(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 1))
	for range 2000 {
		from := market.FloorDiv(day0+r.Int64N(market.Day), market.Hour) * market.Hour
		rg := Range{from, from + market.Hour*(1+r.Int64N(1000))}
		lookback, rows, workers := r.Int64N(2*market.Day), r.Int64N(1<<30), 1+r.IntN(16)
		done := func(s int64) float64 {
			at := make([]float64, workers) // until when each has work, in events
			for _, p := range cut(rg, s) {
				i := slices.Index(at, slices.Min(at))
				at[i] += float64(rows)*float64(p.To-max(p.From-lookback, rg.From))/float64(rg.To-rg.From) + taskCosts
			}
			return slices.Max(at)
		}
		got := step(rg, rg, lookback, rows, workers)
		for _, s := range steps {
			if n := int64(len(cut(rg, s))); n <= maxTasks && rows/n <= mostRows && done(got) > 1.5*done(s) {
				t.Fatalf("%d events in %v with a lookback of %v, %d workers: steps of %v take %.3g, of %v %.3g", rows, time.Duration(rg.To-rg.From)*1e3, time.Duration(lookback)*1e3,
					workers, time.Duration(got)*1e3, done(got), time.Duration(s)*1e3, done(s))
			}
		}
	}
}

// Steps are so long that lookback is a small part of what is read, so short that all workers have as much to do and a kill costs
// little.
func TestStep_SuitsLookbackAndWorkers(t *testing.T) {
	day, hours := Range{day0, day0 + market.Day}, Range{day0, day0 + 6*market.Hour}
	for _, c := range []struct {
		what           string
		r, part        Range
		lookback, rows int64
		workers        int
		want           int64
	}{
		{"bars of a day", day, day, market.Minute, 20 << 20, 2, 6 * market.Hour},
		{"on eight cores", day, day, market.Minute, 20 << 20, 8, 3 * market.Hour},
		{"on five cores", day, day, market.Minute, 20 << 20, 5, 6 * market.Hour},
		{"on sixteen cores", day, day, market.Minute, 20 << 20, 16, 2 * market.Hour},
		{"on one core", day, day, market.Minute, 20 << 20, 1, 6 * market.Hour},
		{"lookback of a quarter of an hour", day, day, 15 * market.Minute, 20 << 20, 2, 12 * market.Hour},
		{"events in six hours of the day", day, hours, 15 * market.Minute, 20 << 20, 2, 3 * market.Hour},
		{"a month, the most of a task", Range{day0, day0 + 30*market.Day}, Range{day0, day0 + 30*market.Day}, market.Minute, 600 << 20, 2, 6 * market.Hour},
		{"lookback of a week", Range{day0, day0 + 30*market.Day}, Range{day0, day0 + 30*market.Day}, market.Week, 600 << 20, 2, 4 * market.Week},
		{"few events", day, day, market.Minute, 1000, 2, 12 * market.Hour},
		{"no event", day, day, market.Minute, 0, 2, 12 * market.Hour},
		{"a moment", Range{day0, day0 + 1}, Range{day0, day0 + 1}, 0, 1, 2, market.Minute},
	} {
		if got := step(c.r, c.part, c.lookback, c.rows, c.workers); got != c.want {
			t.Errorf("%s: steps of %v, want %v", c.what, time.Duration(got)*time.Microsecond, time.Duration(c.want)*time.Microsecond)
		}
	}
}

// A day of which six hours have events is cut as these are, and there is no task where rows can depend on no event, unless it is to
// replace rows that were staged of other files.
func TestPlan_CutsWhereEventsAre(t *testing.T) {
	v := mustLoad(t, "trade_bars_1m")
	in := inputsOf(t, v, day0, day0+6*market.Hour, 4<<20)
	in.Tables[0].Files = slices.Delete(in.Tables[0].Files, 2, 4)
	tasks := func(state tableState) (from []int64) {
		p, err := in.plan(Request{Views: []string{"trade_bars_1m"}, Range: Range{day0, day0 + market.Day}}, []tableState{state})
		if err != nil {
			t.Fatal(err)
		}
		if p.Step != 2*market.Hour {
			t.Errorf("steps of %s, want two hours", time.Duration(p.Step)*time.Microsecond)
		}
		for _, k := range p.Tasks {
			from = append(from, (k.From-day0)/market.Hour)
		}
		return from
	}
	// A minute after events is one that looks back to them.
	if got := tasks(tableState{}); !slices.Equal(got, []int64{0, 2, 4, 6}) {
		t.Errorf("tasks from hours %v", got)
	}
	left := &staged{Step: 2 * market.Hour, Tasks: []stagedTask{
		{From: day0 + 8*market.Hour, To: day0 + 10*market.Hour}, {From: day0 + 12*market.Hour, To: day0 + 14*market.Hour, Rows: 1},
	}}
	if got := tasks(tableState{exists: true, staged: left}); !slices.Equal(got, []int64{0, 2, 4, 6, 12}) {
		t.Errorf("with staged rows, tasks from hours %v", got)
	}
}

// There is no task after events and a window, however far its views look back, but one for a range that has nothing else.
func TestPlan_EndsWithTheLastRows(t *testing.T) {
	v := mustLoad(t, "rolling_trades")
	in := inputsOf(t, v, day0, day0+6*market.Hour, 4<<20)
	last := &in.Tables[0].Files[5].Last
	tasks := func(r Range) (from []int64) {
		p, err := in.plan(Request{Views: []string{"rolling_trades"}, Range: r, Step: 2 * market.Hour}, []tableState{{}})
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range p.Tasks {
			from = append(from, (k.From-day0)/market.Hour)
		}
		return from
	}
	for _, c := range []struct {
		before int64
		r      Range
		want   []int64
	}{
		{1, Range{day0, day0 + market.Day}, []int64{0, 2, 4, 6}}, // a second may end after the last event
		{market.Second - 1, Range{day0, day0 + market.Day}, []int64{0, 2, 4, 6}},
		{market.Second, Range{day0, day0 + market.Day}, []int64{0, 2, 4}},
		{market.Minute, Range{day0 + 6*market.Hour, day0 + market.Day}, []int64{6}},
	} {
		*last = day0 + 6*market.Hour - c.before
		if got := tasks(c.r); !slices.Equal(got, c.want) {
			t.Errorf("events end %d µs before six: tasks from hours %v, want %v", c.before, got, c.want)
		}
	}
}

// The plan names what is read, and its tasks what their rows depend on and nothing else.
func TestPlan_TasksAndTheirNames(t *testing.T) {
	v := mustLoad(t, "trade_bars_1m")
	in := inputsOf(t, v, day0, day0+24*market.Hour, 1000)
	req := Request{Views: []string{"trade_bars_1m"}, Range: Range{day0 + 2*market.Hour, day0 + 6*market.Hour}, Step: market.Hour}
	states := []tableState{{}}
	p, err := in.plan(req, states)
	if err != nil {
		t.Fatal(err)
	}
	// A minute of lookback: a task reads its hour and a sixtieth of the one before.
	if len(p.Tasks) != 4 || p.Tasks[1].Files != 2 || p.Tasks[1].Rows != 1017 || p.Inputs[0].Files != 5 || p.Rows != 4068 || p.Finished != 0 || p.Nothing != "" {
		t.Errorf("%+v", p)
	}
	if p.Again < 0.016 || p.Again > 0.018 {
		t.Errorf("read again: %v", p.Again)
	}
	keys := func(in *Inputs) (out []string) {
		p, err := in.plan(req, states)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range p.Tasks {
			out = append(out, k.key)
		}
		return append(out, p.Publication)
	}
	was := keys(in)
	differ := func(what string, want ...int) {
		t.Helper()
		var got []int
		for i, k := range keys(in) {
			if k != was[i] {
				got = append(got, i)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: tasks %v have other names, want %v", what, got, want)
		}
	}
	tab := &in.Tables[0]
	tab.Snapshot = 8
	tab.Files = append(tab.Files, File{Path: "new", Rows: 10, First: day0 + 25*market.Hour, Last: day0 + 26*market.Hour})
	in.Last = day0 + 26*market.Hour
	differ("rows at the end")
	tab.Files = append(tab.Files, File{Path: "late", Rows: 1, First: day0 + 3*market.Hour + market.Minute, Last: day0 + 3*market.Hour + market.Minute})
	differ("a late row", 1, 4)
	tab.Files[len(tab.Files)-1] = File{Path: "late", Rows: 1, First: day0 + 4*market.Hour - market.Second, Last: day0 + 4*market.Hour - market.Second}
	differ("a late row in the lookback of the next", 1, 2, 4)
	if text := strings.Join(p.Notes, "\n"); text != "" {
		t.Errorf("notes: %s", text)
	}
}

// A publication is found again, unless it was undone, its rows were replaced, or its table is
// another one.
func TestPlan_FindsItsPublication(t *testing.T) {
	v := mustLoad(t, "trade_bars_1m")
	in := inputsOf(t, v, day0, day0+24*market.Hour, 1000)
	req := Request{Views: []string{"trade_bars_1m"}, Range: Range{day0 + 2*market.Hour, day0 + 6*market.Hour}}
	plan := func(uuid string, pubs ...lake.Published) *Plan {
		p, err := in.plan(req, []tableState{{exists: true, uuid: uuid, published: pubs}})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	first := plan("a")
	ours := lake.Published{ID: lake.CommitID(first.Publication), Table: first.Views[0].Table, From: req.From, To: req.To, At: 5}
	if p := plan("a", ours); p.Nothing == "" || p.Publication != first.Publication {
		t.Errorf("published: %+v", p)
	}
	undo := ours
	undo.ID, undo.Undoes, undo.At = "u", ours.ID, 6
	over, beside := ours, ours
	over.ID, over.From, over.At = "o", req.To-1, 7
	beside.ID, beside.From, beside.To = "b", req.To, req.To+5
	for what, p := range map[string]*Plan{"undone": plan("a", ours, undo), "replaced": plan("a", ours, over), "another table": plan("b", ours)} {
		if p.Nothing != "" || p.Publication == first.Publication {
			t.Errorf("%s: %+v", what, p)
		}
	}
	if p := plan("a", ours, beside); p.Nothing == "" {
		t.Errorf("another range was published: %+v", p)
	}
}

// Live tables count as far as they are sealed; what is missing is told.
func TestPlan_SealedHolesAndHistory(t *testing.T) {
	v := mustLoad(t, "vwap_5m")
	in := inputsOf(t, v, day0, day0+24*market.Hour, 1000)
	in.Tables[0].Files = slices.Delete(in.Tables[0].Files, 3, 6)
	open := Request{Views: []string{"vwap_5m"}, Range: Range{market.NoTime, market.NoTime}}
	p, err := in.plan(open, []tableState{{}})
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(p.Notes, "\n")
	if p.From != day0 || p.To != day0+24*market.Hour || !strings.Contains(text, "3 of the hours") || !strings.Contains(text, "know less") {
		t.Errorf("%d to %d: %s", p.From, p.To, text)
	}
	past := open
	past.From, past.To = day0+20*market.Hour, day0+30*market.Hour
	if p, err = in.plan(past, []tableState{{}}); err != nil || !strings.Contains(strings.Join(p.Notes, "\n"), "events end") {
		t.Errorf("%v: %v", err, p)
	}
	in.Sealed = day0 + 23*market.Hour
	if p, err = in.plan(open, []tableState{{}}); err != nil || p.To != in.Sealed {
		t.Errorf("%v: %v", err, p)
	}
	refused := func(what string, req Request, s tableState) {
		t.Helper()
		_, err := in.plan(req, []tableState{s})
		if f, ok := errors.AsType[*fault.Error](err); !ok || f.Code != "not_sealed" || !strings.Contains(f.Remedy, "--to") {
			t.Errorf("%s: %v", what, err)
		}
	}
	refused("input", past, tableState{})
	refused("table", open, tableState{exists: true, through: day0 + 22*market.Hour})
}
