package lang_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/features/lang"
)

// Files that ask for much work or a deep stack end soon, with a problem (I11).
func TestParse_HostileFiles(t *testing.T) {
	const n = 1 << 16
	names := func(format string, step int) string {
		var b strings.Builder
		for i := range 998 {
			fmt.Fprintf(&b, format, i+1, i+1+step, i+1+step)
		}
		return b.String()
	}
	for name, text := range map[string]string{
		"long flow":        "by: [ü," + strings.Repeat("a,", n) + "b]",
		"parentheses":      head + "features:\n  x: " + strings.Repeat("(", n),
		"minus":            head + "features:\n  x: " + strings.Repeat("- ", 4000) + "1",
		"not":              head + "features:\n  x: " + strings.Repeat("not ", 4000) + "true",
		"points":           head + "features:\n  x: a" + strings.Repeat(".b", 4000),
		"sum":              head + "features:\n  x: " + strings.Repeat("price+", n) + "price",
		"comments":         strings.Repeat(" #", n),
		"keys":             strings.Repeat("a: b\n", n),
		"brackets by line": strings.Repeat("a: [\n", n),
		"quotes by line":   strings.Repeat("a: '\n", n) + "b: @",
		"brackets":         strings.Repeat("[", n),
		"bad features":     head + "features:\n" + strings.Repeat("  x: @\n", n/8),
		"let that doubles": head + "window: {tumbling: 1m}\nlet:\n  x0: price\n" + names("  x%d: x%d + x%d\n", -1) + "features:\n  z: sum(x998)\n",
		"features forward": head + "window: {tumbling: 1m}\nfeatures:\n" + names("  x%d: x%d + x%d\n", 1) + "  x999: count()\n",
		"too many":         head + "window: {tumbling: 1m}\nfeatures:\n" + names("  x%d: 1\n", 0)[:0] + strings.Repeat("  x: 1\n", 1001),
	} {
		s, ps := lang.Parse("a.yaml", []byte(text))
		if s != nil {
			_, more := lang.Check([]*lang.Spec{s}, lang.CheckOptions{})
			ps = append(ps, more...)
		}
		if len(ps) == 0 || len(ps) > 2002 {
			t.Errorf("%s: %d problems", name, len(ps))
		}
	}
	s, ps := lang.Parse("a.yaml", []byte(head+"window: {tumbling: 1m}\nfeatures:\n  x0: count()\n"+names("  x%d: x%d + x%d\n", -1)))
	if len(ps) > 0 {
		t.Fatal(ps)
	}
	if _, ps := lang.Check([]*lang.Spec{s}, lang.CheckOptions{}); len(ps) > 0 {
		t.Errorf("features that build on each other: %v", ps[0])
	}
}
