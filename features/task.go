package features

import "github.com/pinova-group/tidemark/market"

// Task is the state of a plan for one shard: slabs of words with a fixed stride for each
// entity. It has no clock, goroutine, lock or I/O; one caller at a time.
type Task struct {
	plan *Plan
}

// Push takes rows of one kind, in total order for each entity: live by time, history
// entity after entity. It keeps nothing of b. A row below the last mark of its kind is
// an error and ends the task.
func (t *Task) Push(b *market.Batch) error { return nil }

// Advance declares each input kind complete below its mark and appends the rows that
// this makes final, ordered by (row_ts, entity) within each view. Marks never fall;
// market.NoTime is a mark that says nothing.
func (t *Task) Advance(marks *[market.NumKinds]int64, out *Rows) error { return nil }

// Close declares the end of all input at event time last. Tumbling windows that hold
// events are emitted, flagged partial when they end after last+1; rolling windows up to
// the first grid point at or after last. The task takes nothing more.
func (t *Task) Close(last int64, out *Rows) error { return nil }

// Peek appends provisional rows of the open windows and changes nothing.
func (t *Task) Peek(out *Rows) {}

// OldestNeeded is the event time from which input of a kind is needed to rebuild this
// task as it stands, market.NoTime when none has come.
func (t *Task) OldestNeeded(kind market.Kind) int64 { return market.NoTime }

// AppendSnapshot appends the exact state. The same input history and marks give the same
// bytes, however they were cut into calls.
func (t *Task) AppendSnapshot(dst []byte) []byte { return dst }

// EntityNames returns the values of the view's entity columns; the caller must not
// change it. The number is valid until the next Push, Advance or Close.
func (t *Task) EntityNames(view int, entity uint32) []string { return nil }
