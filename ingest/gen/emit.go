package gen

import (
	"strconv"

	"github.com/pinova-group/tidemark/market"
)

// Next empties out and fills it with the next records in order of arrival: Config.Rows
// of them or fewer, ending behind a control row. It returns false at the end.
func (m *Market) Next(out *market.Chunk) bool {
	out.Reset()
	m.truth = m.truth[:0]
	m.notices = m.notices[:0]
	for range m.c.Rows {
		slot, ok := m.arrive()
		if !ok {
			break
		}
		r := &m.q.slots[slot]
		if r.intent == intentCorrupt {
			r.fault = faultAhead
		}
		t := m.judged(r)
		t.Row = int32(m.appendRow(out, r))
		m.truth = append(m.truth, t)
		kind := r.kind
		m.q.release(slot)
		if kind == market.KindStatus || kind == market.KindWatermark {
			break
		}
	}
	return len(m.truth) > 0
}

// Truth lists the verdicts on the records of the last Next, in order of arrival. It is
// valid until the next call.
func (m *Market) Truth() []Truth { return m.truth }

// Notices lists the holes that the last Next found. It is valid until the next call.
func (m *Market) Notices() []Notice { return m.notices }

// Stats counts what was handed out so far.
func (m *Market) Stats() Stats { return m.stats }

// arrive takes the next record off the queue, letting the market run as far as needed.
// The slot must be released.
func (m *Market) arrive() (slot int32, ok bool) {
	for {
		for len(m.q.heap) == 0 || !m.ended && m.q.heap[0].arrival > m.t {
			if m.ended {
				return 0, false
			}
			m.step()
		}
		slot = m.q.pop()
		r := &m.q.slots[slot]
		if r.intent != intentLate || m.certain(r) {
			return slot, true
		}
		if m.ended { // its line has ended before it could be late
			m.stats.Missing++
			m.q.release(slot)
			continue
		}
		m.q.delay(slot, lateEdge)
	}
}

// judged gives the truth about a record that arrives now, and counts it.
func (m *Market) judged(r *record) Truth {
	v := m.venueOf(r)
	t := Truth{Kind: r.kind, Feed: v.feed, Inst: v.inst, Shard: r.shard, EventTS: r.ts, Seq: r.seq}
	if r.inst >= 0 {
		t.Inst = m.insta[r.inst].handle
	}
	t.Verdict, t.Reason = m.verdict(r)
	if r.intent == intentCorrupt && r.fault == faultAhead {
		t.EventTS = r.ahead
	} else if m.stats.Records == 0 || r.ts > m.stats.LastEvent {
		m.stats.LastEvent = r.ts
	}
	if m.stats.Records == 0 {
		m.stats.FirstEvent = r.ts
	}
	m.stats.Records++
	m.stats.ByVerdict[t.Verdict]++
	return t
}

// size of the payload that a row is said to have come in.
const payloadBytes = 128

// appendRow appends a record to its batch and returns its row.
func (m *Market) appendRow(out *market.Chunk, r *record) int {
	b := out.Batch(r.kind)
	v := m.venueOf(r)
	e := market.Envelope{
		Feed: v.feed, Shard: r.shard, Inst: v.inst, EventTS: r.ts, IngestTS: r.arrival,
		Seq: r.seq, HasSeq: true, RawBytes: payloadBytes,
	}
	prefix := v.prefix[r.kind]
	if r.inst >= 0 {
		x := &m.insta[r.inst]
		e.Inst, prefix = x.handle, x.prefixes[r.kind]
		if m.untimed(x, r) {
			e.Flags = market.FlagAssumed
		}
	}
	if r.intent == intentCorrupt {
		e.EventTS = r.ahead
	}
	m.identify(&e, prefix, r)
	b.AppendEnvelope(&e)
	m.appendPayload(b, r)
	return b.N - 1
}

