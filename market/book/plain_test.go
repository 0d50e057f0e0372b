package book

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"testing"

	"pgregory.net/rapid"
)

// plain is the reference: a sorted list a side, changed level by level. Levels of a side
// are price, quantity, …, best first, as dump gives them.
type plain struct {
	sides  [2][]int64
	ps, qs int8
}

func (b *plain) apply(in [2]Levels) error {
	for s, l := range in {
		if err := b.applySide(Side(s), l); err != nil {
			*b = plain{}
			return err
		}
	}
	return nil
}

func (b *plain) applySide(s Side, l Levels) error {
	switch {
	case len(l.Price) != len(l.Quantity):
		return ErrShape
	case len(l.Price) > MaxLevels:
		return ErrTooDeep
	case len(l.Price) == 0:
		return nil
	}
	for i, p := range l.Price {
		if p <= 0 || l.Quantity[i] < 0 {
			return ErrLevel
		}
	}
	if len(b.sides[Bid])+len(b.sides[Ask]) == 0 {
		b.ps, b.qs = l.PriceScale, l.QuantityScale
	}
	price, ok := b.fit(l.Price, l.PriceScale, &b.ps, 0)
	if !ok {
		return ErrRange
	}
	quantity, ok := b.fit(l.Quantity, l.QuantityScale, &b.qs, 1)
	if !ok {
		return ErrRange
	}
	for i, p := range price {
		b.set(s, p, quantity[i])
	}
	if len(b.sides[s]) > 2*MaxLevels {
		return ErrTooDeep
	}
	return nil
}

// fit raises the book to the scale of m, or m to that of the book; at tells prices, 0,
// from quantities, 1.
func (b *plain) fit(m []int64, scale int8, own *int8, at int) ([]int64, bool) {
	if scale < 0 || scale > 18 {
		return nil, false
	}
	m = slices.Clone(m)
	if scale < *own {
		ok := true
		for i := range m {
			m[i], ok = times(m[i], *own-scale, ok)
		}
		return m, ok
	}
	ok := true
	var raised [2][]int64
	for s, l := range b.sides {
		raised[s] = slices.Clone(l)
		for i := at; i < len(l); i += 2 {
			raised[s][i], ok = times(l[i], scale-*own, ok)
		}
	}
	if ok {
		b.sides, *own = raised, scale
		return m, true
	}
	for i := range m {
		for range scale - *own {
			if m[i]%10 != 0 {
				return nil, false
			}
			m[i] /= 10
		}
	}
	return m, true
}

func times(v int64, digits int8, ok bool) (int64, bool) {
	for range digits {
		ok = ok && v <= math.MaxInt64/10
		v *= 10
	}
	return v, ok
}

func (b *plain) set(s Side, p, q int64) {
	l := b.sides[s]
	i := 2 * sort.Search(len(l)/2, func(i int) bool { return l[2*i]*s.sign() <= p*s.sign() })
	if i < len(l) && l[i] == p {
		l = slices.Delete(l, i, i+2)
	}
	if q > 0 {
		l = slices.Insert(l, i, p, q)
	}
	b.sides[s] = l
}

func (b *plain) truncate(depth int) {
	for s := range b.sides {
		b.sides[s] = b.sides[s][:min(len(b.sides[s]), 2*depth)]
	}
}

// replaced is a book with the levels of another, which has never had a window.
func (b *plain) replaced(t testing.TB) *Book {
	var in [2]Levels
	for s := range in {
		in[s].PriceScale, in[s].QuantityScale = b.ps, b.qs
		for i := 0; i < len(b.sides[s]); i += 2 {
			in[s].Price, in[s].Quantity = append(in[s].Price, b.sides[s][i]), append(in[s].Quantity, b.sides[s][i+1])
		}
	}
	k := new(Book)
	if err := k.Replace(in[Bid], in[Ask]); err != nil {
		t.Fatal(err)
	}
	if k.sides[Bid].near.on() || k.sides[Ask].near.on() {
		t.Fatal("a snapshot alone opens a window")
	}
	return k
}

