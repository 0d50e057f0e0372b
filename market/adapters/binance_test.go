package adapters

import (
	"testing"
)

func TestScratch(t *testing.T) {
	for _, f := range []string{"payloads/gct_binance_rest.jsonl.gz","rawstream/binance_spot_btcusdt_20240808.jsonl.gz","rawstream/hyperliquid_btc_20250126.jsonl.gz"} {
		b := readFile(t, f)
		d := decodeLines(t, Binance, Env{}, splitLines(b))
		t.Log(f, Binance.Detect(b[:min(len(b), 65536)]), d.counts(), d.filtered, d.bad, d.badAt, d.env.Feeds.Unknown())
		for i := range min(0, d.env.Insts.Len()) {
			t.Log(d.env.Insts.Get(d.chunk.Batches[3].Inst[0]), i)
		}
	}
}
