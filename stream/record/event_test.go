package record_test

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/dynamicpb"
	"pgregory.net/rapid"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/sequence"
	"github.com/pinova-group/tidemark/stream/record"
)

// genBatch is a batch of one random row of a kind.
func genBatch(t *rapid.T, kinds *market.Kinds, k market.Kind, feeds *market.Feeds, insts *market.Instruments) *market.Batch {
	b := kinds.NewBatch(k)
	b.AppendEnvelope(&market.Envelope{Feed: feeds.Intern("met"), Inst: insts.Intern("met", market.Spot, "BTC-USDT"), EventTS: genInt(t), IngestTS: market.NoTime, Seq: rapid.Uint64().Draw(t, "seq"), Flags: rapid.Uint8().Draw(t, "flags")})
	levels := 0
	for i, f := range kinds.Fields(k) {
		c := &b.Cols[i]
		null := f.Nullable && rapid.Bool().Draw(t, "null")
		scale := int8(rapid.IntRange(0, 18).Draw(t, "scale"))
		v := max(genInt(t), -1<<63+1)
		switch f.Type {
		case market.TypeText:
			if null {
				c.AppendNullText()
			} else {
				c.AppendText([]byte(rapid.StringN(0, 8, 32).Draw(t, "text")))
			}
			continue
		case market.TypeFloat:
			if null {
				c.AppendNullFloat()
			} else {
				c.AppendFloat(float64(v))
			}
			continue
		case market.TypeDecs:
			if i == market.BookBidPrice || i == market.BookAskPrice {
				levels = rapid.IntRange(0, 5).Draw(t, "levels")
			}
			c.AppendDecs([]int64{v, 1, 2, 3, 4}[:levels], scale)
			continue
		case market.TypeEnum:
			v = int64(rapid.IntRange(0, len(f.Words)-1).Draw(t, "word"))
		case market.TypeBool:
			v &= 1
		}
		switch {
		case null:
			c.AppendNull(f.Type == market.TypeDec)
		case f.Type == market.TypeDec:
			c.AppendDec(v, scale)
		default:
			c.AppendInt(v)
		}
	}
	return b
}

// Events of all kinds, user-defined ones too, come back as they were, and the Protobuf library
// reads and writes the same bytes by the .proto text; with a registry and without.
func TestEvent_IsProtobufAndComesBack(t *testing.T) {
	reg := srfake.New()
	defer reg.Close()
	kinds, list := allKinds(t)
	for _, url := range []string{"", reg.URL()} {
		writer, err := record.NewSchemas(url, kinds)
		if err != nil {
			t.Fatal(err)
		}
		reader, err := record.NewSchemas(url, kinds)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range list {
			md := compile(t, record.ProtoOfKind(kinds, k))
			if string(md.FullName()) != writer.EventName(k) {
				t.Fatalf("%s is named %s", writer.EventName(k), md.FullName())
			}
			t.Run(kinds.Name(k)+"/"+url, rapid.MakeCheck(func(t *rapid.T) {
				feeds, insts := market.NewFeeds(), market.NewInstruments()
				enc, dec := record.NewEventEncoder(writer, feeds, insts), record.NewEventDecoder(reader, feeds, insts)
				b := genBatch(t, kinds, k, feeds, insts)
				value, err := enc.AppendEvent(t.Context(), []byte("x"), b, 0)
				if err != nil {
					t.Fatal(err)
				}
				value = value[1:]
				msg := dynamicpb.NewMessage(md)
				if err := proto.Unmarshal(value[6:], msg); err != nil || len(msg.GetUnknown()) > 0 {
					t.Fatalf("%v; unknown to the library: %x", err, msg.GetUnknown())
				}
				again, err := proto.MarshalOptions{Deterministic: true}.Marshal(msg)
				if err != nil || !bytes.Equal(again, value[6:]) {
					t.Fatalf("wrote\n%x, the library\n%x %v", value[6:], again, err)
				}
				var chunk market.Chunk
				if got, err := dec.Decode(t.Context(), value, &chunk); err != nil || got != k {
					t.Fatal(got, err)
				}
				if diff := cmp.Diff(b, chunk.Batches[k], cmpopts.EquateEmpty()); diff != "" {
					t.Fatal(diff)
				}
			}))
		}
	}
}

