package canon

import (
	"github.com/pinova-group/tidemark/market"
)

// column is the number of a column name among all names that canonical files may have.
type column uint16

// Envelope columns, in the order of a file's header.
const (
	colKind column = iota
	colFeed
	colExchange
	colMarket
	colSymbol
	colEventTS
	colIngestTS
	colSeq
	colShard
	firstPayload
)

var envelopeNames = [firstPayload]string{
	"kind", "feed", "exchange", "market", "symbol", "event_ts", "ingest_ts", "seq", "shard",
}

// ignoredNames are columns of processed tables: files exported from there read back,
// but what the sequencer decided is decided anew.
var ignoredNames = []string{"ts", "epoch", "flags", "raw_bytes", "event_id", "src", "inst"}

// typeLevels is the type of bids and asks: two lists of the schema in one column.
const typeLevels market.Type = 100

// field is a payload column of a kind.
type field struct {
	market.Field
	col      column
	index    int   // place in market.Schema; of levels the price list, quantities follow
	optional bool  // absent or empty means def
	signed   bool  // a whole number may be negative: of user-defined kinds
	def      int64 // value of an optional column; of texts, what the symbol tells
}

// defaults of columns that a file may leave out although the schema has no null there.
var defaults = map[market.Kind]map[string]int64{
	market.KindTrade:       {"side": market.SideUnknown, "prints": 1},
	market.KindLiquidation: {"side": market.SideUnknown},
	market.KindBook:        {"origin": -1}, // told by the wire kind
	market.KindFunding:     {"form": 0},
	market.KindCandle:      {"closed": 1},
	market.KindInstrument:  {"inverse": 0, "state": 0, "base_asset": 0, "quote_asset": 0},
}

// table is the description of all canonical columns of a set of kinds.
type table struct {
	known  *market.Kinds
	names  []string
	byName map[string]column
	kinds  [market.NumKinds][]field
}

// columns are those of the kinds of the release.
var columns = newTable(nil)

// columnsOf is the table of these kinds.
func columnsOf(kinds *market.Kinds) *table {
	if len(kinds.Defined()) == 0 {
		return columns
	}
	return newTable(kinds)
}

func newTable(kinds *market.Kinds) *table {
	t := &table{known: kinds, byName: map[string]column{}}
	for _, n := range envelopeNames {
		t.column(n)
	}
	for k := market.KindTrade; k <= market.KindWatermark; k++ {
		t.kinds[k] = t.fields(k)
	}
	for _, n := range ignoredNames {
		t.column(n)
	}
	for _, k := range kinds.Defined() {
		t.kinds[k] = t.fields(k)
	}
	return t
}

func (t *table) column(name string) column {
	c, ok := t.byName[name]
	if !ok {
		c = column(len(t.names))
		t.byName[name] = c
		t.names = append(t.names, name)
	}
	return c
}

// fields lists the payload columns of a kind in the order of the file.
func (t *table) fields(k market.Kind) []field {
	var out []field
	var levels []field
	for i, f := range t.known.Fields(k) {
		if f.Type == market.TypeDecs {
			if i == market.BookBidPrice || i == market.BookAskPrice {
				f.Name, f.Type = map[int]string{market.BookBidPrice: "bids", market.BookAskPrice: "asks"}[i], typeLevels
				levels = append(levels, field{Field: f, index: i, optional: true, col: t.column(f.Name)})
			}
			continue
		}
		def, optional := defaults[k][f.Name]
		out = append(out, field{Field: f, col: t.column(f.Name), index: i, optional: optional, def: def, signed: t.known.Definition(k) != nil})
	}
	return append(out, levels...) // lists last, where people can skip them
}

// has reports whether the table has the kind.
func (t *table) has(k market.Kind) bool {
	return k > market.KindNone && k <= market.KindWatermark || t.known.Definition(k) != nil
}

// required reports whether a header without the column cannot carry the kind.
func (f *field) required() bool { return !f.Nullable && !f.optional }

// Columns lists the columns of a kind in the order in which a CSV file has them.
// Optional ones that NewWriter writes on request only (shard, prints) are included.
func Columns(k market.Kind) []string {
	out := append([]string(nil), envelopeNames[:]...)
	for _, f := range columns.kinds[k] {
		out = append(out, f.Name)
	}
	return out
}
