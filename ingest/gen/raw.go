package gen

import (
	"strconv"
	"strings"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/num"
)

// rawLine prints a record as Binance sends it: spot and USD-M messages of combined
// streams, REST answers for snapshots and settled funding, each behind its receive time.
func (t *Text) rawLine(r *record) {
	x := &t.m.insta[r.inst]
	symbol := strings.ReplaceAll(x.symbol, "-", "")
	perp := x.market == market.Perp
	p := rawText{b: t.raw[:0]}
	p.int(r.arrival).lit("000 ")
	ts := r.ts
	if r.intent == intentCorrupt {
		ts = r.ahead
	}
	ms := ts / market.Millisecond
	if r.intent == intentCorrupt && r.fault == faultUnit {
		ms = ts // already in seconds
	}
	t.m.idText = strconv.AppendUint(t.m.idText[:0], r.seq, 10)
	switch r.kind {
	case market.KindTrade:
		p.stream(symbol, "@trade").lit(`"e":"trade","E":`).int(ms).lit(`,"T":`).int(ms).lit(`,"s":"`).lit(symbol)
		p.lit(`","t":`).uint(r.seq).lit(`,"p":"`).dec(r.v[0], r.scale).lit(`","q":"`).dec(r.v[1], x.qtyScale)
		if perp {
			p.lit(`","X":"MARKET","m":`).bool(r.side == market.SideSell)
		} else {
			p.lit(`","m":`).bool(r.side == market.SideSell).lit(`,"M":true`)
		}
		p.lit("}}\n")
	case market.KindQuote:
		p.stream(symbol, "@bookTicker")
		if perp {
			p.lit(`"e":"bookTicker",`)
		}
		p.lit(`"u":`).uint(r.seq).lit(`,"s":"`).lit(symbol)
		p.lit(`","b":"`).dec(r.v[0], r.scale).lit(`","B":"`).dec(r.v[1], x.qtyScale)
		p.lit(`","a":"`).dec(r.v[2], r.scale).lit(`","A":"`).dec(r.v[3], x.qtyScale).lit(`"`)
		if perp {
			p.lit(`,"T":`).int(ms).lit(`,"E":`).int(ms)
		}
		p.lit("}}\n")
	case market.KindFunding:
		p.lit(`{"path":"/fapi/v1/fundingRate","query":"symbol=`).lit(symbol).lit(`","data":[{"symbol":"`).lit(symbol)
		p.lit(`","fundingTime":`).int(ms).lit(`,"fundingRate":"`).dec(r.v[0], 6).lit("\"}]}\n")
	case market.KindBook:
		p.book(r, symbol, perp, ms, x.qtyScale)
	}
	t.raw = p.b
}

func (p *rawText) book(r *record, symbol string, perp bool, ms int64, qs int8) {
	names := [2]string{`"b":`, `,"a":`}
	switch r.origin {
	case market.OriginDelta:
		p.stream(symbol, "@depth@100ms").lit(`"e":"depthUpdate","E":`).int(ms)
		if perp {
			p.lit(`,"T":`).int(ms)
		}
		p.lit(`,"s":"`).lit(symbol).lit(`","U":`).uint(r.first).lit(`,"u":`).uint(r.seq).lit(`,`)
		if perp {
			p.lit(`"pu":`).uint(r.prev).lit(`,`)
		}
	default:
		names = [2]string{`,"bids":`, `,"asks":`}
		p.lit(`{"path":"/`).lit(map[bool]string{false: "api/v3", true: "fapi/v1"}[perp]).lit(`/depth","query":"symbol=`).lit(symbol)
		p.lit(`&limit=`).int(int64(len(r.bids.price))).lit(`","data":{"lastUpdateId":`).uint(r.seq)
		if perp {
			p.lit(`,"E":`).int(ms).lit(`,"T":`).int(ms)
		}
	}
	p.lit(names[0]).levels(&r.bids, r.scale, qs).lit(names[1]).levels(&r.asks, r.scale, qs).lit("}}\n")
}

// rawText is a line being printed.
type rawText struct{ b []byte }

func (p *rawText) lit(s string) *rawText  { p.b = append(p.b, s...); return p }
func (p *rawText) int(v int64) *rawText   { p.b = strconv.AppendInt(p.b, v, 10); return p }
func (p *rawText) uint(v uint64) *rawText { p.b = strconv.AppendUint(p.b, v, 10); return p }
func (p *rawText) bool(v bool) *rawText   { p.b = strconv.AppendBool(p.b, v); return p }
func (p *rawText) dec(m int64, s int8) *rawText {
	p.b = num.Dec{M: m, S: s}.Append(p.b)
	return p
}

func (p *rawText) stream(symbol, name string) *rawText {
	return p.lit(`{"stream":"`).lit(strings.ToLower(symbol)).lit(name).lit(`","data":{`)
}

func (p *rawText) levels(l *levels, ps, qs int8) *rawText {
	p.lit("[")
	for i := range l.price {
		if i > 0 {
			p.lit(",")
		}
		p.lit(`["`).dec(l.price[i], ps).lit(`","`).dec(l.qty[i], qs).lit(`"]`)
	}
	return p.lit("]")
}
