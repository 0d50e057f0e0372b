package adapters

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/pinova-group/tidemark/market/num"
)

// scan walks JSON text without allocating. It is strict: each method reports false on
// anything but the JSON that it is meant for, and leaves the place undefined then. What
// it does not read, valid as it may be (strings with escapes), goes to the general path:
// normalise, then scan again.
type scan struct {
	b   []byte
	i   int
	why string // reason for a failure that is not one of syntax
}

// normalise rewrites valid JSON so that scan can read whatever can be read: no spaces,
// strings with as few escapes as possible. Names given twice, invalid UTF-8 and all else
// that is not JSON are errors.
func normalise(dst, src []byte) ([]byte, error) {
	return jsontext.AppendFormat(dst[:0], src, jsontext.PreserveRawStrings(false))
}

// peek skips white space and returns the next byte, 0 at the end.
func (s *scan) peek() byte {
	for s.i < len(s.b) {
		c := s.b[s.i]
		if c > ' ' || !isSpace(c) {
			return c
		}
		s.i++
	}
	return 0
}

// take skips white space and consumes c.
func (s *scan) take(c byte) bool {
	if s.i < len(s.b) && s.b[s.i] == c {
		s.i++
		return true
	}
	if s.peek() != c || s.i >= len(s.b) {
		return false
	}
	s.i++
	return true
}

// end reports whether only white space is left.
func (s *scan) end() bool { return s.peek() == 0 && s.i >= len(s.b) }

// lit consumes an exact text, no white space before it.
func (s *scan) lit(t string) bool {
	if len(s.b)-s.i < len(t) || string(s.b[s.i:s.i+len(t)]) != t {
		return false
	}
	s.i += len(t)
	return true
}

// str reads a string without escapes and returns it without the quotes.
func (s *scan) str() ([]byte, bool) {
	if !s.take('"') {
		return nil, false
	}
	b, from := s.b, s.i
	var high byte
	for i := from; i < len(b); i++ {
		c := b[i]
		if c == '"' {
			s.i = i + 1
			return b[from:i], high < utf8.RuneSelf || utf8.Valid(b[from:i])
		}
		if c == '\\' || c < ' ' {
			return nil, false
		}
		high |= c
	}
	return nil, false
}

// key reads a member's name and the colon.
func (s *scan) key() ([]byte, bool) {
	k, ok := s.str()
	return k, ok && s.take(':')
}

// more is called after a member or element: true after a comma, false after the closing
// byte; ok is false on anything else.
func (s *scan) more(closing byte) (again, ok bool) {
	if s.take(',') {
		return true, true
	}
	return false, s.take(closing)
}

// uint reads a whole number ≥ 0 that fits 63 bits.
func (s *scan) uint() (int64, bool) {
	s.peek()
	b, i := s.b, s.i
	var v uint64
	for ; i < len(b); i++ {
		d := b[i] - '0'
		if d > 9 {
			break
		}
		v = v*10 + uint64(d)
		if i-s.i >= 18 && (i-s.i > 18 || v > 1<<63-1) {
			return 0, false
		}
	}
	n := i - s.i
	if n == 0 || n > 1 && b[s.i] == '0' || i < len(b) && (b[i] == '.' || b[i]|0x20 == 'e') {
		return 0, false
	}
	s.i = i
	return int64(v), true
}

// bool reads true or false.
func (s *scan) bool() (v, ok bool) {
	if s.peek() == 't' {
		return true, s.lit("true")
	}
	return false, s.lit("false")
}

// dec reads a decimal, sent as a string ("61837.63") or as a number.
func (s *scan) dec() (num.Dec, bool) {
	quoted := s.take('"')
	if m, scale, i, ok := decAt(s.b, s.i); ok {
		if quoted {
			if i < len(s.b) && s.b[i] == '"' {
				s.i = i + 1
				return num.Dec{M: m, S: scale}, true
			}
		} else if i < len(s.b) && endsNumber(s.b[i]) {
			s.i = i
			return num.Dec{M: m, S: scale}, true
		}
	}
	var text []byte
	if quoted {
		end := bytes.IndexByte(s.b[s.i:], '"')
		if end < 0 {
			return num.Dec{}, false
		}
		text = s.b[s.i : s.i+end]
		s.i += end + 1
	} else {
		from := s.i
		if !s.number() {
			return num.Dec{}, false
		}
		text = s.b[from:s.i]
	}
	d, err := num.ParseDec(text)
	if err != nil {
		s.why = badNumber
	}
	return d, err == nil
}

