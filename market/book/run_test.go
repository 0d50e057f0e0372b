package book

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// plainBook applies messages change by change.
type plainBook struct{ Book }

func (b *plainBook) apply(in [2]Levels) {
	for s := range in {
		b.sides[s].far.setAll(in[s].Price, in[s].Quantity, Side(s).mask())
	}
}

// run is a message side whose prices rise or fall strictly, with gaps up to step.
func run(t *rapid.T, step int64) Levels {
	n := rapid.OneOf(rapid.IntRange(0, 6), rapid.IntRange(0, 80)).Draw(t, "n")
	var l Levels
	p := rapid.Int64Range(1, 400).Draw(t, "first")
	for range n {
		l.Price = append(l.Price, p)
		l.Quantity = append(l.Quantity, rapid.SampledFrom([]int64{0, 0, 0, 1, 2}).Draw(t, "q"))
		p += rapid.Int64Range(1, step).Draw(t, "gap")
	}
	if rapid.Bool().Draw(t, "falling") {
		slices.Reverse(l.Price)
		slices.Reverse(l.Quantity)
	}
	return l
}

// A run gives the book that its changes give one by one, after any history of runs,
// truncations and empty books.
func TestRun_EqualsPlain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var fast Book
		var plain plainBook
		step := rapid.SampledFrom([]int64{1, 3, 30}).Draw(t, "step")
		for range rapid.IntRange(1, 30).Draw(t, "messages") {
			in := [2]Levels{run(t, step), run(t, step)}
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0:
				fast.Reset()
				plain.Reset()
			case 1:
				depth := rapid.IntRange(0, 60).Draw(t, "depth")
				fast.Truncate(depth)
				plain.Truncate(depth)
			}
			plain.apply(in)
			mustRapid(t, fast.Apply(in[Bid], in[Ask]))
			if !bytes.Equal(fast.AppendSnapshot(nil), plain.AppendSnapshot(nil)) {
				t.Fatalf("after %+v\n%v %v\n%v %v", in, fast.sides[Bid], fast.sides[Ask], plain.sides[Bid], plain.sides[Ask])
			}
		}
	})
}

// All books and runs over six prices: every pattern of levels that come, go and stay.
func TestRun_EveryPattern(t *testing.T) {
	const prices = 6
	side := func(has, zero int, q int64) (l Levels) {
		for i := range prices {
			if has>>i&1 == 1 {
				l.Price = append(l.Price, int64(10+i))
				l.Quantity = append(l.Quantity, (q+int64(i))*int64(1-zero>>i&1))
			}
		}
		return l
	}
	for book := range 1 << prices {
		for has := range 1 << prices {
			for zero := has; ; zero = (zero - 1) & has {
				in := side(has, zero, 100)
				var fast Book
				var plain plainBook
				start := [2]Levels{side(book, 0, 1), side(book, 0, 1)}
				must(t, fast.Replace(start[Bid], start[Ask]))
				plain.apply(start)
				for i := range start {
					if len(in.Price) > 0 {
						fast.change(&fast.sides[i].far, in.Price, in.Quantity, Side(i).mask(), Side(i) == Bid)
					}
				}
				plain.apply([2]Levels{in, in})
				if !bytes.Equal(fast.AppendSnapshot(nil), plain.AppendSnapshot(nil)) {
					t.Fatalf("book %06b, run %06b, zero %06b: %v, want %v", book, has, zero, fast.sides, plain.sides)
				}
				if zero == 0 {
					break
				}
			}
		}
	}
}

// place agrees with a linear look at every length and window.
func TestPlace_EqualsPlain(t *testing.T) {
	for _, s := range []Side{Bid, Ask} {
		var p []int64
		for i := range int64(70) {
			p = append(p, 10+3*i)
		}
		p[0], p[len(p)-1] = 1, math.MaxInt64
		if s == Ask {
			slices.Reverse(p)
		}
		for lo := range p {
			for hi := lo; hi <= len(p); hi++ {
				for _, v := range append([]int64{2, 12, 100, 217, math.MaxInt64 - 1}, p...) {
					want := lo
					for want < hi && p[want]*s.sign() < v*s.sign() {
						want++
					}
					if got := place(p, lo, hi, v^s.mask(), s.mask()); got != want {
						t.Fatal(fmt.Sprint(s, " place of ", v, " in ", lo, ":", hi, " is ", got, ", want ", want))
					}
				}
			}
		}
	}
}

// The ladder's memory follows the book, not the number of messages: room is made by
// moving to the front when levels have been dropped there.
func TestRun_MemoryIsBounded(t *testing.T) {
	var b Book
	for i := range int64(20_000) {
		must(t, b.Apply(levels(0, 0, 10+2*i, 1, 11+2*i, 1), Levels{}))
		b.Truncate(100)
	}
	if n := cap(b.sides[Bid].far.p); n > 1000 {
		t.Errorf("room for %d levels in a book of 100", n)
	}
}
