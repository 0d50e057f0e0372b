// Package sequence turns events as they arrived into events in order: it decides once,
// and writes down, what a clock or a race could decide otherwise: order, identity,
// lateness, book state, gaps (I0). It is a state machine stepped by its caller: no
// clock, goroutine, file, log or random number.
//
// # Verdicts
//
// A line is (feed, kind, shard). M is the greatest event time of the line so far, dead
// letters left out. Its watermark is
//
//	W = max(M − disorder, T − 1 of the last watermark record, release point when the line started)
//
// where T is the event time of a KindWatermark row of the feed's shard ("nothing more
// before T"). A row is
//
//   - dead when its time is implausible or too far ahead of its ingest time (M stays);
//   - duplicate when its id is known and the first event with it is no older than the
//     feed's horizon behind the slowest live line of its feed and kind, late or not;
//   - late when event_ts ≤ W, W before the row, unless it is a status row: a row of the
//     input that says what has become of a line is never late. At or behind the release
//     point of status rows, its effective time is the microsecond above it, flag clamped;
//   - else in time, and applied when it is released.
//
// The release point of a kind is the least W of its live lines, never falling; rows with
// ts at or below it are released in the total order, and Marks is the point plus one. A
// line is live from its first row (or OpenLine) until a status row "down" or EndLine,
// and again from its next row; a line that starts or comes back starts at the release
// point. When no line is live, the point is the greatest event time of the kind. A kind
// without lines follows the watermark records of all shards.
//
// All of this is a function of the log's prefix: neither the cut into chunks, nor when
// Advance is called, nor a snapshot and restore in between changes a row or a verdict. One
// place among the rows of all kinds has the beginning of a line of trades, books or status
// rows: status rows may have left beyond it, and what is said of it is clamped then. A driver
// for which no line may depend on the cut opens all lines first, or, when it meets one that
// has not Begun, pushes what came before and advances; and it has trades and books in
// different chunks.
// The one input from outside the log is when OpenLine, EndLine, LiftLine and LiftKinds are
// called.
//
// # Numbers of trades
//
// Where trade numbers rise by one (SeqStep), a row whose number skips some is flagged
// gap as it leaves. The skipped numbers that have not left with a time within the feed's
// disorder of that row are gaps: status rows beside it, one for each range. So a venue's
// clock that steps back by less makes none. Status rows stay that much behind the trades.
//
// # Books
//
// Rows of KindBook are links of chains, one for each feed and instrument; see chain.
package sequence
