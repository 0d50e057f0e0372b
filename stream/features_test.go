package stream_test

import (
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/ingest/gen"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run"
	"github.com/pinova-group/tidemark/sequence"
	"github.com/pinova-group/tidemark/specs"
	"github.com/pinova-group/tidemark/stream"
)

// smallBars are sizes that the short logs fill.
var smallBars = map[string]string{
	"tick_bars.size": "7", "volume_bars.size": "1.5", "dollar_bars.size": "300", "volume_imbalance_bars.size": "0.8", "vpin_buckets.size": "4",
	"btc_clock.n": "0.004", "alts_per_btc.n": "0.002",
}

func compileShipped(t *testing.T, feeds *market.Feeds) *features.Plan {
	t.Helper()
	plan, err := features.CompileSet(shippedSet(t), features.Options{Feeds: feeds, Find: specs.Find})
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

func shippedSet(t *testing.T) *lang.Set {
	t.Helper()
	set, _, err := run.Check(specs.Names(), smallBars)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// entry is what one transaction of the sequence job puts into a partition.
type entry struct {
	offset, next int64
	rows         market.Chunk
	marks        [market.NumKinds]int64
}

// partitionLog is the sequenced log of one partition.
type partitionLog struct {
	stream.Partition
	entries []*entry
	seq     *sequence.Sequencer
	in      market.Chunk
	raw     []*market.Batch // rows as they came, one in each
}

// market of a few venues, each kind of a venue in two partitions with a sequencer each.
type sequencedLog struct {
	insts *market.Instruments
	parts []*partitionLog
	final [market.NumKinds]int64 // complete below
}

func newLog(t *testing.T, r *rand.Rand, feeds *market.Feeds, plan *features.Plan) *sequencedLog {
	t.Helper()
	l := &sequencedLog{insts: market.NewInstruments()}
	cfg := gen.DefaultConfig()
	cfg.Seed, cfg.Events = r.Uint64(), 100+r.Int64N(300)
	cfg.Rate = []int64{5, 40, 400}[r.IntN(3)]
	cfg.Symbols, cfg.Venues = gen.Symbols(1+r.IntN(5)), cfg.Venues[:1+r.IntN(3)]
	cfg.Duplicates, cfg.Late, cfg.Gaps = 10_000, 5_000*r.IntN(2), 10_000*r.IntN(2)
	cfg.SnapshotEvery, cfg.Depth, cfg.Heartbeat = 20*market.Second, 4+r.IntN(8), 0
	cfg.Rows = 1 + r.IntN(60)
	m, err := gen.New(cfg, feeds, l.insts)
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]*partitionLog{}
	var chunk market.Chunk
	for more := true; more; {
		chunk.Reset()
		more = m.Next(&chunk)
		for k, b := range chunk.Batches {
			for i := 0; b != nil && i < b.N; i++ {
				l.route(t, byName, feeds, market.Kind(k), b, i)
			}
		}
		for _, p := range l.parts {
			if r.IntN(3) == 0 {
				p.write(t, r)
			}
		}
	}
	for _, p := range l.parts {
		p.write(t, r)
	}
	l.finish(plan)
	return l
}

// route puts a row into the partition that it belongs to.
func (l *sequencedLog) route(t *testing.T, byName map[string]*partitionLog, feeds *market.Feeds, k market.Kind, b *market.Batch, i int) {
	if k == market.KindStatus || k == market.KindWatermark {
		return
	}
	inst := l.insts.Get(b.Inst[i])
	h := fnv.New32a()
	h.Write([]byte(inst.Base))
	name := fmt.Sprintf("%s.%s.%s/%d", inst.Venue, k, inst.Exchange, h.Sum32()%2)
	p := byName[name]
	if p == nil {
		p = &partitionLog{Partition: stream.Partition{Name: name, Kinds: []market.Kind{k, market.KindStatus}}}
		var err error
		if p.seq, err = sequence.New(sequence.DefaultConfig(feeds, l.insts)); err != nil {
			t.Fatal(err)
		}
		byName[name] = p
		l.parts = append(l.parts, p)
	}
	p.in.Batch(k).AppendRows(b, i, i+1)
	one := market.NewBatch(k)
	one.AppendRows(b, i, i+1)
	p.raw = append(p.raw, one)
}

// write sequences what came and appends it as an entry; some offsets are left out.
func (p *partitionLog) write(t *testing.T, r *rand.Rand) {
	t.Helper()
	var out sequence.Out
	if err := p.seq.Push(&p.in); err != nil {
		t.Fatal(err)
	}
	p.in.Reset()
	p.seq.Advance(&out)
	e := &entry{rows: out.Rows, marks: out.Marks}
	if n := len(p.entries); n > 0 {
		e.offset = p.entries[n-1].next + r.Int64N(2)
	}
	e.next = e.offset + int64(out.Rows.Len()) + 1
	p.entries = append(p.entries, e)
}

// finish finds how far each kind is complete, and adds a partition for the others.
func (l *sequencedLog) finish(plan *features.Plan) {
	for k := range l.final {
		l.final[k] = math.MaxInt64
	}
	for _, p := range l.parts {
		for _, k := range p.Kinds {
			l.final[k] = min(l.final[k], p.entries[len(p.entries)-1].marks[k])
		}
	}
	least := slices.Min(l.final[:])
	for k := range l.final {
		if l.final[k] == math.MaxInt64 {
			l.final[k] = least
		}
	}
	for _, p := range l.parts {
		for _, e := range p.entries {
			for k := range e.marks {
				e.marks[k] = min(e.marks[k], l.final[k]) // so that each cut into tasks ends at the same place
			}
		}
	}
	l.addRest(plan)
}

// addRest adds a partition with the kinds that nobody carries, complete as far as any.
func (l *sequencedLog) addRest(plan *features.Plan) {
	rest := &partitionLog{Partition: stream.Partition{Name: "rest"}}
	e := &entry{next: 1}
	for _, in := range plan.Inputs() {
		if !slices.ContainsFunc(l.parts, func(p *partitionLog) bool { return slices.Contains(p.Kinds, in.Kind) }) {
			rest.Kinds = append(rest.Kinds, in.Kind)
		}
	}
	for k := range e.marks {
		e.marks[k] = l.final[k]
	}
	rest.entries = []*entry{e}
	l.parts = append(l.parts, rest)
}

func (l *sequencedLog) partitions() []stream.Partition {
	var ps []stream.Partition
	for _, p := range l.parts {
		ps = append(ps, p.Partition)
	}
	return ps
}

// plain is what an engine gives that gets all rows of each kind at once, sorted.
func (l *sequencedLog) plain(t *testing.T, plan *features.Plan) []string {
	t.Helper()
	task := plan.NewTask(l.insts, market.NoTime)
	marks := l.final
	for _, in := range plan.Inputs() {
		if sorted := l.sorted(in.Kind, l.final[in.Kind]); sorted.N > 0 {
			if err := task.Push(sorted); err != nil {
				t.Fatal(err)
			}
		}
	}
	for k := range marks {
		if !slices.ContainsFunc(plan.Inputs(), func(in features.Input) bool { return int(in.Kind) == k }) {
			marks[k] = market.NoTime
		}
	}
	var rows features.Rows
	if err := task.Advance(&marks, &rows); err != nil {
		t.Fatal(err)
	}
	out := printRows(nil, plan, task.EntityNames, &rows)
	slices.Sort(out)
	return out
}

// sorted are the rows of a kind before a time in the total order.
func (l *sequencedLog) sorted(k market.Kind, below int64) *market.Batch {
	all, numbers := market.NewBatch(k), l.insts.Numbers()
	for _, p := range l.parts {
		for _, e := range p.entries {
			if b := e.rows.Batches[k]; b != nil {
				for i := range b.N {
					if b.TS[i] < below {
						all.AppendRows(b, i, i+1)
					}
				}
			}
		}
	}
	order := make([]int, all.N)
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(x, y int) int { return all.Key(x, numbers).Compare(all.Key(y, numbers)) })
	sorted := market.NewBatch(k)
	for _, i := range order {
		sorted.AppendRows(all, i, i+1)
	}
	return sorted
}

