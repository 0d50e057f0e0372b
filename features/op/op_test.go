package op

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"sort"
	"testing"

	"pgregory.net/rapid"

	"github.com/pinova-group/tidemark/market/num"
)

func big192(w num.Int192) *big.Int { return w.Big(new(big.Int)) }

func ratOf(v *Val, k Kind) *big.Rat {
	switch k {
	case KRatio:
		var r num.Rat
		return v.rat(&r).BigRat(new(big.Rat))
	case KFloat:
		return new(big.Rat).SetFloat64(v.F)
	}
	return new(big.Rat).SetFrac(big192(v.W), new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(v.S)), nil))
}

// drawExact draws mantissas of all lengths and scales up to 36.
func drawExact(t *rapid.T, name string) *Val {
	v := new(Val)
	bits := rapid.IntRange(0, 188).Draw(t, name+" bits")
	seed := rapid.Uint64().Draw(t, name)
	g := rand.New(rand.NewPCG(seed, 1))
	m := new(big.Int)
	for range bits {
		m.Lsh(m, 1).Add(m, big.NewInt(g.Int64N(2)))
	}
	if g.IntN(2) == 0 {
		m.Neg(m)
	}
	v.W.SetBig(m)
	v.S = int8(rapid.IntRange(0, maxScale).Draw(t, name+" scale"))
	return v
}

// run evaluates one instruction.
func run(in Instr, a, b *Val) *Val {
	in.Dst, in.A, in.B, in.C = 2, 0, 1, 1
	m := NewMachine(&Prog{Regs: 3, Code: []Instr{in}})
	m.Regs[0].Copy(a, KExact)
	m.Regs[1].Copy(b, KExact)
	m.Run()
	return &m.Regs[2]
}

func TestMachine_ExactMatchesBigRat(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		a, b := drawExact(rt, "a"), drawExact(rt, "b")
		x, y := ratOf(a, KExact), ratOf(b, KExact)
		check := func(name string, got *Val, k Kind, want *big.Rat) {
			switch {
			case want == nil:
				if !got.Null || got.Ovf {
					rt.Fatalf("%s: want null", name)
				}
			case got.Null:
				// Only what needs more than 190 bits, or more than 36 digits, may overflow.
				digits := new(big.Rat).Mul(want, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(a.S, b.S))), nil)))
				if !got.Ovf || k == KRatio || name != "mul" && digits.IsInt() && digits.Num().BitLen() < 120 && big192(a.W).BitLen() < 60 && big192(b.W).BitLen() < 60 {
					rt.Fatalf("%s: null for %v", name, want)
				}
			case ratOf(got, k).Cmp(want) != 0:
				rt.Fatalf("%s: %v, want %v", name, ratOf(got, k), want)
			}
		}
		check("add", run(Instr{Op: AddX}, a, b), KExact, new(big.Rat).Add(x, y))
		check("sub", run(Instr{Op: SubX}, a, b), KExact, new(big.Rat).Sub(x, y))
		check("mul", run(Instr{Op: MulX}, a, b), KExact, new(big.Rat).Mul(x, y))
		var quo, mod *big.Rat
		if y.Sign() != 0 {
			quo = new(big.Rat).Quo(x, y)
			whole := new(big.Int).Quo(quo.Num(), quo.Denom())
			mod = new(big.Rat).Sub(x, new(big.Rat).Mul(y, new(big.Rat).SetInt(whole)))
		}
		check("quo", run(Instr{Op: QuoX}, a, b), KRatio, quo)
		check("mod", run(Instr{Op: ModX}, a, b), KExact, mod)
		check("floor", run(Instr{Op: FloorX}, a, b), KExact, new(big.Rat).SetInt(new(big.Int).Div(x.Num(), x.Denom())))
		for n, want := range map[int32]bool{Eq: x.Cmp(y) == 0, Ne: x.Cmp(y) != 0, Lt: x.Cmp(y) < 0, Le: x.Cmp(y) <= 0, Gt: x.Cmp(y) > 0, Ge: x.Cmp(y) >= 0} {
			if got := run(Instr{Op: CmpX, N: n}, a, b); (got.I == 1) != want {
				rt.Fatalf("comparison %d of %v and %v", n, x, y)
			}
		}
		d := rapid.IntRange(0, 18).Draw(rt, "digits")
		r := run(Instr{Op: RoundX, N: int32(d)}, a, b)
		diff := new(big.Rat).Sub(ratOf(r, KExact), x)
		half := new(big.Rat).SetFrac(big.NewInt(1), new(big.Int).Mul(big.NewInt(2), new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(d)), nil)))
		if c := diff.Abs(diff).Cmp(half); c > 0 || int(r.S) > d || c == 0 && int(a.S) > d && new(big.Int).And(big192(r.W), big.NewInt(1)).Sign() != 0 {
			rt.Fatalf("round %v to %d: %v", x, d, ratOf(r, KExact))
		}
		if f, ok := run(Instr{Op: QuoX}, a, b).Float64(KRatio); ok {
			if want, _ := quo.Float64(); want != f || f == 0 && math.Signbit(f) {
				rt.Fatalf("float of %v: %v", quo, f)
			}
		}
	})
}

