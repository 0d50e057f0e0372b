package features

import (
	"slices"

	"github.com/pinova-group/tidemark/features/op"
	"github.com/pinova-group/tidemark/features/plan"
)

// fastFrames is what a view needs to have to be worked out without programs: frames of
// time, or of numbers of rows, over its columns as they are, with features that are a sum, a mean, a variance or
// its root, a count, the first, last, least or greatest of one of them; sums also of what
// lanes make of its columns, and quotients of sums.
type fastFrames struct {
	args    []*plan.Input
	squared []bool // by argument: squares of its values are summed
	rings   []fastRing
	windows bool // rows have a window of their own: they are a parent's
	wide    fastWides
	spans   []int64
	rows    []int // by frame, 0 for one of time
	longest int
	queues  []fastQueue
	uses    int // of all queues
	outs    []fastOut

	children []fastChild // all views over the rows
	panes    bool        // which want the newest row of each of their panes alone
	// oneScale tells that a child keeps sums, which have the finest scale of all rows that were ever in them: rows of
	// another scale need programs, and an entity that needs them keeps them.
	oneScale bool

	// Rows on their way in, by argument: as they came, and memory for those of records;
	// values at the scale of the state, and the scales that they came with; memory for both.
	in     []fastIn
	kept   []fastIn
	times  []int64
	x      [][]int64
	scales [][]int8
	scaled [][]int64
	one    [][1]int8

	block   fastBlock // and on their way out
	instant fastBlock // a single one
}

// fastIn is a column of values and their scales, which integers do not have.
type fastIn struct {
	x      []int64
	scales []int8
}

// fastRing is what a ring holds: an argument, or its squares, -1 when it only counts rows.
type fastRing struct {
	arg    int
	square bool
	wide   bool // arg is a wide one
}

// fastQueue is the least or greatest values of an argument, and the frames that look for
// them.
type fastQueue struct {
	arg    int
	least  bool
	frames []int
	use    int // of its first frame among those of all queues
}

type fastFn uint8

const (
	fastSum fastFn = iota
	fastMean
	fastCount
	fastFirst
	fastLast
	fastMost // least or greatest: by queue
	fastSquares
	fastVar // with ddof
	fastStd
	fastQuo // num / den
)

// fastOut is one feature.
type fastOut struct {
	fn         fastFn
	frame, arg int
	queue, use int
	ddof       int64
	wide       bool // of a sum: its argument is a wide one
	num, den   fastTerm
}

// framesAlone tells that rows go nowhere but to the output and to children, and that nothing but frames of one
// level makes their features.
func (v *viewState) framesAlone() bool {
	s := v.p.Scans
	if v.frames.Levels != 2 || v.p.Hidden || v.p.Late || v.p.Keyed || len(v.joins) > 0 || v.alerts.m != nil {
		return false
	}
	return len(v.joiners)+len(v.members) == 0 && s.ResetWords == 0 && len(s.Prog.Steps) == 0
}

// fastPlan finds out whether the view can be worked out so; nil when it cannot.
func (v *viewState) fastPlan() *fastFrames {
	f, s := v.frames, v.p.Scans
	if v.task.plan.plain || !v.framesAlone() {
		return nil
	}
	p := &fastFrames{windows: v.p.Parent >= 0}
	if !v.fastArgs(p) {
		return nil
	}
	squares := v.fastSquares()
	for k := range f.Rings {
		if !v.fastRing(p, &f.Rings[k], squares) {
			return nil
		}
	}
	loads := map[int]fastOut{}
	if !p.byRows(f.Frames) || v.p.Instants && p.rows[0] > 0 {
		return nil
	}
	for k := range f.Frames.Frames {
		fr := &f.Frames.Frames[k]
		p.spans = append(p.spans, fr.Span)
		for _, ld := range fr.Loads {
			o, ok := p.out(fr, k, ld)
			if !ok {
				return nil
			}
			loads[ld.Reg] = o
		}
	}
	for _, in := range s.Keeps[1] {
		o, ok := fastProgram(&in, loads)
		if !ok {
			return nil
		}
		loads[int(in.Dst)] = o
	}
	for _, d := range v.p.Outs {
		o, ok := loads[d.Reg]
		if !ok || o.fn == fastSquares || (o.wide || slices.Contains([]fastFn{fastMean, fastVar, fastStd, fastQuo}, o.fn)) && d.As != plan.F64 {
			return nil
		}
		p.outs = append(p.outs, o)
	}
	for _, c := range v.children {
		if !v.fastChild(p, c) {
			return nil
		}
	}
	for k := range p.queues {
		p.queues[k].use = p.uses
		p.uses += len(p.queues[k].frames)
	}
	p.panes = v.panesAlone(p)
	return p
}

