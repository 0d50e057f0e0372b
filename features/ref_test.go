package features_test

import (
	"fmt"
	"math"
	"math/big"
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/num"
)

// The reference engine: every view is evaluated from the whole list of events by the
// text of the language, over math/big rationals and Go maps, a window at a time.

// value is nil (null), bool, *big.Rat (exact, ratios, logarithms), float64 or string.
type value any

type event struct {
	kind   market.Kind
	inst   int
	ts     int64
	ingest int64
	feed   market.FeedID
	flags  uint8
	seq    uint64
	cols   map[string]value
}

type refRow struct {
	ent                      []string
	key                      refKey
	start, end, rowTS, avail int64
	hold                     int64
	flags                    uint8
	vals                     []value
}

type world struct {
	insts []market.Instrument
	feeds *market.Feeds
	order func(e *event) refKey
}

// input is one row that a view reads.
type input struct {
	ts, avail, hold int64
	key             refKey
	ownFlags        uint8 // without those of what the row joins
	flags           uint8
	col             func(name string) value
	group           func(n *lang.Node) value                          // among members of a latest window: what is no column
	join            func(r *refRow, t int64) func(n *lang.Node) value // the joins of a window's row
	scan            func(n *lang.Node) value
	ofView          bool // a row of a view
}

func (w *world) inputs(v *lang.View, events []*event, from map[*lang.View][]refRow) (map[string][]input, map[string][]string) {
	rows, names := map[string][]input{}, map[string][]string{}
	joined := w.withJoins(v, events, from)
	add := func(in input) {
		in = joined(in)
		if v.Where != nil {
			if ok, _ := evalRow(v, v.Where, in).(bool); !ok {
				return
			}
		}
		var ent []string
		for _, b := range v.By {
			ent = append(ent, fmt.Sprint(in.col("="+b)))
		}
		k := strings.Join(ent, "\x00")
		rows[k], names[k] = append(rows[k], in), ent
	}
	switch {
	case v.Union != nil:
		w.unionRows(v, events, from, add)
	case v.Parent == nil:
		for _, e := range events {
			if e.kind == v.Kind {
				add(w.fromEvent(v, e))
			}
		}
	default:
		for i := range from[v.Parent] {
			add(fromRow(v, &from[v.Parent][i]))
		}
	}
	for _, in := range rows {
		addScans(v, in)
	}
	return rows, names
}

func (w *world) fromEvent(v *lang.View, e *event) input {
	hold, lag := market.DefaultDisorder, market.DefaultAssumedLag
	if f := w.feeds.Get(e.feed); f != nil {
		hold, lag = f.Disorder, f.AssumedLag
	}
	in := input{ts: e.ts, key: w.order(e), avail: e.ingest, hold: hold}
	if e.ingest == market.NoTime {
		in.avail, in.flags = e.ts+lag, features.FlagAssumed
	}
	if e.flags&market.FlagGap != 0 {
		in.flags |= features.FlagGap
	}
	inst := w.insts[e.inst]
	in.col = func(name string) value {
		switch strings.TrimPrefix(name, "=") {
		case "ts", "event_ts":
			return rat(e.ts)
		case "ingest_ts":
			if e.ingest == market.NoTime {
				return nil
			}
			return rat(e.ingest)
		case "seq":
			return rat(int64(e.seq))
		case "feed":
			return w.feeds.Get(e.feed).Name
		case "exchange":
			return inst.Exchange
		case "symbol":
			return inst.Symbol
		case "base":
			return inst.Base
		case "quote":
			return inst.Quote
		case "market":
			if name[0] == '=' {
				return inst.Venue.String()
			}
			return word(v, name, inst.Venue.String())
		}
		return e.cols[name]
	}
	return in
}

// word is the code of a word in an enum column.
func word(v *lang.View, name, w string) value {
	for _, c := range v.Columns {
		if c.Name == name && c.Type.Kind == lang.TEnum {
			return rat(int64(slices.Index(c.Type.Words, w)))
		}
	}
	return w
}

func fromRow(v *lang.View, r *refRow) input {
	in := input{ts: r.rowTS, key: afterAll(r.rowTS), avail: r.avail, hold: r.hold, ofView: true}
	in.flags = r.flags & (features.FlagPartial | features.FlagWarmup | features.FlagGap | features.FlagAssumed)
	p := v.Parent
	in.col = func(name string) value {
		plain := strings.TrimPrefix(name, "=")
		if i := slices.Index(p.By, plain); i >= 0 {
			if name[0] == '=' {
				return r.ent[i]
			}
			return word(v, name, r.ent[i])
		}
		for i, f := range p.Features {
			if f.Name == name {
				if x, ok := r.vals[i].(*big.Rat); ok && v.Window.Kind == lang.Latest && f.Type.Kind == lang.TRatio {
					y, _ := x.Float64()
					return y // as it is kept
				}
				return r.vals[i]
			}
		}
		switch plain {
		case "ts", "row_ts":
			return rat(r.rowTS)
		case "window_start":
			return rat(r.start)
		case "window_end":
			return rat(r.end)
		case "available_at":
			return rat(r.avail)
		case "base", "quote":
			b, q := market.SplitSymbol(r.ent[slices.Index(p.By, "symbol")])
			if plain == "base" {
				return b
			}
			return q
		}
		panic("no column " + name)
	}
	return in
}

