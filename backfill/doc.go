// Package backfill computes rows of views from the events of a lake.
//
// Three steps, each of use by itself. Load compiles views and everything that they read. Pin
// fixes the event tables at one snapshot each. Compute then gives the rows of any range, the
// same bits whatever the range is cut into, because a row with row_ts in [a, b) depends on
// events in [a − lookback, b) alone (I2): it reads these, in one run of the engine over the
// whole plan, and leaves out the rows of other times. Tables of views are never read.
//
// The rest of the package is the command: what is to be done (Make), how (Run), and the one
// publication that it ends with.
package backfill
