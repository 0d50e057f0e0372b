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
		case r < ' ' && r != '\n' && r != '\t' && (r != '\r' || !hasAt(s.text, i, "\r\n")),
			r >= 0x7f && r < 0xa0, r == '\u2028', r == '\u2029', r == '\ufeff', r >= 0xfffe && r <= 0xffff:
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
)

// repair tries the lines of form "key: value" alone. Lines that begin something longer (an
// open bracket or quote) fail alone too; they are put back when the file reads well with them.
func (s *source) repair(first error) ([]*yaml.Node, error) {
	type fix struct {
		line int
		off  int // of the value
		err  error
	}
	var fixes []fix
	lines := strings.SplitAfter(s.text, "\n")
	for i, line := range lines {
		m := entryLine.FindStringSubmatchIndex(strings.TrimRight(line, "\r\n"))
		if m == nil || len(fixes) == maxRepairs {
			continue
		}
		if _, err := decodeYAML(line[m[3]:]); err != nil {
			fixes = append(fixes, fix{line: i, off: m[8], err: err})
		}
	}
	render := func(skip int) string {
		out := append([]string(nil), lines...)
		for k, f := range fixes {
			if k != skip && f.err != nil {
				out[f.line] = out[f.line][:f.off] + placeholder + "\n"
			}
		}
		return strings.Join(out, "")
	}
	docs, err := decodeYAML(render(-1))
	if len(fixes) == 0 || err != nil {
		return nil, first
	}
	for k := len(fixes) - 1; k >= 0; k-- {
		if d, err := decodeYAML(render(k)); err == nil {
			docs, fixes[k].err = d, nil
		}
	}
	for _, f := range fixes {
		if f.err == nil {
			continue
		}
		s.bad[f.line+1] = true
		what, remedy := explainYAML(lines[f.line][f.off:], f.err)
		s.problem(s.place(s.lines[f.line]+f.off), remedy, "%s", what)
	}
	return docs, nil
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
