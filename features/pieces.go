package features

import (
	"math/bits"

	"github.com/pinova-group/tidemark/features/plan"
	"github.com/pinova-group/tidemark/market/num"
)

// pieces is the states of neighbouring pieces of a block, or of pairs of them, and so on.
type pieces []uint64

// foldPieces cuts the block where a bar ends, folds each piece, and merges them in twos,
// fours, …, so that any number of neighbours is the merge of few states.
func (f *family) foldPieces(c *cols, r run) {
	n := r.hi - r.lo
	f.piece = grow(f.piece, n+1)
	clear(f.piece)
	for _, end := range f.ends {
		f.piece[end] = 1
	}
	f.piece[n] = 1
	f.bounds = f.bounds[:0]
	for k, ends := range f.piece {
		if ends != 0 {
			f.bounds = append(f.bounds, int32(k))
		}
		f.piece[k] = int32(len(f.bounds))
	}
	v := f.views[0]
	states := f.level(0, len(f.bounds))
	lo := r.lo
	for k, end := range f.bounds {
		hi := r.lo + int(end)
		rec := states.at(k, v.p.Stride)
		v.foldSegment(-1, rec, c, lo, hi)
		v.foldTotal(rec, c, lo, hi)
		lo = hi
	}
	for k := 1; len(f.bounds)>>k > 0; k++ {
		pairs, from := f.level(k, len(f.bounds)>>k), f.levels[k-1]
		for i := range len(f.bounds) >> k {
			rec := pairs.at(i, v.p.Stride)
			copy(rec, from.at(2*i, v.p.Stride))
			v.merge(rec, from.at(2*i+1, v.p.Stride))
		}
	}
}

// foldWhole merges all pieces: most views need nothing else.
func (f *family) foldWhole() {
	v := f.views[0]
	f.whole = grow(f.whole, v.p.Stride)
	clear(f.whole)
	f.mergeRange(v, f.whole, 0, len(f.bounds))
}

// level is n empty states for level k.
func (f *family) level(k, n int) pieces {
	if k == len(f.levels) {
		f.levels = append(f.levels, nil)
	}
	f.levels[k] = grow(f.levels[k], n*f.views[0].p.Stride)
	clear(f.levels[k])
	return f.levels[k]
}

func (p pieces) at(i, stride int) []uint64 { return p[i*stride : (i+1)*stride : (i+1)*stride] }

// merge adds pieces lo to hi to an open bar.
func (f *family) merge(v *viewState, rec []uint64, lo, hi int) {
	if lo == 0 && hi == len(f.bounds) {
		v.merge(rec, f.whole)
		return
	}
	f.mergeRange(v, rec, lo, hi)
}

// mergeRange merges pieces in their order.
func (f *family) mergeRange(v *viewState, rec []uint64, lo, hi int) {
	for lo < hi {
		k := bits.Len(uint(hi-lo)) - 1
		if lo > 0 {
			k = min(k, bits.TrailingZeros(uint(lo)))
		}
		v.merge(rec, f.levels[k].at(lo>>k, v.p.Stride))
		lo += 1 << k
	}
}

// foldTotal folds what decides where bars end.
func (v *viewState) foldTotal(rec []uint64, c *cols, lo, hi int) {
	b := v.p.Bars
	st := rec[v.p.Accs[b.From].Off:]
	if b.Fast.Kind == plan.NoArg {
		st[0] += uint64(hi - lo)
		return
	}
	x := &c.c[b.Fast.A]
	if b.Fast.Kind == plan.Column {
		num.SumAddRows(st, x.I64[lo:hi], x.Scale[lo:hi])
		return
	}
	for y := &c.c[b.Fast.B]; lo < hi; {
		n := scaleRun(x.Scale[lo:hi])
		n = scaleRun(y.Scale[lo : lo+n])
		num.SumAddProdRun(st, x.I64[lo:lo+n], y.I64[lo:lo+n], x.Scale[lo], y.Scale[lo])
		lo += n
	}
}
