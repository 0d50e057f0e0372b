package num

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// ParseDec reads a decimal: [+-] digits [. digits] [e|E [+-] digits]; ".5" is read too,
// "5." is not. Digits are kept as sent: "1.50" is {150, 2}, "1.50e1" is {150, 1}. Zeros
// at the end of the fraction are dropped only as far as 63 bits or MaxScale ask for it.
// ErrSyntax for anything else, ErrRange for a number that does not fit without rounding.
func ParseDec(b []byte) (Dec, error) {
	i := 0
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		i = 1
	}
	if left := len(b) - i; left >= 8 {
		// The common case: a point among the first eight bytes, eight digits or fewer behind it.
		m, n := digits8(binary.LittleEndian.Uint64(b[i:]))
		if s := left - n - 1; uint(n-1) < 7 && uint(s-1) < 8 && b[i+n] == '.' {
			f, k := digits8(binary.LittleEndian.Uint64(b[len(b)-8:]) >> (8 * (8 - uint(s))))
			if k == s {
				d := Dec{M: int64(m*Pow10[s] + f), S: int8(s)}
				if b[0] == '-' {
					d.M = -d.M
				}
				return d, nil
			}
		}
	}
	m, n := digits(b, i)
	whole := n
	i += n
	scale := 0
	if i < len(b) && b[i] == '.' {
		var f uint64
		if f, scale = digits(b, i+1); scale == 0 || scale > MaxScale {
			return parseSlow(b)
		}
		m = m*Pow10[scale] + f
		i += 1 + scale
	}
	if i != len(b) || whole+scale > 18 || whole+scale == 0 {
		return parseSlow(b)
	}
	d := Dec{M: int64(m), S: int8(scale)}
	if b[0] == '-' {
		d.M = -d.M
	}
	return d, nil
}

// ParseDecString is ParseDec of a string; it does not allocate.
func ParseDecString(s string) (Dec, error) { return ParseDec([]byte(s)) }

// digits reads the run of digits at b[i:], eight at a time: their value modulo 2^64 and
// their number. The caller must not use the value of more than 19 digits.
func digits(b []byte, i int) (v uint64, n int) {
	for i+8 <= len(b) {
		d, k := digits8(binary.LittleEndian.Uint64(b[i:]))
		v = v*Pow10[k] + d
		n += k
		if k < 8 {
			return v, n
		}
		i += 8
	}
	if left := len(b) - i; left > 0 && len(b) >= 8 {
		// The last eight bytes, those before i shifted out; zero bytes end the run.
		w := binary.LittleEndian.Uint64(b[len(b)-8:]) >> (8 * (8 - uint(left)))
		d, k := digits8(w)
		return v*Pow10[k] + d, n + k
	}
	for ; i < len(b); i++ {
		d := b[i] - '0'
		if d > 9 {
			break
		}
		v = v*10 + uint64(d)
		n++
	}
	return v, n
}

// digits8 is the value and number of the digits at the low end of eight bytes, first
// byte lowest.
func digits8(w uint64) (v uint64, n int) {
	t := w ^ 0x3030303030303030
	// The high bit of each byte over 9, up to and including the first such byte; a
	// carry out of it spoils only bytes behind it.
	bad := (t + 0x7676767676767676 | t) & 0x8080808080808080
	n = bits.TrailingZeros64(bad) >> 3
	t <<= 64 - 8*uint(n) // zeros in front
	t = t*10 + t>>8
	v = (t&0x000000ff000000ff*(100+1000000<<32) + t>>16&0x000000ff000000ff*(1+10000<<32)) >> 32
	return v, n
}

// parseSlow reads every form; ParseDec has the common ones.
func parseSlow(b []byte) (Dec, error) {
	i, neg := 0, false
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		neg = b[0] == '-'
		i = 1
	}
	var (
		m       uint64 // digits up to the last one that is not zero
		zeros   int    // zeros behind them
		frac    int    // digits after the point
		seen    bool   // any digit
		point   bool
		tooWide bool
	)
	for ; i < len(b); i++ {
		c := b[i]
		if c == '.' && !point {
			point = true
			continue
		}
		if c < '0' || c > '9' {
			break
		}
		seen = true
		if point {
			frac++
		}
		if c == '0' {
			if m != 0 {
				zeros++
			}
			continue
		}
		var ok bool
		if m, ok = mulPow10(m, zeros+1); !ok || m+uint64(c-'0') > math.MaxInt64 {
			tooWide, m = true, 1
		} else {
			m += uint64(c - '0')
		}
		zeros = 0
	}
	if !seen || point && frac == 0 {
		return Dec{}, ErrSyntax
	}
	exp, ok := parseExp(b[i:])
	if !ok {
		return Dec{}, ErrSyntax
	}
	if tooWide {
		return Dec{}, ErrRange
	}
	d, ok := fitDec(m, zeros, frac-exp)
	if !ok {
		return Dec{}, ErrRange
	}
	if neg {
		d.M = -d.M
	}
	return d, nil
}

// parseExp reads what follows the digits: nothing or an exponent, cut to ±10^8.
func parseExp(b []byte) (int, bool) {
	if len(b) == 0 {
		return 0, true
	}
	if b[0] != 'e' && b[0] != 'E' {
		return 0, false
	}
	b = b[1:]
	neg := false
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		neg = b[0] == '-'
		b = b[1:]
	}
	e := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		e = min(e*10+int(c-'0'), 1e8)
	}
	if neg {
		e = -e
	}
	return e, len(b) > 0
}

// mulPow10 is m × 10^k if that is below 2^63.
func mulPow10(m uint64, k int) (uint64, bool) {
	if m == 0 {
		return 0, true
	}
	if k > 18 {
		return 0, false
	}
	hi, lo := bits.Mul64(m, Pow10[k])
	return lo, hi == 0 && lo <= math.MaxInt64
}

// fitDec makes the decimal m × 10^(zeros−scale), with as many of the zeros behind the
// point written out as fit.
func fitDec(m uint64, zeros, scale int) (Dec, bool) {
	if m == 0 {
		return Dec{S: int8(min(max(scale, 0), MaxScale))}, true
	}
	if scale < 0 {
		zeros, scale = zeros-scale, 0
	}
	if drop := scale - MaxScale; drop > 0 {
		zeros, scale = zeros-drop, MaxScale
	}
	for zeros >= 0 {
		if v, ok := mulPow10(m, zeros); ok {
			return Dec{M: int64(v), S: int8(scale)}, true
		}
		if scale == 0 {
			break
		}
		zeros--
		scale--
	}
	return Dec{}, false
}
