package stale

import (
	"slices"
	"strings"

	"github.com/pinova-group/tidemark/features/lang"
)

// outcomes are the values that a condition may have.
type outcomes uint8

const (
	isTrue outcomes = 1 << iota
	isFalse
	isNull
	anything = isTrue | isFalse | isNull
)

// may reports whether a row filter can let through rows of k; alias is the input of a union
// that they come from, -1 for any.
func may(v *lang.View, where *lang.Node, k Key, alias int) bool {
	if where == nil {
		return true
	}
	f := filter{key: k, alias: alias, columns: v.Columns, hides: func(column string, input int) bool {
		p := v.Parent
		if input > 0 {
			p = v.Union[input-1].View
		}
		return hides(p, column)
	}}
	return f.of(where)&isTrue != 0
}

// mayJoin is the same for the filter of a join.
func mayJoin(j *lang.TypedJoin, k Key) bool {
	if j.Where == nil {
		return true
	}
	f := filter{key: k, columns: j.Columns, hides: func(column string, _ int) bool { return hides(j.View, column) }}
	return f.of(j.Where)&isTrue != 0
}

// hides reports whether a view has a feature by the name of a column of the instrument.
func hides(p *lang.View, column string) bool {
	return p != nil && slices.ContainsFunc(p.Features, func(f *lang.Feature) bool { return f.Name == column })
}

// filter works out a condition as far as the key of a row tells.
type filter struct {
	key     Key
	alias   int
	columns []lang.Column
	hides   func(column string, input int) bool
}

func (f *filter) of(n *lang.Node) outcomes {
	switch n.Op {
	case lang.NConst:
		switch {
		case n.Const.Null:
			return isNull
		case n.Type.Kind != lang.TBool:
			return anything
		case n.Const.Dec.M != 0:
			return isTrue
		}
		return isFalse
	case lang.NNot:
		return swap(f.of(n.Args[0]))
	case lang.NAnd:
		return both(f.of(n.Args[0]), f.of(n.Args[1]))
	case lang.NOr:
		return swap(both(swap(f.of(n.Args[0])), swap(f.of(n.Args[1]))))
	case lang.NEq:
		return f.equal(n.Args[0], n.Args[1])
	case lang.NNe:
		return swap(f.equal(n.Args[0], n.Args[1]))
	case lang.NIn:
		out := isFalse
		for _, a := range n.Args[1:] {
			out = swap(both(swap(out), swap(f.equal(n.Args[0], a))))
		}
		if n.Not {
			out = swap(out)
		}
		return out
	}
	return anything
}

// swap is not.
func swap(x outcomes) outcomes { return x&isNull | x&isTrue<<1 | x&isFalse>>1 }

// both is and: false when one is, null when one is and none is false.
func both(x, y outcomes) outcomes {
	out := (x | y) & isFalse
	out |= x & y & isTrue
	if x&isNull != 0 && y&(isTrue|isNull) != 0 || y&isNull != 0 && x&(isTrue|isNull) != 0 {
		out |= isNull
	}
	return out
}

// equal compares words that are known.
func (f *filter) equal(a, b *lang.Node) outcomes {
	x, xNull, ok := f.word(a)
	y, yNull, ok2 := f.word(b)
	switch {
	case xNull || yNull:
		return isNull
	case !ok || !ok2:
		return anything
	case x == y:
		return isTrue
	}
	return isFalse
}

// word is the value of a constant or a column of the key.
func (f *filter) word(n *lang.Node) (word string, null, ok bool) {
	switch n.Op {
	case lang.NConst:
		switch {
		case n.Const.Null:
			return "", true, false
		case n.Type.Kind == lang.TText:
			return n.Const.Text, false, true
		case n.Type.Kind == lang.TEnum && n.Const.Dec.M >= 0 && n.Const.Dec.M < int64(len(n.Type.Words)):
			return n.Type.Words[n.Const.Dec.M], false, true
		}
	case lang.NColumn:
		c := &f.columns[n.Index]
		if c.Input > 0 && f.alias >= 0 && c.Input != f.alias+1 {
			return "", true, false // of another input of the union
		}
		name := c.Name
		if c.Input > 0 {
			_, name, _ = strings.Cut(name, ".")
		}
		if c.Join > 0 || c.Book != nil || c.Input > 0 && f.alias < 0 || f.hides(name, c.Input) {
			return "", false, false
		}
		word = f.key.Get(name)
		return word, false, word != ""
	}
	return "", false, false
}
