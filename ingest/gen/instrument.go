package gen

import (
	"github.com/pinova-group/tidemark/market"
)

// instrument is a symbol on a venue's market: its book and its counters. The book is a
// run of Depth price steps on each side without holes, so it cannot cross.
type instrument struct {
	index  int32
	handle market.Inst
	venue  int
	market market.Venue
	asset  int
	symbol string
	shard  uint16

	tick       int64 // mantissa of the price step at priceScale
	priceScale int8
	qtyScale   int8
	typical    int64

	bid    int64 // best bid in ticks
	spread int64 // ticks
	bids   []int64
	asks   []int64
	basis  int64 // of the venue's price to the asset's, 10^-9
	side   uint8 // of the last taker

	update   uint64 // last update id of the book
	trade    uint64 // last trade id
	snapSeq  uint64 // update id of the last snapshot
	snapAt   int64
	version  uint64 // of the instrument row
	broken   bool   // a delta is missing since the last snapshot
	hold     int64  // time of the first delta behind the last hole
	calm     int64  // see Market.isCalm
	calms    int    // deltas beyond calm still to come
	fed      int    // deltas since the last snapshot
	renamed  bool   // reference data changed while nobody listened
	down     bool   // was in an outage at its last step
	seen     bool   // a trade has been seen
	trades   hole
	books    hole
	prefixes [market.NumKinds][]byte
}

// hole is a run of numbers that were used but never arrive in time.
type hole struct {
	open     bool
	late     bool // some of them do arrive, late
	from, to uint64
}

func (h *hole) extend(from, to uint64, late bool) {
	if !h.open {
		*h = hole{open: true, from: from}
	}
	h.to = to
	h.late = h.late || late
}

// target is where the best bid should be.
func (x *instrument) target(price int64) int64 {
	p := price + price/1_000_000*(x.basis/1000)
	step := x.tick
	for s := x.priceScale; s < 8; s++ {
		step *= 10
	}
	return max(p/step-x.spread/2, int64(len(x.bids))+1)
}

// reset lays the book out anew around its target.
func (x *instrument) reset(price int64, r *rng) {
	x.bid = x.target(price)
	for i := range x.bids {
		x.bids[i], x.asks[i] = x.size(r), x.size(r)
	}
}

// size draws the size of a level.
func (x *instrument) size(r *rng) int64 { return 1 + x.typical/4 + r.below(x.typical*3) }

func (x *instrument) bidPrice(i int) int64 { return (x.bid - int64(i)) * x.tick }
func (x *instrument) askPrice(i int) int64 { return (x.bid + x.spread + int64(i)) * x.tick }

// shift moves the book by k ticks, |k| ≤ Depth, and notes the levels that changed:
// those left behind are deleted, the new ones filled.
func (x *instrument) shift(k int64, r *rng, bids, asks *levels) {
	n := int64(len(x.bids))
	if k < 0 { // mirror: asks gain at the top
		for i := range -k {
			bids.add(x.bidPrice(int(i)), 0)
			asks.add(x.askPrice(int(n-1-i)), 0)
		}
		copy(x.bids, x.bids[-k:])
		copy(x.asks[-k:], x.asks)
	} else {
		for i := range k {
			asks.add(x.askPrice(int(i)), 0)
			bids.add(x.bidPrice(int(n-1-i)), 0)
		}
		copy(x.asks, x.asks[k:])
		copy(x.bids[k:], x.bids)
	}
	x.bid += k
	gain, lose := x.bids, x.asks // the side that gains at the top, and the one that gains below
	price, other := x.bidPrice, x.askPrice
	top, low := bids, asks
	if k < 0 {
		k = -k
		gain, lose, price, other, top, low = lose, gain, other, price, low, top
	}
	for i := range k {
		gain[i] = x.size(r)
		top.add(price(int(i)), gain[i])
		j := n - 1 - i
		lose[j] = x.size(r)
		low.add(other(int(j)), lose[j])
	}
}

// touch changes the sizes of up to three levels of one side and reports whether the
// best one is among them.
func (x *instrument) touch(r *rng, bids, asks *levels) (best bool) {
	d := r.next()
	side, price, out := x.bids, x.bidPrice, bids
	if d&1 == 1 {
		side, price, out = x.asks, x.askPrice, asks
	}
	n := int(d>>1&1) + int(d>>2&1) + 1
	i := int(d>>8) & 0xffff * len(side) >> 16
	i = i * (i + 1) / len(side) // nearer to the top more often
	for j := i; j < min(i+n, len(side)); j++ {
		side[j] = x.size(r)
		out.add(price(j), side[j])
	}
	return i == 0
}

// take removes up to a level's size from the best ask (buy) or bid, and notes it.
func (x *instrument) take(r *rng, buy bool, bids, asks *levels) (price, qty int64) {
	side, at, out := x.bids, x.bidPrice, bids
	if buy {
		side, at, out = x.asks, x.askPrice, asks
	}
	qty = 1 + r.below(x.typical)*r.below(1024)>>10
	qty = min(qty, side[0])
	if side[0] -= qty; side[0] == 0 {
		side[0] = x.size(r) // somebody else was waiting there
	}
	out.add(at(0), side[0])
	return at(0), qty
}
