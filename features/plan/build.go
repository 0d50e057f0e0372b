package plan

import (
	"fmt"
	"slices"

	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/features/op"
)

// Build plans the views of a checked set. Its error is a lang.Problems.
func Build(set *lang.Set) (*Plan, error) {
	p := &Plan{}
	var ps lang.Problems
	at, carry := map[*lang.View]int{}, carriers(set)
	for _, lv := range set.Views {
		v, err := build(lv, p.Views, at, carry[lv])
		if err != nil {
			pos := lang.Pos{}
			if lv.Spec != nil {
				pos = lv.Spec.View.Pos
			}
			ps = append(ps, lang.Problem{Pos: pos, What: fmt.Sprintf("view %s: %v", lv.Name, err), Remedy: "see the list of what this release runs"})
			continue
		}
		at[lv] = len(p.Views)
		p.Views = append(p.Views, v)
	}
	if len(ps) > 0 {
		return nil, ps
	}
	p.order()
	p.shareBooks()
	return p, nil
}

func build(lv *lang.View, done []*View, at map[*lang.View]int, carry bool) (*View, error) {
	v := &View{Lang: lv, Parent: -1, Kind: lv.Kind, Rollup: lv.Rollup, Where: -1, Filter: Filter{Enum: -1}, Stride: MetaWords, Window: lv.Window,
		Lookback: lv.Lookback, Reach: lv.Reach}
	if lv.Parent != nil {
		i, ok := at[lv.Parent]
		if !ok {
			return nil, fmt.Errorf("its input %s has problems", lv.Parent.Name)
		}
		v.Parent, v.Kind, v.Kinds, v.Listing = i, done[i].Kind, done[i].Kinds, done[i].Listing
	} else {
		v.Kinds = kindSet(v.Kind)
	}
	if err := v.union(done, at); err != nil {
		return nil, err
	}
	l := &lowering{v: v, carry: carry, row: newCoder(), fin: newCoder(), views: done, inputs: map[int]value{},
		accs: map[string]int{}, loads: map[string]value{}, aggs: map[int]value{}, feats: map[int]value{}}
	if err := l.window(); err != nil {
		return nil, err
	}
	v.hold(lv)
	if err := l.joins(at); err != nil {
		return nil, err
	}
	l.lookBack()
	for _, name := range lv.By {
		in, err := l.ref(name, lang.Type{Kind: lang.TText})
		if err != nil {
			return nil, err
		}
		if !in.Ref.OfInstrument() && in.Ref.Source != OfEntity && in.Ref.Source != FeedName {
			return nil, fmt.Errorf("entity column %q must belong to the instrument or be the feed", name)
		}
		v.By = append(v.By, in.Ref)
	}
	if lv.Window.Kind == lang.Clock {
		if err := l.clock(at); err != nil {
			return nil, err
		}
	}
	if v.Rollup {
		if err := l.rollup(); err != nil {
			return nil, err
		}
	} else if err := l.programs(); err != nil {
		return nil, err
	}
	if err := l.unionBare(); err != nil {
		return nil, err
	}
	return v, v.alerts()
}

