package features_test

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/specs"
)

// bench is one compiled set of views with what is needed to run and judge it.
type rig struct {
	t     testing.TB
	plan  *features.Plan
	views []*lang.View
	world *world
	insts *market.Instruments
	also  func(*features.Task, *features.Rows) // sees what drive collects; nil for none
}

func newRig(t testing.TB, texts ...string) *rig {
	t.Helper()
	var src []features.Source
	var parsed []*lang.Spec
	for i, s := range texts {
		name := fmt.Sprintf("%d.yaml", i)
		src = append(src, features.Source{Name: name, Text: []byte(s)})
		p, ps := lang.Parse(name, []byte(s))
		if len(ps) > 0 {
			t.Fatal(ps)
		}
		parsed = append(parsed, p)
	}
	r := &rig{t: t, insts: market.NewInstruments()}
	r.world = &world{feeds: market.NewFeeds()}
	r.world.feeds.Set(market.Feed{Name: "kraken-spot", ID: 7, Exchange: "kraken", Disorder: 100 * market.Millisecond, AssumedLag: market.Second})
	r.world.order = func(e *event) refKey {
		return refKey{uint64(e.ts), uint64(market.MakeSrc(e.feed, e.kind)), uint64(r.insts.Number(market.Inst(e.inst))), 0, e.seq}
	}
	plan, err := features.Compile(src, features.Options{Find: specs.Find, Feeds: r.world.feeds})
	if err != nil {
		t.Fatal(err)
	}
	r.plan = plan
	set, ps := lang.Check(parsed, lang.CheckOptions{Known: func(n string, _ int) (*lang.Spec, bool) {
		text, ok := specs.Find(n)
		if !ok {
			return nil, false
		}
		s, _ := lang.Parse(n, text)
		return s, true
	}})
	if len(ps) > 0 {
		t.Fatal(ps)
	}
	r.views = set.Views
	for _, in := range []struct{ e, s string }{{"kraken", "BTC-USD"}, {"binance", "BTC-USDT"}, {"kraken", "ETH-USD"}, {"binance", "ETH-USDT"}, {"binance", "BTC-USD"}, {"alpha", "SOL-USDT"}} {
		i := r.insts.Intern(in.e, market.Spot+market.Venue(len(r.world.insts)%2), in.s)
		r.world.insts = append(r.world.insts, r.insts.Get(i))
	}
	return r
}

// rigKinds are the kinds of the events that the harness makes.
var rigKinds = []market.Kind{market.KindTrade, market.KindQuote, market.KindInstrument}

func newBatches() map[market.Kind]*market.Batch {
	m := map[market.Kind]*market.Batch{}
	for _, k := range rigKinds {
		m[k] = market.NewBatch(k)
	}
	return m
}

func setMarks(marks *[market.NumKinds]int64, to int64) {
	for _, k := range rigKinds {
		marks[k] = to
	}
}

// listed reports whether instrument events matter.
func (r *rig) listed() bool {
	return slices.ContainsFunc(r.views, func(v *lang.View) bool { return v.Window.Listed })
}

// listing is an instrument event at a time.
func listing(g *rand.Rand, ts int64) map[string]value {
	cols := map[string]value{"base_asset": "A", "quote_asset": "B", "inverse": intCell(0), "state": intCell(max(g.IntN(5)-2, 0))}
	if g.IntN(3) == 0 {
		cols["listed_ts"] = intCell(ts + g.Int64N(2*market.Minute) - market.Minute)
	}
	if g.IntN(3) == 0 {
		cols["delisted_ts"] = intCell(ts + g.Int64N(5*market.Minute))
	}
	return cols
}

// part is what a shard, or a run of history, has all of: a symbol, or where views compare
// symbols a market.
func (r *rig) part(inst int) string {
	for _, v := range r.views {
		if v.Window.Kind == lang.Latest {
			return r.world.insts[inst].Venue.String()
		}
	}
	return r.world.insts[inst].Symbol
}

