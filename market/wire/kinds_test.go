package wire_test

import (
	"bytes"
	"fmt"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	"pgregory.net/rapid"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/wire"
	"github.com/pinova-group/tidemark/market/wire/pb"
)

// definition has a column of every type that a user may give, plain and nullable.
func definition() market.Definition {
	d := market.Definition{Name: "reading", ID: 0}
	for i, typ := range []market.Type{market.TypeText, market.TypeDec, market.TypeInt, market.TypeFloat, market.TypeBool, market.TypeEnum, market.TypeTime, market.TypeDur} {
		for _, null := range []bool{false, true} {
			f := market.Field{Name: fmt.Sprintf("c%d_%t", i, null), Type: typ, Nullable: null}
			if typ == market.TypeEnum {
				f.Words = []string{"ok", "broken", "off"}
			}
			d.Fields = append(d.Fields, f)
		}
	}
	return d
}

// descriptor describes the kind to the Protobuf library by the rule of docs/formats.md.
func descriptor(t *testing.T, d market.Definition) protoreflect.MessageDescriptor {
	t.Helper()
	types := map[market.Type]descriptorpb.FieldDescriptorProto_Type{
		market.TypeText: descriptorpb.FieldDescriptorProto_TYPE_STRING, market.TypeDec: descriptorpb.FieldDescriptorProto_TYPE_SINT64,
		market.TypeInt: descriptorpb.FieldDescriptorProto_TYPE_INT64, market.TypeDur: descriptorpb.FieldDescriptorProto_TYPE_INT64,
		market.TypeFloat: descriptorpb.FieldDescriptorProto_TYPE_DOUBLE, market.TypeBool: descriptorpb.FieldDescriptorProto_TYPE_BOOL,
		market.TypeEnum: descriptorpb.FieldDescriptorProto_TYPE_INT32, market.TypeTime: descriptorpb.FieldDescriptorProto_TYPE_SFIXED64,
	}
	env := (*pb.Envelope)(nil).ProtoReflect().Descriptor()
	m := &descriptorpb.DescriptorProto{Name: new("Reading")}
	add := func(name string, number int, typ descriptorpb.FieldDescriptorProto_Type, optional bool) {
		f := &descriptorpb.FieldDescriptorProto{Name: &name, Number: new(int32(number)), Type: &typ, Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum()}
		if typ == descriptorpb.FieldDescriptorProto_TYPE_MESSAGE {
			f.TypeName = new("." + string(env.FullName()))
		}
		if optional {
			f.Proto3Optional, f.OneofIndex = new(true), new(int32(len(m.OneofDecl)))
			m.OneofDecl = append(m.OneofDecl, &descriptorpb.OneofDescriptorProto{Name: new("_" + name)})
		}
		m.Field = append(m.Field, f)
	}
	add("envelope", 1, descriptorpb.FieldDescriptorProto_TYPE_MESSAGE, false)
	for i, f := range d.Fields {
		add(f.Name, 2+2*i, types[f.Type], f.Nullable)
		if f.Type == market.TypeDec {
			add(f.Name+"_scale", 3+2*i, descriptorpb.FieldDescriptorProto_TYPE_UINT32, false)
		}
	}
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: new("reading.proto"), Syntax: new("proto3"), Dependency: []string{env.ParentFile().Path()}, MessageType: []*descriptorpb.DescriptorProto{m},
	}, protoregistry.GlobalFiles)
	if err != nil {
		t.Fatal(err)
	}
	return file.Messages().Get(0)
}

