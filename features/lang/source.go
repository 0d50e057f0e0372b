package lang

import (
	"fmt"
	"sort"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// source is the text of a file with what maps YAML's nodes back to it.
type source struct {
	file     string
	text     string
	lines    []int         // offset at which each line begins
	wide     map[int][]int // where characters begin on lines that are not ASCII, made when needed
	bad      map[int]bool  // lines whose value YAML could not read; reported, replaced by a placeholder
	problems Problems
}

func newSource(file, text string) *source {
	s := &source{file: file, text: text, lines: []int{0}, wide: map[int][]int{}, bad: map[int]bool{}}
	for i := range len(text) {
		if text[i] == '\n' {
			s.lines = append(s.lines, i+1)
		}
	}
	return s
}

// maxProblems is how many problems of one file are told.
const maxProblems = 1000

func (s *source) add(p Problem) { s.problems = addProblem(s.problems, p) }

func addProblem(ps Problems, p Problem) Problems {
	switch {
	case len(ps) < maxProblems:
		return append(ps, p)
	case len(ps) == maxProblems:
		return append(ps, Problem{Pos: p.Pos, What: fmt.Sprintf("more than %d problems", maxProblems), Remedy: "want these solved first"})
	}
	return ps
}

func (s *source) problem(pos Pos, remedy, format string, args ...any) {
	s.add(Problem{Pos: pos, What: fmt.Sprintf(format, args...), Remedy: remedy})
}

// place is the position of a byte of the file.
func (s *source) place(off int) Pos {
	line := sort.SearchInts(s.lines, off+1) - 1
	return Pos{File: s.file, Line: line + 1, Col: off - s.lines[line] + 1}
}

// line is the text of a line, counted from 1, without its end.
func (s *source) line(n int) string {
	start := s.lines[n-1]
	end := len(s.text)
	if n < len(s.lines) {
		end = s.lines[n] - 1
	}
	return strings.TrimSuffix(s.text[start:end], "\r")
}

// offset is where a node begins. YAML counts columns in characters.
func (s *source) offset(n *yaml.Node) int {
	if n.Line < 1 || n.Line > len(s.lines) {
		return 0
	}
	starts, seen := s.wide[n.Line]
	line := s.line(n.Line)
	if !seen {
		for i := range len(line) {
			if line[i] >= utf8.RuneSelf {
				for off := range line {
					starts = append(starts, off)
				}
				break
			}
		}
		s.wide[n.Line] = starts
	}
	col := n.Column - 1
	switch {
	case col < len(starts):
		col = starts[col]
	case starts != nil:
		col = len(line)
	}
	return min(s.lines[n.Line-1]+col, len(s.text))
}

func (s *source) pos(n *yaml.Node) Pos { return s.place(s.offset(n)) }

// at maps offsets in a scalar's value to places in the file. In quoted, folded and
// multi-line scalars the value differs from the text; there both are walked side by side.
func (s *source) at(n *yaml.Node) func(int) Pos {
	start := s.offset(n)
	if n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0 && start < len(s.text) {
		start++
	}
	if hasAt(s.text, min(start, len(s.text)), n.Value) {
		return func(off int) Pos { return s.place(start + off) }
	}
	table := s.align(n, start)
	return func(off int) Pos { return s.place(table[min(max(off, 0), len(table)-1)]) }
}

func (s *source) align(n *yaml.Node, off int) []int {
	if n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		for off < len(s.text) && s.text[off] != '\n' { // the header | or >
			off++
		}
	}
	table := make([]int, 0, len(n.Value)+1)
	for i := range len(n.Value) {
		c := n.Value[i]
		if off < len(s.text) && s.text[off] != c {
			if isSpace(c) {
				// a folded line end: any blank text stands for it
			} else {
				for off < len(s.text) && isSpace(s.text[off]) {
					off++
				}
				if off < len(s.text) && s.text[off] == '\\' {
					off++
				}
			}
		}
		table = append(table, min(off, len(s.text)))
		if off < len(s.text) {
			off++
		}
		if c == '\'' && n.Style&yaml.SingleQuotedStyle != 0 {
			off++
		}
	}
	return append(table, min(off, len(s.text)))
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// quotedEnd returns where a quoted or block scalar that begins at off ends; off for a plain one.
func (s *source) quotedEnd(n *yaml.Node, off int) int {
	switch {
	case n.Style&yaml.SingleQuotedStyle != 0:
		for i := off + 1; i < len(s.text); i++ {
			if s.text[i] != '\'' {
				continue
			}
			if i+1 < len(s.text) && s.text[i+1] == '\'' {
				i++
				continue
			}
			return i + 1
		}
	case n.Style&yaml.DoubleQuotedStyle != 0:
		for i := off + 1; i < len(s.text); i++ {
			switch s.text[i] {
			case '\\':
				i++
			case '"':
				return i + 1
			}
		}
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		return s.blockEnd(off)
	default:
		return off
	}
	return len(s.text)
}

// blockEnd returns the end of the lines that belong to a block scalar whose header is at off.
func (s *source) blockEnd(off int) int {
	first := s.place(off).Line + 1
	indent, end := -1, off
	for n := first; n <= len(s.lines); n++ {
		line := s.line(n)
		body := strings.TrimLeft(line, " ")
		if body == "" {
			continue
		}
		if indent < 0 {
			indent = max(1, len(line)-len(body))
		}
		if len(line)-len(body) < indent {
			break
		}
		end = s.lines[n-1] + len(line)
	}
	return end
}

// comment is a # of YAML with the text after it.
type comment struct {
	off  int
	line int
	own  bool   // nothing before it on its line
	text string // with the #
}

// comments finds what YAML drops. Nodes tell where quoted and block text lies, in which a
// # is text.
func (s *source) comments(root *yaml.Node) []comment {
	type span struct{ from, to int }
	var quoted []span
	walkYAML(root, func(n *yaml.Node) {
		if n.Kind != yaml.ScalarNode {
			return
		}
		off := s.offset(n)
		if end := s.quotedEnd(n, off); end > off {
			from := off
			if n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 { // a comment may follow the header
				from = min(s.lines[s.place(off).Line-1]+len(s.line(s.place(off).Line)), end)
			}
			quoted = append(quoted, span{from, end})
		}
	})
	sort.Slice(quoted, func(i, j int) bool { return quoted[i].from < quoted[j].from })
	var found []comment
	q := 0
	for i := 0; i < len(s.text); i++ {
		for q < len(quoted) && quoted[q].to <= i {
			q++
		}
		if q < len(quoted) && i >= quoted[q].from {
			i = quoted[q].to - 1
			continue
		}
		if s.text[i] != '#' || i > 0 && !isSpace(s.text[i-1]) {
			continue
		}
		p := s.place(i)
		line := s.line(p.Line)
		found = append(found, comment{
			off: i, line: p.Line, text: strings.TrimRight(line[p.Col-1:], " \t"),
			own: strings.TrimSpace(line[:p.Col-1]) == "",
		})
		i = s.lines[p.Line-1] + len(line) - 1
	}
	return found
}

func walkYAML(n *yaml.Node, visit func(*yaml.Node)) {
	visit(n)
	for _, c := range n.Content {
		walkYAML(c, visit)
	}
}
