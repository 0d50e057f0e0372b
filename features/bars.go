package features

// bars is the fused fold of price and quantity bars.
type bars struct {
	on bool
}

func (b *bars) match(k *kernels) {}

func (b *bars) fold(k *kernels, rec []uint64, c *cols, lo, hi int) {}
