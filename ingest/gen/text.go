package gen

import (
	"bytes"
	"errors"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/canon"
)

// Format of simulated files.
type Format uint8

// The formats.
const (
	CanonicalCSV Format = iota
	CanonicalJSONL
	Raw // lines "<receive time ns> <json>" as collectors of Binance record them
)

// RawKinds are the kinds that Raw can carry.
var RawKinds = []market.Kind{market.KindTrade, market.KindQuote, market.KindBook, market.KindFunding}

// ForRaw makes the configuration one that Raw can express: its kinds, milliseconds, and
// no event time where Binance sends none.
func (c *Config) ForRaw() {
	var kinds []market.Kind
	for _, k := range RawKinds {
		if c.has(k) {
			kinds = append(kinds, k)
		}
	}
	c.Kinds, c.Resolution, c.Untimed, c.SnapshotEvery = kinds, market.Millisecond, true, 0
}

// Line is one record as text.
type Line struct {
	Text  []byte // with its line break; valid until the next call
	Venue string
	ID    string // the number or id that the venue gave it
	Truth Truth
}

// Text prints the records of a market.
type Text struct {
	m      *Market
	format Format
	chunk  market.Chunk
	buf    bytes.Buffer
	out    [market.NumKinds]*canon.Writer
	head   [market.NumKinds][]byte
	raw    []byte
}

// NewText prints m. The market must not be used otherwise, and for Raw its
// configuration must have gone through ForRaw.
func NewText(m *Market, f Format) (*Text, error) {
	t := &Text{m: m, format: f}
	if f == Raw {
		return t, nil
	}
	for k := market.KindTrade; k <= market.KindWatermark; k++ {
		o := canon.Options{Format: canon.JSONL, Shard: m.c.Lines > 1}
		if f == CanonicalCSV {
			o.Format, o.Kind = canon.CSV, k
		}
		w := canon.NewWriter(&t.buf, o, m.feeds, m.insts)
		t.buf.Reset()
		if err := errors.Join(w.Header(), w.Flush()); err != nil {
			return nil, err
		}
		t.out[k], t.head[k] = w, bytes.Clone(t.buf.Bytes())
	}
	return t, nil
}

// Header is the first line of a file of the kind: the CSV header, nil for other formats.
func (t *Text) Header(k market.Kind) []byte { return t.head[k] }

// Next gives the next record in order of arrival, false at the end. Notices found on
// the way are added to those that Notices returns.
func (t *Text) Next(l *Line) (bool, error) {
	t.m.notices = t.m.notices[:0]
	slot, ok := t.m.arrive()
	if !ok {
		return false, nil
	}
	r := &t.m.q.slots[slot]
	l.Truth = t.m.judged(r)
	l.Venue = t.m.venueOf(r).name
	if r.intent == intentCorrupt {
		spoil(r)
	}
	var err error
	if t.format == Raw {
		t.rawLine(r)
	} else {
		err = t.canonical(r)
	}
	l.ID = string(t.m.idText)
	l.Text = t.broken(r)
	t.m.q.release(slot)
	return true, err
}

// Notices lists the holes that the last Next found.
func (t *Text) Notices() []Notice { return t.m.notices }

// Stats counts what was printed so far.
func (t *Text) Stats() Stats { return t.m.stats }

func (t *Text) canonical(r *record) error {
	b := t.chunk.Batch(r.kind)
	b.Reset()
	t.m.appendRow(&t.chunk, r)
	t.buf.Reset()
	w := t.out[r.kind]
	if err := w.WriteRow(b, 0); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	t.raw = append(t.raw[:0], t.buf.Bytes()...)
	return nil
}

// spoil breaks the values of a corrupt record.
func spoil(r *record) {
	switch r.fault {
	case faultAhead:
		return
	case faultUnit:
		r.ahead = r.ts / market.Second
		return
	case faultZero:
		r.v[1] = 0
	case faultNegative:
		r.v[0] = -r.v[0]
		for _, side := range []*levels{&r.bids, &r.asks} {
			for i := range side.price {
				side.price[i] = -side.price[i]
			}
		}
	}
	r.ahead = r.ts
}

// broken breaks the text of a corrupt record where the fault is in the text.
func (t *Text) broken(r *record) []byte {
	if r.intent != intentCorrupt {
		return t.raw
	}
	switch r.fault {
	case faultCut:
		end := len(t.raw) / 2
		if t.format == CanonicalCSV { // among the names, so that fields are missing
			end = bytes.IndexByte(t.raw, ',') + 1
			end += bytes.IndexByte(t.raw[end:], ',')
		}
		t.raw = append(t.raw[:end], '\n')
	case faultGarbage:
		g := newRNG(r.seq, 4)
		t.raw = t.raw[:0]
		for range 4 + g.below(60) {
			t.raw = append(t.raw, byte(0x80+g.below(128))) // no line break, brace, quote or digit
		}
		t.raw = append(t.raw, '\n')
	}
	return t.raw
}

// possible replaces a fault that a kind cannot have.
func (m *Market) possible(x *instrument, r *record) uint8 {
	switch f := r.fault; {
	case f == faultZero && r.kind != market.KindTrade,
		f == faultNegative && r.kind == market.KindFunding, // a rate may be
		(f == faultUnit || f == faultAhead) && m.untimed(x, r):
		return faultCut
	}
	return r.fault
}