// Operations on quotients are exact whether or not they need big integers.
// Values of one word have a way of their own, until a result needs two.
func TestMachine_OneWord(t *testing.T) {
	edges := []int64{0, 1, -1, 7, 1 << 62, -1 << 62, math.MaxInt64, math.MaxInt64 - 1, math.MinInt64, math.MinInt64 + 1}
	for _, x := range edges {
		for _, y := range edges {
			for _, s := range []int8{0, 3} {
				var a, b Val
				a.SetDec(x, 3)
				b.SetDec(y, s)
				p, q := ratOf(&a, KExact), ratOf(&b, KExact)
				for op, want := range map[Code]*big.Rat{
					AddX: new(big.Rat).Add(p, q), SubX: new(big.Rat).Sub(p, q), NegX: new(big.Rat).Neg(p), AbsX: new(big.Rat).Abs(p), MulX: new(big.Rat).Mul(p, q),
				} {
					got := run(Instr{Op: op}, &a, &b)
					scale := int8(3)
					if op == MulX {
						scale += s
					}
					if got.Null || ratOf(got, KExact).Cmp(want) != 0 || got.S != scale {
						t.Fatalf("%d of %d and %d, scale %d: %v, want %v", op, x, y, s, ratOf(got, KExact), want)
					}
				}
			}
		}
	}
}

func TestMachine_RatiosMatchBigRat(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var vals [4]*Val
		m := NewMachine(&Prog{Regs: 8})
		for i := range vals {
			vals[i] = drawExact(rt, fmt.Sprint(i))
			if rapid.Bool().Draw(rt, "small") {
				vals[i].W, vals[i].S = num.FromInt64(rapid.Int64Range(-1000, 1000).Draw(rt, "v")), int8(rapid.IntRange(0, 9).Draw(rt, "s"))
			}
			m.Regs[i].Copy(vals[i], KExact)
		}
		op := rapid.SampledFrom([]Code{AddR, SubR, MulR, QuoR, NegR, AbsR, MinR, MaxR}).Draw(rt, "op")
		m.prog.Code = []Instr{
			{Op: QuoX, Dst: 4, A: 0, B: 1}, {Op: QuoX, Dst: 5, A: 2, B: 3}, {Op: op, Dst: 6, A: 4, B: 5}, {Op: SubR, Dst: 7, A: 6, B: 4},
		}
		if rapid.Bool().Draw(rt, "whole") {
			m.prog.Code[1] = Instr{Op: XToR, K: KExact, Dst: 5, A: 2}
			vals[3].SetInt(1)
		}
		m.Run()
		if ratOf(vals[1], KExact).Sign() == 0 || ratOf(vals[3], KExact).Sign() == 0 {
			if op != NegR && op != AbsR && !m.Regs[6].Null {
				rt.Fatal("not null")
			}
			return
		}
		x := new(big.Rat).Quo(ratOf(vals[0], KExact), ratOf(vals[1], KExact))
		y := new(big.Rat).Quo(ratOf(vals[2], KExact), ratOf(vals[3], KExact))
		z := new(big.Rat)
		switch op {
		case AddR:
			z.Add(x, y)
		case SubR:
			z.Sub(x, y)
		case MulR:
			z.Mul(x, y)
		case QuoR:
			if y.Sign() == 0 {
				if !m.Regs[6].Null {
					rt.Fatal("not null")
				}
				return
			}
			z.Quo(x, y)
		case NegR:
			z.Neg(x)
		case AbsR:
			z.Abs(x)
		case MinR:
			if z.Set(x); y.Cmp(x) < 0 {
				z.Set(y)
			}
		case MaxR:
			if z.Set(x); y.Cmp(x) > 0 {
				z.Set(y)
			}
		}
		got, _ := m.Regs[6].Float64(KRatio)
		if want, _ := z.Float64(); !math.IsInf(want, 0) && got != want {
			rt.Fatalf("float %v, want %v", got, want)
		}
		if got := ratOf(&m.Regs[6], KRatio); got.Cmp(z) != 0 {
			rt.Fatalf("%v, want %v", got, z)
		}
		if got := ratOf(&m.Regs[7], KRatio); got.Cmp(z.Sub(z, x)) != 0 {
			rt.Fatalf("and then %v, want %v", got, z)
		}
	})
}

