package lang

import (
	"fmt"
	"math"

	"github.com/pinova-group/tidemark/market/num"
)

// A scan gives each row a value from the rows of its entity so far. prev and since look
// back at most within; the others remember every row, so that the view must say when they
// begin anew (F5, F6).

const (
	maxPrev  = 1000   // rows that prev may reach back
	maxSmall = 100000 // n of ema and wilder

	defaultWithin = "1d" // of prev and since, written into the canonical text
)

// Never is the View.Reset of reset: never. Then rows depend on all before them.
const Never = math.MaxInt64

// remembers tells the scans whose state every row so far is in.
func remembers(fn string) bool {
	switch fn {
	case "cum", "ema", "wilder", "ewm", "decay_sum":
		return true
	}
	return false
}

// scan types a function of the rows so far: its arguments are the value and constants.
func (v *viewChecker) scan(e *Expr, args []*Expr, s scope) *Node {
	switch {
	case s.consts:
		v.problem(e.Pos, "want parameters and literals only", "function %q in %s", e.Text, s.what)
		return v.badNode(e.Pos)
	case s.what == "where" && s.agg == "":
		v.problem(e.Pos, "want it in the where of an aggregate", "%s in the filter of the view: rows that it leaves out do not exist for scans", e.Text)
		return v.badNode(e.Pos)
	case v.spec.Window.Kind == Latest:
		v.problem(e.Pos, "want it in a row view that the latest window reads", "%s in a latest window: the rows of a member that are replaced are not kept", e.Text)
		return v.badNode(e.Pos)
	case v.spec.Window.Kind == Bar && v.splits():
		v.problem(e.Pos, "want cut: whole, or the scan in a row view that the bars read", "%s in bars that split rows: it goes by whole rows", e.Text)
		return v.badNode(e.Pos)
	case !s.rows:
		v.problem(e.Pos, "want it in let or inside an aggregate", "%s among the features: it goes by rows", e.Text)
		return v.badNode(e.Pos)
	}
	ok := !remembers(e.Text) || v.hasReset(e)
	x := v.scanArg(e, args[0], s)
	n := &Node{Op: NScan, Fn: e.Text, Pos: e.Pos, Args: []*Node{x}}
	for i, a := range args[1:] {
		c, good := v.scanOption(e, functions[e.Text].names[i+1], a)
		n.Args, ok = append(n.Args, c), ok && good
	}
	if isBadType(x) || !ok || !v.scanType(e, n, x.Type) {
		return v.badNode(e.Pos)
	}
	v.ops[e.Text] = true
	v.reset.used = v.reset.used || remembers(e.Text)
	return v.mk(n)
}

// splits reports bars that cut rows.
func (v *viewChecker) splits() bool {
	cut := v.spec.Window.Opts["cut"]
	return cut != nil && cut.Text == "split"
}

// hasReset reports a scan that nothing bounds (F6).
func (v *viewChecker) hasReset(e *Expr) bool {
	if v.spec.Reset != nil || v.spec.broken {
		return true
	}
	what := "would remember every row for ever"
	if e.Text == "cum" {
		what = "would add up without bound"
	}
	v.problem(e.Pos, "want reset: 1d", "%s without a reset %s", e.Text, what)
	return false
}

// macro types what a macro stands for, after what can be said of it by its own name.
func (v *viewChecker) macro(e *Expr, s scope) *Node {
	if s.rows && e.Text == "atr" {
		for _, name := range []string{"high", "low", "close"} {
			if !v.known(name, s) && !v.open {
				v.problem(e.Pos, "want from: a view of bars, or let: with these names", "atr without columns high, low, close")
				return v.badNode(e.Pos)
			}
		}
	}
	if s.rows && e.Text != "bollinger" && !v.hasReset(e) {
		return v.badNode(e.Pos)
	}
	return v.expr(expand(e), s)
}

// scanArg types the argument that is taken from each row.
func (v *viewChecker) scanArg(e, a *Expr, s scope) *Node {
	if e.Text == "since" {
		return v.condition(a, s)
	}
	return v.expr(a, s)
}

