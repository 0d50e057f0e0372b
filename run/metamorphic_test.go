package run_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/ingest/gen"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run"
	"github.com/pinova-group/tidemark/sequence"
	"github.com/pinova-group/tidemark/specs"
)

// shipped is every shipped view in one plan.
type shipped struct {
	set   *lang.Set
	plan  *features.Plan
	feeds *market.Feeds
}

// smallBars are sizes that the short logs fill.
var smallBars = map[string]string{
	"tick_bars.size": "7", "volume_bars.size": "1.5", "dollar_bars.size": "300", "volume_imbalance_bars.size": "0.8", "vpin_buckets.size": "4",
	"btc_clock.n": "0.004", "alts_per_btc.n": "0.002",
}

func compileShipped(t *testing.T) *shipped {
	t.Helper()
	set, _, err := run.Check(specs.Names(), smallBars)
	if err != nil {
		t.Fatal(err)
	}
	s := &shipped{set: set, feeds: market.NewFeeds()}
	if s.plan, err = features.CompileSet(set, features.Options{Feeds: s.feeds, Find: specs.Find}); err != nil {
		t.Fatal(err)
	}
	return s
}

// tape is a sequenced log: the rows of each kind in the total order, and the last time.
type tapeLog struct {
	insts *market.Instruments
	kinds [market.NumKinds]*market.Batch
	last  int64
}

// newTape sequences a small simulated market, its pace and troubles drawn from r, and adds
// rows of the kinds that the simulator does not make.
func (s *shipped) newTape(t *testing.T, r *rand.Rand) *tapeLog {
	t.Helper()
	l := &tapeLog{insts: market.NewInstruments(), last: market.NoTime}
	cfg := gen.DefaultConfig()
	cfg.Seed, cfg.Events = r.Uint64(), 60+r.Int64N(140)
	cfg.Rate = []int64{1, 5, 40, 400}[r.IntN(4)]
	cfg.Start += r.Int64N(48) * market.Hour / 2
	cfg.Symbols, cfg.Venues = gen.Symbols(1+r.IntN(4)), cfg.Venues[:1+r.IntN(3)]
	cfg.Duplicates, cfg.Gaps = 10_000, 10_000*r.IntN(2)
	cfg.SnapshotEvery, cfg.Depth = 20*market.Second, 4+r.IntN(8)
	m, err := gen.New(cfg, s.feeds, l.insts)
	if err != nil {
		t.Fatal(err)
	}
	seq, err := sequence.New(sequence.DefaultConfig(s.feeds, l.insts))
	if err != nil {
		t.Fatal(err)
	}
	var out sequence.Out
	step := func(advance func(*sequence.Out)) {
		out.Reset()
		advance(&out)
		for k, b := range out.Rows.Batches {
			if b != nil && b.N > 0 {
				l.batch(market.Kind(k)).AppendRows(b, 0, b.N)
			}
		}
	}
	var chunk market.Chunk
	for more := true; more; {
		chunk.Reset()
		more = m.Next(&chunk)
		if err := seq.Push(&chunk); err != nil {
			t.Fatal(err)
		}
		step(seq.Advance)
	}
	step(seq.Close)
	for _, k := range []market.Kind{market.KindLiquidation, market.KindMarkPrice, market.KindOpenInterest} {
		l.invent(k, r)
	}
	for _, b := range l.kinds {
		if b != nil && b.N > 0 {
			l.last = max(l.last, b.TS[b.N-1])
		}
	}
	return l
}

func (l *tapeLog) batch(k market.Kind) *market.Batch {
	if l.kinds[k] == nil {
		l.kinds[k] = market.NewBatch(k)
	}
	return l.kinds[k]
}

// invent adds rows of a kind beside the trades.
func (l *tapeLog) invent(k market.Kind, r *rand.Rand) {
	trades := l.kinds[market.KindTrade]
	if trades == nil {
		return
	}
	b := l.batch(k)
	for i := range trades.N {
		if r.IntN(6) > 0 {
			continue
		}
		b.AppendEnvelope(&market.Envelope{Feed: trades.Feed[i], Inst: trades.Inst[i], EventTS: trades.TS[i], IngestTS: trades.TS[i] + r.Int64N(50_000), Seq: uint64(i), HasSeq: true})
		for c, f := range market.Schema(k) {
			switch col := &b.Cols[c]; f.Type {
			case market.TypeDec:
				col.AppendDec(1+r.Int64N(1_000_000), int8(r.IntN(5)))
			case market.TypeText:
				col.AppendText([]byte("x"))
			case market.TypeEnum:
				col.AppendInt(r.Int64N(int64(len(f.Words))))
			default:
				col.AppendInt(trades.TS[i] + r.Int64N(market.Hour))
			}
		}
	}
}

// cut is the number of rows with ts below a time.
func cut(b *market.Batch, ts int64) int {
	if b == nil {
		return 0
	}
	return sort.Search(b.N, func(i int) bool { return b.TS[i] >= ts })
}

