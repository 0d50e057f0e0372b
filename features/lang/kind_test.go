package lang_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/market"
)

const weather = `kind: weather
doc: readings of stations
id: reading
columns:
  reading: text
  temperature: {type: decimal, unit: celsius}
  humidity: {type: float, nullable: true}
  state: {type: enum, words: [ok, broken], doc: 'of the sensor, not of the sky'}
`

const overWeather = `view: v
version: 1
from: weather
by: [symbol]
window: {tumbling: 1m}
features:
`

// checkBoth parses and checks files a.yaml, b.yaml ….
func checkFiles(texts ...string) (*lang.Set, lang.Problems) {
	var specs []*lang.Spec
	var all lang.Problems
	for i, text := range texts {
		s, ps := lang.Parse(string(rune('a'+i))+".yaml", []byte(text))
		specs, all = append(specs, s), append(all, ps...)
	}
	set, ps := lang.Check(specs, lang.CheckOptions{})
	all = append(all, ps...)
	all.Sort()
	return set, all
}

func TestKind_Problems(t *testing.T) {
	for _, c := range []struct {
		name  string
		files []string
		want  string
	}{
		{"sound", []string{weather, overWeather + "  x: mean(temperature)\n  y: last(humidity)\n  z: count(where state == ok)\n"}, ""},
		{"all at once", []string{"kind: Weather\nids: a\nid: temperature\ncolumns:\n  temperature: {type: decimal, unit: celsius/}\n  ts: time\n  state: enum\n  mood: {type: enum}\n" +
			"  a: {unit: m}\n  b: {type: text, unit: m}\n  c: {type: number}\n  d: {type: int, words: [x, y]}\n  e: {type: enum, words: [and, x, x]}\n  f: list\n  g: {type: int, nullable: maybe}\n"}, `
a.yaml:1:7: kind name "Weather" (want lower-case letters, digits and _, a letter first, at most 63)
a.yaml:2:1: unknown key "ids" (want id)
a.yaml:3:5: id "temperature" is of type decimal (want a column of type text, or no id)
a.yaml:5:38: unit of column temperature is "celsius/" (want names with * / and ^, such as celsius, quote/base or m/s^2)
a.yaml:6:3: column "ts" has the name of a column that every event or row has (want another name)
a.yaml:7:3: column state is an enum without words (want {type: enum, words: [a, b]})
a.yaml:8:3: column mood is an enum without words (want words: [a, b])
a.yaml:9:3: column a has no type (want type: decimal or int or float or text or bool or enum or time or duration)
a.yaml:10:25: unit of column b, which is of type text (want no unit)
a.yaml:11:13: type of column c is "number" (want decimal or int or float or text or bool or enum or time or duration)
a.yaml:12:25: words of column d, which is of type int (want no words, or type: enum)
a.yaml:13:27: words "and" is a word of the language (want another name)
a.yaml:13:35: "x" given twice in words (want it once)
a.yaml:14:6: type of column f is "list" (want decimal or int or float or text or bool or enum or time or duration)
a.yaml:15:28: nullable is "maybe" (want true or false)`},
		{"no columns", []string{"kind: weather\n"}, `a.yaml:1:1: key "columns" is missing (want columns: with name: type)`},
		{"id is no column", []string{strings.Replace(weather, "id: reading", "id: readin", 1)}, `a.yaml:3:5: id "readin" is no column (want reading)`},
		{"of the program", []string{strings.Replace(weather, "weather", "trade", 1)}, `a.yaml:1:7: kind "trade" is a kind of the program (want another name)`},
		{"twice", []string{weather, weather}, `b.yaml:1:7: kind weather defined twice (want another name; the other is at a.yaml:1:7)`},
		{"of a view", []string{weather, strings.Replace(overWeather, "view: v", "view: weather", 1) + "  x: count()\n"}, `b.yaml:1:7: view "weather" has the name of a kind (want another name)`},
		{"nearest kind", []string{weather, strings.Replace(overWeather, "from: weather", "from: wether", 1) + "  x: count()\n"},
			`b.yaml:3:7: unknown kind or view "wether" (want weather; known are trade quote book funding liquidation candle mark_price open_interest instrument …)`},
		{"nearest column", []string{weather, overWeather + "  x: mean(temprature)\n"},
			`b.yaml:7:11: unknown name "temprature" (want temperature; known are ts ingest_ts exchange market symbol base quote temperature reading …)`},
		{"units", []string{weather, overWeather + "  x: sum(temperature + seq)\n  y: max(temperature * temperature) - max(temperature)\n  z: ln(last(temperature))\n"}, `
b.yaml:7:10: celsius plus a plain number (want the same unit on both sides)
b.yaml:8:6: celsius^2 minus celsius (want the same unit on both sides)
b.yaml:9:6: ln of a decimal in celsius (want a ratio, such as ln(close / open))`},
		{"floats are not exact", []string{weather, overWeather + "  x: sum(humidity)\n"}, `b.yaml:7:10: sum of a float is not exact (want the exact terms, or a decimal: round(x, 12))`},
		{"words", []string{weather, overWeather + "  x: count(where state == brokn)\n"}, `b.yaml:7:27: unknown word "brokn" (want broken; known are ok broken)`},
		{"a kind with problems says nothing of its views", []string{"kind: weather\ncolumns:\n  a: nothing\n", strings.Replace(overWeather, "weather", "trade", 1) + "  x: count()\n"},
			`a.yaml:3:6: type of column a is "nothing" (want decimal or int or float or text or bool or enum or time or duration)`},
	} {
		_, ps := checkFiles(c.files...)
		got := ""
		if len(ps) > 0 {
			got = ps.Error()
		}
		if want := strings.TrimPrefix(c.want, "\n"); got != want {
			t.Errorf("%s:\n--- got\n%s\n--- want\n%s", c.name, got, want)
		}
	}
}