// events makes trades and quotes in the total order, with ties, silences, changes of
// scale, nulls and extremes.
func (r *rig) events(seed uint64, n int) []*event {
	g := rand.New(rand.NewPCG(seed, 1))
	var out []*event
	ts := int64(1_700_000_000)*market.Second + g.Int64N(3600*market.Second)
	used := 1 + g.IntN(len(r.world.insts))
	pace := []int64{200 * market.Millisecond, 5 * market.Second, 40 * market.Second}[g.IntN(3)]
	for range n {
		switch g.IntN(12) {
		case 0, 1, 2: // same instant
		case 3:
			ts += g.Int64N(20 * pace)
		case 4:
			if g.IntN(10) == 0 {
				ts += g.Int64N(3 * market.Hour)
			}
		default:
			ts += g.Int64N(pace)
		}
		if g.IntN(6) == 0 { // onto a border
			ts = -market.FloorDiv(-ts, market.Second) * market.Second
		}
		e := &event{kind: market.KindTrade, inst: g.IntN(used), ts: ts, ingest: ts + g.Int64N(market.Second), feed: market.FeedID(7 + g.IntN(2)), seq: uint64(len(out))}
		if g.IntN(5) == 0 {
			e.ingest = market.NoTime
		}
		if g.IntN(40) == 0 {
			e.flags = market.FlagGap
		}
		dec := func(m int64, s int8) value { return decCell{m, s} }
		price := func() value { return dec(100_000+g.Int64N(900_000), int8(1+g.IntN(3))) }
		qty := func() value {
			if g.IntN(30) == 0 {
				return dec(math.MaxInt64-g.Int64N(100), int8(g.IntN(9)))
			}
			return dec(g.Int64N(1_000_000_000), int8(g.IntN(9)))
		}
		switch {
		case r.listed() && g.IntN(4) == 0:
			e.kind, e.cols = market.KindInstrument, listing(g, ts)
		case g.IntN(3) == 0:
			e.kind = market.KindQuote
			maybe := func(v value) value {
				if g.IntN(7) == 0 {
					return nil
				}
				return v
			}
			e.cols = map[string]value{"bid_price": maybe(price()), "ask_price": maybe(price()), "bid_quantity": maybe(qty()), "ask_quantity": maybe(qty())}
		default:
			e.cols = map[string]value{"price": price(), "quantity": qty(), "side": intCell(g.IntN(3)), "prints": intCell(1 + g.IntN(3)), "id": "id" + strconv.Itoa(g.IntN(20))}
			if g.IntN(9) == 0 {
				e.cols["id"] = nil
			}
		}
		out = append(out, e)
	}
	return out
}

type decCell struct {
	m int64
	s int8
}
type intCell int64

// exact replaces cells by the numbers that the reference computes with.
func exact(events []*event) []*event {
	out := make([]*event, len(events))
	for i, e := range events {
		c := *e
		c.cols = map[string]value{}
		for k, v := range e.cols {
			switch x := v.(type) {
			case decCell:
				c.cols[k] = new(big.Rat).SetFrac(big.NewInt(x.m), new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(x.s)), nil))
			case intCell:
				c.cols[k] = rat(int64(x))
			default:
				c.cols[k] = v
			}
		}
		out[i] = &c
	}
	return out
}

func appendEvent(b *market.Batch, e *event) {
	b.AppendEnvelope(&market.Envelope{Feed: e.feed, Inst: market.Inst(e.inst), EventTS: e.ts, IngestTS: e.ingest, Seq: e.seq, HasSeq: true, Flags: e.flags})
	for i, f := range market.Schema(b.Kind) {
		c := &b.Cols[i]
		switch x := e.cols[f.Name].(type) {
		case decCell:
			c.AppendDec(x.m, x.s)
		case intCell:
			c.AppendInt(int64(x))
		case string:
			c.AppendText([]byte(x))
		default:
			if f.Type == market.TypeText {
				c.AppendNullText()
			} else {
				c.AppendNull(f.Type == market.TypeDec)
			}
		}
	}
}

// how is one way to drive the engine over a list of events.
type how struct {
	batch   int  // mean rows of a batch
	history bool // entity after entity, one mark at the end
	shards  int
	restore bool // through snapshots, at random places
	uneven  bool // the marks of trades and quotes lie apart
	seed    uint64
	from    int64
	mark    int64 // 0: close at last
	last    int64
}

