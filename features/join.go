package features

import (
	"cmp"
	"fmt"
	"slices"
	"sort"

	"github.com/pinova-group/tidemark/features/op"
	"github.com/pinova-group/tidemark/features/plan"
	"github.com/pinova-group/tidemark/market"
)

// joinState keeps the rows of a joined kind or view for one view: for each key a queue of
// records by time, one for each instant, the last in the total order. What no row that may
// still come can match is dropped.
type joinState struct {
	p    *plan.Join
	task *Task
	row  *op.Machine // over a joined row

	names []string // of each key
	index map[string]uint32
	keys  []joinKey
	left  []int32 // key by instrument or parent's entity, -1 when not met
	right []int32 // key by instrument or entity of the joined view
	own   []int32 // key by entity of the view itself
	key   []byte

	meta  [plan.MetaWords]uint64
	came  Flow
	fresh int // records since the last drop
	kept  int // records that it left
}

// joinKey is the queue of one key: records of plan.Join.Words words.
type joinKey struct {
	words []uint64
	head  int    // first word in use
	ent   uint32 // entity of the last record, of a joined view
	last  int64  // time of the last row that came
}

func newJoinState(t *Task, p *plan.Join) *joinState {
	return &joinState{p: p, task: t, row: op.NewMachine(p.Prog), index: map[string]uint32{}}
}

// number finds or registers a key by the texts of its columns.
func (j *joinState) number(name func(k int) string) uint32 {
	j.key = j.key[:0]
	for k := range j.p.Left {
		j.key = append(append(j.key, name(k)...), 0)
	}
	return j.numberOf(string(j.key))
}

func (j *joinState) numberOf(key string) uint32 {
	n, ok := j.index[key]
	if !ok {
		n = uint32(len(j.names))
		j.names, j.keys = append(j.names, key), append(j.keys, joinKey{last: market.NoTime})
		j.index[key] = n
	}
	return n
}

// cached is the key of a source, found once.
func (j *joinState) cached(of *[]int32, i int, name func(k int) string) uint32 {
	for len(*of) <= i {
		*of = append(*of, -1)
	}
	if (*of)[i] < 0 {
		(*of)[i] = int32(j.number(name))
	}
	return uint32((*of)[i])
}

// ofEvent is the key of row i of events, by the key columns of one side.
func (j *joinState) ofEvent(of *[]int32, refs []plan.Ref, c *cols, i int) uint32 {
	x := int(c.inst[i])
	name := func(k int) string {
		if refs[k].Source == plan.FeedName {
			return string(j.task.feeds.name(c.feed[i]))
		}
		return string(j.task.inst[x][refs[k].Source-plan.Exchange])
	}
	if slices.ContainsFunc(refs, func(r plan.Ref) bool { return r.Source == plan.FeedName }) {
		return j.number(name)
	}
	return j.cached(of, x, name)
}

// ofEntity is the key of an entity of a view.
func (j *joinState) ofEntity(of *[]int32, refs []plan.Ref, ents *entities, ent uint32) uint32 {
	return j.cached(of, int(ent), func(k int) string { return ents.names[ent][refs[k].Index] })
}

// push takes events of the joined kind.
func (j *joinState) push(b *market.Batch, c *cols) error {
	mark, first := j.task.marks[b.Kind], &j.task.first[b.Kind]
	for i := range b.N {
		if err := j.task.meet(int(b.Inst[i])); err != nil {
			return fmt.Errorf("push %s: %w", b.Kind, err)
		}
		ts := b.TS[i]
		if ts < mark || ts < market.MinEventTime {
			return fmt.Errorf("push %s: row at %s below the mark %s", b.Kind, market.FormatTime(ts), market.FormatTime(mark))
		}
		if *first == market.NoTime || ts < *first {
			*first = ts
		}
		key := &j.keys[j.ofEvent(&j.right, j.p.Right, c, i)]
		if ts < key.last {
			return fmt.Errorf("push %s: rows of one key of join %s go back in time", b.Kind, j.p.Alias)
		}
		key.last = ts
		j.task.loadEvent(j.p.Inputs, j.row.Regs, c, i)
		if !j.passes() {
			continue
		}
		clear(j.meta[:])
		j.task.meta(j.meta[:], c, i, i+1)
		j.take(key, ts)
	}
	return nil
}

