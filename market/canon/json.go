package canon

import (
	"bytes"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/pinova-group/tidemark/market/adapters"
)

const badJSON = "not valid JSON"

// scanJSON puts the members of a one-line object into their cells. It knows the shape
// of canonical rows (flat, plus arrays for book levels), and what it lets through is
// valid JSON; whatever else is in the line makes it bad.
func (d *decoder) scanJSON(line []byte) *adapters.BadRecord {
	clear(d.cells)
	d.mixed = true
	i := skipSpace(line, 1)
	if i < len(line) && line[i] == '}' {
		i++
	} else {
		for n := 0; ; n++ {
			var bad *adapters.BadRecord
			if i, bad = d.member(line, i, n); bad != nil {
				return bad
			}
			i = skipSpace(line, i)
			if i >= len(line) {
				return adapters.Bad(badJSON, line)
			}
			c := line[i]
			i++
			if c == '}' {
				break
			}
			if c != ',' {
				return adapters.Bad(badJSON, line)
			}
			i = skipSpace(line, i)
		}
	}
	if skipSpace(line, i) != len(line) {
		return adapters.Bad(badJSON, line)
	}
	return nil
}

// member reads the n-th "name": value at i.
func (d *decoder) member(line []byte, i, n int) (int, *adapters.BadRecord) {
	name, i, ok := scanString(line, i)
	if !ok {
		return i, adapters.Bad(badJSON, line)
	}
	var col column
	if n < len(d.keyOrder) && string(name) == d.columns.names[d.keyOrder[n]] {
		col = d.keyOrder[n]
	} else {
		col, ok = d.columns.byName[string(name)]
		if !ok {
			return i, d.columns.unknown(name)
		}
		d.keyOrder = append(d.keyOrder[:min(n, len(d.keyOrder))], col)
	}
	i = skipSpace(line, i)
	if i >= len(line) || line[i] != ':' {
		return i, adapters.Bad(badJSON, line)
	}
	c := &d.cells[col]
	if c.f != formAbsent {
		return i, adapters.Bad("name appears twice", name)
	}
	*c, i, ok = scanValue(line, skipSpace(line, i+1))
	if !ok {
		return i, adapters.Bad(badJSON, line)
	}
	return i, nil
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

func scanValue(b []byte, i int) (c cell, end int, ok bool) {
	if i >= len(b) {
		return c, i, false
	}
	switch b[i] {
	case '"':
		s, end, ok := scanString(b, i)
		return cell{s, formString}, end, ok
	case '[':
		end, ok := scanArray(b, i, 0)
		return cell{b[i:end], formArray}, end, ok
	case 't':
		return literal(b, i, "true", formBool)
	case 'f':
		return literal(b, i, "false", formBool)
	case 'n':
		return literal(b, i, "null", formNull)
	}
	end, ok = scanNumber(b, i)
	return cell{b[i:end], formNumber}, end, ok
}

func literal(b []byte, i int, word string, f form) (cell, int, bool) {
	if !bytes.HasPrefix(b[i:], []byte(word)) {
		return cell{}, i, false
	}
	end := i + len(word)
	if f == formNull {
		return cell{nil, f}, end, true
	}
	return cell{b[i:end], f}, end, true
}

func scanNumber(b []byte, i int) (end int, ok bool) {
	start := i
	if i < len(b) && b[i] == '-' {
		i++
	}
	digits := i
	for i < len(b) && b[i]-'0' <= 9 {
		i++
	}
	if i == digits || b[digits] == '0' && i > digits+1 {
		return start, false
	}
	if i < len(b) && b[i] == '.' {
		frac := i + 1
		for i = frac; i < len(b) && b[i]-'0' <= 9; i++ {
		}
		if i == frac {
			return start, false
		}
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		exp := i
		for i < len(b) && b[i]-'0' <= 9 {
			i++
		}
		if i == exp {
			return start, false
		}
	}
	return i, true
}

// scanArray finds the end of an array of strings, numbers and arrays of these. Levels
// nest twice; deeper nesting is refused, so the recursion is bounded.
func scanArray(b []byte, i, depth int) (end int, ok bool) {
	start := i
	if i = skipSpace(b, i+1); i < len(b) && b[i] == ']' {
		return i + 1, true
	}
	for i < len(b) {
		switch {
		case b[i] == '[' && depth < 2:
			i, ok = scanArray(b, i, depth+1)
		case b[i] == '"':
			_, i, ok = scanString(b, i)
		default:
			i, ok = scanNumber(b, i)
		}
		if i = skipSpace(b, i); !ok || i >= len(b) {
			return start, false
		}
		c := b[i]
		i++
		if c == ']' {
			return i, true
		}
		if c != ',' {
			return start, false
		}
		i = skipSpace(b, i)
	}
	return start, false
}

// scanString reads the string at i. The result lies in b unless it has escapes.
func scanString(b []byte, i int) (s []byte, end int, ok bool) {
	if i >= len(b) || b[i] != '"' {
		return nil, i, false
	}
	i++
	for j := i; j < len(b); j++ {
		switch c := b[j]; {
		case c == '"':
			return b[i:j], j + 1, true
		case c == '\\':
			return unescape(b, i, j)
		case c < ' ':
			return nil, i, false
		}
	}
	return nil, i, false
}

// unescape reads a string from i whose first backslash is at j.
func unescape(b []byte, i, j int) (s []byte, end int, ok bool) {
	s = append(make([]byte, 0, j-i+32), b[i:j]...)
	for j < len(b) {
		c := b[j]
		j++
		switch {
		case c == '"':
			return s, j, true
		case c < ' ':
			return nil, j, false
		case c != '\\':
			s = append(s, c)
			continue
		case j == len(b):
			return nil, j, false
		}
		c = b[j]
		j++
		if c == 'u' {
			r, next, ok := hexRune(b, j)
			if !ok {
				return nil, j, false
			}
			s, j = utf8.AppendRune(s, r), next
			continue
		}
		k := bytes.IndexByte([]byte(`"\/bfnrt`), c)
		if k < 0 {
			return nil, j, false
		}
		s = append(s, "\"\\/\b\f\n\r\t"[k])
	}
	return nil, j, false
}

// hexRune reads the four digits of \u at i, and a second escape when it is half of a pair.
func hexRune(b []byte, i int) (r rune, end int, ok bool) {
	r, ok = hex4(b, i)
	if !ok || !utf16.IsSurrogate(r) {
		return r, i + 4, ok
	}
	i += 4
	if i+6 > len(b) || b[i] != '\\' || b[i+1] != 'u' {
		return 0, i, false
	}
	low, ok := hex4(b, i+2)
	r = utf16.DecodeRune(r, low)
	return r, i + 6, ok && r != utf8.RuneError
}

func hex4(b []byte, i int) (rune, bool) {
	if i+4 > len(b) {
		return 0, false
	}
	v, err := strconv.ParseUint(string(b[i:i+4]), 16, 16)
	return rune(v), err == nil
}

// parseJSONLevels reads [["p","q"],…] of an array that scanArray let through.
func (s *side) parseJSONLevels(b []byte) string {
	s.reset()
	i := skipSpace(b, 1)
	for b[i] != ']' {
		if b[i] != '[' {
			return badLevels
		}
		var v [2]cell
		for k := range v {
			var ok bool
			if v[k], i, ok = scanValue(b, skipSpace(b, i+1)); !ok || v[k].f != formString && v[k].f != formNumber {
				return badLevels
			}
			i = skipSpace(b, i)
			if b[i] != ",]"[k] {
				return badLevels
			}
		}
		if why := s.add(v[0].b, v[1].b); why != "" {
			return why
		}
		if i = skipSpace(b, i+1); b[i] == ',' {
			i = skipSpace(b, i+1)
		}
	}
	return ""
}
