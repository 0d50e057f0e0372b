package op

import (
	"strings"
	"testing"
)

// Texts come out of their cells as they went in; one that is too long is left out; what is
// no cell is told.
func TestText_IsKept(t *testing.T) {
	var sc Scratch
	acc := Acc{Fn: Last, Kind: KText}
	for _, n := range []int{0, 1, 7, 8, 9, 63, MaxText, MaxText + 1} {
		st := make([]uint64, acc.Words())
		var v, got Val
		v.SetText([]byte(strings.Repeat("é", n)[:n]))
		if ok := acc.Fold(st, &v, 5, &sc); ok != (n <= MaxText) {
			t.Fatalf("%d bytes: taken %t", n, ok)
		}
		acc.Load(&got, st, 1, &sc)
		if got.Null != (n > MaxText) || !got.Null && string(got.T) != string(v.T) {
			t.Errorf("%d bytes: %q", n, got.T)
		}
		if !acc.Valid(st) {
			t.Errorf("%d bytes: own state is not valid", n)
		}
		if n > 0 && n < MaxText {
			if st[1+n/8] |= 1 << (8*(n%8) + 3); acc.Valid(st) {
				t.Errorf("%d bytes: a byte behind the text is valid", n)
			}
		}
	}
	if acc.Valid([]uint64{1 | 65<<8, 0, 0, 0, 0, 0, 0, 0, 0, 0}) {
		t.Error("a text of 65 bytes is valid")
	}
}
