package sql

import (
	"fmt"
	"strings"

	"github.com/pinova-group/tidemark/features/lang"
)

// maxText bounds the text of one expression: products of ratios repeat their terms.
const maxText = 1 << 16

// maxScale is how many digits after the point a DECIMAL(38) can store.
const maxScale = 37

// expr translates a node. What has no exact SQL is refused at its place.
func (w *writer) expr(n *lang.Node, sc scope) value {
	v := w.node(n, sc)
	switch {
	case len(v.sql)+len(v.den) > maxText:
		return w.refuse(n.Pos, "the SQL of this expression is too long", "want features for its parts")
	case v.scale > maxScale || v.denScale > maxScale:
		return w.refuse(n.Pos, fmt.Sprintf("this product has %d digits after the point, DECIMAL(38) has room for %d", max(v.scale, v.denScale), maxScale), "want fewer factors, or fewer --digits")
	}
	return v
}

func (w *writer) node(n *lang.Node, sc scope) value {
	switch n.Op {
	case lang.NConst:
		return constant(n)
	case lang.NColumn:
		if v, ok := sc.names[n.Fn]; ok {
			return w.readable(n, v)
		}
		return w.refuse(n.Pos, "column "+n.Fn+" is not in the SQL of this version", "want a column of the kind, or a feature of the parent")
	case lang.NAgg:
		return sc.aggs[n.Index]
	case lang.NFeature:
		return sc.feats[sc.view.Features[n.Index].Name]
	case lang.NWindowStart:
		return wholeValue("window_start")
	case lang.NWindowEnd:
		return wholeValue("window_end")
	}
	args := make([]value, len(n.Args))
	for i, a := range n.Args {
		if args[i] = w.expr(a, sc); args[i].kind == vBad {
			return args[i]
		}
	}
	switch n.Op {
	case lang.NNot:
		return value{kind: vBool, sql: "(NOT " + args[0].sql + ")"}
	case lang.NAnd:
		return value{kind: vBool, sql: "(" + args[0].sql + " AND " + args[1].sql + ")"}
	case lang.NOr:
		return value{kind: vBool, sql: "(" + args[0].sql + " OR " + args[1].sql + ")"}
	case lang.NEq, lang.NNe, lang.NLt, lang.NLe, lang.NGt, lang.NGe:
		return w.compare(n, args)
	case lang.NIn:
		return w.in(n, args)
	case lang.NIsNull:
		return w.isNull(n, args[0])
	case lang.NIf:
		if v, ok := choose("CASE WHEN "+args[0].sql+" THEN ", " ELSE ", args[1], args[2]); ok {
			return v
		}
		return w.refuse(n.Pos, "if between a ratio and another value has no SQL in this version", "want if around its terms")
	case lang.NNeg:
		args = append([]value{intValue("0", 0)}, args...)
		return w.arith(n, lang.NSub, args)
	case lang.NAdd, lang.NSub, lang.NMul, lang.NDiv:
		return w.arith(n, n.Op, args)
	case lang.NMod:
		return w.refuse(n.Pos, "% has no SQL in this version", "leave the feature out of the view that is compared")
	case lang.NCall:
		return w.call(n, args)
	}
	return w.refuse(n.Pos, "this expression has no SQL in this version", "leave the feature out of the view that is compared")
}

// readable refuses a feature of a parent that SQL knows only rounded.
func (w *writer) readable(n *lang.Node, v value) value {
	if v.kind == vFloat {
		return w.refuse(n.Pos, n.Fn+" is a float: what is computed from it differs in its last bits", "want the exact terms")
	}
	return v
}

