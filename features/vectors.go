package features

import (
	"github.com/pinova-group/tidemark/features/op"
	"github.com/pinova-group/tidemark/features/plan"
	"github.com/pinova-group/tidemark/market"
)

// vectors runs the row program for accumulators without a kernel on many rows at once,
// where that gives what row by row would.
type vectors struct {
	v      *viewState
	m      *op.Vector // nil when the program has an operation without lanes
	of     part       // what runs on lanes
	scaled []int      // decimal columns among its inputs
	on     bool       // for the columns at hand
}

// init finds out whether some accumulators can be folded on lanes.
func (x *vectors) init(v *viewState, of part) {
	x.v, x.of = v, of
	if v.p.Parent >= 0 || v.p.Hold || v.p.Shape == plan.Latest || len(of.accs) == 0 || v.task.plan.plain {
		return
	}
	for _, k := range of.accs {
		for _, r := range []int{v.p.Args[k].Reg, v.p.Args[k].Where} {
			if r >= 0 && r < len(v.p.Row.Consts) {
				return // a constant that no instruction reads has no lanes
			}
		}
	}
	kinds := map[int]op.Kind{}
	for _, in := range of.inputs {
		if in.Ref.Source > plan.IngestTime || in.Kind != op.KExact && in.Kind != op.KBool {
			return
		}
		kinds[in.Reg] = in.Kind
		if in.Ref.Source == plan.Payload && in.Type == market.TypeDec {
			x.scaled = append(x.scaled, in.Ref.Index)
		}
	}
	if m, ok := op.NewVector(v.p.Row, of.code, kinds); ok {
		x.m = m
	}
}

// choose settles whether these columns have nulls that lanes cannot hold.
func (x *vectors) choose(c *cols) {
	x.on = x.m != nil && len(x.v.slowNow) == len(x.v.slow)
	for _, in := range x.of.inputs {
		switch in.Ref.Source {
		case plan.Payload:
			x.on = x.on && !c.hasNull[in.Ref.Index]
		case plan.IngestTime:
			x.on = x.on && !c.gaps
		}
	}
}

// fold folds rows lo to hi in runs of one scale.
func (x *vectors) fold(rec []uint64, c *cols, lo, hi int) {
	for lo < hi {
		n := min(hi-lo, op.VectorRows)
		for _, col := range x.scaled {
			n = scaleRun(c.c[col].Scale[lo : lo+n])
		}
		x.load(c, lo, lo+n)
		if x.m.Run(n) {
			x.foldLanes(rec, c.ts[lo:lo+n])
		} else {
			x.v.foldRowsOf(rec, c, lo, lo+n, &x.of, x.of.accs)
		}
		lo += n
	}
}

func (x *vectors) load(c *cols, lo, hi int) {
	for i := range x.of.inputs {
		in := &x.of.inputs[i]
		switch in.Ref.Source {
		case plan.Payload:
			col, s := &c.c[in.Ref.Index], int8(0)
			if in.Kind == op.KBool {
				x.m.LoadBool(in.Reg, col.I64[lo:hi])
				continue
			}
			if in.Type == market.TypeDec {
				s = col.Scale[lo]
			}
			x.m.Load(in.Reg, col.I64[lo:hi], s)
		case plan.EventTime:
			x.m.Load(in.Reg, c.ts[lo:hi], 0)
		case plan.RawTime:
			x.m.Load(in.Reg, c.raw[lo:hi], 0)
		default:
			x.m.Load(in.Reg, c.ingest[lo:hi], 0)
		}
	}
}

func (x *vectors) foldLanes(rec []uint64, ts []int64) {
	for _, k := range x.of.accs {
		a := &x.v.p.Args[k]
		var mask []uint8
		var arg *op.Lanes
		if a.Where >= 0 {
			mask = x.m.Lanes(a.Where).Bool
		}
		if a.Reg >= 0 {
			arg = x.m.Lanes(a.Reg)
		}
		if !x.v.p.Accs[k].FoldLanes(rec, arg, mask, ts, &x.v.task.sc) {
			rec[plan.MetaFlags] |= uint64(FlagOverflow)
		}
	}
}
