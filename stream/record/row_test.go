package record_test

import (
	"bytes"
	"fmt"
	"math"
	"math/big"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
	"pgregory.net/rapid"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/parity"
	"github.com/pinova-group/tidemark/stream/record"
)

func newRow(t testing.TB, o *features.Output) (*record.RowEncoder, *record.RowDecoder) {
	t.Helper()
	enc, err := record.NewRowEncoder(7, o)
	if err != nil {
		t.Fatal(err)
	}
	return enc, record.NewRowDecoder(7, o)
}

func namesOf(o *features.Output) [][]string {
	all := [][]string{make([]string, len(o.Entity)), make([]string, len(o.Entity))}
	for k := range o.Entity {
		all[0][k] = fmt.Sprintf("BTC-USDT-%d", k)
	}
	return all
}

// bigDecimal is the decimal by the library of big numbers.
func bigDecimal(hi int64, lo uint64, scale int8) string {
	m := new(big.Int).Add(new(big.Int).Lsh(big.NewInt(hi), 64), new(big.Int).SetUint64(lo))
	return new(big.Rat).SetFrac(m, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil)).FloatString(int(scale))
}

// fillRow is the row as a message of the Protobuf library.
func fillRow(md protoreflect.MessageDescriptor, o *features.Output, rows *features.ViewRows, i int, names []string) *dynamicpb.Message {
	m := dynamicpb.NewMessage(md)
	set := func(num int, v any) {
		m.Set(md.Fields().ByNumber(protoreflect.FieldNumber(num)), protoreflect.ValueOf(v))
	}
	set(1, rows.Start[i])
	set(2, rows.End[i])
	set(3, rows.RowTS[i])
	set(4, rows.Avail[i])
	set(5, uint32(rows.Flags[i]))
	for k, name := range names {
		set(8+k, name)
	}
	for k, f := range o.Fields {
		c := &rows.Features[k]
		if c.IsNull(i) {
			continue
		}
		switch f.Type {
		case features.FieldF64:
			set(16+k, c.F64[i])
		case features.FieldI64:
			set(16+k, c.I64[i])
		case features.FieldBool:
			set(16+k, c.I64[i] == 1)
		case features.FieldDecimal:
			set(16+k, bigDecimal(c.Hi[i], c.Lo[i], f.Scale))
		default:
			set(16+k, string(c.Bytes[c.Off[i]:c.Off[i+1]]))
		}
	}
	return m
}

// Rows of every shipped view and of its alerts, and of a view with columns of every type, come back as they were,
// and their messages are, byte for byte, those of the Protobuf library by the .proto text.
func TestRow_IsProtobufAndComesBack(t *testing.T) {
	list := append(outputs(t), *everyType())
	for _, o := range list {
		if len(o.Alerts) > 0 {
			list = append(list, *o.AlertOutput())
		}
	}
	for i := range list {
		o := &list[i]
		md := compile(t, record.ProtoOfView(o))
		if want := record.ViewName(o.Name, o.Version); string(md.FullName()) != want {
			t.Fatalf("%s is named %s", want, md.FullName())
		}
		names := namesOf(o)
		check := func(t *rapid.T) {
			enc, err := record.NewRowEncoder(7, o)
			if err != nil {
				t.Fatal(err)
			}
			dec := record.NewRowDecoder(7, o)
			rows := genRows(t, o, names, 3)
			back := &features.ViewRows{}
			for r := range rows.Len() {
				n := names[rows.Entity[r]]
				value := enc.Append([]byte("x"), rows, r, n)[1:]
				msg := fillRow(md, o, rows, r, n)
				want, err := proto.MarshalOptions{Deterministic: true}.Marshal(msg)
				if err != nil || !bytes.Equal(want, value[6:]) {
					t.Fatalf("%s: wrote\n%x, the library\n%x %v", o.Name, value[6:], want, err)
				}
				if err := dec.Decode(value, back); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(n, dec.Names(back.Entity[r]), cmpopts.EquateEmpty()); diff != "" {
					t.Fatal(diff)
				}
				back.Entity[r] = rows.Entity[r]
			}
			if diff := cmp.Diff(rows, back, cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("%s (-want +got):\n%s", o.Name, diff)
			}
		}
		if o.Name == "every_type" {
			rapid.Check(t, check)
		} else {
			check2 := rapid.MakeCheck(check)
			if testing.Short() && i%8 != 0 {
				continue
			}
			t.Run(o.Name, check2)
		}
	}
}

