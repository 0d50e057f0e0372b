package lang

import (
	"fmt"
	"strings"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/num"
)

// maxNodes bounds a typed expression with everything put in place.
const maxNodes = 20_000

// scope says what names mean where an expression stands.
type scope struct {
	rows     bool   // input columns and let
	features bool   // features, window_start, window_end
	consts   bool   // parameters and literals only
	agg      string // the aggregate around it
	members  bool   // inside a function among members, whose aggregates may stand in another
	alert    bool   // features and columns of the row, of an alert
	what     string // where, let, feature, require …, for messages
	feature  int    // index of the feature being checked
}

func (v *viewChecker) badNode(pos Pos) *Node {
	return &Node{Op: NConst, Pos: pos, Type: Type{Kind: tBad}, Const: Value{Null: true}}
}

func isBadType(ns ...*Node) bool {
	for _, n := range ns {
		if n.Type.Kind == tBad {
			return true
		}
	}
	return false
}

// mk measures a new node: shared parts count wherever they stand.
func (v *viewChecker) mk(n *Node) *Node {
	size := 1
	for _, a := range n.Args {
		size += max(v.sizes[a], 1)
	}
	if size > maxNodes {
		v.unboundedExpr(n.Pos)
		return v.badNode(n.Pos)
	}
	v.sizes[n] = size
	return n
}

func (v *viewChecker) unboundedExpr(pos Pos) {
	if !v.once["size"] {
		v.once["size"] = true
		v.problem(pos, "want fewer uses of let and of features written later", "expression has more than %d parts once names are put in place", maxNodes)
	}
}

func (v *viewChecker) expr(e *Expr, s scope) *Node {
	if e == nil { // its absence has been reported
		return v.badNode(Pos{})
	}
	switch e.Op {
	case OpBad:
		return v.badNode(e.Pos)
	case OpNumber:
		return v.number(e)
	case OpDuration:
		us, ok := parseDuration(e.Text)
		if !ok {
			v.problem(e.Pos, "want less than 292 thousand years", "duration %s is too long", e.Text)
			return v.badNode(e.Pos)
		}
		return v.constNode(e.Pos, Type{Kind: TDur}, num.Dec{M: us})
	case OpString:
		return v.mk(&Node{Op: NConst, Pos: e.Pos, Type: Type{Kind: TText}, Const: Value{Text: e.Text}})
	case OpNull:
		return v.mk(&Node{Op: NConst, Pos: e.Pos, Type: Type{Kind: TNull, Nullable: true}, Const: Value{Null: true}})
	case OpBool:
		return v.boolNode(e.Pos, e.Text == "true")
	case OpParam:
		return v.param(e)
	case OpName:
		return v.name(e, s)
	case OpUnary:
		return v.unary(e, s)
	case OpBinary:
		return v.binary(e, s)
	case OpIn:
		return v.in(e, s)
	case OpIsNull:
		x := v.expr(e.Args[0], s)
		if isBadType(x) {
			return x
		}
		return v.fold(v.mk(&Node{Op: NIsNull, Pos: e.Pos, Type: Type{Kind: TBool}, Not: e.Text == "not", Args: []*Node{x}}))
	case OpCall:
		return v.call(e, s)
	case OpMethod:
		return v.method(e, s)
	case OpIndex:
		v.unsupported(e.Pos, "lists are", oneValue)
	case OpList:
		v.problem(e.Pos, "want x in (a, b)", "a list outside in")
	}
	return v.badNode(e.Pos)
}

func (v *viewChecker) number(e *Expr) *Node {
	d, err := parseNumber(e.Text)
	if err != nil {
		v.problem(e.Pos, "want a decimal of at most 18 digits", "%s", err)
		return v.badNode(e.Pos)
	}
	kind := TDec
	if d.S == 0 {
		kind = TInt
	}
	return v.constNode(e.Pos, Type{Kind: kind}, d)
}

func (v *viewChecker) constNode(pos Pos, t Type, d num.Dec) *Node {
	return v.mk(&Node{Op: NConst, Pos: pos, Type: t, Const: Value{Dec: d}})
}

func (v *viewChecker) boolNode(pos Pos, b bool) *Node {
	d := num.Dec{}
	if b {
		d.M = 1
	}
	return v.constNode(pos, Type{Kind: TBool}, d)
}

// oneValue is what runs instead of lists.
const oneValue = "columns of one value; from: quote has the best prices"

// name resolves a bare word by where it stands.
func (v *viewChecker) name(e *Expr, s scope) *Node {
	if n := v.lookup(e, s); n != nil {
		return n
	}
	v.unknownName(e, s)
	return v.badNode(e.Pos)
}

