package wire_test

import (
	"math"

	"pgregory.net/rapid"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/num"
)

var kinds = []market.Kind{
	market.KindTrade, market.KindQuote, market.KindBook, market.KindFunding, market.KindLiquidation, market.KindCandle,
	market.KindMarkPrice, market.KindOpenInterest, market.KindInstrument, market.KindStatus, market.KindWatermark,
}

// world has registries with a few names.
type world struct {
	feeds *market.Feeds
	insts *market.Instruments
}

func newWorld() world {
	w := world{market.NewFeeds(), market.NewInstruments()}
	w.insts.Intern("binance", market.Perp, "BTC-USDT")
	w.insts.Intern("kraken", market.Spot, "ETH-USD")
	w.insts.Intern("deribit", market.Option, "BTC-USD-261225-60000-C")
	return w
}

func genInt(t *rapid.T, name string) int64 {
	v := rapid.OneOf(rapid.Int64(), rapid.Int64Range(-3, 300), rapid.SampledFrom([]int64{0, math.MaxInt64, math.MinInt64 + 1})).Draw(t, name)
	return max(v>>rapid.IntRange(0, 62).Draw(t, name+" shift"), math.MinInt64+1)
}

func genEnvelope(t *rapid.T, w world) market.Envelope {
	e := market.Envelope{
		Feed:     rapid.SampledFrom([]market.FeedID{2, 7, w.feeds.Intern("some-feed")}).Draw(t, "feed"),
		Shard:    rapid.Uint16().Draw(t, "shard"),
		Inst:     market.Inst(rapid.IntRange(0, w.insts.Len()-1).Draw(t, "inst")),
		EventTS:  genInt(t, "event_ts"),
		IngestTS: market.NoTime,
		Seq:      rapid.Uint64().Draw(t, "seq"),
		HasSeq:   rapid.Bool().Draw(t, "has_seq"),
		RawBytes: rapid.Uint32().Draw(t, "raw_bytes"),
		Flags:    rapid.Uint8().Draw(t, "flags"),
	}
	if rapid.Bool().Draw(t, "ingest") {
		e.IngestTS = genInt(t, "ingest_ts")
	}
	if rapid.Bool().Draw(t, "id") {
		copy(e.ID[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "event_id"))
	}
	return e
}

// genBatch is a batch of n random rows of a kind, each column over its whole range.
func genBatch(t *rapid.T, w world, k market.Kind, n int) *market.Batch {
	b := market.NewBatch(k)
	for range n {
		e := genEnvelope(t, w)
		b.AppendEnvelope(&e)
		if rapid.Bool().Draw(t, "sequenced") {
			b.TS[b.N-1], b.Epoch[b.N-1] = genInt(t, "ts"), rapid.Uint32().Draw(t, "epoch")
		}
		levels := 0
		for i, f := range market.Schema(k) {
			c := &b.Cols[i]
			null := f.Nullable && rapid.IntRange(0, 3).Draw(t, f.Name+" null") == 0
			scale := int8(rapid.IntRange(0, num.MaxScale).Draw(t, f.Name+" scale"))
			switch f.Type {
			case market.TypeText:
				if null {
					c.AppendNullText()
				} else {
					c.AppendText([]byte(rapid.StringN(0, 20, 80).Draw(t, f.Name)))
				}
			case market.TypeDecs:
				if i == market.BookBidPrice || i == market.BookAskPrice {
					levels = rapid.IntRange(0, 12).Draw(t, f.Name+" levels")
				}
				m := make([]int64, levels)
				for j := range m {
					m[j] = genInt(t, f.Name)
				}
				c.AppendDecs(m, scale)
			case market.TypeDec:
				if null {
					c.AppendNull(true)
				} else {
					c.AppendDec(genInt(t, f.Name), scale)
				}
			default:
				switch {
				case null:
					c.AppendNull(false)
				case f.Type == market.TypeEnum:
					c.AppendInt(int64(rapid.IntRange(0, len(f.Words)-1).Draw(t, f.Name)))
				case f.Type == market.TypeBool:
					c.AppendInt(int64(rapid.IntRange(0, 1).Draw(t, f.Name)))
				default:
					c.AppendInt(genInt(t, f.Name))
				}
			}
		}
	}
	return b
}
