package canon

import (
	"bytes"
	"strings"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/adapters"
)

// Adapter reads canonical CSV and JSONL. Both may occur in one input: a line that
// starts with a brace is JSON, the first one that does not is the CSV header.
var Adapter = &adapters.Adapter{
	Name:    "canonical",
	Doc:     "canonical CSV with header, or JSON lines with the same names",
	Framing: adapters.Lines,
	Detect:  detect,
	New:     newDecoder,
	Mapping: []adapters.Mapping{
		{Message: "kind=trade", Kind: market.KindTrade, Note: "identity: id, else seq, else the row itself"},
		{Message: "kind=quote", Kind: market.KindQuote},
		{Message: "kind=orderbook.delta", Kind: market.KindBook},
		{Message: "kind=orderbook.snapshot", Kind: market.KindBook, Note: "origin venue unless the column says rest or keyframe"},
		{Message: "kind=funding", Kind: market.KindFunding},
		{Message: "kind=liquidation", Kind: market.KindLiquidation},
		{Message: "kind=candle", Kind: market.KindCandle},
		{Message: "kind=mark_price", Kind: market.KindMarkPrice},
		{Message: "kind=open_interest", Kind: market.KindOpenInterest},
		{Message: "kind=instrument", Kind: market.KindInstrument},
		{Message: "kind=status", Kind: market.KindStatus},
		{Message: "kind=watermark", Kind: market.KindWatermark},
	},
}

var bom = []byte("\xef\xbb\xbf")

// detect looks for the names kind, market, symbol and event_ts in the first line that
// is not blank: as fields of a header, or as keys of an object.
func detect(head []byte) int {
	line := bytes.TrimPrefix(head, bom)
	for {
		var rest []byte
		var more bool
		line, rest, more = bytes.Cut(line, []byte{'\n'})
		line = bytes.TrimSpace(line)
		if len(line) > 0 || !more {
			break
		}
		line = rest
	}
	if len(line) == 0 {
		return 0
	}
	want := []string{"kind", "market", "symbol", "event_ts"}
	if line[0] == '{' {
		for _, w := range want {
			if !bytes.Contains(line, []byte(`"`+w+`"`)) {
				return 0
			}
		}
		return 95
	}
	have := 0
	for name := range strings.SplitSeq(string(line), ",") {
		name = strings.Trim(strings.TrimSpace(name), `"`)
		for _, w := range want {
			if name == w {
				have++
			}
		}
	}
	switch have {
	case len(want):
		return 100
	case len(want) - 1:
		return 40 // a header with a mistake: better read and reported than not recognised
	}
	return 0
}
