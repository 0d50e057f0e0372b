package features

import (
	"errors"
	"math"

	"github.com/pinova-group/tidemark/features/op"
	"github.com/pinova-group/tidemark/features/plan"
	"github.com/pinova-group/tidemark/market/num"
)

// A row view of a kind holds each row until the mark has passed it: a record with the
// columns that the view reads, two words each. The first is the value, of a text its
// place in v.texts; the second 1, with the scale in the byte above, or 0 for null.
const heldWords = 2

// heldWide marks a value that is an unsigned word (seq).
const heldWide = 1 << 16

// errText ends a task that would lose texts: places in them have 32 bits.
var errText = errors.New("texts held or emitted at once exceed what a task can address: advance in smaller steps")

// holdRow keeps row i of a batch.
func (v *viewState) holdRow(c *cols, ent uint32, i int) {
	at := v.slot(ent)
	r := v.panes.alloc()
	v.panes.node(r)[nodeAt] = uint64(c.ts[i])
	rec := v.panes.rec(r)
	v.meta(rec, c, i, i+1)
	v.loadRow(c, i)
	for k := range v.p.Inputs {
		in := &v.p.Inputs[k]
		x := &v.row.Regs[in.Reg]
		w := rec[plan.MetaWords+heldWords*k:]
		if x.Null {
			continue
		}
		w[1] = 1
		switch in.Kind {
		case op.KText:
			if int64(len(v.texts))+int64(len(x.T)) > math.MaxUint32 {
				v.task.err = errText
				return
			}
			w[0] = uint64(len(v.texts))<<32 | uint64(len(x.T))
			v.texts = append(v.texts, x.T...)
		case op.KBool:
			w[0] = uint64(x.I)
		default:
			w[0], w[1] = x.W[0], 1|uint64(x.S)<<8
			if !x.W.IsInt64() {
				w[1] |= heldWide
			}
		}
	}
	v.panes.push(&v.slots[at].closed, r)
	v.due = min(v.due, c.ts[i])
}

// emitHeld takes the entity's oldest row out.
func (v *viewState) emitHeld(i int32, row *emitted) {
	s := &v.slots[i]
	r := v.panes.pop(&s.closed)
	rec := v.panes.rec(r)
	row.start, row.end = row.rowTS, row.rowTS
	row.hold = int64(rec[plan.MetaHold])
	row.flags = uint8(rec[plan.MetaFlags])
	row.avail = max(row.end+row.hold, int64(rec[plan.MetaAvail]))
	for k := range v.p.Loads {
		ld := &v.p.Loads[k]
		x := &v.fin.Regs[ld.Reg]
		if ld.Kind != plan.LoadColumn {
			x.SetInt(row.rowTS) // window_start and window_end of a row are its time
			continue
		}
		v.loadHeld(x, rec[plan.MetaWords+heldWords*ld.Acc:], v.p.Inputs[ld.Acc].Kind)
	}
	v.fin.Run()
	v.handOn(row)
	v.panes.release(r)
}

func (v *viewState) loadHeld(x *op.Val, w []uint64, k op.Kind) {
	switch {
	case w[1] == 0:
		x.SetNull()
	case k == op.KText:
		x.SetText(v.texts[w[0]>>32 : w[0]>>32+w[0]&(1<<32-1)])
	case k == op.KBool:
		x.SetBool(w[0] != 0)
	case w[1]&heldWide != 0:
		x.SetDec(0, 0)
		x.W = num.Int192{w[0]}
	default:
		x.SetDec(int64(w[0]), int8(w[1]>>8))
	}
}

// dropTexts forgets the texts of rows that are out, moving those of held rows together
// when they are less than half.
func (v *viewState) dropTexts() {
	if len(v.texts) == 0 {
		return
	}
	live := 0
	v.eachText(func(w []uint64) { live += int(w[0] & (1<<32 - 1)) })
	if live*2 > len(v.texts) {
		return
	}
	kept := make([]byte, 0, live)
	v.eachText(func(w []uint64) {
		at, n := w[0]>>32, w[0]&(1<<32-1)
		w[0] = uint64(len(kept))<<32 | n
		kept = append(kept, v.texts[at:at+n]...)
	})
	v.texts = kept
}

// eachText calls f for the words of each text that is not null of the held rows.
func (v *viewState) eachText(f func(w []uint64)) {
	for i := range v.slots {
		for r := v.slots[i].closed.head; r != 0; r = v.panes.next(r) {
			for k := range v.p.Inputs {
				if w := v.panes.rec(r)[plan.MetaWords+heldWords*k:]; v.p.Inputs[k].Kind == op.KText && w[1] != 0 {
					f(w)
				}
			}
		}
	}
}

// passRow sends a row of the parent through a row view: it is complete when it comes.
func (v *viewState) passRow(ent uint32, from *emitted) {
	row := &v.now
	*row = *from
	row.ent, row.flags, row.empty = ent, from.flags&inherited, false
	for k := range v.p.Loads {
		ld := &v.p.Loads[k]
		x := &v.fin.Regs[ld.Reg]
		switch ld.Kind {
		case plan.LoadStart:
			x.SetInt(row.start)
		case plan.LoadEnd:
			x.SetInt(row.end)
		default:
			in := &v.p.Inputs[ld.Acc]
			x.Copy(&v.row.Regs[in.Reg], in.Kind)
		}
	}
	v.fin.Run()
	v.handOn(row)
}
