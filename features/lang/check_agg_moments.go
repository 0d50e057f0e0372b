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
	case "cov":
		agg.Type.Unit = first.times(parseUnit(meanUnit(agg.Args[1].Type)), 1).String()
	case "slope":
		agg.Type.Unit = first.times(parseUnit(meanUnit(agg.Args[1].Type)), -1).String()
	}
	return true
}
