package explain

import (
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/num"
	"github.com/pinova-group/tidemark/run"
	"github.com/pinova-group/tidemark/run/rowfile"
)

// Event is one input event.
type Event struct {
	Role    string   `json:"role,omitempty"` // how it went in when it is no row of the view's input: joined as f, …
	Place   string   `json:"place"`          // file:line
	Time    string   `json:"event_ts"`
	ID      string   `json:"id"`
	Age     string   `json:"age,omitempty"` // of what is joined, at the time of the row
	Columns []Column `json:"columns,omitempty"`

	kind        market.Kind
	inst        market.Inst
	ts          int64
	key         market.Key
	avail, hold int64
	gap         bool
	assumed     bool    // no ingest time: the feed's lag was taken
	vals        []value // of Columns
	names       map[string]string
}

// Column is a value that the view reads.
type Column struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// value is a column of the event or a name of its instrument.
func (ev *Event) value(name string) value {
	for i := range ev.Columns {
		if ev.Columns[i].Name == name {
			return ev.vals[i]
		}
	}
	if s, ok := ev.names[name]; ok {
		return s
	}
	return nil
}

// event copies what views may read of a row; book is that after it.
func (e *explainer) event(r *reads, b *market.Batch, i int, book *plainBook) *Event {
	src := market.MakeSrc(b.Feed[i], b.Kind)
	ev := &Event{Time: market.FormatTime(b.EventTS[i]), ID: fmt.Sprintf("%x", b.ID[i]), names: e.envelope(b, i), kind: b.Kind, inst: b.Inst[i], ts: b.TS[i],
		key:   market.Key{TS: b.TS[i], Src: src, Inst: e.insts.Number(b.Inst[i]), Epoch: b.Epoch[i], Seq: b.Seq[i]},
		avail: b.IngestTS[i], gap: b.Flags[i]&market.FlagGap != 0}
	feed := e.feeds.Get(b.Feed[i])
	if ev.hold = feed.Disorder; ev.avail == market.NoTime {
		ev.avail, ev.assumed = b.TS[i]+feed.AssumedLag, true
	}
	schema := b.Fields
	for _, c := range r.columns {
		var v value
		text := ""
		switch c.Name {
		case "ts":
			v, text = whole(b.TS[i]), market.FormatTime(b.TS[i])
		case "event_ts":
			v, text = whole(b.EventTS[i]), ev.Time
		case "ingest_ts":
			if b.IngestTS[i] != market.NoTime {
				v, text = whole(b.IngestTS[i]), market.FormatTime(b.IngestTS[i])
			}
		case "seq":
			text = strconv.FormatUint(b.Seq[i], 10)
			v = new(big.Rat).SetInt(new(big.Int).SetUint64(b.Seq[i]))
		default:
			if c.Book != nil {
				v = book.value(c.Book)
				text = decimalText(v)
				break
			}
			if name, ok := ev.names[c.Name]; ok {
				v, text = name, name
				break
			}
			for k := range schema {
				if schema[k].Name == c.Name {
					v, text = cell(&schema[k], &b.Cols[k], i)
				}
			}
		}
		ev.vals = append(ev.vals, v)
		ev.Columns = append(ev.Columns, Column{c.Name, text})
	}
	return ev
}

// cell is one value of a payload, and its text.
func cell(f *market.Field, c *market.Col, i int) (value, string) {
	if c.IsNull(i) {
		return nil, ""
	}
	switch f.Type {
	case market.TypeDec:
		d := num.Dec{M: c.I64[i], S: c.Scale[i]}
		return exact(d), d.String()
	case market.TypeBool:
		return c.I64[i] != 0, strconv.FormatBool(c.I64[i] != 0)
	case market.TypeEnum:
		return whole(c.I64[i]), f.Words[c.I64[i]]
	case market.TypeTime:
		return whole(c.I64[i]), market.FormatTime(c.I64[i])
	case market.TypeInt, market.TypeDur:
		return whole(c.I64[i]), strconv.FormatInt(c.I64[i], 10)
	case market.TypeFloat:
		return new(big.Rat).SetFloat64(c.F64[i]), strconv.FormatFloat(c.F64[i], 'g', -1, 64)
	case market.TypeText:
		s := string(c.Text(i))
		return s, s
	}
	return unknown{}, ""
}

// engineRow is the row as the engine gave it.
type engineRow struct {
	entity                   []string
	twins                    int // rows before it that only their place tells from it
	of                       int // rows of the entity at this instant
	start, end, rowTS, avail int64
	flags                    uint8
	vals                     []storedValue
}

// storedValue is a value as it is stored: text as a result file has it, and exact where
// it is no float64.
type storedValue struct {
	text string
	v    value
}

func stored(f *features.Field, c *features.OutCol, i int) storedValue {
	if c.IsNull(i) {
		return storedValue{}
	}
	switch f.Type {
	case features.FieldF64:
		return storedValue{string(rowfile.AppendFloat(nil, c.F64[i])), c.F64[i]}
	case features.FieldI64:
		return storedValue{strconv.FormatInt(c.I64[i], 10), whole(c.I64[i])}
	case features.FieldBool:
		return storedValue{strconv.FormatBool(c.I64[i] != 0), c.I64[i] != 0}
	case features.FieldText:
		s := string(c.Bytes[c.Off[i]:c.Off[i+1]])
		return storedValue{s, s}
	}
	m := new(big.Int).Lsh(big.NewInt(c.Hi[i]), 64)
	m.Or(m, new(big.Int).SetUint64(c.Lo[i]))
	r := new(big.Rat).SetFrac(m, pow10(int(f.Scale)))
	return storedValue{r.FloatString(int(f.Scale)), r}
}

