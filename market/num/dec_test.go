package num_test

import (
	"errors"
	"math"
	"math/big"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/pinova-group/tidemark/market/num"
)

func TestParseDec_FormsOfVenues(t *testing.T) {
	for _, c := range []struct {
		in string
		m  int64
		s  int8
	}{
		{"0", 0, 0}, {"1", 1, 0}, {"+1", 1, 0}, {"-0.5", -5, 1}, {".5", 5, 1}, {"007", 7, 0},
		{"61837.63000000", 6183763000000, 8}, {"0.00000001", 1, 8}, {"0.00", 0, 2}, {"-0.00", 0, 2},
		{"3.844E-5", 3844, 8}, {"1e3", 1000, 0}, {"1.50e1", 150, 1}, {"1.5E+1", 15, 0}, {"1.50", 150, 2},
		{"12345678", 12345678, 0}, {"123456789.1", 1234567891, 1}, {"1234567.12345678", 123456712345678, 8},
		{"999999999999999999", 999999999999999999, 0}, {"9223372036854775807", math.MaxInt64, 0},
		{"-9223372036854775807", -math.MaxInt64, 0}, {"9.223372036854775807", math.MaxInt64, 18},
		{"0.000000000000000001", 1, 18}, {"0.0000000000000000010000", 1, 18},
		{"1.0000000000000000000000", 1e18, 18}, {"123.0000000000000000000", 1.23e18, 16},
		{"00000000000000000000000000000012.5", 125, 1}, {"0e999999999999", 0, 0}, {"0e-30", 0, 18},
		{"1.000e-18", 1, 18}, {"10e-19", 1, 18}, {"100000000000000000000e-2", 1e18, 0},
		{"0.00000000000000000000", 0, 18}, {"1000000.00000000", 100000000000000, 8},
	} {
		got, err := num.ParseDec([]byte(c.in))
		if err != nil || got.M != c.m || got.S != c.s {
			t.Errorf("ParseDec(%q) = %v, %v; want {%d %d}", c.in, got, err, c.m, c.s)
		}
	}
}

func TestParseDec_Refuses(t *testing.T) {
	for _, in := range []string{"", "-", "+", ".", "-.", "NaN", "Inf", "0x10", "1..2", "1.2.3", " 1", "1 ", "1,5", "1.", "5.e1",
		"--1", "+-1", "1e", "1e+", "e5", "1e5.0", "1_000", "12345678x", "1234567.1234567x", "x2345678", "1.-5", "１",
		"12345678.", "123456789012345678901234567890x", "99999999999999999999.", "1\x00", "\x80\x80\x80\x80\x80\x80\x80\x80", "1234\xb05678"} {
		if d, err := num.ParseDec([]byte(in)); !errors.Is(err, num.ErrSyntax) {
			t.Errorf("ParseDec(%q) = %v, %v; want ErrSyntax", in, d, err)
		}
	}
	for _, in := range []string{"9223372036854775808", "-9223372036854775808", "1e19", "1e-19", "0.0000000000000000001",
		"9.2233720368547758070001", "123456789012345678901234567890", "1e999999999999999999", "1e-999999999999999999",
		"10000000000000000000", "0.1234567890123456789"} {
		if d, err := num.ParseDec([]byte(in)); !errors.Is(err, num.ErrRange) {
			t.Errorf("ParseDec(%q) = %v, %v; want ErrRange", in, d, err)
		}
	}
}

