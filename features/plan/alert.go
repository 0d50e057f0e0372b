package plan

import (
	"fmt"
	"slices"

	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/features/op"
)

// Alerts are the alerts of a view. Their conditions are one program of its own, so that
// the one of the features is the same with and without them.
type Alerts struct {
	List  []Alert
	Prog  *op.Prog
	Loads []AlertLoad
}

// Alert is one alert: the registers of its conditions.
type Alert struct {
	Lang        *lang.TypedAlert
	When, Clear int
}

// AlertLoad is one value of the row that the program reads: feature Ref.Index of the
// view, its entity column Ref.Index, or a time of the row.
type AlertLoad struct {
	Ref  Ref
	Kind op.Kind
	Reg  int
}

// alerts writes the program of the view's alerts.
func (v *View) alerts() error {
	if len(v.Lang.Alerts) == 0 {
		return nil
	}
	w := alertWriter{v: v, code: newCoder(), loads: map[string]value{}}
	w.code.resolve = w.load
	var keep []int
	for _, a := range v.Lang.Alerts {
		var regs [2]int
		for i, n := range []*lang.Node{a.When, a.Clear} {
			x, err := w.code.expr(n)
			if err == nil {
				x, err = w.code.convert(x, op.KBool)
			}
			if err != nil {
				return fmt.Errorf("alert %s: %w", a.Name, err)
			}
			regs[i] = x.reg
		}
		keep = append(keep, regs[:]...)
		v.Alerts.List = append(v.Alerts.List, Alert{Lang: a, When: regs[0], Clear: regs[1]})
	}
	v.Alerts.Prog = w.code.done(keep)
	for i := range v.Alerts.List {
		a := &v.Alerts.List[i]
		a.When, a.Clear = w.code.at(a.When), w.code.at(a.Clear)
	}
	for i := range v.Alerts.Loads {
		v.Alerts.Loads[i].Reg = w.code.at(v.Alerts.Loads[i].Reg)
	}
	return nil
}

type alertWriter struct {
	v     *View
	code  *coder
	loads map[string]value
}

// load gives a value of the row its register, once.
func (w *alertWriter) load(n *lang.Node) (value, error) {
	l := AlertLoad{Kind: op.KExact}
	switch n.Op {
	case lang.NFeature:
		l.Ref, l.Kind = Ref{Source: Feature, Index: n.Index}, w.v.Outs[n.Index].Kind
	case lang.NWindowStart:
		l.Ref.Source = WindowStart
	case lang.NWindowEnd:
		l.Ref.Source = WindowEnd
	case lang.NColumn:
		switch i := slices.Index(w.v.Lang.By, n.Fn); {
		case i >= 0:
			l.Ref = Ref{Source: OfEntity, Index: i, Name: n.Fn, Words: n.Type.Words}
			if n.Type.Kind != lang.TEnum {
				l.Kind = op.KText
			}
		case n.Fn == "row_ts":
			l.Ref.Source = RowTime
		case n.Fn == "available_at":
			l.Ref.Source = AvailTime
		default:
			return value{}, fmt.Errorf("no column %q in the row", n.Fn)
		}
	default:
		return value{}, fmt.Errorf("a value that is not of the row")
	}
	key := fmt.Sprint(l.Ref.Source, l.Ref.Index)
	if x, ok := w.loads[key]; ok {
		return x, nil
	}
	x := value{w.code.reg(), l.Kind}
	l.Reg = x.reg
	w.v.Alerts.Loads = append(w.v.Alerts.Loads, l)
	w.loads[key] = x
	return x, nil
}