// takeRow takes a row of the joined view, whose features are computed.
func (j *joinState) takeRow(from *viewState, row *emitted) {
	key := &j.keys[j.ofEntity(&j.right, j.p.Right, from.ents, row.ent)]
	if n := len(key.words); n > key.head && key.last == row.rowTS && slices.Compare(from.ents.names[row.ent], from.ents.names[key.ent]) < 0 {
		return // rows of one instant are ordered by their names
	}
	loadRowOf(j.p.Inputs, j.row.Regs, from, row)
	if !j.passes() {
		return
	}
	key.ent, key.last = row.ent, row.rowTS
	clear(j.meta[:])
	rowMeta(j.meta[:], row)
	j.take(key, row.rowTS)
}

func (j *joinState) passes() bool {
	j.row.Run()
	if j.p.Where < 0 {
		return true
	}
	w := &j.row.Regs[j.p.Where]
	return !w.Null && w.I == 1
}

// take appends the loaded row, in place of one of the same instant.
func (j *joinState) take(key *joinKey, ts int64) {
	j.came.Rows++
	n := j.p.Words
	if l := len(key.words); l > key.head && int64(key.words[l-n+plan.JoinTS]) == ts {
		key.words = key.words[:l-n]
	} else {
		j.fresh++
	}
	at := len(key.words)
	key.words = slices.Grow(key.words, n)[:at+n]
	rec := key.words[at:]
	clear(rec)
	rec[plan.JoinTS], rec[plan.JoinAvail] = uint64(ts), j.meta[plan.MetaAvail]
	rec[plan.JoinHold], rec[plan.JoinFlags] = j.meta[plan.MetaHold], j.meta[plan.MetaFlags]
	for k, at := range j.p.Kept {
		in := &j.p.Inputs[at]
		putCell(rec[j.p.Cells[k]:], &j.row.Regs[in.Reg], in.Kind)
	}
}

// after is the place of the first record of a key with a time of at least t.
func (j *joinState) after(key *joinKey, t int64) int {
	n := j.p.Words
	return sort.Search((len(key.words)-key.head)/n, func(k int) bool {
		return int64(key.words[key.head+k*n+plan.JoinTS]) >= t
	})
}

// match finds the record for a row of a key at time t, nil for none.
func (j *joinState) match(k uint32, t int64) []uint64 {
	key, n := &j.keys[k], j.p.Words
	limit := t
	if !j.p.Strict {
		limit = t + 1
	}
	at := j.after(key, limit) - 1
	if at < 0 {
		return nil
	}
	rec := key.words[key.head+at*n:][:n]
	if t-int64(rec[plan.JoinTS]) > j.p.MaxAge {
		return nil
	}
	return rec
}

// oldest is the first word that a row at or after mark can still match.
func (j *joinState) oldest(key *joinKey, mark int64) int {
	n := j.p.Words
	at := key.head + j.after(key, mark)*n
	if at > key.head && mark-int64(key.words[at-n+plan.JoinTS]) <= j.p.MaxAge {
		at -= n
	}
	return at
}

// drop forgets what no later row can match, when that is worth the walk.
func (j *joinState) drop(mark int64) {
	if j.fresh <= j.kept+64 {
		return
	}
	j.fresh, j.kept = 0, 0
	for i := range j.keys {
		key := &j.keys[i]
		key.head = j.oldest(key, mark)
		if left := len(key.words) - key.head; key.head > left {
			key.words = key.words[:copy(key.words, key.words[key.head:])]
			key.head = 0
		}
		j.kept += (len(key.words) - key.head) / j.p.Words
	}
}

