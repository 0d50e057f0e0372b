package canon

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/num"
)

// Format of a canonical file.
type Format uint8

// The formats.
const (
	CSV Format = iota
	JSONL
)

// Options of a Writer.
type Options struct {
	Format Format
	// Kind is the kind of all rows of a CSV file. JSONL takes any kind, mixed.
	Kind market.Kind
	// Kinds is the table of the kinds of all rows, nil for those of the release.
	Kinds *market.Kinds
	// Shard adds the column shard: the line of the feed that carried the event.
	Shard bool
	// Prints adds the column prints to trades of CSV. JSONL has it where it is not 1.
	Prints bool
}

// ErrNoColumn is returned for a value that the chosen columns cannot hold.
var ErrNoColumn = errors.New("no column for the value")

// Writer prints batches as canonical rows. Same rows, same bytes: reading what it wrote
// and writing that again gives the same file. It does not write the verdict columns.
type Writer struct {
	w     io.Writer
	o     Options
	t     *table
	feeds *market.Feeds
	insts *market.Instruments
	buf   []byte
	head  bool      // header is in buf or written
	names []instRow // by instrument handle
}

// instRow caches the printed names of an instrument on a feed.
type instRow struct {
	feed market.FeedID
	text []byte
}

const flushAt = 64 << 10

// NewWriter makes a writer; feeds and insts must be those that issued the numbers in
// the batches.
func NewWriter(w io.Writer, o Options, feeds *market.Feeds, insts *market.Instruments) *Writer {
	return &Writer{w: w, o: o, t: columnsOf(o.Kinds), feeds: feeds, insts: insts}
}

// Write appends all rows of a batch.
func (w *Writer) Write(b *market.Batch) error {
	for i := range b.N {
		if err := w.WriteRow(b, i); err != nil {
			return err
		}
	}
	return nil
}

// WriteRow appends row i of a batch. On an error nothing of the row is written.
func (w *Writer) WriteRow(b *market.Batch, i int) error {
	if err := w.Header(); err != nil {
		return err
	}
	start := len(w.buf)
	var err error
	if w.o.Format == CSV {
		err = w.csvRow(b, i)
	} else {
		err = w.jsonRow(b, i)
	}
	if err != nil {
		w.buf = w.buf[:start]
		return err
	}
	w.buf = append(w.buf, '\n')
	if len(w.buf) >= flushAt {
		return w.Flush()
	}
	return nil
}

// Header writes the header of a CSV file unless it is there already. The first row does
// it too: it is needed for files that may stay without rows.
func (w *Writer) Header() error {
	if w.head || w.o.Format != CSV {
		return nil
	}
	if !w.t.has(w.o.Kind) {
		return fmt.Errorf("write CSV header: kind %d: %w", w.o.Kind, ErrNoColumn)
	}
	w.head = true
	for c := range firstPayload {
		if c == colShard && !w.o.Shard {
			continue
		}
		if c > 0 {
			w.buf = append(w.buf, ',')
		}
		w.buf = append(w.buf, w.t.names[c]...)
	}
	for _, f := range w.t.kinds[w.o.Kind] {
		if w.csvColumn(&f) {
			w.buf = append(append(w.buf, ','), f.Name...)
		}
	}
	w.buf = append(w.buf, '\n')
	return nil
}

// csvColumn reports whether the file has the payload column.
func (w *Writer) csvColumn(f *field) bool { return f.Name != "prints" || w.o.Prints }

// Flush hands everything to the underlying writer.
func (w *Writer) Flush() error {
	if len(w.buf) == 0 {
		return nil
	}
	_, err := w.w.Write(w.buf)
	w.buf = w.buf[:0]
	return err
}

// wireKind is the kind as files and topics name it.
func (w *Writer) wireKind(b *market.Batch, i int) string {
	if b.Kind != market.KindBook {
		return w.t.known.Name(b.Kind)
	}
	if b.Cols[market.BookOrigin].I64[i] == market.OriginDelta {
		return "orderbook.delta"
	}
	return "orderbook.snapshot"
}

// name returns the printed feed and instrument of row i.
func (w *Writer) name(b *market.Batch, i int) []byte {
	h := int(b.Inst[i])
	for len(w.names) <= h {
		w.names = append(w.names, instRow{})
	}
	r := &w.names[h]
	if r.text != nil && r.feed == b.Feed[i] {
		return r.text
	}
	in := w.insts.Get(b.Inst[i])
	feed := w.feeds.Get(b.Feed[i]).Name
	r.feed = b.Feed[i]
	if w.o.Format == CSV {
		r.text = fmt.Appendf(r.text[:0], ",%s,%s,%s,%s,", feed, in.Exchange, in.Venue, in.Symbol)
	} else {
		r.text = fmt.Appendf(r.text[:0], `"feed":"%s","exchange":"%s","market":"%s","symbol":"%s",`,
			feed, in.Exchange, in.Venue, in.Symbol)
	}
	return r.text
}

func (w *Writer) csvRow(b *market.Batch, i int) error {
	if b.Kind != w.o.Kind {
		return fmt.Errorf("write %s row into a CSV file of kind %s: %w", b.Kind, w.o.Kind, ErrNoColumn)
	}
	d := append(w.buf, w.wireKind(b, i)...)
	d = append(d, w.name(b, i)...)
	d = append(strconv.AppendInt(d, b.EventTS[i], 10), ',')
	if b.IngestTS[i] != market.NoTime {
		d = strconv.AppendInt(d, b.IngestTS[i], 10)
	}
	d = append(d, ',')
	if b.HasSeq[i] {
		d = strconv.AppendUint(d, b.Seq[i], 10)
	}
	if w.o.Shard {
		d = strconv.AppendUint(append(d, ','), uint64(b.Shard[i]), 10)
	}
	fields := w.t.kinds[b.Kind]
	for j := range fields {
		f := &fields[j]
		if !w.csvColumn(f) {
			if b.Cols[f.index].I64[i] != 1 {
				return fmt.Errorf("write trade of %d prints without option Prints: %w", b.Cols[f.index].I64[i], ErrNoColumn)
			}
			continue
		}
		var err error
		if d, err = appendCSV(append(d, ','), b, f, i); err != nil {
			return err
		}
	}
	w.buf = d
	return nil
}

