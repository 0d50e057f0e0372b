package canon

import (
	"bytes"
	"fmt"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/adapters"
)

// form is what a cell holds.
type form uint8

const (
	formAbsent form = iota
	formRaw         // CSV, not quoted: empty means null
	formString      // quoted: empty is an empty text
	formNumber      // JSON
	formBool        // JSON true or false
	formNull        // JSON null
	formArray       // JSON array, from bracket to bracket
)

// cell is one value of a row; b is part of the record.
type cell struct {
	b []byte
	f form
}

func (c *cell) null() bool {
	return c.f == formAbsent || c.f == formNull || c.f == formRaw && len(c.b) == 0
}

// text reports whether the cell may stand for a text; CSV has nothing else, and JSON
// numbers are taken for ids.
func (c *cell) text() bool { return c.f == formRaw || c.f == formString || c.f == formNumber }

// decoder implements adapters.Decoder for one input.
type decoder struct {
	env     adapters.Env
	columns *table
	cells   []cell // by column

	header   []column // of the CSV part; nil before the header line
	headLine []byte   // to know it again when files were joined
	headBad  bool
	carries  [market.NumKinds]bool   // kinds whose columns the header has
	lacks    [market.NumKinds]string // what it has not, of the other ones
	keyOrder []column                // keys of the JSON line before, a guess for the next
	lastKind [2]kindWord             // the last CSV and JSON kind words seen
	lanes    map[string]*lane
	lastLane *lane
	laneKey  []byte
	feeds    map[string]market.FeedID
	vals     [market.MaxColumns]value
	bids     side
	asks     side
	idBuf    []byte
	payload  []byte
	rows     ordinals
	envelope market.Envelope
	mixed    bool // a JSON line may have filled cells that the header does not name
}

type kindWord struct {
	word []byte
	kind market.Kind
	wire wire
}

// wire tells the two kinds of book rows apart.
type wire uint8

const (
	wireAny wire = iota
	wireDelta
	wireSnapshot
)

func newDecoder(env adapters.Env) adapters.Decoder {
	t := columnsOf(env.Kinds)
	return &decoder{env: env, columns: t, cells: make([]cell, len(t.names)), lanes: map[string]*lane{}}
}

// Decode implements adapters.Decoder. A header line and blank lines give no event and
// no error.
func (d *decoder) Decode(rec *adapters.Record, out *market.Chunk) error {
	line := rec.Data
	if rec.Offset <= 1 {
		line = bytes.TrimPrefix(line, bom)
	}
	for len(line) > 0 && (line[len(line)-1] == '\r' || line[len(line)-1] == '\n') {
		line = line[:len(line)-1]
	}
	if len(line) == 0 {
		return nil
	}
	var bad *adapters.BadRecord
	if line[0] == '{' {
		if bad = d.scanJSON(line); bad == nil {
			bad = d.row(rec, out, true)
		}
	} else {
		bad = d.csvLine(rec, line, out)
	}
	if bad != nil { // not returned as it is: a nil *BadRecord would be an error that is not nil
		return bad
	}
	return nil
}

func (d *decoder) csvLine(rec *adapters.Record, line []byte, out *market.Chunk) *adapters.BadRecord {
	switch {
	case d.headBad:
		return adapters.Bad("the header of the file was refused", line)
	case d.header == nil:
		if len(bytes.TrimSpace(line)) == 0 {
			return nil
		}
		bad := d.readHeader(line)
		d.headBad = bad != nil
		return bad
	case len(line) == len(d.headLine) && bytes.Equal(line, d.headLine):
		return nil // files put one behind the other
	}
	if d.mixed {
		clear(d.cells)
		d.mixed = false
	}
	if bad := d.splitCSV(line); bad != nil {
		return bad
	}
	return d.row(rec, out, false)
}

// kind reads the kind of the row; the word of the row before is tried first.
func (d *decoder) kind(json bool) (market.Kind, wire, *adapters.BadRecord) {
	c := &d.cells[colKind]
	last := &d.lastKind[0]
	if json {
		last = &d.lastKind[1]
	}
	if last.kind != market.KindNone && bytes.Equal(c.b, last.word) {
		return last.kind, last.wire, nil
	}
	if c.null() {
		return 0, 0, adapters.Bad("kind is missing", nil)
	}
	k, ok := d.env.Kinds.Parse(string(c.b))
	if !ok {
		return 0, 0, adapters.Bad("kind is not known", c.b)
	}
	if !json && !d.carries[k] {
		bad := adapters.Bad("kind does not agree with the header", c.b)
		bad.Detail = fmt.Sprintf("%s (%s)", bad.Detail, d.lacks[k])
		return 0, 0, bad
	}
	w := wireAny
	switch string(c.b) {
	case "orderbook.delta":
		w = wireDelta
	case "orderbook.snapshot":
		w = wireSnapshot
	}
	*last = kindWord{append(last.word[:0], c.b...), k, w}
	return k, w, nil
}