func TestKleene_TruthTable(t *testing.T) {
	vals := map[string]func(v *Val){"t": func(v *Val) { v.SetBool(true) }, "f": func(v *Val) { v.SetBool(false) }, "n": func(v *Val) { v.SetNull() }}
	for _, c := range []string{"ttt", "tff", "tnn", "ftf", "fff", "fnf", "ntn", "nff", "nnn"} {
		var a, b, and, or Val
		vals[c[:1]](&a)
		vals[c[1:2]](&b)
		kleene(&and, &a, &b, true)
		name := map[bool]string{true: "t", false: "f"}[and.I == 1]
		if and.Null {
			name = "n"
		}
		if name != c[2:] {
			t.Errorf("%s and %s = %s", c[:1], c[1:2], name)
		}
		// a or b = not (not a and not b)
		a.I, b.I = a.I^1, b.I^1
		kleene(&or, &a, &b, false)
		if or.Null != and.Null || !or.Null && or.I == and.I {
			t.Errorf("or does not mirror and at %s", c)
		}
	}
}

func TestSets_MatchMaps(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		g := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 1))
		var s Sets
		const n = 4
		var h [n]uint64
		var want [n]map[[2]uint64]uint64
		for i := range want {
			want[i] = map[[2]uint64]uint64{}
		}
		for range rapid.IntRange(1, 400).Draw(rt, "steps") {
			i, j := g.IntN(n), g.IntN(n)
			switch k := g.IntN(20); {
			case k == 0:
				s.Free(h[i])
				h[i], want[i] = 0, map[[2]uint64]uint64{}
			case k == 1 && i != j:
				h[i] = s.Merge(h[i], h[j])
				for e, c := range want[j] {
					want[i][e] += c
				}
			case k < 4 && i != j: // take the part out of the whole
				h[i] = s.Merge(h[i], h[j])
				h[i] = s.Sub(h[i], h[j])
			default:
				e, c := [2]uint64{uint64(g.IntN(60)), uint64(g.IntN(2))}, 1+g.Uint64N(3)
				h[i] = s.Add(h[i], e[0], e[1], c)
				want[i][e] += c
			}
		}
		for i := range want {
			ents := s.Sorted(h[i])
			if len(ents) != len(want[i]) || s.Len(h[i]) != len(ents) {
				rt.Fatalf("set %d has %d entries, want %d", i, len(ents), len(want[i]))
			}
			for _, e := range ents {
				if want[i][[2]uint64{e.Lo, e.Hi}] != e.N {
					rt.Fatalf("set %d: key %d has %d", i, e.Lo, e.N)
				}
			}
		}
	})
}

