package market

import "fmt"

// Kind is the kind of an event batch. Numbers are part of Src and so of the total order. Those
// of the release are permanent; those of user-defined kinds follow from their names, see Kinds.
//
// KindBook carries two wire kinds, orderbook.delta and orderbook.snapshot: both are
// links of one chain per instrument and must keep their order among each other.
// The column BookOrigin of a row tells which one it is.
type Kind uint8

// The kinds.
const (
	KindNone         Kind = 0
	KindTrade        Kind = 1
	KindQuote        Kind = 2
	KindBook         Kind = 3
	KindFunding      Kind = 4
	KindLiquidation  Kind = 5
	KindCandle       Kind = 6
	KindMarkPrice    Kind = 7
	KindOpenInterest Kind = 8
	KindInstrument   Kind = 9
	KindStatus       Kind = 10
	KindWatermark    Kind = 11

	firstDefined = 12 // of user-defined kinds, see Kinds

	// NumKinds bounds the numbers of kinds, those of user-defined ones included.
	NumKinds = 20
)

var kindNames = [firstDefined]string{
	"", "trade", "quote", "book", "funding", "liquidation", "candle",
	"mark_price", "open_interest", "instrument", "status", "watermark",
}

// String is the name by which specs call the kind.
func (k Kind) String() string {
	if int(k) < len(kindNames) && k != KindNone {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// ParseKind reads a kind name. The wire names orderbook.snapshot and orderbook.delta
// both give KindBook.
func ParseKind(s string) (Kind, bool) {
	switch s {
	case "orderbook.snapshot", "orderbook.delta":
		return KindBook, true
	}
	for i := 1; i < firstDefined; i++ {
		if kindNames[i] == s {
			return Kind(i), true
		}
	}
	return KindNone, false
}

// Venue is the type of market that an instrument trades on.
type Venue uint8

// The markets.
const (
	Spot   Venue = 1
	Perp   Venue = 2
	Future Venue = 3
	Option Venue = 4
	Index  Venue = 5
)

var venueNames = [...]string{"", "spot", "perp", "future", "option", "index"}

func (v Venue) String() string {
	if int(v) < len(venueNames) && v != 0 {
		return venueNames[v]
	}
	return fmt.Sprintf("market(%d)", uint8(v))
}

// ParseVenue reads the name of a market type.
func ParseVenue(s string) (Venue, bool) {
	for i := 1; i < len(venueNames); i++ {
		if venueNames[i] == s {
			return Venue(i), true
		}
	}
	return 0, false
}