// lookup returns what a bare word means in its scope, nil when it means nothing.
func (v *viewChecker) lookup(e *Expr, s scope) *Node {
	if s.alert {
		return v.alertName(e)
	}
	if n := v.windowName(e, s); n != nil {
		return n
	}
	if s.rows {
		if d := v.lets[e.Text]; d != nil {
			if d.state == 1 {
				v.enter(d, e.Pos)
				return v.badNode(e.Pos)
			}
			return v.letNode(d)
		}
		if c, ok := v.cols[e.Text]; ok {
			if c.Type.Kind == TList {
				v.problem(e.Pos, "supported: "+oneValue, "column %q is a list, which is not supported by this version", e.Text)
				return v.badNode(e.Pos)
			}
			return v.mk(&Node{Op: NColumn, Fn: c.Name, Type: c.Type, Pos: e.Pos})
		}
	}
	if s.features {
		if d := v.feats[e.Text]; d != nil {
			return v.featureRef(d, e.Pos)
		}
	}
	return nil
}

// known tells whether a word is a name in this scope, without checking what it stands for.
func (v *viewChecker) known(name string, s scope) bool {
	if s.alert {
		return contains(v.alertNames(), name)
	}
	_, isColumn := v.cols[name]
	return s.rows && (v.lets[name] != nil || isColumn) || s.features && v.feats[name] != nil ||
		s.features && !s.rows && (name == "window_start" || name == "window_end")
}

// unknownName says why a word means nothing here.
func (v *viewChecker) unknownName(e *Expr, s scope) {
	_, isColumn := v.cols[e.Text]
	switch {
	case s.consts:
		v.problem(e.Pos, "want parameters and literals only", "name %q in %s", e.Text, s.what)
	case s.alert && !v.open:
		v.unknownInAlert(e)
	case s.what == "bar" && v.feats[e.Text] != nil:
		v.problem(e.Pos, "want the aggregate itself: features are worked out when the bar has ended", "feature %q in bar", e.Text)
	case !s.rows && isColumn:
		v.problem(e.Pos, "want first(…), last(…), sum(…) …", "column %q outside an aggregate", e.Text)
	case !s.rows && v.lets[e.Text] != nil:
		v.problem(e.Pos, "want first(…), last(…), sum(…) …", "let %q outside an aggregate", e.Text)
	case s.rows && v.feats[e.Text] != nil && s.agg != "":
		if v.spec.Window.Kind != Latest {
			v.problem(e.Pos, "want columns, let and parameters inside an aggregate", "needs a second pass over the rows of the window")
		}
	case s.rows && v.feats[e.Text] != nil:
		v.problem(e.Pos, "want columns and let only", "feature %q in %s", e.Text, s.what)
	case v.open:
	case functions[e.Text].class != 0:
		v.problem(e.Pos, "want "+functions[e.Text].usage(e.Text), "function %q without parentheses", e.Text)
	default:
		names := v.scopeNames(s)
		remedy := wantName(e.Text, names)
		for _, our := range otherWords[strings.ToLower(e.Text)] {
			if contains(names, our) {
				remedy = "want " + our
			}
		}
		v.problem(e.Pos, remedy, "unknown name %q", e.Text)
	}
}

// scopeNames lists what can be named in a scope.
func (v *viewChecker) scopeNames(s scope) []string {
	var names []string
	if s.rows {
		for _, c := range v.colNames {
			if v.cols[c].Type.Kind != TList {
				names = append(names, c)
			}
		}
		for _, d := range v.spec.Let {
			names = append(names, d.Name)
		}
	}
	if s.features {
		for _, d := range v.spec.Features {
			if v.feats[d.Name].index != s.feature || s.what != "feature" {
				names = append(names, d.Name)
			}
		}
		if !s.rows {
			names = append(names, "window_start", "window_end")
		}
	}
	return names
}

func (v *viewChecker) unary(e *Expr, s scope) *Node {
	x := v.expr(e.Args[0], s)
	if isBadType(x) {
		return x
	}
	if e.Text == "not" {
		if x.Type.Kind != TBool && x.Type.Kind != TNull {
			v.problem(e.Args[0].Pos, "want a condition after not", "not of %s", typeName(x.Type))
			return v.badNode(e.Pos)
		}
		return v.fold(v.mk(&Node{Op: NNot, Pos: e.Pos, Type: Type{Kind: TBool, Nullable: x.Type.Nullable}, Args: []*Node{x}}))
	}
	if !isNumber(x.Type.Kind) && x.Type.Kind != TDur && x.Type.Kind != TNull {
		v.problem(e.Args[0].Pos, "want a number or duration after -", "minus of %s", typeName(x.Type))
		return v.badNode(e.Pos)
	}
	return v.fold(v.mk(&Node{Op: NNeg, Pos: e.Pos, Type: x.Type, Args: []*Node{x}}))
}

