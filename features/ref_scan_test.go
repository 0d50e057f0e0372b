package features_test

import (
	"math/big"
	"slices"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/num"
)

// scans evaluates scans by their text: the value at row k of an entity is worked out
// anew from the rows before it. inst is the reset period that is served; only scans that
// reset look at it.
type scans struct {
	v    *lang.View
	in   []input
	base [][]origin // by level: what a row comes from before its scans
	memo map[scanKey]value
}

type scanKey struct {
	n    *lang.Node
	k    int
	inst int64
}

// origin is how late, with what disorder and with which flags rows came.
type origin struct {
	avail, hold int64
	flags       uint8
}

func (o *origin) add(p origin) {
	o.avail, o.hold, o.flags = max(o.avail, p.avail), max(o.hold, p.hold), o.flags|p.flags
}

// addScans gives the rows of one entity the values of their scans, and lets them come as
// late as what the scans take.
func addScans(v *lang.View, in []input) {
	var live []*lang.Node
	for _, a := range v.Aggs {
		live = append(live, scansIn(v, a.Where)...)
		for _, x := range a.Args {
			live = append(live, scansIn(v, x)...)
		}
	}
	for _, f := range v.Features {
		live = append(live, scansIn(v, f.Node)...)
	}
	framed := v.Window.Kind == lang.NoWindow && len(v.Aggs) > 0
	if len(live) == 0 && !framed {
		return
	}
	s := &scans{v: v, in: in, memo: map[scanKey]value{}}
	all := make([]origin, len(in))
	for k, x := range in {
		all[k] = origin{x.avail, x.hold, x.flags}
		in[k].scan = func(n *lang.Node) value { return s.scan(n, k, s.served(k)) }
	}
	short := s.frames(framed)
	for level := 0; level <= s.depth(); level++ {
		if level > 0 {
			all = s.fromFrames(level, all)
		}
		s.base = append(s.base, slices.Clone(all))
		for k := range in {
			for _, n := range live {
				if levelOf(v, n) == level {
					all[k].add(s.from(n, k, s.served(k)))
				}
			}
		}
	}
	for k := range in {
		o := all[k]
		for _, n := range live {
			if s.young(n, k, s.served(k)) {
				o.flags |= features.FlagWarmup
			}
		}
		if short[k] {
			o.flags |= features.FlagPartial
		}
		in[k].avail, in[k].hold, in[k].flags = o.avail, o.hold, o.flags
	}
}

// scansIn lists the scans in an expression, nested ones and those of features too.
func scansIn(v *lang.View, n *lang.Node) (out []*lang.Node) {
	if n == nil {
		return nil
	}
	if n.Op == lang.NScan {
		out = append(out, n)
	}
	if n.Op == lang.NFeature {
		return scansIn(v, v.Features[n.Index].Node)
	}
	for _, a := range n.Args {
		out = append(out, scansIn(v, a)...)
	}
	return out
}

// direct lists the scans that an expression takes at first hand.
func (s *scans) direct(n *lang.Node) (out []*lang.Node) {
	switch n.Op {
	case lang.NScan:
		return []*lang.Node{n}
	case lang.NFeature:
		return s.direct(s.v.Features[n.Index].Node)
	}
	for _, a := range n.Args {
		out = append(out, s.direct(a)...)
	}
	return out
}

func (s *scans) served(k int) int64 {
	if s.v.Reset == 0 || s.v.Reset == lang.Never {
		return 0
	}
	return market.FloorDiv(s.in[k].ts, s.v.Reset) * s.v.Reset
}

func (s *scans) resets(n *lang.Node) bool {
	switch n.Fn {
	case "cum", "ema", "wilder", "ewm", "decay_sum":
		return true
	}
	return slices.ContainsFunc(s.direct(n.Args[0]), s.resets)
}

// start is the first row that the state of a scan has seen.
func (s *scans) start(n *lang.Node, inst int64) int {
	if !s.resets(n) || inst == 0 {
		return 0
	}
	k := 0
	for s.in[k].ts < inst-s.v.Warmup {
		k++
	}
	return k
}

func (s *scans) val(n *lang.Node, k int, inst int64) value {
	return eval(n, func(n *lang.Node) value {
		switch n.Op {
		case lang.NScan:
			return s.scan(n, k, inst)
		case lang.NFeature:
			return s.val(s.v.Features[n.Index].Node, k, inst)
		case lang.NAgg:
			return s.in[k].group(n)
		}
		return s.in[k].col(s.v.Columns[n.Index].Name)
	})
}

