package num_test

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/pinova-group/tidemark/market/num"
)

// Golden values: mpmath 1.3.0, mp.dps = 90, nint((log(a) - log(b)) * 2**60).
var lnGolden = []struct {
	a, b num.Dec
	want int64
}{
	{num.Dec{M: 2, S: 0}, num.Dec{M: 1, S: 0}, 799144290325165979},
	{num.Dec{M: 1, S: 0}, num.Dec{M: 2, S: 0}, -799144290325165979},
	{num.Dec{M: 10, S: 0}, num.Dec{M: 1, S: 0}, 2654699869899991814},
	{num.Dec{M: 3, S: 0}, num.Dec{M: 2, S: 0}, 467469442505642749},
	{num.Dec{M: 6183763, S: 2}, num.Dec{M: 6183762, S: 2}, 186443367546},
	{num.Dec{M: 6183763000000, S: 8}, num.Dec{M: 6183762, S: 2}, 186443367546},
	{num.Dec{M: 100000001, S: 8}, num.Dec{M: 1, S: 0}, 11529214988},
	{num.Dec{M: 999999999999999999, S: 18}, num.Dec{M: 1, S: 0}, -1},
	{num.Dec{M: 1, S: 0}, num.Dec{M: 1000000000000000001, S: 18}, -1},
	{num.Dec{M: 9223372036854775807, S: 0}, num.Dec{M: 9223372036854775806, S: 0}, 0},
	{num.Dec{M: 9223372036854775807, S: 15}, num.Dec{M: 5, S: 0}, 8670036662410753619},
	{num.Dec{M: 2980, S: 0}, num.Dec{M: 1, S: 0}, 9223001464247670371},
	{num.Dec{M: 29809579870417282, S: 13}, num.Dec{M: 1, S: 0}, 9223372036854775779},
	{num.Dec{M: 335462627902512, S: 18}, num.Dec{M: 1, S: 0}, -9223372036854775254},
	{num.Dec{M: 2305843009213693953, S: 0}, num.Dec{M: 2305843009213693952, S: 0}, 0},
	{num.Dec{M: 6917529027641081857, S: 0}, num.Dec{M: 6917529027641081856, S: 0}, 0},
	{num.Dec{M: 27, S: 17}, num.Dec{M: 47, S: 18}, 2015623102470413849},
	{num.Dec{M: 1282595059381, S: 1}, num.Dec{M: 54054488821, S: 1}, 3650896697337967959},
	{num.Dec{M: 429649390867108241, S: 17}, num.Dec{M: 10434271430295213, S: 13}, -6332382838308158193},
	{num.Dec{M: 7353459747, S: 18}, num.Dec{M: 9, S: 6}, -8197051620534062289},
	{num.Dec{M: 319960781899, S: 14}, num.Dec{M: 27, S: 2}, -5113660793425832177},
	{num.Dec{M: 379, S: 7}, num.Dec{M: 26236191, S: 15}, 8388157188563486348},
	{num.Dec{M: 118070665894795135, S: 13}, num.Dec{M: 20062352948539487, S: 13}, 2043482159645161495},
	{num.Dec{M: 619, S: 7}, num.Dec{M: 104081385963, S: 15}, -599119084909377419},
	{num.Dec{M: 87135861, S: 3}, num.Dec{M: 2519633, S: 1}, -1224189255990220824},
	{num.Dec{M: 263801685, S: 3}, num.Dec{M: 35780296602421029, S: 14}, 7612706621482054373},
	{num.Dec{M: 1039027013, S: 9}, num.Dec{M: 9, S: 3}, 5475011410436536567},
	{num.Dec{M: 208388989844351, S: 8}, num.Dec{M: 1779953373, S: 5}, 5491156802318195875},
	{num.Dec{M: 99195379, S: 16}, num.Dec{M: 2459583, S: 17}, 6917165511673121175},
	{num.Dec{M: 437039658655564205, S: 16}, num.Dec{M: 1026033, S: 2}, -6293338975908498428},
	{num.Dec{M: 556572713, S: 6}, num.Dec{M: 33653667816489, S: 11}, 580024065246191884},
	{num.Dec{M: 3347, S: 7}, num.Dec{M: 422423279, S: 10}, -5577769006889157589},
	{num.Dec{M: 381808174980863, S: 3}, num.Dec{M: 450966907709232135, S: 6}, -191933343846733622},
	{num.Dec{M: 3083517943531, S: 4}, num.Dec{M: 10944803167, S: 0}, -4115213467469274195},
	{num.Dec{M: 4654571611749961, S: 13}, num.Dec{M: 7909843347162323, S: 16}, 7352753645251774353},
	{num.Dec{M: 273, S: 4}, num.Dec{M: 2192782745, S: 14}, 8216739543603786522},
	{num.Dec{M: 6680571969, S: 3}, num.Dec{M: 8188997506404703, S: 7}, -5544120582190243385},
	{num.Dec{M: 2269, S: 1}, num.Dec{M: 571634797106577, S: 14}, 4244110727589869190},
	{num.Dec{M: 2286711361017475, S: 7}, num.Dec{M: 30840112353627, S: 8}, 7619241879419247994},
	{num.Dec{M: 1734349671, S: 13}, num.Dec{M: 2921, S: 10}, 7363089112192117473},
}

