package features_test

import (
	"math/big"
	"math/rand/v2"
	"slices"

	"github.com/pinova-group/tidemark/market"
)

// The reference book: maps from price to quantity over rationals, sorted when asked.

type bookLevel struct{ p, q decCell }

type bookEvent struct {
	inst  int
	feed  market.FeedID
	ts    int64
	seq   uint64
	orig  int64
	flags uint8
	depth int64 // 0: none
	sides [2][]bookLevel
}

type refBook struct {
	live  bool
	snap  int64
	sides [2]map[string]*big.Rat
}

type refLevel struct{ p, q *big.Rat }

func cellRat(c decCell) *big.Rat {
	return new(big.Rat).SetFrac(big.NewInt(c.m), new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(c.s)), nil))
}

// best lists a side, the best level first.
func (b *refBook) best(s int) []refLevel {
	var out []refLevel
	for k, q := range b.sides[s] {
		p, _ := new(big.Rat).SetString(k)
		out = append(out, refLevel{p, q})
	}
	slices.SortFunc(out, func(x, y refLevel) int { return x.p.Cmp(y.p) * (2*s - 1) })
	return out
}

func (b *refBook) known() bool {
	bids, asks := b.best(0), b.best(1)
	return b.live && len(bids) > 0 && len(asks) > 0 && bids[0].p.Cmp(asks[0].p) < 0
}

// bookRow is the state around one event: what the functions of the language read.
type bookRow struct {
	e        *bookEvent
	known    bool
	is, was  [2][]refLevel
	compared bool // was and is are two states of one live chain
}

// follow applies events in order and returns the state around each.
func follow(events []*bookEvent) []bookRow {
	type key struct {
		feed market.FeedID
		inst int
	}
	all := map[key]*refBook{}
	var out []bookRow
	for _, e := range events {
		b := all[key{e.feed, e.inst}]
		if b == nil {
			b = &refBook{}
			all[key{e.feed, e.inst}] = b
		}
		row := bookRow{e: e, was: [2][]refLevel{b.best(0), b.best(1)}}
		before := b.known()
		switch {
		case e.orig != market.OriginDelta:
			*b = refBook{live: true, snap: e.ts, sides: [2]map[string]*big.Rat{{}, {}}}
			before = false
		case e.flags&market.FlagGap != 0, e.ts-b.snap > 5*market.Minute:
			*b = refBook{}
		}
		if b.live {
			b.change(e)
		}
		row.is, row.known = [2][]refLevel{b.best(0), b.best(1)}, b.known()
		row.compared = before && row.known
		out = append(out, row)
	}
	return out
}

func (b *refBook) change(e *bookEvent) {
	for s, levels := range e.sides {
		for _, l := range levels {
			k := cellRat(l.p).RatString()
			if delete(b.sides[s], k); l.q.m != 0 {
				b.sides[s][k] = cellRat(l.q)
			}
		}
		if e.depth > 0 {
			for _, l := range b.best(s)[min(int(e.depth), len(b.sides[s])):] {
				delete(b.sides[s], l.p.RatString())
			}
		}
	}
}

func (r *bookRow) mid() *big.Rat {
	return new(big.Rat).Quo(new(big.Rat).Add(r.is[0][0].p, r.is[1][0].p), rat(2))
}

func (r *bookRow) level(s, k int) *refLevel {
	if !r.known || k > len(r.is[s]) {
		return nil
	}
	return &r.is[s][k-1]
}

func (r *bookRow) total(s, n int) *big.Rat {
	sum := rat(0)
	for _, l := range r.is[s][:min(n, len(r.is[s]))] {
		sum.Add(sum, l.q)
	}
	return sum
}

func (r *bookRow) imbalance(n int) *big.Rat {
	b, a := r.total(0, n), r.total(1, n)
	return new(big.Rat).Quo(new(big.Rat).Sub(b, a), new(big.Rat).Add(b, a))
}

func (r *bookRow) depth(s int, dist *big.Rat) *big.Rat {
	sum := rat(0)
	for _, l := range r.is[s] {
		d := new(big.Rat).Sub(l.p, r.mid())
		if d.Abs(d).Cmp(new(big.Rat).Mul(dist, r.mid())) <= 0 {
			sum.Add(sum, l.q)
		}
	}
	return sum
}

// fill is the average price of a quantity, nil when the side is short.
func (r *bookRow) fill(s int, want *big.Rat) *big.Rat {
	cost, rest := rat(0), want
	for _, l := range r.is[s] {
		q := l.q
		if q.Cmp(rest) > 0 {
			q = rest
		}
		cost.Add(cost, new(big.Rat).Mul(l.p, q))
		rest = new(big.Rat).Sub(rest, q)
	}
	if rest.Sign() > 0 {
		return nil
	}
	return cost.Quo(cost, want)
}

func (r *bookRow) slippage(s int, want *big.Rat) *big.Rat {
	f := r.fill(s, want)
	if f == nil {
		return nil
	}
	f.Quo(f, r.mid())
	f.Sub(f, rat(1))
	return f.Mul(f, rat(10_000*int64(2*s-1)))
}

func (r *bookRow) vwap(s, n int) *big.Rat {
	money := rat(0)
	for _, l := range r.is[s][:min(n, len(r.is[s]))] {
		money.Add(money, new(big.Rat).Mul(l.p, l.q))
	}
	return money.Quo(money, r.total(s, n))
}

