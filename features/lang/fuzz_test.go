package lang_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/specs"
)

// FuzzParse: no text makes the parser or the checker panic; what has no problems has a
// canonical text that is a fixed point, and formats to the same view.
func FuzzParse(f *testing.F) {
	for _, name := range specs.Names() {
		text, _ := specs.Find(name)
		f.Add(text)
	}
	bad, err := os.ReadFile(filepath.Join("testdata", "bad.yaml"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(bad)
	f.Add([]byte(canonicalInput))
	f.Add([]byte(messy))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, ps := lang.Parse("f.yaml", text)
		if s == nil {
			if len(ps) == 0 {
				t.Fatal("no spec and no problem")
			}
			return
		}
		set, more := lang.Check([]*lang.Spec{s}, lang.CheckOptions{})
		if (set != nil) != (len(ps)+len(more) == 0) {
			t.Fatalf("set %v with problems %v %v", set != nil, ps, more)
		}
		if len(ps) > 0 {
			return
		}
		fixedPoint(t, "f.yaml", text)
		if set != nil {
			v := set.Views[len(set.Views)-1]
			again, ps := lang.Parse("f.yaml", v.Canonical)
			if len(ps) > 0 {
				t.Fatal(ps)
			}
			set, ps = lang.Check([]*lang.Spec{again}, lang.CheckOptions{})
			if len(ps) > 0 || set.Views[0].Fingerprint != v.Fingerprint || !bytes.Equal(set.Views[0].Canonical, v.Canonical) {
				t.Fatalf("canonical text is another view: %v\n%s", ps, v.Canonical)
			}
		}
	})
}

// FuzzFeature puts the text where expressions stand.
func FuzzFeature(f *testing.F) {
	for _, e := range []string{
		"sum(price * quantity where side == buy) / (count() + 1)", "quantile(quantity, 0.5, approx=0.01)",
		"if(count() > 5, last(price), null)", "round(last(price) / 3, 4)", "window_end - last(ts)", "count(where side in (buy, sell))",
		"mean(price) over 20 rows within 1h", "last(book.depth(bid, 10bps))", "coalesce(max(price), -1.5) % 2",
	} {
		f.Add(e, e)
	}
	f.Fuzz(func(t *testing.T, let, feature string) {
		text := []byte(head + "window: {rolling: 5m, every: 1s}\nlet:\n  l: " + let + "\nfeatures:\n  x: " + feature + "\n  y: x + last(l)\n")
		s, ps := lang.Parse("f.yaml", text)
		if s == nil {
			return
		}
		set, more := lang.Check([]*lang.Spec{s}, lang.CheckOptions{})
		if (set != nil) != (len(ps)+len(more) == 0) {
			t.Fatalf("set %v with problems %v %v", set != nil, ps, more)
		}
		if len(ps) == 0 {
			fixedPoint(t, "f.yaml", text)
		}
	})
}
