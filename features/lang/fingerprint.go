package lang

import (
	"crypto/sha256"
	"fmt"
	"sort"
	"strings"

	"github.com/pinova-group/tidemark/market"
)

// schemaMajor is the major version of the event schemas that specs are compiled against.
const schemaMajor = 1

// fingerprint is the Merkle hash of what decides a row (F16): the canonical text, the
// parent's fingerprint, the input columns by field id, and the semantics numbers of the
// operators used. The text of trade_bars_1h is the same whatever its parent says; its
// fingerprint is not.
func (v *viewChecker) fingerprint() [32]byte {
	h := sha256.New()
	put := func(format string, args ...any) {
		line := fmt.Sprintf(format, args...)
		_, _ = fmt.Fprintf(h, "%d:%s\n", len(line), line)
	}
	put("tidemark view 1")
	put("%s", v.view.Canonical)
	if v.view.Parent != nil {
		put("parent %x", v.view.Parent.Fingerprint)
	} else {
		put("kind %s", v.kindText(v.view.Kind))
		for _, line := range v.fieldLines() {
			put("%s", line)
		}
	}
	for _, line := range append(v.unionLines(), v.joinLines()...) {
		put("%s", line)
	}
	if c := v.view.Window.Clock; c != nil {
		put("clock %x", c.Fingerprint)
	}
	if z := v.view.Window.Zone; z != nil { // the text names it, what its clocks show is data
		put("zone %x", z.Sum())
	}
	for _, n := range v.operators() {
		put("op %s %d", n, Semantics[n])
		v.view.Operators = append(v.view.Operators, fmt.Sprintf("%s %d", n, Semantics[n]))
	}
	return [32]byte(h.Sum(nil))
}

// fieldLines names the columns that are read: payload fields by id, the envelope by name.
func (v *viewChecker) fieldLines() []string {
	return v.columnLines(v.view.Kind, v.view.Columns)
}

func (c *checker) columnLines(kind market.Kind, cols []Column) []string {
	ids := map[string]int{}
	for i, f := range c.kinds.Fields(kind) {
		ids[f.Name] = i + 1
	}
	var lines []string
	for _, col := range cols {
		if col.Join > 0 || strings.Contains(col.Name, ".") && col.Input > 0 {
			continue // of another input, see joinLines and unionLines
		}
		if col.Book != nil {
			lines = append(lines, "column "+col.Name)
			continue
		}
		lines = append(lines, fmt.Sprintf("column %d %s", ids[col.Name], col.Name))
	}
	sort.Strings(lines)
	return lines
}

// operators are the names in Semantics that this view uses, sorted.
func (v *viewChecker) operators() []string {
	used := map[string]bool{"number": true}
	for name := range v.ops {
		used[name] = true
	}
	if v.view.Union != nil {
		used["union"] = true
	}
	for _, j := range v.view.Joins {
		if j.Exact {
			used["join.exact"] = true
		} else {
			used["join.asof"] = true
		}
	}
	seen := map[*Node]bool{}
	var walk func(n *Node)
	walk = func(n *Node) {
		if n == nil || seen[n] {
			return
		}
		seen[n] = true
		if n.Op == NDiv {
			used["div"] = true
		}
		if n.Op == NCall || n.Op == NScan {
			used[n.Fn] = true
		}
		for _, a := range n.Args {
			walk(a)
		}
	}
	walk(v.view.Where)
	walk(v.view.Window.Cut)
	for _, j := range v.view.Joins {
		walk(j.Where)
	}
	for _, a := range v.view.Aggs {
		used[a.Fn] = true
		for _, n := range a.Args {
			walk(n)
		}
		walk(a.Where)
	}
	for _, f := range v.view.Features {
		walk(f.Node)
	}
	var names []string
	for _, name := range sortedKeys(used) {
		if _, listed := Semantics[name]; listed {
			names = append(names, name)
		}
	}
	return names
}
