package wire_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/proto"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/wire"
)

// fuzzKind checks on any bytes: no panic; an error leaves the batch; what is read is
// written in a canonical form that reads the same; and the protobuf library, where it
// reads the bytes too, reads the same event.
func fuzzKind(f *testing.F, k market.Kind) {
	w := newWorld()
	seed, err := wire.Append(nil, golden(k), 0, w.feeds, w.insts)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add(message(envNames, ""))
	f.Add(message(envNames+"\x29\x01\x00\x00\x00\x00\x00\x00\x00", "\x52\x02\x02\x04\x62\x02\x02\x04\x38\x02\x30\x0a"))
	f.Fuzz(func(t *testing.T, msg []byte) {
		w := newWorld()
		dec := wire.NewDecoder(w.feeds, w.insts)
		b := market.NewBatch(k)
		if err := dec.Decode(seed, k, b); err != nil {
			t.Fatal(err)
		}
		if was := clone(b); !dec.DecodeBlock([][]byte{msg}, b) {
			if d := cmp.Diff(was, b, cmpopts.EquateEmpty()); d != "" {
				t.Fatalf("what is no block changed the batch:\n%s", d)
			}
		}
		b.Truncate(1)
		if err := dec.Decode(msg, k, b); err != nil {
			if d := cmp.Diff(golden(k), b, cmpopts.EquateEmpty()); d != "" {
				t.Fatalf("the refused message changed the batch:\n%s", d)
			}
			return
		}
		slow := market.NewBatch(k)
		if err := wire.NewDecoder(w.feeds, w.insts).Decode(seed, k, slow); err != nil {
			t.Fatal(err)
		}
		if err := wire.Slow(wire.NewDecoder(w.feeds, w.insts), msg, slow); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(slow, b, cmpopts.EquateEmpty()); d != "" {
			t.Fatalf("%x is read in two ways (-slow +block):\n%s", msg, d)
		}
		out, err := wire.Append(nil, b, 1, w.feeds, w.insts)
		if err != nil {
			t.Fatalf("read %x, but cannot write it: %v", msg, err)
		}
		again := market.NewBatch(k)
		if err := dec.Decode(seed, k, again); err != nil {
			t.Fatal(err)
		}
		if err := dec.Decode(out, k, again); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(b, again, cmpopts.EquateEmpty()); d != "" {
			t.Fatalf("%x and its canonical form %x differ:\n%s", msg, out, d)
		}
		m, want := newMessage(k), newMessage(k)
		if err := proto.Unmarshal(msg, m); err != nil {
			t.Fatalf("read %x, which protobuf refuses: %v", msg, err)
		}
		proto.Reset(want)
		if err := proto.Unmarshal(out, want); err != nil {
			t.Fatal(err)
		}
		strip(m)
		canonical, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		third := market.NewBatch(k)
		if err := dec.Decode(canonical, k, third); err != nil {
			t.Fatal(err)
		}
		fourth, err := wire.Append(nil, third, 0, w.feeds, w.insts)
		if err != nil || !bytes.Equal(fourth, out) {
			t.Fatalf("protobuf reads %x as %v, we as %v", msg, m, want)
		}
	})
}

func clone(b *market.Batch) *market.Batch {
	c := market.NewBatch(b.Kind)
	c.AppendRows(b, 0, b.N)
	return c
}

// strip drops the unknown fields, which only protobuf keeps.
func strip(m proto.Message) { m.ProtoReflect().SetUnknown(nil) }

func FuzzDecodeTrade(f *testing.F)        { fuzzKind(f, market.KindTrade) }
func FuzzDecodeQuote(f *testing.F)        { fuzzKind(f, market.KindQuote) }
func FuzzDecodeBook(f *testing.F)         { fuzzKind(f, market.KindBook) }
func FuzzDecodeFunding(f *testing.F)      { fuzzKind(f, market.KindFunding) }
func FuzzDecodeLiquidation(f *testing.F)  { fuzzKind(f, market.KindLiquidation) }
func FuzzDecodeCandle(f *testing.F)       { fuzzKind(f, market.KindCandle) }
func FuzzDecodeMarkPrice(f *testing.F)    { fuzzKind(f, market.KindMarkPrice) }
func FuzzDecodeOpenInterest(f *testing.F) { fuzzKind(f, market.KindOpenInterest) }
func FuzzDecodeInstrument(f *testing.F)   { fuzzKind(f, market.KindInstrument) }
func FuzzDecodeStatus(f *testing.F)       { fuzzKind(f, market.KindStatus) }
func FuzzDecodeWatermark(f *testing.F)    { fuzzKind(f, market.KindWatermark) }

func FuzzCutFrame(f *testing.F) {
	f.Add(wire.AppendFrame(nil, 7))
	f.Add([]byte("\x00\x00\x00\x00\x07\x02\x00x"))
	f.Fuzz(func(t *testing.T, rec []byte) {
		schema, payload, err := wire.CutFrame(rec)
		if err != nil {
			return
		}
		s, p, err := wire.CutFrame(append(wire.AppendFrame(nil, schema), payload...))
		if err != nil || s != schema || !bytes.Equal(p, payload) {
			t.Fatalf("%x: %d, %x, %v", rec, s, p, err)
		}
	})
}
