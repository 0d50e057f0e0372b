package lang_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/internal/exdata"
	"github.com/pinova-group/tidemark/specs"
)

const canonicalInput = `# a comment
features:
  x: (sum( price*quantity ))/  ( sum(quantity) )
  y:  quantile(quantity , approx = 0.01, p=0.5 where (side==buy))
view: v
by:
  - exchange
  - symbol
version: 1
doc: |
  Some text.
from: 'trade'
empty: flat
window:
  tumbling: 1m
params:
  n: {type: decimal, default: 5, sweep: [5, 6]}
  s: {type: string, default: "a: b"}
  l: {type: list, default: [BTC, 'x,y']}
where: not((base == "it''s") or quantity > $n)
alert: {a: {when: x > 1}}
tests:
  t:
    input: |
      x
    rows: |
      n
`

const canonicalOutput = `view: v
version: 1
from: trade
where: not (base == 'it''''s' or quantity > $n)
by: [exchange, symbol]
params:
  n: {type: decimal, default: 7.5}
  s: {type: string, default: 'a: b'}
  l: {type: list, default: [BTC, 'x,y']}
window: {tumbling: 1m, carry: 1d, origin: 1970-01-01, zone: UTC}
empty: flat
time: event
features:
  x: sum(price * quantity) / sum(quantity)
  y: quantile(quantity, approx=0.01, p=0.5 where side == buy)
`

func TestCanonical_Text(t *testing.T) {
	s, ps := lang.Parse("a.yaml", []byte(canonicalInput))
	if len(ps) > 0 {
		t.Fatal(ps)
	}
	got := string(s.Canonical(map[string]string{"n": "7.5"}))
	if got != canonicalOutput {
		t.Errorf("got\n%s\nwant\n%s", got, canonicalOutput)
	}
	fixedPoint(t, "a.yaml", []byte(got))
}

// fixedPoint asserts that the canonical text of a file is its own canonical text, and that
// it says the same after formatting.
func fixedPoint(t *testing.T, name string, text []byte) {
	t.Helper()
	s, ps := lang.Parse(name, text)
	if len(ps) > 0 {
		t.Fatalf("%s:\n%v\n%s", name, ps, text)
	}
	first := s.Canonical(nil)
	again, ps := lang.Parse(name, first)
	if len(ps) > 0 {
		t.Fatalf("%s: canonical text does not parse:\n%v\n%s", name, ps, first)
	}
	if second := again.Canonical(nil); !bytes.Equal(first, second) {
		t.Fatalf("%s: canonical text changes:\n%s\nto\n%s", name, first, second)
	}
	formatted, ps := lang.Format(name, text)
	if len(ps) > 0 {
		t.Fatalf("%s: %v", name, ps)
	}
	f, ps := lang.Parse(name, formatted)
	if len(ps) > 0 {
		t.Fatalf("%s: formatted text does not parse:\n%v\n%s", name, ps, formatted)
	}
	if c := f.Canonical(nil); !bytes.Equal(first, c) {
		t.Fatalf("%s: formatting changes\n%s\nto\n%s", name, first, c)
	}
	twice, ps := lang.Format(name, formatted)
	if len(ps) > 0 || !bytes.Equal(formatted, twice) {
		t.Fatalf("%s: formatting twice gives %v\n%s\nafter\n%s\nof\n%s", name, ps, twice, formatted, text)
	}
}

func TestCanonical_FixedPointOfShippedViews(t *testing.T) {
	for _, name := range specs.Names() {
		text, _ := specs.Find(name)
		fixedPoint(t, name, text)
	}
}

// referenceSpecs are the design's 32 example specs; they lie beside the exchange data.
func referenceSpecs(t *testing.T) map[string][]byte {
	t.Helper()
	data := filepath.Dir(exdata.Path(t, "README.md"))
	names, err := filepath.Glob(filepath.Join(data, "..", "reference", "specs", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if len(names) == 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("reference specs not found beside the exchange data")
		}
		t.Skip("reference specs not found beside the exchange data")
	}
	files := map[string][]byte{}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		files[filepath.Base(name)] = text
	}
	return files
}

// The reference specs use the whole language. All are read and print canonically; Check
// finds nothing in them but constructs that this version names as not supported.
func TestReferenceSpecs(t *testing.T) {
	files := referenceSpecs(t)
	if len(files) != 32 {
		t.Errorf("%d reference specs, want 32", len(files))
	}
	byName := map[string]*lang.Spec{}
	for name, text := range files {
		fixedPoint(t, name, text)
		s, _ := lang.Parse(name, text)
		byName[s.View.Text] = s
	}
	opt := lang.CheckOptions{Known: func(name string, _ int) (*lang.Spec, bool) { s, ok := byName[name]; return s, ok }}
	run := 0
	for name, s := range byName {
		set, ps := lang.Check([]*lang.Spec{s}, opt)
		for _, p := range ps {
			if !strings.Contains(p.What, "not supported by this version") {
				t.Errorf("%s: %v", name, p)
			}
		}
		if set != nil {
			run++
		}
	}
	if run < 6 {
		t.Errorf("only %d of the reference specs can be run", run)
	}
}
