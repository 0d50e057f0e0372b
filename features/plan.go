package features

import (
	"errors"

	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/market"
)

// Plan is a compiled set of views. It is immutable and shared by its tasks.
type Plan struct {
	outputs []Output
	inputs  []Input
	feeds   *market.Feeds
}

// Compile reads and checks spec files and plans the views in them and those that they
// refer to. Its error is a lang.Problems with everything that is wrong.
func Compile(src []Source, opt Options) (*Plan, error) {
	return nil, lang.Problems{{What: "the spec language is not linked in"}}
}

// Outputs lists the views, parents first.
func (p *Plan) Outputs() []Output { return p.outputs }

// Inputs lists the kinds that the plan reads, by kind.
func (p *Plan) Inputs() []Input { return p.inputs }

// NewTask makes empty state that emits rows with row_ts ≥ from; input before only warms
// it up. Instruments resolves the handles of the batches that will be pushed.
func (p *Plan) NewTask(insts *market.Instruments, from int64) *Task { return &Task{plan: p} }

// Restore rebuilds a task from AppendSnapshot. A snapshot of other fingerprints or
// another format is refused with ErrSnapshotMismatch, a damaged one with ErrCorrupt.
func (p *Plan) Restore(insts *market.Instruments, snap []byte) (*Task, error) {
	return nil, ErrCorrupt
}

// Errors of Restore.
var (
	ErrCorrupt          = errors.New("snapshot is damaged")
	ErrSnapshotMismatch = errors.New("snapshot is of other views or another format")
)
