package plan

import (
	"fmt"
	"reflect"

	"github.com/pinova-group/tidemark/features/op"
)

// Share lets rolling views that keep the same accumulators over the same rows take their
// panes from one hidden view, so that a row is folded once and not once for each width.
// The hidden view is a tumbling one whose windows are the panes; its states are merged
// into the views' as those of a rollup are, which gives the same bits.
func (p *Plan) Share() {
	groups := map[string][]*paneGroup{}
	for i, v := range p.Views {
		if !v.sharesPanes() {
			continue
		}
		key := fmt.Sprint(v.Parent, v.Kind, v.Where, v.Stride, len(v.Row.Code))
		var in *paneGroup
		for _, g := range groups[key] {
			if g.takes(v) {
				in = g
				break
			}
		}
		if in == nil {
			in = &paneGroup{pane: v.Pane}
			groups[key] = append(groups[key], in)
			p.groups = append(p.groups, in)
		}
		in.pane = gcd(in.pane, v.Pane)
		in.views, in.at = append(in.views, v), append(in.at, i)
	}
	for _, g := range p.groups {
		if len(g.views) > 1 {
			p.hide(g)
		}
	}
	p.groups = nil
	p.Families = p.families()
	p.order()
}

// paneGroup is views that can share panes; the finest of them has the pane of all.
type paneGroup struct {
	views []*View
	at    []int
	pane  int64
}

func (v *View) sharesPanes() bool {
	return v.Shape == Rolling && !v.Rollup && !v.Hold && v.Row != nil && v.Scans == nil && len(v.Joins) == 0
}

// takes reports whether v folds what the group folds, and no view would get finer panes
// than the finest has.
func (g *paneGroup) takes(v *View) bool {
	o := g.views[0]
	d := gcd(g.pane, v.Pane)
	return d == min(g.pane, v.Pane) && reflect.DeepEqual(o.By, v.By) && reflect.DeepEqual(o.Filter, v.Filter) &&
		reflect.DeepEqual(o.Args, v.Args) && reflect.DeepEqual(o.Accs, v.Accs) && reflect.DeepEqual(o.Inputs, v.Inputs) &&
		sameProgram(o.Row, v.Row) && reflect.DeepEqual(o.Slow, v.Slow)
}

func sameProgram(a, b *op.Prog) bool {
	return a.Regs == b.Regs && reflect.DeepEqual(a.Code, b.Code) && reflect.DeepEqual(a.Consts, b.Consts)
}

// hide makes the hidden view of a group and turns the members to it.
func (p *Plan) hide(g *paneGroup) {
	o := g.views[0]
	base := &View{
		Lang: o.Lang, Hidden: true, Parent: o.Parent, Kind: o.Kind, Kinds: o.Kinds, By: o.By, Shape: Tumbling, Pane: g.pane, Shift: o.Shift,
		Row: o.Row, Slow: o.Slow, Pick: o.Pick, Inputs: o.Inputs, Where: o.Where, Filter: o.Filter, Args: o.Args, Accs: o.Accs, Order: o.Order,
		Stride: o.Stride, Finish: &op.Prog{}, Lookback: g.pane, Reach: g.pane,
	}
	at := len(p.Views)
	p.Views = append(p.Views, base)
	for _, v := range g.views {
		v.Parent, v.Rollup = at, true
		v.Row, v.Slow, v.Pick, v.Inputs, v.Args, v.Where, v.Filter = nil, nil, nil, nil, nil, -1, Filter{Enum: -1}
		by := make([]Ref, len(v.By))
		for i, r := range v.By {
			by[i] = Ref{Source: OfEntity, Index: i, Name: r.Name, Words: r.Words}
		}
		v.By = by
	}
}

// order puts every view behind those that it reads.
func (p *Plan) order() {
	p.Order = p.Order[:0]
	done := make([]bool, len(p.Views))
	var visit func(i int)
	visit = func(i int) {
		if done[i] {
			return
		}
		done[i] = true
		if v := p.Views[i]; v.Parent >= 0 {
			visit(v.Parent)
		}
		for _, of := range p.Views[i].Of {
			if of >= 0 {
				visit(of)
			}
		}
		for _, j := range p.Views[i].Joins {
			if j.Source >= 0 {
				visit(j.Source)
			}
		}
		if k := p.Views[i].Clock; k != nil {
			visit(k.View)
		}
		p.Order = append(p.Order, i)
	}
	for i := range p.Views {
		visit(i)
	}
}
