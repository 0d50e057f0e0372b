package features

import (
	"slices"

	"github.com/pinova-group/tidemark/features/plan"
	"github.com/pinova-group/tidemark/market"
)

// entities numbers the entity keys of one input and key: dense, in order of appearance,
// never reused. What a number stands for differs from task to task; rows are ordered by
// names.
type entities struct {
	input int // market.Kind, or -1 - index of the parent view
	by    []plan.Ref
	more  []plan.Ref // base and quote, when a symbol tells them

	names  [][]string
	texts  [][][]byte // the same, for expressions
	index  map[string]uint32
	from   []int32        // number by instrument or entity of the parent, -1 when not met
	feeds  [][]feedEntity // with a key that has the feed: the numbers by instrument
	byFeed bool
	rank   []uint32
	sorted bool
	key    []byte
}

// newEntities makes the numbering for a key; columns are its names and those that follow
// from them.
func newEntities(input int, by []plan.Ref, columns []string) *entities {
	e := &entities{input: input, by: by, index: map[string]uint32{}}
	for _, r := range by {
		e.byFeed = e.byFeed || r.Source == plan.FeedName
	}
	for _, c := range columns[len(by):] {
		src := plan.Base
		if c == "quote" {
			src = plan.Quote
		}
		e.more = append(e.more, plan.Ref{Source: src})
	}
	return e
}

// same reports whether this is the numbering of an input by a key.
func (e *entities) same(input int, by []plan.Ref) bool {
	return e.input == input && slices.EqualFunc(e.by, by, func(a, b plan.Ref) bool {
		return a.Source == b.Source && a.Index == b.Index
	})
}

// feedEntity is the number of an entity for rows of one feed.
type feedEntity struct {
	feed market.FeedID
	ent  uint32
}

// of is the number for source i, resolving and registering a new one.
func (e *entities) of(i int, name func(r plan.Ref) string) uint32 {
	for len(e.from) <= i {
		e.from = append(e.from, -1)
	}
	if e.from[i] < 0 {
		e.from[i] = int32(e.resolve(name))
	}
	return uint32(e.from[i])
}

// ofFeed is the number for instrument i and a feed, where the feed is part of the key.
func (e *entities) ofFeed(i int, f market.FeedID, name func(r plan.Ref) string) uint32 {
	for len(e.feeds) <= i {
		e.feeds = append(e.feeds, nil)
	}
	for _, x := range e.feeds[i] {
		if x.feed == f {
			return x.ent
		}
	}
	n := e.resolve(name)
	e.feeds[i] = append(e.feeds[i], feedEntity{f, n})
	return n
}

// resolve finds the names of an entity and its number.
func (e *entities) resolve(name func(r plan.Ref) string) uint32 {
	ns := make([]string, 0, len(e.by)+len(e.more))
	for _, r := range e.by {
		ns = append(ns, name(r))
	}
	return e.number(e.complete(ns))
}

// complete adds to the names of an entity what follows from them.
func (e *entities) complete(ns []string) []string {
	for _, r := range e.more {
		base, quote := market.SplitSymbol(ns[e.symbolAt()])
		if r.Source == plan.Base {
			ns = append(ns, base)
		} else {
			ns = append(ns, quote)
		}
	}
	return ns
}

// symbolAt is the place of the symbol among the names.
func (e *entities) symbolAt() int {
	return slices.IndexFunc(e.by, func(r plan.Ref) bool { return r.Name == "symbol" })
}

// number finds or registers an entity by its names.
func (e *entities) number(ns []string) uint32 {
	e.key = e.key[:0]
	for _, n := range ns[:len(e.by)] {
		e.key = append(append(e.key, n...), 0)
	}
	if n, ok := e.index[string(e.key)]; ok {
		return n
	}
	n := uint32(len(e.names))
	e.index[string(e.key)] = n
	e.names = append(e.names, ns)
	texts := make([][]byte, len(ns))
	for i, s := range ns {
		texts[i] = []byte(s)
	}
	e.texts = append(e.texts, texts)
	e.sorted = false
	return n
}

// ranks brings rank up to date: the place of each entity in the order of names.
func (e *entities) ranks() {
	if e.sorted {
		return
	}
	order := make([]uint32, len(e.names))
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortFunc(order, func(a, b uint32) int { return slices.Compare(e.names[a], e.names[b]) })
	e.rank = slices.Grow(e.rank[:0], len(order))[:len(order)]
	for r, n := range order {
		e.rank[n] = uint32(r)
	}
	e.sorted = true
}

// instrument has the columns of an instrument from plan.Exchange to plan.Quote.
type instrument [plan.Quote - plan.Exchange + 1][]byte

func newInstrument(in market.Instrument) *instrument {
	return &instrument{[]byte(in.Exchange), []byte(in.Venue.String()), []byte(in.Symbol), []byte(in.Base), []byte(in.Quote)}
}
