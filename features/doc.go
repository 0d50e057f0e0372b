// Package features is the engine: views compiled from specs, run as a stepped state
// machine over batches of sequenced events. It has no clock, goroutine, lock, log or
// I/O; the same log gives the same bits however it is cut into batches, sharded,
// snapshot or restored (I1).
//
// A Plan is compiled once and shared; a Task is the state of one shard. Push folds rows,
// Advance emits what marks make final, Close ends the input.
//
// # How a row comes about
//
// Rows of a batch are grouped by entity (stage), filtered, and cut into segments of one
// entity and one pane. A pane is a stretch of the window's grid: of a tumbling window the
// window itself, of a rolling one the greatest common divisor of width and step. Each
// segment is folded into the open pane's record, a fixed run of words: by kernels, column
// by column, where an accumulator has such a form, else row by row through the row
// program, which is the definition. A row beyond the pane's end closes it. Advance merges
// the entities' next rows by (row_ts, names), works each out by the finish program, with
// one rounding where it is stored, and hands it on to the views that read this one.
//
// # What rows mean
//
//   - A window [start, end) holds the rows with start ≤ ts < end; a rolling window (t − w, t]
//     holds its right end. row_ts is end − 1 µs, or t. A row of a view counts at its row_ts.
//   - Rows of a view that share an instant are ordered by entity names; a row view passes
//     on the order of what it reads.
//   - A latest window takes of each member the newest row at or before t that is at most
//     max_age old. Rows are held until the mark passes t; the group is worked out in passes
//     (package plan, Cross), so that an aggregate may name what others gave.
//   - first and last go by the total order. Sums, means, variances are exact: var is
//     (n·S2 − S1²)/(n·(n − ddof)), null when n ≤ ddof; std its root, rounded once.
//   - time_mean weighs a value by the time from its event to the next event that has one,
//     or the end of the window. The value from before the window counts from the window's
//     start when its event is at most carry older; without one, time begins with the
//     window's first value. Null in a window without a value of its own.
//   - quantile returns the middle of a bucket of package op's histogram.
//   - Empty windows (empty: flat, nulls) are emitted while they begin at most carry after
//     the entity's last event. In a flat row first, last, min, max and mean carry the last
//     value of their argument, unless that too is older than carry (so that lookback
//     holds, I2); counts and sums are 0, all else is null. In a row of nulls nothing is
//     carried.
//   - available_at is max(end + hold, newest ingest time), hold the greatest disorder of
//     the feeds that contributed; of an empty window that of the feed of the entity's last
//     event. A row of a view brings its own available_at and hold.
//   - Flags gap, assumed and partial pass from a row to what is computed from it.
//
// # What is kept
//
// Open panes in one slab, closed ones and those of rolling windows in an arena, sets of
// distinct and quantile in another, rows of frames that need no programs in columns of
// each entity; entities that no later row depends on are forgotten
// (F5). Nothing is allocated for an event or a row once the slabs have grown.
package features
