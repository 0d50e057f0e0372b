package features

import (
	"errors"
	"math"
	"slices"

	"github.com/pinova-group/tidemark/features/op"
	"github.com/pinova-group/tidemark/features/plan"
	"github.com/pinova-group/tidemark/market"
)

// A view whose rows cannot be worked out alone holds them until its mark has passed them:
// for each entity a queue of records in the total order. A record has the envelope of the
// row (the words of a state record), its times, its key where the view asks for it, and a
// cell for each column that the view reads.

// First word of a cell beside those of a value (op.PutCell): null, and null because
// something did not fit.
const (
	cellNull     = 0
	cellOverflow = 2
)

// errText ends a task that would lose texts: places in them have 32 bits.
var errText = errors.New("texts held or emitted at once exceed what a task can address: advance in smaller steps")

// holdRun keeps rows of an entity.
func (v *viewState) holdRun(c *cols, r run) {
	lo := r.lo
	if v.frames != nil {
		lo = v.holdColumns(c, r)
	}
	for i := lo; i < r.hi; i++ {
		v.holdRow(c, r.ent, i)
	}
}

// holdRow keeps row i of a batch.
func (v *viewState) holdRow(c *cols, ent uint32, i int) {
	ts := c.ts[i]
	rec := v.heldRec(ent, ts)
	v.task.meta(rec, c, i, i+1)
	rec[plan.HeldStart], rec[plan.HeldEnd] = uint64(ts), uint64(ts)
	if v.p.Keyed {
		v.putKey(rec[plan.HeldSrc:], c, i)
	}
	v.loadRow(c, i)
	v.putCells(rec)
	v.keyRow(rec, c, i)
}

// putKey writes the order key of row i of a batch but for its time.
func (v *viewState) putKey(to []uint64, c *cols, i int) {
	src := market.MakeSrc(c.feed[i], v.p.Kind)
	to[0] = uint64(src)<<32 | uint64(v.task.numbers[c.inst[i]])
	to[1], to[2] = uint64(c.epoch[i]), c.seq[i]
}

// holdParent keeps a row of the parent, whose columns are loaded.
func (v *viewState) holdParent(from *viewState, ent uint32, row *emitted) {
	rec := v.heldRec(ent, row.rowTS)
	rowMeta(rec, row)
	rec[plan.MetaRows] = 1
	rec[plan.HeldStart], rec[plan.HeldEnd] = uint64(row.start), uint64(row.end)
	if v.p.Keyed { // after everything of its instant
		rec[plan.HeldSrc], rec[plan.HeldEpoch], rec[plan.HeldSeq] = math.MaxUint64, math.MaxUint64, math.MaxUint64
	}
	v.putCells(rec)
	v.keyParent(rec, from, row)
}

// heldRec appends an empty record to the entity's queue.
func (v *viewState) heldRec(ent uint32, ts int64) []uint64 {
	at := v.slot(ent)
	r := v.held.alloc()
	v.held.node(r)[nodeAt] = uint64(ts)
	v.held.push(&v.slots[at].held, r)
	v.due = min(v.due, ts)
	return v.held.rec(r)
}

func (v *viewState) putCells(rec []uint64) {
	for _, k := range v.kept {
		in := &v.p.Inputs[k]
		v.putCell(rec[in.Cell:], &v.row.Regs[in.Reg], in.Kind)
	}
}

// keptInputs are the columns that held rows keep: not those that are joined when the row
// is complete, nor those that only the filter of a row view reads, before it is held.
func keptInputs(p *plan.View) (kept []int) {
	read := func(k int) bool {
		return p.Shape != plan.RowView || p.Late || slices.ContainsFunc(p.Loads, func(ld plan.Load) bool {
			return ld.Kind != plan.LoadStart && ld.Kind != plan.LoadEnd && ld.Acc == k
		})
	}
	for k := range p.Inputs {
		if p.Inputs[k].Ref.Source != plan.Joined && read(k) {
			kept = append(kept, k)
		}
	}
	return kept
}

// putCell keeps a value in an empty cell.
func (v *viewState) putCell(cell []uint64, x *op.Val, kind op.Kind) {
	if kind == op.KText && !x.Null {
		v.putText(cell, x.T)
	} else {
		putCell(cell, x, kind)
	}
}

// putCell keeps a value that is no text in an empty cell.
func putCell(cell []uint64, x *op.Val, kind op.Kind) {
	switch {
	case x.Null && x.Ovf:
		cell[0] = cellOverflow
	case x.Null:
	default:
		op.PutCell(cell, x, kind)
	}
}

// loadCell sets x to what a cell of a value that is no text holds.
func loadCell(x *op.Val, cell []uint64, kind op.Kind) {
	switch cell[0] {
	case cellNull:
		x.SetNull()
	case cellOverflow:
		x.SetOverflow()
	default:
		op.GetCell(x, cell, kind)
	}
}

