package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/lake"
	lakefile "github.com/pinova-group/tidemark/lake/file"
	lakesink "github.com/pinova-group/tidemark/lake/sink"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/sequence"
)

// LakePrefix begins an input that is a table: lake:processed.trade. The prefix alone is
// every table that the views read.
const LakePrefix = "lake:"

// LakeInputs finds the tables that are the input, nil when it is files.
func LakeInputs(inputs []string, l *lake.Lake) ([]string, error) {
	tables := []string{}
	for _, in := range inputs {
		if name, ok := strings.CutPrefix(in, LakePrefix); ok {
			tables = append(tables, name)
		}
	}
	switch {
	case len(tables) == 0:
		return nil, nil
	case len(tables) < len(inputs):
		return nil, fault.Usage("input_mixed", "files and tables cannot be read together", "import the files first: tidemark lake import")
	case l == nil:
		return nil, fault.Usage("lake_missing", "no lake given", "name its folder: --lake DIR")
	}
	return tables, nil
}

func (j *job) lakeInputs() ([]string, error) {
	tables, err := LakeInputs(j.cfg.Inputs, j.env.Lake)
	if tables != nil && (j.cfg.Strict || j.cfg.DLQ != "" || j.cfg.Map != nil) {
		return nil, fault.Usage("flag_useless", "rows of a lake are checked already: no record of it is rejected", "leave out --strict, --dlq and --map")
	}
	return tables, err
}

// TableQuery says which rows of event tables are wanted.
type TableQuery struct {
	Names     []string       // processed.trade …; "" is every table that the views read
	Plan      *features.Plan // nil: of no view, but every kind that Kinds has, with all columns
	Kinds     *market.Kinds  // without a plan; nil for the release's
	Insts     *market.Instruments
	Feeds     *market.Feeds
	From      [market.NumKinds]int64 // of each kind, market.NoTime for all
	To        int64                  // first instant after them, market.NoTime for all
	IDs       bool                   // with the identities of events
	Corrected bool                   // with the late rows, in their places

	At      map[string]*lake.Table // the tables as they were loaded, by name, and no others are read; nil: as they are now
	Symbols []string               // canonical; nil for all. Status rows, which may be of a whole feed, are read all the same
	Apart   []string               // columns of which each value is a history of its own, that need not be merged by time with others
	End     int64                  // mark of a kind after its last row, where that is later
	Memory  int64                  // of each scan, 0 for its default
	Workers int                    // of each scan, 0 for its default
}

// TableReader reads event tables as the sequencer gave their rows, the kinds side by side
// in time.
type TableReader struct {
	q     TableQuery
	kinds []*tableKind
	marks [market.NumKinds]int64
	last  int64 // newest row, market.NoTime before the first
}

// tableKind is one kind of events that is read from its table, in the total order.
type tableKind struct {
	kind   market.Kind
	name   string // of the table
	scan   *lake.Scan
	unpack *lakefile.Unpacker
	kept   *market.Batch // rows without the late ones
	mark   int64         // nothing more below it
	done   bool
	counts map[market.FeedID]*Counts
}