// save writes the records that a row at or after mark can match, by key in order.
func (j *joinState) save(w *writer, mark int64) {
	order := make([]int, 0, len(j.keys))
	for i := range j.keys {
		if j.oldest(&j.keys[i], mark) < len(j.keys[i].words) {
			order = append(order, i)
		}
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(j.names[a], j.names[b]) })
	w.word(uint64(len(order)))
	for _, i := range order {
		words := j.keys[i].words[j.oldest(&j.keys[i], mark):]
		w.text(j.names[i])
		w.word(uint64(len(words) / j.p.Words))
		w.words(words)
	}
}

func (j *joinState) load(r *reader) {
	for range r.count(16) {
		key := &j.keys[j.numberOf(string(r.text()))]
		n := r.count(8 * j.p.Words)
		if r.bad || len(key.words) > 0 {
			r.bad = true
			return
		}
		for range n * j.p.Words {
			key.words = append(key.words, r.word())
		}
		for at := 0; at < len(key.words); at += j.p.Words {
			rec := key.words[at:][:j.p.Words]
			if at > 0 && int64(rec[plan.JoinTS]) <= key.last {
				r.bad = true
			}
			key.last = int64(rec[plan.JoinTS])
			for k, in := range j.p.Kept {
				kind := j.p.Inputs[in].Kind
				if cell := rec[j.p.Cells[k]:][:op.CellWords(kind)]; !validCell(cell, kind) {
					r.bad = true
					return
				}
			}
		}
		j.fresh += n
	}
}

// matchRow finds what the joins of a view give a held row at time t and adds what that
// says of its envelope.
func (v *viewState) matchRow(rec []uint64, t int64) {
	for k, j := range v.joins {
		if j.p.AtRows {
			v.matched[k] = j.match(uint32(rec[j.p.KeyWord]), t)
			addMatch(rec, v.matched[k])
		}
	}
}

func addMatch(rec, m []uint64) {
	if m == nil {
		rec[plan.MetaFlags] |= uint64(FlagStale)
		return
	}
	rec[plan.MetaAvail] = max(rec[plan.MetaAvail], m[plan.JoinAvail])
	rec[plan.MetaHold] = max(rec[plan.MetaHold], m[plan.JoinHold])
	rec[plan.MetaLastAvail] = max(rec[plan.MetaLastAvail], m[plan.JoinAvail]) // an empty window may carry what was joined
	rec[plan.MetaLastHold] = max(rec[plan.MetaLastHold], m[plan.JoinHold])
	rec[plan.MetaFlags] |= m[plan.JoinFlags]
}

// matchFeatures finds what the joins of a view give a row of a window, as of its row_ts.
func (v *viewState) matchFeatures(row *emitted) {
	for k, j := range v.joins {
		if !j.p.AtFeatures {
			continue
		}
		m := j.match(j.ofEntity(&j.own, j.p.Own, v.ents, row.ent), row.rowTS)
		v.matched[k] = m
		if m == nil {
			row.flags |= FlagStale
			continue
		}
		row.hold = max(row.hold, int64(m[plan.JoinHold]))
		row.flags |= uint8(m[plan.JoinFlags])
		row.avail = max(row.avail, row.end+row.hold, int64(m[plan.JoinAvail]))
	}
}

// loadMatched sets x to a joined column.
func (v *viewState) loadMatched(x *op.Val, in *plan.Input) {
	m := v.matched[in.Join]
	if m == nil {
		x.SetNull()
		return
	}
	loadCell(x, m[v.joins[in.Join].p.Cells[in.Ref.Index]:], in.Kind)
}

// keyRow puts the keys of a held row of events into its record.
func (v *viewState) keyRow(rec []uint64, c *cols, i int) {
	for _, j := range v.joins {
		if j.p.AtRows {
			rec[j.p.KeyWord] = uint64(j.ofEvent(&j.left, j.p.Left, c, i))
		}
	}
}

// keyParent puts the keys of a held row of the parent into its record.
func (v *viewState) keyParent(rec []uint64, from *viewState, row *emitted) {
	for _, j := range v.joins {
		if j.p.AtRows {
			rec[j.p.KeyWord] = uint64(j.ofEntity(&j.left, j.p.Left, from.ents, row.ent))
		}
	}
}
