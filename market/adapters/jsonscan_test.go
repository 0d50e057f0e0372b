package adapters

import (
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/pinova-group/tidemark/market/num"
)

// dec reads what num.ParseDec reads, quoted or not.
func TestScan_DecEqualsParseDec(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,20})?([eE][-+]?[0-9]{1,2})?`).Draw(t, "number")
		want, err := num.ParseDec([]byte(text))
		for _, in := range []string{`"` + text + `",`, text + ","} {
			s := scan{b: []byte(in)}
			got, ok := s.dec()
			if ok != (err == nil) || ok && (got != want || s.i != len(in)-1) {
				t.Fatalf("%s: %v %v at %d, want %v %v", in, got, ok, s.i, want, err)
			}
		}
	})
}

func TestScan_DecRejects(t *testing.T) {
	t.Parallel()
	for _, in := range []string{"", `"`, `"1`, `"1,`, `"1.5`, `"1_0",`, `"0x1",`, `"NaN",`, `"1.2.3",`, `" 1",`, `"1 ",`, `01,`, `1.,`, `.5,`, `+1,`, `null,`, `"",`} {
		s := scan{b: []byte(in)}
		if got, ok := s.dec(); ok {
			t.Errorf("%s: %v", in, got)
		}
	}
}

func TestScan_Uint(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]int64{"0": 0, "7,": 7, " 1723161255343}": 1723161255343, "9223372036854775807": 1<<63 - 1} {
		s := scan{b: []byte(in)}
		if got, ok := s.uint(); got != want || !ok {
			t.Errorf("%q: %d %v", in, got, ok)
		}
	}
	for _, in := range []string{"", "-1", "01", "1.0", "1e3", "9223372036854775808", "18446744073709551616", "99999999999999999999999", `"1"`, "x"} {
		s := scan{b: []byte(in)}
		if got, ok := s.uint(); ok {
			t.Errorf("%q: %d", in, got)
		}
	}
}

// skip takes what encoding/json calls valid, whatever the value, and little else.
func TestScan_SkipEqualsValid(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := drawJSON(t, 4)
		cut := rapid.IntRange(0, len(text)).Draw(t, "cut")
		for _, in := range []string{text, text[:cut], text + " ", text + "x"} {
			s := scan{b: []byte(in)}
			got := s.skip(64) && s.end()
			if want := json.Valid([]byte(in)); got != want {
				t.Fatalf("%q: %v, encoding/json says %v", in, got, want)
			}
		}
	})
}

// drawJSON draws a JSON text.
func drawJSON(t *rapid.T, depth int) string {
	n := 6
	if depth == 0 {
		n = 4
	}
	space := rapid.SampledFrom([]string{"", "", " ", "\n\t"}).Draw(t, "space")
	switch rapid.IntRange(0, n-1).Draw(t, "kind") {
	case 0:
		return space + rapid.SampledFrom([]string{"true", "false", "null"}).Draw(t, "literal")
	case 1:
		return space + rapid.StringMatching(`-?(0|[1-9][0-9]{0,5})(\.[0-9]{1,5})?([eE][-+]?[0-9]{1,2})?`).Draw(t, "number")
	case 2, 3:
		b, err := json.Marshal(rapid.String().Draw(t, "string"))
		if err != nil {
			t.Fatal(err)
		}
		return space + string(b)
	case 4:
		var all []string
		for range rapid.IntRange(0, 3).Draw(t, "elements") {
			all = append(all, drawJSON(t, depth-1))
		}
		return "[" + strings.Join(all, ",") + space + "]"
	default:
		var all []string
		for i := range rapid.IntRange(0, 3).Draw(t, "members") {
			all = append(all, fmt.Sprintf("%q%s:%s", fmt.Sprint(i), space, drawJSON(t, depth-1)))
		}
		return "{" + strings.Join(all, ",") + "}"
	}
}

func TestScan_DepthIsBounded(t *testing.T) {
	t.Parallel()
	deep := []byte(strings.Repeat("[", 1<<20))
	if s := (scan{b: deep}); s.skip(64) {
		t.Error("a million brackets pass")
	}
	d := Binance.New(testEnv())
	for _, in := range [][]byte{deep, []byte(strings.Repeat(`{"stream":"","data":`, 1<<16) + "{}" + strings.Repeat("}", 1<<16)), []byte(strings.Repeat(`[`, 1<<16) + strings.Repeat("]", 1<<16))} {
		if err := d.Decode(&Record{Data: in}, newChunk()); err == nil {
			t.Error("deep nesting passes")
		}
	}
}

// A list keeps its numbers exactly when it is brought to one scale, or is refused.
func TestDecs_FitIsExact(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var d decs
		type dec struct {
			m int64
			s int8
		}
		in := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) dec {
			return dec{rapid.Int64().Draw(t, "m"), rapid.Int8Range(0, 18).Draw(t, "s")}
		}), 0, 6).Draw(t, "list")
		fits := true
		var top int8
		for _, v := range in {
			top = max(top, v.s)
		}
		for _, v := range in {
			d.add(v.m, v.s)
			fits = fits && scaled(v.m, top-v.s).IsInt64()
		}
		if d.top != top {
			t.Fatalf("top %d, want %d", d.top, top)
		}
		if got := d.fit(); got != fits {
			t.Fatalf("fit %v, want %v", got, fits)
		}
		for i, v := range in {
			if fits && d.m[i] != scaled(v.m, top-v.s).Int64() {
				t.Fatalf("%d: %d", i, d.m[i])
			}
		}
	})
}

func scaled(m int64, by int8) *big.Int {
	p := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(by)), nil)
	return p.Mul(p, big.NewInt(m))
}

func TestDecLess_EqualsRationals(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) num.Dec {
			return num.Dec{M: rapid.Int64().Draw(t, name), S: rapid.Int8Range(0, 18).Draw(t, name+" scale")}
		}
		a, b := draw("a"), draw("b")
		want := scaled(a.M, 18-a.S).Cmp(scaled(b.M, 18-b.S)) < 0
		if got := decLess(a, b); got != want {
			t.Fatalf("%v < %v: %v", a, b, got)
		}
	})
}
