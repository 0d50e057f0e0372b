package rowfile

import (
	"io"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/num"
)

// flushAt is how many bytes of text are gathered before they are written.
const flushAt = 64 << 10

type textWriter struct {
	w      io.Writer
	s      *Schema
	buf    []byte
	keys   [][]byte // JSONL: `"name":` of each column
	append func(buf []byte, f *Field, c *Col, i int) []byte
	json   bool
}

func newCSV(w io.Writer, s *Schema) (Writer, error) {
	t := &textWriter{w: w, s: s, append: appendCSV}
	for i, f := range s.Fields {
		if i > 0 {
			t.buf = append(t.buf, ',')
		}
		t.buf = appendQuotedCSV(t.buf, []byte(f.Name))
	}
	t.buf = append(t.buf, '\n')
	return t, nil
}

func newJSONL(w io.Writer, s *Schema) Writer {
	t := &textWriter{w: w, s: s, append: appendJSON, json: true}
	for _, f := range s.Fields {
		t.keys = append(t.keys, append(appendJSONText(nil, []byte(f.Name)), ':'))
	}
	return t
}

func (t *textWriter) Write(b *Batch) error {
	for i := range b.N {
		if t.json {
			t.buf = append(t.buf, '{')
		}
		for j := range t.s.Fields {
			if j > 0 {
				t.buf = append(t.buf, ',')
			}
			if t.json {
				t.buf = append(t.buf, t.keys[j]...)
			}
			t.buf = t.append(t.buf, &t.s.Fields[j], &b.Cols[j], i)
		}
		if t.json {
			t.buf = append(t.buf, '}')
		}
		t.buf = append(t.buf, '\n')
		if len(t.buf) >= flushAt {
			if err := t.Flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// Flush writes what has been gathered.
func (t *textWriter) Flush() error {
	_, err := t.w.Write(t.buf)
	t.buf = t.buf[:0]
	return err
}

func (t *textWriter) Close() error { return t.Flush() }

func appendCSV(buf []byte, f *Field, c *Col, i int) []byte {
	if c.IsNull(i) {
		return buf
	}
	if f.Type == market.TypeText {
		return appendQuotedCSV(buf, c.Text(i))
	}
	return appendPlain(buf, f, c, i)
}

// appendQuotedCSV quotes where RFC 4180 asks for it, and an empty text, so that it
// differs from null.
func appendQuotedCSV(buf, s []byte) []byte {
	quote := len(s) == 0 || s[0] == ' ' || s[len(s)-1] == ' '
	for _, c := range s {
		quote = quote || c == ',' || c == '"' || c == '\n' || c == '\r'
	}
	if !quote {
		return append(buf, s...)
	}
	buf = append(buf, '"')
	for _, c := range s {
		if c == '"' {
			buf = append(buf, '"')
		}
		buf = append(buf, c)
	}
	return append(buf, '"')
}

func appendJSON(buf []byte, f *Field, c *Col, i int) []byte {
	switch {
	case c.IsNull(i):
		return append(buf, "null"...)
	case f.Type == market.TypeText:
		return appendJSONText(buf, c.Text(i))
	case f.Type == market.TypeDec: // a text: a JSON number would be read as a float
		return append(appendPlain(append(buf, '"'), f, c, i), '"')
	case f.Bits != nil:
		return append(appendPlain(append(buf, '"'), f, c, i), '"')
	}
	return appendPlain(buf, f, c, i)
}

func appendPlain(buf []byte, f *Field, c *Col, i int) []byte {
	switch f.Type {
	case market.TypeFloat:
		return AppendFloat(buf, c.F64[i])
	case market.TypeDec:
		return num.AppendDec128(buf, c.Hi[i], c.Lo[i], f.Scale)
	case market.TypeBool:
		return strconv.AppendBool(buf, c.I64[i] != 0)
	}
	if f.Bits != nil {
		return append(buf, bitWords(f.Bits, c.I64[i])...)
	}
	return strconv.AppendInt(buf, c.I64[i], 10)
}

// bitWords joins the words of the set bits; an unnamed bit prints as its number.
func bitWords(words []string, v int64) string {
	var on []string
	for b := 0; v>>b != 0 && b < 63; b++ {
		if v>>b&1 == 0 {
			continue
		}
		if b < len(words) {
			on = append(on, words[b])
		} else {
			on = append(on, "bit"+strconv.Itoa(b))
		}
	}
	return strings.Join(on, "|")
}

// AppendFloat prints x with the fewest digits that read back as x: in plain notation
// between 1e-6 and 1e21, as JSON does, else with an exponent.
func AppendFloat(buf []byte, x float64) []byte {
	if a := math.Abs(x); a != 0 && (a < 1e-6 || a >= 1e21) {
		return strconv.AppendFloat(buf, x, 'e', -1, 64)
	}
	return strconv.AppendFloat(buf, x, 'f', -1, 64)
}

const hex = "0123456789abcdef"

// appendJSONText quotes s; bytes that are no UTF-8 become U+FFFD.
func appendJSONText(buf, s []byte) []byte {
	buf = append(buf, '"')
	for len(s) > 0 {
		c := s[0]
		switch {
		case c == '"' || c == '\\':
			buf = append(buf, '\\', c)
		case c < 0x20:
			buf = append(buf, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		case c < utf8.RuneSelf:
			buf = append(buf, c)
		default:
			r, n := utf8.DecodeRune(s)
			buf = utf8.AppendRune(buf, r)
			s = s[n:]
			continue
		}
		s = s[1:]
	}
	return append(buf, '"')
}

// Text prints one value as CSV has it, without quotes; null is empty.
func Text(f *Field, c *Col, i int) string {
	switch {
	case c.IsNull(i):
		return ""
	case f.Type == market.TypeText:
		return string(c.Text(i))
	}
	return string(appendPlain(nil, f, c, i))
}
