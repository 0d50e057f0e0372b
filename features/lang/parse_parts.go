package lang

import (
	"sort"
	"strings"

	"go.yaml.in/yaml/v3"
)

// from reads a kind or view, or a union of several by alias.
func (p *fileParser) from(n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		p.spec.From = []Source{p.ref(n, "from")}
		return
	}
	p.named(n, "from", func(name Name, v *yaml.Node) {
		s := p.ref(v, name.Text)
		s.Alias, s.Pos = name.Text, name.Pos
		p.spec.From = append(p.spec.From, s)
	})
	sort.SliceStable(p.spec.From, func(i, j int) bool { return p.spec.From[i].Alias < p.spec.From[j].Alias })
}

// ref reads name or name@version.
func (p *fileParser) ref(n *yaml.Node, what string) Source {
	src := Source{Pos: p.pos(n)}
	text, ok := p.scalar(n, what)
	if !ok {
		return src
	}
	name, version, pinned := strings.Cut(text, "@")
	if !isIdent(name) {
		p.problem(src.Pos, "want the name of a kind or view, as in trade or trade_bars_1m@1", "%s is %q", what, text)
		return src
	}
	src.Name = name
	if pinned {
		src.Version = p.versionNumber(version, p.at(n)(len(name)+1))
	}
	return src
}

var joinKeys = []string{"view", "on", "where", "match", "max_age", "strict"}

func (p *fileParser) joins(n *yaml.Node) {
	p.named(n, "join", func(name Name, v *yaml.Node) {
		j := Join{Alias: name.Text, Pos: name.Pos}
		p.entries(v, "join "+name.Text, joinKeys, func(key string, _, v *yaml.Node) {
			switch key {
			case "view":
				j.View = p.ref(v, "view")
			case "on":
				j.On = p.names(v, "on")
			case "where":
				j.Where = p.expr(v, "where")
			case "match":
				j.Match = p.choice(v, "match", "asof", "exact")
			case "max_age":
				j.MaxAge = p.duration(v, "max_age")
			case "strict":
				j.Strict = p.choice(v, "strict", "true", "false") == "true"
			}
		})
		p.spec.Joins = append(p.spec.Joins, j)
	})
}

// duration reads 5m or $name.
func (p *fileParser) duration(n *yaml.Node, what string) *Expr {
	e := p.expr(n, what)
	switch e.Op {
	case OpDuration, OpParam, OpBad:
		return e
	}
	p.problem(e.Pos, "want a duration such as 5m, or $name", "%s is %q", what, n.Value)
	return &Expr{Pos: e.Pos, Op: OpBad}
}

// period reads the reset of a recursion: a duration, or never.
func (p *fileParser) period(n *yaml.Node, what string) *Expr {
	if n.Kind == yaml.ScalarNode && n.Value == "never" {
		return &Expr{Pos: p.pos(n), Op: OpName, Text: "never"}
	}
	return p.duration(n, what)
}

// warmup reads 4h or 600 rows.
func (p *fileParser) warmup(n *yaml.Node) {
	text, ok := p.scalar(n, "warmup")
	if !ok {
		p.spec.Warmup = &Expr{Pos: p.pos(n), Op: OpBad}
		return
	}
	ep := newParser(text, p.at(n), p.add)
	f := ep.frame()
	if f.Within != nil && !ep.failed {
		p.problem(f.Within.Pos, "want rows alone", "warmup has a bound in time")
	}
	if !ep.failed {
		ep.end()
	}
	if ep.bad || ep.failed {
		p.spec.Warmup = &Expr{Pos: p.pos(n), Op: OpBad}
		return
	}
	p.spec.Warmup, p.spec.WarmupRows = f.Span, f.Rows
}

// windowKeys are the keys of each window, the one that names it first, in canonical order.
var windowKeys = map[WindowKind][]string{
	Tumbling: {"tumbling", "carry", "origin", "zone"},
	Rolling:  {"rolling", "every"},
	Session:  {"session", "max"},
	Bar:      {"bar", "size", "cut", "reset"},
	Clock:    {"clock", "with", "reset"},
	Latest:   {"latest", "every", "max_age", "emit", "universe"},
}

