package lang

import "fmt"

// rankType types the aggregates that rank values: median, exact quantile and wmedian. The
// median of decimals is a decimal, since half of one is; a quantile between two of them is a
// ratio. A ratio is ranked as the float64 nearest to it.
func (v *viewChecker) rankType(e *Expr, agg *Agg, x Type, pos Pos) bool {
	agg.Type = Type{Kind: x.Kind, Nullable: true, Unit: meanUnit(x)}
	switch {
	case x.Kind == TRatio || x.Kind == TFloat:
		agg.Type.Kind = TFloat
	case !isSummable(x.Kind):
		return v.refuse(pos, agg.Fn, x, "want a number or duration")
	case agg.Fn == "quantile":
		agg.Type.Kind = TRatio
	case x.Kind == TInt || x.Kind == TDur:
		agg.Type.Kind = TDec
	}
	if agg.Fn == "wmedian" {
		if w := agg.Args[1].Type; w.Kind != TInt && w.Kind != TDec {
			return v.inexact(agg.Args[1].Pos, "weight", "a weight that is ", w, argText(e, 1, "weight"))
		}
	}
	return true
}

// argType types argmin and argmax: the type of the value that is taken; a ratio is kept as
// the float64 nearest to it.
func (v *viewChecker) argType(agg *Agg, x Type, pos Pos) bool {
	y := agg.Args[1].Type
	agg.Type = Type{Kind: y.Kind, Unit: y.Unit, Words: y.Words, Nullable: true}
	if y.Kind == TRatio {
		agg.Type.Kind = TFloat
	}
	switch {
	case !isNumber(x.Kind) && x.Kind != TDur && x.Kind != TTime:
		return v.refuse(pos, agg.Fn, x, "want a number, time or duration")
	case y.Kind == TNull || y.Kind == TList:
		return v.refuse(agg.Args[1].Pos, agg.Fn, y, "want one value")
	}
	return true
}

// ordered tells the aggregates whose value depends on the order of rows: their states cannot
// be merged across entities.
func ordered(fn string) bool {
	switch fn {
	case "first", "last", "time_mean", "argmin", "argmax", "hy", "lead":
		return true
	}
	return false
}

// inexact refuses an argument that must be exact: a ratio or float may be rounded to a
// decimal first, other types have no place.
func (v *viewChecker) inexact(pos Pos, what, lead string, x Type, text string) bool {
	remedy := "want a number"
	if x.Kind == TRatio || x.Kind == TFloat {
		remedy = fmt.Sprintf("want a decimal: round(%s, 12)", text)
	}
	v.problem(pos, remedy, "%s%s in %s", lead, typeName(x), what)
	return false
}

// argText is an argument as it was written, by position or name.
func argText(e *Expr, i int, name string) string {
	if i < len(e.Args) {
		return e.Args[i].String()
	}
	if x := e.Keys[name]; x != nil {
		return x.String()
	}
	return "x"
}
