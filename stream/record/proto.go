package record

import (
	"fmt"
	"strings"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/wire"
	"github.com/pinova-group/tidemark/parity"
)

// viewRoot is the package that those of views are in.
const viewRoot = "tidemark.view"

func viewPackage(view string, version int) string {
	return fmt.Sprintf("%s.%s.v%d", viewRoot, view, version)
}

func eventPackage(kinds *market.Kinds, k market.Kind) string {
	if d := kinds.Definition(k); d != nil {
		return "tidemark.kind." + d.Name + ".v1"
	}
	return "tidemark.v1"
}

func eventMessage(kinds *market.Kinds, k market.Kind) string {
	if kinds.Definition(k) != nil {
		return "Event"
	}
	return camel(k.String())
}

// camel is a name as Protobuf has those of messages.
func camel(s string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(s, "_") {
		if part != "" {
			b.WriteString(strings.ToUpper(part[:1]) + part[1:])
		}
	}
	return b.String()
}

// envelopeText is the message of proto/tidemark/v1/envelope.proto. It is within the message
// that has it, so that the files of several kinds can be used in one program.
const envelopeText = `  // What every event carries. Times are microseconds since the Unix epoch, UTC.
  message Envelope {
    string feed = 1;      // provider and line, such as binance-usdm
    string exchange = 2;  // such as binance
    string market = 3;    // spot, perp, future, option or index
    string symbol = 4;    // canonical: BASE-QUOTE, BASE-QUOTE-YYMMDD
    sfixed64 event_ts = 5;            // the venue's time of the event
    optional sfixed64 ingest_ts = 6;  // when the collector had it; absent in bulk history
    optional sfixed64 ts = 7;         // effective time, place in the total order; absent when it is event_ts
    bytes event_id = 8;     // identity, 16 bytes; absent when all zero
    uint64 seq = 9;         // number along the chain of the instrument, part of the total order
    bool has_seq = 10;      // seq is the venue's own number
    uint32 epoch = 11;      // counts the resets of the venue's numbers
    uint32 shard = 12;      // line of the feed that carried the record; lateness is judged within it
    uint32 flags = 13;      // 1 late, 2 ts was raised, 4 a time is assumed, 8 events are missing before this one
    uint32 raw_bytes = 14;  // size of the payload that the event came in, counted at its first event
  }
`

// ProtoOfKind is the .proto file of a kind's events: its one message has all that it needs
// within. A decimal is a mantissa and its number of digits after the point, with the name
// and _scale. The text is what is registered.
func ProtoOfKind(kinds *market.Kinds, k market.Kind) string {
	m := newMessage(envelopeText, "Envelope")
	m.field("Envelope", "envelope", 1, "")
	for i, f := range kinds.Fields(k) {
		typ, label := eventType(f.Type), ""
		if f.Nullable {
			label = "optional "
		}
		if f.Type == market.TypeDecs {
			label = "repeated "
		}
		if f.Type == market.TypeEnum {
			typ = m.enum(f)
		}
		m.field(label+typ, f.Name, wire.FieldNumber(i), f.Doc)
		if f.Type == market.TypeDec || f.Type == market.TypeDecs {
			m.field("uint32", f.Name+"_scale", wire.FieldNumber(i)+1, "")
		}
	}
	doc := fmt.Sprintf("An event of kind %s.", kinds.Name(k))
	if d := kinds.Definition(k); d != nil && d.Doc != "" {
		doc += " " + d.Doc
	}
	return m.file(doc, eventPackage(kinds, k), eventMessage(kinds, k))
}

func eventType(t market.Type) string {
	switch t {
	case market.TypeDec, market.TypeDecs:
		return "sint64"
	case market.TypeTime:
		return "sfixed64"
	case market.TypeBool:
		return "bool"
	case market.TypeText:
		return "string"
	case market.TypeFloat:
		return "double"
	}
	return "int64"
}

