package lang

import (
	"fmt"

	"github.com/pinova-group/tidemark/market/num"
)

// aggregate types one accumulator and shares it with equal ones.
func (v *viewChecker) aggregate(e *Expr, args []*Expr, s scope) *Node {
	f := functions[e.Text]
	if s.consts {
		v.problem(e.Pos, "want parameters and literals only", "aggregate %q in %s", e.Text, s.what)
		return v.badNode(e.Pos)
	}
	frame, framed := v.frame(e)
	placed := v.placed(e, s) && v.overMembers(e) && framed
	inner := scope{rows: true, agg: e.Text, what: "aggregate " + e.Text, feature: s.feature}
	// The rows of a latest window are held: features are constants of the group. In a row
	// view each row has its features.
	if v.spec.Window.Kind == Latest || v.rowView() {
		inner.features = true
	}
	var nodes []*Node
	bad := !placed
	for i, a := range args {
		if a == nil || f.built && !rowArgs[f.names[i]] {
			continue
		}
		n := v.aggArg(e, f.names[i], a, inner)
		bad = bad || isBadType(n)
		nodes = append(nodes, n)
	}
	if placed && (e.Text == "argmin" || e.Text == "argmax") && args[1] == nil { // the time
		nodes = append(nodes, v.expr(&Expr{Op: OpName, Text: "ts", Pos: e.Pos}, inner))
	}
	agg := &Agg{Fn: e.Text, Args: nodes, Over: frame}
	if e.Where != nil {
		agg.Where = v.condition(e.Where, inner)
		bad = bad || isBadType(agg.Where)
	}
	if placed && !f.built {
		v.unsupported(e.Pos, "aggregate "+e.Text+" is", supportedList(aggregate))
		return v.badNode(e.Pos)
	}
	if !v.aggOptions(e, agg, args) || bad || !v.aggType(e, agg) {
		return v.badNode(e.Pos)
	}
	if (e.Over != nil || v.byEvent()) && agg.Fn != "count" {
		for _, n := range nodes {
			if n.Type.Kind == TText || n.Type.Kind == TID {
				v.unsupported(n.Pos, e.Text+" of text over rows is", "numbers, times, conditions, enums")
				return v.badNode(e.Pos)
			}
		}
	}
	return v.shared(e, agg)
}

// rowArgs are the arguments of aggregates that are expressions over the rows; the others
// are constants.
var rowArgs = map[string]bool{"x": true, "y": true, "value": true, "weight": true}

// placed tells whether an aggregate may stand where it does.
func (v *viewChecker) placed(e *Expr, s scope) bool {
	switch {
	case s.agg != "" && v.spec.Window.Kind == Latest && !s.members:
		v.problem(e.Pos, "want the inner one as a feature of its own, named here", "aggregate %q inside %q", e.Text, s.agg)
	case s.agg != "" && !s.members:
		v.problem(e.Pos, "want one aggregate over the rows, or a view over this view", "aggregate %q inside %q", e.Text, s.agg)
	case s.what == "bar":
		return true
	case !s.features:
		v.problem(e.Pos, "want columns and let: "+s.what+" belongs to the rows", "aggregate %q in %s", e.Text, s.what)
	case !v.rowView():
		if e.Over == nil {
			return true
		}
		v.problem(e.Over.Pos, "want it without over: the window says which rows", "over inside a %s window", v.spec.Window.Kind)
	case e.Over == nil && v.spec.broken: // its window may be what could not be read
	case e.Over == nil:
		v.problem(e.Pos, "want a window, such as window: {tumbling: 1m}", "aggregate %q in a row view", e.Text)
	default:
		return true
	}
	return false
}

// aggArg types a row argument; those that are lengths and grids are constants.
func (v *viewChecker) aggArg(e *Expr, name string, a *Expr, s scope) *Node {
	if name == "max" || name == "step" || name == "n" {
		return v.expr(a, scope{consts: true, what: name})
	}
	return v.expr(a, s)
}

// aggOptions reads the constant arguments.
func (v *viewChecker) aggOptions(e *Expr, agg *Agg, args []*Expr) bool {
	switch e.Text {
	case "var", "std", "cov":
		agg.DDof = 1
		if at := args[len(args)-1]; at != nil {
			d, ok := v.constInt(at, "ddof", 0, 100)
			agg.DDof = int(d)
			return ok
		}
	case "lead":
		return v.lags(agg, args)
	case "quantile":
		p, ok := v.fraction(args[1], "p", num.Dec{M: 1})
		agg.P = p
		if args[2] == nil {
			return ok
		}
		approx, ok2 := v.fraction(args[2], "approx", num.Dec{M: 5, S: 1})
		if ok2 && compareDec(approx, num.Dec{M: 1, S: 6}) < 0 {
			v.problem(args[2].Pos, "want a relative error from 0.000001 to 0.5", "approx is %s", args[2])
			return false
		}
		agg.Approx = approx
		return ok && ok2
	}
	return true
}

// fraction is a constant from 0 to high.
func (v *viewChecker) fraction(e *Expr, what string, high num.Dec) (num.Dec, bool) {
	n := v.expr(e, scope{consts: true, what: what})
	if isBadType(n) {
		return num.Dec{}, false
	}
	if n.Op != NConst || n.Type.Kind != TInt && n.Type.Kind != TDec || n.Const.Dec.M < 0 || compareDec(n.Const.Dec, high) > 0 {
		text := "1"
		if high.S > 0 {
			text = "0.5"
		}
		v.problem(e.Pos, "want a number from 0 to "+text, "%s is %s", what, e)
		return num.Dec{}, false
	}
	return n.Const.Dec, true
}