var windowKinds = []WindowKind{Tumbling, Rolling, Session, Bar, Clock, Latest}

func (p *fileParser) window(n *yaml.Node) {
	w := Window{Pos: p.pos(n), Opts: map[string]*Expr{}}
	if p.isBad(n) {
		return
	}
	if n.Kind == yaml.MappingNode {
		for _, k := range windowKinds {
			for i := 0; i+1 < len(n.Content); i += 2 {
				if n.Content[i].Value == k.String() && w.Kind == NoWindow {
					w.Kind, w.Pos = k, p.pos(n.Content[i])
				}
			}
		}
	}
	if w.Kind == NoWindow {
		p.problem(w.Pos, "want {tumbling: 1m} or {rolling: 5m, every: 1s}", "no kind of window")
		p.spec.Window = w
		return
	}
	p.entries(n, w.Kind.String()+" window", windowKeys[w.Kind], func(key string, _, v *yaml.Node) {
		switch key {
		case "with":
			w.With = map[string]*Expr{}
			p.named(v, "with", func(name Name, v *yaml.Node) { w.With[name.Text] = p.expr(v, name.Text) })
		case w.Kind.String():
			w.Main = p.windowMain(w.Kind, v)
		default:
			if e := p.windowOption(key, v); e != nil {
				w.Opts[key] = e
			}
		}
	})
	p.spec.Window = w
}

func (p *fileParser) windowMain(kind WindowKind, n *yaml.Node) *Expr {
	switch kind {
	case Bar:
		return p.expr(n, "bar")
	case Clock:
		r := p.ref(n, "clock")
		if r.Name == "" {
			return &Expr{Pos: r.Pos, Op: OpBad}
		}
		return &Expr{Pos: r.Pos, Op: OpName, Text: n.Value}
	case Latest:
		return p.wordExpr(p.ident(n, "latest"))
	}
	return p.duration(n, kind.String())
}

func (p *fileParser) wordExpr(name Name) *Expr {
	if name.Text == "" {
		return &Expr{Pos: name.Pos, Op: OpBad}
	}
	return &Expr{Pos: name.Pos, Op: OpName, Text: name.Text}
}

func (p *fileParser) windowOption(key string, n *yaml.Node) *Expr {
	switch key {
	case "size":
		return p.expr(n, key)
	case "cut":
		return p.wordExpr(Name{Text: p.choice(n, key, "whole", "split"), Pos: p.pos(n)})
	case "emit":
		return p.wordExpr(Name{Text: p.choice(n, key, "group", "members"), Pos: p.pos(n)})
	case "universe":
		return p.wordExpr(Name{Text: p.choice(n, key, "listed", "seen"), Pos: p.pos(n)})
	case "every":
		if n.Kind == yaml.ScalarNode && n.Value == "event" {
			return &Expr{Pos: p.pos(n), Op: OpName, Text: "event"}
		}
	case "origin", "zone":
		text, ok := p.scalar(n, key)
		if !ok {
			return &Expr{Pos: p.pos(n), Op: OpBad}
		}
		return &Expr{Pos: p.pos(n), Op: OpString, Text: text}
	case "reset":
		return p.period(n, key)
	}
	return p.duration(n, key)
}

var (
	paramKeys  = []string{"type", "default", "sweep"}
	paramTypes = []string{"int", "decimal", "duration", "string", "list"}
	rangeKeys  = []string{"from", "to", "step"}
)

func (p *fileParser) params(n *yaml.Node) {
	p.named(n, "params", func(name Name, v *yaml.Node) {
		prm := Param{Name: name.Text, Pos: name.Pos}
		ok := !p.isBad(v)
		if t := mapValue(v, "type"); t != nil {
			prm.Type = p.choice(t, "type", paramTypes...)
		} else if ok {
			p.problem(name.Pos, "want {type: "+strings.Join(paramTypes, "|")+", default: value}", "param %q has no type", name.Text)
		}
		p.entries(v, "param "+name.Text, paramKeys, func(key string, _, v *yaml.Node) {
			switch key {
			case "default":
				prm.Default = p.paramValue(v, prm.Type)
			case "sweep":
				p.sweep(v, &prm)
			}
		})
		if prm.Default == nil {
			if ok && mapValue(v, "default") == nil {
				p.problem(name.Pos, "want default: value", "param %q has no default", name.Text)
			}
			prm.Default = &Expr{Pos: name.Pos, Op: OpBad}
		}
		p.spec.Params = append(p.spec.Params, prm)
	})
}