func TestHist_QuantileIsWithinTheError(t *testing.T) {
	approxes := []num.Dec{{M: 1, S: 2}, {M: 5, S: 1}, {M: 1, S: 6}, {M: 123, S: 4}}
	rapid.Check(t, func(rt *rapid.T) {
		g := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 1))
		approx := rapid.SampledFrom(approxes).Draw(rt, "approx")
		bits, ok := HistBits(approx)
		if !ok {
			rt.Fatal("no bits")
		}
		acc := Acc{Fn: Hist, Kind: KExact, Bits: bits}
		var sc Scratch
		rec := make([]uint64, 1)
		var all []*big.Rat
		for range rapid.IntRange(1, 60).Draw(rt, "n") {
			var v Val
			v.SetDec(g.Int64N(1<<uint(1+g.IntN(62)))*int64(1-2*g.IntN(2)), int8(g.IntN(19)))
			acc.Fold(rec, &v, 0, &sc)
			all = append(all, ratOf(&v, KExact))
		}
		sort.Slice(all, func(i, j int) bool { return all[i].Cmp(all[j]) < 0 })
		p := num.Dec{M: rapid.Int64Range(0, 1000).Draw(rt, "p"), S: 3}
		var v Val
		acc.Quantile(&v, rec, p, &sc)
		k := min(max((int(p.M)*len(all)+999)/1000, 1), len(all))
		want := all[k-1]
		diff := new(big.Rat).Sub(ratOf(&v, KExact), want)
		limit := new(big.Rat).Mul(new(big.Rat).Abs(want), new(big.Rat).SetFrac64(approx.M, int64(num.Pow10[approx.S])))
		if diff.Abs(diff).Cmp(limit) > 0 {
			rt.Fatalf("quantile %v of %d: %v, want %v", p, len(all), ratOf(&v, KExact), want)
		}
	})
}

// The running totals of a line must be those of the sorted entries, and a set whose numbers
// are far apart must give the same ranks without one.
func TestSets_RankByLineAndBySorting(t *testing.T) {
	lined, sorted := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		var s Sets
		h, width := uint64(0), rapid.SampledFrom([]int64{3, 50, 1000, 1 << 20, 1 << 62}).Draw(rt, "width")
		var all []int64
		for range rapid.IntRange(1, 60).Draw(rt, "n") {
			x := rapid.Int64Range(-width, width).Draw(rt, "x")
			all = append(all, x)
			h = s.Add(h, uint64(x), uint64(x>>63), 1)
			if rapid.IntRange(0, 9).Draw(rt, "look") == 0 {
				s.rank(h, num.Dec{M: 5, S: 1}) // what it keeps must not outlive the next change
			}
		}
		slices.Sort(all)
		if _, _, ok := s.Line(h); ok {
			lined++
		} else {
			sorted++
		}
		p := num.Dec{M: rapid.Int64Range(0, 100).Draw(rt, "p"), S: 2}
		if got, want := s.rank(h, p), all[ceilMul(p, uint64(len(all)))-1]; got != want {
			rt.Fatalf("quantile %v of %v: %d, want %d", p, all, got, want)
		}
	})
	if lined == 0 || sorted == 0 {
		t.Errorf("%d sets had a line and %d none", lined, sorted)
	}
}

func TestHist_BucketsRise(t *testing.T) {
	for _, b := range []int{0, 3, 6} {
		last := int64(-1)
		for m := range int64(5000) {
			var v Val
			v.SetDec(m, histDigits)
			k, _ := bucket(&v, b)
			if k != last && k != last+1 {
				t.Fatalf("bits %d: bucket of %d is %d after %d", b, m, k, last)
			}
			last = k
			v.SetDec(-m, histDigits)
			if n, _ := bucket(&v, b); n != -k {
				t.Fatalf("bucket of -%d is %d", m, n)
			}
			var w Val
			w.W, w.S = middle(k, b), histDigits
			if again, _ := bucket(&w, b); again != k {
				t.Fatalf("the middle of bucket %d is in %d", k, again)
			}
		}
	}
}

func TestDistinctKey_IgnoresTrailingZeros(t *testing.T) {
	key := func(m int64, s int8) string {
		var v Val
		v.SetDec(m, s)
		return fmt.Sprint(distinctKey(&v, KExact))
	}
	if key(15, 1) != key(1500, 3) || key(0, 0) != key(0, 8) || key(15, 1) == key(15, 2) || key(-15, 1) == key(15, 1) {
		t.Error("keys of equal values differ, or of different ones agree")
	}
}

func TestTable_NamesEveryOperator(t *testing.T) {
	for f := Count; int(f) < len(Table); f++ {
		o := Table[f]
		if o.Name == "" || o.Words == nil || o.Fold == nil || o.Merge == nil || o.Valid == nil || o.Owner != (o.Sub != nil) {
			t.Errorf("operator %d (%s) is incomplete", f, o.Name)
		}
	}
}

