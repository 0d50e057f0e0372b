package adapters

import (
	"testing"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/book"
)

const okxCapture = "captures/okx_v5_20220513_btc.jsonl.zst"

func TestOKX_Capture(t *testing.T) {
	r := replayFile(t, OKX, okxCapture)
	r.wantBad(t)
	r.wantEvents(t, map[market.Kind]int{market.KindTrade: 73, market.KindBook: 2 + 195, market.KindInstrument: 5 * (513 + 166 + 104 + 346 + 350)})
	r.wantFiltered(t, map[string]int{
		"tickers": 27, "service message": 6 + 4 + 2,
		"header of the capture": 1, "connection opened": 1, "request of the collector": 3,
	})
	r.uniqueIDs(t)
}

func TestOKX_EveryChecksum(t *testing.T) {
	r := newReplay(OKX)
	kept := books{}
	checked := 0
	r.each = func(c *market.Chunk) {
		b := c.Batches[market.KindBook]
		for i := 0; b != nil && i < b.N; i++ {
			k := kept.apply(t, b, i)
			if k.Crossed() {
				t.Errorf("book of %s is crossed", r.env.Insts.Get(b.Inst[i]).Symbol)
			}
			checked++
			if got := book.ChecksumOKX(k); int64(uint32(got)) != b.Cols[market.BookChecksum].I64[i] {
				t.Fatalf("message %d of %s: checksum %d, sent %d", checked, r.env.Insts.Get(b.Inst[i]).Symbol,
					uint32(got), b.Cols[market.BookChecksum].I64[i])
			}
		}
	}
	r.file(t, OKX, okxCapture)
	if checked != 197 || len(kept) != 2 {
		t.Errorf("%d checksums of %d books, want 197 of 2", checked, len(kept))
	}
}

func TestOKX_Symbols(t *testing.T) {
	for in, want := range map[string]struct {
		venue  market.Venue
		symbol string
	}{
		"BTC-USDT":                {market.Spot, "BTC-USDT"},
		"BTC-USDT-SWAP":           {market.Perp, "BTC-USDT"},
		"BTC-USD-220527":          {market.Future, "BTC-USD-220527"},
		"BTC-USD-220514-22000-C":  {market.Option, "BTC-USD-220514-22000-C"},
		"BTC-USD_UM-SWAP":         {market.Perp, "BTC-USD-UM"},
		"BTC-USD_UM_XPERP-310404": {market.Future, "BTC-USD-UM-XPERP-310404"},
	} {
		if v, s := okxSymbol([]byte(in)); v != want.venue || s != want.symbol {
			t.Errorf("%s: got %v %s, want %v %s", in, v, s, want.venue, want.symbol)
		}
	}
}

// one decodes a single message and returns the replay with its counts filled.
func one(t *testing.T, a *Adapter, rec Record) *replay {
	t.Helper()
	r := newReplay(a)
	r.push(t, rec)
	r.count()
	return r
}

func TestOKX_ChainNumbers(t *testing.T) {
	r := newReplay(OKX)
	for _, m := range []string{
		`{"arg":{"channel":"books","instId":"BTC-USDT-SWAP"},"action":"snapshot","data":[{"asks":[["8476.98","415","0","13"],["8477","7","0","2"]],"bids":[["8476.97","256","0","12"]],"ts":"1597026383085","checksum":-855196043,"prevSeqId":-1,"seqId":123456}]}`,
		`{"arg":{"channel":"books","instId":"BTC-USDT-SWAP"},"action":"update","data":[{"asks":[["8477","0","0","0"]],"bids":[],"ts":"1597026383185","checksum":0,"prevSeqId":123456,"seqId":123457}]}`,
		`{"arg":{"channel":"books","instId":"BTC-USDT-SWAP"},"action":"update","data":[{"asks":[],"bids":[],"ts":"1597026384185","checksum":0,"prevSeqId":123457,"seqId":123457}]}`,
	} {
		r.push(t, Record{Data: []byte(m), Ingest: market.NoTime})
	}
	r.wantBad(t)
	r.wantFiltered(t, map[string]int{"heartbeat of the book": 1})
	b := r.chunk.Batches[market.KindBook]
	prev, sum := &b.Cols[market.BookPrevSeq], &b.Cols[market.BookChecksum]
	if b.N != 2 || b.Seq[0] != 123456 || b.Seq[1] != 123457 || !b.HasSeq[1] {
		t.Fatalf("%d rows, numbers %v", b.N, b.Seq)
	}
	if !prev.IsNull(0) || prev.I64[1] != 123456 {
		t.Error("numbers of the message before")
	}
	if sum.I64[0] != 1<<32-855196043 || !sum.IsNull(1) {
		t.Errorf("checksums %v; 0 must be absent", sum.I64)
	}
	if got := b.Cols[market.BookAskPrice].Decs(0); got[0] != 847698 || got[1] != 847700 {
		t.Errorf("asks %v, want one scale for the list", got)
	}
	if x := r.env.Insts.Get(b.Inst[0]); x.Venue != market.Perp || x.Symbol != "BTC-USDT" {
		t.Errorf("instrument %+v", x)
	}
}

