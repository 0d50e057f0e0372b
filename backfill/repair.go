package backfill

import (
	"cmp"
	"slices"

	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/features/stale"
	"github.com/pinova-group/tidemark/market"
)

// repairGap is how far stale rows may lie apart and still be published together: each publication
// writes the files anew that its rows are in, and recomputing a little more costs less.
const repairGap = market.Hour

// Repairs are the backfills that make stale rows anew, as corrected. Views that read one another
// are in one of them where their rows are of one time, so that they are published together. Open
// tells that rows are left which are not complete yet: those of hours that streams still fill.
func (in *Inputs) Repairs(found []Stale) (reqs []Request, open bool) {
	for _, group := range in.related(found) {
		var all []piece
		for _, i := range group {
			s := &found[i]
			limit := market.MaxEventTime
			if in.Sealed != market.NoTime {
				limit = in.Sealed
			}
			if s.through != 0 {
				limit = min(limit, s.through)
			}
			for _, r := range s.Rows {
				if r.To > limit {
					open = true
				}
				if to := min(r.To, limit); r.From < to {
					all = append(all, piece{i, r.Key, Range{r.From, to}})
				}
			}
		}
		slices.SortFunc(all, func(a, b piece) int { return cmp.Or(cmp.Compare(a.r.From, b.r.From), cmp.Compare(a.view, b.view)) })
		for lo := 0; lo < len(all); {
			hi, end := lo, all[lo].r.To
			for hi < len(all) && all[hi].r.From <= end+repairGap {
				end = max(end, all[hi].r.To)
				hi++
			}
			reqs = append(reqs, in.repair(found, all[lo:hi]))
			lo = hi
		}
	}
	return reqs, open
}

// piece is stale rows of one view.
type piece struct {
	view int // of the list of stale views
	key  stale.Key
	r    Range
}

// repair is the backfill of some pieces, by time.
func (in *Inputs) repair(found []Stale, pieces []piece) Request {
	req := Request{As: Corrected, Range: pieces[0].r}
	symbols := true
	at := map[int]int{}
	for _, p := range pieces {
		i, known := at[p.view]
		if !known {
			i = len(req.Views)
			at[p.view] = i
			req.Views = append(req.Views, found[p.view].View)
			req.Parts = append(req.Parts, Part{Range: p.r})
		}
		part := &req.Parts[i]
		part.From, part.To = min(part.From, p.r.From), max(part.To, p.r.To)
		if !slices.Contains(part.Keys, p.key) {
			part.Keys = append(part.Keys, p.key)
		}
		req.To = max(req.To, p.r.To)
		out := &in.Views.Plan.Outputs()[found[p.view].out]
		if symbols = symbols && p.key.Symbol != "" && slices.Contains(out.Entity, "symbol"); symbols && !slices.Contains(req.Symbols, p.key.Symbol) {
			req.Symbols = append(req.Symbols, p.key.Symbol)
		}
	}
	if !symbols {
		req.Symbols = nil
	}
	slices.Sort(req.Symbols)
	for i := range req.Parts {
		part := &req.Parts[i]
		slices.SortFunc(part.Keys, stale.Key.Compare)
		if slices.Contains(part.Keys, stale.Key{}) {
			part.Keys = nil
		}
	}
	return req
}

// related groups stale views: those that read one another, however far down, are together.
func (in *Inputs) related(found []Stale) [][]int {
	group := make([]int, len(found)) // the least index of a group
	for i := range group {
		group[i] = i
	}
	for i := range found {
		reads := map[*lang.View]bool{}
		ancestors(in.Views.set.Views[found[i].out], reads)
		for k := range found {
			if k == i || !reads[in.Views.set.Views[found[k].out]] {
				continue
			}
			a, b := min(group[i], group[k]), max(group[i], group[k])
			for x := range group {
				if group[x] == b {
					group[x] = a
				}
			}
		}
	}
	var out [][]int
	for i := range found {
		var g []int
		for k := range found {
			if group[k] == i {
				g = append(g, k)
			}
		}
		if g != nil {
			out = append(out, g)
		}
	}
	return out
}

// ancestors enters the views that a view reads.
func ancestors(v *lang.View, into map[*lang.View]bool) {
	add := func(p *lang.View) {
		if p != nil && !into[p] {
			into[p] = true
			ancestors(p, into)
		}
	}
	add(v.Parent)
	add(v.Window.Clock)
	for _, u := range v.Union {
		add(u.View)
	}
	for _, j := range v.Joins {
		add(j.View)
	}
}
