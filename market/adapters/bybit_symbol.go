package adapters

import (
	"bytes"
	"fmt"
	"time"

	"github.com/pinova-group/tidemark/market"
)

// Quote assets that end an undivided symbol, longer ones first. The general list does
// not serve: on inverse contracts AVAXUSD is not AVA-XUSD.
var bybitQuotes = [numBybitLines][]string{
	bybitSpot: {
		"RLUSD", "USDT", "USDC", "USDE", "USDQ", "USDR", "USD1", "XUSD",
		"USD", "EUR", "GBP", "BRL", "PLN", "TRY", "AED", "BTC", "ETH", "SOL", "DAI", "MNT", "BIT",
	},
	bybitLinear:  {"USDT", "USDC", "USD"},
	bybitInverse: {"USD"},
}

// bybitSymbol gives market and canonical symbol: BTCUSDT, BTCPERP (in USDC),
// BTCUSDT-26SEP25, BTC-26SEP25 (in USDC), BTCUSDU25 (inverse, settled on the last
// Friday of the quarter).
func bybitSymbol(line bybitLine, symbol []byte) (market.Venue, string) {
	venue := market.Perp
	if line == bybitSpot {
		venue = market.Spot
	}
	if len(symbol) > 64 {
		return venue, canonical(symbol)
	}
	pair, date := symbol, ""
	if name, expiry, ok := bytes.Cut(symbol, []byte{'-'}); ok {
		if date = bybitDate(expiry); date != "" {
			pair = name
		}
	} else if line == bybitInverse && len(symbol) > 6 {
		if date = bybitQuarter(symbol[len(symbol)-3:]); date != "" {
			pair = symbol[:len(symbol)-3]
		}
	}
	base, quote := string(pair), "USDC"
	if name, ok := bytes.CutSuffix(pair, []byte("PERP")); ok && len(name) > 0 && line != bybitSpot {
		base = string(name)
	} else {
		found := false
		for _, q := range bybitQuotes[line] {
			if name, ok := bytes.CutSuffix(pair, []byte(q)); ok && len(name) > 0 {
				base, quote, found = string(name), q, true
				break
			}
		}
		if !found && date == "" {
			return venue, canonical(symbol)
		}
	}
	if date != "" {
		return market.Future, canonical([]byte(base + "-" + quote + "-" + date))
	}
	return venue, canonical([]byte(base + "-" + quote))
}

// bybitDate turns 26SEP25 into 250926, anything else into "".
func bybitDate(b []byte) string {
	if len(b) != 6 && len(b) != 7 {
		return ""
	}
	t, err := time.Parse("2Jan06", string(b[:len(b)-5])+string(b[len(b)-5])+string(bytes.ToLower(b[len(b)-4:len(b)-2]))+string(b[len(b)-2:]))
	if err != nil {
		return ""
	}
	return t.Format("060102")
}

// bybitQuarter turns U25 into the last Friday of September 2025, 250926.
func bybitQuarter(b []byte) string {
	month := bytes.IndexByte([]byte("FGHJKMNQUVXZ"), b[0]) + 1
	if month == 0 || b[1]-'0' > 9 || b[2]-'0' > 9 {
		return ""
	}
	year := 2000 + int(b[1]-'0')*10 + int(b[2]-'0')
	t := time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC)
	t = t.AddDate(0, 0, -((int(t.Weekday()) - int(time.Friday) + 7) % 7))
	return fmt.Sprintf("%02d%02d%02d", t.Year()%100, int(t.Month()), t.Day())
}

// bybitGuess is the market of a symbol where nothing else tells it.
func bybitGuess(symbol []byte) bybitLine {
	switch {
	case bytes.Count(symbol, []byte{'-'}) >= 3:
		return bybitOption
	case bytes.HasSuffix(symbol, []byte("USD")):
		return bybitInverse
	case len(symbol) > 6 && bytes.HasSuffix(symbol[:len(symbol)-3], []byte("USD")) && bybitQuarter(symbol[len(symbol)-3:]) != "":
		return bybitInverse
	}
	return bybitLinear
}
