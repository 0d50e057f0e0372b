package op

import (
	"math/bits"

	"github.com/pinova-group/tidemark/market/num"
)

func (d *Lanes) exact(n int, op Code, a, b *Lanes) bool {
	dh, dl := d.Hi[:n], d.Lo[:n]
	ah, al := a.Hi[:n], a.Lo[:n]
	switch op {
	case NegX, AbsX:
		d.S, d.bits = a.S, a.bits+1
		for i, h := range ah {
			m := uint64(0)
			if op == NegX || h < 0 {
				m = ^uint64(0)
			}
			lo, c := bits.Add64(al[i]^m, m&1, 0)
			dl[i], dh[i] = lo, int64((uint64(h)^m)+c)
		}
		return d.bits <= laneBits
	case MulX:
		if a.bits > 63 || b.bits > 63 || int(a.S)+int(b.S) > maxScale {
			return false
		}
		d.S, d.bits = a.S+b.S, a.bits+b.bits
		bl := b.Lo[:n]
		for i, x := range al {
			y := bl[i]
			hi, lo := bits.Mul64(x, y)
			hi -= uint64(int64(x)>>63)&y + uint64(int64(y)>>63)&x
			dl[i], dh[i] = lo, int64(hi)
		}
		return true
	}
	ka, kb, ok := d.meet(a, b)
	if !ok {
		return false
	}
	bh, bl := b.Hi[:n], b.Lo[:n]
	for i := range dh {
		xh, xl := scaled(ah[i], al[i], ka)
		yh, yl := scaled(bh[i], bl[i], kb)
		switch op {
		case AddX:
			var c uint64
			xl, c = bits.Add64(xl, yl, 0)
			xh += yh + int64(c)
		case SubX:
			var c uint64
			xl, c = bits.Sub64(xl, yl, 0)
			xh -= yh + int64(c)
		case MinX:
			if less(yh, yl, xh, xl) {
				xh, xl = yh, yl
			}
		case MaxX:
			if less(xh, xl, yh, yl) {
				xh, xl = yh, yl
			}
		}
		dh[i], dl[i] = xh, xl
	}
	return true
}

// meet settles the scale and the length of values that come of two registers, and the
// powers of ten that bring them there.
func (d *Lanes) meet(a, b *Lanes) (ka, kb uint64, ok bool) {
	s := max(a.S, b.S)
	ka, kb = 1, 1
	na, nb := a.bits, b.bits
	if k := int(s - a.S); k > 0 {
		if k > num.MaxScale {
			return 0, 0, false
		}
		ka, na = num.Pow10[k], na+bits.Len64(num.Pow10[k])
	}
	if k := int(s - b.S); k > 0 {
		if k > num.MaxScale {
			return 0, 0, false
		}
		kb, nb = num.Pow10[k], nb+bits.Len64(num.Pow10[k])
	}
	d.S, d.bits = s, max(na, nb)+1
	return ka, kb, d.bits <= laneBits
}

// scaled multiplies a 128-bit number by k; it fits.
func scaled(hi int64, lo, k uint64) (int64, uint64) {
	if k == 1 {
		return hi, lo
	}
	h, l := bits.Mul64(lo, k)
	return int64(h + uint64(hi)*k), l
}

func less(ah int64, al uint64, bh int64, bl uint64) bool { return ah < bh || ah == bh && al < bl }

func (d *Lanes) compare(n int, a, b *Lanes, how int32) bool {
	var t Lanes
	ka, kb, ok := t.meet(a, b)
	if !ok {
		return false
	}
	ah, al, bh, bl := a.Hi[:n], a.Lo[:n], b.Hi[:n], b.Lo[:n]
	// want is the result for less, equal, greater.
	want := [6][3]uint8{Eq: {0, 1, 0}, Ne: {1, 0, 1}, Lt: {1, 0, 0}, Le: {1, 1, 0}, Gt: {0, 0, 1}, Ge: {0, 1, 1}}[how]
	for i := range d.Bool[:n] {
		xh, xl := scaled(ah[i], al[i], ka)
		yh, yl := scaled(bh[i], bl[i], kb)
		c := 1
		if less(xh, xl, yh, yl) {
			c = 0
		} else if less(yh, yl, xh, xl) {
			c = 2
		}
		d.Bool[i] = want[c]
	}
	return true
}

// choose is if(cond, a, b). Both sides come at the greater scale, as in the machine.
func (d *Lanes) choose(n int, cond, a, b *Lanes, k Kind) bool {
	if k == KBool {
		for i, c := range cond.Bool[:n] {
			d.Bool[i] = a.Bool[i]&c | b.Bool[i]&(c^1)
		}
		return true
	}
	ka, kb, ok := d.meet(a, b)
	if !ok {
		return false
	}
	for i, c := range cond.Bool[:n] {
		if c == 1 {
			d.Hi[i], d.Lo[i] = scaled(a.Hi[i], a.Lo[i], ka)
		} else {
			d.Hi[i], d.Lo[i] = scaled(b.Hi[i], b.Lo[i], kb)
		}
	}
	return true
}

