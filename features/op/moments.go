package op

import (
	"math/big"
	"math/bits"

	"github.com/pinova-group/tidemark/market/num"
)

// The power sums of a value: words 0 number of inputs, 1 extent, then Σx, Σx² … Σx^Bits as
// integers of 384 bits, Σx^k at k times the scale of the state. All moments are exact
// functions of them, rounded once.
const momentsHead = 2

func momentsWords(a *Acc) int { return momentsHead + a.Bits*wideWords }

func momentsFold(a *Acc, st []uint64, v *Val, _ int64, _ *Scratch) bool {
	if v.W.BitLen()*a.Bits > wideBits {
		return false
	}
	st[0]++
	a.addPowers(st, v, false)
	return true
}

func momentsUnfold(a *Acc, st []uint64, v *Val, _ int64, _ *Scratch) {
	if v.W.BitLen()*a.Bits <= wideBits {
		st[0]--
		a.addPowers(st, v, true)
	}
}

func (a *Acc) addPowers(st []uint64, v *Val, sub bool) {
	e := extent(st[1]).with(extentOf(&v.W, v.S))
	a.raisePowers(st, e.scale())
	st[1] = uint64(e)
	x := widen(&v.W)
	x.mulPow10(int(e.scale() - v.S))
	p := x
	for k := range a.Bits {
		if k > 0 {
			p.mul(&x)
		}
		if s := powerSum(st, k); sub {
			s.sub(&p)
		} else {
			s.add(&p)
		}
	}
}

// powerSum is Σx^(k+1) in a state.
func powerSum(st []uint64, k int) *int384 {
	at := momentsHead + k*wideWords
	return (*int384)(st[at : at+wideWords])
}

// raisePowers brings a state to a scale that is not less than its own.
func (a *Acc) raisePowers(st []uint64, scale int8) {
	if up := int(scale - extent(st[1]).scale()); up > 0 && st[1] != 0 {
		for k := range a.Bits {
			powerSum(st, k).mulPow10(up * (k + 1))
		}
	}
}

func momentsMerge(a *Acc, st, newer []uint64, _ *Scratch) bool {
	e := extent(st[1]).with(extent(newer[1]))
	a.raisePowers(st, e.scale())
	st[0], st[1] = st[0]+newer[0], uint64(e)
	up := int(e.scale() - extent(newer[1]).scale())
	for k := range a.Bits {
		s := *powerSum(newer, k)
		s.mulPow10(up * (k + 1))
		powerSum(st, k).add(&s)
	}
	return true
}

func momentsValid(_ *Acc, st []uint64) bool { return st[0] < 1<<62 && extent(st[1]).valid() }

// Stat names a statistic.
type Stat uint8

// Statistic is a statistic with its constants.
type Statistic struct {
	Stat      Stat
	DDof      int64 // StatVar, StatCov
	Max, Step int64 // StatLead, µs
}

// The statistics: of one value, then of a pair (x, y).
const (
	StatVar   Stat = iota // ratio, of x squared
	StatSkew              // float
	StatKurt              // ratio
	StatCov               // ratio, of x times y
	StatCorr              // float
	StatSlope             // ratio, of x over y
	StatHY                // ratio, of x times y
	StatLead              // µs
)

// Statistic sets v to a statistic of what is held, null where it is not defined or what is
// held may not fit.
func (a *Acc) Statistic(v *Val, rec []uint64, ask Statistic, sc *Scratch) {
	st, s, ddof := a.state(rec), ask.Stat, ask.DDof
	switch a.Fn {
	case Comoments:
		a.comoment(v, st, s, ddof, sc)
		return
	case Paths:
		a.path(v, st, ask, sc)
		return
	}
	n := int64(st[0])
	if n <= ddof || s == StatSkew && n < 3 || s == StatKurt && n < 4 {
		v.setNull(false)
		return
	}
	if extent(st[1]).bits()*a.Bits+bits.Len64(uint64(n)) > 64*wideWords-2 {
		v.setNull(true)
		return
	}
	b := &sc.big
	for k := range a.Bits {
		powerSum(st, k).big(&b[k])
	}
	switch s {
	case StatVar:
		sc.central2(n)
		sc.pairsOf(n, n-ddof)
		sc.ratio(v, &b[4], &b[8], int(2*extent(st[1]).scale()), 2*a.Kind.QBits())
	case StatSkew:
		sc.skew(v, n)
	case StatKurt:
		sc.kurt(v, n)
	}
}

// The scratch integers of a statistic: 0–3 the power sums, 4–6 central ones times powers of
// n, 7 and 8 factors.

