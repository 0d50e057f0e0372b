package lang

import (
	"strconv"
	"strings"

	"github.com/pinova-group/tidemark/market/num"
)

// text is the canonical text of an accumulator: equal text on equal input is equal state.
func (a *Agg) text() string {
	var b strings.Builder
	b.WriteString(a.Fn)
	b.WriteByte('(')
	for i, x := range a.Args {
		if i > 0 {
			b.WriteString(", ")
		}
		writeNode(&b, x)
	}
	switch a.Fn {
	case "quantile":
		b.WriteString(", " + decText(a.P))
		if a.Approx.M != 0 {
			b.WriteString(", approx=" + decText(a.Approx))
		}
	case "lead":
		b.WriteString(", max=" + shortDuration(a.Max) + ", step=" + shortDuration(a.Step))
	case "var", "std", "cov":
		b.WriteString(", ddof=" + strconv.Itoa(a.DDof))
	}
	if a.Where != nil {
		b.WriteString(" where ")
		writeNode(&b, a.Where)
	}
	b.WriteByte(')')
	b.WriteString(a.Over.text())
	return b.String()
}

var nodeOps = map[NodeOp]string{
	NNeg: "neg", NNot: "not", NAnd: "and", NOr: "or", NEq: "eq", NNe: "ne", NLt: "lt", NLe: "le", NGt: "gt", NGe: "ge",
	NAdd: "add", NSub: "sub", NMul: "mul", NDiv: "div", NMod: "mod", NIn: "in", NIsNull: "is_null", NIf: "if", NRank: "rank",
}

// String prints a node with its operators as calls: add(price, 1).
func (n *Node) String() string {
	var b strings.Builder
	writeNode(&b, n)
	return b.String()
}

func writeNode(b *strings.Builder, n *Node) {
	switch n.Op {
	case NConst:
		writeConst(b, n)
		return
	case NColumn:
		b.WriteString(n.Fn)
		return
	case NAgg:
		b.WriteString("agg#" + strconv.Itoa(n.Index))
		return
	case NFeature:
		b.WriteString("feature#" + strconv.Itoa(n.Index))
		return
	case NClock:
		b.WriteString("clock." + n.Fn)
		return
	case NWindowStart:
		b.WriteString("window_start")
		return
	case NWindowEnd:
		b.WriteString("window_end")
		return
	case NCall, NScan:
		b.WriteString(n.Fn)
	default:
		if n.Not {
			b.WriteString("not_")
		}
		b.WriteString(nodeOps[n.Op])
	}
	b.WriteByte('(')
	for i, a := range n.Args {
		if i > 0 {
			b.WriteString(", ")
		}
		writeNode(b, a)
	}
	b.WriteByte(')')
}

func writeConst(b *strings.Builder, n *Node) {
	switch {
	case n.Const.Null:
		b.WriteString("null")
	case n.Type.Kind == TText || n.Type.Kind == TID:
		b.WriteString(quoteText(n.Const.Text))
	case n.Type.Kind == TBool:
		b.WriteString(strconv.FormatBool(n.Const.Dec.M != 0))
	case n.Type.Kind == TEnum && n.Const.Dec.M < int64(len(n.Type.Words)):
		b.WriteString(n.Type.Words[n.Const.Dec.M])
	case n.Type.Kind == TDur:
		b.WriteString(shortDuration(n.Const.Dec.M))
	default:
		b.WriteString(decText(n.Const.Dec))
	}
}

// decText prints a decimal without trailing zeros: equal values, equal text.
func decText(d num.Dec) string {
	for d.S > 0 && d.M%10 == 0 {
		d.M, d.S = d.M/10, d.S-1
	}
	s := strconv.FormatInt(d.M, 10)
	if d.S == 0 {
		return s
	}
	sign := ""
	if s[0] == '-' {
		sign, s = "-", s[1:]
	}
	for len(s) <= int(d.S) {
		s = "0" + s
	}
	return sign + s[:len(s)-int(d.S)] + "." + s[len(s)-int(d.S):]
}
