package describe

import (
	"fmt"
	"strings"

	"github.com/pinova-group/tidemark/internal/term"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/wire"
)

// Kind is the page of a user-defined kind.
type Kind struct {
	Name    string       `json:"kind"`
	Doc     string       `json:"doc"`
	ID      string       `json:"id,omitempty"`
	Columns []KindColumn `json:"columns"`
}

// KindColumn is one column of a kind.
type KindColumn struct {
	Name     string   `json:"name"`
	Type     string   `json:"type"`
	Unit     string   `json:"unit,omitempty"`
	Words    []string `json:"words,omitempty"`
	Nullable bool     `json:"nullable,omitempty"`
	Doc      string   `json:"doc,omitempty"`
	Field    int      `json:"field"` // number in the Protobuf message; a decimal's scale has the next one
}

func kindPage(d *market.Definition) *Kind {
	k := &Kind{Name: d.Name, Doc: d.Doc}
	if d.ID >= 0 {
		k.ID = d.Fields[d.ID].Name
	}
	for i, f := range d.Fields {
		k.Columns = append(k.Columns, KindColumn{f.Name, f.Type.String(), f.Unit, f.Words, f.Nullable, f.Doc, wire.FieldNumber(i)})
	}
	return k
}

// Text prints the page for people.
func (k *Kind) Text(st term.Style) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  kind of events\n", st.Bold(k.Name))
	if k.Doc != "" {
		fmt.Fprintf(&b, "%s\n", k.Doc)
	}
	id := k.ID
	if id == "" {
		id = "seq where it is given, else the whole row"
	}
	fmt.Fprintf(&b, "\n  %-12s %s\n\n", "identity", id)
	var rows [][]string
	for _, c := range k.Columns {
		typ := c.Type
		if len(c.Words) > 0 {
			typ += " (" + strings.Join(c.Words, ", ") + ")"
		}
		if c.Nullable {
			typ += " or null"
		}
		rows = append(rows, []string{c.Name, typ, c.Unit, fmt.Sprint(c.Field), c.Doc})
	}
	b.WriteString(st.Table([]term.Column{{Head: "column"}, {Head: "type"}, {Head: "unit"}, {Head: "field", Right: true}, {Head: "what"}}, rows))
	return b.String()
}
