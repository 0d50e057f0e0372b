package adapters

import (
	"bytes"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/num"
)

// members walks over a JSON object and hands each member's name and value text to f
// until f reports false. It reports whether b is an object and f took every member.
func members(b []byte, f func(name, value []byte) bool) bool {
	s := scan{b: b}
	if !s.take('{') {
		return false
	}
	if s.take('}') {
		return s.end()
	}
	for {
		k, ok := s.name()
		if !ok {
			return false
		}
		v, ok := s.raw()
		if !ok || !f(k, v) {
			return false
		}
		if again, ok := s.more('}'); !again {
			return ok && s.end()
		}
	}
}

// name reads a member's name, whatever is in it, and the colon.
func (s *scan) name() ([]byte, bool) {
	if s.peek() != '"' {
		return nil, false
	}
	from := s.i
	if !s.skipString() {
		return nil, false
	}
	k, ok := jsonText(s.b[from:s.i])
	return k, ok && s.take(':')
}

// elements walks over a JSON array like members over an object.
func elements(b []byte, f func(value []byte) bool) bool {
	s := scan{b: b}
	if !s.take('[') {
		return false
	}
	if s.take(']') {
		return s.end()
	}
	for {
		v, ok := s.raw()
		if !ok || !f(v) {
			return false
		}
		if again, ok := s.more(']'); !again {
			return ok && s.end()
		}
	}
}

// tuple fills dst with the elements of a JSON array and returns how many there are,
// -1 when b is no array. Elements past the end of dst are counted only.
func tuple(b []byte, dst [][]byte) int {
	n := 0
	ok := elements(b, func(v []byte) bool {
		if n < len(dst) {
			dst[n] = v
		}
		n++
		return true
	})
	if !ok {
		return -1
	}
	return n
}

// jsonText returns the text of a JSON string value; it allocates only for one with
// escapes or other than ASCII.
func jsonText(v []byte) ([]byte, bool) {
	if len(v) < 2 || v[0] != '"' {
		return nil, false
	}
	in := v[1 : len(v)-1]
	for _, c := range in {
		if c == '\\' || c >= 0x80 {
			t, err := jsontext.AppendUnquote(nil, v)
			return t, err == nil
		}
	}
	return in, true
}

// unquoted strips the quotes of a JSON string value and leaves other values alone.
func unquoted(v []byte) []byte {
	if len(v) >= 2 && v[0] == '"' {
		return v[1 : len(v)-1]
	}
	return v
}

// jsonDec reads a decimal sent as a string or a number.
func jsonDec(v []byte) (num.Dec, bool) {
	v = unquoted(v)
	if m, s, end, ok := decAt(v, 0); ok && end == len(v) {
		return num.Dec{M: m, S: s}, true
	}
	d, err := num.ParseDec(v)
	return d, err == nil
}

// jsonDecOr reads a decimal that may be absent: no value, null or an empty string.
func jsonDecOr(v []byte) (d num.Dec, has, ok bool) {
	if absent(v) {
		return num.Dec{}, false, true
	}
	d, ok = jsonDec(v)
	return d, ok, ok
}

func absent(v []byte) bool {
	return len(v) == 0 || string(v) == "null" || string(v) == `""`
}

// jsonInt reads a whole number ≥ 0 sent as a string or a number.
func jsonInt(v []byte) (int64, bool) {
	s := scan{b: unquoted(v)}
	n, ok := s.uint()
	return n, ok && s.i == len(s.b)
}

// jsonBool reads true or false.
func jsonBool(v []byte) (b, ok bool) {
	return string(v) == "true", string(v) == "true" || string(v) == "false"
}

// jsonMilli reads a time in milliseconds, sent as a string or a number, as microseconds.
func jsonMilli(v []byte) (int64, bool) {
	n, ok := jsonInt(v)
	if !ok || n >= market.MaxEventTime/1000 {
		return 0, false
	}
	return n * 1000, market.ValidTime(n * 1000)
}

// secondsText reads seconds since the epoch with any number of fraction digits; what is
// below the microsecond is cut off, never rounded and never near a float.
func secondsText(b []byte) (int64, bool) {
	whole, frac, point := bytes.Cut(b, []byte("."))
	if len(whole) == 0 || len(whole) > 12 || point && len(frac) == 0 {
		return 0, false
	}
	var v int64
	for _, c := range whole {
		if c-'0' > 9 {
			return 0, false
		}
		v = v*10 + int64(c-'0')
	}
	us, ok := micros(frac)
	v = v*market.Second + us
	return v, ok && market.ValidTime(v)
}

// micros reads fraction digits of a second as microseconds, cutting off the rest.
func micros(frac []byte) (int64, bool) {
	v, unit := int64(0), market.Second/10
	for _, c := range frac {
		if c-'0' > 9 {
			return 0, false
		}
		v += int64(c-'0') * unit
		unit /= 10
	}
	return v, true
}

// isoTime reads an RFC 3339 time in UTC, 2023-09-05T16:00:01.281719Z, with any number
// of fraction digits, as microseconds.
func isoTime(b []byte) (int64, bool) {
	const form = "0000-00-00T00:00:00"
	if len(b) < len(form)+1 || b[len(b)-1] != 'Z' {
		return 0, false
	}
	for i := range len(form) {
		if form[i] == '0' && b[i]-'0' > 9 || form[i] != '0' && b[i] != form[i] {
			return 0, false
		}
	}
	at := func(i, n int) (v int) {
		for _, c := range b[i : i+n] {
			v = v*10 + int(c-'0')
		}
		return v
	}
	year, month, day := at(0, 4), at(5, 2), at(8, 2)
	t := time.Date(year, time.Month(month), day, at(11, 2), at(14, 2), at(17, 2), 0, time.UTC)
	if t.Year() != year || int(t.Month()) != month || t.Day() != day || at(11, 2) > 23 || at(14, 2) > 59 || at(17, 2) > 59 {
		return 0, false
	}
	var us int64
	if frac := b[len(form) : len(b)-1]; len(frac) > 0 {
		var ok bool
		if us, ok = micros(frac[1:]); !ok || frac[0] != '.' || len(frac) == 1 {
			return 0, false
		}
	}
	v := t.UnixMicro() + us
	return v, market.ValidTime(v)
}

// pick fills dst with the values of the named members of a JSON object, nil where one
// is absent; it reports false when b is no object.
func pick(b []byte, dst [][]byte, names ...string) bool {
	clear(dst)
	return members(b, func(name, v []byte) bool {
		for i, n := range names {
			if string(name) == n {
				dst[i] = v
				break
			}
		}
		return true
	})
}
