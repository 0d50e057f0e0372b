package stream

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/market"
)

// Errors of a task.
var (
	// ErrBehind says that a partition brought a row below a mark that it had given before:
	// its log was not written by one sequencer.
	ErrBehind = errors.New("row lies behind the partition's watermark")
	// ErrOffset says that a partition was not read on from where it was read to.
	ErrOffset = errors.New("partition was not read on from its offset")
	// ErrCorrupt says that a snapshot is damaged or of another version.
	ErrCorrupt = errors.New("snapshot of a task is damaged")
	// ErrPartitions says that a snapshot is of other partitions.
	ErrPartitions = errors.New("snapshot of a task is of other partitions")
)

// Partition says what one partition of a sequenced log carries.
type Partition struct {
	Name  string // unique among those of a task, e.g. processed.spot.trade.kraken/3
	Kinds []market.Kind
}

// Features is a task of the features job: it takes partitions of the sequenced log, merges
// them by their marks, and gives the rows of its views. A kind is complete as far as each
// partition is that carries it. One caller at a time.
type Features struct {
	plan  *features.Plan
	insts *market.Instruments
	task  *features.Task

	parts  []partition
	hold   int64                   // no kind is handed on beyond it, µs
	since  int64                   // what lies before it is not of the partitions: see recall; market.NoTime: all is
	reads  [market.NumKinds]bool   // kinds that the plan reads
	pushed [market.NumKinds]int64  // rows of a kind below it are in the engine
	merges [market.NumKinds]merger // scratch
	spare  [market.NumKinds]*market.Batch
	lent   [market.NumKinds]int // see lend
	own    [market.NumKinds]*market.Batch
}

type partition struct {
	name    string
	carries [market.NumKinds]bool
	marks   [market.NumKinds]int64
	wait    [market.NumKinds]queue
	in, out [market.NumKinds]int64 // rows that came, and that were handed on
	next    int64                  // offset to be read next
	reread  int64                  // offsets below it have been read before: what they hold may be in the engine
	adds    []added                // calls of Add that rows are left of, oldest first
}

// added remembers at which offset rows that wait were read.
type added struct {
	offset int64
	in     [market.NumKinds]int64 // rows that came up to and with this call
}

// NewFeatures makes a task that has read nothing. Rows with row_ts before from are not
// emitted. Every kind that the plan reads must have a partition.
func NewFeatures(plan *features.Plan, insts *market.Instruments, parts []Partition, from int64) (*Features, error) {
	f, err := newFeatures(plan, insts, parts)
	if err != nil {
		return nil, err
	}
	f.task = plan.NewTask(insts, from)
	return f, nil
}

func newFeatures(plan *features.Plan, insts *market.Instruments, parts []Partition) (*Features, error) {
	f := &Features{plan: plan, insts: insts, hold: math.MaxInt64, since: market.NoTime}
	var carried [market.NumKinds]bool
	for _, p := range parts {
		part := partition{name: p.Name}
		for _, k := range p.Kinds {
			part.carries[k], carried[k] = true, true
		}
		for k := range part.marks {
			part.marks[k] = market.NoTime
		}
		f.parts = append(f.parts, part)
	}
	for _, in := range plan.Inputs() {
		f.reads[in.Kind] = true
		if !carried[in.Kind] {
			return nil, fmt.Errorf("views read %s, which no partition carries", in.Name)
		}
	}
	for k := range f.pushed {
		f.pushed[k] = market.NoTime
	}
	return f, nil
}

// Next is the offset at which partition p is to be read on.
func (f *Features) Next(p int) int64 { return f.parts[p].next }

// Add takes what offsets [offset, next) of partition p hold: rows of each kind in the total
// order. It keeps nothing of them. Offsets may be left out, as a broker does with its own
// records, but not given twice. An error ends the task.
func (f *Features) Add(p int, offset, next int64, rows *market.Chunk) error {
	part := &f.parts[p]
	if offset < part.next || next < offset {
		return fmt.Errorf("%s: %w: at %d, given [%d, %d)", part.name, ErrOffset, part.next, offset, next)
	}
	kept := false
	for k, b := range rows.Batches {
		if b == nil || b.N == 0 || !f.reads[k] {
			continue
		}
		if !part.carries[k] {
			return fmt.Errorf("%s: rows of kind %s, which it does not carry", part.name, f.plan.Kinds().Name(market.Kind(k)))
		}
		lo, err := f.known(part, market.Kind(k), b, offset, next)
		if err != nil {
			return err
		}
		if lo < b.N {
			part.wait[k].add(b, lo, b.N)
			part.in[k] += int64(b.N - lo)
			kept = true
		}
	}
	part.next = next
	if kept {
		part.adds = append(part.adds, added{offset, part.in})
	}
	return nil
}