// A task that recalls what lies before some time, and reads partitions from anywhere before the first row of that time on, gives the
// rows of one that has read all.
func TestFeatures_RecallsThePast(t *testing.T) {
	for i := range 60 {
		seed := rand.Uint64()
		r := rand.New(rand.NewPCG(seed, 3))
		feeds := market.NewFeeds()
		plan := compileShipped(t, feeds)
		l := newLog(t, r, feeds, plan)
		var want []string
		var times []int64
		for _, row := range l.plain(t, plan) {
			if !strings.Contains(row, " alert ") {
				want, times = append(want, row), append(times, rowTS(t, row))
			}
		}
		if len(times) == 0 {
			continue
		}
		from := times[r.IntN(len(times))] + r.Int64N(2)
		since := from - r.Int64N(3*market.Second)
		want = slices.DeleteFunc(want, func(row string) bool { return rowTS(t, row) < from })
		f, err := stream.NewFeatures(plan, l.insts, l.partitions(), from)
		if err != nil {
			t.Fatal(err)
		}
		var past market.Chunk
		marks := l.final
		for _, in := range plan.Inputs() {
			past.Batches[in.Kind] = l.sorted(in.Kind, since)
		}
		if err := f.Recall(&past, &marks, since); err != nil {
			t.Fatal(err)
		}
		at := make([]int, len(l.parts))
		for p, part := range l.parts {
			first := slices.IndexFunc(part.entries, func(e *entry) bool {
				return slices.ContainsFunc(e.rows.Batches[:], func(b *market.Batch) bool { return b != nil && b.N > 0 && b.TS[b.N-1] >= since })
			})
			if at[p] = r.IntN(max(first, 0) + 1); part.Name == "rest" {
				at[p] = 0
			}
		}
		var got []string
		var rows features.Rows
		for left := true; left; {
			left = false
			for p, part := range l.parts {
				for at[p] < len(part.entries) && r.IntN(2) == 0 {
					e := part.entries[at[p]]
					if err := f.Add(p, e.offset, e.next, &e.rows); err != nil {
						t.Fatalf("seed %d: %v", seed, err)
					}
					for k, m := range e.marks {
						f.Mark(p, market.Kind(k), m)
					}
					at[p]++
				}
				left = left || at[p] < len(part.entries)
			}
			rows.Reset()
			if err := f.Step(&rows); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			got = printRows(got, plan, f.EntityNames, &rows)
		}
		got = slices.DeleteFunc(got, func(row string) bool { return strings.Contains(row, " alert ") })
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" && len(want)+len(got) > 0 {
			t.Fatalf("case %d, seed %d: rows (-engine +recalled)\n%.3000s", i, seed, diff)
		}
	}
}

