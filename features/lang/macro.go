package lang

import "maps"

// Macros are calls that stand for an expression over other functions. They are expanded
// before types are checked and before the canonical text is printed, so that a view that
// spells the expression out is the same view.

var macros = map[string]func(pos Pos, a []*Expr) *Expr{
	// rsi is Wilder's: the smoothed gains by the smoothed gains and losses; null when
	// nothing moved.
	"rsi": func(pos Pos, a []*Expr) *Expr {
		b := builder{pos}
		smooth := func(change *Expr) *Expr {
			return b.call("wilder", b.call("max_of", change, b.number("0")), a[1])
		}
		up := smooth(b.binary("-", a[0], b.call("prev", a[0])))
		down := smooth(b.binary("-", b.call("prev", a[0]), a[0]))
		return b.binary("*", b.number("100"), b.binary("/", up, b.binary("+", up, down)))
	},
	"macd": func(pos Pos, a []*Expr) *Expr {
		b := builder{pos}
		return b.binary("-", b.call("ema", a[0], a[1]), b.call("ema", a[0], a[2]))
	},
	// bollinger is the mean and k standard deviations of the population; a negative k
	// gives the lower band.
	"bollinger": func(pos Pos, a []*Expr) *Expr {
		b := builder{pos}
		over := &Frame{Pos: pos, Rows: a[1], Within: a[3]}
		mean, std := b.call("mean", a[0]), b.call("std", a[0])
		std.Keys = map[string]*Expr{"ddof": b.number("0")}
		mean.Over, std.Over = over, over
		return b.binary("+", mean, b.binary("*", a[2], std))
	},
	// atr is Wilder's mean of the true range, over columns high, low and close.
	"atr": func(pos Pos, a []*Expr) *Expr {
		b := builder{pos}
		before := b.call("prev", b.name("close"))
		return b.call("wilder", b.call("max_of",
			b.binary("-", b.name("high"), b.name("low")),
			b.call("abs", b.binary("-", b.name("high"), before)),
			b.call("abs", b.binary("-", b.name("low"), before))), a[0])
	},
}

// builder makes expressions that stand at one place.
type builder struct{ pos Pos }

func (b builder) call(name string, args ...*Expr) *Expr {
	e := &Expr{Pos: b.pos, Op: OpCall, Text: name, Args: args}
	return withDefaults(e)
}

func (b builder) binary(op string, l, r *Expr) *Expr {
	return &Expr{Pos: b.pos, Op: OpBinary, Text: op, Args: []*Expr{l, r}}
}

func (b builder) number(text string) *Expr { return &Expr{Pos: b.pos, Op: OpNumber, Text: text} }

func (b builder) name(text string) *Expr { return &Expr{Pos: b.pos, Op: OpName, Text: text} }

// expand returns e with its macros expanded and the defaults of scans written out; e
// itself is not changed. Calls that do not bind stay as they are.
func expand(e *Expr) *Expr {
	if e == nil {
		return nil
	}
	c := *e
	c.Args = make([]*Expr, len(e.Args))
	for i, a := range e.Args {
		c.Args[i] = expand(a)
	}
	if e.Args == nil {
		c.Args = nil
	}
	if e.Keys != nil {
		c.Keys = make(map[string]*Expr, len(e.Keys))
		for k, a := range e.Keys {
			c.Keys[k] = expand(a)
		}
	}
	c.Where = expand(e.Where)
	if c.Op != OpCall {
		return &c
	}
	if m, ok := macros[c.Text]; ok && c.Where == nil && c.Over == nil {
		if args, what := functions[c.Text].bind(&c); what == "" {
			return m(c.Pos, args)
		}
	}
	return withDefaults(&c)
}

// withDefaults writes the bound of prev and since into the call.
func withDefaults(e *Expr) *Expr {
	if e.Text != "prev" && e.Text != "since" || e.Op != OpCall {
		return e
	}
	args, what := functions[e.Text].bind(e)
	if what != "" || args[len(args)-1] != nil {
		return e
	}
	keys := map[string]*Expr{"within": {Pos: e.Pos, Op: OpDuration, Text: defaultWithin}}
	maps.Copy(keys, e.Keys)
	e.Keys = keys
	return e
}