func appendCSV(d []byte, b *market.Batch, f *field, i int) ([]byte, error) {
	c := &b.Cols[f.index]
	switch {
	case f.Type == typeLevels:
		return appendLevels(d, b, f, i, false), nil
	case c.IsNull(i):
		return d, nil
	case f.Type == market.TypeText:
		s := c.Text(i)
		if err := checkText(f, s); err != nil {
			return nil, err
		}
		return appendQuoted(d, s), nil
	}
	return appendPlain(d, c, f, i)
}

// appendPlain prints a number, word, time or truth value.
func appendPlain(d []byte, c *market.Col, f *field, i int) ([]byte, error) {
	switch f.Type {
	case market.TypeDec:
		return num.Dec{M: c.I64[i], S: c.Scale[i]}.Append(d), nil
	case market.TypeEnum:
		if v := c.I64[i]; v < 0 || v >= int64(len(f.Words)) {
			return nil, fmt.Errorf("write %s: code %d: %w", f.Name, v, ErrNoColumn)
		}
		return append(d, f.Words[c.I64[i]]...), nil
	case market.TypeBool:
		return strconv.AppendBool(d, c.I64[i] != 0), nil
	case market.TypeFloat:
		return strconv.AppendFloat(d, c.F64[i], 'g', -1, 64), nil
	}
	return strconv.AppendInt(d, c.I64[i], 10), nil
}

// appendQuoted prints a text as a CSV field. An empty text is quoted: a bare empty
// field is null.
func appendQuoted(d, s []byte) []byte {
	plain := len(s) > 0
	for _, b := range s {
		if b == ',' || b == '"' {
			plain = false
		}
	}
	if plain {
		return append(d, s...)
	}
	d = append(d, '"')
	for _, b := range s {
		if b == '"' {
			d = append(d, '"')
		}
		d = append(d, b)
	}
	return append(d, '"')
}

// checkText refuses what the reader refuses.
func checkText(f *field, s []byte) error {
	for _, b := range s {
		if b < ' ' || b == 0x7f {
			return fmt.Errorf("write %s: control character %#x: %w", f.Name, b, ErrNoColumn)
		}
	}
	if !utf8.Valid(s) {
		return fmt.Errorf("write %s: not UTF-8: %w", f.Name, ErrNoColumn)
	}
	return nil
}

// appendLevels prints the price list at f.index with the quantities that follow it.
func appendLevels(d []byte, b *market.Batch, f *field, i int, json bool) []byte {
	p, q := &b.Cols[f.index], &b.Cols[f.index+1]
	prices, sizes := p.Decs(i), q.Decs(i)
	if json {
		d = append(d, '[')
	}
	for j := range prices {
		switch {
		case json && j > 0:
			d = append(d, `,["`...)
		case json:
			d = append(d, `["`...)
		case j > 0:
			d = append(d, '|')
		}
		d = num.Dec{M: prices[j], S: p.Scale[i]}.Append(d)
		if json {
			d = append(d, `","`...)
		} else {
			d = append(d, ':')
		}
		d = num.Dec{M: sizes[j], S: q.Scale[i]}.Append(d)
		if json {
			d = append(d, `"]`...)
		}
	}
	if json {
		d = append(d, ']')
	}
	return d
}

func (w *Writer) jsonRow(b *market.Batch, i int) error {
	d := append(w.buf, `{"kind":"`...)
	d = append(append(d, w.wireKind(b, i)...), `",`...)
	d = append(d, w.name(b, i)...)
	d = strconv.AppendInt(append(d, `"event_ts":`...), b.EventTS[i], 10)
	if b.IngestTS[i] != market.NoTime {
		d = strconv.AppendInt(append(d, `,"ingest_ts":`...), b.IngestTS[i], 10)
	}
	if b.HasSeq[i] {
		d = strconv.AppendUint(append(d, `,"seq":`...), b.Seq[i], 10)
	}
	if w.o.Shard {
		d = strconv.AppendUint(append(d, `,"shard":`...), uint64(b.Shard[i]), 10)
	}
	fields := w.t.kinds[b.Kind]
	for j := range fields {
		f := &fields[j]
		c := &b.Cols[f.index]
		if f.Type != typeLevels && c.IsNull(i) || f.Name == "prints" && c.I64[i] == 1 {
			continue
		}
		d = append(append(append(d, `,"`...), f.Name...), `":`...)
		var err error
		if d, err = appendJSON(d, b, f, i); err != nil {
			return err
		}
	}
	w.buf = append(d, '}')
	return nil
}

func appendJSON(d []byte, b *market.Batch, f *field, i int) ([]byte, error) {
	c := &b.Cols[f.index]
	switch f.Type {
	case typeLevels:
		return appendLevels(d, b, f, i, true), nil
	case market.TypeText:
		s := c.Text(i)
		if err := checkText(f, s); err != nil {
			return nil, err
		}
		d = append(d, '"')
		for _, x := range s {
			if x == '"' || x == '\\' {
				d = append(d, '\\')
			}
			d = append(d, x)
		}
		return append(d, '"'), nil
	case market.TypeDec, market.TypeEnum:
		d, err := appendPlain(append(d, '"'), c, f, i)
		return append(d, '"'), err
	}
	return appendPlain(d, c, f, i)
}