func TestLnRatio_Golden(t *testing.T) {
	for _, c := range lnGolden {
		if got, ok := num.LnRatio(c.a, c.b); !ok || got != c.want {
			t.Errorf("LnRatio(%v, %v) = %d, %v; want %d", c.a, c.b, got, ok, c.want)
		}
		if got, ok := num.LnRatio(c.b, c.a); !ok || got != -c.want {
			t.Errorf("LnRatio(%v, %v) = %d, %v; want %d", c.b, c.a, got, ok, -c.want)
		}
	}
}

// Hard cases: convergents of exp((j + 1/2) × 2^-60), whose logarithms are as near to a tie
// as numbers of 63 bits come; values by mpmath with mp.dps = 120.
var lnHard = []struct{ a, b, want int64 }{
	{730369248449, 727140071797, 5108705987900545},                // 2^-80 from a tie
	{1736137980978, 1728462005785, 5108705987900546},              // 2^-81 from a tie
	{7706766150389, 7661166262689, 6841941259901491},              // 2^-85 from a tie
	{2466507229427, 2455602077582, 5108705987900545},              // 2^-87 from a tie
	{19847015575551, 19560301581304, 16776811333412870},           // 2^-90 from a tie
	{30138960482815, 30138787332236, 6623639180326},               // 2^-91 from a tie
	{54365536039841, 54258329592288, 2275755115675319},            // 2^-92 from a tie
	{40879904771487, 40879891730260, 367797174115},                // 2^-94 from a tie
	{189952434457413, 127818810638051, 456741356349490996},        // 2^-95 from a tie
	{229660571820791, 228645175077317, 5108705987900545},          // 2^-96 from a tie
	{339382932357583, 337374849680516, 6841941259901490},          // 2^-98 from a tie
	{836576805566396, 824491448122841, 16776811333412869},         // 2^-100 from a tie
	{398619961542653, 398619673404649, 833376782949},              // 2^-100 from a tie
	{872027902654847, 872027624466483, 367797174114},              // 2^-102 from a tie
	{2951927730171899, 2946106658433491, 2275755115675318},        // 2^-103 from a tie
	{5266988641664011, 5190900660306988, 16776811333412870},       // 2^-105 from a tie
	{7889131028665110, 7889128511928607, 367797174115},            // 2^-106 from a tie
	{8761158931319957, 8761156136395090, 367797174114},            // 2^-107 from a tie
	{16585262891472947, 16585250903000200, 833376782950},          // 2^-109 from a tie
	{44360241031108743, 44360208965802083, 833376782949},          // 2^-111 from a tie
	{60945503922581690, 60945459868802283, 833376782950},          // 2^-112 from a tie
	{117356827599908281, 116837958646371178, 5108705987900545},    // 2^-115 from a tie
	{201196526102908437, 135384949102860682, 456741356349490996},  // 2^-116 from a tie
	{352910927224914792, 351350604513011975, 5108705987900546},    // 2^-117 from a tie
	{271556993829962556, 271556797538011015, 833376782949},        // 2^-117 from a tie
	{53607377711357587, 53607069732968794, 6623639180325},         // 2^-119 from a tie
	{470267754824823073, 468188563159383153, 5108705987900545},    // 2^-119 from a tie
	{764377054653341180, 762869736698077077, 2275755115675319},    // 2^-119 from a tie
	{980922230366159791, 980921521317439694, 833376782950},        // 2^-120 from a tie
	{1763714191699384011, 1755916293991161434, 5108705987900546},  // 2^-121 from a tie
	{1022433970732049807, 1020417775880602673, 2275755115675318},  // 2^-121 from a tie
	{1252479224196122347, 1252478318855450709, 833376782949},      // 2^-121 from a tie
	{1520096555350370409, 1511102350665226955, 6841941259901490},  // 2^-122 from a tie
	{1024125650658388264, 689133166337088531, 456741356349490997}, // 2^-122 from a tie
	{2233401454562282138, 2233399840172890403, 833376782950},      // 2^-122 from a tie
	{3295228813580739746, 3247625272811446663, 16776811333412870}, // 2^-123 from a tie
	{3375906796816832703, 3327137765612297165, 16776811333412869}, // 2^-124 from a tie
	{2233981946524207084, 2224104857150544587, 5108705987900545},  // 2^-124 from a tie
	{615978968709904505, 615978772204516269, 367797174114},        // 2^-124 from a tie
	{4800367199122137392, 4771964078938234551, 6841941259901491},  // 2^-125 from a tie
	{6320463754472507801, 6283066429603461506, 6841941259901490},  // 2^-125 from a tie
	{2809244996117440794, 2803705288459282423, 2275755115675319},  // 2^-125 from a tie
	{3485880678758404485, 3485878159028341112, 833376782949},      // 2^-125 from a tie
	{6671135610397572449, 6574763038423743828, 16776811333412870}, // 2^-126 from a tie
}

