package op

import (
	"encoding/binary"
	"math"

	"github.com/zeebo/xxh3"
)

func distinctFold(a *Acc, st []uint64, v *Val, _ int64, sc *Scratch) bool {
	lo, hi := distinctKey(v, a.Kind)
	st[0] = sc.Sets.Add(st[0], lo, hi, 1)
	return true
}

func distinctLoad(_ *Acc, st []uint64, v *Val, _ int64, sc *Scratch) {
	v.SetInt(int64(sc.Sets.Len(st[0])))
}

func distinctUnfold(a *Acc, st []uint64, v *Val, _ int64, sc *Scratch) {
	lo, hi := distinctKey(v, a.Kind)
	st[0] = sc.Sets.Remove(st[0], lo, hi, 1, nil)
}

func setMerge(a *Acc, st, newer []uint64, sc *Scratch) bool {
	st[0] = sc.sets(a).Merge(st[0], newer[0])
	return true
}

func setSub(a *Acc, st, part []uint64, sc *Scratch) { st[0] = sc.sets(a).Sub(st[0], part[0]) }

// distinctKey is the identity of a value: equal values have equal keys, whatever their
// scale. Texts and numbers of more than a word are known by a hash of 128 bits.
func distinctKey(v *Val, k Kind) (lo, hi uint64) {
	switch k {
	case KExact, KQ60, KQ120:
		w, s := v.W, v.S
		for s > 0 {
			t := w
			if quoSmall(&t, 10) != 0 {
				break
			}
			w, s = t, s-1
		}
		if w.IsInt64() {
			return w[0], uint64(s)
		}
		var b [25]byte
		for i, x := range w {
			binary.LittleEndian.PutUint64(b[8*i:], x)
		}
		b[24] = byte(s)
		h := xxh3.Hash128(b[:])
		return h.Lo, h.Hi
	case KFloat:
		return math.Float64bits(v.F), 0
	case KText:
		h := xxh3.Hash128(v.T)
		return h.Lo, h.Hi
	}
	return uint64(v.I), 0
}
