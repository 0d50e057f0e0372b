package topic

import "github.com/zeebo/xxh3"

// Partition is the partition, of n, of all that belongs to a base asset: XXH3-64 of its name,
// modulo n. Symbols that do not split have base "", which is a base like others. n must be at
// least 1.
//
// Records carry their partition, so clients take kgo.ManualPartitioner.
func Partition(base string, n int) int32 { return int32(xxh3.HashString(base) % uint64(n)) }

// Kept is what is left of a partition.
type Kept struct {
	Deleted bool  // records at its beginning, by retention or by hand
	First   int64 // time of the first record, µs; market.NoTime: there is none
}
