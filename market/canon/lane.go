package canon

import (
	"bytes"
	"maps"
	"slices"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/adapters"
)

// Limits of what one decoder registers (I11): names come from the input.
const (
	maxLanes    = 1 << 17
	maxNewFeeds = 1024
)

// lane is a feed and an instrument: what all its events share.
type lane struct {
	key      []byte
	feed     market.FeedID
	inst     market.Inst
	dedup    market.Dedup
	names    [3]string // feed, exchange, symbol
	venue    market.Venue
	prefixes [market.NumKinds][]byte
}

// prefix is the part of the hashed identity that all events of lane and kind share.
func (l *lane) prefix(kinds *market.Kinds, k market.Kind) []byte {
	if l.prefixes[k] == nil {
		l.prefixes[k] = market.IDPrefix(l.names[0], l.names[1], l.venue, l.names[2], kinds.Name(k))
	}
	return l.prefixes[k]
}

// asset is what the symbol tells about base or quote, nil when it does not.
func (l *lane) asset(name string) []byte {
	base, quote := market.SplitSymbol(l.names[2])
	if name == "quote_asset" {
		base = quote
	}
	if base == "" {
		return nil
	}
	return []byte(base)
}

// lane finds feed and instrument of the row, first among those met before.
func (d *decoder) lane(k market.Kind) (*lane, *adapters.BadRecord) {
	key := d.laneKey[:0]
	for c := colFeed; c <= colSymbol; c++ {
		key = append(append(key, d.cells[c].b...), 0)
	}
	d.laneKey = key
	if l := d.lastLane; l != nil && bytes.Equal(l.key, key) {
		return l, nil
	}
	l := d.lanes[string(key)]
	if l == nil {
		var bad *adapters.BadRecord
		if l, bad = d.newLane(); bad != nil {
			return nil, bad
		}
		l.key = bytes.Clone(key)
		d.lanes[string(key)] = l
	}
	d.lastLane = l
	return l, nil
}

func (d *decoder) newLane() (*lane, *adapters.BadRecord) {
	l := &lane{}
	for c := colFeed; c <= colSymbol; c++ {
		if cl := &d.cells[c]; !cl.null() && !cl.text() {
			return nil, adapters.Bad(d.columns.names[c]+" is not a text", cl.b)
		}
	}
	feed, exchange, symbol := d.cells[colFeed].b, d.cells[colExchange].b, d.cells[colSymbol].b
	var ok bool
	if l.venue, ok = market.ParseVenue(string(d.cells[colMarket].b)); !ok {
		return nil, adapters.Bad("market is not spot, perp, future, option or index", d.cells[colMarket].b)
	}
	if !market.ValidSymbol(string(symbol)) {
		return nil, adapters.Bad(badSymbol, symbol)
	}
	name := string(feed)
	if d.env.Feed != "" {
		name = d.env.Feed
	}
	if !market.ValidSymbol(name) {
		return nil, adapters.Bad(badName, feed)
	}
	if len(d.lanes) >= maxLanes {
		return nil, adapters.Bad("more than 131072 instruments", symbol)
	}
	id, ok := d.internFeed(name)
	if !ok {
		return nil, adapters.Bad("more than 1024 feeds that no registry knows", feed)
	}
	f := d.env.Feeds.Get(id)
	ex := string(exchange)
	if ex == "" {
		ex = f.Exchange
	}
	if !market.ValidSymbol(ex) {
		return nil, adapters.Bad(badName, exchange)
	}
	l.names = [3]string{name, ex, string(symbol)}
	l.feed, l.dedup = id, f.Dedup
	l.inst = d.env.Insts.Intern(ex, l.venue, l.names[2])
	return l, nil
}

// internFeed gives the number of a feed. The registry has room for 2048 unknown names.
func (d *decoder) internFeed(name string) (market.FeedID, bool) {
	if d.feeds == nil {
		d.feeds = map[string]market.FeedID{}
	}
	id, ok := d.feeds[name]
	if ok {
		return id, true
	}
	if len(d.feeds) >= maxNewFeeds || len(d.env.Feeds.Unknown()) >= maxNewFeeds {
		return 0, false
	}
	id = d.env.Feeds.Intern(name)
	d.feeds[name] = id
	return id, true
}

// ordinals counts identical rows. It keeps the last generation and the one before it,
// so its memory is bounded; copies of a row that lie further apart than a generation
// count from zero again and become one event to whoever removes duplicates.
type ordinals struct {
	now, before map[market.ID]uint32
}

const generation = 1 << 16 // rows

func (o *ordinals) next(id market.ID) uint32 {
	n, ok := o.now[id]
	if !ok {
		n = o.before[id]
	}
	if o.now == nil || len(o.now) >= generation {
		o.before, o.now = o.now, make(map[market.ID]uint32, 64)
	}
	o.now[id] = n + 1
	return n
}

// State implements adapters.Decoder. The header stands for what was read from it.
func (d *decoder) State(s *adapters.State) {
	line := d.headLine
	s.Bool(&d.headBad)
	if s.Bytes(&line); s.Reading() && len(line) > 0 {
		s.Check(d.readHeader(line) == nil)
	}
	d.feedState(s)
	d.laneState(s)
	s.Ordinals(&d.rows.now, &d.rows.before)
}

func (d *decoder) feedState(s *adapters.State) {
	names := slices.Sorted(maps.Keys(d.feeds))
	for i := range s.Count(len(names), 1) {
		var name string
		if !s.Reading() {
			name = names[i]
		}
		if s.Text(&name); !s.Reading() {
			continue
		}
		_, known := d.env.Feeds.Lookup(name)
		s.Check(market.ValidSymbol(name) && i < maxNewFeeds && (known || len(d.env.Feeds.Unknown()) < 2*maxNewFeeds-1)) // less than the registry has room for
		if s.Bad() {
			return
		}
		if d.feeds == nil {
			d.feeds = map[string]market.FeedID{}
		}
		d.feeds[name] = d.env.Feeds.Intern(name)
	}
}

// laneState writes the cells by which lanes were met.
func (d *decoder) laneState(s *adapters.State) {
	keys := slices.Sorted(maps.Keys(d.lanes))
	for i := range s.Count(len(keys), 4) {
		var key []byte
		if !s.Reading() {
			key = []byte(keys[i])
		}
		if s.Bytes(&key); !s.Reading() {
			continue
		}
		rest := key
		for c := colSymbol; c >= colFeed; c-- { // from behind: a feed that Env.Feed replaces may be any text
			var ok bool
			if rest, ok = bytes.CutSuffix(rest, []byte{0}); !ok {
				s.Fail()
				return
			}
			at := bytes.LastIndexByte(rest, 0) + 1
			if c == colFeed {
				at = 0
			}
			d.cells[c] = cell{rest[at:], formString}
			rest = rest[:at]
		}
		l, bad := d.newLane()
		if bad != nil || d.lanes[string(key)] != nil {
			s.Fail()
			return
		}
		l.key = key
		d.lanes[string(key)] = l
	}
	if s.Reading() {
		clear(d.cells)
	}
}
