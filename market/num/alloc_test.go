package num_test

import (
	"math/big"
	"testing"

	"github.com/pinova-group/tidemark/market/num"
)

// Nothing of the hot paths allocates, and a Rat only while it grows.
func TestAllocs(t *testing.T) {
	var (
		w, o    = make([]uint64, num.SumWords), make([]uint64, num.SumWords)
		m       = []int64{1, 2, -3, 1 << 60}
		sel     = []uint8{1, 0, 1, 1}
		scales  = []int8{1, 1, 2, 2}
		text    = "61837.63000000"
		in, buf = []byte("-3.844E-5"), make([]byte, 0, 64)
		x, y, z num.Rat
		v       = num.Int192{1, 2, 3}
		b       = new(big.Int)
		sink    float64
	)
	for name, f := range map[string]func(){
		"ParseDec":       func() { _, _ = num.ParseDec(in) },
		"ParseDecString": func() { _, _ = num.ParseDecString(text) },
		"Append":         func() { buf = num.Dec{M: -1234567, S: 9}.Append(buf[:0]) },
		"Sum": func() {
			num.SumAddRun(w, m, 3)
			num.SumAddProdRun(w, m, m, 3, 4)
			num.SumAddRows(w, m, scales)
			num.SumAddRunSel(w, m, 3, sel)
			num.SumAddProdRunSel(w, m, m, 3, 3, sel)
			num.SumMerge(o, w)
			num.SumSub(o, w)
			num.SumValue(o, 4)
		},
		"LnRatio":    func() { num.LnRatio(num.Dec{M: 3}, num.Dec{M: 2}) },
		"QuoFloat64": func() { sink, _ = num.QuoFloat64(&v, 36, &v, 0) },
		"Big":        func() { v.Big(b); v.SetBig(b) },
		"Rat": func() {
			x.SetInt192(&v, 20)
			y.SetDec(num.Dec{M: -31, S: 5})
			z.Add(&x, &y)
			z.Mul(&z, &z)
			z.Sub(&z, &x)
			z.Quo(&z, &y)
			z.Abs(&z)
			z.Neg(&z)
			z.Floor(&x)
			z.Round(&x, 3)
			z.Cmp(&x)
			z.IsInt()
			sink, _ = z.Float64()
			sink, _ = z.Sqrt64()
			z.Dec38(4)
			x.SetDec(num.Dec{M: 31, S: 1})
			x.Ln()
		},
	} {
		f() // grow
		if n := testing.AllocsPerRun(200, f); n != 0 {
			t.Errorf("%s: %v allocations a run", name, n)
		}
	}
	_ = sink
}
