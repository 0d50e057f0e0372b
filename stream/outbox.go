package stream

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// outbox collects the records of one transaction. Its memory is used again by the next one,
// so a record is good until reset.
type outbox struct {
	recs  []*kgo.Record
	n     int        // records in use
	runs  []topicRun // of the records in use
	bytes []byte
	known []int64 // when rows could first be known, µs
}

// topicRun is how many records in a row are for a topic.
type topicRun struct {
	topic string
	n     int
}

// reset empties the outbox once its records are acknowledged.
func (o *outbox) reset() { o.n, o.runs, o.bytes, o.known = 0, o.runs[:0], o.bytes[:0], o.known[:0] }

// add appends a record for a place and time (µs), and returns it for its key, value and headers.
func (o *outbox) add(topic string, partition int32, ts int64) *kgo.Record {
	if o.n == len(o.recs) {
		// Beside each other, with their headers, they are found sooner: each is gone through three times.
		more := make([]struct {
			kgo.Record
			headers [2]kgo.RecordHeader
		}, 64)
		for i := range more {
			more[i].Headers = more[i].headers[:0]
			o.recs = append(o.recs, &more[i].Record)
		}
	}
	r := o.recs[o.n]
	o.n++
	if n := len(o.runs); n == 0 || o.runs[n-1].topic != topic {
		o.runs = append(o.runs, topicRun{topic: topic})
	}
	o.runs[len(o.runs)-1].n++
	*r = kgo.Record{Topic: topic, Partition: partition, Timestamp: time.UnixMicro(ts), Headers: r.Headers[:0]}
	return r
}

// keep makes bytes that live as long as the records: fill appends them.
func (o *outbox) keep(fill func(dst []byte) []byte) []byte {
	n := len(o.bytes)
	o.bytes = fill(o.bytes)
	return o.bytes[n:len(o.bytes):len(o.bytes)]
}
