package op

import (
	"math/bits"

	"github.com/pinova-group/tidemark/market/num"
)

// Two irregular series, as the queue of what was seen of them: an entry is the time, then
// the number of inputs that it stands for, its series and its scale, then the value. Of
// several values of a series at one instant the last one counts.
const (
	pathScale  = 0xff
	pathSeries = 8
	pathCount  = 16
)

// An entry of a path.
type point struct {
	ts  int64
	n   uint64
	two bool // of the second series
	s   int8
	w   num.Int192
}

func pointOf(e []uint64) point {
	return point{int64(e[0]), e[1] >> pathCount, e[1]>>pathSeries&1 == 1, int8(e[1] & pathScale), num.Int192(e[2:5])}
}

func (p *point) words() [queueEntry]uint64 {
	e := [queueEntry]uint64{uint64(p.ts), p.n<<pathCount | uint64(p.s), p.w[0], p.w[1], p.w[2]}
	if p.two {
		e[1] |= 1 << pathSeries
	}
	return e
}

// addPoint appends a point; one of the same series and instant as an earlier one takes its
// place. At an instant there are at most two entries, the newest ones.
func (sc *Scratch) addPoint(h uint64, p point) uint64 {
	q := &sc.queues
	for i := q.Len(h) - 1; i >= 0 && i >= q.Len(h)-2; i-- {
		old := pointOf(q.At(h, i))
		if old.ts != p.ts {
			break
		}
		if old.two == p.two {
			p.n += old.n
			e := p.words()
			copy(q.At(h, i), e[:])
			return h
		}
	}
	return q.Push(h, p.words())
}

func pathsFold(_ *Acc, st []uint64, v *Val, ts int64, sc *Scratch) bool {
	ok := true
	for i, x := range v.pair {
		switch {
		case !x.Null:
			st[0] = sc.addPoint(st[0], point{ts: ts, n: 1, two: i == 1, s: x.S, w: x.W})
		case x.Ovf:
			ok = false
		}
	}
	return ok
}

// pathsUnfold takes the oldest input off: its points are the oldest ones.
func pathsUnfold(_ *Acc, st []uint64, v *Val, _ int64, sc *Scratch) {
	q := &sc.queues
	for i, x := range v.pair {
		if x.Null {
			continue
		}
		at := 0
		if pointOf(q.At(st[0], 0)).two != (i == 1) {
			at = 1 // behind the other series' point of the same instant
		}
		p := pointOf(q.At(st[0], at))
		if p.n--; p.n > 0 {
			e := p.words()
			copy(q.At(st[0], at), e[:])
			continue
		}
		if at == 1 {
			copy(q.At(st[0], 1), q.At(st[0], 0))
		}
		st[0] = q.Drop(st[0], 1)
	}
}

func pathsMerge(_ *Acc, st, newer []uint64, sc *Scratch) bool {
	for i := range sc.queues.Len(newer[0]) {
		st[0] = sc.addPoint(st[0], pointOf(sc.queues.At(newer[0], i)))
	}
	return true
}

// pathsSub takes a part off that is the oldest of the state: panes do not share an instant.
func pathsSub(_ *Acc, st, part []uint64, sc *Scratch) {
	st[0] = sc.queues.Drop(st[0], sc.queues.Len(part[0]))
}

func pathsValid(_ *Acc, e []uint64) bool {
	p := pointOf(e)
	return p.n > 0 && p.s >= 0 && p.s <= maxScale && e[1]>>pathSeries&0xff <= 1 && p.w.BitLen() <= maxBits
}

// series reads the points of both series at one scale each; false when one does not fit.
func (sc *Scratch) series(h uint64) bool {
	sc.path[0], sc.path[1], sc.pathScale = sc.path[0][:0], sc.path[1][:0], [2]int8{}
	for i := range sc.queues.Len(h) {
		p := pointOf(sc.queues.At(h, i))
		k := 0
		if p.two {
			k = 1
		}
		sc.path[k] = append(sc.path[k], p)
		sc.pathScale[k] = max(sc.pathScale[k], p.s)
	}
	for k, s := range sc.pathScale {
		for i := range sc.path[k] {
			if p := &sc.path[k][i]; !scaleUp(&p.w, int(s-p.s)) {
				return false
			}
		}
	}
	return true
}

// contrast is Σ (x[i] − x[i−1])·(y[j] − y[j−1]) over the pairs whose intervals (tᵢ₋₁, tᵢ] and
// (uⱼ₋₁ − lag, uⱼ − lag] overlap. Those of an i are neighbours, so their sum is one difference:
// from the last y at or before tᵢ₋₁ to the first one at or after tᵢ. Of short series all
// differences have one word.
func contrast(x, y []point, lag int64, short bool) (sum int384) {
	var narrow num.Int192
	from, to := 0, 0
	for i := 1; i < len(x); i++ {
		for from+1 < len(y) && y[from+1].ts-lag <= x[i-1].ts {
			from++
		}
		for to+1 < len(y) && y[to].ts-lag < x[i].ts {
			to++
		}
		if to <= from {
			continue
		}
		if short {
			narrow.AddProd(int64(x[i].w[0]-x[i-1].w[0]), int64(y[to].w[0]-y[from].w[0]))
			continue
		}
		dx, dy := x[i].w, y[to].w
		dx.Sub(&x[i-1].w)
		dy.Sub(&y[from].w)
		p, q := widen(&dx), widen(&dy)
		p.mul(&q)
		sum.add(&p)
	}
	if short {
		return widen(&narrow)
	}
	return sum
}

// covers tells whether the sum of contrasts of two series fits 384 bits, and whether their
// differences have one word.
func covers(x, y []point) (fits, short bool) {
	longest := func(p []point) (n int) {
		for i := range p {
			n = max(n, p[i].w.BitLen())
		}
		return n + 1
	}
	a, b := longest(x), longest(y)
	return a+b+bits.Len(uint(len(x))) < 64*wideWords-2, max(a, b) < 64
}

// path sets v to a statistic of two series: their Hayashi-Yoshida covariance, or the lag at
// which its magnitude is greatest (of equal ones the nearest to 0, of those the positive
// one) in µs, positive where x leads. Null when a series has less than two points, or no lag
// has a covariance.
func (a *Acc) path(v *Val, st []uint64, s Statistic, sc *Scratch) {
	ok := sc.series(st[0])
	x, y := sc.path[0], sc.path[1]
	fits, short := covers(x, y)
	switch {
	case len(x) < 2 || len(y) < 2:
		v.setNull(false)
		return
	case !ok || !fits:
		v.setNull(true)
		return
	}
	if s.Stat == StatHY {
		sum := contrast(x, y, 0, short)
		sc.ratio(v, sum.big(&sc.big[0]), sc.big[8].SetInt64(1), int(sc.pathScale[0])+int(sc.pathScale[1]), a.Kind.QBits()+a.With.QBits())
		return
	}
	best, lead := &sc.big[1], int64(0)
	best.SetInt64(0)
	for k := int64(0); k <= s.Max/s.Step; k++ {
		for _, lag := range [2]int64{k * s.Step, -k * s.Step} {
			sum := contrast(x, y, lag, short)
			if c := sum.big(&sc.big[0]); c.CmpAbs(best) > 0 {
				best.Set(c)
				lead = lag
			}
		}
	}
	if v.SetInt(lead); best.Sign() == 0 {
		v.setNull(false)
	}
}