func endsNumber(c byte) bool {
	return c == ',' || c == '}' || c == ']' || c == ' ' || c == '\n' || c == '\t' || c == '\r'
}

// decAt reads the plain decimal digits[.digits] at b[i:], 18 digits at most, which is
// what venues send. It returns mantissa, scale and the place after it; ok is false for
// all other forms, which num.ParseDec judges.
func decAt(b []byte, i int) (m int64, scale int8, end int, ok bool) {
	from := i
	var v uint64
	for ; i < len(b); i++ {
		d := b[i] - '0'
		if d > 9 {
			break
		}
		v = v*10 + uint64(d)
	}
	whole := i - from
	if whole == 0 || whole > 18 || whole > 1 && b[from] == '0' {
		return 0, 0, i, false
	}
	if i >= len(b) || b[i] != '.' {
		return int64(v), 0, i, true
	}
	i++
	point := i
	if len(b)-i >= 8 {
		if x, full := eight(binary.LittleEndian.Uint64(b[i:])); full {
			v, i = v*100_000_000+x, i+8
		}
	}
	for ; i < len(b); i++ {
		d := b[i] - '0'
		if d > 9 {
			break
		}
		v = v*10 + uint64(d)
	}
	frac := i - point
	if frac == 0 || whole+frac > 18 {
		return 0, 0, i, false
	}
	return int64(v), int8(frac), i, true
}

// eight reads eight ASCII digits, first digit in the lowest byte, in three
// multiplications; full is false when one of them is no digit.
func eight(w uint64) (v uint64, full bool) {
	const zeros = 0x3030303030303030
	if (w&0xf0f0f0f0f0f0f0f0)|((w+0x0606060606060606)&0xf0f0f0f0f0f0f0f0)>>4 != 0x3333333333333333 {
		return 0, false
	}
	w -= zeros
	w = w*10 + w>>8
	w = (w&0x000000ff000000ff)*(100+1_000_000<<32) + (w>>16&0x000000ff000000ff)*(1+10_000<<32)
	return w >> 32, true
}

// number walks over a JSON number.
func (s *scan) number() bool {
	b, i := s.b, s.i
	if i < len(b) && b[i] == '-' {
		i++
	}
	from := i
	i = digits(b, i)
	if i == from || i-from > 1 && b[from] == '0' {
		return false
	}
	if i < len(b) && b[i] == '.' {
		from = i + 1
		if i = digits(b, from); i == from {
			return false
		}
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		from = i
		if i = digits(b, i); i == from {
			return false
		}
	}
	s.i = i
	return true
}

func digits(b []byte, i int) int {
	for i < len(b) && b[i]-'0' <= 9 {
		i++
	}
	return i
}

// skip walks over any value, depth levels deep at most, and checks that it is JSON; that
// strings are UTF-8 and names not given twice is left to whom it matters.
func (s *scan) skip(depth int) bool {
	switch c := s.peek(); c {
	case '"':
		return s.skipString()
	case '{', '[':
		return s.skipNested(c, depth)
	case 't':
		return s.lit("true")
	case 'f':
		return s.lit("false")
	case 'n':
		return s.lit("null")
	default:
		return s.number()
	}
}

func (s *scan) skipNested(open byte, depth int) bool {
	if depth == 0 {
		return false
	}
	s.i++
	closing := open + 2 // '{' and '[' alike
	if s.take(closing) {
		return true
	}
	for {
		if open == '{' {
			if s.peek() != '"' || !s.skipString() || !s.take(':') {
				return false
			}
		}
		if !s.skip(depth - 1) {
			return false
		}
		if again, ok := s.more(closing); !again {
			return ok
		}
	}
}

// skipString walks over a string with whatever escapes; s must be at the quote.
func (s *scan) skipString() bool {
	b := s.b
	for i := s.i + 1; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			s.i = i + 1
			return true
		case c == '\\':
			n := escapeLen(b[i:])
			if n == 0 {
				return false
			}
			i += n - 1
		case c < ' ':
			return false
		}
	}
	return false
}

