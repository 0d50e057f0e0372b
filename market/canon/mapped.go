package canon

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/adapters"
	"github.com/pinova-group/tidemark/market/num"
)

// Map says how the rows of a CSV file that is not canonical become events of one kind: which
// of its columns, or which constant, each canonical column is. What comes out is read, checked
// and identified as a canonical row is.
type Map struct {
	File    string            // where the map stands, for messages
	Kind    string            // canonical name, such as trade
	Columns map[string]Source // by canonical column
	Header  []string          // names of the columns, for files without a header line
	Nulls   []string          // fields that mean null, besides the empty one
}

// Source is where the values of a canonical column come from.
type Source struct {
	Column string            // of the file; "": Value is the value of every row
	Value  string            // a constant
	Unit   string            // of times and durations that are numbers: s, ms, us, ns; "" is us
	Add    int64             // µs to add to a time
	Scale  int               // of decimals: digits after the point that the file leaves out, so 9325110 with scale 2 is 93251.10
	Words  map[string]string // what fields mean; others stay as they are
}

// units of times, as digits after the point of a microsecond.
var units = map[string]int8{"": 0, "us": 0, "ms": -3, "s": -6, "ns": 3}

// Mapped makes the adapter of files that a map describes, or says what is wrong with the map.
func Mapped(m *Map, kinds *market.Kinds) (*adapters.Adapter, error) {
	if _, err := m.bind(columnsOf(kinds)); err != nil {
		fe := fault.From(err)
		fe.Where = m.File
		return nil, fe
	}
	return &adapters.Adapter{
		Name: "mapped", Doc: "CSV or Parquet with a map of its columns", Framing: adapters.Lines,
		Detect: func([]byte) int { return 100 },
		New: func(env adapters.Env) adapters.Decoder {
			d := &mapped{m: m, decoder: newDecoder(env).(*decoder)}
			d.binds, _ = m.bind(d.columns) // it succeeded above
			d.carries[d.columns.kindOf(m.Kind)] = true
			for _, s := range m.Header {
				d.names = append(d.names, []byte(s))
			}
			d.nulls = map[string]bool{}
			for _, s := range m.Nulls {
				d.nulls[s] = true
			}
			return d
		},
	}, nil
}

func (t *table) kindOf(name string) market.Kind {
	k, _ := t.known.Parse(name)
	return k
}

// bind is one canonical column of a mapped file.
type bind struct {
	col   column
	name  string // canonical
	typ   market.Type
	src   Source
	words map[string][]byte
	at    int    // field of the row, -1 constant
	buf   []byte // of the converted field
}

// bind checks the map against the columns of its kind.
func (m *Map) bind(t *table) ([]bind, error) {
	k := t.kindOf(m.Kind)
	if !t.has(k) {
		var names []string
		for k := market.KindTrade; k <= market.KindStatus; k++ {
			names = append(names, k.String())
		}
		for _, k := range t.known.Defined() {
			names = append(names, t.known.Name(k))
		}
		return nil, fault.Usage("map_invalid", fmt.Sprintf("no kind is called %q", m.Kind), fault.DidYouMean(m.Kind, names))
	}
	types := map[string]market.Type{
		"feed": market.TypeText, "exchange": market.TypeText, "market": market.TypeText, "symbol": market.TypeText,
		"event_ts": market.TypeTime, "ingest_ts": market.TypeTime, "seq": market.TypeInt, "shard": market.TypeInt,
	}
	seen := make([]bool, len(t.names))
	for i := range t.kinds[k] {
		types[t.kinds[k][i].Name] = t.kinds[k][i].Type
	}
	binds := []bind{{col: colKind, at: -1, src: Source{Value: m.Kind}, typ: market.TypeText}}
	for _, name := range slices.Sorted(maps.Keys(m.Columns)) {
		typ, ok := types[name]
		if !ok {
			return nil, fault.Usage("map_invalid", fmt.Sprintf("%s has no column %q", m.Kind, name), fault.DidYouMean(name, slices.Sorted(maps.Keys(types))))
		}
		b := bind{col: t.byName[name], name: name, typ: typ, src: m.Columns[name], at: -1}
		if err := b.check(); err != nil {
			return nil, err
		}
		b.words = map[string][]byte{}
		for from, to := range b.src.Words {
			b.words[from] = []byte(to)
		}
		seen[b.col] = true
		binds = append(binds, b)
	}
	for _, c := range []column{colMarket, colSymbol, colEventTS} {
		if !seen[c] {
			return nil, fault.Usage("map_invalid", "the map does not say what "+t.names[c]+" is", "give it a column of the file, {column: NAME}, or a constant")
		}
	}
	if why := lacks(t.kinds[k], seen); why != "" {
		return nil, fault.Usage("map_invalid", "the map does not say all of a "+m.Kind+": "+why, "give it a column of the file, {column: NAME}, or a constant")
	}
	return binds, nil
}

