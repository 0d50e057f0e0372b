package lang

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/num"
)

// BookColumn is a value of the order book after a row of it, that expressions read like a
// column: what book.mid and the others are made of. It is null while the book is not
// live, is crossed or has an empty side.
type BookColumn struct {
	Fn   BookFunc
	Side BookSide
	N    int     // which level, or how many
	Arg  num.Dec // distance as a ratio, or quantity
	Half BookHalf
}

// BookFunc is what of a book is read.
type BookFunc uint8

// The functions. Those that are sums of products take two columns of 63 bits.
const (
	BookMid      BookFunc = iota + 1 // (best bid + best ask) / 2
	BookSpread                       // best ask − best bid
	BookPrice                        // price of level N
	BookSize                         // quantity of level N
	BookTotal                        // quantity of the best N levels
	BookDepth                        // quantity within Arg of mid, both ends included
	BookOFI                          // order-flow imbalance of level N
	BookMLOFI                        // its sum over levels 1 to N
	BookCost                         // money for Arg, level by level; null when the side is short
	BookNotional                     // Σ price · quantity of the best N levels
	BookRise                         // Næs-Skjeltorp's regression: n·Σxy − Σx·Σy
	BookRun                          // n·Σx² − (Σx)²
)

// BookSide is the side that a function reads.
type BookSide uint8

// The sides.
const (
	BothSides BookSide = iota
	BidSide
	AskSide
)

// BookHalf tells the halves of a value of two columns: high · 2^62 + low.
type BookHalf uint8

// The halves.
const (
	Whole BookHalf = iota
	High
	Low
)

var bookFuncNames = [...]string{
	BookMid: "mid", BookSpread: "spread", BookPrice: "level", BookSize: "size", BookTotal: "total", BookDepth: "depth",
	BookOFI: "ofi", BookMLOFI: "mlofi", BookCost: "cost", BookNotional: "notional", BookRise: "rise", BookRun: "run",
}

var bookUnits = [...]unit{
	BookMid: {quote: 1, base: -1}, BookSpread: {quote: 1, base: -1}, BookPrice: {quote: 1, base: -1}, BookSize: {base: 1}, BookTotal: {base: 1}, BookDepth: {base: 1},
	BookOFI: {base: 1}, BookMLOFI: {base: 1}, BookCost: {quote: 1}, BookNotional: {quote: 1}, BookRise: {quote: 1}, BookRun: {quote: 2, base: -2},
}

// String is the name of the column: equal columns have equal names.
func (c BookColumn) String() string {
	var args []string
	switch c.Side {
	case BidSide:
		args = append(args, "bid")
	case AskSide:
		args = append(args, "ask")
	}
	switch c.Fn {
	case BookMid, BookSpread:
	case BookDepth, BookCost:
		args = append(args, decText(c.Arg))
	default:
		args = append(args, fmt.Sprint(c.N))
	}
	switch c.Half {
	case High:
		args = append(args, "high")
	case Low:
		args = append(args, "low")
	}
	name := "book." + bookFuncNames[c.Fn]
	if len(args) > 0 {
		name += "(" + strings.Join(args, ", ") + ")"
	}
	return name
}

// MaxBookLevels bounds the levels that one function reads.
const MaxBookLevels = 1000

// bookFunctions are the functions of an order book, book.mid and the rest.
var bookFunctions = map[string]signature{
	"mid":       sig(rowFunc, true, 0),
	"spread":    sig(rowFunc, true, 0),
	"wmid":      sig(rowFunc, true, 0),
	"level":     sig(rowFunc, true, 2, "side", "k"),
	"size":      sig(rowFunc, true, 2, "side", "k"),
	"imbalance": sig(rowFunc, true, 1, "n"),
	"depth":     sig(rowFunc, true, 2, "side", "distance"),
	"fill":      sig(rowFunc, true, 2, "side", "quantity"),
	"slippage":  sig(rowFunc, true, 2, "side", "quantity"),
	"vwap":      sig(rowFunc, true, 2, "side", "n"),
	"slope":     sig(rowFunc, true, 2, "side", "n"),
	"ofi":       sig(rowFunc, true, 1, "k"),
	"mlofi":     sig(rowFunc, true, 1, "n"),
}

