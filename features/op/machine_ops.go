package op

import (
	"bytes"
	"math"
	"math/bits"

	"github.com/pinova-group/tidemark/market/num"
)

func (m *Machine) exact(in *Instr, d, a, b *Val) {
	if a.W.IsInt64() && b.W.IsInt64() && small(in.Op, d, a, b) {
		return
	}
	ok := true
	w, s := a.W, a.S
	switch in.Op {
	case AddX, SubX, AddQ, SubQ:
		y := b.W
		if s, ok = align(&w, &y, a.S, b.S); ok {
			if in.Op == AddX || in.Op == AddQ {
				w.Add(&y)
			} else {
				w.Sub(&y)
			}
			ok = fits(&w)
		}
	case MulX:
		w, s, ok = mulExact(&a.W, &b.W, a.S, b.S)
	case ModX:
		if b.W.Sign() == 0 {
			d.setNull(false)
			return
		}
		w, s, ok = modExact(a.W, b.W, a.S, b.S, &m.x, &m.y)
	case NegX:
		w.Neg()
	case AbsX:
		if w.Sign() < 0 {
			w.Neg()
		}
	case SignX:
		w, s = num.FromInt64(int64(w.Sign())), 0
	case MinX, MaxX:
		to := max(a.S, b.S)
		if c := cmpExact(&a.W, &b.W, a.S, b.S); c != 0 && c > 0 == (in.Op == MinX) {
			w, s = b.W, b.S
		}
		raise(&w, &s, to)
	case RoundX:
		w, s = roundTo(w, s, int8(in.N))
	case FloorX:
		w, s = floorTo0(w, s), 0
	case QuoX:
		if b.W.Sign() == 0 {
			d.setNull(false)
			return
		}
		d.setQuo(a, b)
		return
	}
	d.Null, d.Ovf, d.W, d.S = !ok, !ok, w, s
}

// small runs the most frequent operations where operands and sums have one word; false where that is not
// so. (Of an instruction with one operand b is any register.)
func small(op Code, d, a, b *Val) bool {
	x, y := int64(a.W[0]), int64(b.W[0])
	s := a.S
	switch op {
	case AddX, AddQ:
		z := x + y
		if s != b.S || (x^z)&(y^z) < 0 {
			return false
		}
		x = z
	case SubX, SubQ:
		z := x - y
		if s != b.S || (x^y)&(x^z) < 0 {
			return false
		}
		x = z
	case MulX:
		if s += b.S; s > maxScale {
			return false
		}
		hi, lo := bits.Mul64(uint64(x), uint64(y))
		hi -= uint64(x>>63)&uint64(y) + uint64(y>>63)&uint64(x)
		d.Null, d.Ovf, d.S = false, false, s
		d.W[0], d.W[1], d.W[2] = lo, hi, uint64(int64(hi)>>63)
		return true
	case QuoX:
		if y == 0 {
			d.setNull(false)
		} else {
			d.setQuo(a, b)
		}
		return true
	case NegX:
		if x = -x; x == math.MinInt64 {
			return false
		}
	case AbsX:
		if x = max(x, -x); x < 0 {
			return false
		}
	default:
		return false
	}
	d.setWord(x, s)
	return true
}

// raise brings w to a scale, if it fits: what comes of two values has the greater scale
// whichever of them it is, so that a column of results has one scale.
func raise(w *num.Int192, s *int8, to int8) {
	if x := *w; *s < to && scaleUp(&x, int(to-*s)) {
		*w, *s = x, to
	}
}

func (m *Machine) ratio(in *Instr, d, a, b *Val) {
	if lazyRatio(in.Op, d, a, b) {
		return
	}
	x, y := a.rat(&m.r), &b.R
	if twoArgs[in.Op] {
		y = b.rat(&m.r)
	}
	d.Null, d.Ovf, d.lazy = false, false, false
	switch in.Op {
	case AddR:
		d.R.Add(x, y)
	case SubR:
		d.R.Sub(x, y)
	case MulR:
		d.R.Mul(x, y)
	case QuoR:
		if !d.R.Quo(x, y) {
			d.setNull(false)
		}
	case NegR:
		d.R.Neg(x)
	case AbsR:
		d.R.Abs(x)
	case SignR:
		d.SetInt(int64(x.Sign()))
	case MinR, MaxR:
		if c := x.Cmp(y); c != 0 && c > 0 == (in.Op == MinR) {
			x = y
		}
		d.R.Set(x)
	case RoundR:
		d.R.Round(x, int(in.N))
	case FloorR:
		d.R.Floor(x)
	}
}

// float runs the operations of IEEE 754 that are the same on every processor. Products
// are never fused with sums: each instruction stores its result.
func (m *Machine) float(in *Instr, d, a, b *Val) {
	x, y := a.F, b.F
	switch in.Op {
	case AddF:
		d.setFloat(x + y)
	case SubF:
		d.setFloat(x - y)
	case MulF:
		d.setFloat(float64(x * y))
	case QuoF:
		if y == 0 {
			d.setNull(false)
			return
		}
		d.setFloat(x / y)
	case NegF:
		d.setFloat(-x)
	case AbsF:
		d.setFloat(math.Abs(x))
	case SignF:
		s := int64(0)
		if x > 0 {
			s = 1
		} else if x < 0 {
			s = -1
		}
		d.SetInt(s)
	case MinF:
		if y < x {
			x = y
		}
		d.setFloat(x)
	case MaxF:
		if y > x {
			x = y
		}
		d.setFloat(x)
	case RoundF:
		m.roundFloat(d, x, int(in.N))
	case FloorF:
		d.setFloat(math.Floor(x))
	}
}

