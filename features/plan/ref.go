package plan

import (
	"fmt"
	"slices"

	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/features/op"
	"github.com/pinova-group/tidemark/market"
)

// envelope are the columns that every event has.
var envelope = map[string]Source{
	"ts": EventTime, "event_ts": RawTime, "ingest_ts": IngestTime, "seq": SeqNumber, "feed": FeedName,
	"exchange": Exchange, "market": VenueType, "symbol": Symbol, "base": Base, "quote": Quote,
}

// ref finds a column of the input by name.
func (l *lowering) ref(name string, t lang.Type) (Input, error) {
	if l.v.Parent >= 0 {
		return l.parentRef(name, t)
	}
	for i, f := range l.v.Lang.Kinds.Fields(l.v.Kind) {
		if f.Name == name {
			in := Input{Ref: Ref{Source: Payload, Index: i, Name: name}, Type: f.Type}
			switch f.Type {
			case market.TypeDec, market.TypeInt, market.TypeTime, market.TypeDur, market.TypeEnum:
				in.Kind = op.KExact
			case market.TypeBool:
				in.Kind = op.KBool
			case market.TypeFloat:
				in.Kind = op.KFloat
			case market.TypeText:
				in.Kind = op.KText
			default:
				return in, fmt.Errorf("column %q is a list; only methods of a book read it", name)
			}
			return in, nil
		}
	}
	src, ok := envelope[name]
	if !ok {
		return Input{}, fmt.Errorf("no column %q in %s", name, l.v.Lang.Kinds.Name(l.v.Kind))
	}
	return Input{Ref: Ref{Source: src, Name: name, Words: t.Words}, Kind: envelopeKind(src, t)}, nil
}

func envelopeKind(src Source, t lang.Type) op.Kind {
	switch {
	case src <= SeqNumber, src == VenueType && t.Kind == lang.TEnum:
		return op.KExact
	}
	return op.KText
}

// EntityColumns are the entity columns of the view and those that follow from them: a
// symbol tells base and quote.
func (v *View) EntityColumns() []string { return withDerived(v.Lang.By) }

func withDerived(by []string) []string {
	cols := slices.Clip(by)
	if slices.Contains(cols, "symbol") {
		for _, c := range []string{"base", "quote"} {
			if !slices.Contains(cols, c) {
				cols = append(cols, c)
			}
		}
	}
	return cols
}

func (v *View) hasFeature(name string) bool {
	return slices.ContainsFunc(v.Lang.Features, func(f *lang.Feature) bool { return f.Name == name })
}

// parentRef finds a column of the parent view.
func (l *lowering) parentRef(name string, t lang.Type) (Input, error) {
	p := l.views[l.v.Parent]
	for i, by := range p.EntityColumns() {
		if by == name && (i < len(p.By) || !p.hasFeature(name)) {
			k := op.KText
			if t.Kind == lang.TEnum {
				k = op.KExact
			}
			return Input{Ref: Ref{Source: OfEntity, Index: i, Name: name, Words: t.Words}, Kind: k}, nil
		}
	}
	for i, f := range p.Lang.Features {
		if f.Name == name {
			in := Input{Ref: Ref{Source: Feature, Index: i, Name: name}, Kind: p.Outs[i].Kind}
			if in.Kind == op.KRatio && (l.v.Hold || l.v.Shape == Latest) {
				in.Kind, in.Round = op.KFloat, true
			}
			return in, nil
		}
	}
	switch name {
	case "window_start":
		return Input{Ref: Ref{Source: WindowStart}, Kind: op.KExact}, nil
	case "window_end":
		return Input{Ref: Ref{Source: WindowEnd}, Kind: op.KExact}, nil
	case "row_ts", "ts":
		return Input{Ref: Ref{Source: RowTime}, Kind: op.KExact}, nil
	case "available_at":
		return Input{Ref: Ref{Source: AvailTime}, Kind: op.KExact}, nil
	}
	return Input{}, fmt.Errorf("no column %q in view %s", name, p.Lang.Name)
}