// slope is cov(x, y)/var(x) for x the distance in bps and y the cumulative quantity.
func (r *bookRow) slope(s, n int) *big.Rat {
	var xs, ys []*big.Rat
	y := rat(0)
	for _, l := range r.is[s][:min(n, len(r.is[s]))] {
		x := new(big.Rat).Sub(l.p, r.mid())
		x.Quo(x.Abs(x).Mul(x, rat(10_000)), r.mid())
		y = new(big.Rat).Add(y, l.q)
		xs, ys = append(xs, x), append(ys, y)
	}
	mx, my, cov, vr := rat(0), rat(0), rat(0), rat(0)
	for i := range xs {
		mx.Add(mx, xs[i])
		my.Add(my, ys[i])
	}
	mx.Quo(mx, rat(int64(len(xs))))
	my.Quo(my, rat(int64(len(xs))))
	for i := range xs {
		dx := new(big.Rat).Sub(xs[i], mx)
		cov.Add(cov, new(big.Rat).Mul(dx, new(big.Rat).Sub(ys[i], my)))
		vr.Add(vr, new(big.Rat).Mul(dx, dx))
	}
	if vr.Sign() == 0 {
		return nil
	}
	return cov.Quo(cov, vr)
}

// ofi is e of level k by the formula of Cont, Kukanov and Stoikov.
func (r *bookRow) ofi(k int) *big.Rat {
	if !r.compared || k > min(len(r.was[0]), len(r.was[1]), len(r.is[0]), len(r.is[1])) {
		return nil
	}
	b0, b1, a0, a1 := r.was[0][k-1], r.is[0][k-1], r.was[1][k-1], r.is[1][k-1]
	e := rat(0)
	if b1.p.Cmp(b0.p) >= 0 {
		e.Add(e, b1.q)
	}
	if b1.p.Cmp(b0.p) <= 0 {
		e.Sub(e, b0.q)
	}
	if a1.p.Cmp(a0.p) <= 0 {
		e.Sub(e, a1.q)
	}
	if a1.p.Cmp(a0.p) >= 0 {
		e.Add(e, a0.q)
	}
	return e
}

func (r *bookRow) mlofi(n int) *big.Rat {
	sum := rat(0)
	for k := 1; k <= n; k++ {
		e := r.ofi(k)
		if e == nil {
			return nil
		}
		sum.Add(sum, e)
	}
	return sum
}

// bookEvents makes chains of books with gaps, resyncs, keyframes, silences, crossed and
// empty sides, and scales that change.
func bookEvents(seed uint64, n int) []*bookEvent {
	g := rand.New(rand.NewPCG(seed, 7))
	ts := 1_700_000_000*market.Second + g.Int64N(3600*market.Second)
	chains := 1 + g.IntN(4)
	pace := []int64{20 * market.Millisecond, market.Second, 20 * market.Second}[g.IntN(3)]
	wide := g.IntN(4) == 0 // sums of quantities near the end of 63 bits
	var out []*bookEvent
	for i := range n {
		if g.IntN(4) > 0 {
			ts += g.Int64N(pace)
		}
		if g.IntN(150) == 0 {
			ts += 4*market.Minute + g.Int64N(3*market.Minute)
		}
		c := g.IntN(chains)
		e := &bookEvent{inst: c / 2, feed: market.FeedID(7 + c%2), ts: ts, seq: uint64(i) + 1}
		levels := 1 + g.IntN(3)
		if i < 2*chains || g.IntN(40) == 0 {
			e.orig, levels = 1+g.Int64N(3), 4+g.IntN(8)
		} else if g.IntN(60) == 0 {
			e.flags = market.FlagGap
		}
		if g.IntN(10) == 0 {
			e.depth = int64(3 + g.IntN(6))
		}
		ps, qs := int8(1+g.IntN(30)/29), int8(g.IntN(3))
		for s := range e.sides {
			for range levels {
				off := g.Int64N(12) + 1
				if g.IntN(40) == 0 {
					off = -g.Int64N(3) // crosses
				}
				p := 1000 + off
				if s == 0 {
					p = 1000 - off
				}
				if ps == 2 {
					p = p*10 + g.Int64N(10)
				}
				q := g.Int64N(50) * min(1, g.Int64N(4)) // a quarter deletes
				if wide && q > 0 && g.IntN(10) == 0 {
					q = (1<<63-1)/2000 - q
				}
				e.sides[s] = append(e.sides[s], bookLevel{decCell{p, ps}, decCell{q, qs}})
			}
			if e.orig == 0 && g.IntN(3) == 0 {
				e.sides[s] = nil
			}
		}
		out = append(out, e)
	}
	return out
}

func appendBook(b *market.Batch, e *bookEvent) {
	b.AppendEnvelope(&market.Envelope{Feed: e.feed, Inst: market.Inst(e.inst), EventTS: e.ts, IngestTS: e.ts + 1000, Seq: e.seq, HasSeq: true, Flags: e.flags})
	b.Cols[market.BookOrigin].AppendInt(e.orig)
	b.Cols[market.BookFirstSeq].AppendNull(false)
	b.Cols[market.BookPrevSeq].AppendNull(false)
	b.Cols[market.BookChecksum].AppendNull(false)
	for s, levels := range e.sides {
		var p, q []int64
		ps, qs := int8(1), int8(0)
		for _, l := range levels {
			p, q, ps, qs = append(p, l.p.m), append(q, l.q.m), l.p.s, l.q.s
		}
		b.Cols[market.BookBidPrice+2*s].AppendDecs(p, ps)
		b.Cols[market.BookBidPrice+2*s+1].AppendDecs(q, qs)
	}
	if e.depth > 0 {
		b.Cols[market.BookDepth].AppendInt(e.depth)
	} else {
		b.Cols[market.BookDepth].AppendNull(false)
	}
}