// lend has rows that are appended to chunk, of kinds that the plan reads, come behind those of
// partition p that wait, in their place. Then took or unlend takes the place back.
func (f *Features) lend(p int, chunk *market.Chunk) {
	part := &f.parts[p]
	for k, reads := range f.reads {
		if !reads || !part.carries[k] {
			continue
		}
		q := &part.wait[k]
		if q.rows == nil {
			var c market.Chunk
			q.rows = c.BatchOf(market.Kind(k), f.plan.Kinds().Fields(market.Kind(k)))
		}
		q.restart()
		f.lent[k], f.own[k], chunk.Batches[k] = q.rows.N, chunk.Batches[k], q.rows
	}
}

// took is Add of the rows that were appended to a lent chunk. They have not been read before.
func (f *Features) took(p int, offset, next int64, chunk *market.Chunk) error {
	part, kept := &f.parts[p], false
	var wrong error
	for k, reads := range f.reads {
		if !reads || !part.carries[k] {
			continue
		}
		b, lo := part.wait[k].rows, f.lent[k]
		chunk.Batches[k] = f.own[k]
		if b.N == lo {
			continue
		}
		if err := f.behind(part, market.Kind(k), b.TS[lo], offset); err != nil {
			b.Truncate(lo)
			wrong = err
			continue
		}
		part.in[k] += int64(b.N - lo)
		kept = true
	}
	if kept {
		part.adds = append(part.adds, added{offset, part.in})
	}
	if wrong != nil {
		return wrong
	}
	return f.Add(p, offset, next, chunk) // what is left is no rows that it reads, or an error
}

// unlend takes the place back and drops what was appended.
func (f *Features) unlend(p int, chunk *market.Chunk) {
	part := &f.parts[p]
	for k, reads := range f.reads {
		if reads && part.carries[k] {
			part.wait[k].rows.Truncate(f.lent[k])
			chunk.Batches[k] = f.own[k]
		}
	}
}

// behind is the error of a row that lies behind what its partition has given.
func (f *Features) behind(part *partition, k market.Kind, ts, offset int64) error {
	done := max(f.pushed[k], part.marks[k])
	if ts >= done {
		return nil
	}
	return fmt.Errorf("%s: offset %d: %w: %s row of %s, complete below %s", part.name, offset, ErrBehind,
		f.plan.Kinds().Name(k), market.FormatTime(ts), market.FormatTime(done))
}

// known is the number of rows that the engine had before the task was restored.
func (f *Features) known(part *partition, k market.Kind, b *market.Batch, offset, next int64) (int, error) {
	if offset >= part.reread {
		recalled, _ := slices.BinarySearch(b.TS[:b.N], f.since)
		if recalled == b.N {
			return recalled, nil
		}
		return recalled, f.behind(part, k, b.TS[recalled], offset)
	}
	if next > part.reread {
		return 0, fmt.Errorf("%s: %w: [%d, %d) was read in part, up to %d", part.name, ErrOffset, offset, next, part.reread)
	}
	i, _ := slices.BinarySearch(b.TS[:b.N], max(f.pushed[k], f.since))
	return i, nil
}

// recall gives the engine rows from before the partitions, each kind in the total order and complete below a mark. From then
// on rows of the partitions that lie before since are left out.
func (f *Features) recall(rows *market.Chunk, marks *[market.NumKinds]int64) error {
	for k, b := range rows.Batches {
		if b == nil || b.N == 0 || !f.reads[k] {
			continue
		}
		if err := f.task.Push(b); err != nil {
			return fmt.Errorf("push %s events of the past: %w", f.plan.Kinds().Name(market.Kind(k)), err)
		}
	}
	below := *marks
	for k := range below {
		below[k] = min(below[k], f.since)
	}
	var none features.Rows // before the time from which rows are wanted
	if err := f.task.Advance(&below, &none); err != nil {
		return fmt.Errorf("advance over the past: %w", err)
	}
	return nil
}

