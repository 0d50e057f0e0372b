package lang

// momentType types the aggregates that are functions of sums of powers and products: their
// arguments are added up exactly, so they must be integers at some scale.
func (v *viewChecker) momentType(e *Expr, agg *Agg) bool {
	names := functions[agg.Fn].names
	for i, a := range agg.Args {
		switch k := a.Type.Kind; {
		case !isSummable(k):
			return v.inexact(a.Pos, agg.Fn, "", a.Type, argText(e, i, names[i]))
		case k == TQ120 && len(agg.Args) == 1: // its powers have 480 binary digits
			return v.refuse(a.Pos, agg.Fn, a.Type, "want a decimal: round("+argText(e, i, names[i])+", 12)")
		}
	}
	agg.Type = Type{Kind: TRatio, Nullable: true}
	first := parseUnit(meanUnit(agg.Args[0].Type))
	switch agg.Fn {
	case "skew", "corr":
		agg.Type.Kind = TFloat
	case "lead":
		agg.Type.Kind = TDur
	case "cov", "hy":
		agg.Type.Unit = first.times(parseUnit(meanUnit(agg.Args[1].Type)), 1).String()
	case "slope":
		agg.Type.Unit = first.times(parseUnit(meanUnit(agg.Args[1].Type)), -1).String()
	}
	return true
}

// maxLags bounds the work of lead: a pass over both series for each lag.
const maxLags = 1000

// lags reads the grid of lags of lead.
func (v *viewChecker) lags(agg *Agg, args []*Expr) bool {
	var ok, ok2 bool
	agg.Max, ok = v.duration(args[2], "max")
	agg.Step, ok2 = v.duration(args[3], "step")
	switch {
	case !ok || !ok2:
		return false
	case agg.Max%agg.Step != 0:
		v.problem(args[2].Pos, "want a multiple of "+shortDuration(agg.Step), "max is %s", shortDuration(agg.Max))
		return false
	case agg.Max/agg.Step > maxLags:
		v.problem(args[3].Pos, "want a larger step", "%d lags on each side", agg.Max/agg.Step)
		return false
	}
	return true
}
