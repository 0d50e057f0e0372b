// Package features is the engine: views compiled from specs, run as a stepped state
// machine over batches of sequenced events. It has no clock, goroutine, lock, log or
// I/O; the same log gives the same bits however it is cut into batches, sharded,
// snapshot or restored (invariant I1).
package features