type outRow struct {
	view int
	ent  []string
	ts   int64
	text string
	vals []any
}

// drive runs the engine and returns its rows by view.
func (r *rig) drive(events []*event, h how) [][]outRow {
	r.t.Helper()
	all := make([][]outRow, len(r.plan.Outputs()))
	for s := range h.shards {
		var mine []*event
		for _, e := range events {
			if int(r.part(e.inst)[0])%h.shards == s {
				mine = append(mine, e)
			}
		}
		r.shard(mine, h, all)
	}
	if h.shards > 1 {
		for v := range all {
			slices.SortStableFunc(all[v], func(a, b outRow) int {
				if a.ts != b.ts {
					return int(min(max(a.ts-b.ts, -1), 1))
				}
				return slices.Compare(a.ent, b.ent)
			})
		}
	}
	return all
}

func (r *rig) shard(events []*event, h how, all [][]outRow) {
	r.t.Helper()
	g := rand.New(rand.NewPCG(h.seed, 2))
	task := r.plan.NewTask(r.insts, h.from)
	if h.history {
		events = slices.Clone(events)
		slices.SortStableFunc(events, func(a, b *event) int {
			return strings.Compare(r.part(a.inst), r.part(b.inst))
		})
	}
	batches := newBatches()
	var out features.Rows
	must := func(err error) {
		if err != nil {
			r.t.Helper()
			r.t.Fatal(err)
		}
	}
	flush := func() {
		for _, k := range rigKinds {
			must(pushParts(task, batches[k], h.seed))
			batches[k].Reset()
		}
	}
	collect := func() {
		r.collect(task, &out, all)
		out.Reset()
	}
	var marks [market.NumKinds]int64
	for k := range marks {
		marks[k] = market.NoTime
	}
	for i, e := range events {
		appendEvent(batches[e.kind], e)
		if g.IntN(h.batch) != 0 {
			continue
		}
		flush()
		if !h.history && g.IntN(2) == 0 && i+1 < len(events) {
			m, before, newest := events[i+1].ts, marks, slices.Max(marks[:])
			if g.IntN(2) == 0 {
				m -= min(g.Int64N(market.Minute), max(m-newest, 0))
			}
			if h.mark != 0 {
				m = min(m, h.mark)
			}
			setMarks(&marks, max(m, newest))
			if h.uneven {
				k := 1 + g.IntN(2)
				marks[k] = max(before[k], marks[k]-g.Int64N(market.Hour))
			}
			must(task.Advance(&marks, &out))
			collect()
		}
		if h.restore && g.IntN(4) == 0 {
			snap := task.AppendSnapshot(nil)
			t2, err := r.plan.Restore(r.insts, snap)
			must(err)
			if again := t2.AppendSnapshot(nil); string(again) != string(snap) {
				r.t.Fatal("snapshot of the restored task differs")
			}
			task = t2
		}
	}
	flush()
	if h.mark != 0 {
		setMarks(&marks, h.mark)
		must(task.Advance(&marks, &out))
	} else {
		must(task.Close(h.last, &out))
	}
	collect()
}

// pushParts pushes a batch as partitions have it, one part after the other, where the task takes them so.
func pushParts(task *features.Task, b *market.Batch, seed uint64) error {
	parts := make([]*market.Batch, 1+seed%3)
	for i := range parts {
		parts[i] = market.NewBatch(b.Kind)
	}
	for i := range b.N {
		parts[(uint64(b.Inst[i])+seed>>8)%uint64(len(parts))].AppendRows(b, i, i+1)
	}
	parts = slices.DeleteFunc(parts, func(p *market.Batch) bool { return p.N == 0 })
	if len(parts) < 2 || !task.Apart(parts) {
		return task.Push(b)
	}
	for _, p := range parts {
		if err := task.Push(p); err != nil {
			return err
		}
	}
	return nil
}

