package lang

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/pinova-group/tidemark/market"
)

// KindSpec is a parsed file that defines a kind of events instead of a view.
type KindSpec struct {
	Name    Name
	Doc     string
	ID      Name // column that identifies an event; "" for none
	Columns []KindColumn
}

// KindColumn is a column of a KindSpec.
type KindColumn struct {
	Name     Name
	Type     string // as written
	Unit     string
	Words    []Name
	Nullable bool
	Doc      string
	kind     market.Type
}

// kindKeys are the keys of the definition of a kind, in the order in which they are laid out.
var kindKeys = []string{"kind", "doc", "id", "columns"}

var columnKeys = []string{"type", "unit", "words", "nullable", "doc"}

// columnTypes are the types that a column of a kind may have, by their words.
var columnTypes = []struct {
	word string
	kind market.Type
}{
	{"decimal", market.TypeDec}, {"int", market.TypeInt}, {"float", market.TypeFloat}, {"text", market.TypeText},
	{"bool", market.TypeBool}, {"enum", market.TypeEnum}, {"time", market.TypeTime}, {"duration", market.TypeDur},
}

// takenColumns are names that a column of a kind may not have: every event has them, canonical files and
// processed tables give them a meaning, or a point follows them.
var takenColumns = []string{
	"kind", "feed", "exchange", "market", "symbol", "base", "quote", "ts", "event_ts", "ingest_ts", "seq", "shard",
	"epoch", "flags", "raw_bytes", "event_id", "src", "inst", "prints", "bids", "asks", "book", "clock", "late",
}

// isKind tells the definition of a kind from a view.
func isKind(root *yaml.Node) bool {
	return mapValue(root, "kind") != nil && mapValue(root, "view") == nil
}

// kind reads the definition of a kind.
func (p *fileParser) kind(root *yaml.Node) {
	k := &KindSpec{}
	p.spec.Kind = k
	p.entries(root, "a kind", kindKeys, func(key string, n, v *yaml.Node) {
		p.spec.Places[key] = p.pos(n)
		switch key {
		case "kind":
			k.Name = p.ident(v, "kind name")
		case "doc":
			k.Doc, _ = p.scalar(v, "doc")
		case "id":
			k.ID = p.ident(v, "id")
		case "columns":
			p.columns(v, k)
		}
	})
	if _, given := p.spec.Places["columns"]; !given {
		p.problem(p.pos(root), "want columns: with name: type", `key "columns" is missing`)
		return
	}
	p.kindID(k)
}

// kindID checks the column that identifies an event.
func (p *fileParser) kindID(k *KindSpec) {
	if k.ID.Text == "" {
		return
	}
	var texts []string
	for _, c := range k.Columns {
		if c.kind == market.TypeText {
			texts = append(texts, c.Name.Text)
		}
	}
	if slices.Contains(texts, k.ID.Text) {
		return
	}
	for _, c := range k.Columns {
		if c.Name.Text == k.ID.Text {
			p.problem(k.ID.Pos, "want a column of type text, or no id", "id %q is of type %s", k.ID.Text, c.Type)
			return
		}
	}
	remedy := "want a column of type text, or no id"
	if len(texts) > 0 {
		remedy = wantName(k.ID.Text, texts)
	}
	p.problem(k.ID.Pos, remedy, "id %q is no column", k.ID.Text)
}

// columns reads name: type, or name: {type: …, unit: …}.
func (p *fileParser) columns(n *yaml.Node, k *KindSpec) {
	p.named(n, "columns", func(name Name, v *yaml.Node) {
		c := KindColumn{Name: name}
		if v.Kind == yaml.ScalarNode {
			if p.columnType(v, &c); c.kind == market.TypeEnum {
				p.problem(name.Pos, "want {type: enum, words: [a, b]}", "column %s is an enum without words", name.Text)
			}
		} else {
			p.column(v, &c)
		}
		switch {
		case contains(takenColumns, name.Text) || strings.HasPrefix(name.Text, "window_"):
			p.problem(name.Pos, "want another name", "column %q has the name of a column that every event or row has", name.Text)
		case len(k.Columns) == market.MaxColumns:
			p.problem(name.Pos, fmt.Sprintf("want at most %d", market.MaxColumns), "a kind with more than %d columns", market.MaxColumns)
		}
		k.Columns = append(k.Columns, c)
	})
}

func (p *fileParser) column(n *yaml.Node, c *KindColumn) {
	what := "column " + c.Name.Text
	var unit, words *yaml.Node
	p.entries(n, what, columnKeys, func(key string, _, v *yaml.Node) {
		switch key {
		case "type":
			p.columnType(v, c)
		case "unit":
			unit = v
		case "words":
			words = v
			c.Words = p.names(v, "words")
		case "nullable":
			c.Nullable = p.choice(v, "nullable", "true", "false") == "true"
		case "doc":
			c.Doc, _ = p.scalar(v, "doc")
		}
	})
	if c.Type == "" && mapValue(n, "type") == nil && n.Kind == yaml.MappingNode {
		p.problem(c.Name.Pos, "want type: "+columnWords(), "%s has no type", what)
	}
	if unit != nil {
		p.columnUnit(unit, c)
	}
	switch {
	case c.kind == market.TypeEnum && words == nil:
		p.problem(c.Name.Pos, "want words: [a, b]", "%s is an enum without words", what)
	case words != nil && c.kind != market.TypeEnum && c.kind != 0:
		p.problem(p.pos(words), "want no words, or type: enum", "words of %s, which is of type %s", what, c.Type)
	}
}