func (v *viewChecker) binary(e *Expr, s scope) *Node {
	switch e.Text {
	case "and", "or":
		l, r := v.expr(e.Args[0], s), v.expr(e.Args[1], s)
		for i, n := range []*Node{l, r} {
			if n.Type.Kind != TBool && n.Type.Kind != TNull && n.Type.Kind != tBad {
				v.problem(e.Args[i].Pos, "want a condition on both sides of "+e.Text, "%s is %s", e.Args[i], typeName(n.Type))
				return v.badNode(e.Pos)
			}
		}
		if isBadType(l, r) {
			return v.badNode(e.Pos)
		}
		op := NAnd
		if e.Text == "or" {
			op = NOr
		}
		return v.fold(v.mk(&Node{Op: op, Pos: e.Pos, Type: Type{Kind: TBool, Nullable: l.Type.Nullable || r.Type.Nullable}, Args: []*Node{l, r}}))
	case "+", "-", "*", "/", "%":
		l, r := v.expr(e.Args[0], s), v.expr(e.Args[1], s)
		if isBadType(l, r) {
			return v.badNode(e.Pos)
		}
		return v.arith(e, l, r)
	}
	return v.compare(e, s)
}

// sides types the two sides of a comparison; a bare word that is no name is an enum word
// of the other side.
func (v *viewChecker) sides(a, b *Expr, s scope) (l, r *Node) {
	isWord := func(e *Expr) bool { return e.Op == OpName && !v.known(e.Text, s) }
	if isWord(a) && !isWord(b) {
		r = v.expr(b, s)
		return v.word(a, r, s), r
	}
	l = v.expr(a, s)
	return l, v.word(b, l, s)
}

// word types e against the other side of a comparison.
func (v *viewChecker) word(e *Expr, other *Node, s scope) *Node {
	words := other.Type.Words
	if e.Op == OpString && other.Type.Kind == TEnum {
		v.problem(e.Pos, "want the word without quotes: "+strings.Join(shownWords(words), " "), "%s is text, the other side an enum", e)
		return v.badNode(e.Pos)
	}
	if e.Op == OpParam && other.Type.Kind == TEnum && v.params[e.Text] != nil && v.params[e.Text].kind == "string" {
		return v.enumWord(e.Pos, v.params[e.Text].expr.Text, other)
	}
	if other.Type.Kind == TText || other.Type.Kind == TID {
		if text, ok := v.bareText(e, s); ok && e.Op == OpBinary {
			v.problem(e.Pos, "want "+quoteText(text)+" for text", "%s is no text", e)
			return v.badNode(e.Pos)
		}
	}
	if e.Op != OpName {
		return v.expr(e, s)
	}
	known := v.known(e.Text, s)
	switch {
	case other.Type.Kind == TEnum && known && e.Text != "" && contains(words, e.Text) && v.isWordContext(e, other, s):
		v.problem(e.Pos, "want another name for the column, let or feature", "%q is a word of this enum and a name", e.Text)
		return v.badNode(e.Pos)
	case known:
		return v.expr(e, s)
	case other.Type.Kind == TEnum:
		return v.enumWord(e.Pos, e.Text, other)
	case (other.Type.Kind == TText || other.Type.Kind == TID) && !v.open:
		v.problem(e.Pos, "want "+quoteText(e.Text)+" for text", "unknown name %q", e.Text)
		return v.badNode(e.Pos)
	case other.Type.Kind == tBad:
		return v.badNode(e.Pos)
	}
	return v.expr(e, s)
}

// bareText puts BTC-USDT together again, which without quotes is a difference of names
// that do not exist.
func (v *viewChecker) bareText(e *Expr, s scope) (string, bool) {
	switch {
	case e.Op == OpName && !v.known(e.Text, s) && !v.open, e.Op == OpNumber:
		return e.Text, true
	case e.Op == OpBinary && e.Text == "-":
		l, ok := v.bareText(e.Args[0], s)
		r, ok2 := v.bareText(e.Args[1], s)
		return l + "-" + r, ok && ok2 && e.Args[0].Op != OpNumber
	}
	return "", false
}

// isWordContext tells a clash from a comparison of two enum columns.
func (v *viewChecker) isWordContext(e *Expr, other *Node, s scope) bool {
	c, isColumn := v.cols[e.Text]
	return !isColumn || c.Type.Kind != TEnum
}

func shownWords(words []string) []string {
	var out []string
	for _, w := range words {
		if w != "" {
			out = append(out, w)
		}
	}
	return out
}

func (v *viewChecker) enumWord(pos Pos, text string, other *Node) *Node {
	if i := indexOf(other.Type.Words, text); i >= 0 && text != "" {
		return v.constNode(pos, Type{Kind: TEnum, Words: other.Type.Words}, num.Dec{M: int64(i)})
	}
	v.problem(pos, wantName(text, shownWords(other.Type.Words)), "unknown word %q", text)
	return v.badNode(pos)
}

