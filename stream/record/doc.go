// Package record makes Kafka records of events and of rows of views, and reads them back: a
// Confluent frame and one Protobuf message, straight from and to columns.
//
// Messages of events are those of package wire. A row of a view has a message of its own:
//
//	1 window_start, 2 window_end, 3 row_ts, 4 available_at   sfixed64, µs UTC
//	5 flags                                                  uint32
//	8 to 15                                                  string, the entity columns in their order
//	16 + i                                                   feature i of the view's version, absent when null
//
// Features are optional double, sint64, bool or string; a decimal is its text with all digits
// of its scale after the point. The numbers of a version never change: features follow the
// order of the spec, and a spec with another order has another version. The bytes are
// canonical (fields in the order of their numbers, zeros of 1 to 5 left out), so their hash
// stands for the row.
//
// What is needed once for each record (schema numbers, names) is looked up in arrays; once
// warm, neither way allocates.
package record