func TestLnRatio_NearTies(t *testing.T) {
	slow := 0
	for _, c := range lnHard {
		a, b := num.Dec{M: c.a, S: 5}, num.Dec{M: c.b, S: 5}
		if got, ok := num.LnRatio(a, b); !ok || got != c.want {
			t.Errorf("LnRatio(%d, %d) = %d, %v; want %d", c.a, c.b, got, ok, c.want)
		}
		if got, ok := num.LnRatio(b, a); !ok || got != -c.want {
			t.Errorf("LnRatio(%d, %d) = %d, %v; want %d", c.b, c.a, got, ok, -c.want)
		}
		if _, sure := num.LnByTables(a, b); !sure {
			slow++
		}
	}
	if slow < 20 || slow == len(lnHard) {
		t.Errorf("%d of %d cases were left to the series", slow, len(lnHard))
	}
}

func TestLnRatio_Refuses(t *testing.T) {
	one := num.Dec{M: 1}
	for _, c := range [][2]num.Dec{
		{{M: 0}, one}, {one, {M: 0}}, {{M: -1}, one}, {one, {M: -1}}, {{M: -1}, {M: -1}},
		{{M: 2981}, one}, {one, {M: 2981}}, {{M: 29809579870417283, S: 13}, one}, // e^8 = 2980.9579870417282747…
		{{M: math.MaxInt64}, {M: 1, S: 18}}, {{M: 1, S: 18}, {M: math.MaxInt64}}, {{M: math.MinInt64}, one},
	} {
		if q, ok := num.LnRatio(c[0], c[1]); ok || q != 0 {
			t.Errorf("LnRatio(%v, %v) = %d, true", c[0], c[1], q)
		}
	}
	if q, ok := num.Ln(num.Dec{M: 10, S: 1}); !ok || q != 0 {
		t.Error("ln 1 is not 0")
	}
}

func genPositive(t *rapid.T, name string) num.Dec {
	d := genDec(t, name)
	d.M = max(1, d.M, -d.M)
	return d
}

func TestLnRatio_IsTheRoundedLogarithm(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := genPositive(t, "a")
		b := genPositive(t, "b")
		if rapid.Bool().Draw(t, "near") {
			b = a
			b.M = max(1, min(math.MaxInt64, a.M-rapid.Int64Range(-3, 3).Draw(t, "off")))
		}
		switch num.Cmp(a, b) {
		case 0:
			if q, ok := num.LnRatio(a, b); q != 0 || !ok {
				t.Fatalf("LnRatio(%v, %v) = %d, %v", a, b, q, ok)
			}
			return
		case -1:
			a, b = b, a
		}
		q, ok := num.LnRatio(a, b)
		p, ok2 := num.LnRatio(b, a)
		if ok != ok2 || p != -q {
			t.Fatalf("LnRatio(%v, %v) = %d, %v; turned round %d, %v", a, b, q, ok, p, ok2)
		}
		slow := num.LnBySeries(a, b)
		if ok != (slow >= 0) || ok && q != slow {
			t.Fatalf("LnRatio(%v, %v) = %d, %v; series %d", a, b, q, ok, slow)
		}
		if fast, sure := num.LnByTables(a, b); sure && fast != slow {
			t.Fatalf("LnRatio(%v, %v): %d by tables, %d by series", a, b, fast, slow)
		}
		var x, y num.Rat
		x.Quo(x.SetDec(a), y.SetDec(b))
		y.Quo(y.SetInt64(1), &x)
		if r, rok := x.Ln(); rok != ok || r != q {
			t.Fatalf("Rat.Ln(%v / %v) = %d, %v; want %d, %v", a, b, r, rok, q, ok)
		}
		if r, rok := y.Ln(); rok != ok || r != -q {
			t.Fatalf("Rat.Ln(%v / %v) = %d, %v; want %d, %v", b, a, r, rok, -q, ok)
		}
		if ok {
			f, err := math.Log(a.Float64())-math.Log(b.Float64()), 1e-13
			if math.Abs(num.QFloat64(q)-f) > err {
				t.Fatalf("LnRatio(%v, %v) = %v, math.Log %v", a, b, num.QFloat64(q), f)
			}
		}
	})
}