// What is empty is all zero words, and merging with it changes nothing on either side.
func TestMerge_EmptyIsNeutral(t *testing.T) {
	for f := Count; int(f) < len(Table); f++ {
		var sc Scratch
		acc := Acc{Fn: f, Kind: KExact, With: KExact, Bits: 5}
		full, empty := make([]uint64, acc.Words()), make([]uint64, acc.Words())
		for i := range int64(5) {
			var v Val
			v.SetDec(100-7*i, int8(i))
			acc.Fold(full, input(f, &v), 1000+i, &sc)
		}
		if !acc.Owner() {
			a, b := append([]uint64(nil), full...), append([]uint64(nil), empty...)
			acc.Merge(a, empty, &sc)
			acc.Merge(b, full, &sc)
			if fmt.Sprint(a) != fmt.Sprint(full) || fmt.Sprint(b) != fmt.Sprint(full) {
				t.Errorf("%s: %v and %v, want %v", f, a, b, full)
			}
		}
		if acc.Owner() {
			var saved []uint64
			acc.SaveSet(full, &sc, func(w uint64) { saved = append(saved, w) })
			back, at := make([]uint64, acc.Words()), 1
			for range saved[0] {
				if !acc.LoadEntry(back, &sc, func() uint64 { at++; return saved[at-1] }) {
					t.Errorf("%s: own entry is not valid", f)
				}
			}
			if setText(&acc, back, &sc) != setText(&acc, full, &sc) {
				t.Errorf("%s: the set does not come back", f)
			}
		} else if !acc.Valid(full) || !acc.Valid(empty) {
			t.Errorf("%s: own state is not valid", f)
		}
	}
}

// input is a value as an accumulator takes it: of a pair both, the second not negative.
func input(f Func, v *Val) *Val {
	if !Table[f].Pair {
		return v
	}
	w, p := new(Val), new(Val)
	w.Copy(v, KExact)
	if w.W.Sign() < 0 {
		w.W.Neg()
	}
	p.NewPair(v, w)
	return p
}

// setText prints a set.
func setText(a *Acc, st []uint64, sc *Scratch) string {
	if a.Fn == Paths {
		var ps []point
		for i := range sc.queues.Len(st[0]) {
			ps = append(ps, pointOf(sc.queues.At(st[0], i)))
		}
		return fmt.Sprint(ps)
	}
	return fmt.Sprint(sc.sets(a).Sorted(st[0]))
}

// Inputs taken out one by one leave the state of the others: of a sum its value, its bounds
// may be wider.
func TestUnfold_LeavesTheRest(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		g := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 1))
		n := rapid.IntRange(1, 50).Draw(rt, "n")
		gone := rapid.IntRange(0, n).Draw(rt, "gone")
		for f := Count; int(f) < len(Table); f++ {
			var sc Scratch
			acc := Acc{Fn: f, Kind: KExact, With: KExact, Bits: 5}
			if !acc.CanUnfold() {
				continue
			}
			all, rest := make([]uint64, acc.Words()), make([]uint64, acc.Words())
			vals := make([]*Val, n)
			for i := range vals {
				var v Val
				v.SetDec(g.Int64N(1<<30)-1<<29, int8(g.IntN(9)))
				if f == Weighted {
					v.SetDec(g.Int64N(9), 1)
				}
				vals[i] = input(f, &v)
				acc.Fold(all, vals[i], int64(i), &sc)
				if i >= gone {
					acc.Fold(rest, vals[i], int64(i), &sc)
				}
			}
			for i := range gone {
				acc.Unfold(all, vals[i], int64(i), &sc)
			}
			if acc.Owner() {
				if a, b := setText(&acc, all, &sc), setText(&acc, rest, &sc); a != b {
					rt.Fatalf("%s: %s, want %s", f, a, b)
				}
				continue
			}
			var a, b Val
			if Table[f].Load == nil {
				sameStatistics(rt, &acc, all, rest, &sc)
				continue
			}
			acc.Load(&a, all, int64(n), &sc)
			acc.Load(&b, rest, int64(n), &sc)
			if cmpExact(&a.W, &b.W, a.S, b.S) != 0 || a.Null != b.Null {
				rt.Fatalf("%s: %v, want %v", f, &a, &b)
			}
		}
	})
}

