package plan

import (
	"fmt"

	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/features/op"
	"github.com/pinova-group/tidemark/market/num"
)

// lowering makes the accumulators of a view and the programs before and after them.
type lowering struct {
	v     *View
	row   *coder
	fin   *coder
	views []*View // parents that are done
	carry bool    // keep last values for windows without events

	group  *group        // of a latest window
	inputs map[int]value // by column index
	accs   map[string]int
	loads  map[string]value
	feats  map[int]value
	aggs   map[int]value
	frames []*frameSpace
	rows   *coder // the row program, while the arguments of a frame take the place of row
}

// columns is the program whose registers the input columns are loaded into.
func (l *lowering) columns() *coder {
	if l.rows != nil {
		return l.rows
	}
	return l.row
}

// feature is the value of a feature in the finish program. An aggregate of a latest window
// may name one that is written later.
func (l *lowering) feature(i int) (value, error) {
	if x, ok := l.feats[i]; ok {
		return x, nil
	}
	x, err := l.fin.expr(l.v.Lang.Features[i].Node)
	if err == nil {
		l.feats[i] = x
	}
	return x, err
}

// column loads a column of the input into the row program.
func (l *lowering) column(n *lang.Node) (value, error) {
	if v, ok := l.inputs[n.Index]; ok {
		return v, nil
	}
	col := l.v.Lang.Columns[n.Index]
	in, err := l.inputOf(col)
	if err != nil {
		return value{}, err
	}
	in.Reg = l.columns().reg()
	l.v.Inputs = append(l.v.Inputs, in)
	l.inputs[n.Index] = value{in.Reg, in.Kind}
	return l.inputs[n.Index], nil
}

func (l *lowering) inputOf(col lang.Column) (Input, error) {
	switch {
	case col.Join > 0:
		return l.joinRef(col)
	case col.Input > 0:
		return l.unionRef(col)
	case col.Book != nil:
		return l.bookInput(col), nil
	}
	return l.ref(col.Name, col.Type)
}

// arg is the argument of an accumulator as it is folded.
type arg struct {
	val   value
	with  op.Kind // of a pair: the kind of its second value; val.kind is that of the first
	where value
	key   string
	node  *lang.Node
	cond  *lang.Node
}

func (l *lowering) arg(x, where *lang.Node) (arg, error) {
	a := arg{val: value{-1, op.KNull}, where: value{-1, op.KBool}, key: nodeKey(x) + nodeKey(where), node: x, cond: where}
	var err error
	if x != nil {
		if a.val, err = l.row.expr(x); err != nil {
			return a, err
		}
	}
	if where != nil {
		if a.where, err = l.row.expr(where); err == nil {
			a.where, err = l.row.convert(a.where, op.KBool)
		}
	}
	return a, err
}

// as brings an argument to the kind that is folded: where one value is kept a ratio is
// kept as the float64 nearest to it; sums take exact values only.
func (l *lowering) as(fn op.Func, v value) (value, error) {
	switch fn {
	case op.First, op.Last, op.Min, op.Max, op.Distinct, op.Order:
		if v.kind == op.KRatio {
			return l.row.convert(v, op.KFloat)
		}
		if v.kind == op.KText && (fn == op.Min || fn == op.Max || fn == op.Order) {
			return v, fmt.Errorf("a text has no order here")
		}
		return v, nil
	}
	if v.kind == op.KExact || v.kind.Fixed() && fn != op.Hist {
		return v, nil
	}
	return v, fmt.Errorf("its argument is not exact")
}