func TestSchemas_Register(t *testing.T) {
	reg := srfake.New()
	defer reg.Close()
	s, err := record.NewSchemas(reg.URL(), nil)
	if err != nil {
		t.Fatal(err)
	}
	o := everyType()
	id, err := s.View(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	other, _ := record.NewSchemas(reg.URL(), nil)
	for _, s := range []*record.Schemas{s, other} {
		what, err := s.Lookup(t.Context(), id)
		if want := (record.What{Name: "tidemark.view.every_type.v3.Row", View: "every_type", Version: 3}); err != nil || what != want {
			t.Errorf("got %+v, want %+v: %v", what, want, err)
		}
		if _, err := s.Lookup(t.Context(), 999); !errors.Is(err, record.ErrSchema) || errors.Is(err, record.ErrRegistry) {
			t.Errorf("schema of nobody: %v", err)
		}
	}
	cl, err := sr.NewClient(sr.URLs(reg.URL()))
	if err != nil {
		t.Fatal(err)
	}
	level := cl.Compatibility(t.Context(), "tidemark.view.every_type.v3.Row")
	if level[0].Err != nil || level[0].Level != sr.CompatBackwardTransitive {
		t.Errorf("level is %+v", level)
	}
	text, err := cl.SchemaByID(t.Context(), int(id))
	if err != nil || strings.TrimSpace(text.Schema) != strings.TrimSpace(record.ProtoOfView(o)) {
		t.Errorf("registered %q: %v", text.Schema, err)
	}
	dec := record.NewEventDecoder(other, market.NewFeeds(), market.NewInstruments())
	if _, err := dec.Decode(t.Context(), []byte{0, 0, 0, 0, byte(id), 0}, &market.Chunk{}); !errors.Is(err, record.ErrSchema) {
		t.Errorf("a row is an event: %v", err)
	}
}

// A registry that is down is no fault of the record, and nothing is remembered of it.
func TestSchemas_RegistryIsDown(t *testing.T) {
	reg := srfake.New()
	defer reg.Close()
	writer, _ := record.NewSchemas(reg.URL(), nil)
	id, err := writer.Event(t.Context(), market.KindTrade)
	if err != nil {
		t.Fatal(err)
	}
	down := true
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if down {
			http.Error(w, "no", http.StatusServiceUnavailable)
			return
		}
		resp, err := http.Get(reg.URL() + r.URL.Path)
		if err != nil {
			t.Error(err)
			return
		}
		defer resp.Body.Close()
		w.WriteHeader(resp.StatusCode)
		var buf bytes.Buffer
		_, _ = buf.ReadFrom(resp.Body)
		_, _ = w.Write(buf.Bytes())
	}))
	defer front.Close()
	s, _ := record.NewSchemas(front.URL, nil)
	if _, err := s.Lookup(t.Context(), id); !errors.Is(err, record.ErrRegistry) {
		t.Errorf("down: %v", err)
	}
	if _, err := s.View(t.Context(), everyType()); !errors.Is(err, record.ErrRegistry) {
		t.Errorf("down: %v", err)
	}
	down = false
	if what, err := s.Lookup(t.Context(), id); err != nil || what.Kind != market.KindTrade {
		t.Errorf("up again: %+v %v", what, err)
	}
}

func TestHeaders_ComeBack(t *testing.T) {
	r := &kgo.Record{}
	record.AddLate(r, -5, 70)
	if w, m, err := record.ReadLate(r); err != nil || w != -5 || m != 70 {
		t.Error(w, m, err)
	}
	d := record.DeadLetter{Reason: "bad_frame", Detail: "not a frame", Topic: "raw.spot.trade.kraken", Partition: 3, Offset: 1 << 40}
	record.AddDeadLetter(r, &d)
	if got, err := record.ReadDeadLetter(r); err != nil || got != d {
		t.Error(got, err)
	}
	a := sequence.Counts{In: 21, Applied: 1, Late: 2, Duplicate: 3, DLQ: 4, Filtered: 5, Pending: 6}
	record.AddMark(r, nil, market.KindBook, &a)
	if of, got, err := record.ReadMark(r, nil); err != nil || of != market.KindBook || got != a || !got.Balanced() {
		t.Error(of, got, err)
	}
	for _, bad := range []string{"", "1,2,3,4,5,6", "1,2,3,4,5,6,7,8", "1,2,3,4,5,6,-7", "1,2,3,4,5,6,"} {
		r := &kgo.Record{Headers: []kgo.RecordHeader{{Key: "of", Value: []byte("trade")}, {Key: "account", Value: []byte(bad)}}}
		if _, _, err := record.ReadMark(r, nil); err == nil {
			t.Errorf("took account %q", bad)
		}
	}
	if _, _, err := record.ReadLate(&kgo.Record{}); err == nil {
		t.Error("took no header")
	}
}

func FuzzEventDecoder(f *testing.F) {
	kinds, list := allKinds(f)
	s, err := record.NewSchemas("", kinds)
	if err != nil {
		f.Fatal(err)
	}
	for _, k := range list {
		id, _ := s.Event(f.Context(), k)
		f.Add([]byte{0, byte(id >> 24), byte(id >> 16), byte(id >> 8), byte(id), 0, 0x0a, 0})
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		feeds, insts := market.NewFeeds(), market.NewInstruments()
		var chunk market.Chunk
		k, err := record.NewEventDecoder(s, feeds, insts).Decode(t.Context(), value, &chunk)
		if err != nil {
			if chunk.Len() != 0 {
				t.Fatal("an error left a row")
			}
			return
		}
		if _, err := record.NewEventEncoder(s, feeds, insts).AppendEvent(t.Context(), nil, chunk.Batches[k], 0); err != nil {
			t.Fatal(err)
		}
	})
}

