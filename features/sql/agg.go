package sql

import (
	"fmt"
	"strings"

	"github.com/pinova-group/tidemark/features/lang"
)

// agg writes the states of one aggregate as columns and returns its value over them.
func (w *writer) agg(b *strings.Builder, a *lang.Agg, i int, pos lang.Pos, sc scope) value {
	switch a.Fn {
	case "time_mean":
		return w.refuse(pos, "time_mean has no SQL in this version", "leave the feature out of the view that is compared")
	case "quantile":
		if a.Approx.M == 0 {
			return w.refuse(pos, "quantile_cont of DuckDB interpolates in DOUBLE", "want median, or leave the feature out of the view that is compared")
		}
		return w.refuse(pos, "quantile is a rank among buckets, which SQL does not have", "leave the feature out of the view that is compared")
	}
	filter, only := "", ""
	if a.Where != nil {
		cond := w.expr(a.Where, sc)
		if cond.kind == vBad {
			return cond
		}
		filter, only = where(cond.sql), "("+cond.sql+")"
	}
	if len(a.Args) > 1 {
		return w.pair(b, a, i, pos, only, sc)
	}
	if len(a.Args) == 0 {
		return w.state(b, i, "", "count(*)"+filter, wholeValue(""))
	}
	x := w.expr(a.Args[0], sc)
	switch x.kind {
	case vBad:
		return x
	case vRatio, vFloat, vNull:
		return w.refuse(pos, a.Fn+" of a value that is rounded to a float differs in its last bit", "want a decimal, or the division after the aggregate")
	}
	col := func(suffix, sql string, v value) value { return w.state(b, i, suffix, sql+filter, v) }
	like := x
	switch a.Fn {
	case "any", "all":
		return w.truth(b, a, i, pos, x, only)
	case "median":
		return w.median(b, i, pos, x, only)
	case "count":
		return col("", "count("+x.sql+")", wholeValue(""))
	case "distinct":
		return col("", "count(DISTINCT "+x.sql+")", wholeValue(""))
	case "min", "max":
		return col("", a.Fn+"("+x.sql+")", like)
	case "first", "last":
		if sc.tie == "" {
			return w.refuse(pos, a.Fn+" over several instruments goes by an order that the events do not carry", "want by: [exchange, market, symbol]")
		}
		fn := map[string]string{"first": "arg_min", "last": "arg_max"}[a.Fn]
		return col("", fn+"("+x.sql+", "+sc.tie+")", like)
	}
	if x.kind != vInt {
		return w.refuse(pos, a.Fn+" of this type has no SQL in this version", "want a number")
	}
	if a.Fn == "sum" {
		s := col("", "sum(CAST("+x.sql+" AS HUGEINT))", like)
		s.sql = "coalesce(" + s.sql + ", 0)"
		return s
	}
	n := col(".n", "count("+x.sql+")", wholeValue(""))
	s1 := col(".s1", "sum(CAST("+x.sql+" AS HUGEINT))", intValue("", x.scale))
	switch a.Fn {
	case "mean":
		return value{kind: vRatio, sql: s1.sql, scale: x.scale, den: "nullif(" + n.sql + ", 0)"}
	case "var", "std":
		s2 := col(".s2", "sum(CAST("+x.sql+" AS HUGEINT) * "+x.sql+")", intValue("", 2*x.scale))
		v := value{kind: vRatio, scale: 2 * x.scale,
			sql: fmt.Sprintf("(%s * %s - %s * %s)", n.sql, s2.sql, s1.sql, s1.sql),
			den: fmt.Sprintf("CASE WHEN %s > %d THEN CAST(%s AS HUGEINT) * (%s - %d) END", n.sql, a.DDof, n.sql, n.sql, a.DDof)}
		if a.Fn == "std" {
			return value{kind: vFloat, sql: "sqrt(" + v.quotient() + ")"}
		}
		return v
	}
	return w.refuse(pos, a.Fn+" has no SQL in this version", "want count, sum, min, max, first, last, mean, var, std, median, cov, slope, argmin, argmax, any, all or distinct")
}

// state writes one column of an aggregate.
func (w *writer) state(b *strings.Builder, i int, suffix, sql string, v value) value {
	v.sql = ident(fmt.Sprintf("agg.%d%s", i, suffix))
	fmt.Fprintf(b, ",\n    %s AS %s", sql, v.sql)
	return v
}
