package op

import "math/bits"

// The sums of a pair (x, y): words 0 number of inputs, 1 and 2 extents of x and y, then Σx,
// Σy, Σx², Σxy, Σy² as integers of 384 bits.
const (
	comomentsHead = 3
	comomentSums  = 5
	comomentsLen  = comomentsHead + comomentSums*wideWords
)

// powers are the powers of x and y in each sum.
var powers = [comomentSums][2]int{{1, 0}, {0, 1}, {2, 0}, {1, 1}, {0, 2}}

func comomentsWords(*Acc) int { return comomentsLen }

func comomentSum(st []uint64, k int) *int384 {
	at := comomentsHead + k*wideWords
	return (*int384)(st[at : at+wideWords])
}

func comomentsFit(x, y *Val) bool { return 2*max(x.W.BitLen(), y.W.BitLen()) <= wideBits }

func comomentsFold(_ *Acc, st []uint64, v *Val, _ int64, _ *Scratch) bool {
	x, y := v.pair[0], v.pair[1]
	if !comomentsFit(x, y) {
		return false
	}
	st[0]++
	addPair(st, x, y, false)
	return true
}

func comomentsUnfold(_ *Acc, st []uint64, v *Val, _ int64, _ *Scratch) {
	if x, y := v.pair[0], v.pair[1]; comomentsFit(x, y) {
		st[0]--
		addPair(st, x, y, true)
	}
}

func addPair(st []uint64, x, y *Val, sub bool) {
	ex := extent(st[1]).with(extentOf(&x.W, x.S))
	ey := extent(st[2]).with(extentOf(&y.W, y.S))
	raisePair(st, ex.scale(), ey.scale())
	st[1], st[2] = uint64(ex), uint64(ey)
	u, w := widen(&x.W), widen(&y.W)
	u.mulPow10(int(ex.scale() - x.S))
	w.mulPow10(int(ey.scale() - y.S))
	uu, uw, ww := u, u, w
	uu.mul(&u)
	uw.mul(&w)
	ww.mul(&w)
	for k, term := range [comomentSums]*int384{&u, &w, &uu, &uw, &ww} {
		if sub {
			comomentSum(st, k).sub(term)
		} else {
			comomentSum(st, k).add(term)
		}
	}
}

// raisePair brings a state to scales that are not less than its own.
func raisePair(st []uint64, sx, sy int8) {
	if st[0] == 0 && st[1]|st[2] == 0 {
		return
	}
	ux, uy := int(sx-extent(st[1]).scale()), int(sy-extent(st[2]).scale())
	if ux == 0 && uy == 0 {
		return
	}
	for k, p := range powers {
		comomentSum(st, k).mulPow10(p[0]*ux + p[1]*uy)
	}
}

func comomentsMerge(_ *Acc, st, newer []uint64, _ *Scratch) bool {
	ex, ey := extent(st[1]).with(extent(newer[1])), extent(st[2]).with(extent(newer[2]))
	raisePair(st, ex.scale(), ey.scale())
	st[0], st[1], st[2] = st[0]+newer[0], uint64(ex), uint64(ey)
	ux, uy := int(ex.scale()-extent(newer[1]).scale()), int(ey.scale()-extent(newer[2]).scale())
	for k, p := range powers {
		s := *comomentSum(newer, k)
		s.mulPow10(p[0]*ux + p[1]*uy)
		comomentSum(st, k).add(&s)
	}
	return true
}

func comomentsValid(_ *Acc, st []uint64) bool {
	return st[0] < 1<<62 && extent(st[1]).valid() && extent(st[2]).valid()
}

// comoment is a statistic of pairs: with C = n·Σxy − Σx·Σy, X = n·Σx² − (Σx)² and Y alike,
// the covariance C/(n(n − ddof)), the correlation C/√(X·Y), the slope of x on y C/Y.
func (a *Acc) comoment(v *Val, st []uint64, s Stat, ddof int64, sc *Scratch) {
	n := int64(st[0])
	if n <= max(ddof, 0) || n == 0 {
		v.setNull(false)
		return
	}
	ex, ey := extent(st[1]), extent(st[2])
	if 2*max(ex.bits(), ey.bits())+bits.Len64(uint64(n)) > 64*wideWords-2 {
		v.setNull(true)
		return
	}
	b := &sc.big
	for k := range comomentSums {
		comomentSum(st, k).big(&b[k])
	}
	b[5].Mul(&b[3], sc.int(n))
	b[5].Sub(&b[5], b[7].Mul(&b[0], &b[1])) // C
	sx, sy := int(ex.scale()), int(ey.scale())
	if s == StatCov {
		sc.pairsOf(n, n-ddof)
		sc.ratio(v, &b[5], &b[8], sx+sy, a.Kind.QBits()+a.With.QBits())
		return
	}
	b[6].Mul(&b[4], sc.int(n))
	b[6].Sub(&b[6], b[7].Mul(&b[1], &b[1])) // Y
	if b[6].Sign() <= 0 {
		v.setNull(false)
		return
	}
	if s == StatSlope {
		if up := int(a.With.QBits()) - int(a.Kind.QBits()); up >= 0 {
			b[5].Lsh(&b[5], uint(up))
		} else {
			b[6].Lsh(&b[6], uint(-up))
		}
		sc.ratio(v, &b[5], &b[6], sx-sy, 0)
		return
	}
	b[2].Mul(&b[2], sc.int(n))
	b[2].Sub(&b[2], b[7].Mul(&b[0], &b[0])) // X
	if b[2].Sign() <= 0 {
		v.setNull(false)
		return
	}
	neg := b[5].Sign() < 0
	b[5].Mul(&b[5], &b[5])
	sc.root(v, &b[5], b[6].Mul(&b[6], &b[2]), neg)
}
