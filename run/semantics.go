package run

import "github.com/pinova-group/tidemark/features/lang"

// Semantics is the number of the engine's semantics: the sum of the numbers of all
// operators, which only ever rise. Binaries with the same number give the same bits.
func Semantics() int {
	n := 0
	for _, v := range lang.Semantics {
		n += v
	}
	return n
}
