package op

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/pinova-group/tidemark/market/num"
)

// Random programs give the same on lanes as row by row, value, scale and state, or say
// that they cannot.
func TestVector_MatchesMachine(t *testing.T) {
	ran := 0
	rapid.Check(t, func(rt *rapid.T) {
		g := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 7))
		n := 1 + g.IntN(40)
		// Registers: 0, 1 constants, 2–4 exact inputs, 5 a bool input, then results.
		p := &Prog{Consts: make([]Val, 2), Regs: 6}
		p.Consts[0].SetDec(g.Int64N(20)-10, int8(g.IntN(4)))
		p.Consts[1].SetBool(g.IntN(2) == 0)
		kinds := map[int]Kind{2: KExact, 3: KExact, 4: KExact, 5: KBool}
		of := map[Kind][]uint16{KExact: {0, 2, 3, 4}, KBool: {1, 5}}
		pick := func(k Kind) uint16 { return of[k][g.IntN(len(of[k]))] }
		ops := []Code{AddX, SubX, MulX, NegX, AbsX, MinX, MaxX, CmpX, CmpX, And, Or, Not, If, If}
		for range 1 + g.IntN(8) {
			in := Instr{Op: ops[g.IntN(len(ops))], Dst: uint16(p.Regs), N: int32(g.IntN(6)), K: KExact}
			if in.Op == If && g.IntN(3) == 0 {
				in.K = KBool
			}
			in.A, in.B, in.C = pick(operandKind(&in, 0)), pick(operandKind(&in, 1)), pick(operandKind(&in, 2))
			p.Code = append(p.Code, in)
			of[resultKind(&in)] = append(of[resultKind(&in)], in.Dst)
			p.Regs++
		}
		v, ok := NewVector(p, p.Code, kinds)
		if !ok {
			rt.Fatal("not vectorized")
		}
		var cols [6][]int64
		var scale [6]int8
		small := g.IntN(3) > 0
		for r := 2; r < 6; r++ {
			scale[r] = int8(g.IntN(5))
			for range n {
				x := g.Int64N(9) - 4
				if !small && g.IntN(4) == 0 {
					x = int64(g.Uint64()) >> g.IntN(64)
				}
				if r == 5 {
					x = int64(g.IntN(2))
				}
				cols[r] = append(cols[r], x)
			}
			if r == 5 {
				v.LoadBool(r, cols[r])
			} else {
				v.Load(r, cols[r], scale[r])
			}
		}
		if !v.Run(n) {
			return
		}
		ran++
		m := NewMachine(p)
		ts := make([]int64, n)
		row := func(i int) {
			for r := 2; r < 5; r++ {
				m.Regs[r].SetDec(cols[r][i], scale[r])
			}
			m.Regs[5].SetBool(cols[5][i] == 1)
			m.Run()
		}
		var got Val
		for i := range n {
			ts[i] = 1000 + int64(i/2)
			row(i)
			for r := 6; r < p.Regs; r++ {
				l := v.Lanes(r)
				l.val(&got, i)
				if want := &m.Regs[r]; want.Null || got.I != want.I && l.Hi == nil || l.Hi != nil && (got.W != want.W || got.S != want.S) {
					rt.Fatalf("row %d register %d: %v·10^-%d or %d, want %v·10^-%d or %d", i, r, got.W, got.S, got.I, want.W, want.S, want.I)
				}
			}
		}
		// Constants that no instruction reads have no lanes.
		x, mask := of[KExact][1+g.IntN(len(of[KExact])-1)], of[KBool][1+g.IntN(len(of[KBool])-1)]
		for f := Count; int(f) < len(Table); f++ {
			for _, masked := range []bool{false, true} {
				if Table[f].Pair {
					continue // pairs have no lanes
				}
				a := Acc{Fn: f, Kind: KExact, Bits: 3}
				var sc Scratch
				one, many := make([]uint64, a.Words()), make([]uint64, a.Words())
				var start Val
				start.SetDec(g.Int64N(9), 2)
				a.Fold(one, &start, 999, &sc)
				a.Fold(many, &start, 999, &sc)
				var b []uint8
				if masked {
					b = v.Lanes(int(mask)).Bool
				}
				a.FoldLanes(many, v.Lanes(int(x)), b, ts, &sc)
				for i := range n {
					if row(i); !masked || m.Regs[mask].I == 1 {
						a.Fold(one, &m.Regs[x], ts[i], &sc)
					}
				}
				w, h := fmt.Sprint(one), fmt.Sprint(many)
				if a.Owner() {
					w, h = setText(&a, one, &sc), setText(&a, many, &sc)
				}
				if w != h {
					rt.Fatalf("%s masked %t: %s, want %s", f, masked, h, w)
				}
			}
		}
	})
	if ran == 0 {
		t.Error("no program ran on lanes")
	}
}

// What lanes cannot hold is refused when the program is built or when it runs.
func TestVector_Refuses(t *testing.T) {
	exact := map[int]Kind{0: KExact, 1: KExact}
	if _, ok := NewVector(&Prog{Regs: 3}, []Instr{{Op: QuoX, Dst: 2, A: 0, B: 1}}, exact); ok {
		t.Error("a quotient may be null")
	}
	if _, ok := NewVector(&Prog{Regs: 3}, []Instr{{Op: AddX, Dst: 2, A: 0, B: 1}}, map[int]Kind{0: KExact, 1: KText}); ok {
		t.Error("a text has no lanes")
	}
	v, ok := NewVector(&Prog{Regs: 4}, []Instr{{Op: MulX, Dst: 2, A: 0, B: 1}, {Op: MulX, Dst: 3, A: 2, B: 1}}, exact)
	if !ok {
		t.Fatal("products are not vectorized")
	}
	v.Load(0, []int64{1 << 40}, 0)
	v.Load(1, []int64{1 << 40}, 0)
	if v.Run(1) {
		t.Error("a product of 120 bits was multiplied once more")
	}
}

func BenchmarkVector_MidAndSpread(b *testing.B) {
	half := num.Dec{M: 5, S: 1}
	p := &Prog{Consts: make([]Val, 1), Regs: 6}
	p.Consts[0].SetDec(half.M, half.S)
	p.Code = []Instr{{Op: AddX, Dst: 3, A: 1, B: 2}, {Op: MulX, Dst: 4, A: 3, B: 0}, {Op: SubX, Dst: 5, A: 2, B: 1}}
	v, _ := NewVector(p, p.Code, map[int]Kind{1: KExact, 2: KExact})
	x := make([]int64, VectorRows)
	for i := range x {
		x[i] = 4_000_000 + int64(i)
	}
	for b.Loop() {
		v.Load(1, x, 2)
		v.Load(2, x, 2)
		v.Run(VectorRows)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/VectorRows, "ns/row")
}
