package gen

import (
	"github.com/pinova-group/tidemark/market"
)

// stamp is the present time by the venue's clock at its resolution.
func (m *Market) stamp(x *instrument) int64 { return m.stampAt(x, m.t) }

func (m *Market) stampAt(x *instrument, t int64) int64 {
	t += m.venues[x.venue].off
	return t - t%m.c.Resolution
}

// row starts a record.
func (m *Market) row(k market.Kind) (*record, int32) {
	r, slot := m.q.slot()
	r.kind = k
	return r, slot
}

// number gives a delta the next update ids of its book.
func (m *Market) number(x *instrument, r *record) {
	r.origin, r.prev, r.first = market.OriginDelta, x.update, x.update+1
	x.update += 1 + uint64(m.walk.below(3))
	r.seq = x.update
	x.fed++
}

func (m *Market) tradeRow(x *instrument, price, qty int64) {
	r, slot := m.row(market.KindTrade)
	r.seq, r.side = x.trade, x.side
	r.v[0], r.v[1] = price, qty
	m.finish(x, slot)
}

func (m *Market) quote(x *instrument) {
	r, slot := m.row(market.KindQuote)
	r.seq = x.update
	r.v = [4]int64{x.bidPrice(0), x.bids[0], x.askPrice(0), x.asks[0]}
	m.finish(x, slot)
}

// open pushes the first rows of an instrument: its reference data and its book.
func (m *Market) open(x *instrument) {
	m.describe(x)
	m.snapshot(x)
	m.quote(x)
}

// describe pushes the instrument row that holds from now on.
func (m *Market) describe(x *instrument) {
	r, slot := m.row(market.KindInstrument)
	x.version++
	r.seq, r.v[0] = x.version, x.tick
	m.finish(x, slot)
}

// snapshot pushes the whole book. It has the number of the delta that it follows.
func (m *Market) snapshot(x *instrument) {
	x.snapSeq, x.snapAt, x.broken, x.fed = x.update, m.stamp(x), false, 0
	if m.c.Untimed {
		x.calm, x.calms = m.t+m.c.Delay+m.c.Disorder+m.venues[x.venue].f.Disorder+margin, 2
	}
	r, slot := m.row(market.KindBook)
	r.origin, r.seq = market.OriginVenue, x.update
	if m.c.Untimed {
		r.origin = market.OriginREST
	}
	for i := range x.bids {
		r.bids.add(x.bidPrice(i), x.bids[i])
		r.asks.add(x.askPrice(i), x.asks[i])
	}
	x.books = hole{} // what a snapshot bridges is no gap for whoever keeps the book
	m.finish(x, slot)
}

func (m *Market) funding(x *instrument, at int64) {
	r, slot := m.row(market.KindFunding)
	r.seq = uint64(at / (8 * market.Hour))
	r.v[0] = 100 + x.basis/1000 // 10^-6: 0.01 % and what the basis adds
	r.v[1] = at + 8*market.Hour
	m.finishAt(x, slot, at)
}

// settled reports whether everything behind the last hole of a book is old enough to
// have been given up on: a snapshot that came sooner would replace deltas that are
// still waiting for their predecessor.
func (m *Market) settled(x *instrument) bool {
	return m.stamp(x) > x.hold+m.venues[x.venue].f.Disorder+margin
}

// coarsen makes the price step of an instrument ten times coarser, says so, and moves
// the book to the new grid in one delta.
func (m *Market) coarsen(x *instrument) {
	r, slot := m.row(market.KindBook)
	n := len(x.bids)
	var old levels // bids and asks
	for i := range n {
		old.add(x.bidPrice(i), x.askPrice(i))
	}
	x.tick *= 10
	x.reset(m.assets[x.asset].price, &m.walk)
	if x.renamed = x.down || m.isDown(x.venue, m.t); x.renamed {
		m.q.release(slot)
		return
	}
	for i := range n {
		if p := old.price[i]; p%x.tick != 0 || p > x.bidPrice(0) || p < x.bidPrice(n-1) {
			r.bids.add(p, 0)
		}
		if p := old.qty[i]; p%x.tick != 0 || p < x.askPrice(0) || p > x.askPrice(n-1) {
			r.asks.add(p, 0)
		}
		r.bids.add(x.bidPrice(i), x.bids[i])
		r.asks.add(x.askPrice(i), x.asks[i])
	}
	m.number(x, r)
	m.describe(x)
	m.finish(x, slot)
	m.quote(x)
}

// unseen lets the market go on while nobody listens.
func (m *Market) unseen(x *instrument) {
	x.down = true
	first := x.trade + 1
	x.trade += uint64(m.walk.below(3))
	lost := x.update + 1
	if x.update += uint64(m.walk.below(5)); x.update >= lost {
		x.books.extend(lost, x.update, false)
	}
	if x.trade >= first {
		x.trades.extend(first, x.trade, false)
	}
}

// comeBack is the first thing seen of an instrument after an outage: its reference data
// where they have changed, and its book. A snapshot over REST would be ignored as long
// as the reader believes in its old book, so there the hole must show first.
func (m *Market) comeBack(x *instrument, price int64) {
	if !m.settled(x) {
		return
	}
	x.down = false
	if x.renamed {
		x.renamed = false
		m.describe(x)
	}
	x.reset(price, &m.walk)
	x.books.extend(x.update+1, x.update+1, false)
	x.update++
	if x.broken = m.c.Untimed; !x.broken {
		m.snapshot(x)
	}
	m.quote(x)
}

// outage pushes the status rows of a venue's outages that have begun or ended by now.
func (m *Market) outage(venue int) {
	for i := range m.venues[venue].outs {
		o := &m.venues[venue].outs[i]
		if o.said == 0 && o.from <= m.t {
			o.said++
			// Behind everything that was under way when the connection broke.
			m.control(venue, market.KindStatus, o.from, o.from+m.c.Delay+m.c.Disorder+1, market.StatusDown)
		}
		if o.said == 1 && o.to <= m.t {
			o.said++
			m.control(venue, market.KindStatus, o.to, max(o.to, o.from+m.c.Delay+m.c.Disorder+2), market.StatusUp)
		}
	}
}

// beat pushes the watermark rows of all lines that are up: whatever comes after them
// was stamped at their time or later.
func (m *Market) beat(at int64) {
	for i := range m.venues {
		if m.isDown(i, at) || m.isDown(i, at-m.c.Delay-m.c.Disorder) {
			continue
		}
		safe := at - m.c.Delay - m.c.Disorder + m.venues[i].low
		if m.c.Untimed {
			safe = min(safe, at)
		}
		m.control(i, market.KindWatermark, safe-safe%m.c.Resolution, at, 0)
	}
}

// control pushes a row about a venue's lines, one for each line.
func (m *Market) control(venue int, k market.Kind, ts, arrival int64, state uint8) {
	if !m.kinds[k] {
		return
	}
	for l := range m.c.Lines {
		r, slot := m.q.slot()
		m.venues[venue].notes++
		r.kind, r.ts, r.arrival, r.state, r.shard = k, ts, arrival, state, uint16(l)
		r.seq, r.inst = m.venues[venue].notes, int32(-1-venue)
		m.q.push(slot)
	}
}
