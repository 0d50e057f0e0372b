package stale_test

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/features/stale"
	"github.com/pinova-group/tidemark/ingest/gen"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/sequence"
	"github.com/pinova-group/tidemark/specs"
)

// bazaar is a simulated market as its sequenced log, in memory.
type bazaar struct {
	feeds *market.Feeds
	insts *market.Instruments
	log   [market.NumKinds]*market.Batch
	last  int64
}

// simulate makes a market and stretches its time, so that few events reach over hours and
// days; times are put on multiples of step, so that they meet the borders of windows.
func simulate(t *testing.T, seed uint64, events, stretch, step int64) *bazaar {
	t.Helper()
	g := rand.New(rand.NewPCG(seed, 7))
	m := &bazaar{feeds: market.NewFeeds(), insts: market.NewInstruments()}
	c := gen.DefaultConfig()
	c.Seed, c.Events, c.Rate, c.Depth, c.SnapshotEvery = seed, events, 5, 3, 20*market.Second
	c.Start += g.Int64N(market.Day)
	c.Symbols, c.Venues, c.Gaps = c.Symbols[:2], c.Venues[:2], 3_000
	source, err := gen.New(c, m.feeds, m.insts)
	if err != nil {
		t.Fatal(err)
	}
	seq, err := sequence.New(sequence.DefaultConfig(m.feeds, m.insts))
	if err != nil {
		t.Fatal(err)
	}
	var in market.Chunk
	var out sequence.Out
	for more := true; more; {
		out.Reset()
		if more = source.Next(&in); more {
			if err := seq.Push(&in); err != nil {
				t.Fatal(err)
			}
			seq.Advance(&out)
		} else {
			seq.Close(&out)
		}
		for k, b := range out.Rows.Batches {
			if b != nil && b.N > 0 {
				m.of(market.Kind(k)).AppendRows(b, 0, b.N)
			}
		}
	}
	length := int64(0)
	for _, b := range m.log {
		if b != nil {
			length = max(length, b.TS[b.N-1]-c.Start)
		}
	}
	for _, k := range []market.Kind{market.KindFunding, market.KindMarkPrice, market.KindOpenInterest, market.KindLiquidation, market.KindStatus, market.KindInstrument} {
		m.more(g, k, c.Start, length, 12)
	}
	move := func(ts int64) int64 { return (c.Start + (ts-c.Start)*stretch) / step * step }
	for _, b := range m.log {
		if b == nil {
			continue
		}
		for i := range b.N {
			delay := b.IngestTS[i] - b.TS[i]
			b.TS[i] = move(b.TS[i])
			b.EventTS[i] = b.TS[i]
			if b.IngestTS[i] != market.NoTime {
				b.IngestTS[i] = b.TS[i] + delay
			}
			m.last = max(m.last, b.TS[i])
		}
	}
	m.sort()
	return m
}

func (m *bazaar) of(k market.Kind) *market.Batch {
	if m.log[k] == nil {
		m.log[k] = market.NewBatch(k)
	}
	return m.log[k]
}

// more adds events with random values to a kind.
func (m *bazaar) more(g *rand.Rand, k market.Kind, start, length int64, n int) {
	b := m.of(k)
	for i := range n {
		inst := market.Inst(g.IntN(m.insts.Len()))
		feed := m.feeds.Intern("sim-" + m.insts.Get(inst).Exchange)
		ts := start + g.Int64N(length)
		b.AppendEnvelope(&market.Envelope{Feed: feed, Inst: inst, EventTS: ts, IngestTS: ts + g.Int64N(market.Second), Seq: uint64(1000 + i), HasSeq: true})
		for j, f := range b.Fields {
			c := &b.Cols[j]
			switch f.Type {
			case market.TypeDec:
				c.AppendDec(1+g.Int64N(1000), 2)
			case market.TypeText:
				c.AppendText([]byte("x"))
			case market.TypeEnum:
				c.AppendInt(g.Int64N(int64(len(f.Words))))
			case market.TypeTime:
				if f.Name == "listed_ts" || f.Name == "delisted_ts" {
					c.AppendNull(false)
				} else {
					c.AppendInt(ts)
				}
			default:
				c.AppendInt(g.Int64N(2))
			}
		}
	}
}

// sort brings each kind into the total order, which moving times may have left.
func (m *bazaar) sort() {
	numbers := m.insts.Numbers()
	for k, b := range m.log {
		if b == nil {
			continue
		}
		order := make([]int, b.N)
		for i := range order {
			order[i] = i
		}
		slices.SortStableFunc(order, func(x, y int) int { return b.Key(x, numbers).Compare(b.Key(y, numbers)) })
		out := market.NewBatch(b.Kind)
		for _, i := range order {
			out.AppendRows(b, i, i+1)
		}
		m.log[k] = out
	}
}

// event is one of the log.
type event struct {
	kind market.Kind
	row  int
}

// pick draws an event of a kind that views read, one in three a trade.
func (m *bazaar) pick(g *rand.Rand, p *features.Plan) event {
	for {
		k := market.KindTrade
		if g.IntN(3) > 0 {
			k = p.Inputs()[g.IntN(len(p.Inputs()))].Kind
		}
		if m.log[k] != nil {
			return event{k, g.IntN(m.log[k].N)}
		}
	}
}

