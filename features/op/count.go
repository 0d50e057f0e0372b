package op

func countFold(_ *Acc, st []uint64, _ *Val, _ int64, _ *Scratch) bool {
	st[0]++
	return true
}

func countUnfold(_ *Acc, st []uint64, _ *Val, _ int64, _ *Scratch) { st[0]-- }

func countMerge(_ *Acc, st, newer []uint64, _ *Scratch) bool {
	st[0] += newer[0]
	return true
}

func countLoad(_ *Acc, st []uint64, v *Val, _ int64, _ *Scratch) { v.SetInt(int64(st[0])) }
