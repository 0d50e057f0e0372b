package adapters

import (
	"bytes"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/num"
)

// CoinbaseCSV reads the tape of Coinbase trades that QuestDB publishes.
var CoinbaseCSV = &Adapter{
	Name:    "coinbase-csv",
	Doc:     "Coinbase trades as CSV: symbol, side, price, amount, timestamp (ISO, microseconds)",
	Framing: Lines,
	Detect: func(head []byte) int {
		line, _, _ := bytes.Cut(trimSpace(head), []byte("\n"))
		if isCoinbaseHeader(line) {
			return 100
		}
		return 0
	},
	New: func(env Env) Decoder { return &coinbaseCSV{session: newSession(env)} },
	Mapping: []Mapping{
		{"row", market.KindTrade, "side is the taker's; no trade id: the id is made of the row and its ordinal among equal rows"},
		{"header", market.KindNone, "names of the columns"},
	},
}

type coinbaseCSV struct {
	session
	syms symbols
}

func isCoinbaseHeader(line []byte) bool {
	line = bytes.ReplaceAll(bytes.TrimSpace(line), []byte{'"'}, nil)
	return string(line) == "symbol,side,price,amount,timestamp"
}

// Decode implements Decoder.
func (d *coinbaseCSV) Decode(rec *Record, out *market.Chunk) error {
	if err := d.open(rec, out); err != nil {
		return err
	}
	row := d.rec.Data
	if bytes.HasPrefix(unquoted(row[:min(len(row), 8)]), []byte("symbol")) && isCoinbaseHeader(row) {
		return Filtered("header")
	}
	if reason := d.row(row); reason != "" {
		return Bad(reason, row)
	}
	return nil
}

// row decodes a line and returns what is wrong with it, or "".
func (d *coinbaseCSV) row(row []byte) string {
	var f [5][]byte
	rest := row
	for i := range f {
		cell, after, more := bytes.Cut(rest, []byte{','})
		if more != (i < len(f)-1) {
			return badField
		}
		f[i], rest = unquoted(cell), after
	}
	t := tradeRow{prints: 1}
	var err1, err2 error
	t.price, err1 = num.ParseDec(f[2])
	t.qty, err2 = num.ParseDec(f[3])
	if err1 != nil || err2 != nil {
		return badNumber
	}
	if why := t.check(); why != "" {
		return why
	}
	ts, ok := isoTime(f[4])
	if !ok || !d.when(ts) {
		return badTime
	}
	switch string(f[1]) {
	case "buy":
		t.side = market.SideBuy
	case "sell":
		t.side = market.SideSell
	default:
		return badField
	}
	if len(f[0]) == 0 {
		return badSymbol
	}
	l := d.syms.get(f[0], func(s []byte) *lane {
		return d.lanes.get("coinbase-tape", "", "coinbase", market.Spot, canonical(s))
	})
	if l == nil {
		return badManyInst
	}
	e := d.event(l, ts)
	e.ID = d.payloadID(l, market.KindTrade, row)
	d.appendTrade(&t, e)
	return ""
}

// State implements Decoder.
func (d *coinbaseCSV) State(s *State) { d.state(s) }