// printRows prints rows with every bit of them.
func printRows(out []string, plan *features.Plan, names func(int, uint32) []string, rows *features.Rows) []string {
	for i := range rows.Views {
		v := &rows.Views[i]
		o := plan.Outputs()[i]
		for j := range v.Len() {
			var s strings.Builder
			fmt.Fprintf(&s, "%s %q %d %d %d %d %d", o.Name, names(i, v.Entity[j]), v.Start[j], v.End[j], v.RowTS[j], v.Avail[j], v.Flags[j])
			for f := range v.Features {
				c := &v.Features[f]
				switch {
				case c.IsNull(j):
					s.WriteString(" null")
				case o.Fields[f].Type == features.FieldF64:
					fmt.Fprintf(&s, " %x", math.Float64bits(c.F64[j]))
				case o.Fields[f].Type == features.FieldText:
					fmt.Fprintf(&s, " %q", c.Bytes[c.Off[j]:c.Off[j+1]])
				case o.Fields[f].Type == features.FieldDecimal:
					fmt.Fprintf(&s, " %d,%d", c.Hi[j], c.Lo[j])
				default:
					fmt.Fprintf(&s, " %d", c.I64[j])
				}
			}
			out = append(out, s.String())
		}
		for _, a := range v.Alerts {
			out = append(out, fmt.Sprintf("%s alert %d %q %v %d %d %d", o.Name, a.Alert, names(i, a.Entity), a.Firing, a.Since, a.RowTS, a.Avail))
		}
	}
	return out
}

