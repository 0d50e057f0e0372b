package market

// Type is the type of one column of a kind.
type Type uint8

// Column types and the slices of Col that hold them.
const (
	TypeDec   Type = iota + 1 // exact decimal: I64 mantissa, Scale digits after the point
	TypeInt                   // I64
	TypeTime                  // I64, microseconds UTC
	TypeDur                   // I64, microseconds
	TypeEnum                  // I64, index into Field.Words
	TypeBool                  // I64, 0 or 1
	TypeText                  // Bytes, Off
	TypeDecs                  // list of decimals: I64 mantissas, Off, one Scale a row
	TypeFloat                 // F64, only in rows of views and user-defined kinds, never NaN or -0
)

// Field describes one column. Its position in the schema is its permanent id; fields
// are only ever added at the end.
type Field struct {
	Name     string
	Type     Type
	Nullable bool
	Words    []string // of an enum, by code
	Unit     string   // "quote" (price), "base" (size), "" …; for documentation and unit checks
	Doc      string
}

// Words of the enums.
var (
	SideWords    = []string{"unknown", "buy", "sell"}
	OriginWords  = []string{"delta", "venue", "rest", "keyframe"}
	FundingWords = []string{"settled", "predicted"}
	StatusWords  = []string{"up", "down", "idle", "gap", "resync", "crossed", "checksum", "maintenance"}
	ListingWords = []string{"trading", "halted", "delisted"}
)

// Codes of SideWords: the taker's side.
const (
	SideUnknown = 0
	SideBuy     = 1
	SideSell    = 2
)

// Codes of OriginWords. A delta changes levels (quantity 0 deletes); the others replace the book.
const (
	OriginDelta    = 0 // orderbook.delta
	OriginVenue    = 1 // snapshot pushed by the venue in its chain
	OriginREST     = 2 // snapshot asked for over REST
	OriginKeyframe = 3 // snapshot written by the sequencer
)

// Codes of StatusWords.
const (
	StatusUp          = 0
	StatusDown        = 1
	StatusIdle        = 2
	StatusGap         = 3
	StatusResync      = 4
	StatusCrossed     = 5
	StatusChecksum    = 6
	StatusMaintenance = 7
)

// Columns of a trade.
const (
	TradeVenueID  = 0
	TradeSide     = 1
	TradePrice    = 2
	TradeQuantity = 3
	TradePrints   = 4
)

// Columns of a quote.
const (
	QuoteBidPrice    = 0
	QuoteBidQuantity = 1
	QuoteAskPrice    = 2
	QuoteAskQuantity = 3
)

// Columns of a book event, delta or snapshot.
const (
	BookOrigin      = 0
	BookFirstSeq    = 1
	BookPrevSeq     = 2
	BookChecksum    = 3
	BookBidPrice    = 4
	BookBidQuantity = 5
	BookAskPrice    = 6
	BookAskQuantity = 7
	BookDepth       = 8
)

// Columns of a funding event.
const (
	FundingRate     = 0
	FundingForm     = 1
	FundingNextTS   = 2
	FundingInterval = 3
)

// Columns of a liquidation.
const (
	LiqVenueID  = 0
	LiqSide     = 1
	LiqPrice    = 2
	LiqQuantity = 3
)

// Columns of a candle.
const (
	CandleInterval = 0
	CandleOpenTS   = 1
	CandleOpen     = 2
	CandleHigh     = 3
	CandleLow      = 4
	CandleClose    = 5
	CandleVolume   = 6
	CandleNotional = 7
	CandleTrades   = 8
	CandleTakerBuy = 9
	CandleClosed   = 10
)

// Columns of a mark price.
const (
	MarkPrice      = 0
	MarkIndexPrice = 1
	MarkSettle     = 2
)

// Columns of an open-interest event.
const (
	OIQuantity = 0
	OINotional = 1
)

// Columns of an instrument event (reference data, effective at its event time).
const (
	InstrBase         = 0
	InstrQuote        = 1
	InstrTick         = 2
	InstrLot          = 3
	InstrContractSize = 4
	InstrInverse      = 5
	InstrState        = 6
	InstrListedTS     = 7
	InstrDelistedTS   = 8
)

// Columns of a status event.
const (
	StatusState   = 0
	StatusReason  = 1
	StatusFromSeq = 2
	StatusToSeq   = 3
)

