package lang

import (
	"fmt"
	"unicode/utf8"
)

// Limits of one expression and of one file. A spec written by a person is far below them;
// they bound the work and the stack that hostile text can ask for (I11).
const (
	maxFile   = 1 << 20 // bytes of a file
	maxDepth  = 100     // levels of parentheses, calls, not and minus
	maxTokens = 4096    // tokens of one expression
	maxYAML   = 8       // levels of mappings and sequences
	maxDefs   = 1000    // entries of let, features, params, join, alert
)

type tokenKind uint8

const (
	tokEnd tokenKind = iota
	tokNumber
	tokDuration
	tokString
	tokName
	tokParam
	tokOp
	tokBad // reported already; stands for an operand
)

type token struct {
	kind tokenKind
	text string // of a string without its quotes, of a param without $
	off  int
}

// shown is how messages name a token.
func (t token) shown() string {
	switch t.kind {
	case tokEnd:
		return "end of expression"
	case tokParam:
		return "$" + t.text
	case tokString:
		return quoteText(t.text)
	default:
		return t.text
	}
}

// lexer cuts an expression into tokens. It reports what it cannot read and goes on, so
// that one pass shows every bad token.
type lexer struct {
	text   string
	pos    int
	cut    bool // a string had no end: there is no text to go on with
	report func(off int, what, remedy string)
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
func isLetter(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_'
}

func (l *lexer) next() token {
	for l.pos < len(l.text) {
		switch l.text[l.pos] {
		case ' ', '\t', '\n', '\r':
			l.pos++
			continue
		}
		break
	}
	if l.pos == len(l.text) {
		return token{kind: tokEnd, off: l.pos}
	}
	start, c := l.pos, l.text[l.pos]
	switch {
	case isDigit(c) || c == '.' && l.pos+1 < len(l.text) && isDigit(l.text[l.pos+1]):
		return l.number()
	case isLetter(c):
		return token{kind: tokName, text: l.word(), off: start}
	case c == '$':
		l.pos++
		w := l.word()
		if w == "" {
			return l.bad(start, `found "$" without a name`, "want $name of a parameter")
		}
		return token{kind: tokParam, text: w, off: start}
	case c == '\'' || c == '"':
		return l.str(c)
	}
	return l.operator()
}

func (l *lexer) word() string {
	start := l.pos
	for l.pos < len(l.text) && (isLetter(l.text[l.pos]) || isDigit(l.text[l.pos])) {
		l.pos++
	}
	return l.text[start:l.pos]
}

func (l *lexer) bad(off int, what, remedy string) token {
	l.report(off, what, remedy)
	return token{kind: tokBad, text: l.text[off:l.pos], off: off}
}

// number reads 12, 1.50, 5m and 10bps. Digits are kept as written: a literal is an exact decimal.
func (l *lexer) number() token {
	start := l.pos
	whole := l.digits()
	frac, point := "", false
	if l.pos < len(l.text) && l.text[l.pos] == '.' {
		point = true
		l.pos++
		frac = l.digits()
	}
	num := l.text[start:l.pos]
	unit := l.word()
	all := l.text[start:l.pos]
	switch {
	case whole == "":
		return l.bad(start, fmt.Sprintf("found %q", all), "want 0"+all)
	case point && frac == "":
		return l.bad(start, fmt.Sprintf("found %q", all), "want digits after the point, or no point")
	case len(whole) > 1 && whole[0] == '0':
		return l.bad(start, fmt.Sprintf("number %q begins with 0", all), "want decimal digits without a leading zero")
	case unit == "":
		return token{kind: tokNumber, text: num, off: start}
	case unit == "bps":
		return token{kind: tokNumber, text: all, off: start}
	case durationUnits[unit] != 0:
		if point {
			return l.bad(start, fmt.Sprintf("duration %q has a fraction", all), "want a whole number of a smaller unit, such as 1500ms")
		}
		return token{kind: tokDuration, text: all, off: start}
	case unit[0] == '_':
		return l.bad(start, fmt.Sprintf("found %q", all), "want a number without _")
	case unit[0] == 'e' || unit[0] == 'E':
		return l.bad(start, fmt.Sprintf("number %q has an exponent", all), "want the digits written out: literals are exact decimals")
	case num == "0" && (unit[0] == 'x' || unit[0] == 'X'):
		return l.bad(start, fmt.Sprintf("found %q", all), "want a decimal number")
	}
	return l.bad(start, fmt.Sprintf("unknown unit %q in %q", unit, all), "want us ms s m h d w, or bps")
}

func (l *lexer) digits() string {
	start := l.pos
	for l.pos < len(l.text) && isDigit(l.text[l.pos]) {
		l.pos++
	}
	return l.text[start:l.pos]
}

// str reads 'text' or "text"; a doubled quote stands for itself.
func (l *lexer) str(quote byte) token {
	start := l.pos
	l.pos++
	var b []byte
	for l.pos < len(l.text) {
		c := l.text[l.pos]
		l.pos++
		switch {
		case c == quote && l.pos < len(l.text) && l.text[l.pos] == quote:
			l.pos++
			b = append(b, quote)
		case c == quote:
			return token{kind: tokString, text: string(b), off: start}
		case c < ' ' || c == 0x7f:
			for l.pos < len(l.text) && l.text[l.pos-1] != quote {
				l.pos++
			}
			return l.bad(start, "control character in a string", "want printable text on one line")
		default:
			b = append(b, c)
		}
	}
	l.cut = true
	return l.bad(start, "string without an end", "want a closing "+string(rune(quote)))
}

var operators = []string{"==", "!=", "<=", ">=", "<", ">", "+", "-", "*", "/", "%", "(", ")", "[", "]", ",", ".", "="}

// other spellings that people try, and what to write.
var misspelt = []struct{ text, want string }{
	{"&&", "want and"}, {"||", "want or"}, {"<>", "want !="}, {"=>", "want >="}, {"=<", "want <="}, {"!", "want not"},
	{"?", "want if(condition, then, else)"}, {":", "want if(condition, then, else)"}, {"^", "want a product such as x * x"},
	{"{", "want ("}, {"}", "want )"}, {";", "want ,"}, {"&", "want and"}, {"|", "want or"},
}

func (l *lexer) operator() token {
	start := l.pos
	for _, m := range misspelt {
		if hasAt(l.text, start, m.text) && !hasAt(l.text, start, "!=") {
			l.pos += len(m.text)
			l.report(start, fmt.Sprintf("found %q", m.text), m.want)
			if m.text == "!" { // read on as what was meant
				return token{kind: tokName, text: "not", off: start}
			}
			return token{kind: tokBad, text: m.text, off: start}
		}
	}
	for _, op := range operators {
		if hasAt(l.text, start, op) {
			l.pos += len(op)
			return token{kind: tokOp, text: op, off: start}
		}
	}
	_, size := utf8.DecodeRuneInString(l.text[start:])
	l.pos += size
	return l.bad(start, fmt.Sprintf("found %q", l.text[start:l.pos]), "want a name, a number, a string or an operator")
}

func hasAt(s string, off int, sub string) bool {
	return len(s)-off >= len(sub) && s[off:off+len(sub)] == sub
}