// driver reads partitions as they happen to come, is killed now and then, and goes on from
// the last snapshot with its output dropped up to where the output was written.
type driver struct {
	t     *testing.T
	r     *rand.Rand
	log   *sequencedLog
	plan  *features.Plan
	task  *features.Rows
	f     *stream.Features
	at    []int // entries of each partition read
	snap  []byte
	heads []int // entries read when output was last written
	done  int64 // rows below it were handed on whole, as the step before said
	out   []string
}

func (d *driver) read(p int) {
	e := d.log.parts[p].entries[d.at[p]]
	if err := d.f.Add(p, e.offset, e.next, &e.rows); err != nil {
		d.t.Fatal(err)
	}
	for k, m := range e.marks {
		d.f.Mark(p, market.Kind(k), m)
	}
	d.at[p]++
}

func (d *driver) step(keep bool) {
	d.task.Reset()
	if err := d.f.Step(d.task); err != nil {
		d.t.Fatal(err)
	}
	if keep {
		for i, v := range d.task.Views {
			if len(v.RowTS) > 0 && slices.Min(v.RowTS) < d.done {
				d.t.Errorf("a row of %s at %d, after rows below %d were complete", d.plan.Outputs()[i].Name, slices.Min(v.RowTS), d.done)
			}
		}
		if c := max(0, d.f.Whole()); c < d.done {
			d.t.Errorf("complete below %d, then below %d", d.done, c)
		} else {
			d.done = c
		}
		d.out = printRows(d.out, d.plan, d.f.EntityNames, d.task)
		copy(d.heads, d.at)
	}
}

// recover is the one recovery rule: snapshot, replay to the heads with the output dropped.
func (d *driver) recover() {
	parts := d.log.partitions()
	f, err := stream.RestoreFeatures(d.plan, d.log.insts, parts, d.snap)
	if err != nil {
		d.t.Fatal(err)
	}
	d.f = f
	for p, part := range d.log.parts {
		d.at[p] = 0
		for d.at[p] < len(part.entries) && part.entries[d.at[p]].offset < f.Next(p) {
			d.at[p]++
		}
	}
	for {
		var left []int
		for p := range d.log.parts {
			if d.at[p] < d.heads[p] {
				left = append(left, p)
			}
		}
		if len(left) == 0 {
			break
		}
		d.read(left[d.r.IntN(len(left))])
		if d.r.IntN(4) == 0 {
			d.step(false)
		}
	}
	d.step(false)
}

func (d *driver) run() []string {
	d.at, d.heads = make([]int, len(d.log.parts)), make([]int, len(d.log.parts))
	d.task = &features.Rows{}
	var err error
	if d.f, err = stream.NewFeatures(d.plan, d.log.insts, d.log.partitions(), market.NoTime); err != nil {
		d.t.Fatal(err)
	}
	d.snap = d.f.AppendSnapshot(nil)
	for {
		var left []int
		for p, part := range d.log.parts {
			if d.at[p] < len(part.entries) {
				left = append(left, p)
			}
		}
		if len(left) == 0 {
			break
		}
		d.read(left[d.r.IntN(len(left))])
		switch d.r.IntN(8) {
		case 0, 1, 2:
			d.step(true)
		case 3:
			d.step(true)
			d.snap = d.f.AppendSnapshot(nil)
		case 4:
			if d.r.IntN(4) == 0 {
				d.recover()
			}
		}
	}
	d.step(true)
	slices.Sort(d.out)
	return d.out
}

