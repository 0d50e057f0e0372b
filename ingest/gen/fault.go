package gen

import (
	"github.com/pinova-group/tidemark/market"
)

// Bounds of the delays that faults add.
const (
	repeatWithin = market.Second            // a duplicate comes at most so long after
	lateBy       = market.Second            // a late event is at least disorder and this late
	lateSpread   = 2 * market.Second        // and up to this much more
	lateEdge     = 500 * market.Millisecond // distance of a late event from the edge of its verdict
	aheadBy      = market.Hour              // how far ahead a corrupt time is
)

// finish sends a filled record of an instrument on its way.
func (m *Market) finish(x *instrument, slot int32) { m.finishAt(x, slot, m.t) }

// finishAt stamps a record that happens at t and draws what goes wrong with it.
func (m *Market) finishAt(x *instrument, slot int32, t int64) {
	r := &m.q.slots[slot]
	if !m.kinds[r.kind] || m.c.Events > 0 && m.made >= m.c.Events {
		m.q.release(slot)
		return
	}
	m.made++
	r.inst, r.shard, r.scale = x.index, x.shard, x.priceScale
	r.ts = m.stampAt(x, t)
	r.arrival = t + m.c.Delay
	if m.c.Disorder > 0 {
		r.arrival += m.wait.below(m.c.Disorder + 1)
	}
	delta := r.kind == market.KindBook && r.origin == market.OriginDelta
	untimed := m.untimed(x, r)
	if untimed {
		r.ts = r.arrival
	}
	if (delta && !m.isCalm(x) || r.kind == market.KindTrade) && m.fault.hit(m.c.Gaps) {
		m.lose(x, slot)
		return
	}
	if (r.kind == market.KindTrade || r.kind == market.KindQuote && !untimed) && m.fault.hit(m.c.Late) {
		r.arrival += m.venues[x.venue].f.Disorder + lateBy + m.fault.below(lateSpread)
		if r.intent = intentLate; m.isDown(x.venue, r.arrival) {
			m.lose(x, slot)
			return
		}
	}
	m.follow(x, r)
	m.q.push(slot)
	if m.q.slots[slot].intent == intentApply && m.fault.hit(m.c.Duplicates) {
		m.copy(x, slot, intentDuplicate, 1+m.fault.below(repeatWithin))
	}
	if m.fault.hit(m.c.Corrupt) {
		m.copy(x, slot, intentCorrupt, m.fault.below(10*market.Millisecond))
	}
}

// isCalm reports whether a delta must not go missing, because a snapshot over REST is
// still to find its place: what follows a new hole would keep it from there. Its place
// is found when a delta has come that is a disorder younger; the one after it may have
// overtaken it.
func (m *Market) isCalm(x *instrument) bool {
	if x.calms == 0 {
		return false
	}
	if m.t > x.calm {
		x.calms--
		x.calm = m.t + m.c.Disorder + margin
	}
	return true
}

// untimed reports whether the venue sends no event time with the record.
func (m *Market) untimed(x *instrument, r *record) bool {
	return m.c.Untimed && x.market == market.Spot &&
		(r.kind == market.KindQuote || r.kind == market.KindBook && r.origin != market.OriginDelta)
}

// lose drops a record whose number is missed.
func (m *Market) lose(x *instrument, slot int32) {
	r := &m.q.slots[slot]
	switch r.kind {
	case market.KindTrade:
		x.trades.extend(r.seq, r.seq, false)
	case market.KindBook:
		x.books.extend(r.first, r.seq, false)
		x.broken = true
	}
	m.stats.Missing++
	m.q.release(slot)
}

// follow closes or widens the hole that lies before a record.
func (m *Market) follow(x *instrument, r *record) {
	h, f := &x.trades, m.venues[x.venue].f
	announced := f.SeqStep
	switch {
	case r.kind == market.KindTrade && r.intent == intentLate:
		h.extend(r.seq, r.seq, true)
		return
	case r.kind == market.KindTrade:
	case r.kind == market.KindBook && r.origin == market.OriginDelta:
		h, announced = &x.books, f.Chained
		if h.open {
			x.hold = max(x.hold, r.ts)
		}
	default:
		return
	}
	// Numbers before the first one seen are no hole.
	if h.open && announced && (h == &x.books || x.seen) {
		m.notices = append(m.notices, Notice{
			Kind: r.kind, Feed: m.venues[x.venue].feed, Inst: x.handle, From: h.from, To: h.to, Late: h.late,
		})
		m.stats.Gaps++
	}
	h.open = false
	x.seen = x.seen || r.kind == market.KindTrade
}

// copy sends a second record after one.
func (m *Market) copy(x *instrument, of int32, why intent, after int64) {
	arrival := m.q.slots[of].arrival + after
	if m.isDown(x.venue, arrival) {
		return
	}
	r, slot := m.q.slot()
	o := &m.q.slots[of]
	bids, asks := r.bids, r.asks
	*r = *o
	r.bids, r.asks = bids, asks
	r.bids.set(&o.bids)
	r.asks.set(&o.asks)
	if r.arrival, r.intent = arrival, why; m.untimed(x, r) {
		r.ts = arrival
	}
	if why == intentCorrupt {
		r.fault = uint8(m.fault.below(numFaults))
		r.fault = m.possible(x, r)
		r.seq = 1<<62 | m.q.ord // known to nobody
		r.ahead = r.ts + aheadBy
	}
	m.q.push(slot)
}

// The corruptions. Batches can hold only the last one, so there it stands for all.
const (
	faultGarbage  = iota // bytes that are no record
	faultCut             // the record ends in the middle
	faultNegative        // a price below zero
	faultUnit            // times in seconds
	faultZero            // a trade of nothing; of other kinds, cut
	faultAhead           // an event time one hour ahead

	numFaults = 6
)
