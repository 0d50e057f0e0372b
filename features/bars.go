package features

import (
	"math/bits"

	"github.com/pinova-group/tidemark/market/num"
)

// bars is the fused fold of price and quantity bars: first, last, min and max of one
// column, the sum of another, their product, and the sum of the second for up to two
// words of an enum. It reads each column once.
type bars struct {
	on       bool
	p, q     int // payload columns
	enum     int
	code     [2]int64
	cells    cellGroup
	sum      int // offsets of sum(q) and sum(p*q), -1 for none
	product  int
	part     [2]int // offset of sum(q where enum == code), -1 for none
	counts   []int
	counters [2][]int // counts by word
}

// match recognises the passes that the fused fold covers; at least one sum by a word
// must be among them, else the plain passes are as fast.
func (b *bars) match(k *kernels) {
	*b = bars{p: -1, q: -1, sum: -1, product: -1, part: [2]int{-1, -1}}
	all := &k.passes[0]
	if len(k.passes) < 2 || len(k.passes) > 3 || len(all.cells) != 1 {
		return
	}
	b.cells, b.counts = all.cells[0], all.counts
	b.p = all.cols[b.cells.col]
	for _, s := range all.sums {
		x, y := all.cols[s.a], -1
		if s.b >= 0 {
			if y = all.cols[s.b]; y == b.p {
				x, y = y, x
			}
		}
		switch {
		case y < 0 && b.takes(x) && b.sum < 0:
			b.sum = s.off
		case x == b.p && b.takes(y) && b.product < 0:
			b.product = s.off
		default:
			return
		}
	}
	for i, p := range k.passes[1:] {
		if len(p.cells) > 0 || len(p.sums) > 1 || i > 0 && p.enum != b.enum {
			return
		}
		b.enum, b.code[i], b.counters[i] = p.enum, p.code, p.counts
		if len(p.sums) == 1 {
			s := p.sums[0]
			if s.b >= 0 || !b.takes(p.cols[s.a]) {
				return
			}
			b.part[i] = s.off
		}
	}
	if len(k.passes) == 2 {
		b.code[1] = -1
	}
	b.on = b.q >= 0
}

// takes settles the quantity column.
func (b *bars) takes(col int) bool {
	if b.q < 0 && col != b.p {
		b.q = col
	}
	return col == b.q
}

// barBlock is how many quantities below 2^(63-8) can be added in a word.
const (
	barBlock     = 256
	barBlockBits = 8
)

// totals are what the fused loop finds in a block.
type totals struct {
	least, most int64
	or, all     int64 // bits of the quantities, of everything for its sign
	sum         int64
	part        [2]int64
	partOr      [2]int64
	n           [2]int64
}

// fold folds a run of rows in which both columns have one scale. What the fused loop
// does not take, negative or very large numbers, goes through the passes.
func (b *bars) fold(k *kernels, rec []uint64, c *cols, lo, hi int) {
	p, q, e := &c.c[b.p], &c.c[b.q], &c.c[b.enum]
	for ; lo < hi; lo += barBlock {
		to := min(hi, lo+barBlock)
		var t totals
		t.add(p.I64[lo:to], q.I64[lo:to], e.I64[lo:to], b.code[0], b.code[1])
		if t.all < 0 || bits.Len64(uint64(t.or)) > 63-barBlockBits {
			for i := range k.passes {
				k.foldPass(&k.passes[i], rec, c, lo, to)
			}
			continue
		}
		b.enter(rec, &t, c, lo, to)
	}
}

// add is the fused loop, in two halves that fit the registers. A mask of a row is all
// ones where the enum has the word.
func (t *totals) add(p, q, e []int64, c0, c1 int64) {
	q, e = q[:len(p)], e[:len(p)]
	least, most := p[0], p[0]
	var or, sum int64
	for i, x := range p {
		y := q[i]
		least, most = min(least, x), max(most, x)
		or |= y
		sum += y
	}
	t.least, t.most, t.or, t.sum, t.all = least, most, or, sum, or|least
	var s0, s1, o0, o1, n0, n1 int64
	e = e[:len(q)]
	for i, y := range q {
		w := e[i]
		m0, m1 := ((w^c0)-1)>>63, ((w^c1)-1)>>63
		n0 -= m0
		n1 -= m1
		m0 &= y
		m1 &= y
		s0 += m0
		s1 += m1
		o0 |= m0
		o1 |= m1
	}
	t.part, t.partOr, t.n = [2]int64{s0, s1}, [2]int64{o0, o1}, [2]int64{n0, n1}
}

// enter puts the totals of a block into the state.
func (b *bars) enter(rec []uint64, t *totals, c *cols, lo, hi int) {
	p, q := &c.c[b.p], &c.c[b.q]
	sp, sq := p.Scale[lo], q.Scale[lo]
	for _, off := range b.counts {
		rec[off] += uint64(hi - lo)
	}
	b.cells.Ends(rec, p.I64[lo], p.I64[hi-1], sp, c.ts[hi-1])
	b.cells.Extremes(rec, t.least, t.most, sp)
	if b.sum >= 0 {
		num.SumAddTotal(rec[b.sum:], 0, uint64(t.sum), 0, uint64(t.or), sq)
	}
	if b.product >= 0 {
		products(rec[b.product:], p.I64[lo:hi], q.I64[lo:hi], sp+sq)
	}
	for i, n := range t.n {
		if n == 0 {
			continue
		}
		for _, off := range b.counters[i] {
			rec[off] += uint64(n)
		}
		if b.part[i] >= 0 {
			num.SumAddTotal(rec[b.part[i]:], 0, uint64(t.part[i]), 0, uint64(t.partOr[i]), sq)
		}
	}
}

// products adds the products of a block of numbers that are not negative: fewer than 2^8
// of less than 2^118, since a quantity has at most 55 bits.
func products(st []uint64, p, q []int64, s int8) {
	q = q[:len(p)]
	var lo, hi, orLo, orHi, c uint64
	for i, x := range p {
		h, l := bits.Mul64(uint64(x), uint64(q[i]))
		lo, c = bits.Add64(lo, l, 0)
		hi += h + c
		orLo |= l
		orHi |= h
	}
	num.SumAddTotal(st, hi, lo, orHi, orLo, s)
}
