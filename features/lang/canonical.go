package lang

import (
	"bytes"
	"fmt"
	"strings"
)

// Canonical is the text that identifies the view: keys in fixed order, expressions as the
// parser prints them, defaults written out, parameters at the given values or else their
// defaults. doc, alert, tests and sweep are left out: they change no row. Parsing it gives
// the same canonical text. on_late has no default here: it follows from the bounds.
//
// The spec must have been parsed without problems.
func (s *Spec) Canonical(values map[string]string) []byte {
	w := &specWriter{spec: s, values: values, canonical: true}
	for _, key := range topKeys {
		w.key(key)
	}
	return w.buf.Bytes()
}

// specWriter writes a spec as YAML; Canonical and Format share it.
type specWriter struct {
	buf       bytes.Buffer
	spec      *Spec
	values    map[string]string
	canonical bool                                         // write defaults, leave out what changes no row
	around    func(key, name string, pos Pos, line string) // Format: writes a line with its comments
}

// line writes one line of a top-level key, or of an entry below one.
func (w *specWriter) line(key, name string, pos Pos, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if w.around != nil {
		w.around(key, name, pos, text)
		return
	}
	w.buf.WriteString(text)
	w.buf.WriteByte('\n')
}

// key writes one top-level key, if the spec has it.
func (w *specWriter) key(key string) {
	s := w.spec
	pos := s.Places[key]
	top := func(format string, args ...any) {
		w.line(key, "", pos, "%s: %s", key, fmt.Sprintf(format, args...))
	}
	_, given := s.Places[key]
	if !given && !w.canonical {
		return
	}
	switch key {
	case "view":
		top("%s", s.View.Text)
	case "version":
		top("%d", s.Version)
	case "doc":
		if !w.canonical {
			top("%s", docText(s.Doc))
		}
	case "from":
		w.from(top)
	case "where":
		w.optional(top, s.Where)
	case "by":
		top("%s", nameList(s.By))
	case "require":
		w.optional(top, s.Require)
	case "window":
		if s.Window.Kind != NoWindow {
			top("%s", w.window())
		}
	case "empty":
		if s.Window.Kind != NoWindow {
			top("%s", or(s.Empty, "omit"))
		}
	case "reset":
		w.optional(top, s.Reset)
	case "warmup":
		if s.WarmupRows != nil {
			top("%s rows", s.WarmupRows)
		} else {
			w.optional(top, s.Warmup)
		}
	case "time":
		top("%s", or(s.Time, "event"))
	case "on_late":
		if s.OnLate != "" {
			top("%s", s.OnLate)
		}
	case "rollup":
		if s.Rollup {
			top("all")
		}
	default:
		w.block(key, pos)
	}
}

func (w *specWriter) optional(top func(string, ...any), e *Expr) {
	if e != nil {
		top("%s", w.expr(e))
	}
}

// expr prints an expression, in the canonical text with macros and defaults written out.
func (w *specWriter) expr(e *Expr) string {
	if w.canonical {
		e = expand(e)
	}
	return exprText(e, false)
}

func or(s, def string) string {
	if s == "" {
		return def
	}
	return s
}

// block writes the keys that have an entry a line.
func (w *specWriter) block(key string, pos Pos) {
	s := w.spec
	var entries []func()
	entry := func(name string, at Pos, format string, args ...any) {
		entries = append(entries, func() { w.line(key, name, at, "  %s: %s", name, fmt.Sprintf(format, args...)) })
	}
	switch key {
	case "join":
		for _, j := range s.Joins {
			entry(j.Alias, j.Pos, "%s", w.join(j))
		}
	case "params":
		for _, p := range s.Params {
			entry(p.Name, p.Pos, "%s", w.param(p))
		}
	case "let":
		for _, d := range s.Let {
			entry(d.Name, d.Pos, "%s", w.expr(d.Expr))
		}
	case "features":
		for _, d := range s.Features {
			entry(d.Name, d.Pos, "%s", w.expr(d.Expr))
		}
	case "alert":
		if !w.canonical {
			for _, a := range s.Alerts {
				entry(a.Name, a.Pos, "%s", alertText(a))
			}
		}
	}
	if len(entries) == 0 {
		return
	}
	w.line(key, "", pos, "%s:", key)
	for _, e := range entries {
		e()
	}
}

func (w *specWriter) from(top func(string, ...any)) {
	var parts []string
	for _, src := range w.spec.From {
		if src.Alias == "" {
			top("%s", refText(src))
			return
		}
		parts = append(parts, src.Alias+": "+refText(src))
	}
	top("{%s}", strings.Join(parts, ", "))
}

func nameList(names []Name) string {
	words := make([]string, len(names))
	for i, n := range names {
		words[i] = n.Text
	}
	return "[" + strings.Join(words, ", ") + "]"
}

// flow is a mapping on one line.
type flow []string

func (f *flow) add(key, value string) {
	if value != "" {
		*f = append(*f, key+": "+value)
	}
}

func (f *flow) expr(key string, e *Expr) {
	if e != nil {
		f.add(key, exprText(e, true))
	}
}

func (f flow) String() string { return "{" + strings.Join(f, ", ") + "}" }

