package market

import (
	"fmt"
	"slices"
	"strings"
)

// Definition is a kind that a user defines: a name, typed columns, and how its events are identified.
type Definition struct {
	Name   string
	Doc    string
	Fields []Field // any type but TypeDecs; at most MaxColumns
	ID     int     // the column of text that identifies an event of a feed and instrument, -1 for none: then seq or the payload does
}

// Bounds of user-defined kinds.
const (
	MaxDefined = NumKinds - firstDefined // kinds in one table
	MaxColumns = 32                      // columns of one kind
)

// Kinds is a table of kinds: those of the release and those that a user defines. It does
// not change once it is made; nil is the release alone.
//
// A defined kind has a number of this table only, by the order of names, so that the total
// order of events depends on names and on nothing that a caller chose. Numbers of defined
// kinds are not stored: what outlives the process names its kinds.
type Kinds struct {
	defined []Definition // by name
}

// NewKinds makes the table of the release's kinds and these. Names must differ from each
// other and from those of the release.
func NewKinds(defined []Definition) (*Kinds, error) {
	t := &Kinds{defined: slices.SortedFunc(slices.Values(defined), func(a, b Definition) int { return strings.Compare(a.Name, b.Name) })}
	if len(t.defined) > MaxDefined {
		return nil, fmt.Errorf("kinds: %d are defined, at most %d have a number", len(defined), MaxDefined)
	}
	for i, d := range t.defined {
		if _, taken := ParseKind(d.Name); taken || i > 0 && t.defined[i-1].Name == d.Name {
			return nil, fmt.Errorf("kinds: name %q is taken", d.Name)
		}
		if len(d.Fields) > MaxColumns || d.ID >= len(d.Fields) {
			return nil, fmt.Errorf("kinds: %s has %d columns, id column %d", d.Name, len(d.Fields), d.ID)
		}
	}
	return t, nil
}

// Defined lists the user-defined kinds, by number.
func (t *Kinds) Defined() []Kind {
	if t == nil {
		return nil
	}
	list := make([]Kind, len(t.defined))
	for i := range list {
		list[i] = firstDefined + Kind(i)
	}
	return list
}

// Definition is what a user said of a kind; nil for kinds of the release.
func (t *Kinds) Definition(k Kind) *Definition {
	if t == nil || k < firstDefined || int(k-firstDefined) >= len(t.defined) {
		return nil
	}
	return &t.defined[k-firstDefined]
}

// Name is the name of a kind in specs and files.
func (t *Kinds) Name(k Kind) string {
	if d := t.Definition(k); d != nil {
		return d.Name
	}
	return k.String()
}

// Parse reads a kind name, like ParseKind.
func (t *Kinds) Parse(name string) (Kind, bool) {
	if t != nil {
		for i := range t.defined {
			if t.defined[i].Name == name {
				return firstDefined + Kind(i), true
			}
		}
	}
	return ParseKind(name)
}

// Fields are the payload columns of a kind, in field-id order; nil for one that the table
// does not have. The caller must not change them.
func (t *Kinds) Fields(k Kind) []Field {
	if d := t.Definition(k); d != nil {
		return d.Fields
	}
	return Schema(k)
}

// NewBatch makes an empty batch of a kind of the table.
func (t *Kinds) NewBatch(k Kind) *Batch { return newBatch(k, t.Fields(k)) }

// String is the definition as one line, the same for equal definitions; doc is left out.
func (d *Definition) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s id %d:", d.Name, d.ID+1)
	for _, f := range d.Fields {
		fmt.Fprintf(&b, " %s %s", f.Name, f.Type)
		if f.Unit != "" {
			fmt.Fprintf(&b, " in %s", f.Unit)
		}
		if len(f.Words) > 0 {
			fmt.Fprintf(&b, " of (%s)", strings.Join(f.Words, " "))
		}
		if f.Nullable {
			b.WriteString(" or null")
		}
		b.WriteByte(';')
	}
	return b.String()
}

var typeNames = [...]string{
	TypeDec: "decimal", TypeInt: "int", TypeTime: "time", TypeDur: "duration", TypeEnum: "enum", TypeBool: "bool",
	TypeText: "text", TypeDecs: "decimals", TypeFloat: "float",
}

// String is the name of the type in the definition of a kind.
func (t Type) String() string {
	if int(t) < len(typeNames) && typeNames[t] != "" {
		return typeNames[t]
	}
	return fmt.Sprintf("type(%d)", uint8(t))
}