// bookMethod types book.fn(…): columns of the book and arithmetic on them.
func (v *viewChecker) bookMethod(e *Expr, s scope) *Node {
	f, known := bookFunctions[e.Text]
	shown := "book." + e.Text
	switch {
	case !known:
		v.problem(e.Pos, wantName(e.Text, sortedKeys(bookFunctions)), "unknown order-book function %q", e.Text)
		return v.badNode(e.Pos)
	case s.consts:
		v.problem(e.Pos, "want parameters and literals only", "%s in %s", shown, s.what)
		return v.badNode(e.Pos)
	case !s.rows:
		v.problem(e.Pos, "want last("+shown+"), mean(…), time_mean(…) …", "%s outside an aggregate", shown)
		return v.badNode(e.Pos)
	}
	call := &Expr{Pos: e.Pos, Op: OpCall, Text: shown, Args: e.Args[1:], Keys: e.Keys}
	args, what := f.bind(call)
	if e.Where != nil && what == "" {
		what = "where inside " + shown
	}
	if what != "" {
		usage := f.usage(shown)
		if len(f.names) == 0 {
			usage = shown
		}
		v.problem(e.Pos, "want "+usage, "%s", what)
		return v.badNode(e.Pos)
	}
	b := bookCall{v: v, e: e, ok: true}
	n := b.value(e.Text, args)
	if !b.ok {
		return v.badNode(e.Pos)
	}
	v.ops[shown] = true
	return n
}

// bookCall builds one call; ok turns false when a problem has been reported.
type bookCall struct {
	v  *viewChecker
	e  *Expr
	ok bool
}

func (b *bookCall) value(fn string, args []*Expr) *Node {
	switch fn {
	case "mid":
		return b.column(BookColumn{Fn: BookMid})
	case "spread":
		return b.column(BookColumn{Fn: BookSpread})
	case "wmid":
		return b.wmid()
	case "level":
		return b.column(BookColumn{Fn: BookPrice, Side: b.side(args[0]), N: b.count(args[1], "level")})
	case "size":
		return b.column(BookColumn{Fn: BookSize, Side: b.side(args[0]), N: b.count(args[1], "level")})
	case "imbalance":
		n := b.count(args[0], "levels")
		bid, ask := b.column(BookColumn{Fn: BookTotal, Side: BidSide, N: n}), b.column(BookColumn{Fn: BookTotal, Side: AskSide, N: n})
		return b.op("/", b.op("-", bid, ask), b.op("+", bid, ask))
	case "depth":
		return b.column(BookColumn{Fn: BookDepth, Side: b.side(args[0]), Arg: b.distance(args[1])})
	case "fill", "slippage":
		return b.fill(fn, b.taker(args[0]), b.quantity(args[1]))
	case "vwap":
		side, n := b.side(args[0]), b.count(args[1], "levels")
		return b.op("/", b.wide(BookColumn{Fn: BookNotional, Side: side, N: n}), b.column(BookColumn{Fn: BookTotal, Side: side, N: n}))
	case "slope":
		return b.slope(b.side(args[0]), b.count(args[1], "levels"))
	case "ofi":
		return b.column(BookColumn{Fn: BookOFI, N: b.count(args[0], "level")})
	default:
		return b.column(BookColumn{Fn: BookMLOFI, N: b.count(args[0], "levels")})
	}
}

// column is a column of the book; it gets its place in the view as those of the kind do.
func (b *bookCall) column(c BookColumn) *Node {
	if !b.ok {
		return b.v.badNode(b.e.Pos)
	}
	t := Type{Kind: TDec, Unit: bookUnits[c.Fn].String(), Nullable: true}
	b.v.cols[c.String()] = Column{Name: c.String(), Type: t, Book: &c}
	b.v.book = true
	return b.v.mk(&Node{Op: NColumn, Fn: c.String(), Type: t, Pos: b.e.Pos})
}

// wide is a value of two columns: sums of products do not fit one.
func (b *bookCall) wide(c BookColumn) *Node {
	c.Half = High
	high := b.column(c)
	c.Half = Low
	low := b.column(c)
	return b.op("+", b.op("*", high, b.constant(num.Dec{M: 1 << 62}, "")), low)
}

func (b *bookCall) op(op string, l, r *Node) *Node {
	if !b.ok {
		return b.v.badNode(b.e.Pos)
	}
	at := &Expr{Pos: b.e.Pos, Op: OpBinary, Text: op, Args: []*Expr{b.e, b.e}}
	n := b.v.arith(at, l, r)
	b.ok = b.ok && !isBadType(n)
	return n
}

func (b *bookCall) constant(d num.Dec, unit string) *Node {
	return b.v.constNode(b.e.Pos, Type{Kind: TDec, Unit: unit}, d)
}

