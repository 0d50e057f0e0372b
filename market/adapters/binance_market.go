package adapters

import (
	"bytes"
	"strings"

	"github.com/pinova-group/tidemark/market"
)

// binLine is one of Binance's markets, each with its own feeds and rules.
type binLine uint8

const (
	binUnknown binLine = iota
	binSpot
	binUSDM
	binCOINM
	binUS // Binance.US, spot
	binOptions

	numBinLines
)

var binFeeds = [numBinLines]struct{ feed, exchange string }{
	binSpot:  {"binance-spot", "binance"},
	binUSDM:  {"binance-usdm", "binance"},
	binCOINM: {"binance-coinm", "binance"},
	binUS:    {"binance-us-spot", "binance-us"},
}

// binInst is one venue symbol of one market and the lanes that its events go to:
// aggregate trades and partial books have numbers of their own and so feeds of their own.
type binInst struct {
	symbol         []byte
	line           binLine
	venue          market.Venue
	main, agg, top *lane // agg and top are made when first needed
}

// binMarkets finds instruments and remembers which symbols an input has shown.
type binMarkets struct {
	lanes *lanes
	last  [numBinLines]*binInst
	by    [numBinLines]map[string]*binInst
	url   string // last URL and connection, and what they say
	conn  string
	place binPlace
	fixed binLine // market that the user's feed name fixes
}

// binPlace is what a URL tells: the market and, for REST, path and query.
type binPlace struct {
	line        binLine
	path, query string
}

func newBinMarkets(env Env) *binMarkets {
	m := &binMarkets{lanes: newLanes(env)}
	for i, f := range binFeeds {
		m.by[i] = map[string]*binInst{}
		if env.Feed != "" && f.feed == env.Feed {
			m.fixed = binLine(i)
		}
	}
	m.place.line = m.fixed
	return m
}

// maxSymbol bounds the length of a venue symbol in bytes.
const maxSymbol = 64

// inst returns the instrument of a venue symbol, nil when it is too long or there are
// too many: see refusal.
func (m *binMarkets) inst(line binLine, symbol []byte) *binInst {
	if x := m.last[line]; x != nil && bytes.Equal(x.symbol, symbol) {
		return x
	}
	x := m.by[line][string(symbol)]
	if x == nil {
		if x = m.add(line, symbol); x == nil {
			return nil
		}
	}
	m.last[line] = x
	return x
}

// refusal is the reason why inst returned nil.
func refusal(symbol []byte) string {
	if len(symbol) > maxSymbol {
		return badSymbol
	}
	return badManyInst
}

func (m *binMarkets) add(line binLine, symbol []byte) *binInst {
	if len(symbol) > maxSymbol || len(m.by[line]) >= maxLanes {
		return nil
	}
	venue, name := binSymbol(line, symbol)
	f := binFeeds[line]
	x := &binInst{symbol: bytes.Clone(symbol), line: line, venue: venue}
	if x.main = m.lanes.get(f.feed, "", f.exchange, venue, name); x.main == nil {
		return nil
	}
	m.by[line][string(x.symbol)] = x
	return x
}

// aggregates is the lane of an instrument's aggregate trades.
func (m *binMarkets) aggregates(x *binInst) *lane {
	if x.agg == nil {
		x.agg = m.lanes.get(binFeeds[x.line].feed, aggSuffix, x.main.name.exchange, x.venue, x.main.name.symbol)
	}
	return x.agg
}

// tops is the lane of an instrument's partial books.
func (m *binMarkets) tops(x *binInst) *lane {
	if x.top == nil {
		x.top = m.lanes.get(binFeeds[x.line].feed, topSuffix, x.main.name.exchange, x.venue, x.main.name.symbol)
	}
	return x.top
}

// sole returns the only symbol that the input has shown for a market so far, or nil.
func (m *binMarkets) sole(line binLine) []byte {
	if len(m.by[line]) != 1 {
		return nil
	}
	return m.last[line].symbol
}

// neighbour guesses the market of a message that spot and USD-M send alike (kline): the
// one in which the input has shown the symbol, else the only one it has shown at all.
func (m *binMarkets) neighbour(symbol []byte) binLine {
	spot, usdm := m.by[binSpot][string(symbol)] != nil, m.by[binUSDM][string(symbol)] != nil
	if !spot && !usdm {
		spot, usdm = len(m.by[binSpot]) > 0, len(m.by[binUSDM]) > 0
	}
	switch {
	case spot && !usdm:
		return binSpot
	case usdm && !spot:
		return binUSDM
	}
	return binUnknown
}

// locate says what URL and name of the connection tell, the URL first; the last answer is kept.
func (m *binMarkets) locate(url, conn string) binPlace {
	if url == m.url && conn == m.conn {
		return m.place
	}
	p := binURL(url)
	if p.line == binUnknown {
		p.line = binConn(conn)
	}
	if p.line == binUnknown {
		p.line = m.fixed
	}
	m.url, m.conn, m.place = url, conn, p
	return p
}