// recalled reports whether partition p may bring rows that lie before since.
func (f *Features) recalled(p int) bool {
	part := &f.parts[p]
	for k, reads := range f.reads {
		if reads && part.carries[k] && part.marks[k] < f.since {
			return true
		}
	}
	return false
}

// Mark says that partition p brings no row of the kind below t any more. Marks that fall
// are those of offsets that are read again.
func (f *Features) Mark(p int, k market.Kind, t int64) {
	m := &f.parts[p].marks[k]
	*m = max(*m, t)
}

// complete is the time below which each kind is handed on, market.NoTime before the first.
func (f *Features) complete() [market.NumKinds]int64 {
	marks := f.whole()
	for k := range marks {
		marks[k] = min(marks[k], max(f.hold, f.pushed[k]))
	}
	return marks
}

// whole is the time below which each kind has been read.
func (f *Features) whole() [market.NumKinds]int64 {
	var marks [market.NumKinds]int64
	for k := range marks {
		marks[k] = market.NoTime
		if !f.reads[k] {
			continue
		}
		least := int64(math.MaxInt64)
		for p := range f.parts {
			if f.parts[p].carries[k] {
				least = min(least, f.parts[p].marks[k])
			}
		}
		marks[k] = max(least, f.since)
	}
	return marks
}

// Hold keeps what lies at t or later from being handed on, so that no row with such a row_ts
// comes out, until another Hold. A task that is beyond t stays where it is.
func (f *Features) Hold(t int64) { f.hold = t }

// Beyond reports whether some kind has been read beyond t.
func (f *Features) Beyond(t int64) bool {
	for k, m := range f.whole() {
		if f.reads[k] && m > t && market.ValidTime(m) {
			return true
		}
	}
	return false
}

// Whole is the time below which all kinds are handed on: no row that ends before it is open.
func (f *Features) Whole() int64 {
	t := int64(math.MaxInt64)
	for k, p := range f.pushed {
		if f.reads[k] {
			t = min(t, p)
		}
	}
	return t
}

// Complete is the time up to which rows may have come out: the greatest that any kind was
// handed on to, market.NoTime before the first.
func (f *Features) Complete() int64 {
	t := market.NoTime
	for k, p := range f.pushed {
		if f.reads[k] && market.ValidTime(p) {
			t = max(t, p)
		}
	}
	return t
}

// Step hands on what is complete and appends the rows that become final: none before all
// rows that waited in the snapshot are there again.
func (f *Features) Step(out *features.Rows) error {
	for p := range f.parts {
		if part := &f.parts[p]; part.next < part.reread {
			return nil
		}
	}
	marks := f.complete()
	for k := range marks {
		if marks[k] > f.pushed[k] {
			if err := f.push(market.Kind(k), marks[k]); err != nil {
				return err
			}
			f.pushed[k] = marks[k]
		}
	}
	for p := range f.parts {
		f.parts[p].forget()
	}
	if err := f.task.Advance(&marks, out); err != nil {
		return fmt.Errorf("advance: %w", err)
	}
	return nil
}

func (f *Features) push(k market.Kind, mark int64) error {
	m := &f.merges[k]
	m.runs, m.whole = m.runs[:0], m.whole[:0]
	for p := range f.parts {
		q := &f.parts[p].wait[k]
		if q.len() == 0 {
			continue
		}
		if to := q.below(mark); to > q.head {
			m.runs = append(m.runs, mergeRun{rows: q.rows, at: q.head, to: to})
			f.parts[p].out[k] += int64(to - q.head)
			q.head = to
		}
	}
	if len(m.runs) == 0 {
		return nil
	}
	if err := f.give(m); err != nil {
		return fmt.Errorf("push %s events: %w", f.plan.Kinds().Name(k), err)
	}
	for p := range f.parts {
		if q := &f.parts[p].wait[k]; q.rows != nil {
			f.spare[k] = q.compact(f.spare[k])
		}
	}
	return nil
}

// give gives the engine the runs of a merger: as they are, unless two have rows of one entity; where that was so once, they are
// merged from then on.
func (f *Features) give(m *merger) error {
	if len(m.runs) > 1 && !m.mixed {
		m.mixed = !f.task.Apart(m.batches())
	}
	if m.mixed && len(m.runs) > 1 {
		return f.task.Push(m.merge(f.insts.Numbers()))
	}
	for _, b := range m.batches() {
		if err := f.task.Push(b); err != nil {
			return err
		}
	}
	return nil
}