// eachLog runs a test over random logs and what an engine gives for each at once.
func eachLog(t *testing.T, cases int, feeds *market.Feeds, plan *features.Plan, test func(r *rand.Rand, l *sequencedLog, want []string)) {
	if testing.Short() {
		cases /= 6
	}
	total := 0
	for seed := range cases {
		r := rand.New(rand.NewPCG(uint64(seed), 7))
		l := newLog(t, r, feeds, plan)
		want := l.plain(t, plan)
		total += len(want)
		if test(r, l, want); t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	if total < 100*cases {
		t.Errorf("only %d rows in %d cases", total, cases)
	}
}

// I1: rows are a function of how far the partitions were read.
func TestFeatures_RowsDoNotDependOnArrivalOrRestarts(t *testing.T) {
	feeds := market.NewFeeds()
	plan := compileShipped(t, feeds)
	eachLog(t, 60, feeds, plan, func(r *rand.Rand, l *sequencedLog, want []string) {
		d := &driver{t: t, r: r, log: l, plan: plan}
		if diff := cmp.Diff(want, d.run()); diff != "" {
			t.Errorf("rows (-at once +as a stream)\n%s", diff)
		}
	})
}

func smallPlan(t *testing.T) *features.Plan {
	t.Helper()
	plan, _, err := run.Compile([]string{"trade_bars_1m"}, nil, market.NewFeeds())
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

func smallTask(t *testing.T, parts ...stream.Partition) (*stream.Features, *features.Plan, *market.Instruments) {
	t.Helper()
	plan := smallPlan(t)
	insts := market.NewInstruments()
	f, err := stream.NewFeatures(plan, insts, parts, market.NoTime)
	if err != nil {
		t.Fatal(err)
	}
	return f, plan, insts
}

var trades = []market.Kind{market.KindTrade}

func trade(insts *market.Instruments, ts int64) *market.Chunk {
	c := &market.Chunk{}
	b := c.Batch(market.KindTrade)
	b.AppendEnvelope(&market.Envelope{Feed: 1, Inst: insts.Intern("kraken", market.Spot, "BTC-USD"), EventTS: ts, IngestTS: ts})
	b.TS[0] = ts
	b.Cols[market.TradeVenueID].AppendText([]byte("1"))
	b.Cols[market.TradeSide].AppendInt(market.SideBuy)
	b.Cols[market.TradePrice].AppendDec(100, 0)
	b.Cols[market.TradeQuantity].AppendDec(1, 0)
	b.Cols[market.TradePrints].AppendInt(1)
	return c
}

const noon = 1_700_000_000 * market.Second

func TestFeatures_RefusesWhatASequencerDoesNotWrite(t *testing.T) {
	f, _, insts := smallTask(t, stream.Partition{Name: "a", Kinds: trades})
	f.Mark(0, market.KindTrade, noon)
	if err := f.Add(0, 5, 6, trade(insts, noon-1)); !errors.Is(err, stream.ErrBehind) {
		t.Errorf("a row behind the mark: %v", err)
	}
	if err := f.Add(0, 5, 6, trade(insts, noon)); err != nil {
		t.Fatal(err)
	}
	if err := f.Add(0, 5, 6, trade(insts, noon)); !errors.Is(err, stream.ErrOffset) {
		t.Errorf("an offset given twice: %v", err)
	}
	if err := f.Add(0, 8, 9, trade(insts, noon)); err != nil {
		t.Errorf("a gap in the offsets: %v", err)
	}
}

func TestNewFeatures_RefusesAKindThatNobodyCarries(t *testing.T) {
	_, err := stream.NewFeatures(smallPlan(t), market.NewInstruments(), []stream.Partition{{Name: "q", Kinds: []market.Kind{market.KindQuote}}}, market.NoTime)
	if err == nil || !strings.Contains(err.Error(), "views read trade, which no partition carries") {
		t.Errorf("error %v", err)
	}
}

func TestRestoreFeatures_RefusesDamageAndOtherPartitions(t *testing.T) {
	parts := []stream.Partition{{Name: "a", Kinds: trades}, {Name: "b", Kinds: trades}}
	f, plan, insts := smallTask(t, parts...)
	if err := f.Add(0, 3, 4, trade(insts, noon)); err != nil {
		t.Fatal(err)
	}
	f.Mark(0, market.KindTrade, noon+1)
	snap := f.AppendSnapshot(nil)
	swapped := []stream.Partition{parts[1], parts[0]}
	g, err := stream.RestoreFeatures(plan, insts, swapped, snap)
	if err != nil {
		t.Fatal(err)
	}
	if g.Next(1) != 3 || g.Next(0) != 0 {
		t.Errorf("partitions go on at %d and %d", g.Next(0), g.Next(1))
	}
	if _, err := stream.RestoreFeatures(plan, insts, parts[:1], snap); !errors.Is(err, stream.ErrPartitions) {
		t.Errorf("one partition of two: %v", err)
	}
	other := []stream.Partition{parts[0], {Name: "c", Kinds: trades}}
	if _, err := stream.RestoreFeatures(plan, insts, other, snap); !errors.Is(err, stream.ErrPartitions) {
		t.Errorf("another partition: %v", err)
	}
	for i := range snap {
		bad := slices.Clone(snap)
		bad[i] ^= 1
		if _, err := stream.RestoreFeatures(plan, insts, parts, bad); err == nil {
			t.Errorf("byte %d is wrong, and nobody sees it", i)
		}
		if _, err := stream.RestoreFeatures(plan, insts, parts, snap[:i]); err == nil {
			t.Errorf("cut to %d bytes, and nobody sees it", i)
		}
	}
}

// Of partitions that are read as far as they go while nothing of the others comes, some are
// ahead; those that hold them up are not.
func TestFeatures_PartitionsAheadWait(t *testing.T) {
	f, _, insts := smallTask(t, stream.Partition{Name: "a", Kinds: trades}, stream.Partition{Name: "b", Kinds: trades})
	for i := range int64(10) {
		if err := f.Add(0, i, i+1, trade(insts, (1_700_000_000+i)*market.Second)); err != nil {
			t.Fatal(err)
		}
	}
	var out features.Rows
	step := func(waiting int, a, b bool) {
		t.Helper()
		if err := f.Step(&out); err != nil {
			t.Fatal(err)
		}
		if n, x, y := f.Waiting(), f.Ahead(0), f.Ahead(1); n != waiting || x != a || y != b {
			t.Errorf("%d rows wait, ahead %v %v; want %d, %v %v", n, x, y, waiting, a, b)
		}
	}
	step(10, false, false) // neither has said how far it is
	f.Mark(0, market.KindTrade, 1_700_000_010*market.Second)
	step(10, true, false)
	f.Mark(1, market.KindTrade, 1_700_000_004*market.Second)
	step(6, true, false)
	f.Mark(1, market.KindTrade, 1_700_000_010*market.Second)
	step(0, false, false)
}

// Views whose kinds go on all the time say all the time up to when they are complete; of the
// others the rare kinds hold that back, and the check of each step sees little.
func TestFeatures_NoRowComesBelowWhatIsComplete(t *testing.T) {
	feeds := market.NewFeeds()
	busy := []market.Kind{market.KindTrade, market.KindQuote, market.KindBook}
	var src []features.Source
	for _, name := range specs.Names() {
		text, _ := specs.Find(name)
		one := features.Source{Name: name, Text: text}
		plan, err := features.Compile([]features.Source{one}, features.Options{Feeds: feeds, Find: specs.Find})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(plan.Inputs(), func(in features.Input) bool { return !slices.Contains(busy, in.Kind) }) {
			src = append(src, one)
		}
	}
	plan, err := features.Compile(src, features.Options{Feeds: feeds, Find: specs.Find})
	if err != nil || len(src) < 20 {
		t.Fatalf("%d views: %v", len(src), err)
	}
	said := 0
	eachLog(t, 30, feeds, plan, func(r *rand.Rand, l *sequencedLog, _ []string) {
		d := &driver{t: t, r: r, log: l, plan: plan}
		d.run()
		if d.done > 0 {
			said++
		}
	})
	if said < 5 {
		t.Errorf("only %d logs were complete up to some time", said)
	}
}
