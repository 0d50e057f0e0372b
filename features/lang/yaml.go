package lang

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// readYAML reads the file as one YAML mapping of plain nodes. We take YAML's shape and its
// literal text and none of its types: tags, anchors, aliases, merge keys and text lost to
// comments are problems. nil means that there is nothing to look at.
func (s *source) readYAML() *yaml.Node {
	if !s.printable() {
		return nil
	}
	root := s.decode()
	if root == nil {
		return nil
	}
	for _, c := range s.comments(root) {
		if !c.own && (c.off < 2 || !isSpace(s.text[c.off-2])) {
			s.problem(s.place(c.off), "want two spaces before a comment, or no #", "text after # is dropped by YAML")
		}
	}
	s.ban(root, 0)
	if root.Kind != yaml.MappingNode {
		s.problem(s.pos(root), "want keys such as view: name", "the file is not a mapping")
		return nil
	}
	return root
}

func (s *source) printable() bool {
	if len(s.text) > maxFile {
		s.problem(Pos{File: s.file, Line: 1, Col: 1}, "want at most 1 MiB", "the file has %d bytes", len(s.text))
		return false
	}
	for i := 0; i < len(s.text); {
		r, size := utf8.DecodeRuneInString(s.text[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			s.problem(s.place(i), "want UTF-8", "byte 0x%02X is not UTF-8", s.text[i])
			return false
		case notPrintable(r) && r != '\n' && r != '\t' && (r != '\r' || !hasAt(s.text, i, "\r\n")):
			s.problem(s.place(i), "want printable text", "control character U+%04X", r)
			return false
		}
		i += size
	}
	return true
}

// decode runs the YAML reader. It stops at its first error; so a line that alone is no YAML
// is reported, replaced by a placeholder, and the rest read again.
func (s *source) decode() *yaml.Node {
	root, err := decodeYAML(s.text)
	if err != nil {
		root, err = s.repair(err)
	}
	if err != nil {
		s.problem(s.errorPlace(err), "want YAML: key: value, two spaces for each level", "%s", yamlMessage(err))
		return nil
	}
	if len(root) == 0 || len(root[0].Content) == 0 || root[0].Content[0].Tag == "!!null" {
		s.problem(Pos{File: s.file, Line: 1, Col: 1}, "want view: name and its keys", "the file is empty")
		return nil
	}
	if len(root) > 1 {
		s.problem(s.pos(root[1]), "want one view in a file", "a second document begins here")
	}
	return root[0].Content[0]
}

// decodeYAML returns the first two documents.
func decodeYAML(text string) ([]*yaml.Node, error) {
	dec := yaml.NewDecoder(bytes.NewReader([]byte(text)))
	var docs []*yaml.Node
	for len(docs) < 2 {
		var n yaml.Node
		err := dec.Decode(&n)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		docs = append(docs, &n)
	}
	return docs, nil
}

var (
	entryLine = regexp.MustCompile(`^( *)([A-Za-z_][A-Za-z0-9_]*):( +)(\S.*)$`)
	lineMark  = regexp.MustCompile(`^line (\d+): `)
)

const (
	placeholder = "unreadable"
	maxRepairs  = 50
	maxDecodes  = 10_000 // tries of one repair
)

// repair looks for lines of the form "key: value" that are no YAML, alone or with what
// follows when they open a bracket, quote or block. They are reported and replaced.
func (s *source) repair(first error) ([]*yaml.Node, error) {
	lines := strings.SplitAfter(s.text, "\n")
	fixed := append([]string(nil), lines...)
	found, budget := 0, maxDecodes
	for i, line := range lines {
		m := entryLine.FindStringSubmatchIndex(strings.TrimRight(line, "\r\n"))
		if m == nil || found == maxRepairs || budget <= 0 {
			continue
		}
		err := readsAlone(lines[i:], m[3], &budget, strings.IndexByte("[{'\"|>", line[m[8]]) >= 0)
		if err == nil {
			continue
		}
		found++
		fixed[i] = line[:m[8]] + placeholder + "\n"
		s.bad[i+1] = true
		what, remedy := explainYAML(line[m[8]:], err)
		s.problem(s.place(s.lines[i]+m[8]), remedy, "%s", what)
	}
	if found == 0 {
		return nil, first
	}
	return decodeYAML(strings.Join(fixed, ""))
}

// readsAlone tells whether a line without its indent is YAML, with the lines that follow
// it when it may go on there.
func readsAlone(lines []string, indent int, budget *int, goesOn bool) error {
	const most = 40
	var b strings.Builder
	var first error
	for i, line := range lines {
		b.WriteString(line[min(indent, len(line)-len(strings.TrimLeft(line, " "))):])
		_, err := decodeYAML(b.String())
		*budget--
		if err == nil {
			return nil
		}
		if first == nil {
			first = err
		}
		if !goesOn || i == most {
			break
		}
	}
	return first
}

// explainYAML says what a reader of expressions should have written.
func explainYAML(value string, err error) (what, remedy string) {
	value = strings.TrimSpace(value)
	switch {
	case value[0] == '*':
		return fmt.Sprintf("YAML reads %q as an alias", firstWord(value)), "want a value before *"
	case value[0] == '&':
		return fmt.Sprintf("YAML reads %q as an anchor", firstWord(value)), `want "and" instead of "&"`
	case value[0] == '%' || value[0] == '@' || value[0] == '`':
		return fmt.Sprintf("a value cannot begin with %q", value[:1]), "want a name, a number or a call first"
	case strings.Contains(value, "? ") || strings.Contains(value, ": "):
		return yamlMessage(err), "want if(condition, then, else) for a choice, and quotes around text with a colon"
	}
	return yamlMessage(err), "want the value in double quotes when it needs such characters"
}

func firstWord(s string) string {
	if i := strings.IndexAny(s, " \t,"); i > 0 {
		return s[:i]
	}
	return s
}

func yamlMessage(err error) string {
	return lineMark.ReplaceAllString(strings.TrimPrefix(err.Error(), "yaml: "), "")
}

func (s *source) errorPlace(err error) Pos {
	n := 1
	if m := lineMark.FindStringSubmatch(strings.TrimPrefix(err.Error(), "yaml: ")); m != nil {
		if v, err := strconv.Atoi(m[1]); err == nil {
			n = min(max(v, 1), len(s.lines))
		}
	}
	return Pos{File: s.file, Line: n, Col: 1}
}

// ban reports what YAML offers and specs do not use. A node with a tag, anchor or alias
// loses its value, so that nothing is read from it.
func (s *source) ban(n *yaml.Node, depth int) {
	if depth > maxYAML {
		s.problem(s.pos(n), fmt.Sprintf("want at most %d levels", maxYAML), "nested too deeply")
		s.drop(n)
		return
	}
	switch {
	case n.Kind == yaml.AliasNode:
		s.problem(s.pos(n), "want a value before *", "YAML reads %q as an alias", "*"+n.Value)
		s.drop(n)
	case n.Anchor != "":
		s.problem(s.pos(n), `want "and" instead of "&"`, "YAML reads %q as an anchor", "&"+n.Anchor)
		s.drop(n)
	case n.Style&yaml.TaggedStyle != 0:
		s.problem(s.pos(n), `want "not …" instead of "!…"`, "YAML reads %q as a tag", firstWord(strings.SplitN(s.text[s.offset(n):], "\n", 2)[0]))
		s.drop(n)
	case n.Kind == yaml.MappingNode:
		s.banKeys(n)
	}
	for _, c := range n.Content {
		s.ban(c, depth+1)
	}
}

func (s *source) banKeys(n *yaml.Node) {
	seen := map[string]Pos{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		if k.Kind != yaml.ScalarNode {
			s.problem(s.pos(k), "want a name", "a key that is not a name")
			continue
		}
		if k.Value == "<<" && k.Style == 0 {
			s.problem(s.pos(k), "want the keys written out", "merge keys are not part of specs")
			continue
		}
		if first, dup := seen[k.Value]; dup {
			s.problem(s.pos(k), fmt.Sprintf("want it once; the first is in line %d", first.Line), "key %q given twice", k.Value)
			continue
		}
		seen[k.Value] = s.pos(k)
	}
}

// drop turns a banned node into a placeholder that readers pass over.
func (s *source) drop(n *yaml.Node) {
	n.Kind, n.Value, n.Content, n.Alias, n.Tag = yaml.ScalarNode, placeholder, nil, nil, badTag
}

const badTag = "bad"

// isBad tells that the node has been reported and stands for an unknown value.
func (s *source) isBad(n *yaml.Node) bool {
	return n.Tag == badTag || n.Value == placeholder && s.bad[n.Line]
}
