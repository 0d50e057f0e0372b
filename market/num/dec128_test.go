package num_test

import (
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"github.com/pinova-group/tidemark/market/num"
)

func TestAppendDec128_IsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hi := rapid.Int64().Draw(t, "hi")
		lo := rapid.Uint64().Draw(t, "lo")
		if rapid.Bool().Draw(t, "small") {
			hi = int64(lo) >> 63
		}
		s := rapid.Int8Range(0, 38).Draw(t, "s")
		m := new(big.Int).Lsh(big.NewInt(hi), 64)
		m.Add(m, new(big.Int).SetUint64(lo))
		want := new(big.Rat).SetFrac(m, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(s)), nil))
		text := string(num.AppendDec128(nil, hi, lo, s))
		if got, ok := new(big.Rat).SetString(text); !ok || got.Cmp(want) != 0 || text != want.FloatString(int(s)) {
			t.Fatalf("%d e-%d printed %q", m, s, text)
		}
		if h, l, ok := num.ParseDec128([]byte(text), s); !ok || h != hi || l != lo {
			t.Fatalf("%q read as %d:%d, %v", text, h, l, ok)
		}
	})
}
