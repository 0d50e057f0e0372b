package adapters

import (
	"github.com/pinova-group/tidemark/market"
)

// session is what decoders of whole messages share: the capture's envelopes, the
// record being decoded, ids, and the newest event time of the input.
type session struct {
	capture capture
	lanes   *lanes
	ids     ids
	seen    ordinals
	book    bookRow
	env     market.Envelope
	norm    []byte
	latest  int64 // greatest event time decoded so far

	rec  Record // being decoded
	out  *market.Chunk
	size uint32 // payload bytes that no event has counted yet
	rows int
	bad  problems
	skip string // why a part of the record was dropped on purpose
}

func newSession(env Env) session {
	return session{lanes: newLanes(env), latest: market.NoTime}
}

// open readies the session for a record; an error ends its decoding.
func (d *session) open(rec *Record, out *market.Chunk) error {
	if len(rec.Data) > MaxLine {
		return Bad(badLong, rec.Data)
	}
	r, err := d.capture.unwrap(rec)
	if err != nil {
		return err
	}
	r.Data = trimSpace(r.Data)
	if len(r.Data) == 0 {
		return Bad(badJSON, nil)
	}
	d.rec, d.out, d.size, d.rows, d.bad, d.skip = r, out, uint32(len(r.Data)), 0, problems{}, ""
	return nil
}

// close turns what happened since open into Decode's result; ok is false when the
// record, or what was left of it, could not be read.
func (d *session) close(ok bool) error {
	if !ok {
		reason := badField
		var err error
		if d.norm, err = normalise(d.norm, d.rec.Data); err != nil {
			reason = badJSON
		}
		d.bad.add(reason, d.rec.Data)
	}
	if err := d.bad.err(); err != nil {
		return err
	}
	if d.rows == 0 {
		if d.skip == "" {
			d.skip = "message without events"
		}
		return Filtered(d.skip)
	}
	return nil
}

// drop notes why the record, or a part of it, yields no event; it returns true, the
// value of a handler that has read its input.
func (d *session) drop(why string) bool {
	d.skip = why
	return true
}

// fail notes a bad part of the record; it returns true like drop.
func (d *session) fail(reason string, detail []byte) bool {
	d.bad.add(reason, detail)
	return true
}

// when checks an event time in microseconds and remembers the greatest one.
func (d *session) when(ts int64) bool {
	if !market.ValidTime(ts) {
		return false
	}
	d.latest = max(d.latest, ts)
	return true
}

// event readies the envelope of an event of the record at ts.
func (d *session) event(l *lane, ts int64) *market.Envelope {
	d.env = market.Envelope{
		Feed: l.feed, Shard: d.rec.Shard, Inst: l.inst, EventTS: ts, IngestTS: d.rec.Ingest, RawBytes: d.size,
	}
	d.size = 0
	d.rows++
	return &d.env
}

// number gives the envelope its venue number and the id that comes of it.
func (d *session) number(e *market.Envelope, l *lane, k market.Kind, n int64) {
	e.Seq, e.HasSeq = uint64(n), true
	e.ID = d.ids.num(l, k, "", uint64(n))
}

// assumed is the event time of a message sent without one, with whether there is any.
func (d *session) assumed(l *lane) (int64, bool) {
	ts := assumeTime(l, d.rec.Ingest, d.latest)
	return ts, market.ValidTime(ts)
}

// payloadID is the id of an event that its venue does not name.
func (d *session) payloadID(l *lane, k market.Kind, payload []byte) (id market.ID) {
	id, d.ids.buf = market.PayloadID(d.ids.buf, l.idPrefix(k), payload, 0)
	if n := d.seen.next(id); n > 0 {
		id, d.ids.buf = market.PayloadID(d.ids.buf, l.idPrefix(k), payload, n)
	}
	return id
}

// appendTrade checks and appends a trade.
func (d *session) appendTrade(t *tradeRow, e *market.Envelope) {
	t.append(d.out.Batch(market.KindTrade), e)
}

// ordinals counts identical payloads (F9): the second print of the same price, size and
// time is another trade. It remembers the last ordinalSpan to 2·ordinalSpan payloads.
type ordinals struct{ now, old map[market.ID]uint32 }

const ordinalSpan = 1 << 15

// next returns how many payloads of this id came before and counts this one.
func (o *ordinals) next(id market.ID) uint32 {
	n, ok := o.now[id]
	if !ok {
		n = o.old[id]
	}
	if len(o.now) >= ordinalSpan && !ok {
		o.old, o.now = o.now, o.old
		clear(o.now)
	}
	if o.now == nil {
		o.now = map[market.ID]uint32{}
	}
	o.now[id] = n + 1
	return n
}

// symbols finds lanes by venue symbol, so that a message costs one lookup at most.
type symbols struct {
	by   map[string]*lane
	name []byte // of the last one
	lane *lane
}

// get returns the lane of a venue symbol, made by find when it is new; nil when find
// has none.
func (c *symbols) get(symbol []byte, find func([]byte) *lane) *lane {
	if c.lane != nil && string(c.name) == string(symbol) {
		return c.lane
	}
	l := c.by[string(symbol)]
	if l == nil {
		if l = find(symbol); l == nil {
			return nil
		}
		if len(symbol) <= 64 && len(c.by) < maxLanes {
			if c.by == nil {
				c.by = map[string]*lane{}
			}
			c.by[string(symbol)] = l
		}
	}
	c.name, c.lane = append(c.name[:0], symbol...), l
	return l
}
