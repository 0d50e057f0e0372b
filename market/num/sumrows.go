package num

// SumAddRows adds the decimals m[i] × 10^-s[i], run by run of equal scales; s is as long
// as m.
func SumAddRows(w []uint64, m []int64, s []int8) {
	s = s[:len(m)]
	for len(m) > 0 {
		n := ScaleRun(s)
		if n < 4 {
			for i, v := range m[:n] {
				SumAdd(w, v, s[i])
			}
		} else {
			SumAddRun(w, m[:n], s[0])
		}
		m, s = m[n:], s[n:]
	}
}

// selBlock is how many selected rows are gathered before they are folded.
const selBlock = 64

// SumAddRunSel is SumAddRun of the rows whose sel is 1; sel is 0 or 1 for each row. It
// returns how many that were.
func SumAddRunSel(w []uint64, m []int64, s int8, sel []uint8) int {
	sel = sel[:len(m)]
	var buf [selBlock]int64
	taken := 0
	for len(m) > 0 {
		n, k := min(selBlock, len(m)), 0
		for i, v := range m[:n] {
			buf[k&(selBlock-1)] = v
			k += int(sel[i])
		}
		SumAddRun(w, buf[:k], s)
		m, sel = m[n:], sel[n:]
		taken += k
	}
	return taken
}

// SumAddProdRunSel is SumAddProdRun of the rows whose sel is 1; it returns how many that
// were.
func SumAddProdRunSel(w []uint64, a, b []int64, sa, sb int8, sel []uint8) int {
	sel, b = sel[:len(a)], b[:len(a)]
	var x, y [selBlock]int64
	taken := 0
	for len(a) > 0 {
		n, k := min(selBlock, len(a)), 0
		for i, v := range a[:n] {
			x[k&(selBlock-1)], y[k&(selBlock-1)] = v, b[i]
			k += int(sel[i])
		}
		SumAddProdRun(w, x[:k], y[:k], sa, sb)
		a, b, sel = a[n:], b[n:], sel[n:]
		taken += k
	}
	return taken
}

// ScaleRun is the length of the run of equal scales that s begins with.
func ScaleRun(s []int8) int {
	if len(s) == 0 {
		return 0
	}
	first, n := s[0], 1
	for n+8 <= len(s) {
		q := s[n : n+8 : n+8]
		if (q[0]^first)|(q[1]^first)|(q[2]^first)|(q[3]^first)|(q[4]^first)|(q[5]^first)|(q[6]^first)|(q[7]^first) != 0 {
			break
		}
		n += 8
	}
	for n < len(s) && s[n] == first {
		n++
	}
	return n
}
