package canon

import "math/bits"

// parseInt reads a decimal integer of 63 bits and a sign.
func parseInt(b []byte) (v int64, ok bool) {
	neg := false
	if len(b) > 0 && b[0] == '-' {
		neg, b = true, b[1:]
	}
	if len(b) == 0 || len(b) > 19 {
		return 0, false
	}
	if len(b) == 19 {
		u, ok := parseUint(b)
		if v = int64(u); neg {
			v = -v
		}
		return v, ok && u>>63 == 0
	}
	for _, c := range b {
		c -= '0'
		if c > 9 {
			return 0, false
		}
		v = v*10 + int64(c)
	}
	if neg {
		v = -v
	}
	return v, true
}

// parseUint reads an unsigned decimal integer of 64 bits.
func parseUint(b []byte) (v uint64, ok bool) {
	if len(b) == 0 || len(b) > 20 {
		return 0, false
	}
	for _, c := range b {
		c -= '0'
		if c > 9 {
			return 0, false
		}
		hi, lo := bits.Mul64(v, 10)
		lo, carry := bits.Add64(lo, uint64(c), 0)
		if hi+carry != 0 {
			return 0, false
		}
		v = lo
	}
	return v, true
}
