package lang

import (
	"sort"
	"strings"
)

// String prints the canonical text of an expression: parsing it gives the same tree.
func (e *Expr) String() string {
	var b strings.Builder
	printExpr(&b, e, precOr)
	return b.String()
}

// prec is how strongly the outermost operator of e binds.
func (e *Expr) prec() int {
	switch e.Op {
	case OpBinary:
		return binaryPrec[e.Text]
	case OpIn, OpIsNull:
		return precCmp
	case OpUnary:
		if e.Text == "not" {
			return precNot
		}
		return precNeg
	case OpMethod, OpIndex:
		return precPost
	default:
		return precAtom
	}
}

func printExpr(b *strings.Builder, e *Expr, min int) {
	if e.prec() < min {
		b.WriteByte('(')
		printExpr(b, e, precOr)
		b.WriteByte(')')
		return
	}
	switch e.Op {
	case OpParam:
		b.WriteByte('$')
		b.WriteString(e.Text)
	case OpString:
		b.WriteString(quoteText(e.Text))
	case OpUnary:
		b.WriteString(e.Text)
		if e.Text == "not" {
			b.WriteByte(' ')
		}
		printExpr(b, e.Args[0], e.prec())
	case OpBinary:
		left := e.prec()
		if left == precCmp { // comparisons do not chain
			left++
		}
		printExpr(b, e.Args[0], left)
		b.WriteString(" " + e.Text + " ")
		printExpr(b, e.Args[1], e.prec()+1)
	case OpIn:
		printExpr(b, e.Args[0], precCmp+1)
		b.WriteString(" in ")
		printExpr(b, e.Args[1], precAtom)
	case OpIsNull:
		printExpr(b, e.Args[0], precCmp+1)
		b.WriteString(" is ")
		if e.Text == "not" {
			b.WriteString("not ")
		}
		b.WriteString("null")
	case OpCall:
		b.WriteString(e.Text)
		printArgs(b, e, e.Args)
		if e.Over != nil {
			b.WriteString(" over " + e.Over.String())
		}
	case OpMethod:
		printReceiver(b, e.Args[0])
		b.WriteString("." + e.Text)
		if e.HasArgs {
			printArgs(b, e, e.Args[1:])
		}
	case OpIndex:
		printReceiver(b, e.Args[0])
		b.WriteByte('[')
		printExpr(b, e.Args[1], precOr)
		b.WriteByte(']')
	case OpList:
		printArgs(b, &Expr{}, e.Args)
	case OpBad:
		b.WriteString("?")
	default: // number, duration, name, null, bool
		b.WriteString(e.Text)
	}
}

// printReceiver prints what stands before a point or a bracket. A number would swallow the
// point and a frame would take what follows, so both get parentheses.
func printReceiver(b *strings.Builder, e *Expr) {
	if e.Op == OpNumber || e.Op == OpDuration || e.Op == OpCall && e.Over != nil {
		b.WriteByte('(')
		printExpr(b, e, precOr)
		b.WriteByte(')')
		return
	}
	printExpr(b, e, precPost)
}

func printArgs(b *strings.Builder, e *Expr, args []*Expr) {
	b.WriteByte('(')
	for i, a := range args {
		if i > 0 {
			b.WriteString(", ")
		}
		printExpr(b, a, precOr)
	}
	names := make([]string, 0, len(e.Keys))
	for k := range e.Keys {
		names = append(names, k)
	}
	sort.Strings(names)
	for i, k := range names {
		if i > 0 || len(args) > 0 {
			b.WriteString(", ")
		}
		b.WriteString(k + "=")
		printExpr(b, e.Keys[k], precOr)
	}
	if e.Where != nil {
		if len(args)+len(names) > 0 {
			b.WriteByte(' ')
		}
		b.WriteString("where ")
		printExpr(b, e.Where, precOr)
	}
	b.WriteByte(')')
}

// String prints a frame as it stands after over.
func (f *Frame) String() string {
	if f.Rows == nil {
		return f.Span.String()
	}
	s := f.Rows.String() + " rows"
	if f.Within != nil {
		s += " within " + f.Within.String()
	}
	return s
}

// quoteText writes a string literal.
func quoteText(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
