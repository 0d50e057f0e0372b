package num_test

import (
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"github.com/pinova-group/tidemark/market/num"
)

var (
	two192 = new(big.Int).Lsh(big.NewInt(1), 192)
	two191 = new(big.Int).Lsh(big.NewInt(1), 191)
)

// wrap brings v into -2^191 … 2^191-1, modulo 2^192.
func wrap(v *big.Int) *big.Int {
	w := new(big.Int).Mod(v, two192)
	if w.Cmp(two191) >= 0 {
		w.Sub(w, two192)
	}
	return w
}

func genInt192(t *rapid.T, name string) (num.Int192, *big.Int) {
	var x num.Int192
	for i := range x {
		x[i] = rapid.OneOf(rapid.Uint64(), rapid.SampledFrom([]uint64{0, 1, ^uint64(0), 1 << 63})).Draw(t, name)
	}
	for s := rapid.IntRange(0, 191).Draw(t, name+"shift"); s > 0; s-- { // arithmetic shift right
		x[0] = x[0]>>1 | x[1]<<63
		x[1] = x[1]>>1 | x[2]<<63
		x[2] = uint64(int64(x[2]) >> 1)
	}
	return x, x.Big(new(big.Int))
}

func TestInt192_AgreesWithBig(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x, bx := genInt192(t, "x")
		y, by := genInt192(t, "y")
		a, b := genInt64(t, "a"), genInt64(t, "b")
		k := rapid.IntRange(0, num.MaxPow10).Draw(t, "k")
		ba, bb := big.NewInt(a), big.NewInt(b)
		pow := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(k)), nil)
		for _, op := range []struct {
			name string
			f    func(z *num.Int192)
			want *big.Int
		}{
			{"Add64", func(z *num.Int192) { z.Add64(a) }, new(big.Int).Add(bx, ba)},
			{"AddProd", func(z *num.Int192) { z.AddProd(a, b) }, new(big.Int).Add(bx, new(big.Int).Mul(ba, bb))},
			{"Add", func(z *num.Int192) { z.Add(&y) }, new(big.Int).Add(bx, by)},
			{"Sub", func(z *num.Int192) { z.Sub(&y) }, new(big.Int).Sub(bx, by)},
			{"Neg", func(z *num.Int192) { z.Neg() }, new(big.Int).Neg(bx)},
			{"MulPow10", func(z *num.Int192) { z.MulPow10(k) }, new(big.Int).Mul(bx, pow)},
			{"Add itself", func(z *num.Int192) { z.Add(z) }, new(big.Int).Add(bx, bx)},
			{"Sub itself", func(z *num.Int192) { z.Sub(z) }, new(big.Int)},
			{"FromInt64", func(z *num.Int192) { *z = num.FromInt64(a) }, ba},
		} {
			z := x
			op.f(&z)
			if got := z.Big(new(big.Int)); got.Cmp(wrap(op.want)) != 0 {
				t.Fatalf("%s of %v, %v, %d, %d, %d = %v, want %v", op.name, bx, by, a, b, k, got, wrap(op.want))
			}
		}
		if x.Cmp(&y) != bx.Cmp(by) || x.Sign() != bx.Sign() || x.BitLen() != bx.BitLen() || x.IsInt64() != bx.IsInt64() {
			t.Fatalf("Cmp, Sign, BitLen or IsInt64 of %v, %v", bx, by)
		}
		if x.IsInt64() && x.Int64() != bx.Int64() {
			t.Fatalf("Int64 of %v = %d", bx, x.Int64())
		}
		var back num.Int192
		if ok := back.SetBig(bx); ok != (bx.BitLen() < 192) || ok && back != x {
			t.Fatalf("SetBig(%v) = %v, %v", bx, back, ok)
		}
	})
	if got := wrap(two191); got.Sign() > 0 {
		t.Fatal("wrap does not wrap")
	}
}