func rat(i int64) *big.Rat { return new(big.Rat).SetInt64(i) }

func dec(d num.Dec) *big.Rat {
	return new(big.Rat).SetFrac(big.NewInt(d.M), new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(d.S)), nil))
}

func evalRow(v *lang.View, n *lang.Node, in input) value {
	return eval(n, func(n *lang.Node) value {
		switch n.Op {
		case lang.NColumn:
			return in.col(v.Columns[n.Index].Name)
		case lang.NScan:
			return in.scan(n)
		}
		return in.group(n)
	})
}

// eval evaluates a node; leaf gives columns, aggregates, features and window bounds.
func eval(n *lang.Node, leaf func(*lang.Node) value) value {
	switch n.Op {
	case lang.NConst:
		switch {
		case n.Const.Null || n.Type.Kind == lang.TNull:
			return nil
		case n.Type.Kind == lang.TBool:
			return n.Const.Dec.M != 0
		case n.Type.Kind == lang.TText || n.Type.Kind == lang.TID:
			return n.Const.Text
		}
		return dec(n.Const.Dec)
	case lang.NColumn, lang.NAgg, lang.NFeature, lang.NWindowStart, lang.NWindowEnd, lang.NRank, lang.NScan, lang.NClock:
		return leaf(n)
	}
	args := make([]value, len(n.Args))
	for i, a := range n.Args {
		args[i] = eval(a, leaf)
	}
	switch n.Op {
	case lang.NAnd, lang.NOr:
		stop := n.Op == lang.NOr
		null := false
		for _, a := range args {
			if a == nil {
				null = true
			} else if a.(bool) == stop {
				return stop
			}
		}
		if null {
			return nil
		}
		return !stop
	case lang.NIsNull:
		return (args[0] == nil) != n.Not
	case lang.NIf:
		if c, _ := args[0].(bool); c {
			return args[1]
		}
		return args[2]
	}
	if n.Op == lang.NCall && n.Fn == "coalesce" {
		for _, a := range args {
			if a != nil {
				return a
			}
		}
		return nil
	}
	if n.Op == lang.NIn {
		if args[0] == nil {
			return nil
		}
		for _, a := range args[1:] {
			if compareVals(args[0], a) == 0 {
				return true
			}
		}
		return false
	}
	for _, a := range args {
		if a == nil {
			return nil
		}
	}
	switch n.Op {
	case lang.NNot:
		return !args[0].(bool)
	case lang.NEq:
		return compareVals(args[0], args[1]) == 0
	case lang.NNe:
		return compareVals(args[0], args[1]) != 0
	case lang.NLt:
		return compareVals(args[0], args[1]) < 0
	case lang.NLe:
		return compareVals(args[0], args[1]) <= 0
	case lang.NGt:
		return compareVals(args[0], args[1]) > 0
	case lang.NGe:
		return compareVals(args[0], args[1]) >= 0
	case lang.NNeg:
		return arithVals(lang.NSub, rat(0), args[0])
	case lang.NCall:
		return callVals(n, args)
	}
	return arithVals(n.Op, args[0], args[1])
}

func float(x value) (float64, bool) {
	switch x := x.(type) {
	case float64:
		return x, true
	case *big.Rat:
		f, _ := x.Float64()
		return f, true
	}
	return 0, false
}