// roundFloat is the decimal of some digits nearest to x, ties to even.
func (m *Machine) roundFloat(d *Val, x float64, digits int) {
	if !ratOfFloat(&m.r, x) {
		d.setNull(true)
		return
	}
	d.toExact(m.r.Round(&m.r, digits))
}

func (m *Machine) compare(in *Instr, a, b *Val) bool {
	c := 0
	switch in.Op {
	case CmpX:
		c = cmpExact(&a.W, &b.W, a.S, b.S)
	case CmpR:
		c = a.rat(&m.r).Cmp(b.rat(&m.r))
	case CmpF:
		if a.F < b.F {
			c = -1
		} else if a.F > b.F {
			c = 1
		}
	case CmpT:
		c = bytes.Compare(a.T, b.T)
	case CmpB:
		c = int(a.I - b.I)
	}
	switch in.N {
	case Eq:
		return c == 0
	case Ne:
		return c != 0
	case Lt:
		return c < 0
	case Le:
		return c <= 0
	case Gt:
		return c > 0
	}
	return c >= 0
}

func (m *Machine) convert(in *Instr, d, a, b *Val) {
	d.Null, d.Ovf, d.lazy = false, false, false
	switch in.Op {
	case XToR:
		d.lazy, d.W, d.S, d.den, d.denS = true, a.W, a.S, one192, 0
	case QToR:
		a.toRat(&d.R, in.K)
	case XToQ:
		w := a.W
		ok := shiftLeft(&w, uint(in.N))
		d.Null, d.Ovf, d.W, d.S = !ok, !ok, w, a.S
	case XToF, QToF, RToF:
		f, ok := a.Float64(in.K)
		d.F = f
		d.Null, d.Ovf = !ok, !ok
	case RToX:
		d.toExact(m.r.Set(a.rat(&m.r)))
	case SqrtR:
		x := a.rat(&m.r)
		if x.Sign() < 0 {
			d.setNull(false)
			return
		}
		f, ok := x.Sqrt64()
		d.F = f
		d.Null, d.Ovf = !ok, !ok
	case SqrtF:
		if a.F < 0 {
			d.setNull(false)
			return
		}
		d.setFloat(math.Sqrt(a.F))
	case ExpF:
		d.setFloat(num.Exp(a.F))
	case LnX:
		m.lnExact(d, a, b)
	case LnR:
		m.lnRatio(d, a.rat(&m.r))
	}
}

// lnExact is ln(a/b) of two exact values: by the table where both are decimals of one
// word, else by their ratio.
func (m *Machine) lnExact(d, a, b *Val) {
	if a.W.Sign() <= 0 || b.W.Sign() <= 0 {
		d.setNull(false)
		return
	}
	if a.W.IsInt64() && b.W.IsInt64() && a.S <= num.MaxScale && b.S <= num.MaxScale {
		d.setLn(num.LnRatio(num.Dec{M: a.W.Int64(), S: a.S}, num.Dec{M: b.W.Int64(), S: b.S}))
		return
	}
	m.s.SetInt192(&a.W, int(a.S))
	m.r.SetInt192(&b.W, int(b.S))
	m.s.Quo(&m.s, &m.r)
	m.lnRatio(d, &m.s)
}

// lnRatio is the logarithm of a ratio, correctly rounded whatever the length of its terms.
func (m *Machine) lnRatio(d *Val, r *num.Rat) {
	if r.Sign() <= 0 {
		d.setNull(false)
		return
	}
	q, ok := r.Ln()
	d.setLn(q, ok)
}

// setLn makes d a logarithm; not ok is one of 8 or more.
func (d *Val) setLn(q int64, ok bool) {
	d.Null, d.Ovf = !ok, !ok
	d.W, d.S = num.FromInt64(q), 0
}

// variance is (n·S2 − S1²)/(n·(n − ddof)), exact; null when n ≤ ddof.
func (m *Machine) variance(in *Instr, d, n, s1, s2 *Val) {
	k := n.W.Int64()
	if s1.Null || s2.Null {
		d.setNull(s1.Ovf || s2.Ovf)
		return
	}
	if n.Null || k <= int64(in.N) {
		d.setNull(n.Null && n.Ovf)
		return
	}
	d.Null, d.Ovf, d.lazy = false, false, false
	m.r.SetInt192(&s1.W, int(s1.S))
	m.r.Mul(&m.r, &m.r)
	m.s.SetInt192(&s2.W, int(s2.S))
	d.R.SetInt64(k)
	d.R.Mul(&d.R, &m.s)
	d.R.Sub(&d.R, &m.r)
	m.r.SetInt64(k)
	m.s.SetInt64(k - int64(in.N))
	m.r.Mul(&m.r, &m.s)
	d.R.Quo(&d.R, &m.r)
}
