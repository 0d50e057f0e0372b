package lang

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// topKeys are the keys of a view in the order of the canonical text: where rows come from,
// what is declared, how rows are cut, what comes out.
var topKeys = []string{
	"view", "version", "doc", "from", "where", "by", "join", "params", "require", "let", "window",
	"empty", "reset", "warmup", "time", "on_late", "features", "rollup", "alert", "tests",
}

// fileParser fills a Spec from the nodes of a file.
type fileParser struct {
	*source
	spec *Spec
}

// Parse reads a spec file. All problems come back together, ordered by place; the Spec
// holds what could be read (nil when nothing could), so that Check can look for more.
func Parse(file string, src []byte) (*Spec, Problems) {
	s := newSource(file, string(src))
	spec, _ := s.parse()
	return spec, s.problems
}

// parse reads the file; both results are nil when there is nothing to look at.
func (s *source) parse() (*Spec, *yaml.Node) {
	root := s.readYAML()
	if root == nil {
		s.problems.Sort()
		return nil, nil
	}
	p := &fileParser{source: s, spec: &Spec{File: s.file, Places: map[string]Pos{}}}
	if isKind(root) {
		p.kind(root)
	} else {
		p.top(root)
		p.missing(root)
	}
	s.problems.Sort()
	p.spec.broken = len(s.problems) > 0
	return p.spec, root
}

func (p *fileParser) top(root *yaml.Node) {
	readers := map[string]func(*yaml.Node){
		"view":     func(n *yaml.Node) { p.spec.View = p.ident(n, "view name") },
		"version":  func(n *yaml.Node) { p.spec.Version = p.version(n) },
		"doc":      func(n *yaml.Node) { p.spec.Doc, _ = p.scalar(n, "doc") },
		"from":     p.from,
		"where":    func(n *yaml.Node) { p.spec.Where = p.expr(n, "where") },
		"by":       func(n *yaml.Node) { p.spec.By = p.names(n, "by") },
		"join":     p.joins,
		"params":   p.params,
		"require":  func(n *yaml.Node) { p.spec.Require = p.expr(n, "require") },
		"let":      func(n *yaml.Node) { p.spec.Let = p.defs(n, "let") },
		"window":   p.window,
		"empty":    func(n *yaml.Node) { p.spec.Empty = p.choice(n, "empty", "omit", "flat", "nulls") },
		"reset":    func(n *yaml.Node) { p.spec.Reset = p.period(n, "reset") },
		"warmup":   p.warmup,
		"time":     func(n *yaml.Node) { p.spec.Time = p.choice(n, "time", "event", "ingest") },
		"on_late":  func(n *yaml.Node) { p.spec.OnLate = p.choice(n, "on_late", "recompute", "record") },
		"features": func(n *yaml.Node) { p.spec.Features = p.defs(n, "features") },
		"rollup":   func(n *yaml.Node) { p.spec.Rollup = p.choice(n, "rollup", "all") != "" },
		"alert":    p.alerts,
		"tests":    p.tests,
	}
	p.entries(root, "a view", topKeys, func(key string, k, v *yaml.Node) {
		p.spec.Places[key] = p.pos(k)
		readers[key](v)
	})
}

// missing reports the keys that every view has.
func (p *fileParser) missing(root *yaml.Node) {
	has := func(key string) bool { _, ok := p.spec.Places[key]; return ok }
	start := p.pos(root)
	for _, m := range []struct{ key, want string }{
		{"view", "want view: name"},
		{"version", "want version: 1"},
		{"from", "want from: with a kind such as trade, or a view"},
		{"by", "want by: [exchange, market, symbol] or other entity columns"},
	} {
		if !has(m.key) {
			p.problem(start, m.want, "key %q is missing", m.key)
		}
	}
	switch {
	case !has("features") && !has("rollup"):
		p.problem(start, "want features: with name: expression, or rollup: all", `key "features" is missing`)
	case has("features") && has("rollup"):
		p.problem(p.spec.Places["rollup"], "want one of them", "features and rollup in one view")
	}
}

// entries walks a mapping, refusing keys that are not in known.
func (p *fileParser) entries(n *yaml.Node, what string, known []string, read func(key string, k, v *yaml.Node)) {
	if p.isBad(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		p.problem(p.pos(n), "want keys: "+strings.Join(known, " "), "%s is not a mapping", what)
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind != yaml.ScalarNode || seen[k.Value] || k.Value == "<<" {
			continue // reported by ban
		}
		seen[k.Value] = true
		if !contains(known, k.Value) {
			remedy := wantKey(k.Value, known)
			if strings.ContainsAny(k.Value, "(),<>=+*/ ") && n.Style&yaml.FlowStyle != 0 {
				remedy = "want double quotes around an expression with a comma inside { }"
			}
			p.problem(p.pos(k), remedy, "unknown key %q", k.Value)
			continue
		}
		read(k.Value, k, v)
	}
}