func (sc *Scratch) int(i int64) *big.Int { return sc.big[8].SetInt64(i) }

// pairsOf sets big[8] to n·m.
func (sc *Scratch) pairsOf(n, m int64) {
	sc.int(n).Mul(&sc.big[8], sc.big[7].SetInt64(m))
}

// central2 sets big[4] to n·S2 − S1² = n²·m2.
func (sc *Scratch) central2(n int64) {
	b := &sc.big
	b[4].Mul(&b[1], sc.int(n))
	b[4].Sub(&b[4], b[7].Mul(&b[0], &b[0]))
}

// skew is G1 = √(n(n−1))/(n−2) · m3/m2^(3/2): with A2 = n²·m2, A3 = n³·m3 the root of
// n(n−1)·A3² / ((n−2)²·A2³), with the sign of A3. Null where x does not vary.
func (sc *Scratch) skew(v *Val, n int64) {
	b := &sc.big
	sc.central2(n)
	if b[4].Sign() <= 0 {
		v.setNull(false)
		return
	}
	// A3 = n²·S3 − 3n·S1·S2 + 2·S1³
	b[5].Mul(&b[2], sc.int(n))
	b[5].Sub(&b[5], b[7].Mul(b[7].Mul(&b[0], &b[1]), sc.int(3)))
	b[5].Mul(&b[5], sc.int(n))
	b[5].Add(&b[5], b[7].Mul(b[7].Mul(b[7].Mul(&b[0], &b[0]), &b[0]), sc.int(2)))
	neg := b[5].Sign() < 0
	b[5].Mul(&b[5], &b[5])
	b[5].Mul(b[5].Mul(&b[5], sc.int(n)), sc.int(n-1))
	b[6].Mul(b[6].Mul(&b[4], &b[4]), &b[4])
	b[6].Mul(b[6].Mul(&b[6], sc.int(n-2)), sc.int(n-2))
	sc.root(v, &b[5], &b[6], neg)
}

// kurt is G2 = (n−1)/((n−2)(n−3)) · ((n+1)·m4/m2² − 3(n−1)), the excess: with A4 = n⁴·m4
// it is (n−1)·((n+1)·A4 − 3(n−1)·A2²) / ((n−2)(n−3)·A2²).
func (sc *Scratch) kurt(v *Val, n int64) {
	b := &sc.big
	sc.central2(n)
	if b[4].Sign() <= 0 {
		v.setNull(false)
		return
	}
	// A4 = n³·S4 − 4n²·S1·S3 + 6n·S1²·S2 − 3·S1⁴
	b[5].Mul(&b[3], sc.int(n))
	b[5].Sub(&b[5], b[7].Mul(b[7].Mul(&b[0], &b[2]), sc.int(4)))
	b[5].Mul(&b[5], sc.int(n))
	b[6].Mul(&b[0], &b[0])
	b[5].Add(&b[5], b[7].Mul(b[7].Mul(&b[6], &b[1]), sc.int(6)))
	b[5].Mul(&b[5], sc.int(n))
	b[5].Sub(&b[5], b[7].Mul(b[7].Mul(&b[6], &b[6]), sc.int(3)))
	b[4].Mul(&b[4], &b[4]) // A2²
	b[5].Mul(&b[5], sc.int(n+1))
	b[5].Sub(&b[5], b[7].Mul(&b[4], sc.int(3*(n-1))))
	b[5].Mul(&b[5], sc.int(n-1))
	b[6].Mul(b[6].Mul(&b[4], sc.int(n-2)), sc.int(n-3))
	sc.ratio(v, &b[5], &b[6], 0, 0)
}

// ratio makes v x/y · 10^-scale · 2^-q; scale may be negative.
func (sc *Scratch) ratio(v *Val, x, y *big.Int, scale int, q uint) {
	v.Null, v.Ovf, v.lazy = false, false, false
	for ; scale < 0; scale += min(-scale, 18) {
		x.Mul(x, sc.big[7].SetUint64(num.Pow10[min(-scale, 18)]))
	}
	for ; scale > 0; scale -= min(scale, 18) {
		y.Mul(y, sc.big[7].SetUint64(num.Pow10[min(scale, 18)]))
	}
	v.R.SetFrac(x, y.Lsh(y, q))
}

// root makes v √(x/y), rounded once.
func (sc *Scratch) root(v *Val, x, y *big.Int, neg bool) {
	f, ok := sc.r.SetFrac(x, y).Sqrt64()
	if neg {
		f = -f
	}
	v.Null, v.Ovf, v.F = !ok, !ok, f+0
}
