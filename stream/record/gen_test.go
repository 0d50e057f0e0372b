package record_test

import (
	"context"
	"fmt"
	"math"
	"testing"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/reflect/protoreflect"
	"pgregory.net/rapid"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/specs"
)

// compile makes a descriptor of the first message of a .proto file.
func compile(t testing.TB, text string) protoreflect.MessageDescriptor {
	t.Helper()
	c := protocompile.Compiler{Resolver: &protocompile.SourceResolver{Accessor: protocompile.SourceAccessorFromMap(map[string]string{"x.proto": text})}}
	files, err := c.Compile(context.Background(), "x.proto")
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return files[0].Messages().Get(0)
}

// outputs are all shipped views.
func outputs(t testing.TB) []features.Output {
	t.Helper()
	var list []features.Output
	for _, name := range specs.Names() {
		text, _ := specs.Find(name)
		plan, err := features.Compile([]features.Source{{Name: name, Text: text}}, features.Options{Find: specs.Find})
		if err != nil {
			continue // a file that defines a kind, or one that needs another
		}
		for _, o := range plan.Outputs() {
			if o.Name == name {
				list = append(list, o)
			}
		}
	}
	if len(list) < 40 {
		t.Fatalf("only %d shipped views were compiled", len(list))
	}
	return list
}

// everyType is a view with columns of every type, and names that are hard on Protobuf.
func everyType() *features.Output {
	o := &features.Output{Name: "every_type", Version: 3, Entity: []string{"exchange", "symbol"}, Fingerprint: [32]byte{1, 2, 3}}
	for i, f := range []features.Field{{Type: features.FieldF64}, {Type: features.FieldI64}, {Type: features.FieldBool}, {Type: features.FieldText}, {Type: features.FieldDecimal}, {Type: features.FieldDecimal, Scale: 18}, {Type: features.FieldDecimal, Scale: 38}} {
		f.Name = fmt.Sprintf("f_%d", i)
		o.Fields = append(o.Fields, f)
		f.Name = fmt.Sprintf("f%d", i) // the same name in JSON
		o.Fields = append(o.Fields, f)
	}
	o.Fields = append(o.Fields, features.Field{Name: "message", Type: features.FieldBool, Doc: "a word\nof the language"})
	return o
}

// definition is a user-defined kind with a column of every type.
func definition() market.Definition {
	d := market.Definition{Name: "reading", Doc: "What a\nstation says.", ID: -1}
	for i, typ := range []market.Type{market.TypeText, market.TypeDec, market.TypeInt, market.TypeFloat, market.TypeBool, market.TypeEnum, market.TypeTime, market.TypeDur} {
		for _, null := range []bool{false, true} {
			f := market.Field{Name: fmt.Sprintf("c%d_%t", i, null), Type: typ, Nullable: null}
			if typ == market.TypeEnum {
				f.Words = []string{"all-ok", "all ok", "off", "1m"}
			}
			d.Fields = append(d.Fields, f)
		}
	}
	d.Fields = append(d.Fields, market.Field{Name: "c1_true_scale", Type: market.TypeInt}, market.Field{Name: "envelope", Type: market.TypeEnum, Words: []string{"a"}})
	return d
}

func allKinds(t testing.TB) (*market.Kinds, []market.Kind) {
	t.Helper()
	kinds, err := market.NewKinds([]market.Definition{definition()})
	if err != nil {
		t.Fatal(err)
	}
	list := kinds.Defined()
	for k := market.KindTrade; k <= market.KindWatermark; k++ {
		list = append(list, k)
	}
	return kinds, list
}

func genInt(t *rapid.T) int64 {
	return rapid.OneOf(rapid.Int64(), rapid.Int64Range(-3, 300), rapid.SampledFrom([]int64{0, math.MaxInt64, math.MinInt64})).Draw(t, "int")
}

// genRows are n random rows of a view, whose entities are numbers of names.
func genRows(t *rapid.T, o *features.Output, names [][]string, n int) *features.ViewRows {
	rows := &features.ViewRows{Features: make([]features.OutCol, len(o.Fields))}
	for i := range n {
		rows.Entity = append(rows.Entity, uint32(rapid.IntRange(0, len(names)-1).Draw(t, "entity")))
		rows.Start, rows.End = append(rows.Start, genInt(t)), append(rows.End, genInt(t))
		rows.RowTS, rows.Avail = append(rows.RowTS, genInt(t)), append(rows.Avail, genInt(t))
		rows.Flags = append(rows.Flags, rapid.Uint8().Draw(t, "flags"))
		for k := range o.Fields {
			genValue(t, &o.Fields[k], &rows.Features[k], i)
		}
	}
	return rows
}

func genValue(t *rapid.T, f *features.Field, c *features.OutCol, i int) {
	null := rapid.IntRange(0, 3).Draw(t, "null") == 0
	if null {
		for len(c.Null) <= i>>6 {
			c.Null = append(c.Null, 0)
		}
		c.Null[i>>6] |= 1 << (i & 63)
	}
	switch f.Type {
	case features.FieldF64:
		v := 0.0
		if !null {
			v = rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{math.MaxFloat64, math.SmallestNonzeroFloat64, math.Inf(-1)})).Draw(t, "f") + 0
		}
		if v != v {
			v = 0
		}
		c.F64 = append(c.F64, v)
	case features.FieldI64:
		v := genInt(t)
		if null {
			v = 0
		}
		c.I64 = append(c.I64, v)
	case features.FieldBool:
		v := int64(rapid.IntRange(0, 1).Draw(t, "b"))
		if null {
			v = 0
		}
		c.I64 = append(c.I64, v)
	case features.FieldDecimal:
		hi, lo := genInt(t)>>rapid.IntRange(0, 63).Draw(t, "shift"), uint64(genInt(t))
		if null {
			hi, lo = 0, 0
		}
		c.Hi, c.Lo = append(c.Hi, hi), append(c.Lo, lo)
	default:
		if len(c.Off) == 0 {
			c.Off = append(c.Off, 0)
		}
		if !null {
			c.Bytes = append(c.Bytes, rapid.StringN(0, 8, 32).Draw(t, "text")...)
		}
		c.Off = append(c.Off, int32(len(c.Bytes)))
	}
}