func TestOKX_State(t *testing.T) {
	const at = int64(1700000000500000)
	rec := func(s string) Record { return Record{Data: []byte(s), Ingest: at} }

	r := one(t, OKX, rec(`{"arg":{"channel":"funding-rate","instId":"BTC-USDT-SWAP"},"data":[{"instId":"BTC-USDT-SWAP","fundingRate":"-0.000123","nextFundingRate":"","fundingTime":"1700006400000","nextFundingTime":"1700035200000","ts":"1700000000123"}]}`))
	b := r.chunk.Batches[market.KindFunding]
	if b.N != 1 || b.EventTS[0] != 1700000000123000 || b.Cols[market.FundingRate].I64[0] != -123 || b.Cols[market.FundingRate].Scale[0] != 6 ||
		b.Cols[market.FundingNextTS].I64[0] != 1700006400000000 || b.Cols[market.FundingInterval].I64[0] != 8*market.Hour || b.Flags[0] != 0 {
		t.Errorf("funding %+v", b)
	}

	r = one(t, OKX, rec(`{"arg":{"channel":"funding-rate","instId":"BTC-USDT-SWAP"},"data":[{"fundingRate":"0.0001","fundingTime":"1700006400000","instId":"BTC-USDT-SWAP","instType":"SWAP","nextFundingRate":"0.0002"}]}`))
	if b = r.chunk.Batches[market.KindFunding]; b.EventTS[0] != at || b.Flags[0] != market.FlagAssumed {
		t.Error("a rate without a time must take the receive time, assumed")
	}

	r = one(t, OKX, rec(`{"arg":{"channel":"liquidation-orders","instType":"FUTURES"},"data":[{"details":[{"bkPx":"0.55205","posSide":"short","side":"buy","sz":"39","ts":"1680173247614"},{"bkPx":"0.55205","posSide":"short","side":"buy","sz":"39","ts":"1680173247614"}],"instId":"XRP-USD-230929","instType":"FUTURES"}]}`))
	if b = r.chunk.Batches[market.KindLiquidation]; b.N != 2 || b.Cols[market.LiqSide].I64[0] != market.SideBuy || b.ID[0] == b.ID[1] {
		t.Error("two equal liquidations are two events")
	}

	r = one(t, OKX, rec(`{"arg":{"channel":"candle1Dutc","instId":"BTC-USDT"},"data":[["1699920000000","8533.02","8553.74","8527.17","8548.26","45247","529.5858061","529.5858061","1"]]}`))
	b = r.chunk.Batches[market.KindCandle]
	if b.N != 1 || b.Cols[market.CandleInterval].I64[0] != market.Day || b.Cols[market.CandleClosed].I64[0] != 1 || b.Cols[market.CandleNotional].IsNull(0) {
		t.Errorf("candle %+v", b)
	}

	r = one(t, OKX, rec(`{"code":"0","msg":"","data":[{"ctMult":"1","ctType":"inverse","ctVal":"100","ctValCcy":"USD","expTime":"1653033600000","instId":"BTC-USD-220520","instType":"FUTURES","listTime":"1651824600735","lotSz":"1","state":"suspend","tickSz":"0.1","uly":"BTC-USD"}]}`))
	b = r.chunk.Batches[market.KindInstrument]
	if b.N != 1 || string(b.Cols[market.InstrBase].Text(0)) != "BTC" || string(b.Cols[market.InstrQuote].Text(0)) != "USD" ||
		b.Cols[market.InstrContractSize].I64[0] != 100 || b.Cols[market.InstrInverse].I64[0] != 1 ||
		b.Cols[market.InstrState].I64[0] != listingHalted || b.Cols[market.InstrDelistedTS].I64[0] != 1653033600000000 {
		t.Errorf("instrument %+v", b)
	}
}

func TestOKX_BadMessages(t *testing.T) {
	for msg, want := range map[string]string{
		`{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":"1","px":"0","sz":"1","side":"buy","ts":"1700000000000"}]}`:    badPrice,
		`{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":"1","px":"1","sz":"0","side":"buy","ts":"1700000000000"}]}`:    badQuantity,
		`{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":"1","px":"1","sz":"1","side":"buy","ts":"1700000000"}]}`:       badTime,
		`{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":"1","px":"1","sz":"1","side":"buy","ts":"1700000000000000"}]}`: badTime,
		`{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":"1","px":"x","sz":"1","side":"buy","ts":"1700000000000"}]}`:    badNumber,
		`{"arg":{"channel":"bbo-tbt","instId":"BTC-USDT"},"data":[{"asks":[["1.0","1","0","1"]],"bids":[["1.1","1","0","1"]],"ts":"1700000000000"}]}`:          badCrossed,
		`{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"update","data":[{"asks":[["-1","1","0","1"]],"bids":[],"ts":"1700000000000","checksum":1}]}`: badPrice,
		`{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"update","data":[{"asks":[["1","-1","0","1"]],"bids":[],"ts":"1700000000000","checksum":1}]}`: badNegative,
		`{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"update","data":[{"asks":[],"bids":[]}]}`:                                                     badNoTime,
		`{"arg":{"channel":"new-thing","instId":"BTC-USDT"},"data":[{}]}`:                                                                                      badUnknown,
		`{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT"`:                                                                         badJSON,
		`{"hello":1}`: badUnknown,
		`[1,2]`:       badField,
		`pong pong`:   badJSON,
		"\xff\xfe":    badJSON,
	} {
		if r := one(t, OKX, Record{Data: []byte(msg), Ingest: market.NoTime}); len(r.bad) != 1 || r.bad[want] != 1 {
			t.Errorf("%s: got %v, want %q", msg, r.bad, want)
		}
	}
}