func (s *scans) scan(n *lang.Node, k int, inst int64) value {
	key := scanKey{n, k, inst}
	v, known := s.memo[key]
	if !known {
		v = s.work(n, k, inst)
		s.memo[key] = v
	}
	return v
}

// back is the row that prev takes, or that made the condition of since true; -1 for none.
func (s *scans) back(n *lang.Node, k int, inst int64) int {
	low, within := s.start(n, inst), n.Args[len(n.Args)-1].Const.Dec.M
	if n.Fn == "prev" {
		j := k - int(n.Args[1].Const.Dec.M)
		if j < low || s.in[k].ts-s.in[j].ts > within {
			return -1
		}
		for i := j + 1; i <= k; i++ {
			if !s.in[i].ofView && s.in[i].ownFlags&features.FlagGap != 0 {
				return -1
			}
		}
		return j
	}
	if s.val(n.Args[0], k, inst) == nil {
		return -1
	}
	for j := k; j >= low && s.in[k].ts-s.in[j].ts <= within; j-- {
		if b, _ := s.val(n.Args[0], j, inst).(bool); b {
			return j
		}
	}
	return -1
}

// inputs are the values that a scan which remembers has taken, and their rows.
func (s *scans) inputs(n *lang.Node, k int, inst int64) (xs []value, rows []int) {
	if s.val(n.Args[0], k, inst) == nil {
		return nil, nil
	}
	for j := s.start(n, inst); j <= k; j++ {
		if x := s.val(n.Args[0], j, inst); x != nil {
			xs, rows = append(xs, x), append(rows, j)
		}
	}
	return xs, rows
}

func (s *scans) work(n *lang.Node, k int, inst int64) value {
	switch n.Fn {
	case "prev", "since":
		j := s.back(n, k, inst)
		if j < 0 {
			return nil
		}
		if n.Fn == "since" {
			return rat(s.in[k].ts - s.in[j].ts)
		}
		x := s.val(n.Args[0], j, inst)
		if r, ok := x.(*big.Rat); ok && n.Type.Kind == lang.TFloat {
			f, _ := r.Float64()
			return f
		}
		return x
	}
	xs, rows := s.inputs(n, k, inst)
	if len(xs) == 0 {
		return nil
	}
	if n.Fn == "cum" {
		sum := rat(0)
		for _, x := range xs {
			sum.Add(sum, x.(*big.Rat))
		}
		return sum
	}
	c := n.Args[1].Const.Dec.M
	v, count := 0.0, 0.0
	for i, x := range xs {
		f, _ := float(x)
		switch {
		case n.Fn == "ewm" || n.Fn == "decay_sum":
			u := 1.0
			if i > 0 {
				u = num.Halve(s.in[rows[i]].ts-s.in[rows[i-1]].ts, c)
			}
			v, count = float64(u*v)+f, float64(u*count)+1
		case i+1 < int(c):
			v += f
		case i+1 == int(c):
			v = (v + f) / float64(c)
		case n.Fn == "ema":
			v += float64(2 / (float64(c) + 1) * (f - v))
		default:
			v = (float64(v*(float64(c)-1)) + f) / float64(c)
		}
	}
	switch {
	case n.Fn == "ewm":
		return v/count + 0
	case n.Fn != "decay_sum" && len(xs) < int(c):
		return nil
	}
	return v + 0
}

// young tells that a mean has too few inputs at a row that has one.
func (s *scans) young(n *lang.Node, k int, inst int64) bool {
	if n.Fn != "ema" && n.Fn != "wilder" {
		return false
	}
	xs, _ := s.inputs(n, k, inst)
	return len(xs) > 0 && len(xs) < int(n.Args[1].Const.Dec.M)
}

// from is where the value of a scan comes from.
func (s *scans) from(n *lang.Node, k int, inst int64) (o origin) {
	var rows []int
	if n.Fn == "prev" || n.Fn == "since" {
		if j := s.back(n, k, inst); j >= 0 {
			rows = []int{j}
		}
	} else {
		_, rows = s.inputs(n, k, inst)
	}
	for _, j := range rows {
		o.add(s.base[levelOf(s.v, n)][j])
		for _, d := range s.direct(n.Args[0]) {
			o.add(s.from(d, j, inst))
		}
	}
	return o
}