func (w *specWriter) join(j Join) string {
	var f flow
	f.add("view", refText(j.View))
	if len(j.On) > 0 {
		f.add("on", nameList(j.On))
	}
	f.expr("where", j.Where)
	f.add("match", j.Match)
	f.expr("max_age", j.MaxAge)
	if j.Strict || w.canonical {
		f.add("strict", fmt.Sprint(j.Strict))
	}
	return f.String()
}

// windowDefaults are written into the canonical text.
var windowDefaults = map[WindowKind]map[string]string{
	Tumbling: {"origin": "1970-01-01", "zone": "UTC"},
	Bar:      {"cut": "whole"},
	Latest:   {"emit": "group", "universe": "seen"},
}

func (w *specWriter) window() string {
	win := w.spec.Window
	var f flow
	for i, key := range windowKeys[win.Kind] {
		e := win.Opts[key]
		switch {
		case i == 0:
			f.expr(key, win.Main)
		case key == "with" && len(win.With) > 0:
			var with flow
			for _, k := range sortedKeys(win.With) {
				with.expr(k, win.With[k])
			}
			f.add(key, with.String())
		case e != nil && e.Op == OpString: // origin, zone: plain text
			f.add(key, scalarText(e.Text, true))
		case e != nil:
			f.expr(key, e)
		case w.canonical && key == "carry" && or(w.spec.Empty, "omit") != "omit":
			f.add(key, "1d")
		case w.canonical:
			f.add(key, windowDefaults[win.Kind][key])
		}
	}
	return f.String()
}

func (w *specWriter) param(p Param) string {
	var f flow
	f.add("type", p.Type)
	value := valueText(p.Default)
	if v, ok := w.values[p.Name]; ok && w.canonical {
		value = v
		if p.Type == "string" {
			value = scalarText(v, true)
		}
		if e, want := setValue(v, p.Type, Pos{}); p.Type == "list" && want == "" {
			value = valueText(e)
		}
	}
	f.add("default", value)
	switch {
	case w.canonical:
	case p.Range != nil:
		var r flow
		for _, k := range rangeKeys {
			r.add(k, valueText(p.Range[k]))
		}
		f.add("sweep", r.String())
	case p.Sweep != nil:
		words := make([]string, len(p.Sweep))
		for i, e := range p.Sweep {
			words[i] = valueText(e)
		}
		f.add("sweep", "["+strings.Join(words, ", ")+"]")
	}
	return f.String()
}

// valueText prints a parameter's value in flow style.
func valueText(e *Expr) string {
	switch e.Op {
	case OpString:
		return scalarText(e.Text, true)
	case OpList:
		words := make([]string, len(e.Args))
		for i, a := range e.Args {
			words[i] = scalarText(a.Text, true)
		}
		return "[" + strings.Join(words, ", ") + "]"
	}
	return exprText(e, true)
}

func alertText(a Alert) string {
	var f flow
	f.expr("when", a.When)
	f.expr("for", a.For)
	f.expr("clear", a.Clear)
	if a.To != "" {
		f.add("to", scalarText(a.To, true))
	}
	f.add("severity", a.Severity)
	return f.String()
}

// exprText prints an expression as a YAML scalar.
func exprText(e *Expr, inFlow bool) string { return scalarText(e.String(), inFlow) }

// scalarText writes text so that YAML gives it back literally: plain where it can be,
// else in single quotes, with double quotes for what those cannot hold.
func scalarText(s string, inFlow bool) string {
	switch {
	case strings.ContainsFunc(s, notPrintable):
		return doubleQuoted(s)
	case isPlain(s, inFlow):
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", "''") + "'"
}

// isPlain tells that YAML reads s without quotes as s.
func isPlain(s string, inFlow bool) bool {
	if s == "" || s != strings.TrimSpace(s) || strings.Contains(s, ": ") || strings.Contains(s, " #") || strings.HasSuffix(s, ":") {
		return false
	}
	if inFlow && strings.ContainsAny(s, ",[]{}\"'?") {
		return false
	}
	if s[0] == '-' {
		return len(s) > 1 && s[1] != ' ' && s[1] != '-'
	}
	return !strings.ContainsRune("?:,[]{}#&*!|>'\"%@`~=", rune(s[0]))
}

// notPrintable tells runes that the text of a file may not hold unescaped, and line ends.
func notPrintable(r rune) bool {
	return r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' || r == '\ufeff' || r >= 0xfffe && r <= 0xffff || r > 0x10ffff
}

// doubleQuoted escapes what YAML cannot hold on one line.
func doubleQuoted(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '\n':
			b.WriteString(`\n`)
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case notPrintable(r):
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// docText writes a doc text: one line, or a block when it has several.
func docText(s string) string {
	text := strings.TrimSpace(s)
	lines := strings.Split(text, "\n")
	if len(lines) == 1 || strings.ContainsFunc(strings.ReplaceAll(text, "\n", ""), notPrintable) {
		return scalarText(text, false)
	}
	var b strings.Builder
	b.WriteByte('|')
	for _, l := range lines {
		b.WriteByte('\n')
		if l = strings.TrimRight(l, " "); l != "" {
			b.WriteString("  " + l)
		}
	}
	return b.String()
}
