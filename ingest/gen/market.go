package gen

import (
	"github.com/pinova-group/tidemark/market"
)

// Market is a running simulation. One caller at a time.
type Market struct {
	c     Config
	feeds *market.Feeds
	insts *market.Instruments

	venues []venue
	assets []asset
	insta  []instrument // by symbol, then venue, then market
	zipf   zipf
	expo   []int64

	walk, wait, fault rng // the market; delays; faults

	t         int64 // time of the next step, right clock, µs
	frac      int64 // its fraction, 2^-20
	meanGap   int64 // between steps, 2^-20 µs
	end       int64 // no step at or after it
	made      int64 // market events so far
	ended     bool
	nextFund  int64
	nextBeat  int64
	changes   []TickChange // still to come, by time
	startRows int          // instruments whose first rows are still to come

	q          queue
	kinds      [market.NumKinds]bool // those written
	books      bool
	tradesOnly bool

	truth   []Truth
	notices []Notice
	stats   Stats
	idBuf   []byte
	idText  []byte
}

// venue is an exchange and the connection to it.
type venue struct {
	name  string
	feed  market.FeedID
	f     *market.Feed
	skews []Skew
	off   int64 // now
	low   int64 // least offset of all its skews: nothing is stamped further back
	outs  []outage
	notes uint64      // control rows so far
	inst  market.Inst // stands for the whole venue in control rows

	latest [market.NumKinds][]int64 // by line: greatest event time
	mark   []int64                  // by line: greatest watermark record
	prefix [market.NumKinds][]byte
}

// outage is from, to in the simulation's time, and what has been said about it.
type outage struct {
	from, to int64
	said     int // status rows: 1 after down, 2 after up
}

// maxFed is how many deltas may overtake a snapshot over REST.
const maxFed = 500

// Shares of steps: a trade, otherwise a change of the book.
const tradeShare = 400_000

// New makes a market. Venue x is booked to feed sim-x of feeds, and its instruments are
// registered in insts.
func New(c Config, feeds *market.Feeds, insts *market.Instruments) (*Market, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	m := &Market{
		c: c, feeds: feeds, insts: insts, expo: expoTable(), zipf: newZipf(len(c.Symbols), c.Zipf),
		walk: newRNG(c.Seed, 1), wait: newRNG(c.Seed, 2), fault: newRNG(c.Seed, 3),
		t: c.Start, end: market.MaxEventTime - market.Day,
	}
	if c.Duration > 0 {
		m.end = c.Start + c.Duration
	}
	for _, k := range c.Kinds {
		m.kinds[k] = true
	}
	m.books = m.kinds[market.KindBook]
	m.tradesOnly = m.kinds[market.KindTrade] && !m.kinds[market.KindQuote] && !m.books
	if err := m.addVenues(); err != nil {
		return nil, err
	}
	m.addInstruments()
	for i := range m.venues {
		m.clock(&m.venues[i])
	}
	m.meanGap = (1 << 20) * market.Second * m.perStep() / 1000 / c.Rate
	m.nextFund = (c.Start + 8*market.Hour - 1) / (8 * market.Hour) * (8 * market.Hour)
	m.nextBeat = c.Start + c.Heartbeat
	m.changes = sortedChanges(c.TickChanges)
	return m, nil
}

func sortedChanges(in []TickChange) []TickChange {
	var out []TickChange
	for _, x := range in {
		i := len(out)
		for i > 0 && out[i-1].At > x.At {
			i--
		}
		out = append(out[:i], append([]TickChange{x}, out[i:]...)...)
	}
	return out
}

// perStep is about how many market events a step makes, in thousandths.
func (m *Market) perStep() int64 {
	n := int64(0)
	if m.tradesOnly {
		return 1000
	}
	if m.kinds[market.KindTrade] {
		n += tradeShare / 1000
	}
	if m.kinds[market.KindQuote] {
		n += 600
	}
	if m.books {
		n += 1000
	}
	return n
}

func (m *Market) addVenues() error {
	for _, name := range m.c.Venues {
		v := venue{name: name, feed: m.feeds.Intern("sim-" + name), skews: m.c.skews(name)}
		v.f = m.feeds.Get(v.feed)
		if err := m.c.checkFeed(name, v.f); err != nil {
			return err
		}
		v.low, _ = m.c.offsets(name)
		for _, o := range m.c.Outages {
			if o.Venue == name {
				v.outs = append(v.outs, outage{from: m.c.Start + o.At, to: m.c.Start + o.At + o.For})
			}
		}
		for k := market.KindTrade; k <= market.KindWatermark; k++ {
			v.latest[k] = make([]int64, m.c.Lines)
			for l := range v.latest[k] {
				v.latest[k][l] = market.NoTime
			}
			v.prefix[k] = market.IDPrefix("sim-"+name, name, m.c.Markets[0], VenueSymbol, k.String())
		}
		v.mark = make([]int64, m.c.Lines)
		v.inst = m.insts.Intern(name, m.c.Markets[0], VenueSymbol)
		m.venues = append(m.venues, v)
	}
	return nil
}

// VenueSymbol stands in control rows that concern a venue's whole line.
const VenueSymbol = "-"