// scanOption is a constant argument, written out when it has a default.
func (v *viewChecker) scanOption(e *Expr, name string, a *Expr) (*Node, bool) {
	if name == "n" {
		high := int64(maxSmall)
		if e.Text == "prev" {
			high = maxPrev
		}
		if a == nil {
			return v.intNode(e.Pos, 1), true
		}
		n, ok := v.constInt(a, "n", 1, high)
		return v.intNode(a.Pos, n), ok
	}
	if a == nil {
		a = &Expr{Pos: e.Pos, Op: OpDuration, Text: defaultWithin}
	}
	us, ok := v.duration(a, name)
	return v.constNode(a.Pos, Type{Kind: TDur}, num.Dec{M: us}), ok
}

// scanType finds the type of the result; false when the argument is of none it takes.
func (v *viewChecker) scanType(e *Expr, n *Node, x Type) bool {
	switch e.Text {
	case "prev":
		n.Type = Type{Kind: x.Kind, Unit: x.Unit, Words: x.Words, Nullable: true}
		if x.Kind == TRatio {
			n.Type.Kind = TFloat
		}
		if x.Kind == TText || x.Kind == TID {
			v.unsupported(e.Pos, "prev of text is", "numbers, times, conditions, enums")
			return false
		}
		if x.Kind == TNull || x.Kind == TList || x.Kind == TBook {
			return v.refuse(e.Pos, e.Text, x, "want a number, time, condition or enum")
		}
	case "cum":
		n.Type = Type{Kind: x.Kind, Unit: x.Unit, Nullable: true}
		if x.Kind == TRatio || x.Kind == TFloat {
			v.problem(e.Pos, "want a decimal: round(x, 12)", "cum of %s is not exact", typeName(x))
			return false
		}
		if !isSummable(x.Kind) {
			return v.refuse(e.Pos, e.Text, x, "want a number")
		}
	case "since":
		n.Type = Type{Kind: TDur, Nullable: true}
		if x.Kind == TNull {
			return v.refuse(e.Pos, e.Text, x, "want a condition")
		}
	default:
		n.Type = Type{Kind: TFloat, Unit: meanUnit(x), Nullable: true}
		if !isNumber(x.Kind) && x.Kind != TDur {
			return v.refuse(e.Pos, e.Text, x, "want a number")
		}
	}
	return true
}

// firstScan finds a scan in an expression, nil when there is none.
func firstScan(n *Node) *Node {
	if n == nil || n.Op == NScan {
		return n
	}
	for _, a := range n.Args {
		if f := firstScan(a); f != nil {
			return f
		}
	}
	return nil
}

// resets is what a view says of when its scans begin anew.
type resets struct {
	used bool // some scan needs it
}

// resetKeys checks reset and warmup, which stand and fall with the scans that remember.
func (v *viewChecker) resetKeys() {
	w := &v.view.Reset
	if e := v.spec.Reset; e != nil {
		pos := v.spec.Places["reset"]
		if e.Op == OpName {
			*w = Never
		} else {
			*w, _ = v.duration(e, "reset")
		}
		if !v.reset.used && !v.spec.broken && len(v.problems) == 0 {
			v.problem(pos, "want no reset", "reset without a scan that it would begin anew (cum, ema, …)")
		}
	}
	pos, given := v.spec.Places["warmup"]
	if !given {
		return
	}
	if v.spec.Reset == nil {
		v.problem(pos, "want reset: 1d, or no warmup", "warmup without a reset")
		return
	}
	v.view.Warmup = v.warmup()
	if *w > 0 && v.view.Warmup > *w {
		v.problem(pos, "want reset: "+shortDuration(v.view.Warmup)+" or more", "warmup of %s is longer than the reset of %s",
			shortDuration(v.view.Warmup), shortDuration(*w))
	}
}