// wmid is (bid · ask quantity + ask · bid quantity) / (both quantities).
func (b *bookCall) wmid() *Node {
	top := func(f BookFunc, s BookSide) *Node { return b.column(BookColumn{Fn: f, Side: s, N: 1}) }
	bid, ask := top(BookSize, BidSide), top(BookSize, AskSide)
	up := b.op("+", b.op("*", top(BookPrice, BidSide), ask), b.op("*", top(BookPrice, AskSide), bid))
	return b.op("/", up, b.op("+", bid, ask))
}

// fill is the cost of a quantity by the quantity; slippage compares it with mid, in bps
// and positive when it is worse.
func (b *bookCall) fill(fn string, side BookSide, q num.Dec) *Node {
	cost := b.wide(BookColumn{Fn: BookCost, Side: side, Arg: q})
	quantity := b.constant(q, "base")
	if fn == "fill" {
		return b.op("/", cost, quantity)
	}
	fair := b.op("*", b.column(BookColumn{Fn: BookMid}), quantity)
	worse := b.op("-", cost, fair)
	if side == BidSide {
		worse = b.op("-", fair, cost)
	}
	return b.op("/", b.op("*", b.constant(num.Dec{M: 10_000}, ""), worse), fair)
}

// slope is the least-squares slope of cumulative quantity on the distance from mid in
// bps. With x = |2·price − bid − ask| it is rise/run · 2 · mid / 10000.
func (b *bookCall) slope(side BookSide, n int) *Node {
	if b.ok && n < 2 {
		b.v.problem(b.e.Pos, "want at least 2", "book.slope over 1 level")
		b.ok = false
	}
	rise, run := b.wide(BookColumn{Fn: BookRise, Side: side, N: n}), b.wide(BookColumn{Fn: BookRun, Side: side, N: n})
	up := b.op("*", rise, b.column(BookColumn{Fn: BookMid}))
	return b.op("/", up, b.op("*", run, b.constant(num.Dec{M: 5_000}, "")))
}

// side reads bid or ask.
func (b *bookCall) side(e *Expr) BookSide {
	return b.word(e, map[string]BookSide{"bid": BidSide, "ask": AskSide}, "want bid or ask")
}

// taker reads buy or sell: buying takes from the asks.
func (b *bookCall) taker(e *Expr) BookSide {
	return b.word(e, map[string]BookSide{"buy": AskSide, "sell": BidSide}, "want buy or sell")
}

func (b *bookCall) word(e *Expr, words map[string]BookSide, want string) BookSide {
	if e.Op == OpName {
		if s, ok := words[e.Text]; ok {
			return s
		}
	}
	if e.Op != OpBad {
		b.v.problem(e.Pos, want, "side of book.%s is %s", b.e.Text, e)
	}
	b.ok = false
	return BothSides
}

func (b *bookCall) count(e *Expr, what string) int {
	n, ok := b.v.constInt(e, what+" of book."+b.e.Text, 1, MaxBookLevels)
	b.ok = b.ok && ok
	return int(n)
}

// distance is a ratio of mid: 10bps is 0.001.
func (b *bookCall) distance(e *Expr) num.Dec {
	d := b.decimal(e, "distance")
	if b.ok && compareDec(d, num.Dec{M: 1}) > 0 {
		b.v.problem(e.Pos, "want a ratio of mid, at most 1, or basis points: "+decText(d)+"bps", "distance of book.%s is %s", b.e.Text, e)
		b.ok = false
	}
	return d
}

func (b *bookCall) quantity(e *Expr) num.Dec { return b.decimal(e, "quantity") }

// decimal is a number above 0 known here.
func (b *bookCall) decimal(e *Expr, what string) num.Dec {
	n := b.v.expr(e, scope{consts: true, what: what + " of book." + b.e.Text})
	switch {
	case isBadType(n):
	case n.Op != NConst || n.Const.Null || n.Type.Kind != TInt && n.Type.Kind != TDec || n.Const.Dec.M <= 0:
		want := "want a number above 0"
		if what == "distance" {
			want = "want a distance from mid such as 10bps or 0.001"
		}
		b.v.problem(e.Pos, want, "%s of book.%s is %s", what, b.e.Text, e)
	default:
		return n.Const.Dec.Normalize()
	}
	b.ok = false
	return num.Dec{}
}

// bookLookback is how far back the state of a book reaches: to its last keyframe.
func (v *viewChecker) bookLookback() int64 {
	if v.book {
		return market.KeyframeEvery
	}
	return 0
}

// ReadsBook tells that an expression depends on the book: its value ends with the book's.
func (v *View) ReadsBook(n *Node) bool {
	if n == nil {
		return false
	}
	if n.Op == NColumn {
		return v.Columns[n.Index].Book != nil
	}
	return slices.ContainsFunc(n.Args, v.ReadsBook)
}