// What is decoded together and what is left are all values, each once.
func TestEventDecoder_Block(t *testing.T) {
	feeds, insts := market.NewFeeds(), market.NewInstruments()
	schemas := record.NewSchemasOf(nil, nil)
	enc := record.NewEventEncoder(schemas, feeds, insts)
	var values [][]byte
	add := func(v []byte, err error) {
		if err != nil {
			t.Fatal(err)
		}
		values = append(values, v)
	}
	for i := range 12 {
		switch i {
		case 3:
			add(enc.AppendWatermark(t.Context(), nil, 2, insts.Intern("kraken", market.Spot, "ALL"), 5))
		case 5:
			add([]byte("no event"), nil)
		case 7:
			quote := market.NewBatch(market.KindQuote)
			quote.AppendEnvelope(&market.Envelope{Feed: 2, EventTS: 7, IngestTS: market.NoTime})
			for c := range quote.Cols {
				quote.Cols[c].AppendNull(true)
			}
			add(enc.AppendEvent(t.Context(), nil, quote, 0))
		default:
			b := trade(feeds, insts)
			b.Seq[0] = uint64(i)
			add(enc.AppendEvent(t.Context(), nil, b, 0))
		}
	}
	dec := record.NewEventDecoder(schemas, feeds, insts)
	var chunk market.Chunk
	if _, left := dec.DecodeBlock(values, &chunk, nil); len(left) != len(values) {
		t.Fatalf("left %v before any kind is known", left)
	}
	for _, i := range []int{0, 3} { // a mark does not change what is decoded together
		if _, err := dec.Decode(t.Context(), values[i], &chunk); err != nil {
			t.Fatal(err)
		}
	}
	chunk.Reset()
	k, left := dec.DecodeBlock(values, &chunk, []int{99})
	if d := cmp.Diff([]int{99, 3, 5, 7}, left); k != market.KindTrade || d != "" {
		t.Fatalf("%s, left (-want +got):\n%s", k, d)
	}
	if d := cmp.Diff([]uint64{0, 1, 2, 4, 6, 8, 9, 10, 11}, chunk.Batches[k].Seq); d != "" {
		t.Fatalf("rows (-want +got):\n%s", d)
	}

	values[10] = values[10][:len(values[10])-1]
	if _, left = dec.DecodeBlock(values, &chunk, nil); len(left) != len(values) || chunk.Batches[k].N != 9 {
		t.Errorf("with one that is cut: left %v, %d rows", left, chunk.Batches[k].N)
	}
}

func trade(feeds *market.Feeds, insts *market.Instruments) *market.Batch {
	b := market.NewBatch(market.KindTrade)
	b.AppendEnvelope(&market.Envelope{Feed: feeds.Intern("binance-spot"), Inst: insts.Intern("binance", market.Spot, "BTC-USDT"), EventTS: 1700000000000000, IngestTS: 1700000000100000, Seq: 123456789, HasSeq: true, ID: market.ID{1}, RawBytes: 150})
	b.Cols[market.TradeVenueID].AppendText([]byte("123456789"))
	b.Cols[market.TradeSide].AppendInt(market.SideBuy)
	b.Cols[market.TradePrice].AppendDec(6183763000000, 8)
	b.Cols[market.TradeQuantity].AppendDec(1500000, 8)
	b.Cols[market.TradePrints].AppendInt(1)
	return b
}

func BenchmarkEvent(b *testing.B) {
	s, err := record.NewSchemas("", nil)
	if err != nil {
		b.Fatal(err)
	}
	feeds, insts := market.NewFeeds(), market.NewInstruments()
	batch, enc, dec := trade(feeds, insts), record.NewEventEncoder(s, feeds, insts), record.NewEventDecoder(s, feeds, insts)
	buf, err := enc.AppendEvent(b.Context(), nil, batch, 0)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			buf, _ = enc.AppendEvent(b.Context(), buf[:0], batch, 0)
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		var chunk market.Chunk
		ctx := b.Context()
		for b.Loop() {
			if _, err := dec.Decode(ctx, buf, &chunk); err != nil {
				b.Fatal(err)
			}
			if chunk.Batches[market.KindTrade].N == 1024 {
				chunk.Reset()
			}
		}
	})
}

func TestEvent_DoesNotAllocate(t *testing.T) {
	s, err := record.NewSchemas("", nil)
	if err != nil {
		t.Fatal(err)
	}
	feeds, insts := market.NewFeeds(), market.NewInstruments()
	batch, enc, dec := trade(feeds, insts), record.NewEventEncoder(s, feeds, insts), record.NewEventDecoder(s, feeds, insts)
	var chunk market.Chunk
	var buf []byte
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() {
		buf, _ = enc.AppendEvent(ctx, buf[:0], batch, 0)
		if _, err := dec.Decode(ctx, buf, &chunk); err != nil {
			t.Fatal(err)
		}
		chunk.Reset()
	}); n != 0 {
		t.Errorf("%v allocations an event", n)
	}
}

func TestNewRowEncoder_Bounds(t *testing.T) {
	if _, err := record.NewRowEncoder(1, &features.Output{Entity: make([]string, 9)}); err == nil {
		t.Error("took nine entity columns")
	}
}