// window lays the grid of panes: [i·Pane + Shift, (i+1)·Pane + Shift), of local time where there is a zone. A rolling window
// (t − w, t] is w/Pane panes (a, b], which in whole µs are [a+1, b+1).
func (l *lowering) window() error {
	v, w := l.v, l.v.Lang.Window
	switch v.Lang.Empty {
	case "flat":
		v.Flat, v.Empty = true, true
	case "nulls":
		v.Empty = true
	}
	switch w.Kind {
	case lang.NoWindow:
		v.Shape, v.Empty, v.Flat = RowView, false, false
		return nil
	case lang.Tumbling:
		if w.Width <= 0 {
			return fmt.Errorf("window has no width")
		}
		v.Shape, v.Pane, v.Shift, v.Zone = Tumbling, w.Width, w.Origin, w.Zone
		return nil
	case lang.Rolling:
		if w.Event {
			v.Shape, v.Instants = RowView, true
			return nil
		}
		if w.Width <= 0 || w.Every <= 0 {
			return fmt.Errorf("rolling window needs a width and a grid")
		}
		if w.Every > w.Width {
			return fmt.Errorf("every is longer than the window: events in between would be in no row")
		}
		v.Shape, v.Pane, v.Shift = Rolling, gcd(w.Width, w.Every), 1
		v.Panes = w.Width / v.Pane
		return nil
	case lang.Latest:
		return l.latest()
	case lang.Clock:
		return nil // laid out when the entity columns are known
	}
	return l.barWindow(w)
}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// programs writes the row program, the accumulators and the finish program.
func (l *lowering) programs() error {
	v := l.v
	l.row.resolve = func(n *lang.Node) (value, error) {
		if n.Op != lang.NColumn {
			return value{}, fmt.Errorf("aggregate inside an aggregate")
		}
		l.joinAt(n, false)
		return l.column(n)
	}
	if v.Shape == Latest {
		l.row.resolve = l.memberValue
	}
	var where value
	if v.Lang.Where != nil {
		w, err := l.row.expr(v.Lang.Where)
		if err == nil {
			w, err = l.row.convert(w, op.KBool)
		}
		if err != nil {
			return err
		}
		where, v.Where, v.Filter = w, w.reg, l.filter()
		v.Late = slices.ContainsFunc(v.Inputs, func(in Input) bool { return in.Ref.Source == Joined })
	}
	if err := l.features(); err != nil {
		return err
	}
	if v.Shape == Latest {
		l.passes()
	}
	if err := l.bars(); err != nil {
		return err
	}
	var keep, slow []int
	if v.Where >= 0 {
		keep = append(keep, where.reg)
	}
	for i, a := range v.Args {
		keep = append(keep, a.Reg, a.Where)
		if a.Fast.Kind == Slow && i < v.Folded() {
			slow = append(slow, a.Reg, a.Where)
		}
	}
	if v.Shape == RowView {
		for _, ld := range v.Loads {
			keep = append(keep, ld.Reg)
		}
	}
	l.finishRow(keep, slow)
	l.finishOut()
	if v.Shape == Latest {
		l.finishLatest()
	}
	return nil
}

// features writes the finish program. In a row view it reads columns: their inputs are
// loads of their own, so that a row can be held until it is complete.
func (l *lowering) features() error {
	v := l.v
	l.fin.resolve = func(n *lang.Node) (value, error) {
		switch n.Op {
		case lang.NAgg:
			return l.agg(n.Index)
		case lang.NFeature:
			return l.feature(n.Index)
		case lang.NClock:
			return l.clockColumn(n.Index), nil
		case lang.NRank:
			i, err := l.rank(n)
			return l.load(Load{Kind: LoadRank, Acc: i}, op.KExact), err
		case lang.NWindowStart:
			return l.load(Load{Kind: LoadStart}, op.KExact), nil
		case lang.NWindowEnd:
			return l.load(Load{Kind: LoadEnd}, op.KExact), nil
		}
		kind := LoadColumn
		if v.Shape != RowView && (v.Cross == nil || !v.Cross.Each) {
			if n.Op != lang.NColumn || v.Lang.Columns[n.Index].Join == 0 {
				return value{}, fmt.Errorf("column outside an aggregate")
			}
			kind = LoadJoined
		}
		l.joinAt(n, kind == LoadJoined)
		c, err := l.column(n)
		if err != nil {
			return c, err
		}
		for i := range v.Inputs {
			if v.Inputs[i].Reg == c.reg {
				return l.load(Load{Kind: kind, Acc: i}, c.kind), nil
			}
		}
		return c, nil
	}
	for i, f := range v.Lang.Features {
		x, err := l.feature(i)
		if err != nil {
			return fmt.Errorf("feature %s: %w", f.Name, err)
		}
		o := Out{Reg: x.reg, Kind: x.kind, As: F64}
		switch f.Type.Kind {
		case lang.TBool:
			o.As = Bool
		case lang.TInt, lang.TTime, lang.TDur:
			o.As = I64
		case lang.TEnum:
			o.As, o.Words = Text, f.Type.Words
		case lang.TText, lang.TID:
			o.As = Text
		}
		if f.Type.Fixed {
			o.As, o.Scale = Decimal, f.Type.Scale
		}
		if o.As == I64 && x.kind != op.KExact && x.kind != op.KNull {
			return fmt.Errorf("feature %s: a whole number comes out as another kind", f.Name)
		}
		v.Outs = append(v.Outs, o)
	}
	return nil
}

