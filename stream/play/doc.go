// Package play writes recorded events into the topics of raw events as if they came now: in
// the order of their arrival, as fast as asked, by request with faults. The same input, faults
// and seed give the same records in each partition, so that play can go on where it was
// stopped.
//
// A payload of a venue goes as it was collected, if it can be read without those of other
// topics; else an event goes as one record of format event. Watermarks and statuses of the
// input go into all partitions, those that it has met so far, of the topics of their feed; at
// the end of the input a watermark of each feed follows, which says that nothing comes before
// the input's end.
package play