// fastProgram is what an instruction of the finish program makes of results of frames.
func fastProgram(in *op.Instr, loads map[int]fastOut) (o fastOut, ok bool) {
	a, okA := loads[int(in.A)]
	b, okB := loads[int(in.B)]
	c, okC := loads[int(in.C)]
	switch in.Op {
	case op.QuoX:
		sum := a.fn == fastSum || a.fn == fastCount
		ok = okA && okB && sum && (b.fn == fastSum || b.fn == fastCount)
		o = fastOut{fn: fastQuo, num: a.term(), den: b.term()}
		if a.fn == fastSum && !a.wide && b.fn == fastCount && a.frame == b.frame {
			o, o.fn = a, fastMean
		}
	case op.Var:
		ok = okA && okB && okC && a.fn == fastCount && b.fn == fastSum && c.fn == fastSquares && a.frame == b.frame && c.frame == b.frame && c.arg == b.arg
		o = b
		o.fn, o.ddof = fastVar, int64(in.N)
	case op.SqrtR:
		ok = okA && a.fn == fastVar
		o, o.fn = a, fastStd
	}
	return o, ok
}

// columnArg is the argument that a register of the finish program has, -1 for none.
func (v *viewState) columnArg(reg int) int {
	for _, ld := range v.p.Loads {
		if ld.Reg == reg && ld.Kind != plan.LoadStart && ld.Kind != plan.LoadEnd {
			return slices.Index(v.kept, ld.Acc)
		}
	}
	return -1
}

// fastSquares finds the squares of columns that the program makes, by register.
func (v *viewState) fastSquares() map[int]int {
	squares := map[int]int{}
	for _, in := range v.p.Scans.Keeps[0] {
		if a := v.columnArg(int(in.A)); in.Op == op.MulX && in.A == in.B && a >= 0 {
			squares[int(in.Dst)] = a
		}
	}
	return squares
}

// fastArgs makes the columns that the view keeps the arguments: they must be exact.
func (v *viewState) fastArgs(p *fastFrames) bool {
	for _, k := range v.kept {
		in := &v.p.Inputs[k]
		if in.Kind != op.KExact || v.p.Parent < 0 && in.Ref.Source != plan.Payload {
			return false
		}
		p.args = append(p.args, in)
	}
	n := len(p.args)
	p.squared = make([]bool, n)
	p.in, p.kept = make([]fastIn, n), make([]fastIn, n)
	p.x, p.scaled, p.scales, p.one = make([][]int64, n), make([][]int64, n), make([][]int8, n), make([][1]int8, n)
	return true
}

// fastRing finds a ring's argument.
func (v *viewState) fastRing(p *fastFrames, g *plan.Ring, squares map[int]int) bool {
	if g.Where >= 0 || g.With != op.KNull {
		return false
	}
	if g.Reg < 0 {
		p.rings = append(p.rings, fastRing{arg: -1})
		return g.Words == 0
	}
	r := fastRing{arg: v.columnArg(g.Reg)}
	if r.arg < 0 {
		r.arg, r.square = squares[g.Reg]
		if r.square {
			p.squared[r.arg] = true
		} else if r.arg, r.wide = v.wideArg(p, g.Reg); !r.wide {
			return false
		}
	}
	p.rings = append(p.rings, r)
	return g.Kind == op.KExact // a ring that only counts has no kind
}

// out is the result of an accumulator of frame k.
func (p *fastFrames) out(fr *plan.Frame, k int, ld plan.Load) (o fastOut, ok bool) {
	if slices.Contains([]plan.LoadKind{plan.LoadMean, plan.LoadQuantile, plan.LoadStatistic}, ld.Kind) {
		return o, false
	}
	ring := p.rings[fr.Of[ld.Acc]]
	o = fastOut{frame: k, arg: ring.arg}
	fn := fr.Accs[ld.Acc].Fn
	if ring.square && fn != op.Count {
		o.fn = fastSquares
		return o, fn == op.Sum
	}
	o.wide = ring.wide && fn != op.Count
	if o.wide && fn != op.Sum {
		return o, false
	}
	switch fn {
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
	queue = slices.IndexFunc(p.queues, func(q fastQueue) bool { return q.arg == arg && q.least == least })
	if queue < 0 {
		queue = len(p.queues)
		p.queues = append(p.queues, fastQueue{arg: arg, least: least})
	}
	q := &p.queues[queue]
	q.frames = append(q.frames, frame)
	return queue, len(q.frames) - 1
}