// check looks whether what is said of a column fits its type.
func (b *bind) check() error {
	wrong := func(what string) error {
		return fault.Usage("map_invalid", fmt.Sprintf("column %s: %s", b.name, what), "")
	}
	s := &b.src
	_, known := units[s.Unit]
	switch {
	case (s.Column == "") == (s.Value == ""):
		return wrong("either a column of the file or a constant")
	case !known:
		return fault.Usage("map_invalid", fmt.Sprintf("column %s: unit %q", b.name, s.Unit), "s, ms, us or ns")
	case s.Unit != "" && b.typ != market.TypeTime && b.typ != market.TypeDur:
		return wrong("only times and durations have a unit")
	case s.Add != 0 && b.typ != market.TypeTime:
		return wrong("only to a time something is added")
	case s.Scale != 0 && b.typ != market.TypeDec:
		return wrong("only decimals have a scale")
	case s.Scale < 0 || s.Scale > num.MaxScale:
		return wrong(fmt.Sprintf("a scale of %d is not in 0 to %d", s.Scale, num.MaxScale))
	case len(s.Words) > 0 && s.Column == "":
		return wrong("a constant has no words")
	}
	return nil
}

// mapped decodes the files of a Map.
type mapped struct {
	m *Map
	*decoder
	binds  []bind
	names  [][]byte // of the columns, nil before the header
	sep    byte     // 0: not known yet
	first  []byte   // the header line
	fields []cell
	nulls  map[string]bool
	bad    bool // the header was refused
}

// separators that a file may have between its fields, found by looking.
const separators = ",;\t|"

// Decode implements adapters.Decoder.
func (d *mapped) Decode(rec *adapters.Record, out *market.Chunk) error {
	line := rec.Data
	if rec.Offset <= 1 {
		line = bytes.TrimPrefix(line, bom)
	}
	line = bytes.TrimRight(line, "\r\n")
	if len(line) == 0 {
		return nil
	}
	var bad *adapters.BadRecord
	switch {
	case d.bad:
		bad = adapters.Bad("the header of the file was refused", line)
	case d.sep == 0:
		bad = d.begin(rec, line, out)
	case bytes.Equal(line, d.first):
		return nil // files put one behind the other
	default:
		bad = d.line(rec, line, out)
	}
	if bad != nil {
		return bad
	}
	return nil
}

// begin reads the first line: the header, or the first row of a file without one.
func (d *mapped) begin(rec *adapters.Record, line []byte, out *market.Chunk) *adapters.BadRecord {
	headless := d.names != nil
	best := -1
	for _, sep := range []byte(separators) {
		n := len(splitFields(nil, line, sep))
		if headless && n == len(d.names) || !headless && n > max(best, 0) {
			best, d.sep = n, sep
			if headless {
				break
			}
		}
	}
	if best < 0 {
		return adapters.Bad(badFields, line)
	}
	d.fields = splitFields(d.fields[:0], line, d.sep)
	if headless {
		if bad := d.locate(); bad != nil {
			return bad
		}
		for i, c := range d.fields {
			if !bytes.Equal(bytes.TrimSpace(c.b), d.names[i]) {
				return d.line(rec, line, out)
			}
		}
		d.first = bytes.Clone(line)
		return nil // the header is there all the same
	}
	for _, c := range d.fields {
		d.names = append(d.names, bytes.Clone(bytes.TrimSpace(c.b)))
	}
	d.first = bytes.Clone(line)
	return d.locate()
}

// locate finds the columns of the map among those of the file. A file without one of them is
// refused as a whole.
func (d *mapped) locate() *adapters.BadRecord {
	for i := range d.binds {
		b := &d.binds[i]
		if b.src.Column == "" {
			c, bad := b.convert(cell{[]byte(b.src.Value), formRaw})
			if bad != nil {
				d.bad = true
				return bad
			}
			d.cells[b.col] = cell{bytes.Clone(c.b), c.f}
			continue
		}
		b.at = slices.IndexFunc(d.names, func(n []byte) bool { return string(n) == b.src.Column })
		if b.at < 0 {
			d.bad = true
			bad := adapters.Bad("the file has no such column", nil)
			bad.Detail = fmt.Sprintf("%s, for %s (it has %s)", b.src.Column, b.name, bytes.Join(d.names, []byte(", ")))
			return bad
		}
	}
	return nil
}

// line turns one row into an event.
func (d *mapped) line(rec *adapters.Record, line []byte, out *market.Chunk) *adapters.BadRecord {
	d.fields = splitFields(d.fields[:0], line, d.sep)
	if d.fields == nil {
		return adapters.Bad("quotes are not by RFC 4180", line)
	}
	if len(d.fields) != len(d.names) {
		return adapters.Bad(badFields, line)
	}
	for i := range d.binds {
		b := &d.binds[i]
		if b.at < 0 {
			continue
		}
		c := d.fields[b.at]
		if c.f == formRaw {
			c.b = bytes.TrimSpace(c.b)
		}
		if len(d.nulls) > 0 && d.nulls[string(c.b)] {
			c = cell{}
		}
		if c.null() {
			d.cells[b.col] = cell{}
			continue
		}
		var bad *adapters.BadRecord
		if d.cells[b.col], bad = b.convert(c); bad != nil {
			return bad
		}
	}
	return d.row(rec, out, false)
}