// OpenTables begins the scans of the tables that a plan reads.
func OpenTables(ctx context.Context, l *lake.Lake, q TableQuery) (*TableReader, error) {
	r := &TableReader{q: q, last: market.NoTime}
	for i := range r.marks {
		r.marks[i] = never // what is not read does not come
	}
	if err := r.open(ctx, l); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

func (r *TableReader) open(ctx context.Context, l *lake.Lake) error {
	byTable := map[string]features.Input{}
	var known []string
	kinds, inputs, readers := r.q.inputs()
	for _, in := range inputs {
		if in.Kind != market.KindNone {
			byTable[lakesink.TableName(kinds, in.Kind)] = in
			known = append(known, lakesink.TableName(kinds, in.Kind))
		}
	}
	names := r.q.Names
	all := slices.Contains(names, "")
	if all {
		names = known
	}
	for _, name := range names {
		in, ok := byTable[name]
		if !ok {
			return fault.Usage("input_unread", fmt.Sprintf("%s table %q", readers[0], name), readers[1]+" "+strings.Join(known, ", "))
		}
		tab := r.q.At[name]
		if tab == nil {
			if all && r.q.At != nil {
				continue
			}
			var err error
			tab, err = l.Load(ctx, name)
			if all && errors.Is(err, lake.ErrNoTable) {
				continue
			}
			if err != nil {
				return err
			}
		}
		if err := lakesink.CheckKind(tab, kinds, in.Kind); err != nil {
			return err
		}
		have, err := tab.Columns()
		if err != nil {
			return err
		}
		q := lake.Query{Columns: eventColumns(in, kinds, have, r.q.IDs), Apart: r.q.Apart, Memory: r.q.Memory, Workers: r.q.Workers}
		if r.q.Symbols != nil && in.Kind != market.KindStatus {
			q.Where = map[string][]string{"symbol": r.q.Symbols}
		}
		if f := r.q.From[in.Kind]; f != market.NoTime {
			q.From, q.To = max(f, market.MinEventTime), market.MaxEventTime
		}
		if r.q.To != market.NoTime {
			q.From, q.To = max(q.From, market.MinEventTime), r.q.To
		}
		k := &tableKind{kind: in.Kind, name: name, kept: kinds.NewBatch(in.Kind), mark: market.NoTime, counts: map[market.FeedID]*Counts{}}
		if k.scan, err = tab.Scan(ctx, q); err != nil {
			return err
		}
		r.kinds = append(r.kinds, k)
		r.marks[k.kind] = market.NoTime
		if k.unpack, err = lakefile.NewUnpacker(kinds, in.Kind, k.scan.Columns(), r.q.Insts, r.q.Feeds); err != nil {
			return fmt.Errorf("table %s: %w", name, err)
		}
	}
	if len(r.kinds) == 0 {
		return &fault.Error{Code: "no_table", Message: readers[2], Where: strings.Join(known, ", "), Exit: fault.ExitNoTable,
			Remedy: "tidemark lake tables lists what is there; tidemark lake import fills it"}
	}
	return nil
}

// inputs are the kinds that may be read, and how to say that others are not.
func (q *TableQuery) inputs() (kinds *market.Kinds, inputs []features.Input, words [3]string) {
	if q.Plan != nil {
		return q.Plan.Kinds(), q.Plan.Inputs(), [3]string{"no view reads", "the views read", "the lake has none of the tables that the views read"}
	}
	for k := range market.Kind(market.NumKinds) {
		if q.Kinds.Fields(k) == nil || k == market.KindWatermark {
			continue
		}
		in := features.Input{Kind: k, Name: q.Kinds.Name(k)}
		for _, f := range q.Kinds.Fields(k) {
			in.Columns = append(in.Columns, f.Name)
		}
		inputs = append(inputs, in)
	}
	return q.Kinds, inputs, [3]string{"no events are in", "events are in", "the lake has no tables of events"}
}

// Close ends the scans.
func (r *TableReader) Close() {
	for _, k := range r.kinds {
		if k.scan != nil {
			k.scan.Close()
		}
	}
}

// BytesRead counts the bytes that were asked of storage so far. Safe for concurrent use.
func (r *TableReader) BytesRead() (n int64) {
	for _, k := range r.kinds {
		n += k.scan.BytesRead()
	}
	return n
}

// note says of which tables, at which snapshots, rows are made, as publications have it.
func (r *TableReader) note(corrected bool) (string, error) {
	type input struct {
		Table    string `json:"table"`
		Snapshot int64  `json:"snapshot_id"`
	}
	n := struct {
		As     string  `json:"as"`
		Inputs []input `json:"inputs"`
	}{As: "served"}
	if corrected {
		n.As = "corrected"
	}
	for _, k := range r.kinds {
		n.Inputs = append(n.Inputs, input{k.name, k.scan.Plan().Snapshot})
	}
	b, err := json.Marshal(n)
	return string(b), err
}

// Last is the time of the newest row that was read, market.NoTime before the first.
func (r *TableReader) Last() int64 { return r.last }

// Next reads the next rows, of the kind that is behind, and the marks with them. It returns
// how many there are, and io.EOF after the last. The rows are good until the next call; of them the caller changes
// flags alone.
func (r *TableReader) Next(ctx context.Context, out *sequence.Out) (int, error) {
	var k *tableKind
	for _, c := range r.kinds {
		if !c.done && (k == nil || c.mark < k.mark) {
			k = c
		}
	}
	out.Reset()
	if k == nil {
		return 0, io.EOF
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	n, last, err := k.next(out, r.q.Corrected)
	if err != nil {
		return 0, err
	}
	r.last = max(r.last, last)
	if k.done {
		k.mark = max(k.mark, r.q.End)
	}
	r.marks[k.kind] = k.mark
	out.Marks = r.marks
	return n, nil
}

// eventColumns are the columns of an event table that the engine sees: the envelope, and
// of the payload what the views read. A book's rows are applied whole. A column that a kind got
// after its table was made is not there, and null.
func eventColumns(in features.Input, kinds *market.Kinds, have []lakefile.Column, ids bool) []string {
	var names []string
	for _, c := range lakefile.Events(kinds, in.Kind, false) {
		field := strings.TrimSuffix(strings.TrimSuffix(c.Name, "_scale"), "_mantissa")
		payload := slices.ContainsFunc(kinds.Fields(in.Kind), func(f market.Field) bool { return f.Name == field })
		read := true
		switch {
		case payload:
			read = in.Kind == market.KindBook || slices.Contains(in.Columns, field)
		case c.Name == "event_id":
			read = ids
		case c.Name == "event_ts":
			read = ids || in.EventTS
		case c.Name == "seq" || c.Name == "epoch": // the engine keeps the order in which rows come
			read = ids || in.Seq || in.Kind == market.KindBook
		case c.Name == "raw_bytes": // tells rows that the sequencer made, which are of these kinds
			read = ids || in.Kind == market.KindBook || in.Kind == market.KindStatus
		}
		if !read {
			continue
		}
		if kinds.Definition(in.Kind) != nil && !slices.ContainsFunc(have, func(h lakefile.Column) bool { return h.Name == c.Name }) {
			continue
		}
		names = append(names, c.Name)
	}
	return names
}

// runLake computes the views over tables: their rows have been sequenced, so they go
// straight to the engine.
func (j *job) runLake(ctx context.Context) (*Report, error) {
	r, err := OpenTables(ctx, j.env.Lake, TableQuery{Names: j.tables, Plan: j.plan, Insts: j.insts, Feeds: j.feeds, From: j.sel.from, To: j.sel.to, Apart: j.plan.Apart(), Corrected: j.cfg.Corrected})
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if j.files.lake != nil {
		if j.files.lake.inputs, err = r.note(j.cfg.Corrected); err != nil {
			return nil, err
		}
	}
	j.env.Meter.Pass.Store(1)
	var out sequence.Out
	for {
		n, err := r.Next(ctx, &out)
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		j.env.Meter.Events.Add(int64(n))
		j.env.Meter.Time.Store(max(r.last, 0))
		if err := j.step(&out, false); err != nil {
			return j.ended(err)
		}
	}
	if err := j.finish(r.last); err != nil {
		return j.ended(err)
	}
	return j.lakeReport(r.kinds)
}

// next reads the next rows of a kind, and says how many and of which time the last one is. Late ones are left out unless
// corrected rows are asked for.
func (k *tableKind) next(out *sequence.Out, corrected bool) (n int, last int64, err error) {
	b, err := k.scan.Next()
	if err != nil {
		return 0, market.NoTime, err
	}
	if b == nil {
		k.done = true
		return 0, market.NoTime, nil
	}
	all, err := k.unpack.Unpack(b)
	if err != nil {
		return 0, market.NoTime, fmt.Errorf("table %s: %w", k.name, err)
	}
	k.mark = k.scan.Through()
	k.count(all)
	n, last = all.N, slices.Max(all.TS) // rows of several histories may be in it
	if out.Rows.Batches[k.kind] = all; all.AnyFlags()&market.FlagLate == 0 || corrected {
		return n, last, nil
	}
	left, rows, from := out.Late.BatchOf(k.kind, all.Fields), k.kept, 0
	rows.Reset()
	for i := range n {
		if all.Flags[i]&market.FlagLate != 0 {
			left.AppendRows(all, i, i+1)
			rows.AppendRows(all, from, i)
			from = i + 1
		}
	}
	rows.AppendRows(all, from, n)
	out.Rows.Batches[k.kind] = rows
	return n, last, nil
}

// count enters rows into the account of their feeds.
func (k *tableKind) count(all *market.Batch) {
	of := func(f market.FeedID) *Counts {
		if k.counts[f] == nil {
			k.counts[f] = &Counts{}
		}
		return k.counts[f]
	}
	if c := of(all.Feed[0]); all.OneFeed() && all.AnyFlags()&market.FlagLate == 0 && k.kind != market.KindStatus && k.kind != market.KindBook {
		c.In, c.Applied = c.In+int64(all.N), c.Applied+int64(all.N)
		return
	}
	var c *Counts
	for i := range all.N {
		if i == 0 || all.Feed[i] != all.Feed[i-1] {
			c = of(all.Feed[i])
		}
		switch {
		case MadeBySequencer(all, i):
			continue
		case all.Flags[i]&market.FlagLate != 0:
			c.Late++
		default:
			c.Applied++
		}
		c.In++
	}
}

func (j *job) lakeReport(kinds []*tableKind) (*Report, error) {
	st := &Stats{Rows: map[string]int64{}, ByFeed: map[string]*Counts{}}
	for _, k := range kinds {
		for id, c := range k.counts {
			name := j.feeds.Get(id).Name
			if st.ByFeed[name] == nil {
				st.ByFeed[name] = &Counts{}
			}
			st.ByFeed[name].Add(c)
		}
	}
	for id, n := range j.sel.counts {
		c := st.ByFeed[j.feeds.Get(id).Name]
		c.Applied -= n.applied
		c.Late -= n.late
		c.Filtered += n.applied + n.late
	}
	for name, c := range st.ByFeed {
		st.Add(c)
		if !c.Balanced() {
			return nil, fmt.Errorf("BUG: the account of feed %q does not balance: %+v", name, *c)
		}
	}
	for i, o := range j.plan.Outputs() {
		st.Rows[o.Name] += j.counts[i]
	}
	for _, m := range j.sel.missed() {
		j.env.Warn(m)
	}
	if err := j.files.commit(st); err != nil {
		return nil, err
	}
	return &Report{
		Stats: st, View: j.plan.Outputs()[j.view], Written: j.sink.written, Output: j.cfg.Output, Tables: j.lakeNames(kinds), Alerts: j.alerts.counts, Published: j.published,
	}, nil
}

func (j *job) lakeNames(kinds []*tableKind) []string {
	var names []string
	for _, k := range kinds {
		names = append(names, LakePrefix+k.name)
	}
	return names
}
