package lang

import "fmt"

// Binding strengths, weakest first; the printer uses them too.
const (
	precOr = iota + 1
	precAnd
	precNot
	precCmp
	precSum
	precMul
	precNeg
	precPost
	precAtom
)

var binaryPrec = map[string]int{
	"or": precOr, "and": precAnd,
	"==": precCmp, "!=": precCmp, "<": precCmp, "<=": precCmp, ">": precCmp, ">=": precCmp,
	"+": precSum, "-": precSum, "*": precMul, "/": precMul, "%": precMul,
}

// keywords cannot be names.
var keywords = map[string]bool{
	"and": true, "or": true, "not": true, "in": true, "is": true, "null": true,
	"true": true, "false": true, "where": true, "over": true,
}

// parser is a Pratt parser over one expression. A bad token stands for an operand and the
// parser goes on; after an error of grammar it stops, because what follows would be guesses.
type parser struct {
	lex    lexer
	tok    token
	at     func(off int) Pos
	report func(Problem)
	tokens int
	depth  int
	failed bool // an error of grammar: unwind
	bad    bool // any problem at all
}

func newParser(text string, at func(int) Pos, report func(Problem)) *parser {
	p := &parser{at: at, report: report}
	p.lex = lexer{text: text, report: p.problem}
	p.advance()
	return p
}

// parseExpr reads the whole of text as an expression. With problems the result is an OpBad
// or a tree that holds one.
func parseExpr(text string, at func(int) Pos, report func(Problem)) *Expr {
	p := newParser(text, at, report)
	if p.tok.kind == tokEnd {
		p.problem(0, "no expression", "want a value")
		return &Expr{Pos: at(0), Op: OpBad}
	}
	e := p.expr(precOr)
	p.end()
	if p.failed {
		return &Expr{Pos: at(0), Op: OpBad}
	}
	return e
}

func (p *parser) end() {
	if p.tok.kind != tokEnd {
		p.want("an operator or the end of the expression")
	}
}

func (p *parser) problem(off int, what, remedy string) {
	p.bad = true
	p.report(Problem{Pos: p.at(off), What: what, Remedy: remedy})
}

// fail reports the first error of grammar and ends the expression.
func (p *parser) fail(off int, what, remedy string) {
	if !p.failed {
		p.problem(off, what, remedy)
	}
	p.failed = true
	p.tok = token{kind: tokEnd, off: len(p.lex.text)}
}

// want reports the present token as not what the grammar asks for.
func (p *parser) want(what string) {
	if p.tok.kind == tokBad || p.lex.cut { // reported by the lexer
		p.failed = true
		p.tok = token{kind: tokEnd, off: len(p.lex.text)}
		return
	}
	p.fail(p.tok.off, fmt.Sprintf("found %q", p.tok.shown()), "want "+p.meant(what))
}

// meant is what was wanted in the place of a word or sign that other languages have there.
func (p *parser) meant(what string) string {
	switch {
	case p.isOp("="):
		return "== to compare"
	case p.isWord("if"):
		return "if(condition, then, else)"
	case p.isWord("where"):
		return "where inside the parentheses of an aggregate, as in sum(x where x > 5)"
	case p.isOp(","):
		return what + "; numbers have no commas"
	}
	return what
}

func (p *parser) advance() {
	if p.failed {
		return
	}
	p.tokens++
	if p.tokens > maxTokens {
		p.fail(p.lex.pos, "expression is too long", fmt.Sprintf("want at most %d words and signs: use let", maxTokens))
		return
	}
	p.tok = p.lex.next()
}

func (p *parser) isOp(text string) bool   { return p.tok.kind == tokOp && p.tok.text == text }
func (p *parser) isWord(text string) bool { return p.tok.kind == tokName && p.tok.text == text }

func (p *parser) expect(op string) {
	if !p.isOp(op) {
		p.want(fmt.Sprintf("%q", op))
		return
	}
	p.advance()
}

func (p *parser) node(op Op, off int, text string, args ...*Expr) *Expr {
	return &Expr{Pos: p.at(off), Op: op, Text: text, Args: args}
}