// ProtoOfView is the .proto file of a view's rows. The text is what is registered.
func ProtoOfView(out *features.Output) string {
	m := newMessage("")
	m.field("sfixed64", "window_start", parity.NumStart, "")
	m.field("sfixed64", "window_end", parity.NumEnd, "")
	m.field("sfixed64", "row_ts", parity.NumRowTS, "last instant that belongs to the row")
	m.field("sfixed64", "available_at", parity.NumAvail, "when the row could first be known")
	var flags []string
	for i, name := range features.FlagNames(nil, 0xff) {
		flags = append(flags, fmt.Sprintf("%d %s", 1<<i, name))
	}
	m.field("uint32", "flags", parity.NumFlags, strings.Join(flags, ", "))
	for i, name := range out.Entity {
		m.field("string", name, parity.NumEntity+i, "")
	}
	for i := range out.Fields {
		f := &out.Fields[i]
		typ, doc := "string", f.Doc
		switch f.Type {
		case features.FieldF64:
			typ = "double"
		case features.FieldI64:
			typ = "sint64"
		case features.FieldBool:
			typ = "bool"
		case features.FieldDecimal:
			doc = strings.TrimSpace(fmt.Sprintf("decimal, %d digits after the point. %s", f.Scale, doc))
		}
		m.field("optional "+typ, f.Name, parity.NumFeature+i, doc)
	}
	doc := fmt.Sprintf("A row of %s, version %d. Times are microseconds since the Unix epoch, UTC.", out.Name, out.Version)
	if out.Doc != "" {
		doc += "\n" + out.Doc
	}
	return m.file(doc, viewPackage(out.Name, out.Version), "Row")
}

// message is a message that is being written.
type message struct {
	taken         map[string]bool // names in its scope, and as JSON those of fields
	inner, fields strings.Builder
}

func newMessage(inner string, taken ...string) *message {
	m := &message{taken: map[string]bool{}}
	m.inner.WriteString(inner)
	for _, name := range taken {
		m.taken[name] = true
	}
	return m
}

// name is a name in the message's scope; one that is taken gets _2, _3 …
func (m *message) name(s string) string {
	name := s
	for n := 2; m.taken[name]; n++ {
		name = fmt.Sprintf("%s_%d", s, n)
	}
	m.taken[name] = true
	return name
}

// fieldName is the name of a field. Protobuf refuses two that differ in _ alone, because
// JSON drops it.
func (m *message) fieldName(s string) string {
	name := s
	js := func() string { return "json " + strings.ToLower(strings.ReplaceAll(name, "_", "")) }
	for n := 2; m.taken[name] || m.taken[js()]; n++ {
		name = fmt.Sprintf("%s_%d", s, n)
	}
	m.taken[name], m.taken[js()] = true, true
	return name
}

func (m *message) field(typ, name string, num int, doc string) {
	fmt.Fprintf(&m.fields, "  %s %s = %d;", typ, m.fieldName(name), num)
	if doc = strings.Join(strings.Fields(doc), " "); doc != "" {
		m.fields.WriteString("  // " + doc)
	}
	m.fields.WriteByte('\n')
}

// enum writes the type of an enum's words and returns its name.
func (m *message) enum(f market.Field) string {
	typ := m.name(camel(f.Name))
	fmt.Fprintf(&m.inner, "  enum %s {\n", typ)
	for code, word := range f.Words {
		value := strings.Map(func(r rune) rune {
			switch {
			case r >= 'a' && r <= 'z':
				return r - 'a' + 'A'
			case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
				return r
			}
			return '_'
		}, f.Name+"_"+word)
		fmt.Fprintf(&m.inner, "    %s = %d;\n", m.name(value), code)
	}
	m.inner.WriteString("  }\n")
	return typ
}

func (m *message) file(doc, pkg, name string) string {
	var b strings.Builder
	for line := range strings.SplitSeq(strings.TrimSpace(doc), "\n") {
		b.WriteString(strings.TrimRight("// "+strings.TrimSpace(line), " ") + "\n")
	}
	fmt.Fprintf(&b, "syntax = \"proto3\";\n\npackage %s;\n\nmessage %s {\n", pkg, name)
	b.WriteString(m.inner.String())
	b.WriteString(m.fields.String())
	b.WriteString("}\n")
	return b.String()
}
