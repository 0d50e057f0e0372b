package op

// Bound is what is known of the values of one register over a run of rows, before any is
// worked out: their scale, the same for all, and that |W| < 2^Bits. Of a quotient those
// are of the dividend.
type Bound struct {
	Bits  int
	Scale int8
}

// Boundable reports whether bounds can tell that code has no value that does not fit.
func Boundable(code []Instr) bool {
	for i := range code {
		switch code[i].Op {
		case AddX, SubX, MulX, NegX, AbsX, MinX, MaxX, QuoX, XToF, RToF:
		default:
			return false
		}
	}
	return true
}

// Fits reports whether code, which is boundable, gives no value that does not fit for any
// inputs within their bounds; b has a bound for each register, those of inputs and
// constants filled. Then rows whose result nobody reads need not be worked out: their
// only trace would have been the flag of an overflow.
func Fits(code []Instr, b []Bound) bool {
	for i := range code {
		in := &code[i]
		x, y, d := b[in.A], b[in.B], &b[in.Dst]
		switch in.Op {
		case AddX, SubX, MinX, MaxX:
			s := max(x.Scale, y.Scale)
			d.Scale = s
			d.Bits = max(x.Bits+digitBits(s-x.Scale), y.Bits+digitBits(s-y.Scale)) + 1
		case MulX:
			if int(x.Scale)+int(y.Scale) > maxScale {
				return false
			}
			d.Scale, d.Bits = x.Scale+y.Scale, x.Bits+y.Bits
		default: // signs, quotients and what is rounded: no longer than their operand
			*d = x
		}
		if d.Bits > maxBits {
			return false
		}
	}
	return true
}

// digitBits is more than the bits that k decimal digits add.
func digitBits(k int8) int {
	if k == 0 {
		return 0
	}
	return int(k)*10/3 + 2
}