// The verdicts on a value that was worked out again.
const (
	Equal     = "equal"
	Different = "different"
	Unchecked = "not checked"
)

// agree compares a value worked out again with the stored one, bit for bit but for
// quantiles, which are allowed their declared error.
func agree(f *features.Field, s storedValue, v value, flags uint8) string {
	verdict := func(ok bool) string {
		if ok {
			return Equal
		}
		return Different
	}
	switch x := v.(type) {
	case unknown:
		return Unchecked
	case nil:
		return verdict(s.v == nil)
	case near:
		g, ok := s.v.(float64)
		if ok && math.Abs(g-x.f) <= x.tol*math.Abs(x.f)*(1+1e-9) {
			return "within " + strconv.FormatFloat(x.tol*100, 'g', -1, 64) + " %"
		}
		return Different
	case bool:
		return verdict(s.v == x)
	case string:
		return verdict(s.v == x)
	}
	if s.v == nil && flags&features.FlagOverflow != 0 {
		return Unchecked
	}
	if f.Type == features.FieldF64 {
		g, ok := s.v.(float64)
		return verdict(ok && math.Float64bits(g) == math.Float64bits(float(v)+0))
	}
	have, ok := s.v.(*big.Rat)
	want, exactly := v.(*big.Rat)
	if exactly && f.Type == features.FieldDecimal {
		want = roundEven(want, int(f.Scale))
	}
	return verdict(ok && exactly && have.Cmp(want) == 0)
}

// show prints a value for people: a decimal exactly where it ends, else rounded.
func show(v value, t lang.Type) string {
	switch x := v.(type) {
	case nil:
		return "null"
	case bool:
		return strconv.FormatBool(x)
	case string:
		return x
	case unknown:
		return "?"
	case *big.Rat:
		switch {
		case t.Kind == lang.TTime && x.IsInt():
			return market.FormatTime(x.Num().Int64())
		case t.Kind == lang.TDur && x.IsInt():
			return run.FormatDuration(x.Num().Int64())
		case t.Kind == lang.TEnum && x.IsInt() && x.Num().IsInt64() && int(x.Num().Int64()) < len(t.Words) && x.Sign() >= 0:
			return t.Words[x.Num().Int64()]
		}
		if n, ends := x.FloatPrec(); ends && n <= 36 {
			return x.FloatString(n)
		}
	}
	return string(rowfile.AppendFloat(nil, float(v)))
}

func span(us int64) string { return run.FormatDuration(us) }

// ago is a duration for people: 1.583266s.
func ago(us int64) string { return (time.Duration(us) * time.Microsecond).String() }

var infix = map[lang.NodeOp]string{
	lang.NAnd: " and ", lang.NOr: " or ", lang.NEq: " == ", lang.NNe: " != ", lang.NLt: " < ", lang.NLe: " <= ",
	lang.NGt: " > ", lang.NGe: " >= ", lang.NAdd: " + ", lang.NSub: " - ", lang.NMul: " * ", lang.NDiv: " / ", lang.NMod: " % ",
}

// formula prints an expression; name gives the text of what is not to be taken apart.
func formula(n *lang.Node, name func(*lang.Node) (string, bool), top bool) string {
	if s, ok := name(n); ok {
		return s
	}
	var args []string
	for _, a := range n.Args {
		args = append(args, formula(a, name, n.Op == lang.NCall || n.Op == lang.NScan || n.Op == lang.NRank || n.Op == lang.NIf))
	}
	s := ""
	switch o, ok := infix[n.Op]; {
	case ok:
		s = strings.Join(args, o)
	case n.Op == lang.NNeg:
		return "-" + args[0]
	case n.Op == lang.NNot:
		s = "not " + args[0]
	case n.Op == lang.NIsNull && n.Not:
		s = args[0] + " is not null"
	case n.Op == lang.NIsNull:
		s = args[0] + " is null"
	case n.Op == lang.NIn:
		s = args[0] + " in (" + strings.Join(args[1:], ", ") + ")"
	case n.Op == lang.NIf:
		return "if(" + strings.Join(args, ", ") + ")"
	case n.Op == lang.NRank:
		return "rank(" + args[0] + ")"
	case n.Op == lang.NScan:
		return scanText(n, args)
	default:
		return n.Fn + "(" + strings.Join(args, ", ") + ")"
	}
	if top {
		return s
	}
	return "(" + s + ")"
}

// scanText prints a scan with its constants as one writes them.
func scanText(n *lang.Node, args []string) string {
	switch n.Fn {
	case "prev":
		if args[1] == "1" {
			args = slices.Delete(args, 1, 2)
		}
		args[len(args)-1] = "within=" + args[len(args)-1]
	case "since":
		args[1] = "within=" + args[1]
	case "ewm", "decay_sum":
		args[1] = "halflife=" + args[1]
	}
	return n.Fn + "(" + strings.Join(args, ", ") + ")"
}
