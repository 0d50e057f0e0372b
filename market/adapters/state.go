package adapters

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/num"
)

// ErrState says that a snapshot of a decoder is damaged, of another version or of another adapter.
var ErrState = errors.New("snapshot of a decoder is damaged")

// stateVersion is the first byte of a snapshot.
const stateVersion = 1

// AppendSnapshot appends the state of a decoder. Decoders that were given the same records
// have the same bytes.
func AppendSnapshot(dst []byte, d Decoder) []byte {
	s := &State{b: append(dst, stateVersion)}
	d.State(s)
	return s.b
}

// Restore gives a decoder that has just been made, with the adapter and Env of then, the
// state of a snapshot: what it makes of the records that follow is what the other one would
// have made. After an error, which is ErrState, the decoder is of no use.
func Restore(d Decoder, src []byte) error {
	if len(src) == 0 || src[0] != stateVersion {
		return ErrState
	}
	s := &State{b: src[1:], reading: true}
	d.State(s)
	if s.bad || len(s.b) > 0 {
		return ErrState
	}
	return nil
}

// State goes through the fields of a decoder and writes them to a snapshot or sets them from
// one. As the same calls do both, a snapshot has one description. Nothing of a snapshot is
// believed: no count beyond the bytes that are left, and after the first error all reads
// give zero.
type State struct {
	b       []byte // written so far, or still to be read
	reading bool
	bad     bool
	lanes   []*lane // of the decoder, by name
}

// Reading reports whether fields are set from a snapshot.
func (s *State) Reading() bool { return s.reading }

// Bad reports whether the snapshot has been found damaged.
func (s *State) Bad() bool { return s.bad }

// Fail says that what was read cannot be.
func (s *State) Fail() { s.b, s.bad = nil, s.reading }

// Check fails when what was read breaks a rule.
func (s *State) Check(ok bool) {
	if s.reading && !ok {
		s.Fail()
	}
}

// Uint goes through a number.
func (s *State) Uint(v *uint64) {
	if !s.reading {
		s.b = binary.AppendUvarint(s.b, *v)
		return
	}
	x, n := binary.Uvarint(s.b)
	if n <= 0 {
		s.Fail()
		*v = 0
		return
	}
	*v, s.b = x, s.b[n:]
}

// Int goes through a number with a sign.
func (s *State) Int(v *int64) {
	u := uint64(*v)<<1 ^ uint64(*v>>63)
	s.Uint(&u)
	*v = int64(u>>1) ^ -int64(u&1)
}

// Bool goes through a truth value.
func (s *State) Bool(v *bool) {
	x := uint64(boolInt(*v))
	s.Uint(&x)
	s.Check(x <= 1)
	*v = x == 1
}

// small goes through a number of at most 32 bits.
func small[T ~uint8 | ~uint16 | ~uint32](s *State, v *T) {
	x := uint64(*v)
	s.Uint(&x)
	*v = T(x)
	s.Check(uint64(*v) == x)
}

// Bytes goes through a text; what is read is a copy.
func (s *State) Bytes(v *[]byte) {
	n := s.Count(len(*v), 1)
	if !s.reading {
		s.b = append(s.b, *v...)
		return
	}
	*v = bytes.Clone(s.b[:n])
	s.b = s.b[n:]
}

// Text goes through a text.
func (s *State) Text(v *string) {
	b := []byte(*v)
	s.Bytes(&b)
	*v = string(b)
}

// Count goes through a number of things that take at least size bytes each, and returns it;
// size 0 is for what is no number of things to come.
func (s *State) Count(n, size int) int {
	x := uint64(n)
	s.Uint(&x)
	if s.reading && (size > 0 && x > uint64(len(s.b)/size) || x > math.MaxInt32) {
		s.Fail()
		return 0
	}
	return int(x)
}

// entries goes through a map in the order of its keys; one calls State for a key and its value.
func entries[K comparable, V any](s *State, m *map[K]V, compare func(a, b K) int, one func(k *K, v *V)) {
	n := s.Count(len(*m), 1)
	if !s.reading {
		for _, k := range slices.SortedFunc(maps.Keys(*m), compare) {
			v := (*m)[k]
			one(&k, &v)
		}
		return
	}
	if n == 0 {
		clear(*m)
		return
	}
	*m = map[K]V{}
	for range n {
		var k K
		var v V
		if one(&k, &v); s.bad {
			return
		}
		(*m)[k] = v
	}
	s.Check(len(*m) == n)
}

// Ordinals goes through the two generations in which equal payloads are counted.
func (s *State) Ordinals(now, old *map[market.ID]uint32) {
	for _, m := range []*map[market.ID]uint32{now, old} {
		entries(s, m, func(a, b market.ID) int { return bytes.Compare(a[:], b[:]) }, func(id *market.ID, n *uint32) {
			switch {
			case !s.reading:
				s.b = append(s.b, id[:]...)
			case len(s.b) < len(id):
				s.Fail()
			default:
				s.b = s.b[copy(id[:], s.b):]
			}
			small(s, n)
		})
	}
}

func (o *ordinals) state(s *State) { s.Ordinals(&o.now, &o.old) }

