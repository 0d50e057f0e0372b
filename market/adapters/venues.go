package adapters

// Venues lists every adapter. To add a venue, write its file and its test and add its
// line here.
var Venues = []*Adapter{
	Binance,
	BinanceCSV,
	TardisCSV,
	Kraken,
	KrakenREST,
	Coinbase,
	CoinbaseCSV,
	OKX,
	Bybit,
}

// Find returns the adapter of a name, or nil.
func Find(name string) *Adapter {
	for _, a := range Venues {
		if a.Name == name {
			return a
		}
	}
	return nil
}

// Detect returns the adapter that is surest of the input's first bytes, or nil.
func Detect(head []byte) *Adapter {
	var best *Adapter
	sure := 0
	for _, a := range Venues {
		if n := a.Detect(head); n > sure {
			best, sure = a, n
		}
	}
	return best
}
