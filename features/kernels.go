package features

import (
	"slices"

	"github.com/pinova-group/tidemark/features/op"
	"github.com/pinova-group/tidemark/features/plan"
	"github.com/pinova-group/tidemark/market/num"
)

// vector is the largest number of rows that kernels see at once: a few columns of it
// stay in the first cache.
const vector = 1024

// kernels folds segments column by column for the accumulators that have such a form. It
// cuts a segment into runs in which every decimal column has one scale; a run costs one
// call for each group of accumulators.
type kernels struct {
	v      *viewState
	accs   []int // what is built for
	cols   []int // decimal columns in use
	passes []pass
	buf    [][]int64 // mantissas that pass a filter, by place in a pass
	bars   bars
}

// pass is the accumulators that share a filter; the first has none.
type pass struct {
	enum   int // payload column, -1 for no filter
	code   int64
	cols   []int // decimal columns in use
	counts []int // offsets
	cells  []cellGroup
	sums   []sumGroup
}

// Columns of the groups are places in pass.cols; b is -1 for the sum of one column.
type cellGroup struct {
	col int
	op.Cells
}

type sumGroup struct{ off, a, b int }

func (k *kernels) init(v *viewState) {
	k.v = v
	for i := range v.p.Args[:min(v.p.Folded(), len(v.p.Args))] {
		if v.p.Args[i].Fast.Kind == plan.Slow || v.task.plan.plain {
			v.slow = append(v.slow, i)
		} else {
			v.fast = append(v.fast, i)
		}
	}
}

// choose builds the passes for a set of accumulators, unless they are the last ones.
func (k *kernels) choose(accs []int) {
	if k.accs != nil && slices.Equal(k.accs, accs) {
		return
	}
	k.accs = append(k.accs[:0:0], accs...)
	k.cols, k.passes = k.cols[:0], []pass{{enum: -1}}
	for _, i := range accs {
		f, a := &k.v.p.Args[i].Fast, &k.v.p.Accs[i]
		p := k.pass(f)
		switch f.Kind {
		case plan.NoArg:
			p.counts = append(p.counts, a.Off)
		case plan.Product:
			p.sums = append(p.sums, sumGroup{a.Off, k.col(p, f.A), k.col(p, f.B)})
		case plan.Column:
			if a.Fn == op.Sum {
				p.sums = append(p.sums, sumGroup{a.Off, k.col(p, f.A), -1})
			} else {
				p.cell(k.col(p, f.A), a)
			}
		}
	}
	for range len(k.cols) - len(k.buf) {
		k.buf = append(k.buf, make([]int64, vector))
	}
	k.bars.match(k)
}

func (k *kernels) pass(f *plan.Fast) *pass {
	for i := range k.passes {
		if p := &k.passes[i]; p.enum == f.Enum && p.code == f.Code {
			return p
		}
	}
	k.passes = append(k.passes, pass{enum: f.Enum, code: f.Code})
	return &k.passes[len(k.passes)-1]
}

// col enters a column of the batch and returns its place in the pass.
func (k *kernels) col(p *pass, c int) int {
	if !slices.Contains(k.cols, c) {
		k.cols = append(k.cols, c)
	}
	if i := slices.Index(p.cols, c); i >= 0 {
		return i
	}
	p.cols = append(p.cols, c)
	return len(p.cols) - 1
}

func (p *pass) cell(col int, a *op.Acc) {
	i := slices.IndexFunc(p.cells, func(g cellGroup) bool { return g.col == col })
	if i < 0 {
		i = len(p.cells)
		p.cells = append(p.cells, cellGroup{col, op.Cells{First: -1, Last: -1, Min: -1, Max: -1}})
	}
	g := &p.cells[i]
	switch a.Fn {
	case op.First:
		g.First = a.Off
	case op.Last:
		g.Last = a.Off
	case op.Min:
		g.Min = a.Off
	default:
		g.Max = a.Off
	}
}

// fold folds rows lo to hi, which are of one entity and pane.
func (k *kernels) fold(rec []uint64, c *cols, lo, hi int) {
	for lo < hi {
		n := min(hi-lo, vector)
		for _, col := range k.cols {
			n = scaleRun(c.c[col].Scale[lo : lo+n])
		}
		if k.bars.on {
			k.bars.fold(k, rec, c, lo, lo+n)
		} else {
			for i := range k.passes {
				k.foldPass(&k.passes[i], rec, c, lo, lo+n)
			}
		}
		lo += n
	}
}

// scaleRun is the length of the run of equal scales that s begins with.
func scaleRun(s []int8) int {
	first, n := s[0], 0
	for ; n+8 <= len(s); n += 8 {
		b := s[n : n+8 : n+8]
		if (b[0]^first)|(b[1]^first)|(b[2]^first)|(b[3]^first)|(b[4]^first)|(b[5]^first)|(b[6]^first)|(b[7]^first) != 0 {
			break
		}
	}
	for n < len(s) && s[n] == first {
		n++
	}
	return n
}

// foldPass folds a run of rows, the columns of which have one scale each.
func (k *kernels) foldPass(p *pass, rec []uint64, c *cols, lo, hi int) {
	n, last := hi-lo, hi-1
	if p.enum >= 0 {
		if n, last = k.pick(p, c, lo, hi); n == 0 {
			return
		}
	}
	for _, off := range p.counts {
		rec[off] += uint64(n)
	}
	for i := range p.cells {
		g := &p.cells[i]
		m, s := k.column(p, g.col, c, lo, n)
		g.Fold(rec, m, s, c.ts[last])
	}
	for _, g := range p.sums {
		a, sa := k.column(p, g.a, c, lo, n)
		if g.b < 0 {
			num.SumAddRun(rec[g.off:], a, sa)
			continue
		}
		b, sb := k.column(p, g.b, c, lo, n)
		num.SumAddProdRun(rec[g.off:], a, b, sa, sb)
	}
}

// column is the mantissas and the scale of a column of a pass: of the batch, or what
// pick has put together.
func (k *kernels) column(p *pass, i int, c *cols, lo, n int) ([]int64, int8) {
	col := &c.c[p.cols[i]]
	if p.enum >= 0 {
		return k.buf[i][:n], col.Scale[lo]
	}
	return col.I64[lo : lo+n], col.Scale[lo]
}

// pick puts the rows that pass the filter together and returns their number and the
// place of the last one. It has no branch that depends on a row.
func (k *kernels) pick(p *pass, c *cols, lo, hi int) (n, last int) {
	enum := c.c[p.enum].I64[lo:hi]
	for _, e := range enum {
		n += isWord(e, p.code)
	}
	if n == 0 {
		return 0, 0
	}
	for j, col := range p.cols {
		at := 0
		buf := k.buf[j][:len(enum)]
		m := c.c[col].I64[lo:hi][:len(enum)]
		for i, e := range enum {
			buf[at] = m[i]
			at += isWord(e, p.code)
		}
	}
	last = hi - 1
	for c.c[p.enum].I64[last] != p.code {
		last--
	}
	return n, last
}

// isWord is 1 when two codes of an enum, which are not negative, are equal, else 0.
func isWord(e, code int64) int { return int(uint64((e^code)-1) >> 63) }
