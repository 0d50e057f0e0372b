package plan

import (
	"fmt"
	"slices"

	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/features/op"
)

// Cross is what a latest window has besides the programs of every view. At a grid point
// the rows of the members alive go through the row program once for each pass: the first
// folds the accumulators that need columns alone, later ones those that name values of
// the group or ranks, which the passes before have worked out.
type Cross struct {
	Keys   []Ref // entity columns by which rows are told apart: those of the group, the member last
	Groups int   // how many of them are the group's
	Each   bool  // a row for each member, else one for the group

	Key      []int     // for each of Inputs the place in the names of the member's key, else Held or Unread
	Cell     []int     // the first word of a held column
	Held     int       // words of all held columns
	Words    int       // of a held row: these, and the keys of what it joins
	Universe *Universe // of a listed universe, else nil
	Ranks    []Rank
	Passes   []Pass     // the first has no accumulators: it passes on what is known without rows
	Group    []op.Instr // of the finish program: what members share
	Member   []op.Instr // the rest
}

// What Cross.Key says of columns that are no part of a member's key.
const (
	Held   = -1 // kept with the row
	Unread = -2 // read by the row filter alone
	Match  = -3 // joined: found when the row is read
)

// Rank is the place of a value of the row program among the members; it is put into a
// register of the row program.
type Rank struct {
	Arg, To int
	Kind    op.Kind
}

// Pass is one pass over the members alive.
type Pass struct {
	Row   []op.Instr // what accumulators and ranks of this pass need
	Accs  []int
	Ranks []int
	Loads []int      // loads of the finish program that are known after the pass
	Fin   []op.Instr // what Given needs of it
	Given []Given
}

// Given passes a value of the group on to the row program.
type Given struct {
	From, To int // registers of the finish and of the row program
	Kind     op.Kind
}

// latest prepares the window: a grid, keys and the names that rows may use.
func (l *lowering) latest() error {
	v, w := l.v, l.v.Lang.Window
	if w.Width <= 0 || w.Every <= 0 {
		return fmt.Errorf("latest window needs a grid and a greatest age")
	}
	v.Shape, v.Empty, v.Flat = Latest, false, false
	keys := v.Lang.By
	if !w.Members {
		keys = append(append([]string(nil), keys...), w.Member)
	}
	l.group = newGroup()
	l.row.integer(0) // register 0, which stands in operands not in use, is no column
	l.fin.integer(0)
	v.Cross = &Cross{Groups: len(keys) - 1, Each: w.Members}
	for _, name := range keys {
		in, err := l.ref(name, lang.Type{Kind: lang.TText})
		if err != nil {
			return err
		}
		v.Cross.Keys = append(v.Cross.Keys, in.Ref)
	}
	if w.Listed {
		return l.universe()
	}
	return nil
}

// group tracks how values of the group and of its members depend on each other while the
// programs of a latest window are written.
type group struct {
	ofRow   map[int]bool  // features that differ from member to member
	members map[int]value // those in the row program
	ranks   map[string]int
	given   map[int]int // register of the finish program by that of the row program
	order   []int       // the keys of given, as they came
	byFin   map[int]value
	rowOf   map[int]op.Instr // instruction by register, once all are written
	finOf   map[int]op.Instr
	rankOf  map[int]int // rank by register of the row program
	loadOf  map[int]int
	rowPass map[int]int // passes that must be over before a register has its value
	finPass map[int]int
}

func newGroup() *group {
	return &group{ofRow: map[int]bool{}, members: map[int]value{}, ranks: map[string]int{}, given: map[int]int{}, byFin: map[int]value{},
		rankOf: map[int]int{}, rowPass: map[int]int{}, finPass: map[int]int{}}
}

// memberValue is what a name means in the row program.
func (l *lowering) memberValue(n *lang.Node) (value, error) {
	switch n.Op {
	case lang.NColumn:
		l.joinAt(n, false)
		return l.column(n)
	case lang.NRank:
		i, err := l.rank(n)
		if err != nil {
			return value{}, err
		}
		return value{l.v.Cross.Ranks[i].To, op.KExact}, nil
	case lang.NFeature:
		if l.differs(n) {
			return l.memberFeature(n.Index)
		}
	}
	x, err := l.fin.resolve(n)
	if err != nil {
		return x, err
	}
	return l.give(x), nil
}

// memberFeature writes a feature of members into the row program, once.
func (l *lowering) memberFeature(i int) (value, error) {
	if x, ok := l.group.members[i]; ok {
		return x, nil
	}
	x, err := l.row.expr(l.v.Lang.Features[i].Node)
	l.group.members[i] = x
	return x, err
}

