package stream

import (
	"context"
	"time"
)

// pace keeps a transaction from beginning too soon after the one before. Kafka lets one wait that begins before the marks of
// that are in all partitions, and looks again after 20 ms (add.partitions.to.txn.retry.backoff.ms): beginning 3 ms later has its
// rows there sooner. Brokers that are not seen to do so are not waited for, and whether they still do is seen each ten seconds.
type pace struct {
	over  time.Time // the last transaction
	began time.Time // the one under way
	slow  time.Time // when the broker was last seen to let one wait
}

const (
	brokerWait = 20 * time.Millisecond
	apart      = 3 * time.Millisecond
	remembered = 10 * time.Second
	fewRecords = 1000 // are written much faster than that, if nothing waits
)

// begin waits until the next transaction should begin.
func (p *pace) begin(ctx context.Context, now func() time.Time) {
	if d := apart - now().Sub(p.over); now().Sub(p.slow) < remembered && d > 0 {
		sleep(ctx, d)
	}
	p.began = now()
}

// wrote notes that the broker has the records of the transaction under way.
func (p *pace) wrote(records int, now time.Time) {
	if records <= fewRecords && p.began.Sub(p.over) < apart && now.Sub(p.began) >= brokerWait {
		p.slow = now
	}
}
