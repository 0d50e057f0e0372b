package canon

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/adapters"
)

// world is a registry and the writer and reader over it.
type world struct {
	feeds *market.Feeds
	insts *market.Instruments
}

func newWorld() *world { return &world{market.NewFeeds(), market.NewInstruments()} }

func (w *world) env() adapters.Env { return adapters.Env{Feeds: w.feeds, Insts: w.insts} }

// read decodes a text line by line and fails on any bad record.
func (w *world) read(t fataler, text []byte) *market.Chunk {
	var out market.Chunk
	for i, err := range w.readAll(text, &out) {
		if err != nil {
			t.Fatalf("line %d: %v", i+1, err)
		}
	}
	return &out
}

func (w *world) readAll(text []byte, out *market.Chunk) []error {
	d := Adapter.New(w.env())
	var errs []error
	for i, line := range bytes.Split(bytes.TrimSuffix(text, []byte{'\n'}), []byte{'\n'}) {
		errs = append(errs, d.Decode(&adapters.Record{Data: line, Ingest: market.NoTime, Offset: int64(i + 1)}, out))
	}
	return errs
}

func (w *world) write(t fataler, o Options, b *market.Batch) []byte {
	var buf bytes.Buffer
	wr := NewWriter(&buf, o, w.feeds, w.insts)
	if err := wr.Write(b); err != nil {
		t.Fatalf("write: %v", err)
	}
	if err := wr.Header(); err != nil {
		t.Fatalf("header: %v", err)
	}
	if err := wr.Flush(); err != nil {
		t.Fatalf("flush: %v", err)
	}
	return buf.Bytes()
}

type fataler interface{ Fatalf(string, ...any) }

// drawBatch draws rows of a kind that obey its rules.
func drawBatch(t *rapid.T, w *world, k market.Kind) *market.Batch {
	b := market.NewBatch(k)
	time := rapid.Int64Range(market.MinEventTime, market.MaxEventTime-1)
	name := rapid.SampledFrom([]string{"kraken-spot", "sim-alpha", "unknown-feed", "x"})
	for range rapid.IntRange(0, 6).Draw(t, "rows") {
		e := market.Envelope{
			Feed:    w.feeds.Intern(name.Draw(t, "feed")),
			Inst:    w.insts.Intern("ex", market.Venue(rapid.IntRange(1, 5).Draw(t, "market")), rapid.SampledFrom([]string{"BTC-USDT", "ETH-USD", "A_1.x"}).Draw(t, "symbol")),
			EventTS: time.Draw(t, "event_ts"), IngestTS: market.NoTime,
			Shard: uint16(rapid.IntRange(0, 65535).Draw(t, "shard")),
		}
		if rapid.Bool().Draw(t, "has ingest") {
			e.IngestTS = time.Draw(t, "ingest_ts")
		}
		if rapid.Bool().Draw(t, "has seq") {
			e.Seq, e.HasSeq = rapid.Uint64().Draw(t, "seq"), true
		}
		b.AppendEnvelope(&e)
		drawPayload(t, b)
	}
	return b
}

func drawPayload(t *rapid.T, b *market.Batch) {
	i := b.N - 1
	for j, f := range market.Schema(b.Kind) {
		c := &b.Cols[j]
		null := f.Nullable && rapid.Bool().Draw(t, "null "+f.Name)
		switch f.Type {
		case market.TypeDec:
			if null {
				c.AppendNull(true)
				continue
			}
			c.AppendDec(drawMantissa(t, b.Kind, f.Name), int8(rapid.IntRange(0, 18).Draw(t, "scale")))
		case market.TypeText:
			if null {
				c.AppendNullText()
				continue
			}
			c.AppendText([]byte(rapid.StringMatching(`[ -!#-~"\\é€,:|]{0,9}`).Draw(t, f.Name)))
		case market.TypeDecs:
			drawList(t, b, j)
		case market.TypeEnum:
			c.AppendInt(rapid.Int64Range(0, int64(len(f.Words)-1)).Draw(t, f.Name))
		case market.TypeBool:
			c.AppendInt(rapid.Int64Range(0, 1).Draw(t, f.Name))
		case market.TypeTime:
			if null {
				c.AppendNull(false)
				continue
			}
			c.AppendInt(rapid.Int64Range(market.MinEventTime, market.MaxEventTime-1).Draw(t, f.Name))
		default:
			if null {
				c.AppendNull(false)
				continue
			}
			c.AppendInt(rapid.Int64Range(1, 1<<63-1).Draw(t, f.Name))
		}
	}
	settle(b, i)
}

