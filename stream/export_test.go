package stream

// The guarantees that tests take away.
const (
	NoTransaction = noTransaction
	NoReplay      = noReplay
	NoDrop        = noDrop
)

// Break takes a guarantee away.
func (j *Job) Break(b broken) { j.broken = b }

// Broken is a guarantee that Break takes away.
type Broken = broken