func constant(n *lang.Node) value {
	switch {
	case n.Const.Null:
		return value{kind: vNull, sql: "NULL"}
	case n.Type.Kind == lang.TText || n.Type.Kind == lang.TID:
		return value{kind: vText, sql: text(n.Const.Text)}
	case n.Type.Kind == lang.TBool:
		return value{kind: vBool, sql: map[bool]string{true: "TRUE", false: "FALSE"}[n.Const.Dec.M != 0]}
	case n.Type.Kind == lang.TEnum:
		if m := n.Const.Dec.M; m >= 0 && m < int64(len(n.Type.Words)) {
			return value{kind: vText, sql: text(n.Type.Words[m])}
		}
		return value{kind: vNull, sql: "NULL"}
	}
	d := n.Const.Dec
	for d.S > 0 && d.M%10 == 0 {
		d.M, d.S = d.M/10, d.S-1
	}
	s := itoa(d.M)
	if d.M < 0 {
		s = "(" + s + ")"
	}
	return intValue(s, int(d.S))
}

// same brings two whole numbers to one scale.
func same(a, b value) (x, y string, scale int) {
	return at(a.sql, a.scale, b.scale), at(b.sql, b.scale, a.scale), max(a.scale, b.scale)
}

func huge(s string) string { return "CAST(" + s + " AS HUGEINT)" }

// arith adds, subtracts, multiplies and divides whole numbers and ratios without rounding.
func (w *writer) arith(n *lang.Node, op lang.NodeOp, args []value) value {
	a, b := args[0], args[1]
	if a.kind == vNull || b.kind == vNull {
		return value{kind: vNull, sql: "NULL"}
	}
	number := func(v value) bool { return v.kind == vInt || v.kind == vRatio }
	if !number(a) || !number(b) {
		return w.refuse(n.Pos, "arithmetic with a float rounds more than once", "want the root as a feature of its own")
	}
	sign := map[lang.NodeOp]string{lang.NAdd: "+", lang.NSub: "-"}[op]
	if a.kind == vInt && b.kind == vInt {
		switch op {
		case lang.NMul:
			return intValue(fmt.Sprintf("(%s * %s)", huge(a.sql), b.sql), a.scale+b.scale)
		case lang.NDiv:
			return value{kind: vRatio, sql: a.sql, scale: a.scale, den: "nullif(" + b.sql + ", 0)", denScale: b.scale}
		}
		x, y, s := same(a, b)
		return intValue(fmt.Sprintf("(%s %s %s)", huge(x), sign, y), s)
	}
	a, b = a.ratio(), b.ratio()
	mul := func(x, y string) string {
		if y == "1" {
			return x
		}
		if x == "1" {
			return y
		}
		return fmt.Sprintf("(%s * %s)", huge(x), y)
	}
	switch op {
	case lang.NMul:
		return value{kind: vRatio, sql: mul(a.sql, b.sql), scale: a.scale + b.scale, den: mul(a.den, b.den), denScale: a.denScale + b.denScale}
	case lang.NDiv: // (a.n/a.d) / (b.n/b.d); a null b.d makes the numerator null
		return value{kind: vRatio, sql: mul(a.sql, b.den), scale: a.scale + b.denScale,
			den: mul(a.den, "nullif("+b.sql+", 0)"), denScale: a.denScale + b.scale}
	}
	x := value{sql: mul(a.sql, b.den), scale: a.scale + b.denScale}
	y := value{sql: mul(b.sql, a.den), scale: b.scale + a.denScale}
	l, r, s := same(x, y)
	return value{kind: vRatio, sql: fmt.Sprintf("(%s %s %s)", huge(l), sign, r), scale: s,
		den: mul(a.den, b.den), denScale: a.denScale + b.denScale}
}

var compareOps = map[lang.NodeOp]string{lang.NEq: "=", lang.NNe: "<>", lang.NLt: "<", lang.NLe: "<=", lang.NGt: ">", lang.NGe: ">="}

