package adapters

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pinova-group/tidemark/market"
)

func TestSecondsText(t *testing.T) {
	for in, want := range map[string]int64{
		"1762795433.9717445":          1762795433971744, // cut, not rounded
		"1762795433.9999999999999999": 1762795433999999,
		"1762795433":                  1762795433000000,
		"1762795433.5":                1762795433500000,
		"1762795433.":                 -1, ".5": -1, "": -1, "1e9": -1, "-1762795433": -1, "17627954330000": -1, "1762795433.5x": -1, "12": -1,
	} {
		got, ok := secondsText([]byte(in))
		if want < 0 && ok || want >= 0 && (!ok || got != want) {
			t.Errorf("%q: got %d %v, want %d", in, got, ok, want)
		}
	}
}

func TestISOTime_EqualsTimePackage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := time.Unix(rapid.Int64Range(946684800, 4102444799).Draw(t, "s"), rapid.Int64Range(0, 999999999).Draw(t, "ns")).UTC()
		text := at.Format(time.RFC3339Nano)
		got, ok := isoTime([]byte(text))
		if !ok || got != at.UnixMicro() {
			t.Fatalf("%s: got %d %v, want %d", text, got, ok, at.UnixMicro())
		}
	})
	for _, in := range []string{
		"", "Z", "2023-09-05T16:00:01", "2023-09-05 16:00:01Z", "2023-02-29T00:00:00Z", "2023-09-05T24:00:00Z", "2023-09-05T16:60:00Z",
		"2023-09-05T16:00:61Z", "2023-09-05T16:00:01.Z", "2023-09-05T16:00:01.5.5Z", "2023-13-05T16:00:01Z", "0001-01-01T00:00:00Z", "2023-09-05T16:00:01+00:00Z",
	} {
		if got, ok := isoTime([]byte(in)); ok {
			t.Errorf("%q: got %d", in, got)
		}
	}
}

func TestOrdinals(t *testing.T) {
	var o ordinals
	id := func(n int) market.ID { return market.ID{byte(n >> 16), byte(n >> 8), byte(n), 1} }
	for want := range uint32(3) {
		if got := o.next(id(0)); got != want {
			t.Errorf("ordinal %d, want %d", got, want)
		}
	}
	for i := 1; i < 3*ordinalSpan; i++ {
		o.next(id(i))
		if i == ordinalSpan/2 {
			if got := o.next(id(0)); got != 3 {
				t.Errorf("ordinal %d within the span, want 3", got)
			}
		}
	}
	if len(o.now)+len(o.old) > 2*ordinalSpan {
		t.Errorf("%d payloads remembered", len(o.now)+len(o.old))
	}
}

func TestMembers_ReadsWhatJSONAllows(t *testing.T) {
	got := ""
	ok := members([]byte(` { "a\u0062" : "x\/y" , "é":[1, {"b":null}],"n":-1.5e3 } `), func(name, v []byte) bool {
		text, isText := jsonText(v)
		if !isText {
			text = v
		}
		got += string(name) + "=" + string(text) + ";"
		return true
	})
	if want := `ab=x/y;é=[1, {"b":null}];n=-1.5e3;`; !ok || got != want {
		t.Errorf("got %v %s, want %s", ok, got, want)
	}
	for _, bad := range []string{"", "{", "{]", `{"a"}`, `{"a":}`, `{"a":1,}`, `{"a":1}x`, `[1]`, `{"a":01}`, `{a:1}`} {
		if members([]byte(bad), func(_, _ []byte) bool { return true }) {
			t.Errorf("%q is taken for an object", bad)
		}
	}
}
