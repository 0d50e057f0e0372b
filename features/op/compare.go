package op

// Compare orders two values of a kind, neither null: exact values, logarithms, floats.
func Compare(a, b *Val, k Kind) int {
	if k == KFloat {
		switch {
		case a.F < b.F:
			return -1
		case a.F > b.F:
			return 1
		}
		return 0
	}
	return cmpExact(&a.W, &b.W, a.S, b.S)
}
