// Package gen simulates exchanges: a market of several venues, as a function of a seed,
// with faults of a chosen kind and share, and with the truth about every record it hands
// out: what the sequencer's verdict must be. It is the test bench of the project and
// what a first run works on.
//
// The market and its faults draw from separate random streams: the same seed with other
// faults is the same market, observed worse. All arithmetic is on integers, so a seed
// gives the same bytes on every machine.
package gen
