package features

import (
	"github.com/pinova-group/tidemark/market"
)

// Plain returns the plan with every kernel off: all folds go row by row through the row
// program, the definition that kernels are tested against.
func (p *Plan) Plain() *Plan {
	q := *p
	q.plain = true
	return &q
}

// Decode reads the body of a snapshot as Restore does after its checksum.
func (p *Plan) Decode(body []byte) (*Task, error) { return p.decode(nil, body) }

// DecodeWith is Decode with a registry of instruments.
func (p *Plan) DecodeWith(insts *market.Instruments, body []byte) (*Task, error) {
	return p.decode(insts, body)
}

// SnapshotBody is the part of a snapshot that Decode reads.
func SnapshotBody(snap []byte) []byte { return snap[len(snapshotMagic) : len(snap)-16] }

// Alone compiles as Compile does, but lets views share no panes.
func Alone(src []Source, opt Options) (*Plan, error) {
	opt.alone = true
	return Compile(src, opt)
}

// Hidden is the number of views that only make panes for others.
func (p *Plan) Hidden() int { return len(p.views) - len(p.outputs) }

// JoinWords is how many words the joins of a task keep.
func (t *Task) JoinWords() int {
	n := 0
	for _, v := range t.views {
		for _, j := range v.joins {
			for i := range j.keys {
				n += cap(j.keys[i].words)
			}
		}
	}
	return n
}

// FastFrames is how many entities of all views have frames that go without programs, and
// how many have to go with them for now.
func (t *Task) FastFrames() (fast, slow int) {
	for _, v := range t.views {
		if v.frames == nil {
			continue
		}
		for _, e := range v.frames.state {
			switch {
			case e == nil:
			case e.fast != nil && e.fast.on:
				fast++
			default:
				slow++
			}
		}
	}
	return fast, slow
}

// PlaceTimes is where rows go whose times have a number of bits.
func PlaceTimes(times []uint64, width int, begin uint32) []uint32 {
	f := &frames{times: times, to: make([]uint32, len(times))}
	f.place(width, begin)
	return f.to
}

// Quotient is how frames divide.
func Quotient(n, den int64, scale int8) float64 { return quotient(n, den, scale) }

// Families is the number of views in each family of bars.
func (p *Plan) Families() []int {
	var n []int
	for _, f := range p.families {
		n = append(n, len(f))
	}
	return n
}

// Memories is the memory of each view by part.
func (t *Task) Memories() (parts []string, of [][]int) {
	for _, m := range t.memories() {
		of = append(of, m[:])
	}
	return memNamed[:], of
}

// Predicted is what the plan predicts by part.
func (p *Plan) Predicted(sizes []StateSize, s Span) (of [][]int) {
	for _, m := range p.predict(sizes, s) {
		of = append(of, m[:])
	}
	return of
}
