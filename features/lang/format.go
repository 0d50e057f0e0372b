package lang

import (
	"sort"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Format rewrites a spec file in the one layout: keys in fixed order, an entry a line,
// expressions as the parser prints them, one space after the colon. Comments stay with
// what they stand beside or above; of blank lines at most one stays between entries.
// Formatting twice changes nothing. A file with problems is not rewritten.
func Format(file string, src []byte) ([]byte, Problems) {
	s := newSource(file, string(src))
	spec, root := s.parse()
	if len(s.problems) > 0 {
		return nil, s.problems
	}
	f := &formatter{source: s, notes: map[entryID]*notes{}}
	f.collect(root)
	f.attach(root)
	w := &specWriter{spec: spec}
	w.around = f.write
	f.header()
	if spec.Kind != nil {
		for _, key := range kindKeys {
			w.kindKey(key)
		}
	}
	for _, key := range topKeys {
		if spec.Kind != nil {
			break
		}
		if key == "tests" && spec.HasTests {
			f.tests(spec.Places[key])
			continue
		}
		w.key(key)
	}
	for _, c := range f.tail {
		f.comment(c, "")
	}
	return []byte(f.out.String()), nil
}

// entryID names an entry: a top-level key, or a name below one.
type entryID struct{ key, name string }

// entry is where an entry stands in the source.
type entry struct {
	id          entryID
	first, last int // lines
}

// notes are the comments of an entry.
type notes struct {
	blank bool // a blank line before it
	above []note
	side  []string
	below []note // at the end of a block
}

type note struct {
	text  string
	blank bool // a blank line before it
}

type formatter struct {
	*source
	entries []entry // by line
	notes   map[entryID]*notes
	top     []note // before the first key, with a blank line after
	tail    []note
	out     strings.Builder
}

// collect lists the entries in the order of the source.
func (f *formatter) collect(root *yaml.Node) {
	f.each(root, func(k, v *yaml.Node) {
		f.entries = append(f.entries, entry{entryID{k.Value, ""}, k.Line, f.lastLine(v, k.Line)})
		switch k.Value {
		case "join", "params", "let", "features", "alert", "columns":
			f.each(v, func(name, v *yaml.Node) {
				f.entries = append(f.entries, entry{entryID{k.Value, name.Value}, name.Line, f.lastLine(v, name.Line)})
			})
		}
	})
	sort.SliceStable(f.entries, func(i, j int) bool { return f.entries[i].first < f.entries[j].first })
	for _, e := range f.entries {
		f.notes[e.id] = &notes{blank: f.blankBefore(e.first)}
	}
	if len(f.entries) > 0 { // what parts it from a header is written with the header
		f.notes[f.entries[0].id].blank = false
	}
}

func (f *formatter) each(n *yaml.Node, visit func(k, v *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		visit(n.Content[i], n.Content[i+1])
	}
}

// lastLine is the last line of a node and all below it.
func (f *formatter) lastLine(n *yaml.Node, line int) int {
	walkYAML(n, func(n *yaml.Node) {
		line = max(line, n.Line)
		if n.Kind == yaml.ScalarNode {
			off := f.offset(n)
			if end := f.quotedEnd(n, off); end > off {
				line = max(line, f.place(end-1).Line)
			}
			if n.Style == 0 && n.Value != "" { // a plain scalar may go on below
				line = max(line, f.at(n)(len(n.Value)-1).Line)
			}
		}
	})
	return line
}

func (f *formatter) blankBefore(line int) bool {
	return line > 1 && strings.TrimSpace(f.line(line-1)) == ""
}

// attach gives each comment to its entry.
func (f *formatter) attach(root *yaml.Node) {
	comments := f.comments(root)
	for i, c := range comments {
		n := note{c.text, f.blankBefore(c.line)}
		before, inside, after := f.around(c.line)
		switch {
		case inside != nil && inside.id.key == "tests":
		case !c.own:
			if e := f.notes[before.id]; e != nil {
				e.side = append(e.side, c.text)
			}
		case inside != nil:
			f.notes[inside.id].above = append(f.notes[inside.id].above, n)
		case before.id.key == "" && f.blankBetween(comments[i:], c.line, after):
			f.top = append(f.top, n)
		case f.isIndented(c) && before.id.key != "" && f.inBlock(before) && (after == nil || after.id.name == ""):
			f.notes[before.id].below = append(f.notes[before.id].below, n)
		case after == nil:
			f.tail = append(f.tail, n)
		default:
			f.notes[after.id].above = append(f.notes[after.id].above, n)
		}
	}
}

// around finds the entry that begins at or before a line, the innermost one that the line
// lies inside of, and the next one.
func (f *formatter) around(line int) (before entry, inside, after *entry) {
	for i := range f.entries {
		e := &f.entries[i]
		if e.first > line {
			return before, inside, e
		}
		before = *e
		if line <= e.last && (e.id.name != "" || !f.hasEntries(e.id.key)) {
			inside = e
		}
	}
	return before, inside, nil
}

func (f *formatter) hasEntries(key string) bool {
	for _, e := range f.entries {
		if e.id.key == key && e.id.name != "" {
			return true
		}
	}
	return false
}

func (f *formatter) inBlock(e entry) bool { return e.id.name != "" || f.hasEntries(e.id.key) }

func (f *formatter) isIndented(c comment) bool { return f.place(c.off).Col > 1 }

// blankBetween tells that a blank line parts a comment at the top from the first key.
func (f *formatter) blankBetween(_ []comment, line int, after *entry) bool {
	if after == nil {
		return false
	}
	for n := line + 1; n < after.first; n++ {
		if strings.TrimSpace(f.line(n)) == "" {
			return true
		}
	}
	return false
}

func (f *formatter) header() {
	for _, c := range f.top {
		f.comment(c, "")
	}
	if len(f.top) > 0 {
		f.blank()
	}
}

// blank ends a paragraph: one empty line, none at the top.
func (f *formatter) blank() {
	if s := f.out.String(); s != "" && !strings.HasSuffix(s, "\n\n") {
		f.out.WriteByte('\n')
	}
}

func (f *formatter) comment(n note, indent string) {
	if n.blank {
		f.blank()
	}
	f.out.WriteString(indent + n.text + "\n")
}

// write puts one line of the specWriter with its comments.
func (f *formatter) write(key, name string, _ Pos, text string) {
	n := f.notes[entryID{key, name}]
	if n == nil {
		n = &notes{}
	}
	indent := ""
	if name != "" {
		indent = "  "
	}
	for _, c := range n.above {
		f.comment(c, indent)
	}
	multi := strings.Contains(text, "\n") || len(n.side) > 1
	if multi {
		for _, c := range n.side {
			f.comment(note{text: c}, indent)
		}
	}
	if n.blank {
		f.blank()
	}
	f.out.WriteString(text)
	if len(n.side) == 1 && !multi {
		f.out.WriteString("  " + n.side[0])
	}
	f.out.WriteByte('\n')
	for _, c := range n.below {
		f.comment(c, "  ")
	}
}

// tests copies the tests of a spec as they are: their form is not that of the language.
func (f *formatter) tests(pos Pos) {
	n := f.notes[entryID{"tests", ""}]
	for _, c := range n.above {
		f.comment(c, "")
	}
	if n.blank {
		f.blank()
	}
	for _, e := range f.entries {
		if e.id.key != "tests" {
			continue
		}
		for line := pos.Line; line <= e.last; line++ {
			f.out.WriteString(f.line(line) + "\n")
		}
	}
}
