package op

import (
	"math"
	"math/bits"
	"slices"

	"github.com/pinova-group/tidemark/market/num"
)

// A multiset whose values can be ranked: the key of an exact value or logarithm is the
// value itself in lowest terms, 122 bits of mantissa above 6 bits of scale; that of a
// float its bits. Equal values have equal keys, so 1.5 and 1.50 are one entry.
const (
	keyScaleBits = 6
	keyBits      = 121 // longest mantissa
)

// orderKey is the key of a value; false when it has too many digits.
func orderKey(v *Val, k Kind) (lo, hi uint64, ok bool) {
	if k == KFloat {
		return math.Float64bits(v.F), 0, true
	}
	w := v.W
	s := uint64(trimZeros(&w, v.S))
	return w[0]<<keyScaleBits | s, w[1]<<keyScaleBits | w[0]>>(64-keyScaleBits), w.BitLen() <= keyBits
}

// trimZeros takes the trailing zeros off w·10^-s and returns its scale.
func trimZeros(w *num.Int192, s int8) int8 {
	if w.Sign() == 0 {
		return 0
	}
	if w.IsInt64() {
		m, s := trimWord(w.Int64(), s)
		*w = num.FromInt64(m)
		return s
	}
	for s > 0 {
		t := *w
		if quoSmall(&t, 10) != 0 {
			break
		}
		*w, s = t, s-1
	}
	return s
}

// trimWord is trimZeros of one word.
func trimWord(m int64, s int8) (int64, int8) {
	if m == 0 {
		return 0, 0
	}
	for s > 0 && m%10 == 0 {
		m, s = m/10, s-1
	}
	return m, s
}

// keyVal is the value of a key.
func keyVal(v *Val, lo, hi uint64, k Kind) {
	v.Null, v.Ovf = false, false
	if k == KFloat {
		v.F = math.Float64frombits(lo)
		return
	}
	v.S = int8(lo & (1<<keyScaleBits - 1))
	v.W = num.Int192{lo>>keyScaleBits | hi<<(64-keyScaleBits), uint64(int64(hi) >> keyScaleBits), uint64(int64(hi) >> 63)}
}

// maxCount bounds the number of inputs that an entry stands for, so that numbers and
// weights add up without leaving their words.
const maxCount = 1 << 40

// orderValid checks an entry read from outside: its key must be the one of its value.
func orderValid(a *Acc, e []uint64) bool {
	var v Val
	sum := num.Int192(e[3:6])
	if e[2] > maxCount || sum.Sign() < 0 || sum.BitLen() > weightBits+bits.Len64(e[2]) {
		return false
	}
	keyVal(&v, e[0], e[1], a.Kind)
	if a.Kind == KFloat {
		return e[1] == 0 && v.F-v.F == 0 && e[0] != 1<<63
	}
	lo, hi, ok := orderKey(&v, a.Kind)
	return ok && v.S <= maxScale && lo == e[0] && hi == e[1]
}

func orderFold(a *Acc, st []uint64, v *Val, _ int64, sc *Scratch) bool {
	lo, hi, ok := orderKey(v, a.Kind)
	if ok {
		st[0] = sc.Sets.Add(st[0], lo, hi, 1)
	}
	return ok
}

func orderUnfold(a *Acc, st []uint64, v *Val, _ int64, sc *Scratch) {
	lo, hi, _ := orderKey(v, a.Kind)
	st[0] = sc.Sets.Remove(st[0], lo, hi, 1, nil)
}

// ranked is an entry by its value.
type ranked struct {
	w   num.Int192
	f   float64
	s   int8
	n   uint64
	sum num.Int192
}

func compareRanked(k Kind) func(a, b ranked) int {
	if k == KFloat {
		return func(a, b ranked) int {
			switch {
			case a.f < b.f:
				return -1
			case a.f > b.f:
				return 1
			}
			return 0
		}
	}
	return func(a, b ranked) int { return cmpExact(&a.w, &b.w, a.s, b.s) }
}

// entries reads a set into sc.rank, in no order, and returns the number of inputs.
func (a *Acc) entries(st []uint64, sc *Scratch) (n uint64) {
	sc.rank = sc.rank[:0]
	s := sc.sets(a)
	if st[0] == 0 {
		return 0
	}
	t, size, top := s.table(st[0]), s.entryLen(), int8(0)
	for i := 0; i < len(t); i += size {
		e := t[i : i+size]
		if e[2] == 0 {
			continue
		}
		keyVal(&sc.v, e[0], e[1], a.Kind)
		r := ranked{w: sc.v.W, f: sc.v.F, s: sc.v.S, n: e[2]}
		if s.sums {
			r.sum = num.Int192(e[3:6])
		}
		n += e[2]
		top = max(top, r.s)
		sc.rank = append(sc.rank, r)
	}
	for i := range sc.rank { // one scale, so that most comparisons are of two words
		if r := &sc.rank[i]; scaleUp(&r.w, int(top-r.s)) {
			r.s = top
		}
	}
	return n
}

