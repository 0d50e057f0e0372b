// Package stream holds the tasks of the streaming jobs: what a job does with the partitions
// it reads. A task is stepped by its caller, which knows the broker; it has no clock, and
// what leaves it is a function of how far each partition was read, not of how the
// partitions' records interleave or how often it was asked (I1). See docs/design/0005-stream.md.
package stream