// change is what the event's coming late is.
func (m *bazaar) change(e event) stale.Change {
	b := m.log[e.kind]
	return stale.Change{Kind: e.kind, Key: stale.KeyOf(m.feeds.Get(b.Feed[e.row]).Name, m.insts.Get(b.Inst[e.row])), From: b.TS[e.row], To: b.TS[e.row] + 1}
}

// without is the log before some events came.
func (m *bazaar) without(late []event) [market.NumKinds]*market.Batch {
	log := m.log
	for _, e := range late {
		log[e.kind] = nil
	}
	for k, b := range m.log {
		if b == nil || log[k] != nil {
			continue
		}
		out, from := market.NewBatch(b.Kind), 0
		for i := range b.N {
			if slices.Contains(late, event{market.Kind(k), i}) {
				out.AppendRows(b, from, i)
				from = i + 1
			}
		}
		out.AppendRows(b, from, b.N)
		log[k] = out
	}
	return log
}

// outcome is what the engine made of a log.
type outcome struct {
	task *features.Task
	rows features.Rows
}

// compute runs the views over a log, as far as a mark behind its end.
func (m *bazaar) compute(t *testing.T, p *features.Plan, log *[market.NumKinds]*market.Batch, mark int64, out *outcome) {
	t.Helper()
	out.rows.Reset()
	out.task = p.NewTask(m.insts, market.NoTime)
	var marks [market.NumKinds]int64
	for k := range marks {
		marks[k] = mark
	}
	for _, in := range p.Inputs() {
		if b := log[in.Kind]; b != nil {
			if err := out.task.Push(b); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := out.task.Advance(&marks, &out.rows); err != nil {
		t.Fatal(err)
	}
}

// compare calls f for each entity and row_ts of a view that one of two outcomes has, and
// tells whether all rows there are the same. Rows are in that order.
func compare(v int, x, y *outcome, f func(entity []string, ts int64, same bool)) {
	a, b := &x.rows.Views[v], &y.rows.Views[v]
	names := func(o *outcome, r *features.ViewRows, i int) []string { return o.task.EntityNames(v, r.Entity[i]) }
	end := func(r *features.ViewRows, i int) int {
		j := i
		for j < r.Len() && r.RowTS[j] == r.RowTS[i] && r.Entity[j] == r.Entity[i] {
			j++
		}
		return j
	}
	for i, j := 0, 0; i < a.Len() || j < b.Len(); {
		order := 0
		switch {
		case i == a.Len():
			order = 1
		case j == b.Len():
			order = -1
		default:
			if order = cmp.Compare(a.RowTS[i], b.RowTS[j]); order == 0 {
				order = slices.Compare(names(x, a, i), names(y, b, j))
			}
		}
		switch {
		case order < 0:
			f(names(x, a, i), a.RowTS[i], false)
			i = end(a, i)
		case order > 0:
			f(names(y, b, j), b.RowTS[j], false)
			j = end(b, j)
		default:
			n, same := end(a, i), true
			k := end(b, j)
			for at := range n - i {
				same = same && n-i == k-j && sameRow(a, b, i+at, j+at)
			}
			f(names(x, a, i), a.RowTS[i], same)
			i, j = n, k
		}
	}
}

func sameRow(a, b *features.ViewRows, i, j int) bool {
	if a.Start[i] != b.Start[j] || a.End[i] != b.End[j] || a.Avail[i] != b.Avail[j] || a.Flags[i] != b.Flags[j] {
		return false
	}
	for k := range a.Features {
		x, y := &a.Features[k], &b.Features[k]
		switch null := x.IsNull(i); {
		case null != y.IsNull(j):
			return false
		case null:
		case len(x.Off) > 0:
			if string(x.Bytes[x.Off[i]:x.Off[i+1]]) != string(y.Bytes[y.Off[j]:y.Off[j+1]]) {
				return false
			}
		case len(x.F64) > 0:
			if math.Float64bits(x.F64[i]) != math.Float64bits(y.F64[j]) {
				return false
			}
		case len(x.Hi) > 0:
			if x.Hi[i] != y.Hi[j] || x.Lo[i] != y.Lo[j] {
				return false
			}
		case x.I64[i] != y.I64[j]:
			return false
		}
	}
	return true
}

// compile checks and plans the shipped views and more.
func compile(t *testing.T, feeds *market.Feeds, more ...string) (*lang.Set, *features.Plan) {
	t.Helper()
	var parsed []*lang.Spec
	for _, name := range specs.Names() {
		text, _ := specs.Find(name)
		more = append(more, string(text))
	}
	for _, text := range more {
		s, ps := lang.Parse("spec", []byte(text))
		if len(ps) > 0 {
			t.Fatal(ps)
		}
		parsed = append(parsed, s)
	}
	set, ps := lang.Check(parsed, lang.CheckOptions{})
	if len(ps) > 0 {
		t.Fatal(ps)
	}
	p, err := features.CompileSet(set, features.Options{Feeds: feeds})
	if err != nil {
		t.Fatal(err)
	}
	for i, o := range p.Outputs() {
		if o.Fingerprint != set.Views[i].Fingerprint {
			t.Fatalf("output %d is %s, view %s", i, o.Name, set.Views[i].Name)
		}
	}
	return set, p
}
