package features

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/pinova-group/tidemark/features/op"
	"github.com/pinova-group/tidemark/features/plan"
	"github.com/pinova-group/tidemark/market"
)

// universe is what instrument events say of who can be a member: of each instrument the
// newest event at or before the next grid point, and all later ones.
type universe struct {
	filter *op.Machine
	list   []listed
	live   []alive   // scratch: members that have a row
	byInst []int32   // by handle, 0 for not met, else place in list + 1
	of     [][]int32 // by member: its instruments
}

// listed is one instrument; out says that a where of the input leaves it out.
type listed struct {
	inst   market.Inst
	out    bool
	member uint32
	events []listing // oldest first
}

// listing is an instrument event; absent times are NoTime.
type listing struct {
	ts, avail, hold int64
	flags           uint8
	delisted        bool
	from, to        int64
}

// at reports whether the event says that the instrument is listed at t.
func (e *listing) at(t int64) bool {
	return t-e.ts <= plan.ListingAge && !e.delisted && e.from <= t && (e.to == market.NoTime || t < e.to)
}

// gone reports whether the event says that the instrument is not listed at t or later.
func (e *listing) gone(t int64) bool {
	return e.delisted || t-e.ts > plan.ListingAge || e.to != market.NoTime && e.to <= t
}

// pushListings gives instrument events to the views whose universe they make.
func (t *Task) pushListings() error {
	ordered := false
	for _, v := range t.views {
		if v.latest == nil || v.latest.Universe == nil {
			continue
		}
		if !ordered {
			if err := t.inOrder(&t.direct); err != nil {
				return err
			}
			ordered = true
		}
		if err := v.pushListings(&t.direct); err != nil {
			return err
		}
	}
	return nil
}

// inOrder checks that instrument events are not behind the mark.
func (t *Task) inOrder(c *cols) error {
	mark, first := t.marks[market.KindInstrument], &t.first[market.KindInstrument]
	for _, ts := range c.ts {
		if ts < mark || ts < market.MinEventTime {
			return fmt.Errorf("push instrument: row at %s below the mark %s", market.FormatTime(ts), market.FormatTime(mark))
		}
		if *first == market.NoTime || ts < *first {
			*first = ts
		}
	}
	return nil
}

// pushListings takes instrument events.
func (v *viewState) pushListings(c *cols) error {
	for i := range c.n {
		if err := v.task.meet(int(c.inst[i])); err != nil {
			return err
		}
		u := v.instrumentOf(c.inst[i])
		if u.out {
			continue
		}
		hold, lag := v.task.feeds.of(c.feed[i])
		e := listing{ts: c.ts[i], avail: c.ingest[i], hold: hold, from: market.NoTime, to: market.NoTime}
		if e.avail == market.NoTime {
			e.avail, e.flags = e.ts+lag, FlagAssumed
		}
		e.delisted = market.ListingWords[c.c[market.InstrState].I64[i]] == "delisted"
		if col := &c.c[market.InstrListedTS]; !col.IsNull(i) {
			e.from = col.I64[i]
		}
		if col := &c.c[market.InstrDelistedTS]; !col.IsNull(i) {
			e.to = col.I64[i]
		}
		if n := len(u.events); n > 0 && u.events[n-1].ts > e.ts {
			return fmt.Errorf("push instrument: rows of %s go back in time", v.task.insts.Get(c.inst[i]).Symbol)
		}
		u.events = append(u.events, e)
	}
	return nil
}

// instrumentOf is the entry of an instrument, whose handle has been met.
func (v *viewState) instrumentOf(x market.Inst) *listed {
	u := v.latest.universe
	for len(u.byInst) <= int(x) {
		u.byInst = append(u.byInst, 0)
	}
	if at := u.byInst[x]; at != 0 {
		return &u.list[at-1]
	}
	e := listed{inst: x, out: !v.admits(x)}
	at := int32(len(u.list))
	if !e.out {
		e.member = v.keys.resolve(func(r plan.Ref) string { return string(facet(v.task.inst[x], r.Name)) })
		v.meetMember(e.member)
		for len(u.of) <= int(e.member) {
			u.of = append(u.of, nil)
		}
		u.of[e.member] = append(u.of[e.member], at)
	}
	u.list = append(u.list, e)
	u.byInst[x] = at + 1
	return &u.list[at]
}

func facet(in *instrument, name string) []byte {
	return in[plan.Facet(name)-plan.Exchange]
}