// identify names a record as package canon does: trades by id, all else by number.
func (m *Market) identify(e *market.Envelope, prefix []byte, r *record) {
	m.idText = m.idText[:0]
	if r.kind == market.KindBook && r.origin != market.OriginDelta {
		m.idText = append(m.idText, 's')
	}
	if r.kind != market.KindTrade {
		m.idText = append(m.idText, '#')
	}
	m.idText = strconv.AppendUint(m.idText, r.seq, 10)
	e.ID, m.idBuf = market.EventID(m.idBuf, prefix, m.idText)
}

func (m *Market) appendPayload(b *market.Batch, r *record) {
	c := b.Cols
	if r.inst < 0 {
		if r.kind == market.KindStatus {
			c[market.StatusState].AppendInt(int64(r.state))
			c[market.StatusReason].AppendText([]byte(map[uint8]string{
				market.StatusDown: "connection lost", market.StatusUp: "connected",
			}[r.state]))
			c[market.StatusFromSeq].AppendNull(false)
			c[market.StatusToSeq].AppendNull(false)
		}
		return
	}
	x := &m.insta[r.inst]
	ps, qs := r.scale, x.qtyScale
	switch r.kind {
	case market.KindTrade:
		c[market.TradeVenueID].AppendText(m.idText)
		c[market.TradeSide].AppendInt(int64(r.side))
		c[market.TradePrice].AppendDec(r.v[0], ps)
		c[market.TradeQuantity].AppendDec(r.v[1], qs)
		c[market.TradePrints].AppendInt(1)
	case market.KindQuote:
		c[market.QuoteBidPrice].AppendDec(r.v[0], ps)
		c[market.QuoteBidQuantity].AppendDec(r.v[1], qs)
		c[market.QuoteAskPrice].AppendDec(r.v[2], ps)
		c[market.QuoteAskQuantity].AppendDec(r.v[3], qs)
	case market.KindBook:
		c[market.BookOrigin].AppendInt(int64(r.origin))
		if r.origin == market.OriginDelta {
			c[market.BookFirstSeq].AppendInt(int64(r.first))
		} else {
			c[market.BookFirstSeq].AppendNull(false)
		}
		if r.origin == market.OriginDelta && (!m.c.Untimed || x.market != market.Spot) {
			c[market.BookPrevSeq].AppendInt(int64(r.prev))
		} else {
			c[market.BookPrevSeq].AppendNull(false)
		}
		c[market.BookChecksum].AppendNull(false)
		appendSide(c[market.BookBidPrice:], &r.bids, ps, qs)
		appendSide(c[market.BookAskPrice:], &r.asks, ps, qs)
		c[market.BookDepth].AppendNull(false)
	case market.KindFunding:
		c[market.FundingRate].AppendDec(r.v[0], 6)
		c[market.FundingForm].AppendInt(0)
		c[market.FundingNextTS].AppendInt(r.v[1])
		c[market.FundingInterval].AppendInt(8 * market.Hour)
	case market.KindInstrument:
		m.appendInstrument(c, x, r)
	}
}

// appendSide fills a price and the quantity column after it. An empty list has scale 0,
// as it reads back from a file.
func appendSide(c []market.Col, l *levels, ps, qs int8) {
	if len(l.price) == 0 {
		ps, qs = 0, 0
	}
	c[0].AppendDecs(l.price, ps)
	c[1].AppendDecs(l.qty, qs)
}

func (m *Market) appendInstrument(c []market.Col, x *instrument, r *record) {
	base, quote := market.SplitSymbol(x.symbol)
	if base == "" {
		base, quote = x.symbol, "USDT"
	}
	c[market.InstrBase].AppendText([]byte(base))
	c[market.InstrQuote].AppendText([]byte(quote))
	c[market.InstrTick].AppendDec(r.v[0], r.scale)
	c[market.InstrLot].AppendDec(1, x.qtyScale)
	c[market.InstrContractSize].AppendDec(1, 0)
	c[market.InstrInverse].AppendInt(0)
	c[market.InstrState].AppendInt(0)
	c[market.InstrListedTS].AppendInt(m.c.Start - m.c.Start%market.Day - 365*market.Day)
	c[market.InstrDelistedTS].AppendNull(false)
}