// equal asks a book everything.
func (b *plain) equal(t testing.TB, k *Book, in [2]Levels) {
	for s, l := range b.sides {
		side := Side(s)
		if got := dump(k, side); !slices.Equal(got, l) {
			t.Fatalf("%v side after %v: %v, want %v", side, in[s], got, l)
		}
		if k.Len(side) != len(l)/2 {
			t.Fatalf("%v side: %d levels, want %d", side, k.Len(side), len(l)/2)
		}
		has := map[int64]int64{}
		for i := 0; i < len(l); i += 2 {
			has[l[i]] = l[i+1]
		}
		ask := append(slices.Clone(in[s].Price), 1, math.MaxInt64)
		for i := 0; i < len(l); i += 10 {
			ask = append(ask, l[i], l[i]+1, l[i]-1)
		}
		for _, p := range ask {
			if p <= 0 {
				continue
			}
			if k.Quantity(side, p) != has[p] {
				t.Fatalf("%v quantity at %d: %d, want %d", side, p, k.Quantity(side, p), has[p])
			}
			i := 2 * sort.Search(len(l)/2, func(i int) bool { return l[2*i]*side.sign() < p*side.sign() })
			var price, quantity [2]int64
			from := k.After(side, p)
			n := from.Next(price[:], quantity[:])
			if n != min(2, len(l[i:])/2) || n > 0 && (price[0] != l[i] || quantity[0] != l[i+1]) || n > 1 && price[1] != l[i+2] {
				t.Fatalf("%v levels after %d: %v, %v, %d, want %v", side, p, price, quantity, n, l[i:min(i+4, len(l))])
			}
		}
	}
	bids, asks := b.sides[Bid], b.sides[Ask]
	two := len(bids) > 0 && len(asks) > 0
	bid, ask, ok := k.Best()
	if ok != two || ok && (bid != bids[0] || ask != asks[0]) || k.Crossed() != (two && bids[0] >= asks[0]) {
		t.Fatalf("best %d, %d, %v, crossed %v of %v, %v", bid, ask, ok, k.Crossed(), bids, asks)
	}
	if len(bids)+len(asks) > 0 && (k.PriceScale() != b.ps || k.QuantityScale() != b.qs) {
		t.Fatalf("scales %d, %d, want %d, %d", k.PriceScale(), k.QuantityScale(), b.ps, b.qs)
	}
	fresh := b.replaced(t)
	if !bytes.Equal(k.AppendSnapshot(nil), fresh.AppendSnapshot(nil)) {
		t.Fatal("snapshots differ")
	}
	if ChecksumKraken(k) != ChecksumKraken(fresh) || ChecksumOKX(k) != ChecksumOKX(fresh) {
		t.Fatal("checksums differ")
	}
}

// bounded checks what a window may cost.
func bounded(t testing.TB, k *Book, most int) {
	for s := range k.sides {
		d := &k.sides[s]
		if n := cap(d.near.qty); n > maxPlaces || n > max(minPlaces, mostPlaces*most) {
			t.Fatalf("%d places; the side has had %d levels at most", n, most)
		}
	}
}

// tape makes messages about a wandering price, with what a venue or an enemy may send.
type tape struct {
	*rand.Rand
	tick, mid, wide int64
	ps, qs          int8
	hostile         int // of 100 messages
}

func (g *tape) message() (in [2]Levels) {
	g.mid = max(g.mid+g.Int64N(9)-4, 20)
	if g.IntN(40) == 0 {
		g.mid = max(g.mid+g.Int64N(8*g.wide)-4*g.wide, 20)
	}
	for s := range in {
		l := &in[s]
		l.PriceScale, l.QuantityScale = g.ps, g.qs
		n := g.IntN(12)
		if g.IntN(20) == 0 {
			n = g.IntN(300)
		}
		at := g.mid - 3 + int64(6*s)
		for range n {
			p := at - (1-2*int64(s))*int64(math.Abs(g.NormFloat64())*float64(g.wide))
			if g.IntN(100) < 3 {
				p = at - (1-2*int64(s))*g.Int64N(at*int64(1+20*s)) // far away
			}
			l.Price = append(l.Price, max(p, 1)*g.tick)
			l.Quantity = append(l.Quantity, max(g.Int64N(50)-20, 0))
		}
		switch g.IntN(3) { // as venues do; the enemy sends it as it is
		case 0:
			slices.Sort(l.Price)
			l.Price = slices.Compact(l.Price)
		case 1:
			slices.SortFunc(l.Price, func(a, b int64) int { return int(b/g.tick - a/g.tick) })
			l.Price = slices.Compact(l.Price)
		}
		l.Quantity = l.Quantity[:len(l.Price)]
		if len(l.Price) > 0 && g.IntN(100) < g.hostile {
			i := g.IntN(len(l.Price))
			odd := []int64{1, 2, math.MaxInt64, math.MaxInt64 - 1, 1e18, l.Price[i] + 1, l.Price[i] + g.tick/2 + 1, g.mid * g.tick, 0, -5, math.MinInt64}
			l.Price[i] = odd[g.IntN(len(odd)-3*min(g.IntN(9), 1))]
			if g.IntN(10) == 0 {
				l.Quantity[i] = []int64{-1, math.MinInt64, math.MaxInt64}[g.IntN(3)]
			}
			if g.IntN(20) == 0 {
				l.PriceScale += int8(g.IntN(3))
				l.QuantityScale += int8(g.IntN(3))
			}
		}
	}
	return in
}