func TestRow_RefusesWhatIsNone(t *testing.T) {
	o := everyType()
	enc, dec := newRow(t, o)
	rows := &features.ViewRows{}
	head := []byte{0, 0, 0, 0, 7, 0}
	good := append(bytes.Clone(head), 0x29-1, 0) // flags 0
	if err := dec.Decode(good, rows); err != nil || rows.Len() != 1 {
		t.Fatal(err)
	}
	tag := func(num, typ int) []byte { u := num<<3 | typ; return []byte{byte(u)&0x7f | 0x80, byte(u >> 7)} }
	text := func(num int, s string) []byte { return append(append(tag(num, 2), byte(len(s))), s...) }
	for name, msg := range map[string][]byte{
		"cut":              {0x09, 1},
		"type":             {0x08, 1},
		"flags":            {0x28, 0x80, 0x02},
		"entity not UTF-8": {8<<3 | 2, 1, 0xff},
		"NaN":              append(tag(16, 1), 1, 0, 0, 0, 0, 0, 0xf8, 0x7f),
		"-0":               append(tag(16, 1), 0, 0, 0, 0, 0, 0, 0, 0x80),
		"bool":             append(tag(20, 0), 2),
		"decimal":          text(24, "12.5"),
		"decimal -0":       text(24, "-0"),
		"decimal 00":       text(24, "00"),
		"decimal scale":    text(26, "1.5"),
		"decimal 2^127":    text(24, "170141183460469231731687303715884105728"),
		"decimal 2^128+":   text(24, "340282366920938463463374607431768211457"),
		"end of a group":   {0x0c},
	} {
		if err := dec.Decode(append(bytes.Clone(head), msg...), rows); err == nil || rows.Len() != 1 {
			t.Errorf("%s: took %x", name, msg)
		}
	}
	if err := dec.Decode([]byte{0, 0, 0, 0, 8, 0}, rows); err == nil {
		t.Error("took a row of another schema")
	}
	if err := dec.Decode(append(append(bytes.Clone(head), text(24, "-170141183460469231731687303715884105728")...), tag(500, 0)[0], tag(500, 0)[1], 1), rows); err != nil {
		t.Errorf("the least decimal, and a field of a later version: %v", err)
	}
	_ = enc
}

// The numbers are part of the format: other processes, now and later, compute the same.
func TestRow_IdentityStays(t *testing.T) {
	o := everyType()
	enc, _ := newRow(t, o)
	rows := &features.ViewRows{Features: make([]features.OutCol, len(o.Fields)), Entity: []uint32{0}, Start: []int64{1}, End: []int64{61_000_001}, RowTS: []int64{61_000_000}, Avail: []int64{61_500_000}, Flags: []uint8{1}}
	for k := range o.Fields {
		c := &rows.Features[k]
		c.F64, c.I64, c.Hi, c.Lo, c.Bytes, c.Off = []float64{1.5}, []int64{1}, []int64{-1}, []uint64{math.MaxUint64 - 4}, []byte("ab"), []int32{0, 2}
	}
	names := []string{"binance", "BTC-USDT"}
	id := enc.ID(rows, 0, names)
	hash := parity.HashOf(enc.AppendMessage(nil, rows, 0, names))
	if got := fmt.Sprintf("%x %x", id, hash); got != identity {
		t.Errorf("got %s, want %s", got, identity)
	}
	if enc.ID(rows, 0, []string{"binanc", "eBTC-USDT"}) == id {
		t.Error("names run into each other")
	}
	rows.Avail[0]++
	if parity.HashOf(enc.AppendMessage(nil, rows, 0, names)) == hash {
		t.Error("available_at is not in the hash")
	}
}