// checkParse compares with big.Rat, which reads the same numbers and more forms.
func checkParse(t rapid.TB, in string) {
	t.Helper()
	d, err := num.ParseDecString(in)
	if err != nil && !errors.Is(err, num.ErrSyntax) && !errors.Is(err, num.ErrRange) {
		t.Fatalf("ParseDec(%q): unknown error %v", in, err)
	}
	if i := strings.IndexAny(in, "eE"); i >= 0 {
		if e, err2 := strconv.Atoi(in[i+1:]); err2 == nil && (e > 1000 || e < -1000) {
			return // big.Rat would take for ever
		} else if err2 != nil && err == nil && !strings.HasPrefix(strings.TrimLeft(in[i+1:], "+-"), "0") && len(in)-i < 18 {
			t.Fatalf("ParseDec(%q) read exponent that strconv does not: %v", in, err2)
		} else if err2 != nil {
			return
		}
	}
	if err != nil {
		if errors.Is(err, num.ErrSyntax) && plainNumber(in) {
			t.Fatalf("ParseDec(%q): %v", in, err)
		}
		return
	}
	want, ok := new(big.Rat).SetString(in)
	if !ok {
		t.Fatalf("ParseDec(%q) = %v, but big.Rat does not read it", in, d)
	}
	if d.S < 0 || d.S > num.MaxScale || d.M == math.MinInt64 {
		t.Fatalf("ParseDec(%q) = %v out of range", in, d)
	}
	if got := decRat(d); got.Cmp(want) != 0 {
		t.Fatalf("ParseDec(%q) = %v, want %v", in, d, want)
	}
	again, err := num.ParseDecString(d.String())
	if err != nil || again != d {
		t.Fatalf("ParseDec(%q).String() = %q reads as %v, %v", in, d.String(), again, err)
	}
}

func plainNumber(s string) bool {
	if s != "" && (s[0] == '+' || s[0] == '-') {
		s = s[1:]
	}
	whole, frac, ok := strings.Cut(s, ".")
	digit := func(s string) bool { return strings.Trim(s, "0123456789") == "" }
	return len(s) < 30 && digit(whole) && digit(frac) && whole != "" && (!ok || frac != "") && !strings.ContainsAny(s, "+-")
}

func decRat(d num.Dec) *big.Rat {
	p := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(d.S)), nil)
	return new(big.Rat).SetFrac(big.NewInt(d.M), p)
}

func TestParseDec_AgreesWithBigRat(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.OneOf(
			rapid.StringMatching(`[+-]?[0-9]{0,12}(\.[0-9]{0,12})?`),
			rapid.StringMatching(`[+-]?[0-9]{1,22}(\.[0-9]{0,9}0{0,14})?`),
			rapid.StringMatching(`[+-]?[0-9]{1,5}(\.[0-9]{1,9})?[eE][+-]?[0-9]{1,2}`),
			rapid.StringMatching(`[0-9.eE+ x-]{0,20}`),
		).Draw(t, "in")
		checkParse(t, in)
	})
}

func FuzzParseDec(f *testing.F) {
	for _, s := range []string{"61837.63000000", "3.844E-5", "1e3", "-0.5", "+1", ".5", "1.", "9223372036854775808", "0.0000000000000000010"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) < 200 {
			checkParse(t, s)
		}
	})
}

func genDec(t *rapid.T, name string) num.Dec {
	return num.Dec{
		M: genInt64(t, name),
		S: int8(rapid.IntRange(0, num.MaxScale).Draw(t, name+"S")),
	}
}

// genInt64 spreads over the lengths and keeps out of the least int64.
func genInt64(t *rapid.T, name string) int64 {
	v := rapid.OneOf(rapid.Int64(), rapid.Int64Range(-1000, 1000), rapid.SampledFrom([]int64{math.MaxInt64, -math.MaxInt64, 1, -1, 0, 1 << 53, 1<<53 + 1})).Draw(t, name)
	v >>= rapid.IntRange(0, 62).Draw(t, name+"shift")
	return max(v, -math.MaxInt64)
}