// validCell reports whether words read from outside can be such a cell.
func validCell(cell []uint64, kind op.Kind) bool {
	return cell[0] == cellNull || cell[0] == cellOverflow || op.ValidCell(cell, kind)
}

// putText keeps a text in v.texts; its cell has the place.
func (v *viewState) putText(cell []uint64, t []byte) {
	if int64(len(v.texts))+int64(len(t)) > math.MaxUint32 {
		v.task.err = errText
		return
	}
	cell[0], cell[1] = 1, uint64(len(v.texts))<<32|uint64(len(t))
	v.texts = append(v.texts, t...)
}

func (v *viewState) textOf(cell []uint64) []byte {
	at, n := cell[1]>>32, cell[1]&(1<<32-1)
	return v.texts[at : at+n : at+n]
}

// loadCell sets x to column k of a held row.
func (v *viewState) loadCell(x *op.Val, rec []uint64, k int) {
	in := &v.p.Inputs[k]
	if in.Ref.Source == plan.Joined {
		v.loadMatched(x, in)
	} else {
		v.getCell(x, rec[in.Cell:], in.Kind)
	}
}

func (v *viewState) getCell(x *op.Val, cell []uint64, kind op.Kind) {
	if kind == op.KText && cell[0] == 1 {
		x.SetText(v.textOf(cell))
	} else {
		loadCell(x, cell, kind)
	}
}

// completeHeld loads a held row and what its joins give; false when it fails the filter,
// which has waited for them.
func (v *viewState) completeHeld(rec []uint64, t int64) bool {
	v.matchRow(rec, t)
	for k := range v.p.Inputs {
		v.loadCell(&v.row.Regs[v.p.Inputs[k].Reg], rec, k)
	}
	return !v.p.Late || v.wanted()
}

// nextHeld is the time of the entity's oldest held row, never for none.
func (v *viewState) nextHeld(i int32) int64 {
	if t := v.frames.nextColumn(i); t != never { // they come before the records
		return t
	}
	if r := v.slots[i].held.head; r != 0 {
		return int64(v.held.node(r)[nodeAt])
	}
	return never
}

// drain folds the held rows below mark into the windows, those of an entity in their order.
func (v *viewState) drain(mark int64) {
	if !v.p.Hold || v.p.Shape == plan.RowView {
		return
	}
	for i := range v.slots {
		for t := v.nextHeld(int32(i)); t < mark; t = v.nextHeld(int32(i)) {
			r := v.held.pop(&v.slots[i].held)
			v.foldHeld(int32(i), t, v.held.rec(r))
			v.held.release(r)
		}
	}
}

// foldHeld folds one held row.
func (v *viewState) foldHeld(i int32, ts int64, rec []uint64) {
	first := v.heldFirst(rec) // before the flags of what it joins
	if !v.completeHeld(rec, ts) {
		return
	}
	if v.p.Begins() {
		o := v.runRow(i, ts, first, heldOrigin(rec))
		v.foldBegun(i, ts, rowSource{held: rec}, o)
		return
	}
	if ts >= v.slots[i].end {
		v.enter(i, ts)
	}
	open := v.openRec(i)
	mergeMeta(open, rec)
	o := v.runRow(i, ts, first, heldOrigin(rec))
	scanMeta(open, o)
	lastScanned(open, o)
	v.foldArgs(open, v.slow, ts)
}

// emitHeld takes the entity's oldest row out of a row view. With frames it waits for the
// last row of its instant.
func (v *viewState) emitHeld(i int32, row *emitted) {
	s, m := &v.slots[i], v.fin
	r := v.held.pop(&s.held)
	rec := v.held.rec(r)
	first := v.heldFirst(rec) // before the flags of what it joins
	direct := !v.p.Late       // nothing else reads the columns of the row
	if direct {
		v.matchRow(rec, row.rowTS)
	} else if !v.completeHeld(rec, row.rowTS) {
		v.held.release(r)
		if v.frames != nil && v.nextHeld(i) != row.rowTS {
			v.runInstant()
		}
		return
	}
	if v.frames != nil {
		m = v.toInstant(i)
	}
	row.start, row.end = int64(rec[plan.HeldStart]), int64(rec[plan.HeldEnd])
	if v.p.Instants {
		row.start, row.end = row.rowTS-v.p.Window.Width, row.rowTS
	}
	row.hold = int64(rec[plan.MetaHold])
	row.flags = uint8(rec[plan.MetaFlags])
	row.avail = max(row.end+row.hold, int64(rec[plan.MetaAvail]))
	for k := range v.p.Loads {
		ld := &v.p.Loads[k]
		x := &m.Regs[ld.Reg]
		switch ld.Kind {
		case plan.LoadStart:
			x.SetInt(row.start)
		case plan.LoadEnd:
			x.SetInt(row.end)
		case plan.LoadColumn:
			if direct {
				v.loadCell(x, rec, ld.Acc)
				continue
			}
			in := &v.p.Inputs[ld.Acc]
			x.Copy(&v.row.Regs[in.Reg], in.Kind)
		}
	}
	if v.frames == nil {
		v.finishHeld(i, row, first, heldOrigin(rec))
		v.handOn(row)
	} else {
		v.finishInstant(i, row, first, heldOrigin(rec))
	}
	v.held.release(r)
}