// A book answers everything as the reference does, whatever a window does inside.
func TestBook_EqualsPlain(t *testing.T) {
	opened, given, inside := 0, 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		g := &tape{
			Rand: rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 1)),
			tick: rapid.SampledFrom([]int64{1, 5, 10, 1000, 1 << 20, 1e9}).Draw(rt, "tick"),
			mid:  rapid.SampledFrom([]int64{40, 1000, 100_000}).Draw(rt, "mid"),
			wide: rapid.SampledFrom([]int64{5, 50, 500, 5000}).Draw(rt, "wide"),
			ps:   int8(rapid.IntRange(0, 8).Draw(rt, "ps")), qs: 2,
			hostile: rapid.SampledFrom([]int{0, 1, 20}).Draw(rt, "hostile"),
		}
		var k Book
		var ref plain
		on, most := false, 0
		more := rapid.IntRange(0, 30).Draw(rt, "bulk")
		for range rapid.IntRange(50, 200).Draw(rt, "messages") {
			in := g.message()
			for range more { // a snapshot
				x := g.message()
				for s := range in {
					in[s].Price, in[s].Quantity = append(in[s].Price, x[s].Price...), append(in[s].Quantity, x[s].Quantity...)
				}
			}
			more = 0
			switch g.IntN(150) {
			case 0:
				k.Reset()
				ref, more = plain{}, g.IntN(40)
			case 1:
				k.Release()
				ref, most, more = plain{}, 0, g.IntN(40)
			case 2:
				rest, err := k.Restore(append(k.AppendSnapshot(nil), 'y'))
				if err != nil || string(rest) != "y" {
					t.Fatal(err, rest)
				}
			case 3, 4, 5:
				depth := g.IntN(200)
				k.Truncate(depth)
				ref.truncate(depth)
			}
			got, want := k.Apply(in[Bid], in[Ask]), ref.apply(in)
			if !errors.Is(got, want) {
				t.Fatalf("%v gives %v, want %v", in, got, want)
			}
			ref.equal(t, &k, in)
			most = max(most, k.Len(Bid)+len(in[Bid].Price), k.Len(Ask)+len(in[Ask].Price))
			bounded(t, &k, most)
			if now := k.sides[Bid].near.on(); now != on {
				on = now
				if on {
					opened++
				} else {
					given++
				}
			}
			if on {
				inside++
			}
		}
	})
	t.Logf("windows: %d opened, %d given up, %d messages", opened, given, inside)
	if opened < 20 || given < 5 || inside < 500 {
		t.Errorf("windows: %d opened, %d given up, %d messages; the test sees too few", opened, given, inside)
	}
}

// FuzzBook_EqualsPlain takes two bytes for a level: where it is, and its quantity.
func FuzzBook_EqualsPlain(f *testing.F) {
	long := make([]byte, 0, 400)
	for i := range 200 {
		long = append(long, byte(i*7), byte(i))
	}
	f.Add(long, int64(5), int64(100))
	f.Add(long, int64(1e15), int64(4000))
	f.Fuzz(func(t *testing.T, data []byte, tick, mid int64) {
		if tick <= 0 || tick > 1e15 || mid <= 0 || mid > 5000 || len(data) > 2000 {
			t.Skip("outside of what a venue can send")
		}
		var k Book
		var ref plain
		for len(data) > 1 {
			n := 1 + int(data[0])%17
			var in [2]Levels
			for ; n > 0 && len(data) > 1; n-- {
				where, q := data[0], int64(data[1]>>3)
				s := where & 1
				p := (mid - int64(where>>1)*(1-2*int64(s))) * tick
				switch data[1] & 7 {
				case 0:
					p += q
				case 1:
					p, q = math.MaxInt64-int64(where), 3
				case 2:
					mid += int64(where) - 128
				}
				in[s].Price, in[s].Quantity = append(in[s].Price, p), append(in[s].Quantity, q)
				data = data[2:]
			}
			if got, want := k.Apply(in[Bid], in[Ask]), ref.apply(in); !errors.Is(got, want) {
				t.Fatalf("%v gives %v, want %v", in, got, want)
			}
			ref.equal(t, &k, in)
		}
	})
}