func drawMantissa(t *rapid.T, k market.Kind, name string) int64 {
	lo := int64(1)
	if k == market.KindFunding {
		lo = -1 << 62
	}
	return rapid.Int64Range(lo, 1<<63-1).Draw(t, name)
}

// drawList gives both lists of a side the same length, and none of a delta's rules to break.
func drawList(t *rapid.T, b *market.Batch, j int) {
	c := &b.Cols[j]
	n := rapid.IntRange(0, 3).Draw(t, "levels")
	if j == market.BookBidQuantity || j == market.BookAskQuantity {
		n = len(b.Cols[j-1].Decs(b.N - 1))
	}
	var m []int64
	for range n {
		m = append(m, rapid.Int64Range(1, 1<<63-1).Draw(t, "level"))
	}
	s := int8(0)
	if n > 0 {
		s = int8(rapid.IntRange(0, 18).Draw(t, "scale"))
	}
	c.AppendDecs(m, s)
}

// settle makes row i obey the rules between columns.
func settle(b *market.Batch, i int) {
	same := func(from int, to ...int) {
		for _, j := range to {
			b.Cols[j].I64[i], b.Cols[j].Scale[i] = b.Cols[from].I64[i], b.Cols[from].Scale[i]
		}
	}
	switch b.Kind {
	case market.KindQuote: // locked
		if b.Cols[0].IsNull(i) && b.Cols[2].IsNull(i) {
			b.Cols[0].Null[i>>6] &^= 1 << (i & 63)
			b.Cols[0].I64[i] = 1
		}
		if !b.Cols[0].IsNull(i) && !b.Cols[2].IsNull(i) {
			same(market.QuoteBidPrice, market.QuoteAskPrice)
		}
	case market.KindCandle:
		same(market.CandleOpen, market.CandleHigh, market.CandleLow, market.CandleClose)
	case market.KindBook:
		if b.Cols[market.BookOrigin].I64[i] != market.OriginDelta && len(b.Cols[market.BookAskPrice].Decs(i)) > 0 {
			b.Cols[market.BookOrigin].I64[i] = market.OriginDelta
		}
	}
}

// Reading what was written gives the same rows, and writing these the same bytes, for
// every kind in both formats.
func TestWriter_RoundTrip(t *testing.T) {
	for k := market.KindTrade; k <= market.KindWatermark; k++ {
		for _, o := range []Options{{Format: CSV, Kind: k, Shard: true, Prints: true}, {Format: JSONL, Shard: true}} {
			t.Run(fmt.Sprintf("%s/%d", k, o.Format), rapid.MakeCheck(func(t *rapid.T) {
				w := newWorld()
				in := drawBatch(t, w, k)
				text := w.write(t, o, in)
				out := w.read(t, text).Batch(k)
				if again := w.write(t, o, out); !bytes.Equal(text, again) {
					t.Fatalf("not the same bytes:\n%s\n%s", text, again)
				}
				for i := range out.N { // what the file does not carry
					out.ID[i], out.RawBytes[i] = market.ID{}, 0
				}
				if d := cmp.Diff(rowsOf(in), rowsOf(out)); d != "" {
					t.Fatalf("rows differ (-written +read):\n%s\n%s", d, text)
				}
			}))
		}
	}
}

// rowsOf prints a batch row by row, so that nil and empty slices compare equal.
func rowsOf(b *market.Batch) []string {
	var out []string
	for i := range b.N {
		s := fmt.Sprint(b.Feed[i], b.Shard[i], b.Inst[i], b.EventTS[i], b.IngestTS[i], b.Seq[i], b.HasSeq[i], b.TS[i])
		for j, f := range market.Schema(b.Kind) {
			c := &b.Cols[j]
			switch {
			case f.Type == market.TypeDecs:
				s += fmt.Sprint(" ", f.Name, c.Decs(i), c.Scale[i])
			case c.IsNull(i):
				s += " null"
			case f.Type == market.TypeText:
				s += fmt.Sprintf(" %q", c.Text(i))
			case f.Type == market.TypeDec:
				s += fmt.Sprint(" ", c.I64[i], "e-", c.Scale[i])
			default:
				s += fmt.Sprint(" ", c.I64[i])
			}
		}
		out = append(out, s)
	}
	return out
}
