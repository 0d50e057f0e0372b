package wire_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/wire"
)

func TestCodec_RoundTrip(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.String(), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				w := newWorld()
				b := genBatch(t, w, k, rapid.IntRange(1, 5).Draw(t, "rows"))
				enc, dec := wire.NewEncoder(w.feeds, w.insts), wire.NewDecoder(w.feeds, w.insts)
				got := market.NewBatch(k)
				for row := range b.N {
					msg, err := enc.Append([]byte("before"), b, row)
					if err != nil {
						t.Fatal(err)
					}
					plain, err := wire.Append(nil, b, row, w.feeds, w.insts)
					if err != nil || !bytes.Equal(msg, append([]byte("before"), plain...)) {
						t.Fatalf("Append %x, Encoder %x, %v", plain, msg, err)
					}
					if err := dec.Decode(plain, k, got); err != nil {
						t.Fatal(err)
					}
				}
				if d := cmp.Diff(b, got, cmpopts.EquateEmpty()); d != "" {
					t.Fatalf("not what was written (-want +got):\n%s", d)
				}
			})
		})
	}
}

// What an Encoder writes is read the quick way, once its names were met, and as the slow way reads it; cut
// anywhere, or with a byte changed, it is refused or read as the slow way does.
func TestDecode_BlockIsAsSlow(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.String(), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				w := newWorld()
				b := genBatch(t, w, k, rapid.IntRange(1, 5).Draw(t, "rows"))
				dec := wire.NewDecoder(w.feeds, w.insts)
				got, want := market.NewBatch(k), market.NewBatch(k)
				var msgs [][]byte
				memory := []byte(nil)
				for row := range b.N {
					msg, err := wire.Append(nil, b, row, w.feeds, w.insts)
					if err != nil {
						t.Fatal(err)
					}
					if err := wire.Slow(dec, msg, want); err != nil {
						t.Fatal(err)
					}
					memory = append(memory, msg...)
					msgs = append(msgs, msg)
				}
				behind := rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "behind")
				memory = append(memory, behind...)
				memory = memory[:len(memory):len(memory)]
				for i, at := 0, 0; i < len(msgs); i++ { // close together, as in a batch of records
					msgs[i], at = memory[at:at+len(msgs[i])], at+len(msgs[i])
				}
				lo := rapid.IntRange(0, len(msgs)).Draw(t, "lo")
				for _, part := range [][][]byte{msgs[:lo], msgs[lo:]} {
					if len(part) > 0 && !dec.DecodeBlock(part, got) {
						t.Fatalf("%x are no block", part)
					}
				}
				if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
					t.Fatalf("%x (-slow +block):\n%s", msgs, d)
				}

				row := rapid.IntRange(0, b.N-1).Draw(t, "row")
				at := rapid.IntRange(0, len(msgs[row])-1).Draw(t, "at")
				bad := append([]byte(nil), msgs[row]...)
				if bad[at] ^= byte(rapid.IntRange(0, 255).Draw(t, "flip")); rapid.Bool().Draw(t, "cut") {
					bad = bad[:at]
				}
				msgs[row] = bad
				n := got.N
				if !dec.DecodeBlock(msgs, got) {
					if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
						t.Fatalf("%x are no block, but change the batch (-want +got):\n%s", msgs, d)
					}
					for i, msg := range msgs {
						if err := dec.Decode(msg, k, got); err != nil && i != row {
							t.Fatal(err)
						}
					}
				}
				for _, msg := range msgs {
					_ = wire.Slow(dec, msg, want)
				}
				if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
					t.Fatalf("%x with one that was %x (-slow +block):\n%s", msgs, bad, d)
				}
				got.Truncate(n)
			})
		})
	}
}