func (v *viewChecker) in(e *Expr, s scope) *Node {
	x := v.expr(e.Args[0], s)
	set := e.Args[1]
	items := set.Args
	raw := false
	if set.Op == OpParam {
		p := v.params[set.Text]
		switch {
		case p == nil:
			return v.param(set)
		case p.expr.Op == OpBad:
			return v.badNode(e.Pos)
		case p.kind != "list":
			v.problem(set.Pos, "want a parameter of type list", "parameter $%s is %s %s", set.Text, article(p.kind), p.kind)
			return v.badNode(e.Pos)
		}
		items, raw = p.expr.Args, true
	}
	n := &Node{Op: NIn, Pos: e.Pos, Type: Type{Kind: TBool, Nullable: x.Type.Nullable}, Args: []*Node{x}}
	bad := isBadType(x)
	for _, item := range items {
		it := *item
		if raw {
			it.Pos = set.Pos
		}
		c := v.element(&it, x, raw)
		if isBadType(c) {
			bad = true
			continue
		}
		if !isBadType(x) && (!v.comparable(x, c) || c.Op != NConst) {
			v.problem(it.Pos, "want constants of the type of the left side", "%s in a list beside %s", &it, typeName(x.Type))
			bad = true
		}
		n.Args = append(n.Args, c)
	}
	if bad {
		return v.badNode(e.Pos)
	}
	return v.fold(v.mk(n))
}

// element is one value of a list; those of a parameter are raw text, read by the type of
// the left side.
func (v *viewChecker) element(e *Expr, x *Node, raw bool) *Node {
	s := scope{consts: true, what: "a list"}
	if !raw {
		return v.word(e, x, s)
	}
	switch x.Type.Kind {
	case TText, TID, tBad:
		return v.expr(e, s)
	case TEnum:
		return v.enumWord(e.Pos, e.Text, x)
	}
	return v.expr(parseExpr(e.Text, func(int) Pos { return e.Pos }, func(p Problem) { v.problem(p.Pos, p.Remedy, "%s", p.What) }), s)
}

// method is book.mid, alias.column, clock.column; only the first is run by this version.
func (v *viewChecker) method(e *Expr, s scope) *Node {
	if s.alert {
		return v.notInAlert(e)
	}
	recv := e.Args[0]
	if recv.Op == OpName && recv.Text == "book" && v.view.Kind == market.KindBook {
		return v.bookMethod(e, s)
	}
	for _, a := range e.Args[1:] {
		if a.Op != OpName { // bid, ask, buy, sell are words of the method
			v.expr(a, s)
		}
	}
	if recv.Op != OpName {
		v.expr(recv, s)
		v.unsupported(e.Pos, "methods of expressions are", "")
		return v.badNode(e.Pos)
	}
	if jc := v.joined[recv.Text]; jc != nil {
		return v.joinedName(e, s, jc)
	}
	if v.isUnion(recv.Text) {
		return v.unionName(e, s)
	}
	switch {
	case recv.Text == "book" && !v.isAlias("book"):
		if !v.open {
			v.problem(e.Pos, "want from: book", "book.%s in a view that does not read the book", e.Text)
		}
	case recv.Text == "clock" && v.spec.Window.Kind == Clock:
		return v.clockColumn(e, s)
	case v.isAlias(recv.Text):
	case len(v.aliases()) == 0:
		v.problem(recv.Pos, "want a name without a point", "unknown alias %q", recv.Text)
	default:
		v.problem(recv.Pos, wantName(recv.Text, v.aliases()), "unknown alias %q", recv.Text)
	}
	return v.badNode(e.Pos)
}

func (v *viewChecker) isAlias(name string) bool { return contains(v.aliases(), name) }

func (v *viewChecker) aliases() []string {
	var names []string
	for _, j := range v.spec.Joins {
		names = append(names, j.Alias)
	}
	for _, s := range v.spec.From {
		if s.Alias != "" {
			names = append(names, s.Alias)
		}
	}
	return names
}

func article(word string) string {
	if strings.ContainsAny(word[:1], "aeiou") {
		return "an"
	}
	return "a"
}

// typeName is how messages call a type.
func typeName(t Type) string {
	name := map[TypeKind]string{
		TNull: "null", TBool: "a condition", TInt: "a whole number", TDec: "a decimal", TRatio: "a ratio",
		TFloat: "a float", TQ60: "a logarithm", TQ120: "a product of logarithms", TTime: "a time", TDur: "a duration", TEnum: "an enum",
		TText: "text", TID: "an id", TBook: "a book", TList: "a list", tBad: "unknown",
	}[t.Kind]
	if t.Unit != "" {
		name = fmt.Sprintf("%s in %s", name, t.Unit)
	}
	return name
}