// FoldLanes folds rows of a vector, those for which mask is 1 (nil for all): what Fold
// does row by row. x is nil for count().
func (a *Acc) FoldLanes(rec []uint64, x *Lanes, mask []uint8, ts []int64, sc *Scratch) bool {
	n := len(ts)
	switch a.Fn {
	case Count:
		k := uint64(n)
		if mask != nil {
			k = 0
			for _, m := range mask[:n] {
				k += uint64(m)
			}
		}
		rec[a.Off] += k
		return true
	case Sum:
		if x.Hi != nil {
			sumLanes(rec[a.Off:], x, mask, n)
			return true
		}
	case First, Last, Min, Max:
		if x.Hi != nil {
			a.cellLanes(a.state(rec), x, mask, ts)
			return true
		}
	case Order, Hist:
		if x.Hi != nil && x.bits <= 63 && x.S <= histDigits {
			a.setLanes(a.state(rec), x, mask, n, sc)
			return true
		}
	case Integral, LiveIntegral:
		if mask == nil && n > 1 && x.Hi != nil && x.bits <= 63 {
			ok := a.foldLanes(rec, x, nil, ts[:1], sc)
			if ok || a.Fn == LiveIntegral {
				a.integralLanes(rec, x, ts, sc)
				return ok
			}
		}
	}
	return a.foldLanes(rec, x, mask, ts, sc)
}

// foldLanes folds lanes one by one.
func (a *Acc) foldLanes(rec []uint64, x *Lanes, mask []uint8, ts []int64, sc *Scratch) bool {
	ok := true
	v := &sc.v
	for i, t := range ts {
		if mask == nil || mask[i] == 1 {
			x.val(v, i)
			ok = a.Fold(rec, v, t, sc) && ok
		}
	}
	return ok
}

// setLanes enters lanes of one word into a set. Equal ones that follow each other, as of a
// spread that stands, are entered together.
func (a *Acc) setLanes(st []uint64, x *Lanes, mask []uint8, n int, sc *Scratch) {
	for i := 0; i < n; {
		m, times := x.Lo[i], uint64(0)
		for ; i < n && x.Lo[i] == m; i++ {
			if mask == nil || mask[i] == 1 {
				times++
			}
		}
		if times == 0 {
			continue
		}
		if a.Fn == Hist {
			b := bucketOfWord(int64(m), x.S, a.Bits)
			st[0] = sc.Sets.Add(st[0], uint64(b), uint64(b>>63), times)
		} else {
			w, s := trimWord(int64(m), x.S)
			st[0] = sc.Sets.Add(st[0], uint64(w)<<keyScaleBits|uint64(s), uint64(w>>(64-keyScaleBits)), times)
		}
	}
}

// integralLanes folds the lanes after the first, which the state has: each value holds until
// the time of the next lane. Values are of one word, so every product fits.
func (a *Acc) integralLanes(rec []uint64, x *Lanes, ts []int64, sc *Scratch) {
	st, last := a.state(rec), len(ts)-1
	at, cell := integralLast, integralCell
	if a.Fn == LiveIntegral {
		at, cell = liveLast, liveCell
		st[liveCovered] += uint64(ts[last] - ts[0])
	}
	for i, t := range ts[1:] {
		sc.held[i], sc.stood[i] = int64(x.Lo[i]), t-ts[i]
	}
	num.SumAddProdRun(st, sc.held[:last], sc.stood[:last], x.S, 0)
	st[at] = uint64(ts[last])
	setCell(st[cell:], int64(x.Lo[last]), x.S)
}

// val sets v to lane i.
func (l *Lanes) val(v *Val, i int) {
	v.Null, v.Ovf = false, false
	if l.Hi == nil {
		v.I = int64(l.Bool[i])
		return
	}
	v.W, v.S = num.Int192{l.Lo[i], uint64(l.Hi[i]), uint64(l.Hi[i] >> 63)}, l.S
}

func sumLanes(st []uint64, x *Lanes, mask []uint8, n int) {
	var lo, hi, ext, orLo, orHi, c uint64
	taken := uint64(0)
	for i, h := range x.Hi[:n] {
		l, m := x.Lo[i], ^uint64(0)
		if mask != nil {
			m = -uint64(mask[i])
		}
		taken |= m
		l, h = l&m, h&int64(m)
		s := uint64(h >> 63)
		lo, c = bits.Add64(lo, l, 0)
		hi, c = bits.Add64(hi, uint64(h), c)
		ext += s + c
		orLo |= l ^ s | s&1
		orHi |= uint64(h) ^ s
	}
	if taken != 0 {
		v := num.Int192{lo, hi, ext}
		num.SumAddSigned(st, &v, orHi, orLo, x.S)
	}
}

// cellLanes finds the lane that a run of rows leaves in a cell and enters it.
func (a *Acc) cellLanes(st []uint64, x *Lanes, mask []uint8, ts []int64) {
	at := -1
	for i := range ts {
		switch {
		case mask != nil && mask[i] == 0:
			continue
		case at < 0 || a.Fn == Last,
			a.Fn == Min && less(x.Hi[i], x.Lo[i], x.Hi[at], x.Lo[at]),
			a.Fn == Max && less(x.Hi[at], x.Lo[at], x.Hi[i], x.Lo[i]):
			at = i
		}
		if a.Fn == First {
			break
		}
	}
	if at < 0 {
		return
	}
	switch {
	case a.Fn == First && st[0] != 0:
		return
	case (a.Fn == Min || a.Fn == Max) && st[0] != 0:
		w, y := num.Int192(st[1:4]), num.Int192{x.Lo[at], uint64(x.Hi[at]), uint64(x.Hi[at] >> 63)}
		if !beats(cmpExact(&w, &y, int8(st[0]>>8), x.S), a.Fn) {
			return
		}
	}
	st[0], st[1], st[2], st[3] = 1|uint64(x.S)<<8, x.Lo[at], uint64(x.Hi[at]), uint64(x.Hi[at]>>63)
	if a.Fn == Last {
		st[4] = uint64(ts[at])
	}
}