// dropTexts forgets the texts of rows that are out, moving those of held rows together
// when they are less than half.
func (v *viewState) dropTexts() {
	if len(v.texts) == 0 {
		return
	}
	live := 0
	v.eachText(func(cell []uint64) { live += len(v.textOf(cell)) })
	if live*2 > len(v.texts) {
		return
	}
	kept := make([]byte, 0, live)
	v.eachText(func(cell []uint64) {
		t := v.textOf(cell)
		cell[1] = uint64(len(kept))<<32 | uint64(len(t))
		kept = append(kept, t...)
	})
	v.texts = kept
}

// eachText calls f for the cell of each text of the held rows that is not null.
func (v *viewState) eachText(f func(cell []uint64)) {
	for i := range v.slots {
		for r := v.slots[i].held.head; r != 0; r = v.held.next(r) {
			for k := range v.p.Inputs {
				in := &v.p.Inputs[k]
				if cell := v.held.rec(r)[in.Cell:]; in.Kind == op.KText && in.Ref.Source != plan.Joined && cell[0] == 1 {
					f(cell)
				}
			}
		}
	}
}

// passRow sends a row of the parent through a row view that does not hold it: it is
// complete when it comes.
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
	i := int32(-1)
	if v.p.Scans != nil {
		i = v.slot(ent)
	}
	v.finishHeld(i, row, false, op.Origin{Avail: row.avail, Hold: row.hold, Flags: row.flags})
	if i >= 0 {
		v.due = min(v.due, v.scansUntil(i))
	}
	v.handOn(row)
}

// saveHeld writes the held rows of an entity: fixed words as they are, texts by what they
// hold.
func (v *viewState) saveHeld(w *writer, i int32) {
	l, n := v.slots[i].held, 0
	for r := l.head; r != 0; r = v.held.next(r) {
		n++
	}
	cols := v.frames.columnsOf(i)
	w.word(uint64(cols.held() + n))
	rec := make([]uint64, v.p.Held)
	for k := range cols.held() {
		clear(rec)
		v.putColumns(rec, cols, cols.done+k)
		v.saveRow(w, cols.ts[cols.done+k], rec)
	}
	for r := l.head; r != 0; r = v.held.next(r) {
		v.saveRow(w, int64(v.held.node(r)[nodeAt]), v.held.rec(r))
	}
}

func (v *viewState) saveRow(w *writer, ts int64, rec []uint64) {
	w.word(uint64(ts))
	w.words(rec[:plan.HeldCells])
	for k := range v.p.Inputs {
		in := &v.p.Inputs[k]
		switch cell := rec[in.Cell:]; {
		case in.Ref.Source == plan.Joined:
		case in.Kind == op.KText && cell[0] == 1:
			w.word(1)
			w.text(string(v.textOf(cell)))
		default:
			w.words(cell[:op.CellWords(in.Kind)])
		}
	}
	for _, j := range v.joins {
		if j.p.AtRows {
			w.text(j.names[rec[j.p.KeyWord]])
		}
	}
}

func (v *viewState) loadHeld(r *reader, ent uint32) {
	n := r.count(8 * (1 + plan.HeldCells))
	for range n {
		rec := v.heldRec(ent, int64(r.word()))
		for k := range plan.HeldCells {
			rec[k] = r.word()
		}
		for k := range v.p.Inputs {
			if in := &v.p.Inputs[k]; in.Ref.Source != plan.Joined {
				v.readCell(r, rec[in.Cell:], in.Kind)
			}
		}
		for _, j := range v.joins {
			if j.p.AtRows {
				rec[j.p.KeyWord] = uint64(j.numberOf(string(r.text())))
			}
		}
		if r.bad {
			return
		}
	}
}

func (v *viewState) readCell(r *reader, cell []uint64, kind op.Kind) {
	cell[0] = r.word()
	if kind == op.KText && cell[0] == 1 {
		v.putText(cell, r.text())
		return
	}
	n := op.CellWords(kind)
	for k := 1; k < n; k++ {
		cell[k] = r.word()
	}
	if kind == op.KText && cell[0] != cellNull && cell[0] != cellOverflow || kind != op.KText && !validCell(cell[:n], kind) {
		r.bad = true
		cell[0] = cellNull
	}
}