func (p *parser) expr(min int) *Expr {
	p.depth++
	defer func() { p.depth-- }()
	start := p.tok.off
	if p.depth > maxDepth {
		p.fail(start, "expression is nested too deeply", fmt.Sprintf("want at most %d levels: use let", maxDepth))
	}
	if p.failed {
		return p.node(OpBad, start, "")
	}
	e := p.prefix(min)
	compared := false
	for !p.failed {
		prec := p.infixPrec()
		if prec < min || prec == 0 {
			break
		}
		if prec == precCmp {
			if compared {
				p.chain()
				break
			}
			compared = true
		}
		e = p.infix(e, prec)
	}
	return e
}

// infixPrec is the strength of the operator at hand, 0 when there is none.
func (p *parser) infixPrec() int {
	if p.isWord("in") || p.isWord("is") {
		return precCmp
	}
	if p.tok.kind == tokOp || p.isWord("and") || p.isWord("or") {
		return binaryPrec[p.tok.text]
	}
	return 0
}

func (p *parser) chain() {
	p.problem(p.tok.off, "comparisons do not chain", "want a < b and b < c")
	p.failed = true
	p.tok = token{kind: tokEnd, off: len(p.lex.text)}
}

func (p *parser) infix(left *Expr, prec int) *Expr {
	op := p.tok
	p.advance()
	switch op.text {
	case "in":
		return p.in(left)
	case "is":
		not := ""
		if p.isWord("not") {
			not = "not"
			p.advance()
		}
		if !p.isWord("null") {
			p.want("null or not null after is, or ==")
		}
		p.advance()
		return &Expr{Pos: left.Pos, Op: OpIsNull, Text: not, Args: []*Expr{left}}
	}
	right := p.expr(prec + 1)
	return &Expr{Pos: left.Pos, Op: OpBinary, Text: op.text, Args: []*Expr{left, right}}
}

func (p *parser) in(left *Expr) *Expr {
	off := p.tok.off
	var set *Expr
	switch {
	case p.tok.kind == tokParam:
		set = p.node(OpParam, off, p.tok.text)
		p.advance()
	case p.isOp("("):
		set = p.paren()
		if !p.failed && set.Op != OpList && set.Op != OpBad {
			p.fail(off, "a list of one", `want two or more values in the list, or ==`)
		}
	default:
		p.want("a list (a, b) or $param after in")
	}
	return &Expr{Pos: left.Pos, Op: OpIn, Args: []*Expr{left, set}}
}

// prefix reads what can begin an operand: not, -, or an atom with what follows it.
func (p *parser) prefix(min int) *Expr {
	off := p.tok.off
	switch {
	case p.isWord("not") && min <= precNot:
		p.advance()
		return p.node(OpUnary, off, "not", p.expr(precNot))
	case p.isOp("-"):
		p.advance()
		return p.node(OpUnary, off, "-", p.expr(precNeg))
	}
	return p.post(p.atom())
}

func (p *parser) post(e *Expr) *Expr {
	for !p.failed {
		switch {
		case p.isOp("."):
			p.advance()
			if p.tok.kind != tokName || keywords[p.tok.text] {
				p.want("a name after the point")
				return e
			}
			m := &Expr{Pos: e.Pos, Op: OpMethod, Text: p.tok.text, Args: []*Expr{e}}
			p.advance()
			if p.isOp("(") {
				m.HasArgs = true
				p.args(m)
			}
			e = m
		case p.isOp("["):
			p.advance()
			index := p.expr(precOr)
			p.expect("]")
			e = &Expr{Pos: e.Pos, Op: OpIndex, Args: []*Expr{e, index}}
		default:
			return e
		}
	}
	return e
}

func (p *parser) atom() *Expr {
	t := p.tok
	switch t.kind {
	case tokNumber:
		p.advance()
		return p.node(OpNumber, t.off, t.text)
	case tokDuration:
		p.advance()
		return p.node(OpDuration, t.off, t.text)
	case tokString:
		p.advance()
		return p.node(OpString, t.off, t.text)
	case tokParam:
		p.advance()
		return p.node(OpParam, t.off, t.text)
	case tokBad:
		p.advance()
		return p.node(OpBad, t.off, "")
	case tokName:
		return p.named()
	case tokOp:
		if t.text == "(" {
			return p.paren()
		}
	}
	p.want("a value")
	return p.node(OpBad, t.off, "")
}

