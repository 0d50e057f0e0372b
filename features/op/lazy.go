package op

import "github.com/pinova-group/tidemark/market/num"

// lazyRatio works out a ratio operation on quotients of exact values without big
// integers: (a/b) ± (c/d) = (a·d ± c·b)/(b·d), and so on. It is exact or not done: false
// when something would not fit, and the operation goes through num.Rat.
func lazyRatio(op Code, d, a, b *Val) bool {
	if !a.lazy || op < NegR && !b.lazy {
		return false
	}
	x := fraction{a.W, a.den, a.S, a.denS}
	ok := true
	switch op {
	case AddR, SubR:
		ok = x.add(&fraction{b.W, b.den, b.S, b.denS}, op == SubR)
	case MulR:
		ok = x.mul(&fraction{b.W, b.den, b.S, b.denS})
	case QuoR:
		if b.W.Sign() == 0 {
			d.setNull(false)
			return true
		}
		ok = x.mul(&fraction{b.den, b.W, b.denS, b.S})
	case NegR:
		x.n.Neg()
	case AbsR:
		x.abs()
	default:
		return false
	}
	if ok {
		d.Null, d.Ovf, d.lazy = false, false, true
		d.W, d.den, d.S, d.denS = x.n, x.d, x.sn, x.sd
	}
	return ok
}

// fraction is n·10^-sn / (d·10^-sd).
type fraction struct {
	n, d   num.Int192
	sn, sd int8
}

func (x *fraction) abs() {
	if x.n.Sign() < 0 {
		x.n.Neg()
	}
	if x.d.Sign() < 0 {
		x.d.Neg()
	}
}

func (x *fraction) mul(y *fraction) (ok bool) {
	if x.n, x.sn, ok = mulExact(&x.n, &y.n, x.sn, y.sn); ok {
		x.d, x.sd, ok = mulExact(&x.d, &y.d, x.sd, y.sd)
	}
	return ok
}

// add adds or subtracts y, which it uses up.
func (x *fraction) add(y *fraction, sub bool) (ok bool) {
	if x.d != y.d || x.sd != y.sd {
		if x.n, x.sn, ok = mulExact(&x.n, &y.d, x.sn, y.sd); !ok {
			return false
		}
		if y.n, y.sn, ok = mulExact(&y.n, &x.d, y.sn, x.sd); !ok {
			return false
		}
		if x.d, x.sd, ok = mulExact(&x.d, &y.d, x.sd, y.sd); !ok {
			return false
		}
	}
	if x.sn, ok = align(&x.n, &y.n, x.sn, y.sn); !ok {
		return false
	}
	if sub {
		x.n.Sub(&y.n)
	} else {
		x.n.Add(&y.n)
	}
	return fits(&x.n)
}

// mulExact multiplies exact values; false when the product does not fit.
func mulExact(a, b *num.Int192, sa, sb int8) (w num.Int192, s int8, ok bool) {
	switch {
	case sb == 0 && *b == one192:
		return *a, sa, true
	case sa == 0 && *a == one192:
		return *b, sb, true
	}
	if w, ok = mul192(a, b); ok {
		s = sa + sb
		if s > maxScale {
			s, ok = trim(&w, int(s), maxScale)
		}
	}
	return w, s, ok
}