// runner feeds a log to a task.
type runner struct {
	t    *testing.T
	s    *shipped
	log  *tapeLog
	task *features.Task
	done [market.NumKinds]int
	rows features.Rows
	out  []string
}

func (s *shipped) runner(t *testing.T, l *tapeLog, from int64) *runner {
	return &runner{t: t, s: s, log: l, task: s.plan.NewTask(l.insts, from)}
}

// push hands over the rows of a kind up to the n-th.
func (r *runner) push(k, n int) {
	b := r.log.kinds[k]
	if b == nil || n <= r.done[k] {
		return
	}
	part := market.NewBatch(b.Kind)
	part.AppendRows(b, r.done[k], n)
	if err := r.task.Push(part); err != nil {
		r.t.Fatal(err)
	}
	r.done[k] = n
}

func (r *runner) advance(marks *[market.NumKinds]int64) {
	r.rows.Reset()
	if err := r.task.Advance(marks, &r.rows); err != nil {
		r.t.Fatal(err)
	}
	r.out = appendRows(r.out, r.s.plan, r.task, &r.rows)
}

// finish hands over what is left and closes; the rows are sorted, because views leave one
// after the other in every step.
func (r *runner) finish(last int64) []string {
	for k, b := range r.log.kinds {
		if b != nil {
			r.push(k, b.N)
		}
	}
	r.rows.Reset()
	if err := r.task.Close(last, &r.rows); err != nil {
		r.t.Fatal(err)
	}
	out := appendRows(r.out, r.s.plan, r.task, &r.rows)
	slices.Sort(out)
	return out
}

// pieces feeds the log in random pieces: kinds run ahead of their marks by random numbers
// of rows, marks rise unevenly, and with restarts the task goes through its snapshot.
func (r *runner) pieces(g *rand.Rand, restarts bool) []string {
	first := r.log.last
	for _, b := range r.log.kinds {
		if b != nil && b.N > 0 {
			first = min(first, b.TS[0])
		}
	}
	var marks [market.NumKinds]int64
	for k := range marks {
		marks[k] = market.NoTime
	}
	t := first
	for t < r.log.last {
		t += 1 + g.Int64N((r.log.last-first)/int64(1+g.IntN(12))+1)
		for k, b := range r.log.kinds {
			mark := t - g.Int64N(2)*g.Int64N(t-first+1)/2
			marks[k] = max(marks[k], min(mark, r.log.last))
			if b != nil {
				r.push(k, min(b.N, cut(b, max(t, marks[k]))+g.IntN(3)))
			}
		}
		r.advance(&marks)
		if restarts && g.IntN(2) == 0 {
			snap := r.task.AppendSnapshot(nil)
			task, err := r.s.plan.Restore(r.log.insts, snap)
			if err != nil {
				r.t.Fatal(err)
			}
			if again := task.AppendSnapshot(nil); string(again) != string(snap) {
				r.t.Fatal("a restored task has another snapshot")
			}
			r.task = task
		}
	}
	return r.finish(r.log.last)
}

// filter is the log without the rows that drop names.
func (l *tapeLog) filter(drop func(b *market.Batch, i int) bool) *tapeLog {
	o := &tapeLog{insts: l.insts, last: l.last}
	for k, b := range l.kinds {
		if b == nil {
			continue
		}
		n := market.NewBatch(market.Kind(k))
		for i := range b.N {
			if !drop(b, i) {
				n.AppendRows(b, i, i+1)
			}
		}
		o.kinds[k] = n
	}
	return o
}

// ofView are the rows of a view with row_ts in [from, to).
func ofView(rows []string, name string, from, to int64) []string {
	var out []string
	for _, row := range rows {
		rest, ok := strings.CutPrefix(row, name+" ")
		if !ok {
			continue
		}
		text, _, _ := strings.Cut(rest, " ")
		if ts, err := strconv.ParseInt(text, 10, 64); err == nil && ts >= from && ts < to {
			out = append(out, row)
		}
	}
	return out
}

// byAsset reports whether all rows that go into a row of the view are of one base asset, so
// that a task may hold some assets only. Rows by member depend on the whole group.
func byAsset(v *lang.View) bool {
	by := v.By
	if v.Window.Members {
		by = by[:len(by)-1]
	}
	return slices.Contains(by, "symbol") || slices.Contains(by, "base")
}

// listed reports whether instrument events, whose lookback and reach are their own, tell
// the members of a view or of one that it reads.
func (s *shipped) listed(i int) bool {
	for v := s.set.Views[i]; v != nil; v = v.Parent {
		if v.Window.Listed {
			return true
		}
	}
	return false
}

const always = int64(1) << 62