func TestLnRatio_NeverFalls(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	for range 300 {
		b := num.Dec{M: int64(rnd.Uint64()>>rnd.UintN(40)>>1) | 1, S: int8(rnd.IntN(4))}
		a := num.Dec{M: b.M>>rnd.UintN(3) + 1, S: int8(rnd.IntN(4))}
		last := int64(math.MinInt64)
		for range 30 {
			q, ok := num.LnRatio(a, b)
			if !ok {
				break
			}
			if q < last {
				t.Fatalf("ln falls at %v / %v: %d after %d", a, b, q, last)
			}
			last = q
			if a.M > math.MaxInt64-8 {
				break
			}
			a.M += rnd.Int64N(8)
		}
	}
}

// The table in the source comes from another program; here it is derived again.
func TestLnTables(t *testing.T) {
	num.LnTables(func(table, i int, c uint32, ln *big.Int) {
		n, d := int64(1)<<7, int64(1<<7+i) // 1/(1 + i/2^7)
		if table == 1 {
			n, d = 1<<14, int64(1<<14+i)
		}
		if want := (n<<24 + d - 1) / d; int64(c) != want {
			t.Fatalf("table %d, factor %d is %x, want %x", table, i, c, want)
		}
		nearLn(t, ln, 1<<24, int64(c))
	}, func(n int64, ln *big.Int) { nearLn(t, ln, n, 1) })
}

// nearLn checks that v is ln(n/d) × 2^128 to the nearest integer: exp of v and of its
// neighbours, by the plain power series with 400 bits.
func nearLn(t *testing.T, v *big.Int, n, d int64) {
	t.Helper()
	const prec = 400
	exp := func(off float64) *big.Float {
		x := new(big.Float).SetPrec(prec).SetInt(v)
		x.Add(x, big.NewFloat(off))
		x.SetMantExp(x, -128)
		sum, term := big.NewFloat(1).SetPrec(prec), big.NewFloat(1).SetPrec(prec)
		for i := 1; i < 200; i++ {
			term.Mul(term, x)
			term.Quo(term, big.NewFloat(float64(i)))
			sum.Add(sum, term)
		}
		return sum
	}
	want := new(big.Float).SetPrec(prec).Quo(big.NewFloat(float64(n)), big.NewFloat(float64(d)).SetPrec(prec))
	if exp(-0.5001).Cmp(want) > 0 || exp(0.5001).Cmp(want) < 0 {
		t.Errorf("constant of ln(%d/%d) is off", n, d)
	}
}

func TestRatLn_OfLongNumbers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x, bx := genRat(t, "x")
		q, ok := x.Ln()
		if bx.Sign() <= 0 {
			if ok {
				t.Fatalf("logarithm of %v", bx)
			}
			return
		}
		f, _ := bx.Float64()
		want := math.Log(f)
		if ok != (math.Abs(want) < 8) || ok && math.Abs(num.QFloat64(q)-want) > 1e-14 {
			t.Fatalf("Ln(%v) = %v, %v; want %v", bx, num.QFloat64(q), ok, want)
		}
		if !ok {
			return
		}
		n, d := bx.Num(), bx.Denom()
		if n.Cmp(d) == 0 {
			return
		}
		neg := n.Cmp(d) < 0
		if neg {
			n, d = d, n
		}
		if s := num.LnSeries(n, d); neg && q != -s || !neg && q != s {
			t.Fatalf("Ln(%v) = %d, by series %d", bx, q, s)
		}
	})
}