// A message of a user-defined kind is what the Protobuf library makes of the same row, and
// either reads the other's.
func TestKinds_MessagesAreProtobuf(t *testing.T) {
	d := definition()
	kinds, err := market.NewKinds([]market.Definition{d})
	if err != nil {
		t.Fatal(err)
	}
	k := kinds.Defined()[0]
	md := descriptor(t, d)
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		b, msg := kinds.NewBatch(k), dynamicpb.NewMessage(md)
		b.AppendEnvelope(&market.Envelope{Feed: w.feeds.Intern("met"), Inst: w.insts.Intern("met", market.Index, "KDFW"), EventTS: 5, IngestTS: market.NoTime})
		env := &pb.Envelope{Feed: "met", Exchange: "met", Market: "index", Symbol: "KDFW", EventTs: 5}
		msg.Set(md.Fields().ByNumber(1), protoreflect.ValueOfMessage(env.ProtoReflect()))
		for i, f := range d.Fields {
			c, fd := &b.Cols[i], md.Fields().ByName(protoreflect.Name(f.Name))
			null := f.Nullable && rapid.Bool().Draw(t, "null")
			put := func(v any, zero bool) {
				if !null && (f.Nullable || !zero) {
					msg.Set(fd, protoreflect.ValueOf(v))
				}
			}
			switch f.Type {
			case market.TypeText:
				s := rapid.StringN(0, 8, 32).Draw(t, "text")
				if put(s, s == ""); null {
					c.AppendNullText()
				} else {
					c.AppendText([]byte(s))
				}
			case market.TypeDec:
				m, s := rapid.Int64Range(-math.MaxInt64, math.MaxInt64).Draw(t, "m"), int8(rapid.IntRange(0, 18).Draw(t, "s"))
				if put(m, m == 0); null {
					c.AppendNull(true)
				} else {
					c.AppendDec(m, s)
					if s != 0 {
						msg.Set(md.Fields().ByName(protoreflect.Name(f.Name+"_scale")), protoreflect.ValueOf(uint32(s)))
					}
				}
			case market.TypeFloat:
				v := rapid.Float64().Draw(t, "f") + 0
				if v-v != 0 {
					v = 1.5
				}
				if put(v, v == 0); null {
					c.AppendNullFloat()
				} else {
					c.AppendFloat(v)
				}
			default:
				v := rapid.Int64().Draw(t, "v")
				switch f.Type {
				case market.TypeBool:
					v &= 1
					put(v == 1, v == 0)
				case market.TypeEnum:
					v = v & 1 << 1
					put(int32(v), v == 0)
				default:
					put(v, v == 0)
				}
				if null {
					c.AppendNull(false)
				} else {
					c.AppendInt(v)
				}
			}
		}
		got, err := wire.Append(nil, b, 0, w.feeds, w.insts)
		if err != nil {
			t.Fatal(err)
		}
		want, err := proto.MarshalOptions{Deterministic: true}.Marshal(msg)
		if err != nil {
			t.Fatal(err)
		}
		back := dynamicpb.NewMessage(md)
		if err := proto.Unmarshal(got, back); err != nil || !proto.Equal(back, msg) {
			t.Fatalf("the library reads %v, want %v: %v", back, msg, err)
		}
		for _, payload := range [][]byte{got, want} {
			read := kinds.NewBatch(k)
			if err := wire.NewDecoder(w.feeds, w.insts).Decode(payload, k, read); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(b, read, cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("not what was written (-want +got):\n%s", diff)
			}
		}
	})
}

func TestKinds_RefusesFloatsThatAreNone(t *testing.T) {
	kinds, err := market.NewKinds([]market.Definition{{Name: "x", ID: -1, Fields: []market.Field{{Name: "v", Type: market.TypeFloat}}}})
	if err != nil {
		t.Fatal(err)
	}
	k, w := kinds.Defined()[0], newWorld()
	for _, v := range []float64{math.NaN(), math.Inf(1), math.Copysign(0, -1)} {
		b := kinds.NewBatch(k)
		b.AppendEnvelope(&market.Envelope{Feed: w.feeds.Intern("met"), Inst: w.insts.Intern("met", market.Index, "KDFW"), EventTS: 5, IngestTS: market.NoTime})
		b.Cols[0].AppendFloat(v)
		if out, err := wire.Append([]byte("a"), b, 0, w.feeds, w.insts); err == nil || !bytes.Equal(out, []byte("a")) {
			t.Errorf("%v was written", v)
		}
	}
}