// admits applies what a where along the input says of the instrument alone.
func (v *viewState) admits(x market.Inst) bool {
	u := v.latest.Universe
	m := v.latest.universe.filter
	for k := range u.Inputs {
		in := &u.Inputs[k]
		setWord(&m.Regs[in.Reg], v.task.inst[x][in.Ref.Source-plan.Exchange], in)
	}
	m.Run()
	for _, r := range u.Where {
		if w := &m.Regs[r]; w.Null || w.I == 0 {
			return false
		}
	}
	return true
}

// isListed reports whether a member is in the universe at t, and forgets events that have
// been replaced. What the event says of its arrival goes into row.
func (v *viewState) isListed(member uint32, t int64, row *emitted) bool {
	u, found := v.latest.universe, false
	if int(member) >= len(u.of) {
		return false
	}
	for _, at := range u.of[member] {
		l := &u.list[at]
		n := 0
		for n+1 < len(l.events) && l.events[n+1].ts <= t {
			n++
		}
		l.events = slices.Delete(l.events, 0, n)
		if len(l.events) == 0 || l.events[0].ts > t || !l.events[0].at(t) {
			continue
		}
		e := &l.events[0]
		found = true
		row.avail, row.hold, row.flags = max(row.avail, e.avail), max(row.hold, e.hold), row.flags|e.flags
	}
	return found
}

// list makes the members alive those that are listed at t, silent ones among them; none
// when none of them has a row.
func (v *viewState) list(g *memberGroup, t int64, row *emitted) {
	l := v.latest
	l.universe.live = append(l.universe.live[:0], l.alive...)
	live := l.universe.live
	l.alive = l.alive[:0]
	some := false
	for _, m := range g.members {
		a := alive{ent: m}
		if len(live) > 0 && live[0].ent == m {
			a, live = live[0], live[1:]
		}
		if v.isListed(m, t, row) {
			l.alive = append(l.alive, a)
			some = some || a.row != nil
		}
	}
	if !some {
		l.alive = l.alive[:0]
	}
}

// saveUniverse writes the instruments in the order of names, each with the events that
// points from first on can see.
func (v *viewState) saveUniverse(w *writer, first int64) {
	u := v.latest.universe
	type entry struct {
		in     market.Instrument
		events []listing
	}
	var all []entry
	for i := range u.list {
		e := entry{in: v.task.insts.Get(u.list[i].inst), events: u.list[i].events}
		for len(e.events) > 1 && e.events[1].ts <= first || len(e.events) > 0 && e.events[0].ts <= first && e.events[0].gone(first) {
			e.events = e.events[1:]
		}
		if len(e.events) > 0 {
			all = append(all, e)
		}
	}
	slices.SortFunc(all, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.in.Exchange, b.in.Exchange), cmp.Compare(a.in.Venue, b.in.Venue), cmp.Compare(a.in.Symbol, b.in.Symbol))
	})
	w.word(uint64(len(all)))
	for i := range all {
		e := &all[i]
		w.text(e.in.Exchange)
		w.word(uint64(e.in.Venue))
		w.text(e.in.Symbol)
		w.word(uint64(len(e.events)))
		for k := range e.events {
			x := &e.events[k]
			out := uint64(0)
			if x.delisted {
				out = 1
			}
			w.words([]uint64{uint64(x.ts), uint64(x.avail), uint64(x.hold), uint64(x.flags), out, uint64(x.from), uint64(x.to)})
		}
	}
}

const listingWords = 7

func (v *viewState) loadUniverse(r *reader) {
	for range r.count(8 * 4) {
		exchange := string(r.text())
		venue := r.word()
		symbol := string(r.text())
		n := r.count(8 * listingWords)
		if r.bad || venue > 0xff || market.Venue(venue) > market.Index || venue == 0 || v.task.insts == nil {
			r.bad = true
			return
		}
		x := v.task.insts.Intern(exchange, market.Venue(venue), symbol)
		if err := v.task.meet(int(x)); err != nil {
			r.bad = true
			return
		}
		l := v.instrumentOf(x)
		if l.out || len(l.events) > 0 {
			r.bad = true
			return
		}
		last := market.NoTime
		for range n {
			e := listing{ts: int64(r.word()), avail: int64(r.word()), hold: int64(r.word()), flags: uint8(r.word()), delisted: r.word() == 1,
				from: int64(r.word()), to: int64(r.word())}
			if e.ts < last || e.ts < market.MinEventTime {
				r.bad = true
				return
			}
			last = e.ts
			l.events = append(l.events, e)
		}
	}
}
