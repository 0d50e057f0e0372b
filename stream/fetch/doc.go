// Package fetch reads partitions as they are stored: batches of records, without an object for
// each record. It reads committed records only. The client's own fetches make a record of some
// two hundred bytes with headers of its own for each; where a million events a second are read
// that is a third of the work.
package fetch