// Another process gives other handles: names must carry over.
func TestDecode_GivesNamesTheNumbersOfThisProcess(t *testing.T) {
	a, b := newWorld(), world{market.NewFeeds(), market.NewInstruments()}
	b.insts.Intern("other", market.Index, "X")
	in := market.NewBatch(market.KindWatermark)
	for i := range 3 {
		in.AppendEnvelope(&market.Envelope{Feed: a.feeds.Intern("some-feed"), Inst: market.Inst(i), EventTS: 1, IngestTS: market.NoTime})
	}
	out := market.NewBatch(market.KindWatermark)
	dec := wire.NewDecoder(b.feeds, b.insts)
	for range 2 {
		for i := range 3 {
			msg, err := wire.Append(nil, in, i, a.feeds, a.insts)
			if err != nil {
				t.Fatal(err)
			}
			if err := dec.Decode(msg, market.KindWatermark, out); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := range out.N {
		if got, want := b.insts.Get(out.Inst[i]), a.insts.Get(market.Inst(i%3)); got != want {
			t.Errorf("row %d is of %v, want %v", i, got, want)
		}
		if got := b.feeds.Get(out.Feed[i]).Name; got != "some-feed" {
			t.Errorf("row %d is of feed %s", i, got)
		}
	}
}

// message is a trade whose envelope and payload are given as fields.
func message(env, payload string) []byte {
	return append(append([]byte{0x0a, byte(len(env))}, env...), payload...)
}

const envNames = "\x0a\x05some1\x12\x07binance\x1a\x04perp\x22\x08BTC-USDT"

func TestDecode_TakesAnyValidEncoding(t *testing.T) {
	w := newWorld()
	want := market.NewBatch(market.KindTrade)
	dec := wire.NewDecoder(w.feeds, w.insts)
	if err := dec.Decode(message(envNames+"\x29\x01\x00\x00\x00\x00\x00\x00\x00", "\x20\x01\x30\x0a\x38\x02\x40\x04\x50\x01"), market.KindTrade, want); err != nil {
		t.Fatal(err)
	}
	if p := want.Cols[market.TradePrice]; p.I64[0] != 5 || p.Scale[0] != 2 || want.EventTS[0] != 1 || !want.Cols[market.TradeVenueID].IsNull(0) {
		t.Fatalf("read %+v", want)
	}
	for name, msg := range map[string][]byte{
		"payload before envelope": []byte("\x20\x01\x30\x0a\x38\x02\x40\x04\x50\x01" + string(message(envNames+"\x29\x01\x00\x00\x00\x00\x00\x00\x00", ""))),
		"other order":             message("\x29\x01\x00\x00\x00\x00\x00\x00\x00\x22\x08BTC-USDT\x12\x07binance\x0a\x05some1\x1a\x04perp", "\x50\x01\x40\x04\x38\x02\x30\x0a\x20\x01"),
		"unknown fields":          message(envNames+"\x29\x01\x00\x00\x00\x00\x00\x00\x00\xa0\x06\x01", "\x20\x01\x30\x0a\x38\x02\x40\x04\x50\x01\xfa\x01\x02xy\xf9\x0112345678\xfd\x011234\x28\x07"),
		"the last value counts":   message(envNames+"\x29\x01\x00\x00\x00\x00\x00\x00\x00", "\x20\x02\x30\x0b\x20\x01\x30\x0a\x38\x02\x40\x04\x50\x01"),
		"long varints":            message(envNames+"\x29\x01\x00\x00\x00\x00\x00\x00\x00", "\x20\x81\x80\x00\x30\x8a\x00\x38\x82\x80\x80\x80\x80\x00\x40\x04\x50\x01"),
		"zeros written out":       message(envNames+"\x29\x01\x00\x00\x00\x00\x00\x00\x00\x42\x00\x48\x00\x50\x00\x58\x00\x60\x00", "\x20\x01\x30\x0a\x38\x02\x40\x04\x48\x00\x50\x01"),
	} {
		got := market.NewBatch(market.KindTrade)
		if err := dec.Decode(msg, market.KindTrade, got); err != nil {
			t.Errorf("%s: %v", name, err)
		} else if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
	// Lists in pieces and unpacked.
	book := market.NewBatch(market.KindBook)
	if err := dec.Decode(message(envNames, "\x52\x02\x02\x04\x62\x01\x02\x50\x06\x62\x02\x04\x06"), market.KindBook, book); err != nil {
		t.Fatal(err)
	}
	if got := book.Cols[market.BookBidPrice].Decs(0); !cmp.Equal(got, []int64{1, 2, 3}) {
		t.Errorf("bid prices %v", got)
	}
}

func TestDecode_RefusesAndLeavesTheBatch(t *testing.T) {
	w := newWorld()
	dec := wire.NewDecoder(w.feeds, w.insts)
	books := market.NewBatch(market.KindBook)
	if err := dec.Decode(message(envNames, "\x52\x02\x02\x04\x62\x02\x02\x04"), market.KindBook, books); err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", 5000)
	for _, c := range []struct {
		name, msg, want string
		kind            market.Kind
	}{
		{"no envelope", "\x20\x01", "envelope", market.KindTrade},
		{"empty", "", "envelope", market.KindTrade},
		{"cut tag", string(message(envNames, "\x80")), "cut|inside", market.KindTrade},
		{"cut varint", string(message(envNames, "\x30\x80")), "field 6: message ends inside", market.KindTrade},
		{"cut text", string(message(envNames, "\x12\x05ab")), "field 2: message ends inside", market.KindTrade},
		{"cut time", string(message(envNames+"\x29\x01", "")), "envelope: field 5: message ends inside", market.KindTrade},
		{"cut unknown", string(message(envNames, "\xf9\x011234")), "field 31: message ends", market.KindTrade},
		{"huge length", string(message(envNames, "\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")), "message ends inside", market.KindTrade},
		{"long varint", string(message(envNames, "\x30\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")), "more than 64 bits", market.KindTrade},
		{"field 0", string(message(envNames, "\x00\x01")), "not valid", market.KindTrade},
		{"group", string(message(envNames, "\xf3\x01")), "not valid", market.KindTrade},
		{"wrong type", string(message(envNames, "\x31\x01\x00\x00\x00\x00\x00\x00\x00")), "field 6: wire type", market.KindTrade},
		{"scale 19", string(message(envNames, "\x38\x13")), "scale", market.KindTrade},
		{"scale -1", string(message(envNames, "\x38\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")), "scale", market.KindTrade},
		{"least mantissa", string(message(envNames, "\x30\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")), "mantissa", market.KindTrade},
		{"least mantissa in a list", string(message(envNames, "\x52\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")), "mantissa", market.KindBook},
		{"unknown side", string(message(envNames, "\x20\x03")), "code", market.KindTrade},
		{"truth value 2", string(message(envNames, "\xb0\x01\x02")), "truth value", market.KindCandle},
		{"not UTF-8", string(message(envNames, "\x12\x01\xff")), "UTF-8", market.KindTrade},
		{"long text", string(message(envNames, "\x12\x88\x27"+long)), "too long", market.KindTrade},
		{"uneven lists", string(message(envNames, "\x52\x02\x02\x04\x62\x01\x02")), "2 bid prices, 1 quantities", market.KindBook},
		{"list that ends in a varint", string(message(envNames, "\x52\x02\x02\x84")), "ends inside", market.KindBook},
		{"two envelopes", string(message(envNames, string(message(envNames, "")))), "envelope", market.KindTrade},
		{"no names", string(message("\x29\x01\x00\x00\x00\x00\x00\x00\x00", "")), "not a valid name", market.KindTrade},
		{"names twice", string(message(envNames+"\x22\x01X", "")), "twice", market.KindTrade},
		{"path as symbol", string(message("\x0a\x05some1\x12\x07binance\x1a\x04perp\x22\x08../../ab", "")), "not a valid name", market.KindTrade},
		{"unknown market", string(message("\x0a\x05some1\x12\x07binance\x1a\x04swap\x22\x08BTC-USDT", "")), "market", market.KindTrade},
		{"short id", string(message(envNames+"\x42\x03abc", "")), "16 bytes", market.KindTrade},
		{"flags 256", string(message(envNames+"\x68\x80\x02", "")), "too large", market.KindTrade},
		{"shard 65536", string(message(envNames+"\x60\x80\x80\x04", "")), "too large", market.KindTrade},
		{"epoch 2^32", string(message(envNames+"\x58\x80\x80\x80\x80\x10", "")), "too large", market.KindTrade},
		{"names of another type", string(message("\x08\x01", "")), "wire type", market.KindTrade},
	} {
		b := market.NewBatch(c.kind)
		if c.kind == market.KindBook {
			b = books
		}
		before := b.N
		err := dec.Decode([]byte(c.msg), c.kind, b)
		if err == nil {
			t.Errorf("%s: read", c.name)
			continue
		}
		ok := false
		for want := range strings.SplitSeq(c.want, "|") {
			ok = ok || strings.Contains(err.Error(), want)
		}
		if !ok {
			t.Errorf("%s: %v; want %s", c.name, err, c.want)
		}
		if b.N != before || len(books.Cols[market.BookBidPrice].I64) != 2 || len(books.Cols[market.BookBidQuantity].I64) != 2 {
			t.Errorf("%s: the batch has changed", c.name)
		}
	}
	if err := dec.Decode(make([]byte, wire.MaxPayload+1), market.KindTrade, market.NewBatch(market.KindTrade)); err == nil {
		t.Error("read a message that is too long")
	}
	if err := dec.Decode(message(envNames, ""), market.KindTrade, books); err == nil {
		t.Error("read a trade into a batch of books")
	}
}

func TestEncode_RefusesWhatNoMessageHolds(t *testing.T) {
	w := newWorld()
	env := market.Envelope{Feed: 2, IngestTS: market.NoTime}
	for name, spoil := range map[string]func(b *market.Batch){
		"scale":       func(b *market.Batch) { b.Cols[market.TradePrice].Scale[0] = 19 },
		"mantissa":    func(b *market.Batch) { b.Cols[market.TradePrice].I64[0] = -1 << 63 },
		"code":        func(b *market.Batch) { b.Cols[market.TradeSide].I64[0] = 3 },
		"null":        func(b *market.Batch) { b.Cols[market.TradePrice].SetNull(0) },
		"UTF-8":       func(b *market.Batch) { b.Cols[market.TradeVenueID].Bytes[0] = 0xff },
		"feed 99":     func(b *market.Batch) { b.Feed[0] = 99 },
		"feed 60000":  func(b *market.Batch) { b.Feed[0] = 60000 },
		"instrument":  func(b *market.Batch) { b.Inst[0] = 99 },
		"no such row": func(b *market.Batch) { b.N = 0 },
	} {
		b := market.NewBatch(market.KindTrade)
		b.AppendEnvelope(&env)
		b.Cols[market.TradeVenueID].AppendText([]byte("1"))
		b.Cols[market.TradeSide].AppendInt(1)
		b.Cols[market.TradePrice].AppendDec(1, 1)
		b.Cols[market.TradeQuantity].AppendDec(1, 1)
		b.Cols[market.TradePrints].AppendInt(1)
		if _, err := wire.Append(nil, b, 0, w.feeds, w.insts); err != nil {
			t.Fatal(err)
		}
		spoil(b)
		out, err := wire.Append([]byte("keep"), b, 0, w.feeds, w.insts)
		if err == nil || string(out) != "keep" || !strings.Contains(err.Error(), strings.Fields(name)[0]) {
			t.Errorf("%s: %q, %v", name, out, err)
		}
	}
}

// A flood of made-up names ends in an error, not in a full memory or a full registry.
func TestDecode_BoundsWhatItRegisters(t *testing.T) {
	w := newWorld()
	dec := wire.NewDecoder(w.feeds, w.insts)
	b := market.NewBatch(market.KindWatermark)
	var err error
	n := 0
	for ; n < 3000 && err == nil; n++ {
		name := string([]byte{'f', byte('a' + n/676), byte('a' + n/26%26), byte('a' + n%26), 'x'})
		err = dec.Decode(message("\x0a\x05"+name+"\x12\x07binance\x1a\x04perp\x22\x08BTC-USDT", ""), market.KindWatermark, b)
	}
	if err == nil || n > 1100 || !strings.Contains(err.Error(), "too many") {
		t.Errorf("registered %d feeds: %v", n, err)
	}
	if err := dec.Decode(message("\x0a\x0cbinance-usdm\x12\x07binance\x1a\x04perp\x22\x08BTC-USDT", ""), market.KindWatermark, b); err != nil {
		t.Errorf("refused a feed of the release: %v", err)
	}
}

func TestFrame(t *testing.T) {
	rec := append(wire.AppendFrame(nil, 0x01020304), "msg"...)
	if string(rec) != "\x00\x01\x02\x03\x04\x00msg" {
		t.Fatalf("frame %x", rec)
	}
	for _, c := range []struct {
		rec, payload string
		schema       uint32
		ok           bool
	}{
		{string(rec), "msg", 0x01020304, true},
		{"\x00\x00\x00\x00\x07\x02\x00msg", "msg", 7, true},
		{"\x00\x00\x00\x00\x07\x00", "", 7, true},
		{"\x00\x00\x00\x00\x07\x02\x02msg", "", 0, false},
		{"\x00\x00\x00\x00\x07\x04\x00\x00msg", "", 0, false},
		{"\x01\x00\x00\x00\x07\x00msg", "", 0, false},
		{"\x00\x00\x00\x00\x07", "", 0, false},
		{"", "", 0, false},
	} {
		schema, payload, err := wire.CutFrame([]byte(c.rec))
		if (err == nil) != c.ok || string(payload) != c.payload || schema != c.schema {
			t.Errorf("CutFrame(%x) = %d, %x, %v", c.rec, schema, payload, err)
		}
	}
}