func mapValue(n *yaml.Node, key string) *yaml.Node {
	if n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == key {
				return n.Content[i+1]
			}
		}
	}
	return nil
}

func (p *fileParser) sweep(n *yaml.Node, prm *Param) {
	if n.Kind == yaml.SequenceNode {
		for _, c := range n.Content {
			prm.Sweep = append(prm.Sweep, p.paramValue(c, prm.Type))
		}
		if len(prm.Sweep) == 0 {
			p.problem(p.pos(n), "want [a, b] or {from: a, to: b, step: c}", "sweep is empty")
		}
		return
	}
	prm.Range = map[string]*Expr{}
	p.entries(n, "sweep", rangeKeys, func(key string, _, v *yaml.Node) {
		prm.Range[key] = p.paramValue(v, prm.Type)
	})
	for _, key := range rangeKeys {
		if prm.Range[key] == nil && n.Kind == yaml.MappingNode {
			p.problem(p.pos(n), "want {from: a, to: b, step: c}", "sweep has no %s", key)
		}
	}
}

// paramValue reads a value of a parameter: text for string, a list of texts for list, else
// a literal.
func (p *fileParser) paramValue(n *yaml.Node, kind string) *Expr {
	if kind == "list" && n.Kind == yaml.SequenceNode {
		e := &Expr{Pos: p.pos(n), Op: OpList}
		for _, c := range n.Content {
			if text, ok := p.scalar(c, "list element"); ok {
				e.Args = append(e.Args, &Expr{Pos: p.pos(c), Op: OpString, Text: text})
			}
		}
		return e
	}
	text, ok := p.scalar(n, "value")
	if !ok || kind == "" {
		return &Expr{Pos: p.pos(n), Op: OpBad}
	}
	e, want := paramLiteral(text, kind, p.at(n))
	if want != "" {
		p.problem(p.pos(n), want, "%q is no %s", text, kind)
	}
	return e
}

// paramLiteral reads text as a value of a parameter type; want says what was wanted instead.
func paramLiteral(text, kind string, at func(int) Pos) (e *Expr, want string) {
	bad := &Expr{Pos: at(0), Op: OpBad}
	switch kind {
	case "string":
		return &Expr{Pos: at(0), Op: OpString, Text: text}, ""
	case "list":
		return bad, "want [a, b]"
	}
	e = parseExpr(text, at, func(Problem) {})
	num := e
	if e.Op == OpUnary && e.Text == "-" {
		num = e.Args[0]
	}
	switch {
	case kind == "int" && num.Op == OpNumber && !strings.ContainsAny(num.Text, ".b"):
		return e, ""
	case kind == "decimal" && num.Op == OpNumber:
		return e, ""
	case kind == "duration" && e.Op == OpDuration:
		return e, ""
	}
	return bad, "want " + map[string]string{"int": "a whole number", "decimal": "a decimal number such as 1.5 or 10bps", "duration": "a duration such as 5m"}[kind]
}

var alertKeys = []string{"when", "for", "clear", "to", "severity"}

func (p *fileParser) alerts(n *yaml.Node) {
	p.named(n, "alert", func(name Name, v *yaml.Node) {
		a := Alert{Name: name.Text, Pos: name.Pos}
		p.entries(v, "alert "+name.Text, alertKeys, func(key string, _, v *yaml.Node) {
			switch key {
			case "when":
				a.When = p.expr(v, key)
			case "for":
				a.For = p.duration(v, key)
			case "clear":
				a.Clear = p.expr(v, key)
			case "to":
				a.To, _ = p.scalar(v, key)
			case "severity":
				a.Severity = p.ident(v, key).Text
			}
		})
		if a.When == nil && !p.isBad(v) {
			p.problem(name.Pos, "want {when: condition}", "alert %q has no condition", name.Text)
		}
		p.spec.Alerts = append(p.spec.Alerts, a)
	})
}
