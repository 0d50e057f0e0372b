// Package parity proves that two computations of a view gave the same rows without keeping
// them: the ledger (docs/parity.md). Each row has a hash of all that a consumer sees of it.
// Whoever writes rows writes beside them, for each view and hour of row_ts that he touched,
// how many there were and the sum of their hashes modulo 2^128: a delta. Readers add. Sums
// do not depend on order or batching, and unlike with XOR a row written twice shows.
//
// The package is pure: it knows neither Kafka nor the lake.
package parity
