package book

import (
	"bytes"
	"errors"
	"math"
	"math/big"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/pinova-group/tidemark/market"
)

func levels(ps, qs int8, pq ...int64) Levels {
	l := Levels{PriceScale: ps, QuantityScale: qs}
	for i := 0; i < len(pq); i += 2 {
		l.Price = append(l.Price, pq[i])
		l.Quantity = append(l.Quantity, pq[i+1])
	}
	return l
}

// dump lists price, quantity of a side, best first.
func dump(b *Book, s Side) []int64 {
	out := []int64{}
	var p, q [3]int64
	from := b.From(s)
	for n := from.Next(p[:], q[:]); n > 0; n = from.Next(p[:], q[:]) {
		for k := range n {
			out = append(out, p[k], q[k])
		}
	}
	return out
}

func wantSide(t *testing.T, b *Book, s Side, want ...int64) {
	t.Helper()
	if got := dump(b, s); !slices.Equal(got, want) {
		t.Errorf("%v side: got %v, want %v", s, got, want)
	}
}

func TestBook_Apply(t *testing.T) {
	var b Book
	if _, _, ok := b.Best(); ok || b.Crossed() {
		t.Fatal("an empty book has a best price or is crossed")
	}
	must(t, b.Replace(levels(1, 3, 1000, 5, 999, 7, 998, 0), levels(1, 3, 1001, 2, 1003, 4)))
	wantSide(t, &b, Bid, 1000, 5, 999, 7)
	wantSide(t, &b, Ask, 1001, 2, 1003, 4)

	must(t, b.Apply(levels(1, 3, 1000, 0, 997, 1, 990, 0), levels(1, 3, 1002, 9, 1001, 8, 1000, 1)))
	wantSide(t, &b, Bid, 999, 7, 997, 1)
	wantSide(t, &b, Ask, 1000, 1, 1001, 8, 1002, 9, 1003, 4)
	if bid, ask, ok := b.Best(); !ok || bid != 999 || ask != 1000 {
		t.Errorf("best: %v %v %v", bid, ask, ok)
	}
	if b.Quantity(Bid, 999) != 7 || b.Quantity(Bid, 998) != 0 || b.Quantity(Ask, 1003) != 4 {
		t.Errorf("quantities %d, %d, %d", b.Quantity(Bid, 999), b.Quantity(Bid, 998), b.Quantity(Ask, 1003))
	}

	must(t, b.Apply(levels(1, 3, 1000, 1), Levels{}))
	if !b.Crossed() {
		t.Error("bid 100.0 against ask 100.0 is not called crossed")
	}
	b.Truncate(1)
	wantSide(t, &b, Bid, 1000, 1)
	wantSide(t, &b, Ask, 1000, 1)
	b.Truncate(0)
	if b.Len(Bid)+b.Len(Ask) != 0 {
		t.Error("levels left after Truncate(0)")
	}
}

func TestBook_RescalesExactly(t *testing.T) {
	var b Book
	must(t, b.Replace(levels(0, 0, 100, 5), levels(0, 0, 101, 6)))
	must(t, b.Apply(levels(2, 1, 9950, 15), Levels{}))
	if b.PriceScale() != 2 || b.QuantityScale() != 1 {
		t.Fatalf("scales %d, %d", b.PriceScale(), b.QuantityScale())
	}
	wantSide(t, &b, Bid, 10000, 50, 9950, 15)
	wantSide(t, &b, Ask, 10100, 60)
	must(t, b.Apply(levels(0, 0, 100, 0), levels(1, 3, 1010, 6500)))
	wantSide(t, &b, Bid, 9950, 1500)
	wantSide(t, &b, Ask, 10100, 6500)

	// A finer scale that the book cannot take is fine as long as its digits are zeros.
	must(t, b.Replace(levels(0, 0, math.MaxInt64, 1), Levels{}))
	must(t, b.Apply(levels(2, 0, 700, 3), Levels{}))
	wantSide(t, &b, Bid, math.MaxInt64, 1, 7, 3)
	if err := b.Apply(levels(2, 0, 701, 3), Levels{}); !errors.Is(err, ErrRange) {
		t.Errorf("got %v, want ErrRange", err)
	}
}