// TestMetamorphic_AllShippedViews draws logs of all kinds and says what must not change
// the rows of any shipped view, and what no row may feel (I1, I2).
func TestMetamorphic_AllShippedViews(t *testing.T) {
	s := compileShipped(t)
	cases := 2000
	if testing.Short() {
		cases = 200
	}
	rows := 0
	for seed := range uint64(cases) {
		r := rand.New(rand.NewPCG(seed, 99))
		l := s.newTape(t, r)
		want := s.runner(t, l, 0).finish(l.last)
		rows += len(want)
		switch seed % 6 {
		case 0:
			compareRows(t, fmt.Sprintf("seed %d: in pieces", seed), s.runner(t, l, 0).pieces(r, false), want)
		case 1:
			compareRows(t, fmt.Sprintf("seed %d: with restarts", seed), s.runner(t, l, 0).pieces(r, true), want)
		case 2:
			s.shards(t, seed, l, want, []int{1, 2, 7}[r.IntN(3)])
		case 3:
			s.before(t, seed, l, want, r)
		case 4:
			s.without(t, seed, l, want, r)
		case 5:
			s.from(t, seed, l, want, r)
		}
	}
	if rows < 100*cases {
		t.Errorf("only %d rows in %d cases", rows, cases)
	}
}

// shards: tasks that hold some assets each give what one task gives.
func (s *shipped) shards(t *testing.T, seed uint64, l *tapeLog, want []string, n int) {
	var got []string
	for shard := range n {
		part := l.filter(func(b *market.Batch, i int) bool {
			h := 0
			for _, c := range l.insts.Get(b.Inst[i]).Base {
				h = h*31 + int(c)
			}
			return h%n != shard
		})
		got = append(got, s.runner(t, part, 0).finish(l.last)...)
	}
	for i := range s.plan.Outputs() {
		o := &s.plan.Outputs()[i]
		if !ownAssets(s.set.Views[i]) {
			continue
		}
		g := ofView(got, o.Name, 0, always)
		slices.Sort(g)
		compareRows(t, fmt.Sprintf("seed %d: %d shards: %s", seed, n, o.Name), g, ofView(want, o.Name, 0, always))
	}
}

// ownAssets is byAsset of a view and all that it reads.
func ownAssets(v *lang.View) bool {
	if !byAsset(v) || v.Window.Clock != nil {
		return false
	}
	for _, j := range v.Joins {
		if !slices.Contains(j.On, "symbol") && !slices.Contains(j.On, "base") || j.View != nil && !ownAssets(j.View) {
			return false
		}
	}
	return v.Parent == nil || ownAssets(v.Parent)
}

// before: what lies further back than the lookback is not felt.
func (s *shipped) before(t *testing.T, seed uint64, l *tapeLog, want []string, r *rand.Rand) {
	first := l.last
	for _, b := range l.kinds {
		if b != nil && b.N > 0 {
			first = min(first, b.TS[0])
		}
	}
	g := first + r.Int64N(l.last-first+1)
	part := l.filter(func(b *market.Batch, i int) bool { return b.TS[i] < g && b.Kind != market.KindInstrument })
	got := s.runner(t, part, 0).finish(l.last)
	for i := range s.plan.Outputs() {
		o := &s.plan.Outputs()[i]
		a := g + o.Lookback
		compareRows(t, fmt.Sprintf("seed %d: without events before %d: %s from %d", seed, g, o.Name, a), ofView(got, o.Name, a, always), ofView(want, o.Name, a, always))
	}
}

// without: an event that never was changes no row beyond its reach, and none before it.
func (s *shipped) without(t *testing.T, seed uint64, l *tapeLog, want []string, r *rand.Rand) {
	var kinds []int
	for k, b := range l.kinds {
		if b != nil && b.N > 0 && market.Kind(k) != market.KindBook { // a book chain without a link is another chain
			kinds = append(kinds, k)
		}
	}
	k := kinds[r.IntN(len(kinds))]
	at := r.IntN(l.kinds[k].N)
	ts := l.kinds[k].TS[at]
	part := l.filter(func(b *market.Batch, i int) bool { return int(b.Kind) == k && i == at })
	got := s.runner(t, part, 0).finish(l.last)
	for i := range s.plan.Outputs() {
		o := &s.plan.Outputs()[i]
		for n, span := range [][2]int64{{0, ts}, {ts + o.Reach + 1, always}} {
			if n == 1 && market.Kind(k) == market.KindInstrument && s.listed(i) {
				continue
			}
			compareRows(t, fmt.Sprintf("seed %d: without %s at %d: %s in [%d, %d)", seed, market.Kind(k), ts, o.Name, span[0], span[1]),
				ofView(got, o.Name, span[0], span[1]), ofView(want, o.Name, span[0], span[1]))
		}
	}
}

// from: a task that emits from a on gives the rows of one that emits all.
func (s *shipped) from(t *testing.T, seed uint64, l *tapeLog, want []string, r *rand.Rand) {
	a := l.last - r.Int64N(10*market.Minute)
	got := s.runner(t, l, a).finish(l.last)
	for i := range s.plan.Outputs() {
		o := &s.plan.Outputs()[i]
		compareRows(t, fmt.Sprintf("seed %d: from %d: %s", seed, a, o.Name), ofView(got, o.Name, 0, always), ofView(want, o.Name, a, always))
	}
}
