package gen

import (
	"math"
	"testing"
)

// Reference values of SplitMix64 with seed 1234567, published with the algorithm and
// used by the test suites of several languages' libraries.
func TestRNG_IsSplitMix64(t *testing.T) {
	r := rng{1234567}
	for i, want := range []uint64{6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821} {
		if got := r.next(); got != want {
			t.Errorf("%d: %d, want %d", i, got, want)
		}
	}
}

// The integer logarithm and power agree with floating point.
func TestZipf_Weights(t *testing.T) {
	for _, n := range []uint64{1, 2, 3, 10, 97, 1000, 20_000} {
		if got, want := float64(log2(n))/(1<<32), math.Log2(float64(n)); math.Abs(got-want) > 1e-8 {
			t.Errorf("log2(%d) = %v, want %v", n, got, want)
		}
		for _, s := range []int{0, 500, 1000, 1100, 2500} {
			got, want := float64(powInverse(n, s)), math.Pow(float64(n), -float64(s)/1000)*(1<<32)
			if math.Abs(got-want) > 2+want*1e-7 {
				t.Errorf("%d^-%v = %v, want %v", n, float64(s)/1000, got, want)
			}
		}
	}
	z := newZipf(10, 1000)
	r, n := newRNG(7, 1), [10]int{}
	for range 100_000 {
		n[z.draw(&r)]++
	}
	sum := 0.0
	for i := range n {
		sum += 1 / float64(i+1)
	}
	for i, got := range n {
		if want := 100_000 / float64(i+1) / sum; math.Abs(float64(got)-want) > 5*math.Sqrt(want) {
			t.Errorf("rank %d: %d draws, want %.0f", i, got, want)
		}
	}
}

// The quantiles have the mean of the exponential distribution and follow −ln(1−p).
func TestExpoTable(t *testing.T) {
	q := expoTable()
	sum := int64(0)
	for i, v := range q {
		sum += v
		p := (float64(i) + 0.5) / expoSize
		if want := -math.Log(1 - p); i < expoSize-8 && math.Abs(float64(v)/(1<<20)-want) > 0.002+want*0.01 {
			t.Errorf("quantile %d: %v, want %v", i, float64(v)/(1<<20), want)
		}
	}
	if mean := float64(sum) / expoSize / (1 << 20); math.Abs(mean-1) > 1e-5 {
		t.Errorf("mean %v", mean)
	}
}

func TestParse(t *testing.T) {
	for in, want := range map[string]int{"1%": 10_000, "0.1%": 1000, "0.0001%": 1, "0.001": 1000, "0": 0, "50%": 500_000, "1.50%": 15_000} {
		if got, err := ParseShare(in); err != nil || got != want {
			t.Errorf("share %q: %d, %v", in, got, err)
		}
		if back, err := ParseShare(FormatShare(want)); err != nil || back != want {
			t.Errorf("share %q does not print: %s", in, FormatShare(want))
		}
	}
	for _, in := range []string{"", "%", "-1%", "101%", "2", "x", "0.00001%", "1e-9"} {
		if v, err := ParseShare(in); err == nil {
			t.Errorf("share %q: %d", in, v)
		}
	}
	if o, err := ParseOutage("beta:10m+30s"); err != nil || o != (Outage{"beta", 600_000_000, 30_000_000}) {
		t.Error(o, err)
	}
	if k, err := ParseSkew("gamma:-15ms@2d"); err != nil || k != (Skew{"gamma", 2 * 86_400_000_000, -15_000}) {
		t.Error(k, err)
	}
	if k, err := ParseSkew("gamma:1s"); err != nil || k != (Skew{"gamma", 0, 1_000_000}) {
		t.Error(k, err)
	}
	if x, err := ParseTickChange("BTC-USDT@5m"); err != nil || x != (TickChange{"BTC-USDT", 300_000_000}) {
		t.Error(x, err)
	}
	for _, in := range []string{"beta", "beta:10m", "beta:x+1s", "beta:1s+5", ":", "beta@5m"} {
		if o, err := ParseOutage(in); err == nil {
			t.Errorf("outage %q: %v", in, o)
		}
	}
	for _, in := range []string{"beta", "beta:5", "beta:5ms@", "beta:5ms@7"} {
		if k, err := ParseSkew(in); err == nil {
			t.Errorf("skew %q: %v", in, k)
		}
	}
	if s, err := ParseSymbols("23"); err != nil || len(s) != 23 || s[22] != "C023-USDT" || s[0] != "BTC-USDT" {
		t.Error(s, err)
	}
}
