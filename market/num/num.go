// Package num has the exact numbers of the pipeline: decimals (a mantissa and its own
// scale), sums that cannot lose a bit or depend on the order of their terms, exact
// ratios with one rounding at the end, and logarithms as fixed-point integers.
package num

import "errors"

// MaxScale is the largest number of digits after the point that a decimal may have.
const MaxScale = 18

// Errors of ParseDec.
var (
	ErrSyntax = errors.New("not a decimal number")
	ErrRange  = errors.New("decimal does not fit 63 bits with at most 18 digits after the point")
)

// Dec is the exact decimal M × 10^-S, 0 ≤ S ≤ MaxScale. Trailing zeros are kept as
// sent ("1.50" is {150, 2}): some venues' checksums need them.
type Dec struct {
	M int64
	S int8
}

// Int192 is a 192-bit two's complement integer, least significant word first. Addition
// wraps, so a sum is exact whenever its final value fits, whatever the order.
type Int192 [3]uint64