// warmup is its length: K rows of a grid of width w are K·w.
func (v *viewChecker) warmup() int64 {
	if v.spec.WarmupRows == nil {
		us, _ := v.duration(v.spec.Warmup, "warmup")
		return us
	}
	rows, ok := v.constInt(v.spec.WarmupRows, "warmup", 1, 1_000_000)
	if !ok || v.open {
		return 0
	}
	step := int64(0)
	if p := v.view.Parent; p != nil {
		switch p.Window.Kind {
		case Tumbling:
			step = p.Window.Grid().Longest()
		case Rolling:
			step = p.Window.Every
		}
	}
	if step == 0 {
		v.problem(v.spec.Places["warmup"], "want a duration such as warmup: 4h", "warmup in rows needs an input on a grid of time")
		return 0
	}
	if rows > maxSpan/step {
		v.problem(v.spec.Places["warmup"], "want at most "+shortDuration(maxSpan), "warmup is %d rows of %s", rows, shortDuration(step))
		return 0
	}
	return rows * step
}

// backs is how far rows reach back, level by level: a frame begins a level above its
// argument, a scan stays on that of its argument. What a row comes from (available_at, flags)
// is kept for each level as a whole, so the levels add up whatever is read of them.
type backs struct {
	known  map[*Node]back
	frames []int64 // longest frame of a level
	scans  []int64 // longest chain of scans on a level
}

// back is the level of a value and the chain of scans behind it on that level, in µs.
type back struct {
	level int
	chain int64
}

func (b *backs) grow(level int) {
	for len(b.frames) <= level {
		b.frames, b.scans = append(b.frames, 0), append(b.scans, 0)
	}
}

// above is the highest of two, and of one level the longer chain.
func (x back) above(y back) back {
	if x.level == y.level {
		return back{x.level, max(x.chain, y.chain)}
	}
	if x.level > y.level {
		return x
	}
	return y
}

// node enters what a node reads.
func (b *backs) node(v *View, n *Node) back {
	if n == nil {
		return back{}
	}
	if x, ok := b.known[n]; ok {
		return x
	}
	x := back{}
	for _, a := range n.Args {
		x = x.above(b.node(v, a))
	}
	switch n.Op {
	case NScan:
		if remembers(n.Fn) {
			x.chain += min(v.Reset, maxSpan) + v.Warmup
		} else {
			x.chain += n.Args[len(n.Args)-1].Const.Dec.M
		}
		x.chain = min(x.chain, 1000*maxSpan)
		b.grow(x.level)
		b.scans[x.level] = max(b.scans[x.level], x.chain)
	case NFeature:
		x = b.node(v, v.Features[n.Index].Node)
	case NAgg:
		x = b.agg(v, v.Aggs[n.Index])
	}
	b.known[n] = x
	return x
}

func (b *backs) agg(v *View, a *Agg) back {
	x := b.node(v, a.Where)
	for _, n := range a.Args {
		x = x.above(b.node(v, n))
	}
	if a.Over.Span == 0 {
		return x
	}
	b.grow(x.level + 1)
	b.frames[x.level+1] = max(b.frames[x.level+1], a.Over.Span)
	return back{level: x.level + 1}
}

// scansBack is how far back the scans and frames of the view reach.
func (v *viewChecker) scansBack() int64 {
	if v.spec.broken || len(v.problems) > 0 {
		return 0
	}
	b := &backs{known: map[*Node]back{}}
	for _, a := range v.view.Aggs {
		b.agg(v.view, a)
	}
	for _, f := range v.view.Features {
		b.node(v.view, f.Node)
	}
	us := int64(0)
	for l := range b.frames {
		us += b.frames[l] + b.scans[l]
	}
	if us > 0 && us+v.view.Window.Width > maxSpan && v.view.Reset != Never {
		v.problem(v.spec.View.Pos, fmt.Sprintf("want at most %s in all", shortDuration(maxSpan)), "scans and frames reach back %s", shortDuration(us))
	}
	return min(us, maxSpan)
}

// HasScans reports whether the view takes anything from a scan.
func (v *View) HasScans() bool {
	for _, a := range v.Aggs {
		if firstScan(a.Where) != nil {
			return true
		}
		for _, x := range a.Args {
			if firstScan(x) != nil {
				return true
			}
		}
	}
	for _, f := range v.Features {
		if firstScan(f.Node) != nil {
			return true
		}
	}
	return false
}