const identity = "077652d5cb9586270fa59635d4f44d82 d1cad8ba2ec6a1416b746f3ae051f0bf"

func FuzzRowDecoder(f *testing.F) {
	o := everyType()
	f.Add([]byte{0, 0, 0, 0, 7, 0, 0x28, 1, 0x42, 1, 'a', 0x81, 1, 0, 0, 0, 0, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, value []byte) {
		enc, dec := newRow(t, o)
		rows := &features.ViewRows{}
		if dec.Decode(value, rows) != nil {
			if rows.Len() != 0 {
				t.Fatal("an error left a row")
			}
			return
		}
		again := &features.ViewRows{}
		if err := dec.Decode(enc.Append(nil, rows, 0, dec.Names(rows.Entity[0])), again); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(rows, again, cmpopts.EquateEmpty()); diff != "" {
			t.Fatal(diff)
		}
	})
}

// sample is a row of a view with a value in every column.
func sample(o *features.Output) *features.ViewRows {
	rows := &features.ViewRows{Features: make([]features.OutCol, len(o.Fields)), Entity: []uint32{0}, Start: []int64{1700000000000000}, End: []int64{1700000060000000}, RowTS: []int64{1700000059999999}, Avail: []int64{1700000060500000}, Flags: []uint8{0}}
	for k := range o.Fields {
		c := &rows.Features[k]
		c.F64, c.I64, c.Hi, c.Lo, c.Bytes, c.Off = []float64{61837.63}, []int64{1}, []int64{0}, []uint64{6183763000000}, []byte("ab"), []int32{0, 2}
	}
	return rows
}

func pick(t testing.TB, name string) *features.Output {
	list := outputs(t)
	for i := range list {
		if list[i].Name == name {
			return &list[i]
		}
	}
	t.Fatalf("no view %s", name)
	return nil
}

func TestRow_DoesNotAllocate(t *testing.T) {
	o := pick(t, "trade_bars_1m")
	enc, dec := newRow(t, o)
	rows, back, names := sample(o), &features.ViewRows{}, namesOf(o)[0]
	var buf []byte
	n := testing.AllocsPerRun(100, func() {
		buf = enc.Append(buf[:0], rows, 0, names)
		_ = enc.ID(rows, 0, names)
		if err := dec.Decode(buf, back); err != nil {
			t.Fatal(err)
		}
		resetRows(back)
	})
	if n != 0 {
		t.Errorf("%v allocations a row", n)
	}
}

func resetRows(v *features.ViewRows) {
	r := features.Rows{Views: []features.ViewRows{*v}}
	r.Reset()
	*v = r.Views[0]
}

func BenchmarkRow(b *testing.B) {
	o := pick(b, "trade_bars_1m")
	enc, dec := newRow(b, o)
	rows, names := sample(o), namesOf(o)[0]
	buf := enc.Append(nil, rows, 0, names)
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		b.ReportMetric(float64(len(buf)), "bytes")
		for b.Loop() {
			buf = enc.Append(buf[:0], rows, 0, names)
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		back := &features.ViewRows{}
		for b.Loop() {
			if err := dec.Decode(buf, back); err != nil {
				b.Fatal(err)
			}
			if back.Len() == 1024 {
				resetRows(back)
			}
		}
	})
	b.Run("id", func(b *testing.B) {
		for b.Loop() {
			_ = enc.ID(rows, 0, names)
		}
	})
	b.Run("hash", func(b *testing.B) {
		for b.Loop() {
			_ = parity.HashOf(buf[6:])
		}
	})
}
