package sql

import (
	"fmt"
	"strings"

	"github.com/pinova-group/tidemark/features/lang"
)

// where joins conditions to a filter of an aggregate.
func where(conds ...string) string {
	var all []string
	for _, c := range conds {
		if c != "" {
			all = append(all, c)
		}
	}
	if len(all) == 0 {
		return ""
	}
	return " FILTER (WHERE " + strings.Join(all, " AND ") + ")"
}

// truth writes any and all.
func (w *writer) truth(b *strings.Builder, a *lang.Agg, i int, pos lang.Pos, x value, cond string) value {
	if x.kind != vBool {
		return w.refuse(pos, a.Fn+" of this type has no SQL in this version", "want a condition")
	}
	fn := map[string]string{"any": "bool_or", "all": "bool_and"}[a.Fn]
	return w.state(b, i, "", fn+"("+x.sql+")"+where(cond), value{kind: vBool})
}

// median writes the sorted values and takes half the sum of the two in the middle.
func (w *writer) median(b *strings.Builder, i int, pos lang.Pos, x value, cond string) value {
	if x.kind != vInt {
		return w.refuse(pos, "median of this type has no SQL in this version", "want a number")
	}
	l := w.state(b, i, "", "list_sort(list(CAST("+x.sql+" AS HUGEINT))"+where(cond, "("+x.sql+") IS NOT NULL")+")", value{}).sql
	return intValue(fmt.Sprintf("((%s[(len(%s) + 1) // 2] + %s[len(%s) // 2 + 1]) * 5)", l, l, l, l), x.scale+1)
}

// pair writes the aggregates of two arguments, over the rows where neither is null.
func (w *writer) pair(b *strings.Builder, a *lang.Agg, i int, pos lang.Pos, cond string, sc scope) value {
	x, y := w.expr(a.Args[0], sc), w.expr(a.Args[1], sc)
	switch {
	case x.kind == vBad:
		return x
	case y.kind == vBad:
		return y
	case x.kind != vInt || y.kind == vRatio || y.kind == vFloat || y.kind == vNull:
		return w.refuse(pos, a.Fn+" of these types has no SQL in this version", "want decimals")
	}
	filter := where(cond, "("+x.sql+") IS NOT NULL", "("+y.sql+") IS NOT NULL")
	col := func(suffix, sql string, v value) value { return w.state(b, i, suffix, sql+filter, v) }
	switch a.Fn {
	case "argmin", "argmax":
		if sc.tie == "" {
			return w.refuse(pos, a.Fn+" over several instruments goes by an order that the events do not carry", "want by: [exchange, market, symbol]")
		}
		key := "CAST(" + x.sql + " AS HUGEINT)"
		if a.Fn == "argmax" {
			key = "-" + key
		}
		return col("", "arg_min("+y.sql+", {'x': "+key+", 'tie': "+sc.tie+"})", y)
	case "cov", "slope":
		if y.kind == vInt {
			return comoment(a, x, y, col)
		}
	}
	return w.refuse(pos, a.Fn+" has no SQL in this version", "want count, sum, min, max, first, last, mean, var, std, median, cov, slope, argmin, argmax, any, all or distinct")
}

// comoment writes the sums of a covariance or slope.
func comoment(a *lang.Agg, x, y value, col func(suffix, sql string, v value) value) value {
	sum := func(suffix, term string) string {
		return col(suffix, "sum(CAST("+term+")", value{}).sql
	}
	n := col(".n", "count(*)", value{}).sql
	sx, sy := sum(".sx", x.sql+" AS HUGEINT)"), sum(".sy", y.sql+" AS HUGEINT)")
	sxy := sum(".sxy", x.sql+" AS HUGEINT) * "+y.sql)
	v := value{kind: vRatio, scale: x.scale + y.scale, sql: fmt.Sprintf("(%s * %s - %s * %s)", n, sxy, sx, sy)}
	if a.Fn == "cov" {
		v.den = fmt.Sprintf("CASE WHEN %s > %d THEN CAST(%s AS HUGEINT) * (%s - %d) END", n, a.DDof, n, n, a.DDof)
		return v
	}
	syy := sum(".syy", y.sql+" AS HUGEINT) * "+y.sql)
	v.den, v.denScale = fmt.Sprintf("nullif(%s * %s - %s * %s, 0)", n, syy, sy, sy), 2*y.scale
	return v
}
