package num

import "math/big"

// LnBySeries is the way of LnRatio that any input can take, a > b.
func LnBySeries(a, b Dec) int64 { return lnSlow(a, b) }

// LnByTables is the usual way of LnRatio, a > b.
func LnByTables(a, b Dec) (int64, bool) { return lnFast(a, b) }

// LnTables gives, for each factor of both tables, its arguments and its entry, then the
// two constants.
func LnTables(check func(table, i int, c uint32, ln *big.Int), constant func(n int64, ln *big.Int)) {
	for t, tab := range [][128]lnTab{lnTab1, lnTab2} {
		for i, e := range tab {
			check(t, i, e.c, (&Int192{e.lo, e.hi, 0}).Big(new(big.Int)))
		}
	}
	constant(2, ln2.Big(new(big.Int)))
	constant(10, ln10.Big(new(big.Int)))
}

// Sqrt128 is the integer square root behind Rat.Sqrt64.
func Sqrt128(hi, lo uint64) (uint64, bool) { return sqrt128(hi, lo) }

// LnSeries is the logarithm of n/d > 1 with as many bits as its rounding takes.
func LnSeries(n, d *big.Int) int64 { return lnSeries(n, d) }
