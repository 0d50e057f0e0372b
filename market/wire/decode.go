package wire

import (
	"fmt"
	"math"
	"slices"
	"unicode/utf8"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/num"
)

const (
	maxScale = num.MaxScale
	maxCols  = market.MaxColumns
)

// Decoder reads messages into batches. It is not safe for concurrent use.
type Decoder struct {
	names names
	env   market.Envelope
	ts    int64
	epoch uint32

	shapes [market.NumKinds]shape
	block  block
	one    [1][]byte // a block of one message

	// The row as read so far, by column. Lists go to their columns at once.
	have  uint32 // columns with a value
	val   [maxCols]int64
	scale [maxCols]int8
	text  [maxCols][]byte

	nulls [maxCols]int // words that columns had for nulls before a block
}

// NewDecoder makes a decoder that gives names their numbers by the registries, in which
// it registers those that are new.
func NewDecoder(feeds *market.Feeds, insts *market.Instruments) *Decoder {
	return &Decoder{names: names{feeds: feeds, insts: insts, byRaw: map[string]named{}}}
}

// Decode appends the event of a message as a row to b, a batch of that kind. Once the
// batch has grown it does not allocate, but for names that it meets for the first time.
// On an error, which names the field, b is as before.
func (d *Decoder) Decode(payload []byte, kind market.Kind, b *market.Batch) error {
	if kind == market.KindNone || kind >= market.NumKinds || b.Kind != kind {
		return fmt.Errorf("decode %s into a batch of %s: not the same kind", kind, b.Kind)
	}
	if len(payload) > MaxPayload {
		return fmt.Errorf("decode %s: message of %d bytes is longer than %d", kind, len(payload), MaxPayload)
	}
	d.one[0] = payload
	if d.DecodeBlock(d.one[:], b) {
		return nil
	}
	return d.slow(payload, b)
}

// slow reads any message.
func (d *Decoder) slow(payload []byte, b *market.Batch) error {
	kind, fields := b.Kind, b.Fields
	if err := d.message(payload, fields, b); err != nil {
		for i := range fields {
			if fields[i].Type == market.TypeDecs {
				cutList(&b.Cols[i])
			}
			d.text[i] = nil
		}
		return fmt.Errorf("decode %s: %w", kind, err)
	}
	d.commit(fields, b)
	return nil
}

// cutList takes out what belongs to no row.
func cutList(c *market.Col) { c.I64 = c.I64[:listStart(c)] }

// listStart is where the list of the row that is being read begins.
func listStart(c *market.Col) int {
	if len(c.Off) == 0 {
		return 0
	}
	return int(c.Off[len(c.Off)-1])
}

func (d *Decoder) message(payload []byte, fields []market.Field, b *market.Batch) error {
	d.have = 0
	clear(d.val[:len(fields)])
	clear(d.scale[:len(fields)])
	r := reader{b: payload}
	envelope := false
	for r.more() {
		n, typ, err := r.tag()
		if err != nil {
			return err
		}
		if n == numEnvelope {
			if envelope || typ != typeBytes {
				return fmt.Errorf("envelope: %w", errType)
			}
			envelope = true
			p, err := r.bytes()
			if err == nil {
				err = d.envelope(p)
			}
			if err != nil {
				return fmt.Errorf("envelope: %w", err)
			}
			continue
		}
		col := (n - numFirst) >> 1
		if col >= len(fields) {
			err = r.skip(typ)
		} else {
			err = d.column(&r, n, typ, col, &fields[col], &b.Cols[col])
		}
		if err != nil {
			return fmt.Errorf("field %d: %w", n, err)
		}
	}
	if !envelope {
		return fmt.Errorf("envelope: %w", errCut)
	}
	return d.check(fields, b)
}

