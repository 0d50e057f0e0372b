package features

// kernels folds segments by columns for the accumulators that have such a form.
type kernels struct {
	v *viewState
}

func (k *kernels) init(v *viewState) {
	k.v = v
	for i := range v.p.Args {
		v.slow = append(v.slow, i)
	}
}

func (k *kernels) choose(accs []int) {}

func (k *kernels) fold(rec []uint64, c *cols, lo, hi int) {}