func compareVals(a, b value) int {
	switch x := a.(type) {
	case string:
		return strings.Compare(x, b.(string))
	case bool:
		if x == b.(bool) {
			return 0
		}
		return 1
	case *big.Rat:
		if y, ok := b.(*big.Rat); ok {
			return x.Cmp(y)
		}
	}
	x, _ := float(a)
	y, _ := float(b)
	return int(math.Copysign(1, x-y)) * boolInt(x != y)
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func arithVals(o lang.NodeOp, a, b value) value {
	x, okx := a.(*big.Rat)
	y, oky := b.(*big.Rat)
	if !okx || !oky {
		f, _ := float(a)
		g, _ := float(b)
		r := 0.0
		switch o {
		case lang.NAdd:
			r = f + g
		case lang.NSub:
			r = f - g
		case lang.NMul:
			r = f * g
		case lang.NDiv:
			if g == 0 {
				return nil
			}
			r = f / g
		}
		if math.IsInf(r, 0) || math.IsNaN(r) {
			return nil
		}
		return r + 0
	}
	z := new(big.Rat)
	switch o {
	case lang.NAdd:
		return z.Add(x, y)
	case lang.NSub:
		return z.Sub(x, y)
	case lang.NMul:
		return z.Mul(x, y)
	case lang.NDiv:
		if y.Sign() == 0 {
			return nil
		}
		return z.Quo(x, y)
	}
	if y.Sign() == 0 { // %
		return nil
	}
	q := new(big.Rat).Quo(x, y)
	t := new(big.Int).Quo(q.Num(), q.Denom())
	return z.Sub(x, new(big.Rat).Mul(y, new(big.Rat).SetInt(t)))
}

func callVals(n *lang.Node, args []value) value {
	switch n.Fn {
	case "abs":
		if compareVals(args[0], rat(0)) < 0 {
			return arithVals(lang.NSub, rat(0), args[0])
		}
		return args[0]
	case "sign":
		return rat(int64(compareVals(args[0], rat(0))))
	case "min_of", "max_of":
		r := args[0]
		for _, a := range args[1:] {
			if c := compareVals(a, r); n.Fn == "min_of" && c < 0 || n.Fn == "max_of" && c > 0 {
				r = a
			}
		}
		return r
	case "clamp":
		r := args[0]
		if compareVals(r, args[1]) < 0 {
			r = args[1]
		}
		if compareVals(r, args[2]) > 0 {
			r = args[2]
		}
		return r
	case "round":
		d, _ := args[1].(*big.Rat).Float64()
		return roundRat(args[0].(*big.Rat), int(d))
	case "floor":
		x := args[0].(*big.Rat)
		return new(big.Rat).SetInt(new(big.Int).Div(x.Num(), x.Denom()))
	case "sqrt":
		return sqrtVal(args[0])
	case "exp":
		f, _ := float(args[0])
		return num.Exp(f)
	case "ln":
		return lnVal(args[0].(*big.Rat))
	}
	panic("call " + n.Fn)
}

// roundRat rounds half to even.
func roundRat(x *big.Rat, digits int) *big.Rat {
	p := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(digits)), nil)
	y := new(big.Rat).Mul(x, new(big.Rat).SetInt(p))
	f := new(big.Int).Div(y.Num(), y.Denom())
	rest := new(big.Rat).Sub(y, new(big.Rat).SetInt(f))
	switch c := rest.Cmp(big.NewRat(1, 2)); {
	case c > 0, c == 0 && f.Bit(0) == 1:
		f.Add(f, big.NewInt(1))
	}
	return new(big.Rat).SetFrac(f, p)
}

func sqrtVal(a value) value {
	if f, ok := a.(float64); ok {
		if f < 0 {
			return nil
		}
		return math.Sqrt(f)
	}
	x := a.(*big.Rat)
	if x.Sign() < 0 {
		return nil
	}
	f := new(big.Float).SetPrec(400).SetRat(x)
	r, _ := new(big.Float).SetPrec(400).Sqrt(f).Float64()
	return r
}

var lnKnown sync.Map // by the text of x

// lnVal is ln x rounded to 60 fraction bits, by the series of atanh at 300 bits.
func lnVal(x *big.Rat) value {
	if x.Sign() <= 0 {
		return nil
	}
	if y, ok := lnKnown.Load(x.String()); ok {
		return y
	}
	y := lnSeries(x)
	lnKnown.Store(x.String(), y)
	return y
}

func lnSeries(x *big.Rat) value {
	const prec = 300
	f := new(big.Float).SetPrec(prec).SetRat(x)
	mant := new(big.Float).SetPrec(prec)
	exp := f.MantExp(mant) // mant in [0.5, 1)
	sum := atanhLn(mant, prec)
	sum.Add(sum, new(big.Float).SetPrec(prec).Mul(new(big.Float).SetInt64(int64(exp)), atanhLn(big.NewFloat(2), prec)))
	sum.SetMantExp(sum, 60)
	r, _ := sum.Rat(nil)
	q := roundRat(r, 0)
	return q.Mul(q, new(big.Rat).SetFrac(big.NewInt(1), new(big.Int).Lsh(big.NewInt(1), 60)))
}

func atanhLn(m *big.Float, prec uint) *big.Float {
	one := new(big.Float).SetPrec(prec).SetInt64(1)
	z := new(big.Float).SetPrec(prec).Sub(m, one)
	z.Quo(z, new(big.Float).SetPrec(prec).Add(m, one))
	z2 := new(big.Float).SetPrec(prec).Mul(z, z)
	sum, p := new(big.Float).SetPrec(prec), new(big.Float).SetPrec(prec).Set(z)
	for k := int64(1); k < 400; k += 2 {
		sum.Add(sum, new(big.Float).SetPrec(prec).Quo(p, new(big.Float).SetInt64(k)))
		p.Mul(p, z2)
	}
	return sum.Mul(sum, big.NewFloat(2))
}