var schemas = [firstDefined][]Field{
	KindTrade: {
		{Name: "id", Type: TypeText, Nullable: true, Doc: "trade id of the venue"},
		{Name: "side", Type: TypeEnum, Words: SideWords, Doc: "side of the taker"},
		{Name: "price", Type: TypeDec, Unit: "quote"},
		{Name: "quantity", Type: TypeDec, Unit: "base", Doc: "size in base units, or contracts where the venue trades contracts"},
		{Name: "prints", Type: TypeInt, Doc: "venue trades in this event: 1, more for an aggregate trade"},
	},
	KindQuote: {
		{Name: "bid_price", Type: TypeDec, Nullable: true, Unit: "quote"},
		{Name: "bid_quantity", Type: TypeDec, Nullable: true, Unit: "base"},
		{Name: "ask_price", Type: TypeDec, Nullable: true, Unit: "quote"},
		{Name: "ask_quantity", Type: TypeDec, Nullable: true, Unit: "base"},
	},
	KindBook: {
		{Name: "origin", Type: TypeEnum, Words: OriginWords, Doc: "delta, or where a snapshot comes from"},
		{Name: "first_seq", Type: TypeInt, Nullable: true, Doc: "first update id of the message (Binance U); the last one is seq"},
		{Name: "prev_seq", Type: TypeInt, Nullable: true, Doc: "last update id of the message before (Binance pu, OKX prevSeqId)"},
		{Name: "checksum", Type: TypeInt, Nullable: true, Doc: "checksum as sent, unsigned 32 bits"},
		{Name: "bid_price", Type: TypeDecs, Unit: "quote"},
		{Name: "bid_quantity", Type: TypeDecs, Unit: "base", Doc: "absolute size; 0 deletes the level"},
		{Name: "ask_price", Type: TypeDecs, Unit: "quote"},
		{Name: "ask_quantity", Type: TypeDecs, Unit: "base"},
		{Name: "depth", Type: TypeInt, Nullable: true, Doc: "levels a side that the venue maintains in this channel; null when unbounded"},
	},
	KindFunding: {
		{Name: "rate", Type: TypeDec, Doc: "fraction of notional paid by longs per interval"},
		{Name: "form", Type: TypeEnum, Words: FundingWords},
		{Name: "next_ts", Type: TypeTime, Nullable: true, Doc: "next settlement"},
		{Name: "interval", Type: TypeDur, Nullable: true},
	},
	KindLiquidation: {
		{Name: "id", Type: TypeText, Nullable: true},
		{Name: "side", Type: TypeEnum, Words: SideWords, Doc: "side of the forced order; sell closes a long"},
		{Name: "price", Type: TypeDec, Unit: "quote"},
		{Name: "quantity", Type: TypeDec, Unit: "base"},
	},
	KindCandle: {
		{Name: "interval", Type: TypeDur},
		{Name: "open_ts", Type: TypeTime},
		{Name: "open", Type: TypeDec, Unit: "quote"},
		{Name: "high", Type: TypeDec, Unit: "quote"},
		{Name: "low", Type: TypeDec, Unit: "quote"},
		{Name: "close", Type: TypeDec, Unit: "quote"},
		{Name: "volume", Type: TypeDec, Unit: "base"},
		{Name: "notional", Type: TypeDec, Nullable: true, Unit: "quote"},
		{Name: "trades", Type: TypeInt, Nullable: true},
		{Name: "taker_buy", Type: TypeDec, Nullable: true, Unit: "base"},
		{Name: "closed", Type: TypeBool},
	},
	KindMarkPrice: {
		{Name: "price", Type: TypeDec, Unit: "quote"},
		{Name: "index_price", Type: TypeDec, Nullable: true, Unit: "quote"},
		{Name: "settle_price", Type: TypeDec, Nullable: true, Unit: "quote"},
	},
	KindOpenInterest: {
		{Name: "quantity", Type: TypeDec, Unit: "base"},
		{Name: "notional", Type: TypeDec, Nullable: true, Unit: "quote"},
	},
	KindInstrument: {
		{Name: "base_asset", Type: TypeText},
		{Name: "quote_asset", Type: TypeText},
		{Name: "tick_size", Type: TypeDec, Nullable: true},
		{Name: "lot_size", Type: TypeDec, Nullable: true},
		{Name: "contract_size", Type: TypeDec, Nullable: true},
		{Name: "inverse", Type: TypeBool},
		{Name: "state", Type: TypeEnum, Words: ListingWords},
		{Name: "listed_ts", Type: TypeTime, Nullable: true},
		{Name: "delisted_ts", Type: TypeTime, Nullable: true},
	},
	KindStatus: {
		{Name: "state", Type: TypeEnum, Words: StatusWords},
		{Name: "reason", Type: TypeText, Nullable: true},
		{Name: "from_seq", Type: TypeInt, Nullable: true},
		{Name: "to_seq", Type: TypeInt, Nullable: true},
	},
	KindWatermark: {},
}

// Schema returns the payload columns of a kind of the release, in field-id order; Kinds has
// those of user-defined kinds, a Batch its own. The caller must not change it.
func Schema(k Kind) []Field {
	if int(k) >= len(schemas) {
		return nil
	}
	return schemas[k]
}