func (w *writer) compare(n *lang.Node, args []value) value {
	a, b := args[0], args[1]
	x, y := a.sql, b.sql
	switch {
	case a.kind == vRatio || b.kind == vRatio || a.kind == vFloat || b.kind == vFloat:
		return w.refuse(n.Pos, "a comparison with a quotient or root would be decided on a rounded value", "want the comparison multiplied out")
	case a.kind == vInt && b.kind == vInt:
		x, y, _ = same(a, b)
	}
	return value{kind: vBool, sql: "(" + x + " " + compareOps[n.Op] + " " + y + ")"}
}

func (w *writer) in(n *lang.Node, args []value) value {
	var parts []string
	for _, c := range args[1:] {
		v := w.compare(&lang.Node{Op: lang.NEq, Pos: n.Pos}, []value{args[0], c})
		if v.kind == vBad {
			return v
		}
		parts = append(parts, v.sql)
	}
	s := "(" + strings.Join(parts, " OR ") + ")"
	if n.Not {
		s = "(NOT " + s + ")"
	}
	return value{kind: vBool, sql: s}
}

func (w *writer) isNull(n *lang.Node, v value) value {
	s := v.sql
	if v.kind == vRatio { // null when either term is
		s = "(" + v.sql + " + " + v.den + ")"
	}
	if n.Not {
		return value{kind: vBool, sql: "(" + s + " IS NOT NULL)"}
	}
	return value{kind: vBool, sql: "(" + s + " IS NULL)"}
}

// choose writes one of two values of one kind, numbers at one scale.
func choose(head, between string, a, b value) (value, bool) {
	switch {
	case a.kind == vInt && b.kind == vInt:
		x, y, s := same(a, b)
		return intValue(head+x+between+y+" END", s).closed(), true
	case a.kind == vNull && b.kind == vInt, a.kind == vInt && b.kind == vNull:
		return intValue(head+a.sql+between+b.sql+" END", max(a.scale, b.scale)).closed(), true
	case a.kind == vRatio || b.kind == vRatio || a.kind == vFloat || b.kind == vFloat:
		return value{}, false
	}
	k := a.kind
	if k == vNull {
		k = b.kind
	}
	return value{kind: k, sql: "(" + head + a.sql + between + b.sql + " END)"}, true
}

func (v value) closed() value {
	v.sql = "(" + v.sql + ")"
	return v
}

// call translates the row functions that are exact on whole numbers.
func (w *writer) call(n *lang.Node, args []value) value {
	if n.Fn == "ln" || n.Fn == "exp" {
		return w.refuse(n.Pos, n.Fn+" differs in its last bits from one library to the next", "leave the feature out of the view that is compared")
	}
	for _, a := range args {
		if a.kind != vInt {
			return w.refuse(n.Pos, n.Fn+" of a quotient, a root or null has no SQL in this version", "want it around the exact terms")
		}
	}
	a := args[0]
	switch n.Fn {
	case "abs":
		return intValue("abs("+a.sql+")", a.scale)
	case "sign":
		return intValue("CAST(sign("+a.sql+") AS BIGINT)", 0)
	case "min_of", "max_of":
		return fold(args, map[string]string{"min_of": "<=", "max_of": ">="}[n.Fn])
	case "clamp": // min_of(max_of(x, low), high)
		return fold([]value{fold(args[:2], ">="), args[2]}, "<=")
	case "coalesce":
		v := args[0]
		for _, b := range args[1:] {
			x, y, s := same(v, b)
			v = intValue("coalesce("+x+", "+y+")", s)
		}
		return v
	}
	return w.refuse(n.Pos, n.Fn+" has no SQL in this version", "want abs, sign, min_of, max_of, clamp or coalesce")
}

// fold keeps the value that compares so with each of the others; null when one is null,
// unlike least and greatest.
func fold(args []value, op string) value {
	v := args[0]
	for _, b := range args[1:] {
		x, y, s := same(v, b)
		v = intValue(fmt.Sprintf("(CASE WHEN %s %s %s THEN %s WHEN %s IS NOT NULL THEN %s END)", x, op, y, x, x, y), s)
	}
	return v
}