// Any cut of the inputs into states, merged in order, gives the state of one fold.
func TestMerge_CutsDoNotShow(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		g := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 1))
		n := rapid.IntRange(1, 50).Draw(rt, "n")
		for f := Count; int(f) < len(Table); f++ {
			var sc Scratch
			acc := Acc{Fn: f, Kind: KExact, With: KExact, Bits: 5}
			whole, part, sum := make([]uint64, acc.Words()), make([]uint64, acc.Words()), make([]uint64, acc.Words())
			cut := rapid.IntRange(1, 9).Draw(rt, "cut")
			for i := range n {
				var v Val
				v.SetDec(g.Int64N(1<<40)-1<<39, int8(g.IntN(19)))
				acc.Fold(whole, input(f, &v), 1000+int64(i/2), &sc)
				acc.Fold(part, input(f, &v), 1000+int64(i/2), &sc)
				if g.IntN(cut) == 0 || i == n-1 {
					acc.Merge(sum, part, &sc)
					acc.Free(part, &sc)
				}
			}
			a, b := fmt.Sprint(whole), fmt.Sprint(sum)
			if acc.Owner() {
				a, b = setText(&acc, whole, &sc), setText(&acc, sum, &sc)
			}
			if a != b {
				rt.Fatalf("%s: %v, want %v", f, b, a)
			}
		}
	})
}

// Logarithms of quotients with terms of any length are the nearest of 2^-60: exp of half a
// unit less and more, by its series in 400 bits, encloses the quotient.
func TestMachine_LnIsCorrectlyRounded(t *testing.T) {
	const prec = 400
	exp := func(q int64, off float64) *big.Float {
		x := new(big.Float).SetPrec(prec).SetInt64(q)
		x.SetMantExp(x.Add(x, big.NewFloat(off)), -num.QBits)
		sum, term := big.NewFloat(1).SetPrec(prec), big.NewFloat(1).SetPrec(prec)
		for i := 1; i < 200; i++ {
			sum.Add(sum, term.Quo(term.Mul(term, x), new(big.Float).SetInt64(int64(i))))
		}
		return sum
	}
	rapid.Check(t, func(rt *rapid.T) {
		a, b := drawExact(rt, "a"), drawExact(rt, "b")
		if rapid.Bool().Draw(rt, "near") { // long terms of like size, whose logarithm fits
			g := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 2))
			for _, v := range []*Val{a, b} {
				n := new(big.Int).SetUint64(g.Uint64() | 1<<63)
				n.Lsh(n, 64).Add(n, new(big.Int).SetUint64(g.Uint64()))
				v.W.SetBig(n.Rsh(n, g.UintN(8)))
				v.S = 0
			}
		}
		m := NewMachine(&Prog{Regs: 6})
		for i, v := range []*Val{a, b} {
			m.Regs[i].Copy(v, KExact)
		}
		m.prog.Code = []Instr{{Op: QuoX, Dst: 3, A: 0, B: 1}, {Op: LnR, Dst: 4, A: 3}, {Op: LnX, Dst: 5, A: 0, B: 1}}
		m.Run()
		if ratOf(b, KExact).Sign() == 0 {
			return
		}
		x := new(big.Rat).Quo(ratOf(a, KExact), ratOf(b, KExact))
		got := &m.Regs[4]
		if x.Sign() > 0 && ratOf(b, KExact).Sign() > 0 && (m.Regs[5].Null != got.Null || !got.Null && m.Regs[5].W != got.W) {
			rt.Fatalf("ln of %v: %v of the quotient, %v of its terms", x, got, &m.Regs[5])
		}
		if f, _ := x.Float64(); x.Sign() <= 0 || math.Abs(math.Log(f)) > 7.999 {
			if x.Sign() <= 0 && (!got.Null || got.Ovf) {
				rt.Fatalf("ln of %v is %v", x, got)
			}
			return
		}
		want, q := new(big.Float).SetPrec(prec).SetRat(x), big192(got.W).Int64()
		if got.Null || exp(q, -0.5001).Cmp(want) > 0 || exp(q, 0.5001).Cmp(want) < 0 {
			rt.Fatalf("ln of %v is %v", x, got)
		}
	})
}
