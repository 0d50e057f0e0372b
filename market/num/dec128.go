package num

import "math/bits"

// MaxText128 is the length of the longest text of AppendDec128: sign, 39 digits, point.
const MaxText128 = 41

// AppendDec128 appends hi:lo × 10^-s, 0 ≤ s ≤ 38, with all its digits; hi:lo is in two's
// complement.
func AppendDec128(buf []byte, hi int64, lo uint64, s int8) []byte {
	h := uint64(hi)
	if hi < 0 {
		buf = append(buf, '-')
		var borrow uint64
		lo, borrow = bits.Sub64(0, lo, 0)
		h, _ = bits.Sub64(0, h, borrow)
	}
	var text [40]byte // 2^128 has 39 digits
	at := len(text)
	for h != 0 || lo != 0 || len(text)-at <= int(s) {
		var digit uint64
		h, digit = h/10, h%10
		lo, digit = bits.Div64(digit, lo, 10)
		at--
		text[at] = byte('0' + digit)
	}
	point := len(text) - int(s)
	buf = append(buf, text[at:point]...)
	if s > 0 {
		buf = append(append(buf, '.'), text[point:]...)
	}
	return buf
}

// ParseDec128 reads what AppendDec128 writes for a scale and nothing else.
func ParseDec128(s []byte, scale int8) (hi int64, lo uint64, ok bool) {
	text := s
	negative := len(text) > 0 && text[0] == '-'
	if negative {
		text = text[1:]
	}
	point := len(text)
	if scale > 0 {
		point -= int(scale) + 1
	}
	if point < 1 || len(text) > MaxText128 || point > 1 && text[0] == '0' {
		return 0, 0, false
	}
	var h, l uint64
	for i, c := range text {
		if i == point {
			if c != '.' {
				return 0, 0, false
			}
			continue
		}
		if c < '0' || c > '9' {
			return 0, 0, false
		}
		carry, low := bits.Mul64(l, 10)
		over, high := bits.Mul64(h, 10)
		var c1, c2, c3 uint64
		high, c1 = bits.Add64(high, carry, 0)
		low, c2 = bits.Add64(low, uint64(c-'0'), 0)
		high, c3 = bits.Add64(high, 0, c2)
		if over != 0 || c1 != 0 || c3 != 0 {
			return 0, 0, false
		}
		h, l = high, low
	}
	if negative {
		if h == 0 && l == 0 || h > 1<<63 || h == 1<<63 && l != 0 {
			return 0, 0, false
		}
		var borrow uint64
		l, borrow = bits.Sub64(0, l, 0)
		h, _ = bits.Sub64(0, h, borrow)
		return int64(h), l, true
	}
	return int64(h), l, h < 1<<63
}
