package features_test

import (
	"testing"

	"github.com/pinova-group/tidemark/market"
)

// Batches may be pushed one after the other where no view knows rows of two of them under one key.
func TestApart(t *testing.T) {
	view := func(name, from, by string) string {
		return "view: " + name + "\nversion: 1\nfrom: " + from + "\nby: [" + by + "]\nwindow: {tumbling: 1s}\nfeatures: {n: count()}\n"
	}
	const (
		btcKraken = iota // spot, BTC-USD
		btcBinance
		ethKraken
		ethBinance
		btcUSDBinance
	)
	joined := "view: j\nversion: 1\nfrom: trade\nby: [exchange, symbol]\njoin: {q: {view: quote, on: [exchange, symbol], match: asof, max_age: 1s}}\nwindow: {tumbling: 1s}\nfeatures: {bid: last(q.bid_price)}\n"
	for name, c := range map[string]struct {
		specs       []string
		kind        market.Kind
		left, right []market.Inst
		want        bool
	}{
		"by instrument":               {[]string{view("a", "trade", "exchange, market, symbol")}, market.KindTrade, []market.Inst{btcKraken, ethKraken}, []market.Inst{btcBinance}, true},
		"one instrument in both":      {[]string{view("a", "trade", "exchange, market, symbol")}, market.KindTrade, []market.Inst{btcKraken, ethKraken}, []market.Inst{btcBinance, ethKraken}, false},
		"by instrument and feed":      {[]string{view("a", "trade", "exchange, market, symbol, feed")}, market.KindTrade, []market.Inst{btcKraken}, []market.Inst{btcBinance}, true},
		"by feed":                     {[]string{view("a", "trade", "feed")}, market.KindTrade, []market.Inst{btcKraken}, []market.Inst{btcBinance}, false},
		"by symbol, other symbols":    {[]string{view("a", "trade", "symbol")}, market.KindTrade, []market.Inst{btcKraken}, []market.Inst{btcBinance}, true},
		"by symbol, the same":         {[]string{view("a", "trade", "symbol")}, market.KindTrade, []market.Inst{btcKraken}, []market.Inst{ethBinance, btcUSDBinance}, false},
		"by exchange":                 {[]string{view("a", "trade", "exchange")}, market.KindTrade, []market.Inst{btcKraken}, []market.Inst{ethKraken}, false},
		"one of two views":            {[]string{view("a", "trade", "exchange, market, symbol"), view("b", "trade", "exchange")}, market.KindTrade, []market.Inst{btcKraken}, []market.Inst{ethKraken}, false},
		"a view of another kind":      {[]string{view("a", "trade", "exchange, market, symbol"), view("b", "quote", "exchange")}, market.KindTrade, []market.Inst{btcKraken}, []market.Inst{ethKraken}, true},
		"the left side of a join":     {[]string{joined}, market.KindTrade, []market.Inst{btcKraken}, []market.Inst{ethKraken}, true},
		"the right side of a join":    {[]string{joined}, market.KindQuote, []market.Inst{btcKraken}, []market.Inst{ethKraken}, false},
		"instruments, always as one":  {[]string{view("a", "instrument", "exchange, market, symbol")}, market.KindInstrument, []market.Inst{btcKraken}, []market.Inst{ethKraken}, false},
		"base of two quotes, the two": {[]string{view("a", "trade", "base")}, market.KindTrade, []market.Inst{btcKraken}, []market.Inst{btcBinance}, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, c.specs...)
			task := r.plan.NewTask(r.insts, market.NoTime)
			batch := func(insts []market.Inst) *market.Batch {
				b := market.NewBatch(c.kind)
				for _, x := range insts {
					b.AppendEnvelope(&market.Envelope{Feed: 7, Inst: x})
				}
				return b
			}
			for range 2 { // what was found for other batches has no part in it
				if got := task.Apart([]*market.Batch{batch(c.left), batch(c.right)}); got != c.want {
					t.Error(got)
				}
				if !c.want || c.kind == market.KindInstrument {
					continue
				}
				if !task.Apart([]*market.Batch{batch(c.right), batch(c.left)}) {
					t.Error("not the other way round")
				}
			}
		})
	}
}