// escapeLen is the length of the escape that b begins with, 0 when it is none.
func escapeLen(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if len(b) < 6 {
			return 0
		}
		for _, c := range b[2:6] {
			if c-'0' > 9 && c|0x20-'a' > 5 {
				return 0
			}
		}
		return 6
	}
	return 0
}

// raw walks over any value and returns its text.
func (s *scan) raw() ([]byte, bool) {
	s.peek()
	from := s.i
	ok := s.skip(64)
	return s.b[from:s.i], ok
}

// object reads an object and puts the texts of the members called names into vals, nil
// for those absent; a name given twice fails. For messages that are not hot.
func (s *scan) object(names []string, vals [][]byte) bool {
	clear(vals)
	if !s.take('{') {
		return false
	}
	if s.take('}') {
		return true
	}
	for {
		k, ok := s.key()
		if !ok {
			return false
		}
		v, ok := s.raw()
		if !ok {
			return false
		}
		for i, n := range names {
			if string(k) == n {
				if vals[i] != nil {
					return false
				}
				vals[i] = v
				break
			}
		}
		if again, ok := s.more('}'); !again {
			return ok
		}
	}
}

// rawText is the text of a JSON string without escapes, "" for anything else.
func rawText(v []byte) []byte {
	s := scan{b: v}
	t, _ := s.str()
	return t
}

// rawDec is the decimal that a string or number holds.
func rawDec(v []byte) (num.Dec, bool) {
	s := scan{b: v}
	return s.dec0()
}

// rawInt is the whole number ≥ 0 that v holds.
func rawInt(v []byte) (int64, bool) {
	s := scan{b: v}
	n, ok := s.uint()
	return n, ok && s.end()
}

// dec0 is dec of a text that holds nothing else.
func (s *scan) dec0() (num.Dec, bool) {
	if len(s.b) > 0 && s.b[0] != '"' {
		d, err := num.ParseDec(s.b)
		return d, err == nil
	}
	d, ok := s.dec()
	return d, ok && s.end()
}

// levels reads [["price","quantity",…],…] into side: what Binance, Bybit, OKX and the
// likes send; elements after the second are skipped. It stops with false at
// more than limit levels.
func (s *scan) levels(side *bookSide, limit int) bool {
	if !s.take('[') {
		return false
	}
	if s.take(']') {
		return true
	}
	for n := 0; ; n++ {
		if n >= limit {
			s.why = badManyLevel
			return false
		}
		if !s.plainLevel(side) && !s.level(side) {
			return false
		}
		if b := s.b; s.i < len(b) && b[s.i] == ',' {
			s.i++
			continue
		}
		if again, ok := s.more(']'); !again {
			return ok
		}
	}
}

// plainLevel reads ["1.5","2"] as nearly every level is written; it reports false, and
// moves nothing, for all else.
func (s *scan) plainLevel(side *bookSide) bool {
	b, i := s.b, s.i
	if len(b)-i < 2 || b[i] != '[' || b[i+1] != '"' {
		return false
	}
	p, ps, i, ok := decAt(b, i+2)
	if !ok || len(b)-i < 3 || b[i] != '"' || b[i+1] != ',' || b[i+2] != '"' {
		return false
	}
	q, qs, i, ok := decAt(b, i+3)
	if !ok || len(b)-i < 2 || b[i] != '"' || b[i+1] != ']' {
		return false
	}
	s.i = i + 2
	side.price.add(p, ps)
	side.qty.add(q, qs)
	return true
}

// level reads one level however it is written.
func (s *scan) level(side *bookSide) bool {
	if !s.take('[') {
		return false
	}
	p, ok := s.dec()
	if !ok || !s.take(',') {
		return false
	}
	q, ok := s.dec()
	if !ok {
		return false
	}
	side.price.add(p.M, p.S)
	side.qty.add(q.M, q.S)
	for {
		again, ok := s.more(']')
		if !again {
			return ok
		}
		if !s.skip(4) {
			return false
		}
	}
}

// trimSpace cuts JSON white space from both ends, and the byte order mark from the front.
func trimSpace(b []byte) []byte {
	b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
	for len(b) > 0 && isSpace(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && isSpace(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' }
