package market

import (
	"strings"
	"testing"
)

func define(name string, fields ...Field) Definition {
	return Definition{Name: name, Fields: fields, ID: -1}
}

// Numbers follow from names alone: neither the order of definition nor that of files counts.
func TestKinds_NumbersFollowNames(t *testing.T) {
	a, b := define("wind", Field{Name: "speed", Type: TypeFloat}), define("rain", Field{Name: "depth", Type: TypeDec, Unit: "mm"})
	x, err := NewKinds([]Definition{a, b})
	if err != nil {
		t.Fatal(err)
	}
	y, err := NewKinds([]Definition{b, a})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"rain", "wind", "trade", "orderbook.delta"} {
		k, ok := x.Parse(name)
		if l, ok2 := y.Parse(name); !ok || !ok2 || k != l {
			t.Errorf("%s is %d and %d", name, k, l)
		}
	}
	rain, _ := x.Parse("rain")
	wind, _ := x.Parse("wind")
	if rain >= wind || rain <= KindWatermark || x.Name(wind) != "wind" || x.Name(KindQuote) != "quote" || len(x.Fields(rain)) != 1 ||
		x.Definition(KindTrade) != nil || x.Definition(wind+1) != nil || len(x.Defined()) != 2 {
		t.Errorf("rain %d, wind %d, defined %v", rain, wind, x.Defined())
	}
	if s := MakeSrc(MaxFeeds-1, wind); s.Feed() != MaxFeeds-1 || s.Kind() != wind {
		t.Errorf("src %d is feed %d, kind %d", s, s.Feed(), s.Kind())
	}
	batch := x.NewBatch(rain)
	batch.AppendEnvelope(&Envelope{})
	batch.Cols[0].AppendDec(5, 1)
	to := new(Chunk).BatchOf(rain, batch.Fields)
	to.AppendRows(batch, 0, 1)
	if to.N != 1 || to.Kind != rain || to.Cols[0].I64[0] != 5 {
		t.Errorf("copied %+v", to)
	}
}

func TestKinds_RefusesNamesThatAreTaken(t *testing.T) {
	col := Field{Name: "x", Type: TypeInt}
	many := make([]Definition, MaxDefined+1)
	for i := range many {
		many[i] = define("k"+strings.Repeat("x", i), col)
	}
	for name, list := range map[string][]Definition{
		"kind of the release": {define("trade", col)}, "wire kind": {define("orderbook.delta", col)},
		"twice": {define("a", col), define("b", col), define("a", col)}, "too many": many,
		"columns": {define("a", make([]Field, MaxColumns+1)...)}, "id": {{Name: "a", Fields: []Field{col}, ID: 1}},
	} {
		if _, err := NewKinds(list); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if _, err := NewKinds(many[:MaxDefined]); err != nil {
		t.Error(err)
	}
}

// What is different gives a different text, so a fingerprint tells it.
func TestDefinition_TextTellsDefinitionsApart(t *testing.T) {
	base := Field{Name: "x", Type: TypeEnum, Words: []string{"a", "b"}}
	seen := map[string]int{}
	for i, d := range []Definition{
		define("k", base), define("l", base), {Name: "k", Fields: []Field{base}, ID: 0},
		define("k", Field{Name: "x", Type: TypeEnum, Words: []string{"b", "a"}}), define("k", Field{Name: "x", Type: TypeEnum, Words: []string{"a", "b"}, Nullable: true}),
		define("k", Field{Name: "x", Type: TypeInt}), define("k", Field{Name: "x", Type: TypeInt, Unit: "m"}), define("k", Field{Name: "y", Type: TypeInt}),
		define("k", Field{Name: "x", Type: TypeInt}, base), define("k", base, Field{Name: "x", Type: TypeInt}),
	} {
		if j, twice := seen[d.String()]; twice {
			t.Errorf("definitions %d and %d are both %s", j, i, &d)
		}
		seen[d.String()] = i
	}
}
