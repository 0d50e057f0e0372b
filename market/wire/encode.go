package wire

import (
	"fmt"
	"math"
	"unicode/utf8"

	"github.com/pinova-group/tidemark/market"
)

// Append appends row of b as a message. To write many rows use an Encoder, which
// remembers how names are written.
func Append(dst []byte, b *market.Batch, row int, feeds *market.Feeds, insts *market.Instruments) ([]byte, error) {
	return NewEncoder(feeds, insts).Append(dst, b, row)
}

// Encoder writes rows of batches as messages. It is not safe for concurrent use.
type Encoder struct {
	feeds *market.Feeds
	insts *market.Instruments
	names [][]encodedNames // by market.Inst
}

// encodedNames are the fields feed, exchange, market and symbol of an envelope.
type encodedNames struct {
	feed market.FeedID
	raw  []byte
}

// NewEncoder makes an encoder of rows whose feeds and instruments are in the registries.
func NewEncoder(feeds *market.Feeds, insts *market.Instruments) *Encoder {
	return &Encoder{feeds: feeds, insts: insts}
}

// Append appends row of b, a batch of any kind, as a message to dst and returns it. It
// allocates only to grow dst and when it meets an instrument for the first time. On an
// error, a value that no message can hold, dst comes back as it was.
func (e *Encoder) Append(dst []byte, b *market.Batch, row int) ([]byte, error) {
	if b.Kind == market.KindNone || b.Kind >= market.NumKinds || row < 0 || row >= b.N {
		return dst, fmt.Errorf("encode row %d of %d of %s: no such row", row, b.N, b.Kind)
	}
	out, err := e.envelope(dst, b, row)
	if err != nil {
		return dst, fmt.Errorf("encode %s: %w", b.Kind, err)
	}
	for i := range b.Cols {
		f := &b.Fields[i]
		out, err = appendColumn(out, FieldNumber(i), f, &b.Cols[i], row)
		if err != nil {
			return dst, fmt.Errorf("encode %s: column %s: %w", b.Kind, f.Name, err)
		}
	}
	return out, nil
}

func (e *Encoder) envelope(dst []byte, b *market.Batch, row int) ([]byte, error) {
	names, err := e.encodedNames(b.Feed[row], b.Inst[row])
	if err != nil {
		return dst, err
	}
	event, ingest, ts := b.EventTS[row], b.IngestTS[row], b.TS[row]
	id, seq := b.ID[row], b.Seq[row]
	small := [...]uint64{
		0: boolBit(b.HasSeq[row]), envEpoch - envHasSeq: uint64(b.Epoch[row]),
		envShard - envHasSeq: uint64(b.Shard[row]), envFlags - envHasSeq: uint64(b.Flags[row]),
		envRawBytes - envHasSeq: uint64(b.RawBytes[row]),
	}
	n := len(names)
	if event != 0 {
		n += 9
	}
	if ingest != market.NoTime {
		n += 9
	}
	if ts != event {
		n += 9
	}
	if id != (market.ID{}) {
		n += 2 + len(id)
	}
	if seq != 0 {
		n += 1 + sizeVarint(seq)
	}
	for _, v := range small {
		if v != 0 {
			n += 1 + sizeVarint(v)
		}
	}
	dst = appendVarint(appendTag(dst, numEnvelope, typeBytes), uint64(n))
	dst = append(dst, names...)
	if event != 0 {
		dst = appendFixed64(dst, envEventTS, uint64(event))
	}
	if ingest != market.NoTime {
		dst = appendFixed64(dst, envIngestTS, uint64(ingest))
	}
	if ts != event {
		dst = appendFixed64(dst, envTS, uint64(ts))
	}
	if id != (market.ID{}) {
		dst = appendBytes(dst, envEventID, id[:])
	}
	if seq != 0 {
		dst = appendUint(dst, envSeq, seq)
	}
	for i, v := range small {
		if v != 0 {
			dst = appendUint(dst, envHasSeq+i, v)
		}
	}
	return dst, nil
}

func boolBit(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// encodedNames returns the first four fields of an envelope.
func (e *Encoder) encodedNames(feed market.FeedID, inst market.Inst) ([]byte, error) {
	if int(inst) < len(e.names) {
		for _, n := range e.names[inst] {
			if n.feed == feed {
				return n.raw, nil
			}
		}
	}
	f := e.feeds.Get(feed & 0xfff)
	if f == nil || f.ID != feed || int(inst) >= e.insts.Len() {
		return nil, fmt.Errorf("feed %d, instrument %d: %w", feed, inst, errName)
	}
	in := e.insts.Get(inst)
	raw := make([]byte, 0, 64)
	for i, name := range []string{f.Name, in.Exchange, in.Venue.String(), in.Symbol} {
		if !market.ValidSymbol(name) && i != envMarket-1 {
			return nil, fmt.Errorf("%q: %w", name, errName)
		}
		raw = appendBytes(raw, envFeed+i, []byte(name))
	}
	if _, ok := market.ParseVenue(in.Venue.String()); !ok {
		return nil, errMarket
	}
	for int(inst) >= len(e.names) {
		e.names = append(e.names, nil)
	}
	e.names[inst] = append(e.names[inst], encodedNames{feed, raw})
	return raw, nil
}

func appendColumn(dst []byte, num int, f *market.Field, c *market.Col, row int) ([]byte, error) {
	if c.IsNull(row) {
		if !f.Nullable {
			return dst, errNull
		}
		return dst, nil
	}
	switch f.Type {
	case market.TypeDec:
		m := c.I64[row]
		if m == math.MinInt64 {
			return dst, errMantissa
		}
		if m != 0 || f.Nullable {
			dst = appendUint(dst, num, zigzag(m))
		}
		return appendScale(dst, num, c.Scale[row])
	case market.TypeDecs:
		return appendList(dst, num, c, row)
	case market.TypeText:
		s := c.Text(row)
		if len(s) > MaxText || !utf8.Valid(s) {
			return dst, errText
		}
		if len(s) != 0 || f.Nullable {
			dst = appendBytes(dst, num, s)
		}
		return dst, nil
	case market.TypeFloat:
		u := math.Float64bits(c.F64[row])
		if f := c.F64[row]; f-f != 0 || u == 1<<63 {
			return dst, errFloat
		}
		if u != 0 || f.Nullable {
			dst = appendFixed64(dst, num, u)
		}
		return dst, nil
	}
	v := c.I64[row]
	switch {
	case f.Type == market.TypeEnum && uint64(v) >= uint64(len(f.Words)):
		return dst, errEnum
	case f.Type == market.TypeBool && uint64(v) > 1:
		return dst, errBool
	case v == 0 && !f.Nullable:
		return dst, nil
	case f.Type == market.TypeTime:
		return appendFixed64(dst, num, uint64(v)), nil
	}
	return appendUint(dst, num, uint64(v)), nil
}

func appendScale(dst []byte, num int, s int8) ([]byte, error) {
	if uint8(s) > maxScale {
		return dst, errScale
	}
	if s != 0 {
		dst = appendUint(dst, num+1, uint64(s))
	}
	return dst, nil
}

func appendList(dst []byte, num int, c *market.Col, row int) ([]byte, error) {
	if m := c.Decs(row); len(m) > 0 {
		n := 0
		for _, v := range m {
			n += sizeVarint(zigzag(v))
		}
		dst = appendVarint(appendTag(dst, num, typeBytes), uint64(n))
		for _, v := range m {
			if v == math.MinInt64 {
				return dst, errMantissa
			}
			dst = appendVarint(dst, zigzag(v))
		}
	}
	return appendScale(dst, num, c.Scale[row])
}
