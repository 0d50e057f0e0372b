// Package market holds the words that every other package speaks: event kinds and
// their schemas, the envelope, the total order of events, exact numbers, feeds,
// instruments, and the column batch that carries events from an adapter to the
// sequencer, the engine, Kafka and Parquet without copies.
//
// It knows no clock, no file, no network and no other package of this module but
// market/num. Times are int64 microseconds since the Unix epoch, UTC, everywhere.
package market
