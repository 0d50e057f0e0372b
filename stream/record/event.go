package record

import (
	"context"
	"fmt"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/wire"
)

// EventEncoder writes rows of batches as values of records. It is not safe for concurrent use.
type EventEncoder struct {
	schemas *Schemas
	wire    *wire.Encoder
	ids     [market.NumKinds]uint32
	marks   market.Chunk
}

// NewEventEncoder makes an encoder of events whose feeds and instruments are in the registries.
func NewEventEncoder(s *Schemas, feeds *market.Feeds, insts *market.Instruments) *EventEncoder {
	return &EventEncoder{schemas: s, wire: wire.NewEncoder(feeds, insts)}
}

// AppendEvent appends an event, framed, to dst. Once its kind and instrument are known it
// allocates only to grow dst. On an error dst comes back as it was; ErrRegistry may pass.
func (e *EventEncoder) AppendEvent(ctx context.Context, dst []byte, b *market.Batch, row int) ([]byte, error) {
	if b.Kind >= market.NumKinds {
		return dst, fmt.Errorf("encode %s: no such kind", b.Kind)
	}
	if e.ids[b.Kind] == 0 {
		id, err := e.schemas.Event(ctx, b.Kind)
		if err != nil {
			return dst, err
		}
		e.ids[b.Kind] = id
	}
	n := len(dst)
	out, err := e.wire.Append(wire.AppendFrame(dst, e.ids[b.Kind]), b, row)
	if err != nil {
		return dst[:n], err
	}
	return out, nil
}

// EventDecoder reads values of records into chunks. It is not safe for concurrent use.
type EventDecoder struct {
	schemas *Schemas
	wire    *wire.Decoder
	last    framed
	main    framed // the last that is no watermark
	seen    []framed
	block   [][]byte
}

// framed is a schema that was met.
type framed struct {
	id   uint32
	kind market.Kind
}

// NewEventDecoder makes a decoder that registers the names that it meets.
func NewEventDecoder(s *Schemas, feeds *market.Feeds, insts *market.Instruments) *EventDecoder {
	return &EventDecoder{schemas: s, wire: wire.NewDecoder(feeds, insts)}
}

// Decode appends the event of a record to the batch of its kind in chunk and returns the kind.
// Once warm it does not allocate. An error is about the value, which is a dead letter then,
// unless it is ErrRegistry or ctx's: these may pass. On an error chunk is as before.
func (d *EventDecoder) Decode(ctx context.Context, value []byte, chunk *market.Chunk) (market.Kind, error) {
	id, payload, err := wire.CutFrame(value)
	if err != nil {
		return market.KindNone, err
	}
	if d.last.kind == market.KindNone || d.last.id != id {
		if d.last, err = d.kindOf(ctx, id); err != nil {
			return market.KindNone, err
		}
	}
	k := d.last.kind
	if k != market.KindWatermark {
		d.main = d.last
	}
	return k, d.wire.Decode(payload, k, chunk.BatchOf(k, d.schemas.kinds.Fields(k)))
}

// DecodeBlock is Decode of values, wire.BlockRows at most, that are of the kind which was decoded last, watermarks aside, as far as
// it can: what it has not decoded it appends to left, as places in values. It returns the kind of the others. What lies behind
// a value, up to its capacity, may be looked at.
func (d *EventDecoder) DecodeBlock(values [][]byte, chunk *market.Chunk, left []int) (market.Kind, []int) {
	k, n := d.main.kind, len(left)
	d.block = d.block[:0]
	for i, v := range values {
		if id, payload, err := wire.CutFrame(v); err == nil && id == d.main.id && k != market.KindNone {
			d.block = append(d.block, payload)
		} else {
			left = append(left, i)
		}
	}
	if len(d.block) == 0 || d.wire.DecodeBlock(d.block, chunk.BatchOf(k, d.schemas.kinds.Fields(k))) {
		return k, left
	}
	left = left[:n]
	for i := range values {
		left = append(left, i)
	}
	return k, left
}

// Names gives a feed and an instrument the numbers that events have which bear their names.
func (d *EventDecoder) Names(feed string, in market.Instrument) (market.FeedID, market.Inst, error) {
	return d.wire.Names(feed, in)
}

func (d *EventDecoder) kindOf(ctx context.Context, id uint32) (framed, error) {
	for _, f := range d.seen {
		if f.id == id {
			return f, nil
		}
	}
	what, err := d.schemas.Lookup(ctx, id)
	if err != nil {
		return framed{}, err
	}
	if what.Kind == market.KindNone {
		return framed{}, fmt.Errorf("schema %d is of %s, which is no event: %w", id, what.Name, ErrSchema)
	}
	f := framed{id, what.Kind}
	d.seen = append(d.seen, f)
	return f, nil
}

// AppendWatermark appends a watermark event, framed: nothing comes before t any more.
func (e *EventEncoder) AppendWatermark(ctx context.Context, dst []byte, feed market.FeedID, inst market.Inst, t int64) ([]byte, error) {
	e.marks.Reset()
	b := e.marks.Batch(market.KindWatermark)
	b.AppendEnvelope(&market.Envelope{Feed: feed, Inst: inst, EventTS: t, IngestTS: market.NoTime})
	return e.AppendEvent(ctx, dst, b, 0)
}