// aggValue evaluates an aggregate over the rows of a window (start, end as the rows see
// it); before is the entity's last row with a value before the window.
func aggValue(v *lang.View, a *lang.Agg, rows, before []input, start, end, carry int64) value {
	if len(a.Args) > 1 {
		return pairValue(v, a, rows)
	}
	var xs []value
	var ts []int64
	taken := func(in input) (value, bool) {
		if a.Where != nil {
			if ok, _ := evalRow(v, a.Where, in).(bool); !ok {
				return nil, false
			}
		}
		if len(a.Args) == 0 {
			return true, true
		}
		x := evalRow(v, a.Args[0], in)
		if r, ok := x.(*big.Rat); ok && a.Type.Kind == lang.TFloat && a.Fn != "std" && a.Fn != "quantile" && a.Fn != "skew" {
			f, _ := r.Float64()
			return f, true
		}
		return x, x != nil
	}
	for _, in := range rows {
		if x, ok := taken(in); ok {
			xs, ts = append(xs, x), append(ts, in.ts)
		}
	}
	n := int64(len(xs))
	switch a.Fn {
	case "count":
		return rat(n)
	case "distinct":
		seen := map[string]bool{}
		for _, x := range xs {
			seen[fmt.Sprint(x)] = true
		}
		return rat(int64(len(seen)))
	case "sum":
		s := rat(0)
		for _, x := range xs {
			s.Add(s, x.(*big.Rat))
		}
		return s
	}
	if n == 0 {
		return nil
	}
	switch a.Fn {
	case "first":
		return xs[0]
	case "last":
		return xs[n-1]
	case "min", "max":
		r := xs[0]
		for _, x := range xs {
			if c := compareVals(x, r); a.Fn == "min" && c < 0 || a.Fn == "max" && c > 0 {
				r = x
			}
		}
		return r
	case "mean", "var", "std":
		return moments(a, xs)
	case "any", "all":
		return slices.Contains(xs, value(a.Fn == "any")) == (a.Fn == "any")
	case "skew", "kurt":
		return shape(a, xs)
	case "median":
		return exactQuantile(a, xs, big.NewRat(1, 2))
	case "quantile":
		if a.Approx.M == 0 {
			return exactQuantile(a, xs, dec(a.P))
		}
		return quantile(a, xs)
	case "time_mean":
		var prev *input
		var pv value
		for i := range before {
			if x, ok := taken(before[i]); ok {
				prev, pv = &before[i], x
			}
		}
		area, dur := rat(0), int64(0)
		hold := func(x value, from, to int64) {
			area.Add(area, new(big.Rat).Mul(x.(*big.Rat), rat(to-from)))
			dur += to - from
		}
		if prev != nil && start-prev.ts <= carry {
			hold(pv, start, ts[0])
		}
		for i, x := range xs {
			to := end
			if i+1 < len(xs) {
				to = ts[i+1]
			}
			hold(x, ts[i], to)
		}
		if dur == 0 {
			return nil
		}
		return area.Quo(area, rat(dur))
	}
	panic("agg " + a.Fn)
}

func moments(a *lang.Agg, xs []value) value {
	n := int64(len(xs))
	s := rat(0)
	for _, x := range xs {
		s.Add(s, x.(*big.Rat))
	}
	mean := new(big.Rat).Quo(s, rat(n))
	if a.Fn == "mean" {
		return mean
	}
	if n <= int64(a.DDof) {
		return nil
	}
	ss := rat(0)
	for _, x := range xs {
		d := new(big.Rat).Sub(x.(*big.Rat), mean)
		ss.Add(ss, d.Mul(d, d))
	}
	ss.Quo(ss, rat(n-int64(a.DDof)))
	if a.Fn == "var" {
		return ss
	}
	return sqrtVal(ss)
}

// quantile returns the exact order statistic; it is compared within the error bound.
func quantile(a *lang.Agg, xs []value) value {
	sort.SliceStable(xs, func(i, j int) bool { return compareVals(xs[i], xs[j]) < 0 })
	k := new(big.Rat).Mul(dec(a.P), rat(int64(len(xs))))
	i := new(big.Int).Sub(new(big.Int).Neg(new(big.Int).Div(new(big.Int).Neg(k.Num()), k.Denom())), big.NewInt(1)).Int64()
	f, _ := float(xs[max(i, 0)])
	return approxVal{f, a.Approx.Float64()}
}

// approxVal is a float that another may differ from by a relative error.
type approxVal struct{ f, tol float64 }
