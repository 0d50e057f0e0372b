package wire

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/pinova-group/tidemark/market"
)

// envelope reads an envelope into d.env, d.ts and d.epoch.
func (d *Decoder) envelope(p []byte) error {
	d.env = market.Envelope{IngestTS: market.NoTime}
	d.epoch = 0
	r := reader{b: p}
	ref, known, err := d.names.leading(&r)
	if err != nil {
		return err
	}
	var loose [4][]byte // names that do not come first and in order
	hasTS := false
	for r.more() {
		n, typ, err := r.tag()
		if err != nil {
			return err
		}
		switch want := envType(n); {
		case want < 0:
			err = r.skip(typ)
		case want != typ:
			err = errType
		case n <= envSymbol:
			if known {
				err = errNames
			} else {
				loose[n-envFeed], err = r.bytes()
			}
		case typ == typeFixed64:
			hasTS = hasTS || n == envTS
			err = d.envelopeTime(&r, n)
		case typ == typeBytes:
			err = d.envelopeID(&r)
		default:
			err = d.envelopeNumber(&r, n)
		}
		if err != nil {
			return fmt.Errorf("field %d: %w", n, err)
		}
	}
	if !known {
		if ref, err = d.names.slow(loose); err != nil {
			return err
		}
	}
	d.env.Feed, d.env.Inst = ref.feed, ref.inst
	if !hasTS {
		d.ts = d.env.EventTS
	}
	return nil
}

// envType is the wire type of a field of the envelope, -1 when it is not known.
func envType(n int) int {
	switch {
	case n > envRawBytes:
		return -1
	case n <= envSymbol || n == envEventID:
		return typeBytes
	case n <= envTS:
		return typeFixed64
	}
	return typeVarint
}

func (d *Decoder) envelopeTime(r *reader, n int) error {
	u, err := r.fixed64()
	switch n {
	case envEventTS:
		d.env.EventTS = int64(u)
	case envIngestTS:
		d.env.IngestTS = int64(u)
	case envTS:
		d.ts = int64(u)
	}
	return err
}

func (d *Decoder) envelopeID(r *reader) error {
	p, err := r.bytes()
	if err == nil && len(p) != len(d.env.ID) && len(p) != 0 {
		err = errID
	}
	d.env.ID = market.ID{}
	copy(d.env.ID[:], p)
	return err
}

func (d *Decoder) envelopeNumber(r *reader, n int) error {
	u, err := r.varint()
	limit := uint64(math.MaxUint32)
	switch n {
	case envSeq:
		limit = math.MaxUint64
		d.env.Seq = u
	case envHasSeq:
		limit = 1
		d.env.HasSeq = u == 1
	case envEpoch:
		d.epoch = uint32(u)
	case envShard:
		limit = math.MaxUint16
		d.env.Shard = uint16(u)
	case envFlags:
		limit = math.MaxUint8
		d.env.Flags = uint8(u)
	case envRawBytes:
		d.env.RawBytes = uint32(u)
	}
	if err == nil && u > limit {
		err = errNumber
	}
	return err
}

// Bounds of what a decoder registers: garbage must not fill the memory.
const (
	maxFeeds = 1024    // that the release does not know
	maxInsts = 1 << 18 // names of feed and instrument together
)

// names gives feeds and instruments their numbers. Writers put the four names first, so
// their bytes as a whole are the key: a small table by hash, then a map.
type names struct {
	feeds *market.Feeds
	insts *market.Instruments
	hot   [256]named
	byRaw map[string]named

	symbol int // where the length of the symbol was in the names that were looked for last
}

type nameRef struct {
	feed market.FeedID
	inst market.Inst
}

type named struct {
	raw string
	ref nameRef
}

