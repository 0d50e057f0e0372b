package features

import (
	"math"
	"slices"

	"github.com/pinova-group/tidemark/features/op"
	"github.com/pinova-group/tidemark/features/plan"
)

// append adds the row with the features that the finish program computed, or leaves them for flush.
func (v *viewState) append(row *emitted) {
	n := v.out.Len()
	v.appendEnvelope(row)
	if v.direct != nil {
		v.wait()
		return
	}
	for k := range v.p.Outs {
		v.storeRow(k, n)
	}
	if v.alerts.m != nil {
		v.judgeRow(row)
	}
}

// appendEnvelope appends all of a row but its features.
func (v *viewState) appendEnvelope(row *emitted) {
	o := v.out
	o.Entity = append(o.Entity, row.ent)
	o.Start, o.End, o.RowTS = append(o.Start, row.start), append(o.End, row.end), append(o.RowTS, row.rowTS)
	o.Avail, o.Flags = append(o.Avail, row.avail), append(o.Flags, row.flags)
}

// storeRow appends feature k, which the finish program computed, of row n.
func (v *viewState) storeRow(k, n int) { v.storeValue(k, n, &v.fin.Regs[v.p.Outs[k].Reg]) }

func (v *viewState) storeValue(k, n int, x *op.Val) {
	d, c := &v.p.Outs[k], &v.out.Features[k]
	if !v.store(c, d, x, n) {
		c.setNull(n)
		if x.Ovf || !x.Null {
			v.out.Flags[n] |= FlagOverflow
		}
	}
}

func (c *OutCol) setNull(i int) {
	for len(c.Null) <= i>>6 {
		c.Null = append(c.Null, 0)
	}
	c.Null[i>>6] |= 1 << (i & 63)
}

// store appends the value of a feature, zero when it is null; false when it is null or
// does not fit its type.
func (v *viewState) store(c *OutCol, d *plan.Out, x *op.Val, n int) (ok bool) {
	switch d.As {
	case plan.F64:
		var f float64
		if f, ok = x.Float64(d.Kind); !ok {
			f = 0
		}
		c.F64 = append(c.F64, f)
	case plan.I64:
		var i int64
		if !x.Null {
			i, ok = x.Int64()
		}
		c.I64 = append(c.I64, i)
	case plan.Bool:
		ok = !x.Null
		b := int64(0)
		if ok {
			b = x.I
		}
		c.I64 = append(c.I64, b)
	case plan.Decimal:
		var hi int64
		var lo uint64
		if !x.Null {
			hi, lo, ok = x.Decimal(d.Kind, d.Scale, &v.task.sc)
		}
		c.Hi, c.Lo = append(c.Hi, hi), append(c.Lo, lo)
	default:
		if len(c.Off) == 0 {
			c.Off = append(c.Off, 0)
		}
		switch {
		case x.Null:
		case d.Words == nil:
			c.Bytes, ok = append(c.Bytes, x.T...), true
		default:
			if code, fits := x.Int64(); fits && code >= 0 && code < int64(len(d.Words)) {
				c.Bytes, ok = append(c.Bytes, d.Words[code]...), true
			}
		}
		if len(c.Bytes) > math.MaxInt32 {
			v.task.err = errText
		}
		c.Off = append(c.Off, int32(len(c.Bytes)))
	}
	return ok
}

// sortPassed orders the rows appended since v.outFrom. Only rows that a row view passes
// on from a parent with another entity key can be out of order, and only among those of
// one instant.
func (v *viewState) sortPassed() {
	if v.p.Shape == plan.RowView && v.p.Parent >= 0 {
		v.sortOut(v.outFrom)
	}
}

// sortOut orders the rows appended from a place on.
func (v *viewState) sortOut(from int) {
	o := v.out
	v.ents.ranks()
	cmp := func(a, b int) int {
		if o.RowTS[a] != o.RowTS[b] {
			if o.RowTS[a] < o.RowTS[b] {
				return -1
			}
			return 1
		}
		return int(v.ents.rank[o.Entity[a]]) - int(v.ents.rank[o.Entity[b]])
	}
	perm := make([]int, o.Len()-from)
	for i := range perm {
		perm[i] = from + i
	}
	if slices.IsSortedFunc(perm, cmp) {
		return
	}
	slices.SortStableFunc(perm, cmp)
	o.permute(from, perm)
}

// permute puts row perm[i] at from+i.
func (o *ViewRows) permute(from int, perm []int) {
	permute(o.Entity, from, perm)
	permute(o.Start, from, perm)
	permute(o.End, from, perm)
	permute(o.RowTS, from, perm)
	permute(o.Avail, from, perm)
	permute(o.Flags, from, perm)
	for k := range o.Features {
		c := &o.Features[k]
		null := slices.Clone(c.Null)
		for i, p := range perm {
			at := from + i
			if at>>6 < len(c.Null) {
				c.Null[at>>6] &^= 1 << (at & 63)
			}
			if p>>6 < len(null) && null[p>>6]>>(p&63)&1 == 1 {
				c.setNull(at)
			}
		}
		permute(c.F64, from, perm)
		permute(c.I64, from, perm)
		permute(c.Hi, from, perm)
		permute(c.Lo, from, perm)
		if len(c.Off) > 0 {
			text, off := slices.Clone(c.Bytes), slices.Clone(c.Off)
			c.Bytes, c.Off = c.Bytes[:off[from]], c.Off[:from+1]
			for _, p := range perm {
				c.Bytes = append(c.Bytes, text[off[p]:off[p+1]]...)
				c.Off = append(c.Off, int32(len(c.Bytes)))
			}
		}
	}
}

func permute[T any](s []T, from int, perm []int) {
	if len(s) == 0 {
		return
	}
	old := slices.Clone(s)
	for i, p := range perm {
		s[from+i] = old[p]
	}
}