// state goes through the lanes that a decoder has met: their number is limited, and other
// fields name them by their place, see State.lane.
func (l *lanes) state(s *State) {
	s.lanes = slices.SortedFunc(maps.Values(l.byName), func(a, b *lane) int { return a.name.compare(&b.name) })
	feeds := map[string]bool{}
	for i := range s.Count(len(s.lanes), 8) {
		var n laneName
		if !s.reading {
			n = s.lanes[i].name
		}
		s.Text(&n.feed)
		s.Text(&n.exchange)
		s.Text(&n.symbol)
		small(s, (*uint8)(&n.venue))
		if !s.reading {
			continue
		}
		feeds[n.feed] = true
		if s.bad || len(feeds) > maxStateFeeds || !n.valid() || l.byName[n] != nil {
			s.Fail()
			return
		}
		s.lanes = append(s.lanes, l.add(n))
	}
}

// maxStateFeeds bounds the feeds of one decoder: those that an adapter has, and what Env.Feed makes of them.
const maxStateFeeds = 32

func (n *laneName) compare(o *laneName) int {
	return cmp.Or(strings.Compare(n.feed, o.feed), strings.Compare(n.exchange, o.exchange),
		strings.Compare(n.symbol, o.symbol), cmp.Compare(n.venue, o.venue))
}

func (n *laneName) valid() bool {
	return market.ValidSymbol(n.symbol) && n.feed != "" && len(n.feed) <= 128 && n.exchange != "" && len(n.exchange) <= 64 &&
		n.venue >= market.Spot && n.venue <= market.Index
}

// lane goes through a lane of the decoder, of which the lanes were written before.
func (s *State) lane(l **lane) {
	at := 0
	if !s.reading {
		at, _ = slices.BinarySearchFunc(s.lanes, *l, func(a, b *lane) int { return a.name.compare(&b.name) })
	}
	x := uint64(at)
	if s.Uint(&x); s.reading {
		if x >= uint64(len(s.lanes)) {
			s.Fail()
			return
		}
		*l = s.lanes[x]
	}
}

// laneEntries is entries of a map by lane.
func laneEntries[V any](s *State, m *map[*lane]V, value func(v *V)) {
	compare := func(a, b *lane) int { return a.name.compare(&b.name) }
	entries(s, m, compare, func(l **lane, v *V) {
		s.lane(l)
		value(v)
	})
}

// connEntries is entries of a map by the name of a connection.
func connEntries[V any](s *State, m *map[string]V, value func(v *V)) {
	entries(s, m, strings.Compare, func(k *string, v *V) {
		s.Text(k)
		value(v)
	})
}

func (c *capture) state(s *State) { connEntries(s, &c.urls, func(url *string) { s.Text(url) }) }

func (d *session) state(s *State) {
	d.lanes.state(s)
	d.capture.state(s)
	d.seen.state(s)
	s.Int(&d.latest)
}

func (h *csvHeader) state(s *State) {
	n := uint64(h.n)
	s.Uint(&n)
	s.Check(n <= maxColumns)
	if h.n = int(n); s.bad || n == 0 {
		return
	}
	for i := range h.at {
		at := int64(h.at[i])
		s.Int(&at)
		s.Check(at >= -1 && at < int64(n))
		h.at[i] = int8(at)
	}
}

func (m *binMarkets) state(s *State) {
	m.lanes.state(s)
	for line := range m.by {
		entries(s, &m.by[line], strings.Compare, func(symbol *string, x **binInst) {
			if s.Text(symbol); !s.reading || s.bad {
				return
			}
			if binFeeds[line].feed != "" {
				*x = m.add(binLine(line), []byte(*symbol))
			}
			s.Check(*x != nil)
		})
		for _, x := range m.by[line] {
			if len(m.by[line]) == 1 && s.reading {
				m.last[line] = x // sole asks for it
			}
		}
	}
}

// instState goes through one of the instruments.
func (m *binMarkets) instState(s *State, x **binInst) {
	var line binLine
	var symbol []byte
	if !s.reading {
		line, symbol = (*x).line, (*x).symbol
	}
	small(s, &line)
	if s.Bytes(&symbol); s.reading {
		s.Check(line < numBinLines)
		if !s.bad {
			*x = m.by[line][string(symbol)]
			s.Check(*x != nil)
		}
	}
}

// dec goes through a decimal.
func (s *State) dec(v *num.Dec) {
	s.Int(&v.M)
	scale := uint8(v.S)
	small(s, &scale)
	s.Check(scale <= num.MaxScale)
	v.S = int8(scale)
}

func (q *quoteRow) state(s *State) {
	for _, v := range []*num.Dec{&q.bid, &q.bidQty, &q.ask, &q.askQty} {
		s.dec(v)
	}
	s.Bool(&q.hasBid)
	s.Bool(&q.hasAsk)
}

func (r *bookRow) state(s *State) {
	for _, v := range []*int64{&r.origin, &r.first, &r.prev, &r.checksum, &r.depth} {
		s.Int(v)
	}
	s.Check(r.origin >= market.OriginDelta && r.origin <= market.OriginKeyframe)
	for _, side := range []*bookSide{&r.bids, &r.asks} {
		n := s.Count(side.len(), 4)
		for i := range n {
			var p, q num.Dec
			if !s.reading {
				p, q = side.level(i)
			}
			s.dec(&p)
			s.dec(&q)
			if s.reading {
				side.add(p, q)
			}
		}
	}
}