func TestDec_ArithmeticIsExactOrRefused(t *testing.T) {
	limit := new(big.Rat).SetInt64(math.MaxInt64)
	rapid.Check(t, func(t *rapid.T) {
		a, b := genDec(t, "a"), genDec(t, "b")
		ra, rb := decRat(a), decRat(b)
		if got, want := num.Cmp(a, b), ra.Cmp(rb); got != want {
			t.Fatalf("Cmp(%v, %v) = %d, want %d", a, b, got, want)
		}
		for _, op := range []struct {
			name string
			f    func(a, b num.Dec) (num.Dec, bool)
			want *big.Rat
		}{
			{"Add", num.Add, new(big.Rat).Add(ra, rb)},
			{"Sub", num.Sub, new(big.Rat).Sub(ra, rb)},
			{"Mul", num.Mul, new(big.Rat).Mul(ra, rb)},
		} {
			got, ok := op.f(a, b)
			if ok && (decRat(got).Cmp(op.want) != 0 || got.S < 0 || got.S > num.MaxScale) {
				t.Fatalf("%s(%v, %v) = %v, want %v", op.name, a, b, got, op.want)
			}
			if !ok && fits(op.want, limit) {
				t.Fatalf("%s(%v, %v) refused, but %v fits", op.name, a, b, op.want)
			}
		}
		n := a.Normalize()
		if decRat(n).Cmp(ra) != 0 || n.S > 0 && n.M%10 == 0 {
			t.Fatalf("Normalize(%v) = %v", a, n)
		}
		s := int8(rapid.IntRange(0, num.MaxScale).Draw(t, "scale"))
		p := new(big.Rat).SetFrac(big.NewInt(int64(num.Pow10[s])), big.NewInt(1))
		p.Mul(p, ra)
		r, ok := a.Rescale(s)
		if can := p.IsInt() && new(big.Rat).Abs(p).Cmp(limit) <= 0; ok != can || ok && (r.S != s || decRat(r).Cmp(ra) != 0) {
			t.Fatalf("Rescale(%v, %d) = %v, %v; want %v", a, s, r, ok, can)
		}
		if got, want := a.Sign(), ra.Sign(); got != want {
			t.Fatalf("Sign(%v) = %d", a, got)
		}
		if got, want := a.String(), ra.FloatString(int(a.S)); got != want && a.M != 0 {
			t.Fatalf("String(%v) = %s, want %s", a, got, want)
		}
	})
}

// fits reports whether v is some m × 10^-s with 63 bits and at most 18 digits.
func fits(v, limit *big.Rat) bool {
	x := new(big.Rat).Set(v)
	for range num.MaxScale + 1 {
		if x.IsInt() {
			return new(big.Rat).Abs(x).Cmp(limit) <= 0
		}
		x.Mul(x, big.NewRat(10, 1))
	}
	return false
}

func TestDecFloat64_AgreesWithStrconv(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := genDec(t, "d")
		want, err := strconv.ParseFloat(d.String(), 64)
		if err != nil {
			t.Fatal(err)
		}
		if got := d.Float64(); math.Float64bits(got) != math.Float64bits(want) {
			t.Fatalf("Float64(%v) = %v, want %v", d, got, want)
		}
	})
	if f := (num.Dec{M: 0, S: 3}).Float64(); math.Signbit(f) {
		t.Error("Float64 of 0 is -0")
	}
	if f := (num.Dec{M: math.MinInt64}).Float64(); f != -0x1p63 {
		t.Errorf("Float64 of the least int64 = %v", f)
	}
}

func TestDec_Borders(t *testing.T) {
	most := num.Dec{M: math.MaxInt64}
	for _, c := range []struct {
		what string
		got  num.Dec
		ok   bool
	}{
		{"Add", first2(num.Add(most.Neg(), num.Dec{M: -1})), second2(num.Add(most.Neg(), num.Dec{M: -1}))},
		{"Add", first2(num.Add(most, num.Dec{M: 1})), second2(num.Add(most, num.Dec{M: 1}))},
		{"Sub of the least", first2(num.Sub(most, num.Dec{M: math.MinInt64})), second2(num.Sub(most, num.Dec{M: math.MinInt64}))},
		{"Mul", first2(num.Mul(most, num.Dec{M: 2})), second2(num.Mul(most, num.Dec{M: 2}))},
		{"Mul", first2(num.Mul(num.Dec{M: 1, S: 10}, num.Dec{M: 1, S: 9})), second2(num.Mul(num.Dec{M: 1, S: 10}, num.Dec{M: 1, S: 9}))},
	} {
		if c.ok {
			t.Errorf("%s = %v, which does not fit", c.what, c.got)
		}
	}
	if d, ok := num.Mul(num.Dec{M: 10, S: 10}, num.Dec{M: 1, S: 9}); !ok || d != (num.Dec{M: 1, S: 18}) {
		t.Errorf("0.0000000010 × 0.000000001 = %v, %v", d, ok)
	}
}

func first2(d num.Dec, _ bool) num.Dec { return d }
func second2(_ num.Dec, ok bool) bool  { return ok }
