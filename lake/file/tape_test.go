package file

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/pinova-group/tidemark/internal/exdata"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/adapters"
	"github.com/pinova-group/tidemark/run/input"
	"github.com/pinova-group/tidemark/sequence"
)

// sequenced sends files of real data through the sequencer: the rows of every kind in
// the order in which they left, late ones behind.
func sequenced(t testing.TB, insts *market.Instruments, feeds *market.Feeds, names ...string) [market.NumKinds]*market.Batch {
	t.Helper()
	var out [market.NumKinds]*market.Batch
	for k := range out {
		out[k] = market.NewBatch(market.Kind(k))
	}
	var paths []string
	for _, n := range names {
		paths = append(paths, exdata.Path(t, n))
	}
	r, err := input.Open(input.Config{Paths: paths, Adapters: adapters.Venues, Feeds: feeds, Insts: insts})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	s, err := sequence.New(sequence.DefaultConfig(feeds, insts))
	if err != nil {
		t.Fatal(err)
	}
	var o sequence.Out
	take := func() {
		for k, b := range out {
			for _, c := range []*market.Chunk{&o.Rows, &o.Late} {
				if rows := c.Batches[k]; rows != nil {
					b.AppendRows(rows, 0, rows.N)
				}
			}
		}
		o.Reset()
	}
	for {
		var ch input.Chunk
		err := r.Next(context.Background(), &ch)
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if err := s.Push(&ch.Chunk); err != nil {
			t.Fatal(err)
		}
		for _, l := range ch.Ended {
			s.EndLine(l.Feed, l.Shard)
		}
		s.Advance(&o)
		take()
	}
	s.Close(&o)
	take()
	return out
}

// unpacked reads a whole file into one event batch.
func unpacked(t testing.TB, data []byte, kind market.Kind, insts *market.Instruments, feeds *market.Feeds) *market.Batch {
	t.Helper()
	r, err := Open(bytes.NewReader(data), int64(len(data)), "x.parquet")
	if err != nil {
		t.Fatal(err)
	}
	cols := Events(nil, kind, false)
	rows, err := r.Read(cols, 0, r.Rows())
	if err != nil {
		t.Fatal(err)
	}
	u, err := NewUnpacker(nil, kind, cols, insts, feeds)
	if err != nil {
		t.Fatal(err)
	}
	all := market.NewBatch(kind)
	for {
		b, err := rows.Next()
		if err != nil {
			t.Fatal(err)
		}
		if b == nil {
			return all
		}
		part, err := u.Unpack(b)
		if err != nil {
			t.Fatal(err)
		}
		all.AppendRows(part, 0, part.N)
	}
}

// sameEvents compares batches value by value, but for what a table does not keep: the
// line (Shard), and whether the venue or the sequencer numbered a row.
func sameEvents(t *testing.T, got, want *market.Batch, gotInsts, wantInsts *market.Instruments) {
	t.Helper()
	if got.N != want.N {
		t.Fatalf("%s: %d rows, want %d", want.Kind, got.N, want.N)
	}
	for i := range want.N {
		if gotInsts.Get(got.Inst[i]) != wantInsts.Get(want.Inst[i]) {
			t.Fatalf("%s row %d: instrument %v, want %v", want.Kind, i, gotInsts.Get(got.Inst[i]), wantInsts.Get(want.Inst[i]))
		}
	}
	eq := func(name string, ok bool) {
		if !ok {
			t.Errorf("%s: %s differs", want.Kind, name)
		}
	}
	eq("ts", slices.Equal(got.TS, want.TS))
	eq("event_ts", slices.Equal(got.EventTS, want.EventTS))
	eq("ingest_ts", slices.Equal(got.IngestTS, want.IngestTS))
	eq("feed", slices.Equal(got.Feed, want.Feed))
	eq("seq", slices.Equal(got.Seq, want.Seq))
	eq("epoch", slices.Equal(got.Epoch, want.Epoch))
	eq("flags", slices.Equal(got.Flags, want.Flags))
	eq("id", slices.Equal(got.ID, want.ID))
	eq("raw_bytes", slices.Equal(got.RawBytes, want.RawBytes))
	for i, f := range market.Schema(want.Kind) {
		g, w := &got.Cols[i], &want.Cols[i]
		eq(f.Name, slices.Equal(g.I64, w.I64) && slices.Equal(g.Scale, w.Scale) && bytes.Equal(g.Bytes, w.Bytes))
		if f.Type == market.TypeText || f.Type == market.TypeDecs {
			eq(f.Name+" lengths", slices.Equal(g.Off, w.Off))
		}
		for r := range want.N {
			if g.IsNull(r) != w.IsNull(r) {
				t.Fatalf("%s row %d: null %v, want %v", f.Name, r, g.IsNull(r), w.IsNull(r))
			}
		}
	}
}

var realFiles = []string{
	"rawstream/binance_spot_btcusdt_20240808.jsonl.gz", "rawstream/binance_usdm_ethusdt_20240808.jsonl.gz",
	"rawstream/binance_cm_btcusd_perp_20240808.jsonl.gz",
	"tapes/coinbase_btcusd_trades_20230905T16Z.csv.gz", "tapes/binance_usdm_btcusdt_trades_20200222_tardis.csv.gz",
	"tapes/binance_usdm_btcusdt_quotes_20200222_tardis.csv.gz", "tapes/binance_spot_trxusdt_trades_20250304_positive.csv.gz",
	"captures/bybit_v5_20260809_btc_eth.jsonl.zst", "captures/okx_v5_20220513_btc.jsonl.zst",
	"candles/kraken_xbtusdt_rest_trades_20251110.json.gz",
}

// TestTapes_ThereAndBack: real data through the sequencer, into files and back, in a
// process that has met no instrument yet, gives the rows in the order of the file.
func TestTapes_ThereAndBack(t *testing.T) {
	insts, feeds := market.NewInstruments(), market.NewFeeds()
	for k, b := range sequenced(t, insts, feeds, realFiles...) {
		if b.N == 0 {
			continue
		}
		kind := market.Kind(k)
		p := NewPacker(nil, kind, false, insts, feeds)
		w, err := NewWriter(p.Columns(), EventKeys())
		if err != nil {
			t.Fatal(err)
		}
		data, info := packed(t, w, p, b)
		t.Logf("%s: %d rows, %.1f bytes a row, %d runs", kind, info.Rows, float64(info.Size)/float64(info.Rows), len(info.Runs))
		if dir := os.Getenv("TIDEMARK_FILES"); dir != "" { // to look at them
			if err := os.WriteFile(filepath.Join(dir, kind.String()+".parquet"), data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		others := market.NewInstruments()
		sameEvents(t, unpacked(t, data, kind, others, market.NewFeeds()), sortedBatch(b, insts), others, insts)
	}
}