func TestBook_Refuses(t *testing.T) {
	many := Levels{}
	for i := range int64(MaxLevels + 1) {
		many.Price, many.Quantity = append(many.Price, i+1), append(many.Quantity, 1)
	}
	full := Levels{Price: many.Price[:MaxLevels], Quantity: many.Quantity[:MaxLevels]}
	for name, c := range map[string]struct {
		bids Levels
		want error
	}{
		"price zero near":   {levels(0, 0, MaxLevels, 1, MaxLevels-1, 1, 0, 1), ErrLevel},
		"negative near":     {levels(0, 0, MaxLevels, 1, MaxLevels-1, -1, MaxLevels-2, 1), ErrLevel},
		"price zero":        {levels(0, 0, 0, 1), ErrLevel},
		"price negative":    {levels(0, 0, -5, 1), ErrLevel},
		"quantity negative": {levels(0, 0, 5, -1), ErrLevel},
		"shape":             {Levels{Price: []int64{1}}, ErrShape},
		"message too long":  {many, ErrTooDeep},
		"side too deep":     {levels(0, 0, MaxLevels+5, 1), ErrTooDeep},
		"scale":             {levels(19, 0, 5, 1), ErrRange},
		"negative scale":    {levels(-1, 0, 5, 1), ErrRange},
		"range":             {levels(18, 0, 1, 1), ErrRange},
	} {
		var b Book
		must(t, b.Replace(full, Levels{}))
		if b.Len(Bid) != MaxLevels {
			t.Fatalf("full side has %d levels", b.Len(Bid))
		}
		for _, window := range []bool{false, true} {
			if window {
				must(t, b.Replace(full, Levels{}))
				for len(full.Price) > b.sides[Bid].changes && !b.sides[Bid].near.on() {
					must(t, b.Apply(levels(0, 0, MaxLevels, 5), Levels{}))
				}
			}
			if err := b.Apply(c.bids, Levels{}); !errors.Is(err, c.want) {
				t.Errorf("%s: got %v, want %v, window %v", name, err, c.want, window)
			}
			if b.Len(Bid) != 0 {
				t.Errorf("%s: book not empty after the error", name)
			}
		}
	}
}

// The model keeps prices as exact rationals in a map.
type model map[string]*big.Rat

func rat(m int64, s int8) *big.Rat {
	return new(big.Rat).SetFrac(big.NewInt(m), new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(s)), nil))
}

func (m model) apply(l Levels) {
	for i, p := range l.Price {
		k := rat(p, l.PriceScale).RatString()
		if l.Quantity[i] == 0 {
			delete(m, k)
			continue
		}
		m[k] = rat(l.Quantity[i], l.QuantityScale)
	}
}

func (m model) check(t *rapid.T, b *Book, s Side) {
	if len(m) != b.Len(s) {
		t.Fatalf("%v: %d levels, model has %d", s, b.Len(s), len(m))
	}
	var last *big.Rat
	l := dump(b, s)
	for i := 0; i < len(l); i += 2 {
		rp := rat(l[i], b.PriceScale())
		if want := m[rp.RatString()]; want == nil || want.Cmp(rat(l[i+1], b.QuantityScale())) != 0 {
			t.Fatalf("%v: level %v has %v, model %v", s, l[i], l[i+1], want)
		}
		if last != nil && last.Cmp(rp)*(1-2*int(s)) <= 0 {
			t.Fatalf("%v: level %d out of order", s, i/2)
		}
		last = rp
	}
}