// binConn reads the market from a connection's name in a capture: BINANCE_FUTURES.ws.1.
func binConn(conn string) binLine {
	name, _, _ := strings.Cut(conn, ".")
	switch name {
	case "BINANCE":
		return binSpot
	case "BINANCE_FUTURES":
		return binUSDM
	case "BINANCE_DELIVERY":
		return binCOINM
	case "BINANCE_US":
		return binUS
	}
	return binUnknown
}

// binURL reads market, path and query from a URL or a bare path.
func binURL(url string) binPlace {
	var p binPlace
	if url == "" {
		return p
	}
	host := ""
	if _, rest, ok := strings.Cut(url, "://"); ok {
		host, url, _ = strings.Cut(rest, "/")
		url = "/" + url
	}
	p.path, p.query, _ = strings.Cut(url, "?")
	switch {
	case strings.Contains(host, "binance.us"):
		p.line = binUS
	case strings.HasPrefix(host, "fapi"), strings.HasPrefix(host, "fstream"), strings.HasPrefix(p.path, "/fapi/"):
		p.line = binUSDM
	case strings.HasPrefix(host, "dapi"), strings.HasPrefix(host, "dstream"), strings.HasPrefix(p.path, "/dapi/"):
		p.line = binCOINM
	case strings.HasPrefix(host, "eapi"), strings.HasPrefix(host, "nbstream"), strings.HasPrefix(p.path, "/eapi/"):
		p.line = binOptions
	case strings.HasPrefix(host, "api"), strings.HasPrefix(host, "stream"), strings.HasPrefix(host, "data-"),
		strings.HasPrefix(p.path, "/api/"):
		p.line = binSpot
	}
	return p
}

// queryValue returns a parameter of a query, "" when absent.
func queryValue(query, name string) string {
	for query != "" {
		var part string
		part, query, _ = strings.Cut(query, "&")
		if k, v, _ := strings.Cut(part, "="); k == name {
			return v
		}
	}
	return ""
}

// binShape is the market that the symbol alone tells: BTCUSD_PERP and BTCUSD_240927 are
// COIN-M, BTCUSDT_240927 is USD-M, BTC-240927-25000-P an option, BTCUSDT unknown.
func binShape(symbol []byte) binLine {
	base, tail, dated := bytes.Cut(symbol, []byte("_"))
	switch {
	case dated && (string(tail) == "PERP" || binInverse(base)):
		return binCOINM
	case dated:
		return binUSDM
	case bytes.Count(symbol, []byte("-")) >= 3:
		return binOptions
	}
	return binUnknown
}

// binInverse tells the pairs of COIN-M, all quoted in USD, from those of USD-M, of which
// BTCBUSD and ETHBUSD alone end alike (BNBUSD is BNB in USD).
func binInverse(pair []byte) bool {
	return bytes.HasSuffix(pair, []byte("USD")) && string(pair) != "BTCBUSD" && string(pair) != "ETHBUSD"
}

// binSymbol gives type of market and canonical symbol of a venue symbol.
func binSymbol(line binLine, symbol []byte) (market.Venue, string) {
	switch line {
	case binSpot:
		return market.Spot, tokenPair(symbol)
	case binUS:
		return market.Spot, dollarPair(symbol, true)
	}
	base, tail, _ := bytes.Cut(symbol, []byte("_"))
	name := tokenPair(base)
	if line == binCOINM {
		name = dollarPair(base, false)
	}
	if len(tail) == 0 || string(tail) == "PERP" {
		return market.Perp, name
	}
	if dated := name + "-" + string(tail); market.ValidSymbol(dated) {
		return market.Future, dated
	}
	return market.Future, canonical(symbol)
}

// tokenPair is the canonical symbol of a pair on binance.com's spot and USD-M, which know
// BUSD and TUSD but not USD: OPBUSD is OP in BUSD.
func tokenPair(pair []byte) string {
	if base, ok := bytes.CutSuffix(pair, []byte("USD")); ok && len(base) > 1 {
		cut := len(base) - 1
		if name := string(base[:cut]) + "-" + string(pair[cut:]); (base[cut] == 'B' || base[cut] == 'T') && market.ValidSymbol(name) {
			return name
		}
	}
	return canonical(pair)
}

// dollarPair is the canonical symbol of a pair on a market that quotes in USD, where
// DOTUSD is DOT in USD and not DO in TUSD. Where BUSD is a quote besides, a pair is in
// BUSD when three letters are left before it (BTCBUSD, not BNBUSD).
func dollarPair(pair []byte, busd bool) string {
	base, ok := bytes.CutSuffix(pair, []byte("USD"))
	if before, isB := bytes.CutSuffix(base, []byte("B")); busd && isB && len(before) >= 3 && string(base) != "SHIB" {
		return canonical(pair)
	}
	if name := string(base) + "-USD"; ok && len(base) > 0 && market.ValidSymbol(name) {
		return name
	}
	return canonical(pair)
}