// named walks a mapping whose keys are names of the user's.
func (p *fileParser) named(n *yaml.Node, what string, read func(name Name, v *yaml.Node)) {
	if p.isBad(n) {
		return
	}
	if n.Kind == yaml.SequenceNode && len(n.Content) > 0 {
		p.problem(p.pos(n), "want name: value lines without -", "%s is a list", what)
		return
	}
	if n.Kind != yaml.MappingNode || len(n.Content) == 0 {
		p.problem(p.pos(n), "want name: value lines below it", "%s has no entries", what)
		return
	}
	if len(n.Content) > 2*maxDefs {
		p.problem(p.pos(n), fmt.Sprintf("want at most %d", maxDefs), "%s has %d entries", what, len(n.Content)/2)
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind != yaml.ScalarNode || seen[k.Value] || k.Value == "<<" {
			continue
		}
		seen[k.Value] = true
		name := p.ident(k, "name")
		if name.Text == "" {
			name = Name{Text: k.Value, Pos: p.pos(k)}
		}
		read(name, v)
	}
}

// scalar returns the literal text of a value.
func (p *fileParser) scalar(n *yaml.Node, what string) (string, bool) {
	switch {
	case p.isBad(n):
		return "", false
	case n.Kind != yaml.ScalarNode:
		p.problem(p.pos(n), "want one value", "%s is a list or mapping", what)
		return "", false
	case n.Value == "":
		p.problem(p.pos(n), "want a value after the colon", "%s has no value", what)
		return "", false
	}
	return n.Value, true
}

func (p *fileParser) choice(n *yaml.Node, what string, words ...string) string {
	text, ok := p.scalar(n, what)
	if !ok {
		return ""
	}
	if !contains(words, text) {
		p.problem(p.pos(n), "want "+strings.Join(words, " or "), "%s is %q", what, text)
		return ""
	}
	return text
}

func (p *fileParser) version(n *yaml.Node) int {
	text, ok := p.scalar(n, "version")
	if !ok {
		return 0
	}
	return p.versionNumber(text, p.pos(n))
}

func (p *fileParser) versionNumber(text string, pos Pos) int {
	v, ok := parseInt(text)
	if !ok || v < 1 || v > 1_000_000 || text[0] == '0' {
		p.problem(pos, "want a whole number from 1", "version is %q", text)
		return 0
	}
	return int(v)
}

const maxName = 63

// ident reads a name of the user's. Names become columns, topics and paths, so their
// letters are fixed (I9).
func (p *fileParser) ident(n *yaml.Node, what string) Name {
	text, ok := p.scalar(n, what)
	if !ok {
		return Name{Pos: p.pos(n)}
	}
	switch {
	case !isIdent(text):
		p.problem(p.pos(n), "want lower-case letters, digits and _, a letter first, at most 63", "%s %q", what, text)
		return Name{Pos: p.pos(n)}
	case keywords[text]:
		p.problem(p.pos(n), "want another name", "%s %q is a word of the language", what, text)
		return Name{Pos: p.pos(n)}
	}
	return Name{Text: text, Pos: p.pos(n)}
}

func isIdent(s string) bool {
	if s == "" || len(s) > maxName || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isDigit(c) && c != '_' && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}

func contains(list []string, s string) bool {
	return slices.Contains(list, s)
}

// otherKeys has what other tools call our keys.
var otherKeys = map[string]string{
	"name": "view", "description": "doc", "source": "from", "input": "from", "table": "from", "filter": "where", "having": "where",
	"group_by": "by", "groupby": "by", "entity": "by", "keys": "by", "parameters": "params", "columns": "features", "select": "features",
	"fields": "features", "metrics": "features", "aggregations": "features", "aggregates": "features", "measures": "features",
	"fill": "empty", "offset": "origin", "timezone": "zone", "tz": "zone", "step": "every", "slide": "every", "hop": "every",
}

// wantKey is the remedy for an unknown key.
func wantKey(key string, known []string) string {
	if our := otherKeys[strings.ToLower(key)]; contains(known, our) {
		return "want " + our
	}
	if near := nearest(key, known); near != "" {
		return "want " + near
	}
	return "want " + strings.Join(known, " ")
}

// expr reads a value as an expression.
func (p *fileParser) expr(n *yaml.Node, what string) *Expr {
	text, ok := p.scalar(n, what)
	if !ok {
		return &Expr{Pos: p.pos(n), Op: OpBad}
	}
	return parseExpr(text, p.at(n), p.add)
}

func (p *fileParser) defs(n *yaml.Node, what string) []Def {
	var defs []Def
	p.named(n, what, func(name Name, v *yaml.Node) {
		defs = append(defs, Def{Name: name.Text, Pos: name.Pos, Expr: p.expr(v, name.Text)})
	})
	return defs
}

// names reads [a, b].
func (p *fileParser) names(n *yaml.Node, what string) []Name {
	if p.isBad(n) {
		return nil
	}
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		p.problem(p.pos(n), "want a list such as [exchange, market, symbol]", "%s is not a list of names", what)
		return nil
	}
	var names []Name
	seen := map[string]bool{}
	for _, c := range n.Content {
		name := p.ident(c, what)
		switch {
		case name.Text == "":
		case seen[name.Text]:
			p.problem(name.Pos, "want it once", "%q given twice in %s", name.Text, what)
		default:
			seen[name.Text] = true
			names = append(names, name)
		}
	}
	return names
}
