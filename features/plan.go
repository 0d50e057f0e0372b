package features

import (
	"math"
	"slices"
	"unsafe"

	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/features/plan"
	"github.com/pinova-group/tidemark/market"
)

// Plan is a compiled set of views. It is immutable and shared by its tasks.
type Plan struct {
	views    []*plan.View // hidden ones behind the outputs
	order    []int        // of evaluation
	outputs  []Output
	inputs   []Input
	book     []lang.BookColumn // worked out from the book, for all views
	feeds    *market.Feeds
	kinds    *market.Kinds
	families [][]int // bar views whose rows are folded once
	plain    bool    // fold everything row by row: the twin that kernels are tested against
}

// Compile reads and checks spec files and plans the views in them and those that they
// refer to. Its error is a lang.Problems with everything that is wrong.
func Compile(src []Source, opt Options) (*Plan, error) {
	var specs []*lang.Spec
	var problems lang.Problems
	for _, s := range src {
		spec, ps := lang.Parse(s.Name, s.Text)
		specs, problems = append(specs, spec), append(problems, ps...)
	}
	known := func(name string, _ int) (*lang.Spec, bool) {
		if opt.Find == nil {
			return nil, false
		}
		text, ok := opt.Find(name)
		if !ok {
			return nil, false
		}
		spec, ps := lang.Parse(name+".yaml", text)
		problems = append(problems, ps...)
		return spec, spec != nil
	}
	set, ps := lang.Check(specs, lang.CheckOptions{Set: opt.Params, Known: known})
	if problems = append(problems, ps...); len(problems) > 0 {
		problems.Sort()
		return nil, problems
	}
	return CompileSet(set, opt)
}

// CompileSet plans views that have been checked.
func CompileSet(set *lang.Set, opt Options) (*Plan, error) {
	built, err := plan.Build(set)
	if err != nil {
		return nil, err
	}
	if !opt.alone {
		built.Share()
	}
	p := &Plan{views: built.Views, order: built.Order, book: built.Book, families: built.Families, feeds: opt.Feeds, kinds: set.Kinds}
	if p.feeds == nil {
		p.feeds = market.NewFeeds()
	}
	for _, v := range p.views {
		if !v.Hidden {
			o := output(v)
			o.After = p.after(v)
			p.outputs = append(p.outputs, o)
		}
		p.addInput(v)
	}
	slices.SortFunc(p.inputs, func(a, b Input) int { return int(a.Kind) - int(b.Kind) })
	return p, nil
}

func output(v *plan.View) Output {
	o := Output{Name: v.Lang.Name, Version: v.Lang.Version, Doc: v.Lang.Doc, Fingerprint: v.Lang.Fingerprint,
		Entity: v.Lang.By, Lookback: v.Lookback, Reach: v.Reach, StateBytesPerKey: stateBytes(v)}
	for i, f := range v.Lang.Features {
		d := &v.Outs[i]
		o.Fields = append(o.Fields, Field{Name: f.Name, Type: FieldType(d.As), Scale: d.Scale})
	}
	for _, a := range v.Lang.Alerts {
		o.Alerts = append(o.Alerts, AlertDef{Name: a.Name, Severity: a.Severity, To: a.To, Text: a.Text})
	}
	return o
}

// after is how much later than the newest event a row can be: one at each event is not, a window of fixed width ends.
func (p *Plan) after(v *plan.View) int64 {
	after := int64(0)
	switch {
	case v.Shape == plan.Tumbling && v.Zone == nil && !v.Empty && v.Union == nil:
		after = v.Pane - 1
	case v.Shape != plan.RowView || v.Union != nil:
		return math.MaxInt64
	}
	if v.Parent < 0 {
		return after
	}
	parent := p.after(p.views[v.Parent])
	return parent + min(after, math.MaxInt64-parent)
}

// stateBytes bounds the state of one entity: its open pane, what is carried, and of a
// rolling window all panes twice. Sets of distinct and quantile come on top.
func stateBytes(v *plan.View) int {
	words := v.Stride
	switch {
	case v.Shape == plan.Latest:
		return v.Cross.Keep() + slotBytes
	case v.Shape == plan.Rolling:
		words *= 2*int(v.Panes) + 4
	case v.Tail:
		words *= 2
	}
	return 8*(words+v.Held+scanWords(v)) + framesBytes(v) + slotBytes + alertBytes*len(v.Lang.Alerts)
}

