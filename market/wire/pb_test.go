package wire_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"pgregory.net/rapid"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/wire"
	"github.com/pinova-group/tidemark/market/wire/pb"
)

// vtMessage is a generated message with vtproto's methods.
type vtMessage interface {
	proto.Message
	MarshalVT() ([]byte, error)
	UnmarshalVT([]byte) error
}

func newMessage(k market.Kind) vtMessage {
	switch k {
	case market.KindTrade:
		return new(pb.Trade)
	case market.KindQuote:
		return new(pb.Quote)
	case market.KindBook:
		return new(pb.Book)
	case market.KindFunding:
		return new(pb.Funding)
	case market.KindLiquidation:
		return new(pb.Liquidation)
	case market.KindCandle:
		return new(pb.Candle)
	case market.KindMarkPrice:
		return new(pb.MarkPrice)
	case market.KindOpenInterest:
		return new(pb.OpenInterest)
	case market.KindInstrument:
		return new(pb.Instrument)
	case market.KindStatus:
		return new(pb.Status)
	}
	return new(pb.Watermark)
}

// The .proto files and market.Schema describe the same columns: names, numbers, types,
// what can be absent, words of enums. The message is the first of its file, as the
// Confluent frame says.
func TestProto_FollowsTheSchema(t *testing.T) {
	kindOf := map[market.Type]protoreflect.Kind{
		market.TypeDec: protoreflect.Sint64Kind, market.TypeDecs: protoreflect.Sint64Kind, market.TypeInt: protoreflect.Int64Kind,
		market.TypeDur: protoreflect.Int64Kind, market.TypeTime: protoreflect.Sfixed64Kind, market.TypeEnum: protoreflect.EnumKind,
		market.TypeBool: protoreflect.BoolKind, market.TypeText: protoreflect.StringKind,
	}
	for _, k := range kinds {
		md := newMessage(k).ProtoReflect().Descriptor()
		if md.Index() != 0 || strings.ReplaceAll(strings.ToLower(string(md.Name())), "_", "") != strings.ReplaceAll(k.String(), "_", "") {
			t.Errorf("%s: message %s, %d in its file", k, md.Name(), md.Index())
		}
		if f := md.Fields().ByNumber(1); f == nil || f.Message() == nil || f.Message().Name() != "Envelope" {
			t.Errorf("%s: field 1 is not the envelope", k)
		}
		fields := 1
		for i, c := range market.Schema(k) {
			f := md.Fields().ByNumber(protoreflect.FieldNumber(2 + 2*i))
			if f == nil || string(f.Name()) != c.Name || f.Kind() != kindOf[c.Type] || f.HasPresence() != c.Nullable || f.IsList() != (c.Type == market.TypeDecs) {
				t.Errorf("%s: column %s has field %v", k, c.Name, f)
				continue
			}
			fields++
			if c.Type == market.TypeDec || c.Type == market.TypeDecs {
				s := md.Fields().ByNumber(protoreflect.FieldNumber(3 + 2*i))
				if s == nil || string(s.Name()) != c.Name+"_scale" || s.Kind() != protoreflect.Uint32Kind || s.HasPresence() {
					t.Errorf("%s: scale of column %s has field %v", k, c.Name, s)
				}
				fields++
			}
			if c.Type == market.TypeEnum {
				values := f.Enum().Values()
				for code, word := range c.Words {
					v := values.ByNumber(protoreflect.EnumNumber(code))
					if v == nil || !strings.HasSuffix(string(v.Name()), "_"+strings.ToUpper(word)) {
						t.Errorf("%s: column %s, word %s has value %v", k, c.Name, word, v)
					}
				}
				if values.Len() != len(c.Words) {
					t.Errorf("%s: column %s has %d words, %d values", k, c.Name, len(c.Words), values.Len())
				}
			}
		}
		if md.Fields().Len() != fields {
			t.Errorf("%s: message has %d fields, the schema %d", k, md.Fields().Len(), fields)
		}
	}
}

// fill sets a generated message from a row, by the names of the columns.
func fill(w world, b *market.Batch, row int) vtMessage {
	msg := newMessage(b.Kind)
	m := msg.ProtoReflect()
	set := func(name string, v any) {
		m.Set(m.Descriptor().Fields().ByName(protoreflect.Name(name)), protoreflect.ValueOf(v))
	}
	in := w.insts.Get(b.Inst[row])
	env := &pb.Envelope{
		Feed: w.feeds.Get(b.Feed[row]).Name, Exchange: in.Exchange, Market: in.Venue.String(), Symbol: in.Symbol,
		EventTs: b.EventTS[row], Seq: b.Seq[row], HasSeq: b.HasSeq[row], Epoch: b.Epoch[row], Shard: uint32(b.Shard[row]),
		Flags: uint32(b.Flags[row]), RawBytes: b.RawBytes[row],
	}
	if b.IngestTS[row] != market.NoTime {
		env.IngestTs = &b.IngestTS[row]
	}
	if b.TS[row] != b.EventTS[row] {
		env.Ts = &b.TS[row]
	}
	if b.ID[row] != (market.ID{}) {
		env.EventId = b.ID[row][:]
	}
	set("envelope", env.ProtoReflect())
	for i, f := range market.Schema(b.Kind) {
		c := &b.Cols[i]
		if c.IsNull(row) {
			continue
		}
		switch f.Type {
		case market.TypeText:
			set(f.Name, string(c.Text(row)))
			continue
		case market.TypeDecs:
			l := m.Mutable(m.Descriptor().Fields().ByName(protoreflect.Name(f.Name))).List()
			for _, v := range c.Decs(row) {
				l.Append(protoreflect.ValueOf(v))
			}
			set(f.Name+"_scale", uint32(c.Scale[row]))
			continue
		case market.TypeDec:
			set(f.Name+"_scale", uint32(c.Scale[row]))
		}
		switch f.Type {
		case market.TypeEnum:
			set(f.Name, protoreflect.EnumNumber(c.I64[row]))
		case market.TypeBool:
			set(f.Name, c.I64[row] == 1)
		default:
			set(f.Name, c.I64[row])
		}
	}
	return msg
}

// The generated code of two independent programs writes the same bytes and reads ours.
func TestCodec_AgreesWithGeneratedCode(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.String(), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				w := newWorld()
				b := genBatch(t, w, k, 1)
				ours, err := wire.Append(nil, b, 0, w.feeds, w.insts)
				if err != nil {
					t.Fatal(err)
				}
				msg := fill(w, b, 0)
				vt, err := msg.MarshalVT()
				if err != nil || !bytes.Equal(vt, ours) {
					t.Fatalf("vtproto writes %x, %v\nwe write %x", vt, err, ours)
				}
				got, back := newMessage(k), newMessage(k)
				if err := proto.Unmarshal(ours, got); err != nil || !proto.Equal(got, msg) {
					t.Fatalf("protobuf reads %v, %v\nwant %v", got, err, msg)
				}
				if err := back.UnmarshalVT(ours); err != nil || !proto.Equal(back, msg) {
					t.Fatalf("vtproto reads %v, %v\nwant %v", back, err, msg)
				}
				other, err := proto.Marshal(msg)
				if err != nil {
					t.Fatal(err)
				}
				read := market.NewBatch(k)
				if err := wire.NewDecoder(w.feeds, w.insts).Decode(other, k, read); err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(b, read, cmpopts.EquateEmpty()); d != "" {
					t.Fatalf("read what protobuf wrote (-want +got):\n%s", d)
				}
			})
		})
	}
}