// forget drops the calls of which no row waits.
func (p *partition) forget() {
	n := 0
	for n < len(p.adds) && p.done(&p.adds[n]) {
		n++
	}
	p.adds = slices.Delete(p.adds, 0, n)
}

func (p *partition) done(a *added) bool {
	for k := range a.in {
		if a.in[k] > p.out[k] {
			return false
		}
	}
	return true
}

// Waiting is the number of rows that wait for other partitions.
func (f *Features) Waiting() int {
	n := 0
	for p := range f.parts {
		for k := range f.parts[p].wait {
			n += f.parts[p].wait[k].len()
		}
	}
	return n
}

// Ahead reports whether rows of partition p wait and nothing waits for it: to read it on
// would only have more rows wait. Not all partitions are ahead, so who reads those that are
// not gets on.
func (f *Features) Ahead(p int) bool {
	part, marks, waits := &f.parts[p], f.complete(), false
	for k := range marks {
		if !f.reads[k] || !part.carries[k] {
			continue
		}
		if part.marks[k] <= marks[k] && marks[k] != math.MaxInt64 {
			return false
		}
		waits = waits || part.wait[k].len() > 0
	}
	return waits
}

// EntityNames returns the names of an entity in rows of the view.
func (f *Features) EntityNames(view int, entity uint32) []string {
	return f.task.EntityNames(view, entity)
}

// Rewind is the offset from which partition p has to be read again after a restore from a
// snapshot made now: that of the oldest row that waits.
func (f *Features) Rewind(p int) int64 {
	if part := &f.parts[p]; len(part.adds) > 0 {
		return part.adds[0].offset
	}
	return f.parts[p].next
}

const featuresMagic = "TMFT\x01"

// AppendSnapshot appends the state. Rows that wait are not in it: each partition has to be
// read again from its Rewind.
func (f *Features) AppendSnapshot(dst []byte) []byte {
	at := len(dst)
	dst = append(dst, featuresMagic...)
	dst = binary.AppendUvarint(dst, uint64(len(f.parts)))
	for p := range f.parts {
		part := &f.parts[p]
		dst = appendText(dst, part.name)
		dst = binary.AppendVarint(dst, f.Rewind(p))
		dst = binary.AppendVarint(dst, part.next)
		dst = f.appendTimes(dst, &part.marks)
	}
	dst = f.appendTimes(dst, &f.pushed)
	dst = f.task.AppendSnapshot(dst)
	return seal(dst, at)
}

// appendTimes writes a time for each kind that the plan reads, in their order: numbers of
// user-defined kinds go by the plan, and so does the snapshot of the engine.
func (f *Features) appendTimes(dst []byte, times *[market.NumKinds]int64) []byte {
	for k, t := range times {
		if f.reads[k] {
			dst = binary.AppendVarint(dst, t)
		}
	}
	return dst
}

// RestoreFeatures rebuilds a task from AppendSnapshot, for the same plan and partitions in
// any order. Each partition then goes on at its Next, which is the Rewind of that time.
func RestoreFeatures(plan *features.Plan, insts *market.Instruments, parts []Partition, src []byte) (*Features, error) {
	f, err := newFeatures(plan, insts, parts)
	if err != nil {
		return nil, err
	}
	r, err := unseal(src, featuresMagic)
	if err != nil {
		return nil, err
	}
	if n := r.uvarint(); n != uint64(len(f.parts)) {
		return nil, fmt.Errorf("%w: %d, not %d", ErrPartitions, n, len(f.parts))
	}
	for range f.parts {
		name := r.text()
		i := slices.IndexFunc(f.parts, func(p partition) bool { return p.name == name })
		if i < 0 {
			return nil, fmt.Errorf("%w: %q", ErrPartitions, name)
		}
		part := &f.parts[i]
		part.next, part.reread = r.varint(), r.varint()
		f.times(&r, &part.marks)
	}
	f.times(&r, &f.pushed)
	if r.src == nil {
		return nil, ErrCorrupt
	}
	if f.task, err = plan.Restore(insts, r.src); err != nil {
		return nil, err
	}
	return f, nil
}

func (f *Features) times(r *reader, times *[market.NumKinds]int64) {
	for k := range times {
		if f.reads[k] {
			times[k] = r.varint()
		}
	}
}
