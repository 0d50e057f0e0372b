package run

import (
	"fmt"
	"strings"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/market"
)

// selection is the part of the input that the views shall see. It is applied behind the
// sequencer: verdicts are those of the whole input, whatever part of it is looked at.
type selection struct {
	active   bool
	from     [market.NumKinds]int64 // with the lookback of the views that read the kind
	to       int64
	symbols  []string
	insts    *market.Instruments
	verdicts []int8 // by instrument handle: 0 not asked yet, 1 in, -1 out
	counts   map[market.FeedID]*outside
	keep     market.Chunk
}

// outside counts the events of a feed that were left out, by what they else would be.
type outside struct{ applied, late int64 }

func newSelection(c *Config, p *features.Plan, insts *market.Instruments) *selection {
	s := &selection{to: c.To, insts: insts, counts: map[market.FeedID]*outside{}}
	s.active = c.From != market.NoTime || c.To != market.NoTime || len(c.Symbols) > 0
	for k := range s.from {
		s.from[k] = c.From
	}
	if c.From != market.NoTime {
		for _, in := range p.Inputs() {
			s.from[in.Kind] = c.From - in.Lookback
		}
	}
	for _, n := range c.Symbols {
		s.symbols = append(s.symbols, strings.ToUpper(n))
	}
	return s
}

// has reports whether a row is wanted.
func (s *selection) has(b *market.Batch, i int) bool {
	t := b.TS[i]
	return t >= s.from[b.Kind] && (s.to == market.NoTime || t < s.to) && (len(s.symbols) == 0 || s.symbol(b.Inst[i]))
}

func (s *selection) symbol(inst market.Inst) bool {
	for int(inst) >= len(s.verdicts) {
		s.verdicts = append(s.verdicts, 0)
	}
	if s.verdicts[inst] == 0 {
		s.verdicts[inst] = -1
		name := s.insts.Get(inst).Symbol
		for _, w := range s.symbols {
			if matches(name, w) {
				s.verdicts[inst] = 1
			}
		}
	}
	return s.verdicts[inst] > 0
}

func matches(symbol, wanted string) bool {
	return strings.EqualFold(symbol, wanted) || symbol == market.CleanSymbol(wanted)
}

// mark keeps a mark from passing the end of the range: what lies behind it was left out,
// so no window that reaches behind it is complete.
func (s *selection) mark(m int64) int64 {
	if s.to == market.NoTime {
		return m
	}
	return min(m, s.to)
}

// countLate counts the late rows that lie outside.
func (s *selection) countLate(b *market.Batch) {
	for i := range b.N {
		if s.active && !s.has(b, i) {
			s.count(b, i, true)
		}
	}
}

// apply returns the wanted rows of a batch and counts the others; the result is valid
// until the next call for the kind.
func (s *selection) apply(b *market.Batch) *market.Batch {
	if !s.active {
		return b
	}
	kept := s.keep.BatchOf(b.Kind, b.Fields)
	kept.Reset()
	for lo := 0; lo < b.N; {
		if !s.has(b, lo) {
			s.count(b, lo, b.Flags[lo]&market.FlagLate != 0) // rows of a lake may be late
			lo++
			continue
		}
		hi := lo + 1
		for hi < b.N && s.has(b, hi) {
			hi++
		}
		kept.AppendRows(b, lo, hi)
		lo = hi
	}
	return kept
}

func (s *selection) count(b *market.Batch, i int, late bool) {
	if MadeBySequencer(b, i) {
		return
	}
	o := s.counts[b.Feed[i]]
	if o == nil {
		o = &outside{}
		s.counts[b.Feed[i]] = o
	}
	if late {
		o.late++
	} else {
		o.applied++
	}
}

// missed words a warning for each wanted symbol that no instrument of the input has.
func (s *selection) missed() []string {
	var names []string
	for i := range s.insts.Len() {
		names = append(names, s.insts.Get(market.Inst(i)).Symbol)
	}
	var out []string
	for _, w := range s.symbols {
		found := false
		for _, n := range names {
			found = found || matches(n, w)
		}
		if !found {
			m := fmt.Sprintf("the input has no symbol %s", w)
			if r := fault.DidYouMean(w, names); r != "" {
				m += " (" + r + ")"
			}
			out = append(out, m)
		}
	}
	return out
}

// MadeBySequencer tells rows that the sequencer wrote itself: they came in no payload
// and are in no account.
func MadeBySequencer(b *market.Batch, i int) bool {
	switch b.Kind {
	case market.KindStatus:
		return b.RawBytes[i] == 0
	case market.KindBook:
		return b.RawBytes[i] == 0 && b.Cols[market.BookOrigin].I64[i] == market.OriginKeyframe
	}
	return false
}
