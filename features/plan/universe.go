package plan

import (
	"fmt"
	"slices"

	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/features/op"
	"github.com/pinova-group/tidemark/market"
)

// ListingAge is how long an instrument event counts, µs.
const ListingAge = lang.ListingAge

// Universe tells which instruments a listed universe takes: those that pass every where
// along the input that reads the instrument alone.
type Universe struct {
	Prog   *op.Prog
	Inputs []Input
	Where  []int // registers
}

var facets = map[string]Source{"exchange": Exchange, "market": VenueType, "symbol": Symbol, "base": Base, "quote": Quote}

// Facet is the source of a column of the instrument.
func Facet(name string) Source { return facets[name] }

func (l *lowering) universe() error {
	v := l.v
	v.Kinds |= kindSet(market.KindInstrument)
	v.Listing = ListingAge
	u := &Universe{}
	c := newCoder()
	inputs := map[string]value{}
	for lv := v.Lang; lv != nil; lv = lv.Parent {
		if lv.Where == nil || !ofInstrument(lv, lv.Where) {
			continue
		}
		c.resolve = func(n *lang.Node) (value, error) {
			col := lv.Columns[n.Index]
			in := Input{Ref: Ref{Source: facets[col.Name], Name: col.Name, Words: col.Type.Words}}
			in.Kind = envelopeKind(in.Ref.Source, col.Type)
			key := fmt.Sprint(col.Name, in.Kind)
			if x, ok := inputs[key]; ok {
				return x, nil
			}
			in.Reg = c.reg()
			u.Inputs = append(u.Inputs, in)
			inputs[key] = value{in.Reg, in.Kind}
			return inputs[key], nil
		}
		x, err := c.expr(lv.Where)
		if err == nil {
			x, err = c.convert(x, op.KBool)
		}
		if err != nil {
			return err
		}
		u.Where = append(u.Where, x.reg)
	}
	u.Prog = c.done(u.Where)
	for i := range u.Inputs {
		u.Inputs[i].Reg = c.at(u.Inputs[i].Reg)
	}
	for i := range u.Where {
		u.Where[i] = c.at(u.Where[i])
	}
	v.Cross.Universe = u
	return nil
}

// ofInstrument tells a condition that reads columns of the instrument alone.
func ofInstrument(lv *lang.View, n *lang.Node) bool {
	if n.Op == lang.NColumn {
		name := lv.Columns[n.Index].Name
		if facets[name] == Payload {
			return false
		}
		if p := lv.Parent; p != nil && slices.ContainsFunc(p.Features, func(f *lang.Feature) bool { return f.Name == name }) {
			return false
		}
	}
	for _, a := range n.Args {
		if !ofInstrument(lv, a) {
			return false
		}
	}
	return true
}

// LookbackOf is how far back a row depends on events of a kind.
func (v *View) LookbackOf(k market.Kind) int64 {
	if k == market.KindInstrument {
		return max(v.Lookback, v.Listing)
	}
	if v.Back != nil {
		return v.Back[k]
	}
	return v.Lookback
}
