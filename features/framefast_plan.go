package features

import (
	"slices"

	"github.com/pinova-group/tidemark/features/op"
	"github.com/pinova-group/tidemark/features/plan"
)

// fastFrames is what a view needs to have to be worked out without programs: frames of
// time over its columns as they are, with features that are a sum, a mean, a count, the
// first, last, least or greatest of one of them.
type fastFrames struct {
	cells   []int // place in a held row of each argument
	ringArg []int // argument of each ring, -1 when it only counts rows
	spans   []int64
	longest int
	queues  []fastBest
	outs    []fastOut
}

// fastBest is a queue of the least or greatest values of an argument, and the frames
// that look into it.
type fastBest struct {
	arg    int
	least  bool
	frames []int
}

type fastFn uint8

const (
	fastSum fastFn = iota
	fastMean
	fastCount
	fastFirst
	fastLast
	fastMost // least or greatest: by queue
)

// fastOut is one feature.
type fastOut struct {
	fn         fastFn
	frame, arg int
	queue, use int
	as         plan.Stored
}

// fastPlan finds out whether the view can be worked out so; nil when it cannot.
func (v *viewState) fastPlan() *fastFrames {
	f, s := v.frames, v.p.Scans
	if v.task.plan.plain || f.Levels != 2 || v.p.Hidden || v.p.Late || len(v.joins) > 0 || v.alerts.m != nil {
		return nil
	}
	if len(v.children)+len(v.joiners)+len(v.members) > 0 || s.ResetWords > 0 || len(s.Prog.Steps) > 0 || len(s.Keeps[0]) > 0 {
		return nil
	}
	p := &fastFrames{}
	for k := range f.Rings {
		if !v.fastRing(p, &f.Rings[k]) {
			return nil
		}
	}
	loads := map[int]fastOut{}
	for k := range f.Frames.Frames {
		fr := &f.Frames.Frames[k]
		if fr.Rows > 0 {
			return nil
		}
		p.spans = append(p.spans, fr.Span)
		if fr.Span > p.spans[p.longest] {
			p.longest = k
		}
		for _, ld := range fr.Loads {
			o, ok := p.out(fr, k, ld)
			if !ok {
				return nil
			}
			loads[ld.Reg] = o
		}
	}
	for _, in := range s.Keeps[1] {
		a, b := loads[int(in.A)], loads[int(in.B)]
		if in.Op != op.QuoX || a.fn != fastSum || b.fn != fastCount || a.frame != b.frame {
			return nil
		}
		a.fn = fastMean
		loads[int(in.Dst)] = a
	}
	for _, d := range v.p.Outs {
		o, ok := loads[d.Reg]
		if !ok || o.fn == fastMean && d.As != plan.F64 {
			return nil
		}
		o.as = d.As
		p.outs = append(p.outs, o)
	}
	return p
}

// fastRing makes a ring's argument one of the plan's: it must be an exact column.
func (v *viewState) fastRing(p *fastFrames, g *plan.Ring) bool {
	if g.Where >= 0 || g.With != op.KNull {
		return false
	}
	if g.Reg < 0 {
		p.ringArg = append(p.ringArg, -1)
		return g.Words == 0
	}
	for _, ld := range v.p.Loads {
		if ld.Reg != g.Reg || ld.Kind == plan.LoadStart || ld.Kind == plan.LoadEnd {
			continue
		}
		in := &v.p.Inputs[ld.Acc]
		if in.Kind != op.KExact || g.Kind != op.KExact { // a ring that only counts has no kind
			return false
		}
		a := slices.Index(p.cells, in.Cell)
		if a < 0 {
			a = len(p.cells)
			p.cells = append(p.cells, in.Cell)
		}
		p.ringArg = append(p.ringArg, a)
		return true
	}
	return false
}

// out is the result of an accumulator of frame k.
func (p *fastFrames) out(fr *plan.Frame, k int, ld plan.Load) (o fastOut, ok bool) {
	if slices.Contains([]plan.LoadKind{plan.LoadMean, plan.LoadQuantile, plan.LoadStatistic}, ld.Kind) {
		return o, false
	}
	o = fastOut{frame: k, arg: p.ringArg[fr.Of[ld.Acc]]}
	switch fn := fr.Accs[ld.Acc].Fn; fn {
	case op.Sum:
		o.fn = fastSum
	case op.Count:
		o.fn = fastCount
		return o, true
	case op.First:
		o.fn = fastFirst
	case op.Last:
		o.fn = fastLast
	case op.Min, op.Max:
		o.fn = fastMost
		o.queue, o.use = p.queue(o.arg, fn == op.Min, k)
	default:
		return o, false
	}
	return o, o.arg >= 0
}

func (p *fastFrames) queue(arg int, least bool, frame int) (queue, use int) {
	queue = slices.IndexFunc(p.queues, func(q fastBest) bool { return q.arg == arg && q.least == least })
	if queue < 0 {
		queue = len(p.queues)
		p.queues = append(p.queues, fastBest{arg: arg, least: least})
	}
	q := &p.queues[queue]
	q.frames = append(q.frames, frame)
	return queue, len(q.frames) - 1
}
