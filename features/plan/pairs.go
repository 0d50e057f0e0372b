package plan

import (
	"fmt"

	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/features/op"
)

// pairs are the aggregates of two arguments that are one accumulator.
var pairs = map[string]op.Func{"wmedian": op.Weighted, "cov": op.Comoments, "corr": op.Comoments, "slope": op.Comoments,
	"argmin": op.ArgMin, "argmax": op.ArgMax, "hy": op.Paths, "lead": op.Paths}

// stat is a statistic of an accumulator of power sums.
type stat struct {
	fn   op.Func
	bits int // Moments: greatest power
	stat op.Stat
	kind op.Kind
}

var stats = map[string]stat{
	"skew":  {op.Moments, 3, op.StatSkew, op.KFloat},
	"kurt":  {op.Moments, 4, op.StatKurt, op.KRatio},
	"cov":   {op.Comoments, 0, op.StatCov, op.KRatio},
	"corr":  {op.Comoments, 0, op.StatCorr, op.KFloat},
	"slope": {op.Comoments, 0, op.StatSlope, op.KRatio},
	"hy":    {op.Paths, 0, op.StatHY, op.KRatio},
	"lead":  {op.Paths, 0, op.StatLead, op.KExact},
}

// statistic makes the accumulator of a statistic and loads it.
func (l *lowering) statistic(s stat, g *lang.Agg, a arg) (value, error) {
	i, err := l.acc(s.fn, a, s.bits)
	return l.load(Load{Kind: LoadStatistic, Acc: i, Stat: op.Statistic{Stat: s.stat, DDof: int64(g.DDof), Max: g.Max, Step: g.Step}}, s.kind), err
}

// pair joins the two arguments of an aggregate into one value of the row program.
func (l *lowering) pair(g *lang.Agg, a arg) (arg, error) {
	fn := pairs[g.Fn]
	b, err := l.arg(g.Args[1], g.Where)
	if err != nil {
		return a, err
	}
	x, y, err := l.pairKinds(fn, a.val, b.val)
	if err != nil {
		return a, err
	}
	either := int32(0)
	if fn == op.Paths {
		either = 1
	}
	p := l.row.emit(op.KPair, op.Instr{Op: op.Pair, A: uint16(x.reg), B: uint16(y.reg), N: either})
	return arg{val: value{p.reg, x.kind}, with: y.kind, where: a.where, key: a.key + nodeKey(g.Args[1])}, nil
}

// pairKinds brings the values of a pair to the kinds that its accumulator takes.
func (l *lowering) pairKinds(fn op.Func, x, y value) (value, value, error) {
	var err error
	switch fn {
	case op.Weighted:
		if x, err = l.as(op.Order, x); err == nil && y.kind != op.KExact {
			err = fmt.Errorf("its weight is not exact")
		}
	case op.ArgMin, op.ArgMax:
		if x, err = l.as(op.Min, x); err == nil {
			y, err = l.as(op.First, y)
		}
	case op.Comoments, op.Paths:
		if x, err = l.as(fn, x); err == nil {
			y, err = l.as(fn, y)
		}
	}
	return x, y, err
}

// quantile loads an exact quantile.
func (l *lowering) quantile(g *lang.Agg, a arg) (value, error) {
	i, err := l.acc(op.Order, a, 0)
	if err != nil {
		return value{}, err
	}
	k := l.v.Accs[i].Kind
	if k == op.KFloat {
		return l.load(Load{Kind: LoadQuantile, Acc: i, P: g.P}, k), nil
	}
	return l.binary(l.load(Load{Kind: LoadQuantile, Acc: i, P: g.P}, op.KRatio), k.QBits()), nil
}
