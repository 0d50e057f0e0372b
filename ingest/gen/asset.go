package gen

import "fmt"

// unit is the price unit of an asset's walk: 10^-8 of the quote asset.
const unit = 100_000_000

// asset is what all instruments of a symbol have in common: the price that they follow.
type asset struct {
	symbol     string
	price, ref int64 // in unit; ref bounds the walk to [ref/8, 8·ref]
	tick       int64 // mantissa of the price step at priceScale
	priceScale int8
	qtyScale   int8
	typical    int64 // usual size of a level, mantissa at qtyScale
}

// The most active symbols with about their prices of late 2025.
var famous = []struct {
	base  string
	price int64 // in 10^-4 of the quote asset
}{
	{"BTC", 900_000_000}, {"ETH", 31_000_000}, {"SOL", 1_400_000}, {"XRP", 22_000}, {"BNB", 9_000_000},
	{"DOGE", 1_600}, {"ADA", 5_000}, {"TRX", 2_800}, {"AVAX", 150_000}, {"LINK", 140_000},
	{"SUI", 17_000}, {"LTC", 900_000}, {"BCH", 5_000_000}, {"DOT", 28_000}, {"UNI", 75_000},
	{"NEAR", 22_000}, {"AAVE", 1_900_000}, {"ETC", 150_000}, {"XLM", 2_500}, {"ATOM", 30_000},
}

// Symbols returns n symbols by falling activity: well-known ones, then C021-USDT and so on.
func Symbols(n int) []string {
	out := make([]string, n)
	for i := range out {
		if i < len(famous) {
			out[i] = famous[i].base + "-USDT"
		} else {
			out[i] = fmt.Sprintf("C%03d-USDT", i+1)
		}
	}
	return out
}

// newAsset gives a symbol its first price and its grid: about 20,000 to 200,000 price
// steps from zero, sizes of about 1,000 units of the quote asset.
func newAsset(symbol string, r *rng) asset {
	price := int64(0)
	for _, f := range famous {
		if symbol == f.base+"-USDT" {
			price = f.price * (unit / 10_000)
		}
	}
	if price == 0 {
		price = unit / 100 * (1 + r.below(1000)) // 0.01 to 10
	}
	price += price / 1000 * (r.below(21) - 10) // each run starts a little elsewhere
	a := asset{symbol: symbol, price: price, ref: price, tick: 1, priceScale: 8}
	for step := price / 20_000; step >= 10; step /= 10 {
		if a.priceScale > 0 {
			a.priceScale--
		} else {
			a.tick *= 10
		}
	}
	size := int64(1000 * unit)
	for ; size/price < 1000; size *= 10 {
		a.qtyScale++
	}
	a.typical = size / price
	return a
}

// move walks the price by a few parts in ten million.
func (a *asset) move(r *rng) {
	x := r.next()
	z := int64(x&31) + int64(x>>5&31) + int64(x>>10&31) + int64(x>>15&31) - 62 // σ = 18.5
	a.price += a.price * z / 10_000_000
	if a.price < a.ref/8 {
		a.price = a.ref / 8
	}
	if a.price > a.ref*8 {
		a.price = a.ref * 8
	}
}