// give makes a value of the finish program known to the row program.
func (l *lowering) give(x value) value {
	if v, ok := l.group.byFin[x.reg]; ok {
		return v
	}
	v := value{l.row.reg(), x.kind}
	l.group.byFin[x.reg] = v
	l.group.given[v.reg] = x.reg
	l.group.order = append(l.group.order, v.reg)
	return v
}

// differs tells whether a node has a value for each member.
func (l *lowering) differs(n *lang.Node) bool {
	switch n.Op {
	case lang.NColumn: // of a group what is joined as of the grid point
		return l.v.Cross.Each || l.v.Lang.Columns[n.Index].Join == 0
	case lang.NRank:
		return true
	case lang.NFeature:
		d, known := l.group.ofRow[n.Index]
		if !known {
			d = l.differs(l.v.Lang.Features[n.Index].Node)
			l.group.ofRow[n.Index] = d
		}
		return d
	}
	return slices.ContainsFunc(n.Args, l.differs)
}

// rank enters the rank of a row expression. A ratio is compared as the float64 nearest to it.
func (l *lowering) rank(n *lang.Node) (int, error) {
	key := nodeKey(n)
	if i, ok := l.group.ranks[key]; ok {
		return i, nil
	}
	x, err := l.row.expr(n.Args[0])
	if err == nil && x.kind == op.KRatio {
		x, err = l.row.convert(x, op.KFloat)
	}
	if err != nil {
		return 0, err
	}
	if x.kind != op.KExact && x.kind != op.KQ60 && x.kind != op.KFloat {
		return 0, fmt.Errorf("rank takes numbers, times and durations")
	}
	i := len(l.v.Cross.Ranks)
	to := l.row.reg()
	l.v.Cross.Ranks = append(l.v.Cross.Ranks, Rank{Arg: x.reg, To: to, Kind: x.kind})
	l.group.ranks[key], l.group.rankOf[to] = i, i
	return i, nil
}

// passes orders the work: which accumulators and ranks belong to which pass.
func (l *lowering) passes() {
	g, v := l.group, l.v
	g.rowOf, g.finOf, g.loadOf = byDst(l.row.code), byDst(l.fin.code), map[int]int{}
	for i, ld := range v.Loads {
		g.loadOf[ld.Reg] = i
	}
	all := []Pass{{}}
	at := func(k int) *Pass {
		for len(all) <= k {
			all = append(all, Pass{})
		}
		return &all[k]
	}
	var need [][]int // registers of the row program, by pass
	needs := func(k int, regs ...int) {
		for len(need) <= k {
			need = append(need, nil)
		}
		for _, r := range regs {
			if r >= 0 {
				need[k] = append(need[k], r)
			}
		}
	}
	for i := range v.Accs {
		k := l.accPass(i)
		at(k).Accs = append(at(k).Accs, i)
		needs(k, v.Args[i].Reg, v.Args[i].Where)
	}
	for i, r := range v.Cross.Ranks {
		k := l.rowPass(r.Arg) + 1
		at(k).Ranks = append(at(k).Ranks, i)
		needs(k, r.Arg)
	}
	for i, ld := range v.Loads {
		switch ld.Kind {
		case LoadColumn, LoadRank:
		default:
			k := l.finPass(ld.Reg)
			at(k).Loads = append(at(k).Loads, i)
		}
	}
	for _, to := range g.order {
		k := l.finPass(g.given[to])
		at(k).Given = append(at(k).Given, Given{From: g.given[to], To: to, Kind: g.byFin[g.given[to]].kind})
	}
	for k := range all {
		p := &all[k]
		if k < len(need) {
			p.Row = l.row.live(need[k])
		}
		var from []int
		for i := range p.Given {
			from = append(from, p.Given[i].From)
			p.Given[i].From, p.Given[i].To = l.fin.at(p.Given[i].From), l.row.at(p.Given[i].To)
		}
		p.Fin = l.fin.live(from)
	}
	v.Cross.Passes = all
}

func byDst(code []op.Instr) map[int]op.Instr {
	m := map[int]op.Instr{}
	for _, in := range code {
		m[int(in.Dst)] = in
	}
	return m
}

// accPass is the pass in which an accumulator is folded.
func (l *lowering) accPass(i int) int {
	k := 0
	for _, r := range []int{l.v.Args[i].Reg, l.v.Args[i].Where} {
		if r >= 0 {
			k = max(k, l.rowPass(r))
		}
	}
	return k + 1
}