func (p *parser) named() *Expr {
	t := p.tok
	switch t.text {
	case "null":
		p.advance()
		return p.node(OpNull, t.off, "null")
	case "true", "false":
		p.advance()
		return p.node(OpBool, t.off, t.text)
	}
	if keywords[t.text] && t.text != "not" {
		p.want("a value")
		return p.node(OpBad, t.off, "")
	}
	if t.text == "not" {
		p.want("parentheses around not, as in a == (not b)")
		return p.node(OpBad, t.off, "")
	}
	p.advance()
	if t.text == "if" && (p.tok.kind == tokName && p.infixPrec() == 0 || p.tok.kind == tokNumber) {
		p.fail(p.tok.off, fmt.Sprintf("found %q", p.tok.shown()), "want if(condition, then, else)")
	}
	if !p.isOp("(") {
		return p.node(OpName, t.off, t.text)
	}
	e := p.node(OpCall, t.off, t.text)
	p.args(e)
	if p.isWord("over") {
		p.advance()
		e.Over = p.frame()
	}
	return e
}

// paren reads ( expr ) or a list.
func (p *parser) paren() *Expr {
	off := p.tok.off
	p.advance()
	e := p.expr(precOr)
	if !p.isOp(",") {
		p.expect(")")
		return e
	}
	list := p.node(OpList, off, "", e)
	for p.isOp(",") && !p.failed {
		p.advance()
		list.Args = append(list.Args, p.expr(precOr))
	}
	p.expect(")")
	return list
}

// args reads ( … ) of a call or method into e.
func (p *parser) args(e *Expr) {
	p.advance()
	if p.isOp(")") {
		p.advance()
		return
	}
	if p.isOp("*") {
		p.fail(p.tok.off, `found "*"`, "want count() for the number of rows, or a value")
	}
	for !p.failed && !p.isWord("where") {
		p.arg(e)
		if !p.isOp(",") {
			break
		}
		p.advance()
		if p.isOp(")") || p.isWord("where") {
			p.want("an argument after the comma")
		}
	}
	if p.isWord("where") {
		p.advance()
		e.Where = p.expr(precOr)
	}
	p.expect(")")
}

func (p *parser) arg(e *Expr) {
	t := p.tok
	value := p.expr(precOr)
	if p.isOp("=") && value.Op == OpName && !p.failed {
		p.advance()
		if keywords[t.text] {
			p.fail(t.off, fmt.Sprintf("found %q", t.text), "want the name of an argument")
		}
		if _, twice := e.Keys[t.text]; twice {
			p.problem(t.off, fmt.Sprintf("argument %q given twice", t.text), "want it once")
		}
		if e.Keys == nil {
			e.Keys = map[string]*Expr{}
		}
		e.Keys[t.text] = p.expr(precOr)
		return
	}
	if p.isOp("=") {
		p.fail(p.tok.off, `found "="`, "want == to compare, or name=value for an argument")
	}
	if len(e.Keys) > 0 && !p.failed {
		p.problem(t.off, "an argument without a name after one with a name", "want positions first, then name=value")
	}
	e.Args = append(e.Args, value)
}

// frame reads what follows over.
func (p *parser) frame() *Frame {
	t := p.tok
	f := &Frame{Pos: p.at(t.off)}
	switch t.kind {
	case tokDuration:
		f.Span = p.node(OpDuration, t.off, t.text)
	case tokParam:
		f.Span = p.node(OpParam, t.off, t.text)
	case tokNumber:
		f.Rows = p.node(OpNumber, t.off, t.text)
	case tokBad:
		f.Span = p.node(OpBad, t.off, "")
	default:
		p.want("a duration such as 5m, or rows such as 20 rows within 1h")
		return f
	}
	p.advance()
	if !p.isWord("rows") {
		if f.Rows != nil {
			p.want(`"rows", or a duration with its unit, such as 5m`)
		}
		return f
	}
	p.advance()
	if f.Rows == nil {
		if t.kind == tokDuration {
			p.fail(t.off, fmt.Sprintf("found %q", t.text), "want a number before rows")
		}
		f.Rows, f.Span = f.Span, nil
	}
	if p.isWord("within") {
		p.advance()
		if p.tok.kind != tokDuration {
			p.want("a duration after within")
			return f
		}
		f.Within = p.node(OpDuration, p.tok.off, p.tok.text)
		p.advance()
	}
	return f
}