// The fingerprint of a view covers the whole definition of its kind, doc and file left out.
func TestKind_FingerprintIsThatOfTheDefinition(t *testing.T) {
	view := overWeather + "  x: mean(temperature)\n"
	of := func(kinds ...string) [32]byte {
		t.Helper()
		set, ps := checkFiles(append(kinds, view)...)
		if len(ps) > 0 {
			t.Fatal(ps)
		}
		return set.Views[len(set.Views)-1].Fingerprint
	}
	base := of(weather)
	rain := strings.Replace(weather, "weather", "rain", 1)
	for name, same := range map[string][32]byte{
		"doc": of(strings.Replace(weather, "readings of stations", "other", 1)), "another kind beside it": of(weather, rain), "before it": of(rain, weather),
	} {
		if same != base {
			t.Errorf("%s changes the fingerprint", name)
		}
	}
	seen := map[[32]byte]string{base: "none"}
	for _, change := range [][2]string{
		{"celsius", "kelvin"}, {"id: reading\n", ""}, {"nullable: true", "nullable: false"}, {"[ok, broken]", "[broken, ok]"}, {"humidity: {type: float", "humidity: {type: decimal"},
		{"  state: {type: enum, words: [ok, broken]", "  state: {type: enum, words: [ok, broken, off]"}, {"  reading: text\n", "  reading: text\n  more: int\n"},
	} {
		fp := of(strings.Replace(weather, change[0], change[1], 1))
		if other, twice := seen[fp]; twice {
			t.Errorf("changes %q and %q have one fingerprint", change, other)
		}
		seen[fp] = change[0]
	}
}

// A definition is laid out in one way, and what is laid out means the same.
func TestKind_Format(t *testing.T) {
	loose := "# stations\ncolumns:  # typed\n    reading: {type: text}\n    # of the air\n    temperature: {unit: celsius, type: decimal}\n    humidity: {nullable: true, type: float}\n" +
		"    state:\n        doc: 'of the sensor, not of the sky'\n        words: [ok, broken]\n        type: enum\nid: reading\nkind: weather\ndoc: readings of stations\n"
	got, ps := lang.Format("a.yaml", []byte(loose))
	if len(ps) > 0 {
		t.Fatal(ps)
	}
	for _, line := range []string{"columns:  # typed\n  reading: text\n", "  # of the air\n  temperature: {type: decimal, unit: celsius}\n"} {
		if !strings.Contains(string(got), line) {
			t.Errorf("no %q in\n%s", line, got)
		}
	}
	again, ps := lang.Format("a.yaml", got)
	if len(ps) > 0 || !bytes.Equal(again, got) {
		t.Errorf("formatting twice: %v\n%s", ps, again)
	}
	plain, ps := lang.Format("a.yaml", []byte(weather))
	if len(ps) > 0 || string(plain) != weather {
		t.Errorf("%v\n%s", ps, plain)
	}
	text := func(src []byte) string {
		t.Helper()
		set, ps := checkFiles(string(src))
		if len(ps) > 0 {
			t.Fatal(ps)
		}
		k, _ := set.Kinds.Parse("weather")
		return set.Kinds.Definition(k).String()
	}
	if a, b := text([]byte(weather)), text(got); a != b {
		t.Errorf("%s\n%s", a, b)
	}
}

func TestKind_TooMany(t *testing.T) {
	var files []string
	for i := range market.MaxDefined + 1 {
		files = append(files, "kind: k"+strings.Repeat("x", i)+"\ncolumns:\n  a: int\n")
	}
	if _, ps := checkFiles(files...); len(ps) != 1 || !strings.Contains(ps[0].Remedy, "at most 8") {
		t.Errorf("%v", ps)
	}
}