// rowPass is the number of passes after which a register of the row program can be computed.
func (l *lowering) rowPass(reg int) int {
	g := l.group
	if k, ok := g.rowPass[reg]; ok || reg < constBase {
		return k
	}
	k := 0
	if from, ok := g.given[reg]; ok {
		k = l.finPass(from)
	} else if i, ok := g.rankOf[reg]; ok {
		k = l.rowPass(l.v.Cross.Ranks[i].Arg) + 1
	} else if in, ok := g.rowOf[reg]; ok {
		for _, r := range []uint16{in.A, in.B, in.C} {
			k = max(k, l.rowPass(int(r)))
		}
	}
	g.rowPass[reg] = k
	return k
}

// finPass is the same for the finish program.
func (l *lowering) finPass(reg int) int {
	g := l.group
	if k, ok := g.finPass[reg]; ok || reg < constBase {
		return k
	}
	k := 0
	if i, ok := g.loadOf[reg]; ok {
		switch ld := l.v.Loads[i]; ld.Kind {
		case LoadColumn, LoadStart, LoadEnd, LoadEmpty, LoadJoined:
		case LoadRank:
			k = l.rowPass(l.v.Cross.Ranks[ld.Acc].Arg) + 1
		default:
			k = l.accPass(ld.Acc)
		}
	} else if in, ok := g.finOf[reg]; ok {
		for _, r := range []uint16{in.A, in.B, in.C} {
			k = max(k, l.finPass(int(r)))
		}
	}
	g.finPass[reg] = k
	return k
}

// finishLatest renumbers what refers to registers and splits the finish program.
func (l *lowering) finishLatest() {
	v, w := l.v, l.v.Cross
	for i := range w.Ranks {
		w.Ranks[i].Arg, w.Ranks[i].To = l.row.at(w.Ranks[i].Arg), l.row.at(w.Ranks[i].To)
	}
	names, used := w.Columns(), v.usedByMembers()
	for i, in := range v.Inputs {
		key := Held
		switch {
		case !used[i]:
			key = Unread
		case in.Ref.Source == Joined:
			key = Match
		}
		for i, n := range names {
			if n == in.Ref.Name && key == Held && (in.Ref.OfInstrument() || in.Ref.Source == OfEntity || in.Ref.Source == FeedName) {
				key = i
			}
		}
		w.Key, w.Cell = append(w.Key, key), append(w.Cell, w.Held)
		if key == Held {
			w.Held += op.CellWords(in.Kind)
		}
	}
	w.Words = w.Held
	for i := range v.Joins {
		if v.Joins[i].AtRows {
			v.Joins[i].KeyWord = w.Words
			w.Words++
		}
	}
	ofMember := map[uint16]bool{}
	for _, ld := range v.Loads {
		if ld.Kind == LoadColumn || ld.Kind == LoadRank {
			ofMember[uint16(ld.Reg)] = true
		}
	}
	for _, in := range v.Finish.Code {
		if ofMember[in.A] || ofMember[in.B] || ofMember[in.C] {
			ofMember[in.Dst] = true
			w.Member = append(w.Member, in)
		} else {
			w.Group = append(w.Group, in)
		}
	}
}

// usedByMembers tells which inputs are read at a grid point, and not by the row filter alone.
func (v *View) usedByMembers() []bool {
	read := map[int]bool{}
	for i := range v.Cross.Passes {
		for _, in := range v.Cross.Passes[i].Row {
			read[int(in.A)], read[int(in.B)], read[int(in.C)] = true, true, true
		}
	}
	for _, a := range v.Args {
		read[a.Reg], read[a.Where] = true, true
	}
	for _, r := range v.Cross.Ranks {
		read[r.Arg] = true
	}
	used := make([]bool, len(v.Inputs))
	for i, in := range v.Inputs {
		used[i] = read[in.Reg]
	}
	for _, ld := range v.Loads {
		if ld.Kind == LoadColumn {
			used[ld.Acc] = true
		}
	}
	return used
}

// Columns are the entity columns of members and those that follow from them.
func (c *Cross) Columns() []string {
	names := make([]string, len(c.Keys))
	for i, k := range c.Keys {
		names[i] = k.Name
	}
	return withDerived(names)
}

// Keep is the memory of a member in bytes: its newest row and, while the mark is behind,
// one more for each grid point.
func (c *Cross) Keep() int { return 8 * 2 * (c.Words + memberWords) }

// memberWords are the words of a held row besides its cells.
const memberWords = 6