func TestBook_EqualsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b Book
		bids, asks := model{}, model{}
		gen := func(label string) Levels {
			n := rapid.OneOf(rapid.IntRange(0, 12), rapid.IntRange(0, 2*mergeFrom)).Draw(t, label)
			l := Levels{
				PriceScale:    int8(rapid.IntRange(0, 3).Draw(t, "ps")),
				QuantityScale: int8(rapid.IntRange(0, 3).Draw(t, "qs")),
			}
			for range n {
				l.Price = append(l.Price, rapid.Int64Range(1, 300).Draw(t, "p"))
				l.Quantity = append(l.Quantity, rapid.Int64Range(0, 3).Draw(t, "q"))
			}
			return l
		}
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			x, y := gen("bids"), gen("asks")
			switch rapid.IntRange(0, 6).Draw(t, "op") {
			case 0:
				clear(bids)
				clear(asks)
				mustRapid(t, b.Replace(x, y))
			case 1:
				depth := rapid.IntRange(0, 40).Draw(t, "depth")
				b.Truncate(depth)
				trim(bids, depth, Bid)
				trim(asks, depth, Ask)
				continue
			case 2:
				snap := b.AppendSnapshot([]byte("x"))
				rest, err := b.Restore(append(snap[1:], 'y'))
				mustRapid(t, err)
				if string(rest) != "y" || !bytes.Equal(b.AppendSnapshot([]byte("x")), snap) {
					t.Fatal("snapshot does not come back")
				}
				continue
			default:
				mustRapid(t, b.Apply(x, y))
			}
			bids.apply(x)
			asks.apply(y)
			bids.check(t, &b, Bid)
			asks.check(t, &b, Ask)
		}
	})
}

func trim(m model, depth int, s Side) {
	keys := make([]*big.Rat, 0, len(m))
	for k := range m {
		r, _ := new(big.Rat).SetString(k)
		keys = append(keys, r)
	}
	slices.SortFunc(keys, func(a, b *big.Rat) int { return -a.Cmp(b) * int(s.sign()) })
	for _, k := range keys[min(depth, len(keys)):] {
		delete(m, k.RatString())
	}
}

func TestBook_RowRoundTrip(t *testing.T) {
	var b, c Book
	must(t, b.Replace(levels(1, 3, 1000, 5, 999, 7), levels(1, 3, 1001, 2)))
	row := market.NewBatch(market.KindBook)
	row.AppendEnvelope(&market.Envelope{})
	b.AppendTo(row.Cols)
	if got := row.Cols[market.BookBidPrice].Decs(0); !slices.Equal(got, []int64{1000, 999}) {
		t.Errorf("bids of the row are %v, want the best first", got)
	}
	must(t, c.Replace(LevelsOf(row.Cols, 0)))
	if !bytes.Equal(b.AppendSnapshot(nil), c.AppendSnapshot(nil)) {
		t.Error("book from the row differs")
	}
}

func TestBook_NoAllocationOnUpdates(t *testing.T) {
	var b Book
	must(t, b.Replace(deep(1000)))
	up, down := levels(0, 0, 100_000, 3, 99_900, 4), levels(0, 0, 100_000, 0, 99_900, 0)
	asks := levels(0, 0, 100_050, 3)
	n := testing.AllocsPerRun(100, func() {
		_ = b.Apply(up, asks)
		_ = b.Apply(down, asks)
		b.Truncate(1000)
		_ = ChecksumKraken(&b)
		_ = ChecksumOKX(&b)
	})
	if n != 0 {
		t.Errorf("%v allocations a round", n)
	}
}

func deep(n int64) (bids, asks Levels) {
	for i := range n {
		bids.Price, bids.Quantity = append(bids.Price, 100_000-i), append(bids.Quantity, 10+i)
		asks.Price, asks.Quantity = append(asks.Price, 100_001+i), append(asks.Quantity, 10+i)
	}
	return bids, asks
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func mustRapid(t *rapid.T, err error) {
	if err != nil {
		t.Fatal(err)
	}
}
