package market

import (
	"slices"
	"strings"
	"sync"

	"github.com/zeebo/xxh3"
)

// Inst is a handle of an instrument: its index in the process's Instruments, dense, so
// that per-instrument state lives in slices. Handles differ from process to process;
// what is permanent is Instruments.Number.
type Inst uint32

// Instrument names what is traded.
type Instrument struct {
	Exchange string
	Venue    Venue
	Symbol   string // canonical: BASE-QUOTE, dated futures BASE-QUOTE-YYMMDD
	Base     string // "" when the symbol does not tell
	Quote    string
}

// Instruments is the registry of instruments known to a process. Safe for concurrent
// use; readers of a finished fill may use the slices of Numbers and All.
type Instruments struct {
	mu      sync.RWMutex
	all     []Instrument
	numbers []uint32
	byName  map[instKey]Inst
	taken   map[uint32]struct{}
}

type instKey struct {
	exchange, symbol string
	venue            Venue
}

// NewInstruments makes an empty registry.
func NewInstruments() *Instruments {
	return &Instruments{byName: map[instKey]Inst{}, taken: map[uint32]struct{}{}}
}

// Intern returns the handle of an instrument, registering it when new. Its permanent
// number is derived from its name, so that every process gives it the same one.
func (r *Instruments) Intern(exchange string, v Venue, symbol string) Inst {
	k := instKey{exchange, symbol, v}
	r.mu.RLock()
	i, ok := r.byName[k]
	r.mu.RUnlock()
	if ok {
		return i
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if i, ok := r.byName[k]; ok {
		return i
	}
	k = instKey{strings.Clone(exchange), strings.Clone(symbol), v}
	n := uint32(xxh3.HashString(k.exchange + "\x00" + v.String() + "\x00" + k.symbol))
	for {
		if _, dup := r.taken[n]; !dup {
			break
		}
		n++
	}
	i = Inst(len(r.all))
	base, quote := SplitSymbol(k.symbol)
	r.all = append(r.all, Instrument{Exchange: k.exchange, Venue: v, Symbol: k.symbol, Base: base, Quote: quote})
	r.numbers = append(r.numbers, n)
	r.byName[k], r.taken[n] = i, struct{}{}
	return i
}

// Get returns an instrument by handle.
func (r *Instruments) Get(i Inst) Instrument {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.all[i]
}

// Number returns the permanent number of an instrument, its place in the total order.
func (r *Instruments) Number(i Inst) uint32 {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.numbers[i]
}

// Numbers returns the permanent numbers by handle. The slice covers every handle
// issued before the call and is never changed.
func (r *Instruments) Numbers() []uint32 {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.Clip(r.numbers)
}

// Len is the number of instruments.
func (r *Instruments) Len() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.all)
}

// quotes are the quote assets by which an undashed venue symbol is split, longest first.
var quotes = []string{
	"FDUSD", "USDT", "USDC", "BUSD", "TUSD", "USDP", "USDE", "USD", "EUR", "GBP", "JPY",
	"AUD", "BRL", "TRY", "KRW", "CHF", "CAD", "DAI", "BTC", "XBT", "ETH", "BNB",
}

// SplitSymbol gives base and quote of a canonical or venue symbol, "" for both when it
// cannot tell. BTC-USDT, BTC-USD-220527 and BTCUSDT all split.
func SplitSymbol(symbol string) (base, quote string) {
	if b, rest, ok := strings.Cut(symbol, "-"); ok && b != "" {
		q, _, _ := strings.Cut(rest, "-")
		return b, q
	}
	for _, q := range quotes {
		if b, ok := strings.CutSuffix(symbol, q); ok && b != "" && !endsAsset(b, q) {
			return b, q
		}
	}
	return "", ""
}

// endsAsset reports whether the first letter of TUSD or BUSD belongs to the base:
// XBTUSD is XBT in USD, SHIBUSD is SHIB in USD.
func endsAsset(base, quote string) bool {
	if quote != "TUSD" && quote != "BUSD" {
		return false
	}
	return len(base) < 3 || base == "USD" && quote == "TUSD" || base == "SHI" && quote == "BUSD"
}

// CleanSymbol makes the canonical symbol BASE-QUOTE out of a venue symbol such as
// btcusdt, XBT/USD or XBTUSDT, or returns it in upper case when it cannot be split.
// Kraken's XBT and XDG become BTC and DOGE.
func CleanSymbol(venue string) string {
	s := strings.ToUpper(strings.NewReplacer("/", "-", "_", "-").Replace(venue))
	base, quote := SplitSymbol(s)
	if base == "" {
		return s
	}
	rest := ""
	if p := strings.SplitN(s, "-", 3); len(p) == 3 {
		rest = "-" + p[2]
	}
	return assetAlias(base) + "-" + assetAlias(quote) + rest
}

func assetAlias(a string) string {
	switch a {
	case "XBT":
		return "BTC"
	case "XDG":
		return "DOGE"
	}
	return a
}

// ValidSymbol reports whether a symbol may stand in paths and topics: letters, digits,
// dot, dash and underscore, 1 to 64 of them, no dot first, no two dots in a row.
func ValidSymbol(s string) bool {
	if s == "" || len(s) > 64 || s[0] == '.' || strings.Contains(s, "..") {
		return false
	}
	for i := range len(s) {
		c := s[i]
		ok := c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '.' || c == '-' || c == '_'
		if !ok {
			return false
		}
	}
	return true
}