// acc returns the index of an accumulator, shared by all that need the same.
func (l *lowering) acc(fn op.Func, a arg, bits int) (int, error) {
	if fn != op.Count {
		if a.val.reg < 0 {
			return 0, fmt.Errorf("aggregate needs an argument")
		}
		if a.val.kind == op.KNull {
			return 0, fmt.Errorf("aggregate of the constant null")
		}
		var err error
		if !op.Table[fn].Pair { // a pair was brought to its kinds when it was made
			a.val, err = l.as(fn, a.val)
		}
		if err != nil {
			return 0, err
		}
	} else if a.node != nil && a.node.Op == lang.NColumn && !a.node.Type.Nullable {
		a.val.reg, a.key = -1, nodeKey(nil)+nodeKey(a.cond)
	}
	key := fmt.Sprint(fn, bits, a.val.kind, a.with, a.key)
	if i, ok := l.accs[key]; ok {
		return i, nil
	}
	acc := op.Acc{Fn: fn, Kind: a.val.kind, With: a.with, Bits: bits, Off: l.v.Stride}
	l.v.Stride += acc.Words()
	l.v.Accs = append(l.v.Accs, acc)
	l.v.Args = append(l.v.Args, Arg{Reg: a.val.reg, Where: a.where.reg, Fast: l.fast(fn, a)})
	l.accs[key] = len(l.v.Accs) - 1
	return l.accs[key], nil
}

func (l *lowering) load(ld Load, kind op.Kind) value {
	key := fmt.Sprint(ld.Kind, ld.Acc, ld.P, ld.Stat)
	if v, ok := l.loads[key]; ok {
		return v
	}
	v := value{l.fin.reg(), kind}
	ld.Reg = v.reg
	l.v.Loads = append(l.v.Loads, ld)
	l.loads[key] = v
	return v
}

// loadAcc makes an accumulator and loads it.
func (l *lowering) loadAcc(fn op.Func, a arg) (value, error) {
	i, err := l.acc(fn, a, 0)
	if err != nil {
		return value{}, err
	}
	kind := l.v.Accs[i].Kind
	if fn == op.ArgMin || fn == op.ArgMax {
		kind = l.v.Accs[i].With
	}
	if fn == op.Count || fn == op.Distinct {
		kind = op.KExact
	}
	return l.load(Load{Kind: LoadAcc, Acc: i}, kind), nil
}

// funcs are the aggregates that are one accumulator.
var funcs = map[string]op.Func{
	"first": op.First, "last": op.Last, "min": op.Min, "max": op.Max,
	"sum": op.Sum, "count": op.Count, "distinct": op.Distinct, "median": op.Order,
	"any": op.Max, "all": op.Min,
}

// agg is the value of aggregate i in the finish program.
func (l *lowering) agg(i int) (value, error) {
	if v, ok := l.aggs[i]; ok {
		return v, nil
	}
	g := l.v.Lang.Aggs[i]
	var x *lang.Node
	if len(g.Args) > 0 {
		x = g.Args[0]
	}
	input := func() (arg, error) {
		a, err := l.arg(x, g.Where)
		if err == nil && pairs[g.Fn] != 0 {
			a, err = l.pair(g, a)
		}
		return a, err
	}
	output := func(a arg) (value, error) {
		v, err := l.aggOf(g, a)
		if err == nil && l.carry {
			v, err = l.carried(g.Fn, a, v)
		}
		return v, err
	}
	var v value
	var err error
	if over := g.Over; over.Span > 0 || l.v.Instants {
		if l.v.Instants {
			over.Span = l.v.Window.Width
		}
		v, err = l.overRows(over, input, output)
	} else {
		var a arg
		if a, err = input(); err != nil {
			return value{}, err
		}
		v, err = output(a)
	}
	if err != nil {
		return v, fmt.Errorf("%s: %w", g.Fn, err)
	}
	l.aggs[i] = v
	return v, nil
}

