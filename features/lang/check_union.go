package lang

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pinova-group/tidemark/market"
)

// UnionInput is one kind or view of a union. A view over a union has each row once for each
// input that has it, in the total order, then that of the aliases; columns of the other
// inputs are null in it. Rows of a view stand after the events of their instant.
type UnionInput struct {
	Alias string
	Kind  market.Kind // KindNone when the rows are those of a view
	View  *View       // nil when they are events
}

// union reads the inputs of from: {a: trade, b: quote}.
func (v *viewChecker) union() {
	pos := v.spec.Places["from"]
	if v.spec.Window.Kind == Latest {
		v.problem(pos, "want one kind or view, or a row view of the union below", "union in a latest window: the newest row of a member would be of one input alone")
	}
	v.view.Holds = true
	v.setColumns(v.unionEnvelope())
	for _, s := range v.spec.From {
		kind, ok := v.kinds.Parse(s.Name)
		var view *viewState
		if !ok {
			view = v.unionView(s)
		}
		switch {
		case s.Name == "":
			v.open = true
			continue
		case !ok && v.find(s) == nil:
			v.open = true
			v.problem(s.Pos, wantName(s.Name, v.sourceNames()), "unknown kind or view %q", s.Name)
			continue
		case !ok && view == nil: // it has problems of its own
			v.open = true
			continue
		case ok && (kind == market.KindWatermark || kind == market.KindBook || s.Version != 0):
			v.open = true
			v.problem(s.Pos, "want kinds with plain columns, such as trade and quote, or views", "%s in a union is not supported by this version", refText(s))
			continue
		case s.Alias == "book" || s.Alias == "clock":
			v.problem(s.Pos, "want another alias", "%q means something else before a point", s.Alias)
		}
		in, cols := UnionInput{Alias: s.Alias, Kind: kind}, v.kindColumns(kind)
		if view != nil {
			in.View, cols = view.view, view.cols
		}
		v.view.Union = append(v.view.Union, in)
		for _, c := range cols {
			c.Name, c.Type.Nullable, c.Input = s.Alias+"."+c.Name, true, len(v.view.Union)
			v.setColumns([]Column{c})
		}
	}
	if len(v.view.Union) > 0 {
		v.view.Kind = v.view.Union[0].Kind
	}
}

// unionView is a view of a union, nil when it is unknown or has problems.
func (v *viewChecker) unionView(s Source) *viewState {
	parent := v.find(s)
	if parent == nil {
		return nil
	}
	st := v.checker.view(parent)
	if st == nil || parent.broken {
		return nil
	}
	return st
}

// unionKeys are the entity columns that all inputs of a union have.
func (v *viewChecker) unionKeys() []string {
	keys := entityColumns
	for _, s := range v.spec.From {
		if _, kind := v.kinds.Parse(s.Name); kind {
			continue
		}
		if st := v.unionView(s); st != nil {
			own := v.entityOf(st.view)
			keys = slices.DeleteFunc(slices.Clone(keys), func(k string) bool { return !contains(own, k) })
		}
	}
	return keys
}

// unionEnvelope are the columns that may be named without an alias: those of every event,
// and where a view is among the inputs the time and the entity columns that all have.
func (v *viewChecker) unionEnvelope() []Column {
	all := append(append([]Column(nil), envelope...), envelopeTail...)
	if !slices.ContainsFunc(v.spec.From, func(s Source) bool { _, kind := v.kinds.Parse(s.Name); return !kind }) {
		return all
	}
	keys := v.unionKeys()
	return slices.DeleteFunc(all, func(c Column) bool { return c.Name != "ts" && !contains(keys, c.Name) })
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
		if u.View != nil {
			lines = append(lines, fmt.Sprintf("input %s parent %x", u.Alias, u.View.Fingerprint))
			continue
		}
		lines = append(lines, fmt.Sprintf("input %s %s %s", u.Alias, v.kindText(u.Kind), strings.Join(v.columnLines(u.Kind, cols), " ")))
	}
	return lines
}
