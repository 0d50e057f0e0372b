package num

import "testing"

// Tasks of one plan load its constants at once: who sets a ratio to one of them must not touch it.
func TestRat_SetLeavesItsArgumentAlone(t *testing.T) {
	var x, z Rat
	z.SetInt64(7)
	z.Set(&x)
	if len(x.d.Bits()) != 0 {
		t.Error("the zero value was written to")
	}
	if z.n.Sign() != 0 || !z.d.IsInt64() || z.d.Int64() != 1 {
		t.Errorf("%v/%v, not 0/1", &z.n, &z.d)
	}
}
