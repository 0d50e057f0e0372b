package plan

import (
	"fmt"

	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/features/op"
)

// pairs are the aggregates of two arguments that are one accumulator.
var pairs = map[string]op.Func{"wmedian": op.Weighted}

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
	p := l.row.emit(op.KPair, op.Instr{Op: op.Pair, A: uint16(x.reg), B: uint16(y.reg)})
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