func (m *Market) addInstruments() {
	for i, symbol := range m.c.Symbols {
		m.assets = append(m.assets, newAsset(symbol, &m.walk))
		a := &m.assets[i]
		for v := range m.venues {
			for _, mk := range m.c.Markets {
				x := instrument{
					index:  int32(len(m.insta)),
					handle: m.insts.Intern(m.venues[v].name, mk, symbol),
					venue:  v, market: mk, asset: i, symbol: symbol,
					shard: uint16(len(m.insta) % m.c.Lines),
					tick:  a.tick, priceScale: a.priceScale, qtyScale: a.qtyScale, typical: a.typical,
					spread: 1 + m.walk.below(3), basis: (m.walk.below(401) - 200) * 1000,
					bids: make([]int64, m.c.Depth), asks: make([]int64, m.c.Depth),
					trade:  uint64(1000 + m.walk.below(1_000_000)),
					update: uint64(1_000_000 + m.walk.below(1_000_000_000)),
				}
				x.reset(a.price, &m.walk)
				for k := market.KindTrade; k <= market.KindWatermark; k++ {
					x.prefixes[k] = market.IDPrefix("sim-"+m.venues[v].name, m.venues[v].name, mk, symbol, k.String())
				}
				m.insta = append(m.insta, x)
			}
		}
	}
}

// step advances the market by one event of an instrument, or by what is due before it.
func (m *Market) step() {
	if m.startRows < len(m.insta) {
		m.open(&m.insta[m.startRows])
		m.startRows++
		return
	}
	m.frac += m.meanGap >> 20 * m.expo[m.walk.below(expoSize)]
	m.frac += m.meanGap & (1<<20 - 1) * m.expo[m.walk.below(expoSize)] >> 20
	m.t += m.frac >> 20
	m.frac &= 1<<20 - 1
	if m.t >= m.end || m.c.Events > 0 && m.made >= m.c.Events {
		m.ended = true
		return
	}
	m.due()
	x := m.pick()
	m.assets[x.asset].move(&m.walk)
	x.basis += m.walk.below(2001) - 1000 - x.basis/512
	m.act(x)
}

// pick draws an instrument: the symbol by Zipf, the venue with falling weight, the
// market evenly.
func (m *Market) pick() *instrument {
	s := m.zipf.draw(&m.walk)
	nv, nm := len(m.venues), len(m.c.Markets)
	r := m.walk.below(int64(nm * nv * (nv + 1) / 2))
	mk := int(r) % nm
	r /= int64(nm)
	v := 0
	for w := int64(nv); r >= w; w-- {
		r -= w
		v++
	}
	return &m.insta[(s*nv+v)*nm+mk]
}

// due pushes what happens by the clock before the step: funding, heartbeats, changes of
// tick size, ends and starts of outages.
func (m *Market) due() {
	for v := range m.venues {
		m.clock(&m.venues[v])
		m.outage(v)
	}
	for m.nextFund <= m.t {
		for i := range m.insta {
			if x := &m.insta[i]; x.market == market.Perp && !m.isDown(x.venue, m.nextFund) {
				m.funding(x, m.nextFund)
			}
		}
		m.nextFund += 8 * market.Hour
	}
	for len(m.changes) > 0 && m.c.Start+m.changes[0].At <= m.t {
		for i := range m.insta {
			if x := &m.insta[i]; x.symbol == m.changes[0].Symbol {
				m.coarsen(x)
			}
		}
		m.changes = m.changes[1:]
	}
	for m.c.Heartbeat > 0 && m.nextBeat <= m.t {
		m.beat(m.nextBeat)
		m.nextBeat += m.c.Heartbeat
	}
}

// clock sets the venue's offset for the step.
func (m *Market) clock(v *venue) {
	for len(v.skews) > 0 && m.c.Start+v.skews[0].At <= m.t {
		v.off = v.skews[0].Offset
		v.skews = v.skews[1:]
	}
}

// isDown reports whether the venue is in an outage at t.
func (m *Market) isDown(venue int, t int64) bool {
	for _, o := range m.venues[venue].outs {
		if t >= o.from && t < o.to {
			return true
		}
	}
	return false
}

// act lets something happen on an instrument.
func (m *Market) act(x *instrument) {
	price := m.assets[x.asset].price
	if m.isDown(x.venue, m.t) {
		m.unseen(x)
		return
	}
	if x.down {
		m.comeBack(x, price)
		return
	}
	if m.stamp(x) <= x.snapAt {
		return // a delta at the time of a snapshot could not be told to follow it
	}
	if x.fed >= maxFed && m.t <= x.calm {
		return // a reader keeps only so many deltas while a snapshot over REST is under way
	}
	due := m.c.SnapshotEvery > 0 && !m.c.Untimed && m.stamp(x) >= x.snapAt+m.c.SnapshotEvery
	if m.books && (x.broken || due) && x.snapSeq != x.update && m.settled(x) && !x.books.open {
		m.snapshot(x)
		return
	}
	m.change(x, price)
}

// change makes a trade or a change of the book, with the quote where the best levels
// of the book have changed.
func (m *Market) change(x *instrument, price int64) {
	r, slot := m.q.slot() // the book message is drawn whether it is written or not
	best := true
	traded := m.tradesOnly || m.walk.below(1_000_000) < tradeShare
	var at, qty int64
	switch gap := x.target(price) - x.bid; {
	case traded:
		if m.walk.below(3) == 0 || x.side == 0 {
			x.side = uint8(market.SideBuy + m.walk.below(2))
		}
		at, qty = x.take(&m.walk, x.side == market.SideBuy, &r.bids, &r.asks)
	case gap != 0:
		lim := int64(min(8, len(x.bids)))
		x.shift(min(max(gap, -lim), lim), &m.walk, &r.bids, &r.asks)
	default:
		best = x.touch(&m.walk, &r.bids, &r.asks)
	}
	r.kind = market.KindBook
	m.number(x, r)
	if traded {
		x.trade++
		m.tradeRow(x, at, qty)
	}
	m.finish(x, slot)
	if best {
		m.quote(x)
	}
}
