package sink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/lake"
	"github.com/pinova-group/tidemark/lake/file"
	lakesink "github.com/pinova-group/tidemark/lake/sink"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run"
	"github.com/pinova-group/tidemark/stream/record"
	"github.com/pinova-group/tidemark/stream/topic"
)

// TablesOf lists the tables that topics have rows of.
func TablesOf(topics []string, kinds *market.Kinds) ([]string, error) {
	var names []string
	for _, t := range topics {
		name, err := topic.Parse(t)
		if err != nil {
			return nil, err
		}
		switch name.Class {
		case topic.Processed, topic.Late:
			k, ok := topic.ParseKindWord(kinds, name.Kind)
			if !ok {
				return nil, fmt.Errorf("topic %s: kind %s is not known", t, name.Kind)
			}
			names = append(names, lakesink.TableName(kinds, k), lakesink.TableName(kinds, market.KindStatus))
		case topic.Feature:
			names = append(names, run.FeatureTable(&features.Output{Name: name.View, Version: name.Version}))
		case topic.Alert:
			names = append(names, run.FeatureTable(&features.Output{Name: name.View + features.AlertSuffix, Version: name.Version}))
		case topic.Ledger:
			names = append(names, lake.LedgerTable)
		case topic.Raw, topic.DLQ:
			return nil, fmt.Errorf("topic %s: a sink takes processed, late, feature, alert and ledger topics", t)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// featureGrain is the partition of the tables of views that a sink makes: it does not know how much a day will be.
const featureGrain = "day"

// plan says which topics are read for which tables.
func (r *reading) plan() error {
	byName := map[string]*table{}
	r.dec = &events{s: r.Sink, insts: market.NewInstruments()}
	r.dec.dec = record.NewEventDecoder(r.Schemas, r.Feeds, r.dec.insts)
	get := func(name string, make func() *table) *table {
		if r.Tables != nil && !slices.Contains(r.Tables, name) {
			return nil
		}
		if byName[name] == nil {
			t := make()
			t.name, t.metrics = name, r.Metrics.of(name)
			byName[name] = t
			r.tables = append(r.tables, t)
		}
		return byName[name]
	}
	for _, full := range r.Topics {
		name, err := topic.Parse(full)
		if err != nil {
			return err
		}
		t := &topicOf{name: name}
		switch name.Class {
		case topic.Processed, topic.Late:
			t.events = r.dec
			own, ok := topic.ParseKindWord(r.Kinds, name.Kind)
			if !ok {
				return fmt.Errorf("topic %s: kind %s is not known", full, name.Kind)
			}
			for _, k := range []market.Kind{own, market.KindStatus} {
				if tab := get(lakesink.TableName(r.Kinds, k), func() *table { return r.eventTable(k) }); tab != nil {
					t.kinds, t.tables = append(t.kinds, k), append(t.tables, tab)
				}
			}
		case topic.Feature, topic.Alert:
			i := slices.IndexFunc(r.Outputs, func(o features.Output) bool { return o.Name == name.View && o.Version == name.Version })
			if i < 0 {
				return &fault.Error{Code: "view_unknown", Message: fmt.Sprintf("version %d of view %s is not known here", name.Version, name.View), Exit: fault.ExitUsage,
					Remedy: "list it under stream.views of the config"}
			}
			o := &r.Outputs[i]
			if name.Class == topic.Alert {
				if o = o.AlertOutput(); o == nil {
					return fmt.Errorf("topic %s: the view has no alerts", full)
				}
			}
			if tab := get(run.FeatureTable(o), func() *table { return r.featureTable(o) }); tab != nil {
				t.tables, t.view = []*table{tab}, newView(r.Sink, o, tab)
			}
		case topic.Ledger:
			if tab := get(lake.LedgerTable, r.ledgerTable); tab != nil {
				t.tables, t.ledger = []*table{tab}, &ledger{s: r.Sink, t: tab}
			}
		case topic.Raw, topic.DLQ:
			return fmt.Errorf("topic %s: a sink takes processed, late, feature, alert and ledger topics", full)
		}
		if t.tables != nil {
			r.topics[full] = t
		}
	}
	if len(r.tables) == 0 {
		return fault.Usage("sink_empty", "there is no table to write", "name tables of the topics of the config, or none for all of them")
	}
	slices.SortFunc(r.tables, func(a, b *table) int { return strings.Compare(a.name, b.name) })
	return nil
}

func (r *reading) eventTable(k market.Kind) *table {
	t := &table{kind: k, known: knownEvents(k == market.KindStatus)}
	t.open = func(ctx context.Context) (*lake.Table, []file.Column, error) {
		tab, plain, cols, err := lakesink.OpenTable(ctx, r.Lake, r.Kinds, k, r.Plain, r.BySymbol...)
		r.dec.packers[k] = file.NewPacker(r.Kinds, k, plain, r.dec.insts, r.Feeds)
		return tab, cols, err
	}
	return t
}

func (r *reading) featureTable(o *features.Output) *table {
	return &table{known: knownRows(o), open: func(ctx context.Context) (*lake.Table, []file.Column, error) {
		if !r.Schemas.Registered() {
			if _, err := r.Schemas.View(ctx, o); err != nil { // names it: its number is a hash
				return nil, nil, err
			}
		}
		by := r.BySymbol
		if !slices.Contains(o.Entity, "symbol") {
			by = nil // the other tables have one
		}
		tab, err := run.OpenFeatureTable(ctx, r.Lake, o, featureGrain, by...)
		if err != nil {
			return nil, nil, err
		}
		have, err := tab.Columns()
		if err != nil {
			return nil, nil, err
		}
		cols, err := lakesink.Fit(tab.Name(), have, run.NewFeatureRows(o).Columns())
		return tab, cols, err
	}}
}

// bounds are what a broker says of a partition.
type bounds struct{ start, end int64 }

// locate finds the topics, takes the tables, and says where each partition is read on from.
func (r *reading) locate(ctx context.Context) error {
	cl, err := kgo.NewClient(r.Options...)
	if err != nil {
		return err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	have, err := r.describe(ctx, adm)
	if err != nil {
		return err
	}
	r.cluster = have.cluster
	if r.marks, err = r.openMarks(ctx, cl); err != nil { // before it is asked where topics end
		return err
	}
	if r.marks != nil {
		r.others.Go(func() { r.marks.run(r.work) })
	}
	spans, err := r.spans(ctx, adm, have)
	if err != nil {
		return err
	}
	for full, t := range r.topics {
		t.id, t.parts = have.ids[full], have.parts[full]
		for n := range t.parts {
			at := place{full, int32(n)}
			in := &input{}
			r.inputs[at] = in
			for _, tab := range t.tables {
				sl := &slot{at: at, topicID: t.id, marks: t.name.Class == topic.Processed, mark: market.NoTime}
				in.slots, tab.slots = append(in.slots, sl), append(tab.slots, sl)
			}
		}
	}
	own := func(t *table) error {
		slices.SortFunc(t.slots, func(a, b *slot) int { return comparePlaces(a.at, b.at) })
		// Ends are asked for again where an older sink has committed since.
		return r.own(ctx, t, spans, func() (map[place]bounds, error) { return r.spans(ctx, adm, have) })
	}
	// Who has the first table last is the newest of several that begin at the same time.
	if err := own(r.tables[0]); err != nil {
		return err
	}
	var g errgroup.Group
	g.SetLimit(commitsAtOnce)
	for _, t := range r.tables[1:] {
		g.Go(func() error { return own(t) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if mine, err := r.newest(ctx); err != nil {
		return err
	} else if !mine {
		return fmt.Errorf("table %s: %w", r.tables[0].name, ErrTaken)
	}
	if r.marks != nil {
		r.barrier = &barrier{complete: r.marks.complete(), ends: map[place]int64{}}
		for at, span := range spans {
			if r.topics[at.topic].view != nil {
				r.barrier.ends[at] = span.end
			}
		}
	}
	for at, in := range r.inputs {
		in.next = in.slots[0].next
		for _, sl := range in.slots {
			in.next = min(in.next, sl.next)
		}
		if in.slots[0].marks { // how far the partition is stands in its last marks, and none may come any more
			in.next = max(spans[at].start, in.next-tail)
		}
	}
	return nil
}

func comparePlaces(a, b place) int {
	if c := strings.Compare(a.topic, b.topic); c != 0 {
		return c
	}
	return int(a.n - b.n)
}

// described is what a cluster says of the topics.
type described struct {
	cluster string
	ids     map[string]string
	parts   map[string]int
}

func (r *reading) describe(ctx context.Context, adm *kadm.Client) (described, error) {
	d := described{ids: map[string]string{}, parts: map[string]int{}}
	var names []string
	for name := range r.topics {
		names = append(names, name)
	}
	meta, err := adm.Metadata(ctx, names...)
	if err != nil {
		return d, fmt.Errorf("look at the topics: %w", err)
	}
	d.cluster = meta.Cluster
	for _, name := range names {
		t, ok := meta.Topics[name]
		switch {
		case !ok, errors.Is(t.Err, kerr.UnknownTopicOrPartition):
			return d, &fault.Error{Code: "topic_missing", Message: "there is no topic " + name, Exit: fault.ExitNoTable, Remedy: "tidemark topics apply makes those of the config"}
		case t.Err != nil:
			return d, fmt.Errorf("look at topic %s: %w", name, t.Err)
		}
		d.ids[name], d.parts[name] = t.ID.String(), len(t.Partitions)
	}
	return d, nil
}

// spans says where partitions begin and end, and remembers where they ended when the sink began.
func (r *reading) spans(ctx context.Context, adm *kadm.Client, have described) (map[place]bounds, error) {
	var names []string
	for name := range have.parts {
		names = append(names, name)
	}
	first, err := adm.ListStartOffsets(ctx, names...)
	if err == nil {
		err = first.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("list offsets: %w", err)
	}
	last, err := adm.ListCommittedOffsets(ctx, names...)
	if err == nil {
		err = last.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("list offsets: %w", err)
	}
	out, ends := map[place]bounds{}, map[place]int64{}
	for name, parts := range have.parts {
		for n := range parts {
			at := place{name, int32(n)}
			a, ok := first.Lookup(name, at.n)
			b, ok2 := last.Lookup(name, at.n)
			if !ok || !ok2 {
				return nil, fmt.Errorf("%s/%d has no offsets", name, n)
			}
			out[at], ends[at] = bounds{a.Offset, b.Offset}, b.Offset
		}
	}
	r.once.Do(func() { r.ends = ends })
	return out, nil
}

// own makes this sink the one that writes a table, in a commit that is pinned on the offsets from which it
// goes on: whatever an older sink has under way, or a commit of unknown outcome, cannot land after it.
func (r *reading) own(ctx context.Context, t *table, spans map[place]bounds, again func() (map[place]bounds, error)) error {
	var err error
	if t.lake, t.cols, err = t.open(ctx); err != nil {
		return err
	}
	var n notes
	done, err := t.lake.Commit(ctx, lake.Main, lake.NewCommitID(), func(_ context.Context, base lake.Base) (*lake.Change, error) {
		n = notes{}
		at, forget, err := r.positions(t, base.Offsets, spans, &n)
		if errors.Is(err, errBeyond) {
			if spans, err = again(); err != nil {
				return nil, err
			}
			n = notes{}
			at, forget, err = r.positions(t, base.Offsets, spans, &n)
		}
		if err != nil {
			return nil, err
		}
		t.valid, t.imported = base.ValidThrough, base.Imported
		if len(base.Offsets) == 0 && base.Snapshot != 0 {
			t.imported = max(t.imported, base.ValidThrough) // filled by a version that did not note it
		}
		ch := &lake.Change{Offsets: at, Forget: forget, Owner: string(r.owner), Imported: t.imported, Inputs: n.text()}
		if r.ignoreOffsets {
			ch.Offsets = nil
		}
		return ch, nil
	})
	if err != nil {
		return err
	}
	if t.lake, err = t.lake.Reload(ctx); err != nil {
		return err
	}
	for _, l := range n.Lost {
		r.Log.Error("records were deleted before they were read", slog.String("table", t.name), slog.String("range", l.String()))
		t.metrics.lost.add(l.To - l.From)
	}
	t.head, t.begun = done.Snapshot, r.Now()
	t.filling, err = t.newBatch()
	return err
}

var errBeyond = errors.New("the table stands beyond the end of the topic")

// positions are where the partitions of a table are read on from: where it stands, or at their
// beginnings. They go into the slots. forget are topics that begin anew.
func (r *reading) positions(t *table, stand lake.Offsets, spans map[place]bounds, n *notes) (out lake.Offsets, forget []string, err error) {
	for _, sl := range t.slots {
		span, name := spans[sl.at], sl.at.topic
		sl.next = span.start
		for _, p := range stand {
			if p.Topic != name || r.ignoreOffsets {
				continue
			}
			if err := r.same(t, sl, p); err != nil {
				if !slices.Contains(r.Accept, name) {
					return nil, nil, err
				}
				forget = append(forget, name)
				continue
			}
			if p.Partition == sl.at.n {
				sl.next = p.Next
			}
		}
		if sl.next > span.end && slices.Contains(r.Accept, name) {
			forget, sl.next = append(forget, name), span.start
		}
		switch {
		case sl.next < span.start && r.SkipLost:
			n.Lost = append(n.Lost, lostRange{name, sl.at.n, sl.next, span.start})
			sl.next = span.start
		case sl.next < span.start:
			return nil, nil, lost(t.name, lostRange{name, sl.at.n, sl.next, span.start})
		case sl.next > span.end:
			return nil, nil, &fault.Error{Code: "offsets_beyond", Message: fmt.Sprintf("the table stands at offset %d of %s/%d, which ends at %d", sl.next, name, sl.at.n, span.end),
				Where: t.name, Exit: fault.ExitFailed, Cause: errBeyond, Remedy: "the topic has lost records that the table has, or the broker is another one: find out which before --accept " + name + " reads it from its beginning"}
		}
		sl.committed = sl.next
		out = append(out, lake.Position{Cluster: r.cluster, Topic: name, TopicID: sl.topicID, Partition: sl.at.n, Next: sl.next})
	}
	return out, forget, nil
}

// same refuses a topic whose offsets mean other records than those of the table.
func (r *reading) same(t *table, sl *slot, p lake.Position) error {
	f := &fault.Error{Where: t.name, Exit: fault.ExitFailed, Cause: lake.ErrTopicReplaced}
	switch {
	case p.Cluster != r.cluster:
		f.Code, f.Message = "cluster_other", "the table has rows of topic "+p.Topic+" of another cluster"
		f.Why = fmt.Sprintf("of %s, this one is %s", p.Cluster, r.cluster)
		f.Remedy = "see that --brokers names the right cluster; if the topic goes on here with other records, --accept " + p.Topic + " reads it from its beginning"
	case p.TopicID != sl.topicID:
		f.Code, f.Message = "topic_replaced", "topic "+p.Topic+" was deleted and made anew since the table was written"
		f.Why = fmt.Sprintf("the table stands at offset %d of partition %d of topic id %s; the topic's id is %s", p.Next, p.Partition, p.TopicID, sl.topicID)
		f.Remedy = "if its records are other ones than those that the table has, --accept " + p.Topic + " reads it from its beginning; if they are the same ones, use another lake, or they are there twice"
	default:
		return nil
	}
	return f
}

func lost(table string, l lostRange) error {
	return &fault.Error{Code: "offsets_lost", Message: "records were deleted before they were read: " + l.String(), Where: table, Exit: fault.ExitFailed,
		Remedy: "a longer retention of the topic keeps this from happening; --skip-lost goes on behind them and notes the range in the table"}
}

// outOfRange says what is gone when a broker does not have an offset any more.
func (r *reading) outOfRange(ctx context.Context, name string, n int32, cause error) error {
	adm := kadm.NewClient(r.client)
	first, err := adm.ListStartOffsets(ctx, name)
	if err != nil {
		return fmt.Errorf("read %s/%d: %w", name, n, cause)
	}
	o, ok := first.Lookup(name, n)
	in := r.inputs[place{name, n}]
	if !ok || in == nil || o.Offset <= in.next || r.SkipLost {
		return fmt.Errorf("read %s/%d: %w", name, n, cause)
	}
	return lost(r.topics[name].tables[0].name, lostRange{name, n, in.next, o.Offset})
}

// newest reports whether this sink still has the first of its tables.
func (r *reading) newest(ctx context.Context) (bool, error) {
	t, err := r.tables[0].lake.Reload(ctx)
	if err != nil {
		return false, err
	}
	base, err := t.Base()
	return base.Owner == string(r.owner), err
}

// watch ends the session when a topic is not what it was: the next one finds out what that means.
func (r *reading) watch(ctx context.Context, end context.CancelCauseFunc) {
	adm := kadm.NewClient(r.client)
	for {
		sleep(ctx, watchEvery)
		if ctx.Err() != nil {
			return
		}
		now, err := r.describe(ctx, adm)
		if err != nil {
			if _, told := errors.AsType[*fault.Error](err); told {
				end(err)
			}
			continue
		}
		for name, t := range r.topics {
			if now.ids[name] != t.id || now.parts[name] != t.parts {
				end(fmt.Errorf("topic %s has changed", name))
				return
			}
		}
	}
}