func (l *lowering) aggOf(g *lang.Agg, a arg) (value, error) {
	if fn, ok := funcs[g.Fn]; ok {
		return l.loadAcc(fn, a)
	}
	if st, ok := stats[g.Fn]; ok {
		return l.statistic(st, g, a)
	}
	if fn, ok := pairs[g.Fn]; ok {
		return l.loadAcc(fn, a)
	}
	switch g.Fn {
	case "mean":
		return l.mean(a)
	case "var", "std":
		v, err := l.variance(g, a)
		if err == nil && g.Fn == "std" {
			v = l.fin.op1(op.SqrtR, op.KFloat, v)
		}
		return v, err
	case "time_mean":
		fn := op.Integral
		if l.v.Lang.ReadsBook(a.node) {
			fn = op.LiveIntegral
		}
		i, err := l.acc(fn, a, 0)
		if err != nil {
			return value{}, err
		}
		v := l.load(Load{Kind: LoadMean, Acc: i}, op.KRatio)
		return l.binary(v, l.v.Accs[i].Kind.QBits()), nil
	case "quantile":
		if g.Approx.M == 0 {
			return l.quantile(g, a)
		}
		bits, ok := op.HistBits(g.Approx)
		if !ok {
			return value{}, fmt.Errorf("needs approx, a relative error between 0.000001 and 1")
		}
		i, err := l.acc(op.Hist, a, bits)
		if err != nil {
			return value{}, err
		}
		return l.fin.convert(l.load(Load{Kind: LoadQuantile, Acc: i, P: g.P}, op.KExact), op.KFloat)
	}
	return value{}, fmt.Errorf("not yet in the engine")
}

// binary gives a ratio that counts units of 2^-bits its value.
func (l *lowering) binary(v value, bits uint) value {
	if bits == 0 {
		return v
	}
	unit := l.fin.constant(fmt.Sprint("2^-", bits), op.KRatio, func(c *op.Val) {
		one := num.FromInt64(1)
		c.R.SetBinary(&one, bits)
	})
	return l.fin.op2(op.MulR, op.KRatio, v, unit)
}

func (l *lowering) mean(a arg) (value, error) {
	s, err := l.loadAcc(op.Sum, a)
	if err != nil {
		return s, err
	}
	n, err := l.loadAcc(op.Count, a)
	if err != nil {
		return n, err
	}
	return l.binary(l.fin.op2(op.QuoX, op.KRatio, value{s.reg, op.KExact}, n), s.kind.QBits()), nil
}

// variance is (n·S2 − S1²)/(n·(n − ddof)).
func (l *lowering) variance(g *lang.Agg, a arg) (value, error) {
	s1, err := l.loadAcc(op.Sum, a)
	if err != nil {
		return s1, err
	}
	n, err := l.loadAcc(op.Count, a)
	if err != nil {
		return n, err
	}
	x, err := l.as(op.Sum, a.val)
	if err != nil {
		return x, err
	}
	if x.kind == op.KQ120 { // its square has more binary digits than a sum holds
		return l.statistic(stat{op.Moments, 2, op.StatVar, op.KRatio}, g, a)
	}
	sq := arg{val: l.row.op2(op.MulX, op.KExact, x, x), where: a.where, key: "square" + a.key, cond: a.cond}
	if a.node.Op == lang.NColumn {
		sq.node = &lang.Node{Op: lang.NMul, Args: []*lang.Node{a.node, a.node}}
		sq.key = nodeKey(sq.node) + nodeKey(sq.cond)
	}
	s2, err := l.loadAcc(op.Sum, sq)
	if err != nil {
		return s2, err
	}
	v := l.fin.emit(op.KRatio, op.Instr{Op: op.Var, A: uint16(n.reg), B: uint16(s1.reg), C: uint16(s2.reg), N: int32(g.DDof)})
	return l.binary(v, 2*s1.kind.QBits()), nil
}

// carried replaces, in a window without events, first, last, min, max and mean by the
// last value of their argument, sums and counts stay 0, and all else is null.
func (l *lowering) carried(fn string, a arg, v value) (value, error) {
	switch fn {
	case "first", "last", "min", "max", "mean", "median":
	default:
		return v, nil // 0 or null by their own rule
	}
	last, err := l.loadAcc(op.Last, a)
	if err != nil {
		return last, err
	}
	if fn == "last" {
		return v, nil // the carried state is its own
	}
	_, both, err := l.fin.joinAll(last, v)
	if err != nil {
		return v, err
	}
	last, v = both[0], both[1]
	empty := l.load(Load{Kind: LoadEmpty}, op.KBool)
	return l.fin.emit(v.kind, op.Instr{Op: op.If, K: v.kind, A: uint16(empty.reg), B: uint16(last.reg), C: uint16(v.reg)}), nil
}