// aggType finds the type of the result and refuses arguments that the aggregate could
// only compute inexactly or not at all.
func (v *viewChecker) aggType(e *Expr, agg *Agg) bool {
	if agg.Fn == "count" {
		agg.Type = Type{Kind: TInt}
		return true
	}
	x, pos := agg.Args[0].Type, agg.Args[0].Pos
	switch agg.Fn {
	case "distinct":
		agg.Type = Type{Kind: TInt}
		if x.Kind == TRatio || x.Kind == TFloat || x.Kind == TList || x.Kind == TNull {
			return v.refuse(pos, agg.Fn, x, "want a column")
		}
		return true
	case "first", "last", "min", "max":
		return v.pickType(agg, x, pos)
	case "any", "all":
		agg.Type = Type{Kind: TBool, Nullable: true}
		return x.Kind == TBool || v.refuse(pos, agg.Fn, x, "want a condition, such as price > 100")
	case "argmin", "argmax":
		return v.argType(agg, x, pos)
	case "skew", "kurt", "cov", "corr", "slope", "hy", "lead":
		return v.momentType(e, agg)
	case "median", "wmedian":
		return v.rankType(e, agg, x, pos)
	case "quantile":
		if agg.Approx.M == 0 {
			return v.rankType(e, agg, x, pos)
		}
		agg.Type = Type{Kind: TFloat, Nullable: true, Unit: meanUnit(x)}
		if x.Kind != TInt && x.Kind != TDec && x.Kind != TDur {
			return v.refuse(pos, agg.Fn, x, "want a decimal: round(x, 12)")
		}
		return true
	}
	return v.exactType(e, agg, x, pos)
}

// meanUnit is the unit of a value that is no longer whole: a duration counts in µs.
func meanUnit(x Type) string {
	if x.Kind == TDur {
		return unit{time: 1}.String()
	}
	return x.Unit
}

// isSummable tells the kinds that are integers at some scale.
func isSummable(k TypeKind) bool {
	return k == TInt || k == TDec || k == TDur || k == TQ60 || k == TQ120
}

// pickType types the aggregates that return one of the values: a ratio is then a float,
// rounded once.
func (v *viewChecker) pickType(agg *Agg, x Type, pos Pos) bool {
	agg.Type = Type{Kind: x.Kind, Unit: x.Unit, Words: x.Words, Nullable: true}
	if x.Kind == TRatio {
		agg.Type.Kind = TFloat
	}
	needsOrder := agg.Fn == "min" || agg.Fn == "max"
	hasOrder := isNumber(x.Kind) || x.Kind == TDur || x.Kind == TTime
	switch {
	case needsOrder && (x.Kind == TText || x.Kind == TID):
		v.unsupported(pos, agg.Fn+" of text is", "numbers, times, durations")
		return false
	case x.Kind == TNull || x.Kind == TList || needsOrder && !hasOrder:
		return v.refuse(pos, agg.Fn, x, "want a number, time or duration")
	}
	return true
}

// exactType types sum, mean, var, std and time_mean, which add up integers.
func (v *viewChecker) exactType(e *Expr, agg *Agg, x Type, pos Pos) bool {
	if x.Kind == TRatio || x.Kind == TFloat {
		remedy := "want the exact terms, or a decimal: round(x, 12)"
		if len(e.Args) > 0 && x.Kind == TRatio {
			remedy = fmt.Sprintf("want the division after the sum, or a decimal: round(%s, 12)", e.Args[0])
		}
		v.problem(pos, remedy, "%s of %s is not exact", agg.Fn, typeName(x))
		return false
	}
	if !isSummable(x.Kind) {
		return v.refuse(pos, agg.Fn, x, "want a number")
	}
	agg.Type = Type{Kind: TRatio, Nullable: true, Unit: meanUnit(x)}
	switch agg.Fn {
	case "sum":
		agg.Type.Kind, agg.Type.Unit = x.Kind, x.Unit
	case "var":
		u := parseUnit(agg.Type.Unit)
		agg.Type.Unit = u.times(u, 1).String()
	case "std":
		agg.Type.Kind = TFloat
	}
	return true
}

func (v *viewChecker) refuse(pos Pos, fn string, x Type, remedy string) bool {
	v.problem(pos, remedy, "%s of %s", fn, typeName(x))
	return false
}

// shared enters an accumulator once, whoever uses it.
func (v *viewChecker) shared(e *Expr, agg *Agg) *Node {
	agg.Canonical = agg.text()
	v.ops[agg.Fn] = true
	i, known := v.aggs[agg.Canonical]
	if !known {
		i = len(v.view.Aggs)
		v.aggs[agg.Canonical] = i
		v.view.Aggs = append(v.view.Aggs, agg)
	}
	return v.mk(&Node{Op: NAgg, Index: i, Type: agg.Type, Pos: e.Pos})
}

func (v *viewChecker) intNode(pos Pos, i int64) *Node {
	return v.constNode(pos, Type{Kind: TInt}, num.Dec{M: i})
}
