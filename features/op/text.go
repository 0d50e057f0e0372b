package op

import "encoding/binary"

// A text that an accumulator keeps is in its cell, so that states stay words of one length
// that are copied and merged: the first word has 1 and the number of bytes above it.
const (
	MaxText   = 64 // bytes; a longer one is left out
	textWords = 1 + MaxText/8
)

// keptLen is the length of the cell of a value that an accumulator keeps.
func keptLen(k Kind) int {
	if k == KText {
		return textWords
	}
	return cellLen(k)
}

// keeps tells whether a value fits its cell.
func keeps(v *Val, k Kind) bool { return k != KText || len(v.T) <= MaxText }

func putText(st []uint64, t []byte) {
	var b [MaxText]byte
	copy(b[:], t)
	st[0] = 1 | uint64(len(t))<<8
	for i := range textWords - 1 {
		st[1+i] = binary.LittleEndian.Uint64(b[8*i:])
	}
}

// getText sets v to the text of a cell, in memory of its own.
func getText(v *Val, st []uint64) {
	v.kept = v.kept[:0]
	for _, w := range st[1:textWords] {
		v.kept = binary.LittleEndian.AppendUint64(v.kept, w)
	}
	v.T = v.kept[:st[0]>>8]
}

// validText checks a cell read from outside: what is behind the text is zero.
func validText(st []uint64) bool {
	n := st[0] >> 8
	if st[0]&0xff != 1 || n > MaxText {
		return false
	}
	for i, w := range st[1:textWords] {
		if end := uint64(8 * (i + 1)); end > n {
			if rest := end - n; rest >= 8 && w != 0 || rest < 8 && w>>(64-8*rest) != 0 {
				return false
			}
		}
	}
	return true
}