// leading reads the four names where they come first, once each and in order. If they do
// not, known is false and nothing has been read.
func (s *names) leading(r *reader) (ref nameRef, known bool, err error) {
	var part [4][]byte
	at := r.i
	for k := range part {
		if r.i >= len(r.b) || r.b[r.i] != byte((envFeed+k)<<3|typeBytes) {
			r.i = at
			return ref, false, nil
		}
		r.i++
		if part[k], err = r.bytes(); err != nil {
			return ref, false, err
		}
	}
	raw := r.b[at:r.i]
	hot := &s.hot[place(raw)]
	if hot.raw != string(raw) {
		n, err := s.find(raw, part)
		if err != nil {
			return ref, false, err
		}
		*hot = n
	}
	return hot.ref, true, nil
}

// find looks raw, the four names as fields, up in the map, or registers them.
func (s *names) find(raw []byte, part [4][]byte) (named, error) {
	if n, ok := s.byRaw[string(raw)]; ok {
		return n, nil
	}
	ref, err := s.register(part)
	if err != nil {
		return named{}, err
	}
	n := named{raw: string(raw), ref: ref}
	s.byRaw[n.raw] = n
	return n, nil
}

// slow is for names in another order, or with others between them.
func (s *names) slow(part [4][]byte) (nameRef, error) {
	var raw []byte
	for k, p := range part {
		raw = appendBytes(raw, envFeed+k, p)
	}
	n, err := s.find(raw, part)
	return n.ref, err
}

// Names gives a feed and an instrument their numbers, as a message would that bears their names.
func (d *Decoder) Names(feed string, in market.Instrument) (market.FeedID, market.Inst, error) {
	ref, err := d.names.slow([4][]byte{[]byte(feed), []byte(in.Exchange), []byte(in.Venue.String()), []byte(in.Symbol)})
	return ref.feed, ref.inst, err
}

func (s *names) register(part [4][]byte) (ref nameRef, err error) {
	feed, exchange, symbol := string(part[0]), string(part[1]), string(part[3])
	for _, name := range []string{feed, exchange, symbol} {
		if !market.ValidSymbol(name) {
			return ref, fmt.Errorf("%.*q: %w", maxName, name, errName)
		}
	}
	venue, ok := market.ParseVenue(string(part[2]))
	if !ok {
		return ref, fmt.Errorf("%.*q: %w", maxName, part[2], errMarket)
	}
	if _, ok := s.feeds.Lookup(feed); !ok && len(s.feeds.Unknown()) >= maxFeeds || len(s.byRaw) >= maxInsts {
		return ref, errFull
	}
	return nameRef{feed: s.feeds.Intern(feed), inst: s.insts.Intern(exchange, venue, symbol)}, nil
}

// met reads the four names that an envelope begins with, when they were met before, and says where they end. Those before the
// symbol are mostly as long as in the message before.
func (s *names) met(p []byte, i int) (ref nameRef, end int, ok bool) {
	if at := i + s.symbol; at < len(p) {
		if end = at + 1 + int(p[at]); end <= len(p) {
			if hot := &s.hot[place(p[i:end])]; hot.raw == string(p[i:end]) {
				return hot.ref, end, true
			}
		}
	}
	end = i
	for k := byte(envFeed); k <= envSymbol; k++ {
		if end+1 >= len(p) || p[end] != k<<3|typeBytes || p[end+1] >= 0x80 {
			return ref, 0, false
		}
		s.symbol = end + 1 - i
		end += 2 + int(p[end+1])
	}
	if end > len(p) {
		return ref, 0, false
	}
	n, ok := s.byRaw[string(p[i:end])]
	if ok {
		s.hot[place(p[i:end])] = n
	}
	return n.ref, end, ok
}

// place is where names are in the small table: by the symbol and what is before it, and by the feed.
func place(raw []byte) uint8 {
	n := len(raw)
	if n < 16 {
		return 0
	}
	symbol, before, feed := binary.LittleEndian.Uint64(raw[n-8:]), binary.LittleEndian.Uint64(raw[n-16:]), binary.LittleEndian.Uint64(raw[2:])
	return uint8((symbol*0x9e3779b97f4a7c15 ^ before*0xc2b2ae3d27d4eb4f ^ feed*0x165667b19e3779f9) >> 56)
}
