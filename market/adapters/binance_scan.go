package adapters

import "github.com/pinova-group/tidemark/market/num"

// flat holds the members of a socket message by their one-letter names: Binance names
// nearly everything so, and tells "u" from "U". Numbers are read on the way, book levels
// go to book; other values stay where they are in the text.
type flat struct {
	b    []byte
	seen [2]uint64
	at   [128]member
	long bool // has members with longer names, skipped
	book *bookRow
	why  string // reason for a failure that is not one of syntax
}

// member is the value of a member: its place in the text, and what it is.
type member struct {
	from, to int32
	num      int64 // whole number, or mantissa of a decimal
	scale    int8
	kind     memberKind
}

type memberKind uint8

const (
	memberOther   memberKind = iota // literal, object, list, number that is not whole
	memberText                      // string without escapes
	memberDecimal                   // string that is a plain decimal
	memberInt                       // whole number ≥ 0
)

// Places of the two-letter names that matter, where no letter is.
const (
	keyPU = 1 // last update id of the message before
	keyAP = 2 // average price
)

func (f *flat) has(k byte) bool { return f.seen[k>>6&1]>>(k&63)&1 == 1 }

// read scans one object into f; levels of members "b" and "a" that are lists go to
// f.book. It reports false on whatever needs the general path.
func (f *flat) read(b []byte) bool {
	f.b, f.seen, f.long, f.why = b, [2]uint64{}, false, ""
	f.book.bids.reset()
	f.book.asks.reset()
	s := scan{b: b}
	if !s.take('{') {
		return false
	}
	if s.take('}') {
		return s.end()
	}
	for {
		k, ok := f.name(&s)
		if !ok {
			return false
		}
		if k != 0 {
			if f.has(k) {
				return false
			}
			f.seen[k>>6&1] |= 1 << (k & 63)
		}
		if !f.member(&s, k) {
			f.why = s.why
			return false
		}
		if s.i < len(b) && b[s.i] == ',' {
			s.i++
			continue
		}
		if again, ok := s.more('}'); !again {
			return ok && s.end()
		}
	}
}

// name reads a member's name and its colon; 0 for one that does not matter.
func (f *flat) name(s *scan) (byte, bool) {
	if b, i := s.b, s.i; i+3 < len(b) && b[i] == '"' && b[i+2] == '"' && b[i+3] == ':' {
		if k := b[i+1]; isLetter(k) {
			s.i += 4
			return k, true
		}
	}
	k, ok := s.key()
	if !ok {
		return 0, false
	}
	switch {
	case len(k) == 1 && isLetter(k[0]):
		return k[0], true
	case string(k) == "pu":
		return keyPU, true
	case string(k) == "ap":
		return keyAP, true
	case len(k) > 2:
		f.long = true
	}
	return 0, true
}

func isLetter(c byte) bool { return c|0x20-'a' < 26 }

// member reads the value of member k.
func (f *flat) member(s *scan, k byte) (ok bool) {
	c := s.peek()
	b, from := s.b, s.i
	v := member{from: int32(from)}
	switch {
	case c == '"':
		if m, scale, end, plain := decAt(b, from+1); plain && end < len(b) && b[end] == '"' {
			v.num, v.scale, v.kind, s.i = m, scale, memberDecimal, end+1
			ok = true
			break
		}
		_, ok = s.str()
		v.kind = memberText
	case c-'0' <= 9:
		if v.num, ok = s.uint(); ok {
			v.kind = memberInt
			break
		}
		ok = s.number()
	case c == '[' && k == 'b':
		ok = s.levels(&f.book.bids, maxLevels)
	case c == '[' && k == 'a':
		ok = s.levels(&f.book.asks, maxLevels)
	default:
		ok = s.skip(16)
	}
	v.to = int32(s.i)
	f.at[k&127] = v
	return ok
}

// str returns a string member without its quotes; ok is false when it is absent or
// something else.
func (f *flat) str(k byte) (v []byte, ok bool) {
	m := &f.at[k&127]
	if !f.has(k) || m.kind != memberText && m.kind != memberDecimal {
		return nil, false
	}
	return f.b[m.from+1 : m.to-1], true
}

// int returns a whole number member.
func (f *flat) int(k byte) (v int64, ok bool) {
	m := &f.at[k&127]
	return m.num, f.has(k) && m.kind == memberInt
}

// flag returns a boolean member.
func (f *flat) flag(k byte) (v, ok bool) {
	if !f.has(k) {
		return false, false
	}
	c := f.b[f.at[k&127].from]
	return c == 't', c == 't' || c == 'f'
}

// raw returns the text of a member, nil when it is absent.
func (f *flat) raw(k byte) []byte {
	if !f.has(k) {
		return nil
	}
	m := &f.at[k&127]
	return f.b[m.from:m.to]
}

// dec returns a decimal member, sent as a string or as a number.
func (f *flat) dec(k byte) (num.Dec, bool) {
	m := &f.at[k&127]
	if !f.has(k) {
		return num.Dec{}, false
	}
	if m.kind >= memberDecimal {
		return num.Dec{M: m.num, S: m.scale}, true
	}
	s := scan{b: f.b, i: int(m.from)}
	d, ok := s.dec()
	if !ok {
		f.why = s.why
	}
	return d, ok
}

// decOr reads a decimal member that may be absent or empty.
func (f *flat) decOr(k byte) (d num.Dec, has, ok bool) {
	if t, isText := f.str(k); !f.has(k) || isText && len(t) == 0 {
		return d, false, true
	}
	d, ok = f.dec(k)
	return d, ok, ok
}

// isList reports whether member k is there and a list.
func (f *flat) isList(k byte) bool { return f.has(k) && f.b[f.at[k&127].from] == '[' }