// statistic is the k-th least input, from 0, and the one after it (itself when it is the
// last one).
func (a *Acc) statistic(st []uint64, k uint64, sc *Scratch) (x, next ranked) {
	less := compareRanked(a.Kind)
	at := selectRank(sc.rank, k, less)
	x, next = sc.rank[at], sc.rank[at]
	below := uint64(0)
	for i := range sc.rank[:at] {
		below += sc.rank[i].n
	}
	if below+x.n > k+1 || at+1 == len(sc.rank) {
		return x, next
	}
	next = sc.rank[at+1]
	for _, r := range sc.rank[at+2:] {
		if less(r, next) < 0 {
			next = r
		}
	}
	return x, next
}

// selectRank moves entries until the one that holds the k-th input, from 0, stands behind
// all that are less and before all that are greater, and returns its place.
func selectRank(r []ranked, k uint64, less func(a, b ranked) int) int {
	lo, hi := 0, len(r)
	for hi-lo > 12 {
		p := pivot(r[lo:hi], less)
		i, j := lo, hi-1 // less than p before i, greater behind j
		for m := lo; m <= j; {
			switch c := less(r[m], p); {
			case c < 0:
				r[i], r[m] = r[m], r[i]
				i, m = i+1, m+1
			case c > 0:
				r[m], r[j] = r[j], r[m]
				j--
			default:
				m++
			}
		}
		below := uint64(0)
		for m := lo; m < i; m++ {
			below += r[m].n
		}
		switch {
		case k < below:
			hi = i
		case k < below+r[i].n:
			return i
		default:
			k -= below + r[i].n
			lo = i + 1
		}
	}
	slices.SortFunc(r[lo:hi], less)
	for ; k >= r[lo].n; lo++ {
		k -= r[lo].n
	}
	return lo
}

// pivot is the median of three entries.
func pivot(r []ranked, less func(a, b ranked) int) ranked {
	a, b, c := r[0], r[len(r)/2], r[len(r)-1]
	if less(a, b) > 0 {
		a, b = b, a
	}
	if less(b, c) > 0 {
		b = c
		if less(a, b) > 0 {
			b = a
		}
	}
	return b
}

// orderLoad is the median: the middle value, or half the sum of the two in the middle.
func orderLoad(a *Acc, st []uint64, v *Val, _ int64, sc *Scratch) {
	n := a.entries(st, sc)
	if n == 0 {
		v.setNull(false)
		return
	}
	x, y := a.statistic(st, (n-1)/2, sc)
	if n%2 == 1 {
		y = x
	}
	setMean(v, &x, &y, a.Kind)
}

// setMean makes v half the sum of two values, exact where they are.
func setMean(v *Val, x, y *ranked, k Kind) {
	v.Null, v.Ovf = false, false
	if k == KFloat {
		v.setFloat(x.f + float64((y.f-x.f)*0.5))
		if v.Null { // their difference left the range
			v.setFloat(float64(x.f*0.5) + float64(y.f*0.5))
		}
		return
	}
	if x.w == y.w && x.s == y.s {
		v.W, v.S = x.w, x.s
		return
	}
	w, u := x.w, y.w
	s, ok := align(&w, &u, x.s, y.s)
	if ok {
		w.Add(&u)
		w, s, ok = mulExact(&w, &half192, s, 1)
	}
	v.Null, v.Ovf, v.W, v.S = !ok, !ok, w, s
}

var half192 = num.FromInt64(5) // × 10^-1

// orderQuantile is the p-quantile by linear interpolation between order statistics (type
// 7): with h = (n − 1)·p it is x[⌊h⌋] + (h − ⌊h⌋)·(x[⌊h⌋+1] − x[⌊h⌋]), a ratio.
func (a *Acc) orderQuantile(v *Val, rec []uint64, p num.Dec, sc *Scratch) {
	st := a.state(rec)
	n := a.entries(st, sc)
	if n == 0 {
		v.setNull(false)
		return
	}
	var h num.Int192
	h.AddProd(p.M, int64(n-1))
	g := quoSmall(&h, num.Pow10[p.S]) // of 10^S
	x, y := a.statistic(st, h[0], sc)
	if a.Kind == KFloat {
		frac := float64(g) / float64(num.Pow10[p.S])
		v.setFloat(x.f + float64((y.f-x.f)*frac))
		if v.Null {
			v.setFloat(float64(x.f*(1-frac)) + float64(y.f*frac))
		}
		return
	}
	v.Null, v.Ovf, v.lazy = false, false, true
	if g == 0 {
		v.W, v.S, v.den, v.denS = x.w, x.s, one192, 0
		return
	}
	w, u := x.w, y.w
	s, ok := align(&w, &u, x.s, y.s)
	if ok {
		up, down := num.FromInt64(int64(g)), num.FromInt64(int64(num.Pow10[p.S]-g))
		w, ok = mul192(&w, &down)
		if ok {
			u, ok = mul192(&u, &up)
			w.Add(&u)
		}
	}
	v.Null, v.Ovf, v.W, v.S, v.den, v.denS = !ok, !ok, w, s, num.FromInt64(int64(num.Pow10[p.S])), 0
}