// slotBytes is the fixed cost of an entity, alertBytes that of one of its alerts.
const (
	slotBytes  = int(unsafe.Sizeof(slot{}) + unsafe.Sizeof(dueRow{}))
	alertBytes = int(unsafe.Sizeof(alertPhase{}))
)

func (p *Plan) addInput(v *plan.View) {
	for k := range market.Kind(market.NumKinds) {
		if v.Kinds.Has(k) {
			in := p.input(k)
			in.Lookback = max(in.Lookback, v.LookbackOf(k))
			in.Seq = in.Seq || v.Keyed
		}
	}
	if v.Cross != nil && v.Cross.Universe != nil {
		p.input(market.KindInstrument).read("delisted_ts", "listed_ts", "state")
	}
	if v.Parent < 0 && v.Union == nil {
		p.columns(v.Kind, v.Inputs)
	}
	for _, k := range v.Union {
		if k != market.KindNone {
			p.columns(k, columnsOf(v, k))
		}
	}
	for i := range v.Joins {
		if j := &v.Joins[i]; j.Source < 0 {
			p.columns(j.Kind, j.Inputs)
		}
	}
}

// columns enters payload columns that are read of a kind.
func (p *Plan) columns(kind market.Kind, ins []plan.Input) {
	in := p.input(kind)
	var w want
	w.inputs(ins)
	in.EventTS, in.Seq = in.EventTS || w.raw, in.Seq || w.seq
	schema := p.kinds.Fields(kind)
	for _, c := range w.payload {
		if c < len(schema) {
			in.read(schema[c].Name)
		} else {
			in.read(bookNames...)
		}
	}
}

// read enters columns.
func (in *Input) read(names ...string) {
	for _, name := range names {
		if !slices.Contains(in.Columns, name) {
			in.Columns = append(in.Columns, name)
		}
	}
	slices.Sort(in.Columns)
}

// input is the entry of a kind.
func (p *Plan) input(kind market.Kind) *Input {
	k := slices.IndexFunc(p.inputs, func(in Input) bool { return in.Kind == kind })
	if k < 0 {
		k = len(p.inputs)
		p.inputs = append(p.inputs, Input{Kind: kind, Name: p.kinds.Name(kind)})
	}
	return &p.inputs[k]
}

// Outputs lists the views, parents first.
func (p *Plan) Outputs() []Output { return p.outputs }

// Kinds is the table of kinds that the plan was made with: batches and drivers go by it.
func (p *Plan) Kinds() *market.Kinds { return p.kinds }

// Inputs lists the kinds that the plan reads, by kind.
func (p *Plan) Inputs() []Input { return p.inputs }

// Apart are the columns of events, of exchange, market and symbol, of which each value is a history of its own to every
// view: a task takes history after history, as far as a mark, and gives the same rows as when they come by time. Nil when
// some view needs its input in order: one that joins, unites or ranks, follows a clock or a book, or holds single rows.
func (p *Plan) Apart() []string { return p.apart(func(int) bool { return false }) }

// ApartNow is Apart for a task whose input comes by PushApart: views of frames that can put their rows out at once hold none
// of them either.
func (p *Plan) ApartNow() []string {
	t := newTask(p, nil, 0)
	return p.apart(func(i int) bool { return t.views[i].alone && t.views[i].fastFrames() != nil })
}

func (p *Plan) apart(atOnce func(view int) bool) []string {
	if len(p.inputs) != 1 || len(p.book) > 0 {
		return nil
	}
	apart := []string{"exchange", "market", "symbol"}
	for i, v := range p.views {
		if v.Parent >= 0 && v.Union == nil && len(v.Joins) == 0 {
			continue // rows of a view come by time
		}
		if !atOnce(i) && (v.Hold || v.Frames != nil || v.Union != nil || len(v.Joins) > 0 || v.Clock != nil || v.Cross != nil || v.Shape == plan.RowView) {
			return nil
		}
		apart = slices.DeleteFunc(apart, func(name string) bool {
			return !slices.ContainsFunc(v.By, func(r plan.Ref) bool {
				return r.Source == map[string]plan.Source{"exchange": plan.Exchange, "market": plan.VenueType, "symbol": plan.Symbol}[name]
			})
		})
	}
	return apart
}

// NewTask makes empty state that emits rows with row_ts ≥ from; input before only warms
// it up. Instruments resolves the handles of the batches that will be pushed.
func (p *Plan) NewTask(insts *market.Instruments, from int64) *Task { return newTask(p, insts, from) }
