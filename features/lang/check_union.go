package lang

import (
	"fmt"
	"strings"

	"github.com/pinova-group/tidemark/market"
)

// UnionInput is one kind of a union. A view over a union has each event once for each
// input of its kind, in the total order, then that of the aliases; columns of the other
// inputs are null in it.
type UnionInput struct {
	Alias string
	Kind  market.Kind
}

// union reads the inputs of from: {a: trade, b: quote}.
func (v *viewChecker) union() {
	pos := v.spec.Places["from"]
	if v.spec.Window.Kind == Latest {
		v.problem(pos, "want one kind or view, or a row view of the union below", "union in a latest window: the newest row of a member would be of one input alone")
	}
	v.view.Holds = true
	v.setColumns(append(append([]Column(nil), envelope...), envelopeTail...))
	for _, s := range v.spec.From {
		kind, ok := v.kinds.Parse(s.Name)
		switch {
		case s.Name == "":
			v.open = true
			continue
		case !ok && v.find(s) == nil:
			v.open = true
			v.problem(s.Pos, wantName(s.Name, v.sourceNames()), "unknown kind or view %q", s.Name)
			continue
		case !ok || kind == market.KindWatermark || kind == market.KindBook || s.Version != 0:
			v.open = true
			v.problem(s.Pos, "want kinds with plain columns, such as trade and quote", "%s in a union is not supported by this version", refText(s))
			continue
		case s.Alias == "book" || s.Alias == "clock":
			v.problem(s.Pos, "want another alias", "%q means something else before a point", s.Alias)
		}
		v.view.Union = append(v.view.Union, UnionInput{s.Alias, kind})
		for _, c := range v.kindColumns(kind) {
			c.Name, c.Type.Nullable, c.Input = s.Alias+"."+c.Name, true, len(v.view.Union)
			v.setColumns([]Column{c})
		}
	}
	if len(v.view.Union) > 0 {
		v.view.Kind = v.view.Union[0].Kind
	}
}

// unionName is alias.column of an input.
func (v *viewChecker) unionName(e *Expr, s scope) *Node {
	c, ok := v.cols[e.Args[0].Text+"."+e.Text]
	switch {
	case s.consts:
		v.problem(e.Pos, "want parameters and literals only", "column %s in %s", e, s.what)
	case len(e.Args) > 1:
		v.problem(e.Pos, "want "+c.Name, "%s is a column, not a function", e)
	case !ok && v.open:
	case !ok:
		var names []string
		for _, n := range v.colNames {
			if own, found := strings.CutPrefix(n, e.Args[0].Text+"."); found {
				names = append(names, own)
			}
		}
		v.problem(e.Pos, wantName(e.Text, names), "%s has no column %q", e.Args[0].Text, e.Text)
	case !s.rows:
		v.problem(e.Pos, "want first(…), last(…), sum(…) …", "column %s outside an aggregate", e)
	default:
		return v.mk(&Node{Op: NColumn, Fn: c.Name, Type: c.Type, Pos: e.Pos})
	}
	return v.badNode(e.Pos)
}

func (v *viewChecker) isUnion(alias string) bool {
	for _, s := range v.spec.From {
		if s.Alias != "" && s.Alias == alias {
			return true
		}
	}
	return false
}

// unionLines are the lines of a fingerprint about the inputs of a union.
func (v *viewChecker) unionLines() []string {
	var lines []string
	for k, u := range v.view.Union {
		var cols []Column
		for _, c := range v.view.Columns {
			if c.Input == k+1 {
				_, c.Name, _ = strings.Cut(c.Name, ".")
				cols = append(cols, c)
			}
		}
		lines = append(lines, fmt.Sprintf("input %s %s %s", u.Alias, v.kindText(u.Kind), strings.Join(v.columnLines(u.Kind, cols), " ")))
	}
	return lines
}