// column reads the value or the scale of a column.
func (d *Decoder) column(r *reader, n, typ, col int, f *market.Field, c *market.Col) error {
	dec := f.Type == market.TypeDec || f.Type == market.TypeDecs
	if n != FieldNumber(col) {
		if !dec {
			return r.skip(typ)
		}
		s, err := r.varint()
		switch {
		case typ != typeVarint:
			return errType
		case err != nil:
			return err
		case s > maxScale:
			return errScale
		}
		d.scale[col] = int8(s)
		return nil
	}
	if f.Type == market.TypeDecs {
		return readList(r, typ, c)
	}
	if typ != wireType(f.Type) {
		return errType
	}
	d.have |= 1 << col
	switch typ {
	case typeBytes:
		p, err := r.bytes()
		if err == nil && (len(p) > MaxText || !utf8.Valid(p)) {
			err = errText
		}
		d.text[col] = p
		return err
	case typeFixed64:
		u, err := r.fixed64()
		if err == nil && f.Type == market.TypeFloat {
			switch x := math.Float64frombits(u); {
			case x-x != 0:
				err = errFloat
			case x == 0:
				u = 0 // -0
			}
		}
		d.val[col] = int64(u)
		return err
	}
	u, err := r.varint()
	if err != nil {
		return err
	}
	v := int64(u)
	switch {
	case dec:
		if v = unzigzag(u); v == math.MinInt64 {
			return errMantissa
		}
	case f.Type == market.TypeEnum && u >= uint64(len(f.Words)):
		return errEnum
	case f.Type == market.TypeBool && u > 1:
		return errBool
	}
	d.val[col] = v
	return nil
}

// readList appends the elements of a list, packed or one by one, to its column.
func readList(r *reader, typ int, c *market.Col) error {
	var p []byte
	var err error
	switch typ {
	case typeBytes:
		p, err = r.bytes()
	case typeVarint:
		at := r.i
		_, err = r.varint()
		p = r.b[at:r.i]
	default:
		err = errType
	}
	if err != nil {
		return err
	}
	at, n := len(c.I64), countVarints(p)
	if at+n > math.MaxInt32 {
		return errLong
	}
	c.I64 = slices.Grow(c.I64, n)[:at+n]
	return readPacked(c.I64[at:], p)
}

// check looks at what no single field can tell.
func (d *Decoder) check(fields []market.Field, b *market.Batch) error {
	for i := range fields {
		c := &b.Cols[i]
		if fields[i].Type == market.TypeText && d.have>>i&1 == 1 && len(c.Bytes)+len(d.text[i]) > math.MaxInt32 {
			return errLong
		}
	}
	if b.Kind != market.KindBook {
		return nil
	}
	length := func(col int) int { return len(b.Cols[col].I64) - listStart(&b.Cols[col]) }
	bids, asks := length(market.BookBidPrice), length(market.BookAskPrice)
	if bids != length(market.BookBidQuantity) || asks != length(market.BookAskQuantity) {
		return fmt.Errorf("%d bid prices, %d quantities; %d ask prices, %d quantities: not the same number",
			bids, length(market.BookBidQuantity), asks, length(market.BookAskQuantity))
	}
	return nil
}

// commit appends the row; nothing can go wrong any more.
func (d *Decoder) commit(fields []market.Field, b *market.Batch) {
	b.AppendEnvelope(&d.env)
	b.TS[b.N-1], b.Epoch[b.N-1] = d.ts, d.epoch
	for i := range fields {
		f, c := &fields[i], &b.Cols[i]
		have := d.have>>i&1 == 1
		switch f.Type {
		case market.TypeDecs:
			c.EndDecs(d.scale[i])
		case market.TypeText:
			switch {
			case have:
				c.AppendText(d.text[i])
				d.text[i] = nil // keep nothing of the payload
			case f.Nullable:
				c.AppendNullText()
			default:
				c.AppendText(nil)
			}
		case market.TypeDec:
			if have || !f.Nullable {
				c.AppendDec(d.val[i], d.scale[i])
			} else {
				c.AppendNull(true)
			}
		case market.TypeFloat:
			if have || !f.Nullable {
				c.AppendFloat(math.Float64frombits(uint64(d.val[i])))
			} else {
				c.AppendNullFloat()
			}
		default:
			if have || !f.Nullable {
				c.AppendInt(d.val[i])
			} else {
				c.AppendNull(false)
			}
		}
	}
}