// A price far away neither allocates nor costs more than the levels of the book, and the
// window comes back when the price has.
func TestBook_HostilePriceAllocatesNothing(t *testing.T) {
	var k Book
	must(t, k.Replace(deep(1000)))
	var bids, asks []Levels
	for i := range int64(600) {
		bids, asks = append(bids, levels(0, 0, 99_000+i%900, 1+i%7)), append(asks, levels(0, 0, 100_100+i%800, i%3))
	}
	bids = append(bids, levels(0, 0, math.MaxInt64-1, 5, 1, 5), levels(0, 0, math.MaxInt64-1, 0, 1, 0))
	asks = append(asks, levels(0, 0, 1, 5, math.MaxInt64, 5), levels(0, 0, 1, 0, math.MaxInt64, 0))
	round := func() {
		for i := range bids {
			if err := k.Apply(bids[i], asks[i]); err != nil {
				t.Fatal(err)
			}
			if i == 599 && (!k.sides[Bid].near.on() || !k.sides[Ask].near.on()) {
				t.Fatal("no window over a dense book")
			}
		}
	}
	round()
	round()
	if n := testing.AllocsPerRun(20, round); n != 0 {
		t.Errorf("%v allocations a round", n)
	}
}

// Windows at both ends of what prices can be, with the least tick and one that is too
// wide for a window.
func TestBook_EqualsPlainAtTheEnds(t *testing.T) {
	for _, tick := range []int64{1, 1 << 56} {
		g := rand.New(rand.NewPCG(1, 2))
		var k Book
		var ref plain
		for i := range 600 {
			var in [2]Levels
			for s := range in {
				n := 6
				if i == 0 {
					n = 200
				}
				for range n {
					p := tick * (1 + g.Int64N(120))
					if i > 500 {
						p = tick * (1 + g.Int64N(min(400, math.MaxInt64/tick-1)))
					}
					if i > 300 && g.IntN(10) == 0 {
						p += g.Int64N(tick)
					}
					if s == 1 {
						p = math.MaxInt64 - p + 1
					}
					in[s].Price, in[s].Quantity = append(in[s].Price, p), append(in[s].Quantity, g.Int64N(3))
				}
			}
			must(t, k.Apply(in[Bid], in[Ask]))
			must(t, ref.apply(in))
			ref.equal(t, &k, in)
		}
		if tick == 1 && (!k.sides[Bid].near.on() || !k.sides[Ask].near.on()) {
			t.Error("no window")
		}
		zero := levels(0, 0, 0, 1)
		if err := k.Apply(zero, Levels{}); !errors.Is(err, ErrLevel) {
			t.Errorf("price 0: %v", err)
		}
	}
}

// A window is opened on the tick of the levels that it takes, whatever lies behind them,
// and follows the price and what changes.
func TestBook_WindowFollows(t *testing.T) {
	var k Book
	var ref plain
	apply := func(in [2]Levels) {
		t.Helper()
		must(t, k.Apply(in[Bid], in[Ask]))
		must(t, ref.apply(in))
	}
	const top = 1_000_000
	var in [2]Levels
	for i := range int64(1000) {
		in[Bid].Price, in[Bid].Quantity = append(in[Bid].Price, top-10*i), append(in[Bid].Quantity, 1+i)
	}
	in[Bid].Price[999] = 1 // off the tick, behind what fits
	apply(in)
	for i := range int64(300) {
		apply([2]Levels{levels(0, 0, top-10*(i%20), 5)})
	}
	d := &k.sides[Bid]
	if !d.near.on() || d.near.n != 999 {
		t.Errorf("window of %d levels", d.near.n)
	}
	ref.equal(t, &k, in)
	for i := range int64(5_000) { // the price falls, and changes come from ever deeper
		at := top - 10_000 - i
		apply([2]Levels{levels(0, 0, at+3_000, 0, at, 1+i%5, at-i*7%6_000, i%2)})
	}
	ref.equal(t, &k, in)
	if d.near.n < d.len()*3/4 || len(d.near.qty) < 1<<12 || d.near.best() < len(d.near.qty)/4 {
		t.Errorf("%d of %d levels in a window of %d places, the best at %d", d.near.n, d.len(), len(d.near.qty), d.near.best())
	}
}