// splitFields puts the fields of a line behind dst; nil when its quotes are not by RFC 4180.
func splitFields(dst []cell, line []byte, sep byte) []cell {
	if bytes.IndexByte(line, '"') < 0 {
		for {
			j := bytes.IndexByte(line, sep)
			if j < 0 {
				return append(dst, cell{line, formRaw})
			}
			dst = append(dst, cell{line[:j], formRaw})
			line = line[j+1:]
		}
	}
	for more := true; more; {
		var c cell
		var ok bool
		if c, line, more, ok = quotedField(line, sep); !ok {
			return nil
		}
		dst = append(dst, c)
	}
	return dst
}

// convert makes the canonical field of one of the file.
func (b *bind) convert(c cell) (cell, *adapters.BadRecord) {
	if w, ok := b.words[string(c.b)]; ok {
		c = cell{w, formRaw}
	}
	if c.null() {
		return cell{}, nil
	}
	switch b.typ {
	case market.TypeTime:
		v, ok := b.time(c.b)
		if v += b.src.Add; !ok || !market.ValidTime(v) {
			return c, b.outOfRange(c.b)
		}
		b.buf = num.Dec{M: v}.Append(b.buf[:0])
	case market.TypeDur:
		v, ok := number(c.b, b.src.Unit)
		if !ok {
			if v, ok = duration(c.b); !ok {
				return c, adapters.Bad(b.name+" is not a duration", c.b)
			}
		}
		b.buf = num.Dec{M: v}.Append(b.buf[:0])
	case market.TypeDec:
		if b.src.Scale == 0 {
			return c, nil
		}
		n, err := num.ParseDec(c.b)
		if err != nil || int(n.S)+b.src.Scale > num.MaxScale {
			return c, adapters.Bad(badNumber, c.b)
		}
		n.S += int8(b.src.Scale)
		b.buf = n.Append(b.buf[:0])
	case market.TypeEnum, market.TypeBool:
		b.buf = append(b.buf[:0], c.b...)
		for i, x := range b.buf {
			if x >= 'A' && x <= 'Z' {
				b.buf[i] = x | 0x20
			}
		}
	default:
		return c, nil
	}
	return cell{b.buf, formRaw}, nil
}

func (b *bind) reason() string {
	switch b.col {
	case colEventTS:
		return badTime
	case colIngestTS:
		return badIngest
	}
	return b.name + " out of range"
}

// outOfRange says in which unit a time would be in range.
func (b *bind) outOfRange(text []byte) *adapters.BadRecord {
	bad := adapters.Bad(b.reason(), text)
	unit := b.src.Unit
	if unit == "" {
		unit = "us"
	}
	for _, u := range []string{"s", "ms", "us", "ns"} {
		if v, ok := number(text, u); ok && u != unit && market.ValidTime(v+b.src.Add) {
			bad.Detail = fmt.Sprintf("%s (looks like %s, the map says %s)", bad.Detail, u, unit)
		}
	}
	return bad
}

// time reads a time in µs: a number in the unit, or a text by ISO 8601, UTC where it has no
// zone. What is finer than a microsecond is cut off.
func (b *bind) time(text []byte) (int64, bool) {
	if v, ok := number(text, b.src.Unit); ok {
		return v, true
	}
	if len(text) > 40 {
		return 0, false
	}
	s := strings.TrimSuffix(string(text), " UTC")
	if len(s) > 10 && s[10] == ' ' {
		s = s[:10] + "T" + s[11:]
	}
	for _, layout := range []string{"2006-01-02T15:04:05", "2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05Z07", "2006-01-02T15:04:05Z0700", "2006-01-02", "2006-01-02T15:04"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UnixMicro(), true
		}
	}
	return 0, false
}

// durations are the units of texts such as 15m.
var durations = map[string]int64{
	"us": market.Microsecond, "ms": market.Millisecond, "s": market.Second, "m": market.Minute, "h": market.Hour, "d": market.Day, "w": market.Week,
}

func duration(text []byte) (int64, bool) {
	digits := len(text) - len(bytes.TrimLeft(text, "0123456789"))
	n, ok := parseInt(text[:digits])
	unit := durations[string(text[digits:])]
	return n * unit, ok && unit > 0 && n*unit/unit == n
}

// number reads a decimal number of a unit in µs; what is finer is cut off, away from the future.
func number(text []byte, unit string) (int64, bool) {
	shift := units[unit]
	if v, ok := parseInt(text); ok && shift <= 0 {
		p := int64(num.Pow10[-shift])
		return v * p, v*p/p == v
	}
	n, err := num.ParseDec(text)
	if err != nil {
		return 0, false
	}
	digits := n.S + shift // after the point of a microsecond
	if digits <= 0 {
		p := int64(num.Pow10[-digits])
		return n.M * p, n.M*p/p == n.M
	}
	if digits > num.MaxScale {
		return 0, false
	}
	p := int64(num.Pow10[digits])
	v := n.M / p
	if n.M%p < 0 {
		v--
	}
	return v, true
}