func columnWords() string {
	words := make([]string, len(columnTypes))
	for i, t := range columnTypes {
		words[i] = t.word
	}
	return strings.Join(words, " or ")
}

func (p *fileParser) columnType(n *yaml.Node, c *KindColumn) {
	text, ok := p.scalar(n, "type")
	if !ok {
		return
	}
	for _, t := range columnTypes {
		if t.word == text {
			c.Type, c.kind = text, t.kind
		}
	}
	if c.kind == 0 {
		p.problem(p.pos(n), "want "+columnWords(), "type of column %s is %q", c.Name.Text, text)
		c.Type = text
	}
}

// columnUnit reads the unit of a number: names with * / and powers, such as celsius,
// quote/base or kg*m^2.
func (p *fileParser) columnUnit(n *yaml.Node, c *KindColumn) {
	text, ok := p.scalar(n, "unit")
	if !ok {
		return
	}
	switch u, sound := readUnit(text); {
	case !sound:
		p.problem(p.pos(n), "want names with * / and ^, such as celsius, quote/base or m/s^2", "unit of column %s is %q", c.Name.Text, text)
	case c.kind != market.TypeDec && c.kind != market.TypeInt && c.kind != market.TypeFloat && c.kind != 0:
		p.problem(p.pos(n), "want no unit", "unit of column %s, which is of type %s", c.Name.Text, c.Type)
	default:
		c.Unit = u.String()
	}
}

// definition is the kind as the rest of the program knows it.
func (k *KindSpec) definition() market.Definition {
	d := market.Definition{Name: k.Name.Text, Doc: strings.TrimSpace(k.Doc), ID: -1}
	for i, c := range k.Columns {
		f := market.Field{Name: c.Name.Text, Type: c.kind, Nullable: c.Nullable, Unit: c.Unit, Doc: strings.TrimSpace(c.Doc)}
		for _, w := range c.Words {
			f.Words = append(f.Words, w.Text)
		}
		if c.Name.Text == k.ID.Text {
			d.ID = i
		}
		d.Fields = append(d.Fields, f)
	}
	return d
}

// kindTable takes the definitions of kinds out of the specs.
func (c *checker) kindTable(defs []*Spec) {
	at := map[string]Pos{}
	var list []market.Definition
	for _, s := range defs {
		name := s.Kind.Name
		_, builtin := market.ParseKind(name.Text)
		first, twice := at[name.Text]
		switch {
		case s.broken || name.Text == "":
			c.broken = true
			continue
		case builtin:
			c.problem(name.Pos, "want another name", "kind %q is a kind of the program", name.Text)
		case twice:
			c.problem(name.Pos, fmt.Sprintf("want another name; the other is at %s", first), "kind %s defined twice", name.Text)
		case len(list) == market.MaxDefined:
			c.problem(name.Pos, fmt.Sprintf("want at most %d in one run", market.MaxDefined), "%d kinds are defined", len(defs))
		default:
			list = append(list, s.Kind.definition())
		}
		if !twice {
			at[name.Text] = name.Pos
		}
	}
	if len(list) == 0 {
		return
	}
	kinds, err := market.NewKinds(list)
	if err != nil {
		panic("BUG: kinds were checked: " + err.Error())
	}
	c.kinds = kinds
}

// kindText is what a fingerprint says of a kind: for those of the release the major version
// of its schemas, for others the whole definition, which no release fixes.
func (c *checker) kindText(k market.Kind) string {
	if d := c.kinds.Definition(k); d != nil {
		return "defined " + d.String()
	}
	return fmt.Sprintf("%s %d", k, schemaMajor)
}

// kindColumns are the input columns of a kind: envelope, numbers, the rest.
func (c *checker) kindColumns(k market.Kind) []Column {
	cols := append([]Column(nil), envelope...)
	var rest []Column
	own := c.kinds.Definition(k) != nil
	for _, f := range c.kinds.Fields(k) {
		t := fieldType(f)
		if own {
			t.Unit = f.Unit
			if t.Kind == TID {
				t.Kind = TText
			}
		}
		if t.Kind == TDec {
			cols = append(cols, Column{Name: f.Name, Type: t})
		} else {
			rest = append(rest, Column{Name: f.Name, Type: t})
		}
	}
	return append(append(cols, rest...), envelopeTail...)
}

// kindKey writes a key of the definition of a kind.
func (w *specWriter) kindKey(key string) {
	s, k := w.spec, w.spec.Kind
	pos, given := s.Places[key]
	if !given {
		return
	}
	switch key {
	case "kind":
		w.line(key, "", pos, "kind: %s", k.Name.Text)
	case "doc":
		w.line(key, "", pos, "doc: %s", docText(k.Doc))
	case "id":
		w.line(key, "", pos, "id: %s", k.ID.Text)
	case "columns":
		w.line(key, "", pos, "columns:")
		for _, c := range k.Columns {
			w.line(key, c.Name.Text, c.Name.Pos, "  %s: %s", c.Name.Text, c.text())
		}
	}
}

func (c *KindColumn) text() string {
	if c.Unit == "" && len(c.Words) == 0 && !c.Nullable && c.Doc == "" {
		return c.Type
	}
	var f flow
	f.add("type", c.Type)
	f.add("unit", c.Unit)
	if len(c.Words) > 0 {
		f.add("words", nameList(c.Words))
	}
	if c.Nullable {
		f.add("nullable", "true")
	}
	if c.Doc != "" {
		f.add("doc", scalarText(strings.TrimSpace(c.Doc), true))
	}
	return f.String()
}