func (l *lowering) finishRow(keep, slow []int) {
	v := l.v
	v.Slow = l.row.live(slow)
	if v.Where >= 0 {
		v.Pick = l.row.live([]int{v.Where})
	}
	if v.Bars != nil {
		l.barCode()
	}
	v.Row = l.row.done(keep)
	if v.Scans = l.scans(l.row, v.Row); v.Scans != nil {
		for i := range v.Args {
			v.Args[i].Fast = Fast{Enum: -1} // every row steps: none may go by a kernel
		}
		v.Slow = v.Row.Code
	}
	for i := range v.Inputs {
		v.Inputs[i].Reg = l.row.at(v.Inputs[i].Reg)
	}
	if v.Where >= 0 {
		v.Where = l.row.at(v.Where)
	}
	for i := range v.Args {
		a := &v.Args[i]
		if a.Reg >= 0 {
			a.Reg = l.row.at(a.Reg)
		}
		if a.Where >= 0 {
			a.Where = l.row.at(a.Where)
		}
	}
}

func (l *lowering) finishOut() {
	v := l.v
	var keep []int
	for _, o := range v.Outs {
		keep = append(keep, o.Reg)
	}
	v.Finish = l.fin.done(append(keep, l.frameArgs()...))
	l.finishFrames()
	if s := l.scans(l.fin, v.Finish); s != nil {
		v.Scans = s
	}
	for i := range v.Loads {
		v.Loads[i].Reg = l.fin.at(v.Loads[i].Reg)
	}
	for i := range v.Outs {
		v.Outs[i].Reg = l.fin.at(v.Outs[i].Reg)
	}
	l.traits()
	v.layHeld()
}

// rollup takes accumulators and programs from the parent: a chain of rollups shares them.
func (l *lowering) rollup() error {
	v := l.v
	if v.Parent < 0 || v.Shape != Tumbling {
		return fmt.Errorf("rollup needs a windowed view as its input and a tumbling window")
	}
	p := l.views[v.Parent]
	switch {
	case p.Shape == RowView:
		return fmt.Errorf("rollup of row view %s: there are no states to merge", p.Lang.Name)
	case p.Shape == Rolling:
		return fmt.Errorf("rollup of rolling view %s would count events more than once", p.Lang.Name)
	case !v.grid().Nests(p.grid()):
		return fmt.Errorf("its windows do not end where windows of %s end", p.Lang.Name)
	case p.Order && !lang.SameColumns(v.Lang.By, p.Lang.By):
		return fmt.Errorf("first, last and time_mean of several entities of %s have no order by states", p.Lang.Name)
	case v.Lang.Where != nil:
		return fmt.Errorf("a rollup has no row filter")
	}
	v.Accs, v.Stride, v.Loads, v.Finish, v.Outs = p.Accs, p.Stride, p.Loads, p.Finish, p.Outs
	l.traits()
	return nil
}

// traits are what the runtime wants to know of the accumulators.
func (l *lowering) traits() {
	v := l.v
	for _, a := range v.Accs {
		v.Order = v.Order || op.Table[a.Fn].Ordered
		v.Means = v.Means || (a.Fn == op.Integral || a.Fn == op.LiveIntegral) && !v.Begins() && v.Shape != ClockTicks
	}
	v.Tail = v.Empty && v.Shape != ClockTicks || v.Means
}

// carriers are the views whose states must hold last values, because they or a rollup
// of them show windows without events.
func carriers(set *lang.Set) map[*lang.View]bool {
	c := map[*lang.View]bool{}
	for _, v := range set.Views {
		if v.Empty != "flat" || v.Window.Kind == lang.NoWindow {
			continue
		}
		for c[v] = true; v.Rollup && v.Parent != nil; c[v] = true {
			v = v.Parent
		}
	}
	return c
}
