package run

import (
	"context"
	"errors"
	"fmt"
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

// lakeInputs finds the tables that are the input, nil when it is files.
func lakeInputs(cfg *Config, env *Env) ([]string, error) {
	tables := []string{}
	for _, in := range cfg.Inputs {
		if name, ok := strings.CutPrefix(in, LakePrefix); ok {
			tables = append(tables, name)
		}
	}
	switch {
	case len(tables) == 0:
		return nil, nil
	case len(tables) < len(cfg.Inputs):
		return nil, fault.Usage("input_mixed", "files and tables cannot be read together", "import the files first: tidemark lake import")
	case env.Lake == nil:
		return nil, fault.Usage("lake_missing", "no lake given", "name its folder: --lake DIR")
	case cfg.Strict || cfg.DLQ != "":
		return nil, fault.Usage("flag_useless", "rows of a lake are checked already: no record of it is rejected", "leave out --strict and --dlq")
	}
	return tables, nil
}

// lakeKind is one kind of events that is read from its table, in the total order.
type lakeKind struct {
	kind   market.Kind
	scan   *lake.Scan
	unpack *lakefile.Unpacker
	batch  *market.Batch
	mark   int64 // nothing more below it
	done   bool
	counts map[market.FeedID]*Counts
}

// openKinds begins the scans of the tables that the plan reads.
func (j *job) openKinds(ctx context.Context) ([]*lakeKind, error) {
	byTable := map[string]features.Input{}
	var known []string
	for _, in := range j.plan.Inputs() {
		if in.Kind != market.KindNone {
			byTable[lakesink.TableName(in.Kind)] = in
			known = append(known, lakesink.TableName(in.Kind))
		}
	}
	names := j.tables
	all := slices.Contains(names, "")
	if all {
		names = known
	}
	var kinds []*lakeKind
	for _, name := range names {
		in, ok := byTable[name]
		if !ok {
			return kinds, fault.Usage("input_unread", fmt.Sprintf("no view reads table %q", name), "the views read "+strings.Join(known, ", "))
		}
		tab, err := j.env.Lake.Load(ctx, name)
		if all && errors.Is(err, lake.ErrNoTable) {
			continue
		}
		if err != nil {
			return kinds, err
		}
		q := lake.Query{Columns: eventColumns(in)}
		if f := j.sel.from[in.Kind]; f != market.NoTime {
			q.From, q.To = max(f, market.MinEventTime), market.MaxEventTime
		}
		if j.sel.to != market.NoTime {
			q.From, q.To = max(q.From, market.MinEventTime), j.sel.to
		}
		k := &lakeKind{kind: in.Kind, batch: market.NewBatch(in.Kind), mark: market.NoTime, counts: map[market.FeedID]*Counts{}}
		if k.scan, err = tab.Scan(ctx, q); err != nil {
			return kinds, err
		}
		kinds = append(kinds, k)
		if k.unpack, err = lakefile.NewUnpacker(in.Kind, k.scan.Columns(), j.insts, j.feeds); err != nil {
			return kinds, fmt.Errorf("table %s: %w", name, err)
		}
	}
	if len(kinds) == 0 {
		return kinds, &fault.Error{Code: "no_table", Message: "the lake has none of the tables that the views read", Where: strings.Join(known, ", "), Exit: fault.ExitNoTable,
			Remedy: "tidemark lake tables lists what is there; tidemark lake import fills it"}
	}
	return kinds, nil
}

// eventColumns are the columns of an event table that the engine sees: the envelope, and
// of the payload what the views read. A book's rows are applied whole.
func eventColumns(in features.Input) []string {
	var names []string
	for _, c := range lakefile.Events(in.Kind, false) {
		field := strings.TrimSuffix(strings.TrimSuffix(c.Name, "_scale"), "_mantissa")
		payload := slices.ContainsFunc(market.Schema(in.Kind), func(f market.Field) bool { return f.Name == field })
		if c.Name == "event_id" || payload && in.Kind != market.KindBook && !slices.Contains(in.Columns, field) {
			continue
		}
		names = append(names, c.Name)
	}
	return names
}

// runLake computes the views over tables: their rows have been sequenced, so they go
// straight to the engine, the kinds side by side in time.
func (j *job) runLake(ctx context.Context) (*Report, error) {
	kinds, err := j.openKinds(ctx)
	for _, k := range kinds {
		defer k.scan.Close()
	}
	if err != nil {
		return nil, err
	}
	j.env.Meter.Pass.Store(1)
	var out sequence.Out
	for i := range out.Marks {
		out.Marks[i] = never // what is not read does not come
	}
	for _, k := range kinds {
		out.Marks[k.kind] = market.NoTime
	}
	last := market.NoTime
	for {
		var k *lakeKind // the one that is behind
		for _, c := range kinds {
			if !c.done && (k == nil || c.mark < k.mark) {
				k = c
			}
		}
		if k == nil {
			break
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		out.Reset()
		if err := k.next(&out, j.cfg.Corrected); err != nil {
			return nil, err
		}
		if k.mark != market.NoTime {
			last = max(last, k.mark)
		}
		j.env.Meter.Events.Add(int64(k.batch.N))
		j.env.Meter.Time.Store(max(last, 0))
		marks := out.Marks
		if err := j.step(&out, false); err != nil {
			return j.ended(err)
		}
		out.Marks = marks
	}
	if err := j.finish(last); err != nil {
		return j.ended(err)
	}
	return j.lakeReport(kinds)
}

// next reads the next rows of a kind. Late ones are left out unless corrected rows are asked for.
func (k *lakeKind) next(out *sequence.Out, corrected bool) error {
	b, err := k.scan.Next()
	if err != nil {
		return err
	}
	k.batch.Reset()
	if b == nil {
		k.done = true
		return nil
	}
	if err := k.unpack.Unpack(k.batch, b); err != nil {
		return fmt.Errorf("table %s: %w", lakesink.TableName(k.kind), err)
	}
	all := k.batch
	k.mark = all.TS[all.N-1]
	out.Marks[k.kind] = k.mark
	rows, late := out.Rows.BatchOf(k.kind, all.Fields), out.Late.BatchOf(k.kind, all.Fields)
	from := 0
	for i := range all.N {
		isLate := all.Flags[i]&market.FlagLate != 0
		if !madeBySequencer(all, i) {
			c := k.counts[all.Feed[i]]
			if c == nil {
				c = &Counts{}
				k.counts[all.Feed[i]] = c
			}
			c.In++
			if isLate {
				c.Late++
			} else {
				c.Applied++
			}
		}
		if isLate && !corrected {
			late.AppendRows(all, i, i+1)
			rows.AppendRows(all, from, i)
			from = i + 1
		}
	}
	rows.AppendRows(all, from, all.N)
	return nil
}

func (j *job) lakeReport(kinds []*lakeKind) (*Report, error) {
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

func (j *job) lakeNames(kinds []*lakeKind) []string {
	var names []string
	for _, k := range kinds {
		names = append(names, LakePrefix+lakesink.TableName(k.kind))
	}
	return names
}