// collect turns rows into text, one line each.
func (r *rig) collect(task *features.Task, out *features.Rows, all [][]outRow) {
	if r.also != nil {
		r.also(task, out)
	}
	for v := range out.Views {
		o := &out.Views[v]
		for i := range o.Len() {
			row := outRow{view: v, ent: task.EntityNames(v, o.Entity[i]), ts: o.RowTS[i]}
			flags := o.Flags[i]
			row.text = fmt.Sprint(row.ent, o.Start[i], o.End[i], o.RowTS[i], o.Avail[i], features.FlagNames(nil, flags))
			for k, f := range r.plan.Outputs()[v].Fields {
				row.vals = append(row.vals, cell(&o.Features[k], f, i))
			}
			all[v] = append(all[v], row)
		}
	}
}

func cell(c *features.OutCol, f features.Field, i int) any {
	if c.IsNull(i) {
		return nil
	}
	switch f.Type {
	case features.FieldF64:
		if math.IsNaN(c.F64[i]) || c.F64[i] == 0 && math.Signbit(c.F64[i]) {
			return "NaN or -0"
		}
		return c.F64[i]
	case features.FieldI64:
		return c.I64[i]
	case features.FieldBool:
		return c.I64[i] != 0
	case features.FieldDecimal:
		x := new(big.Int).Lsh(big.NewInt(c.Hi[i]), 64)
		return x.Add(x, new(big.Int).SetUint64(c.Lo[i])).String()
	}
	return string(c.Bytes[c.Off[i]:c.Off[i+1]])
}

// want turns the rows of the reference into the same text.
func (r *rig) want(ref map[*lang.View][]refRow, from int64) [][]outRow {
	all := make([][]outRow, len(r.views))
	for v, lv := range r.views {
		for _, x := range ref[lv] {
			if x.rowTS < from {
				continue
			}
			row := outRow{view: v, ent: x.ent, ts: x.rowTS}
			row.text = fmt.Sprint(x.ent, x.start, x.end, x.rowTS, x.avail, features.FlagNames(nil, x.flags))
			for k, f := range r.plan.Outputs()[v].Fields {
				row.vals = append(row.vals, stored(x.vals[k], f, lv.Features[k].Type))
			}
			all[v] = append(all[v], row)
		}
	}
	return all
}

func stored(x value, f features.Field, t lang.Type) any {
	switch {
	case x == nil:
		return nil
	case f.Type == features.FieldF64:
		if a, ok := x.(approxVal); ok {
			return a
		}
		y, _ := float(x)
		return y + 0
	case f.Type == features.FieldI64:
		i, _ := ratInt(x)
		return i
	case f.Type == features.FieldDecimal:
		y, ok := x.(*big.Rat)
		if !ok {
			y = new(big.Rat).SetFloat64(x.(float64))
		}
		p := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(f.Scale)), nil)
		return new(big.Rat).Mul(roundRat(y, int(f.Scale)), new(big.Rat).SetInt(p)).Num().String()
	case f.Type == features.FieldText && t.Kind == lang.TEnum:
		i, _ := ratInt(x)
		return t.Words[i]
	}
	return x
}

// same reports the first difference between rows.
func (r *rig) same(what string, got, want [][]outRow) {
	r.t.Helper()
	for v := range want {
		name := r.plan.Outputs()[v].Name
		for i := range min(len(got[v]), len(want[v])) {
			g, w := got[v][i], want[v][i]
			if g.text != w.text {
				r.t.Fatalf("%s: %s row %d\n got %s\nwant %s", what, name, i, g.text, w.text)
			}
			for k := range w.vals {
				if !equalVal(g.vals[k], w.vals[k]) {
					r.t.Fatalf("%s: %s row %d %s: %s = %v, want %v", what, name, i, g.text, r.plan.Outputs()[v].Fields[k].Name, g.vals[k], w.vals[k])
				}
			}
		}
		if len(got[v]) != len(want[v]) {
			r.t.Fatalf("%s: %s has %d rows, want %d", what, name, len(got[v]), len(want[v]))
		}
	}
}

func equalVal(g, w any) bool {
	if a, ok := w.(approxVal); ok {
		f, ok := g.(float64)
		return ok && math.Abs(f-a.f) <= a.tol*math.Abs(a.f)*(1+1e-12)
	}
	return g == w
}
