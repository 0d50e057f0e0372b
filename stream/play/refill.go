package play

import (
	"context"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/sequence"
	"github.com/pinova-group/tidemark/stream"
	"github.com/pinova-group/tidemark/stream/record"
	"github.com/pinova-group/tidemark/stream/topic"
)

// refill sequences what would go into raw partitions, each by itself as the sequence job does, and
// writes what would be in the processed ones. It steps after so many records, and when it is paced
// after a second of the input, so what it writes is a function of the input.
type refill struct {
	by    map[stream.TopicPartition]*stream.Offline
	lines []*stream.Offline // in order of appearance
	to    map[string]*target
	n     int   // records since the last step
	at    int64 // front of the input at that step
}

const refillStep = 4096

func newRefill() *refill {
	return &refill{by: map[stream.TopicPartition]*stream.Offline{}, to: map[string]*target{}}
}

// add takes a raw record.
func (f *refill) add(ctx context.Context, p *player, rec *kgo.Record, to *target, front int64) error {
	at := stream.TopicPartition{Topic: rec.Topic, Partition: rec.Partition}
	line := f.by[at]
	if line == nil {
		var err error
		if line, err = stream.NewOffline(stream.SequenceJobConfig{Schemas: p.env.Schemas, Kinds: p.cfg.Kinds}, at); err != nil {
			return err
		}
		f.by[at] = line
		f.lines = append(f.lines, line)
		f.to[to.out] = to
	}
	if err := line.Add(ctx, rec); err != nil {
		return err
	}
	if f.n++; f.n < refillStep && (p.cfg.Speed <= 0 || front < f.at+market.Second) {
		return nil
	}
	f.at = front
	return f.step(ctx, p)
}

// step writes what has become final.
func (f *refill) step(ctx context.Context, p *player) error {
	f.n = 0
	for _, line := range f.lines {
		recs, err := line.Step(ctx)
		if err != nil {
			return err
		}
		for _, r := range recs {
			if to := f.to[r.Topic]; to != nil { // late ones and dead letters are counted only
				if err := p.send(ctx, r, to, record.Header(r, record.HeaderOf) != nil, false); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// account is of all partitions.
func (f *refill) account() *sequence.Counts {
	var sum sequence.Counts
	for _, line := range f.lines {
		c := line.Account()
		sum.Add(&c)
	}
	return &sum
}

// processedOf is the processed topic that belongs to a raw one.
func processedOf(raw string) string {
	return topic.Processed.String() + strings.TrimPrefix(raw, topic.Raw.String())
}

// refuseFilled refuses a topic that has records of a time or later: events would come behind them.
func refuseFilled(ctx context.Context, cl *kgo.Client, name string, at int64) error {
	adm := kadm.NewClient(cl)
	later, err := topic.After(ctx, adm, name, at)
	if err != nil {
		return err
	}
	ends, err := adm.ListEndOffsets(ctx, name)
	if err != nil {
		return err
	}
	var filled error
	ends.Each(func(end kadm.ListedOffset) {
		if o, ok := later.Lookup(name, end.Partition); ok && o.Err == nil && o.Offset >= 0 && o.Offset < end.Offset && filled == nil {
			filled = &fault.Error{Code: "topic_filled", Message: fmt.Sprintf("%s has records behind which these would come", name), Where: fmt.Sprintf("%s/%d, offset %d", name, end.Partition, o.Offset), Exit: fault.ExitFailed,
				Remedy: "play later times, or delete the topic, make it anew with tidemark topics apply and play all that it is to have"}
		}
	})
	return filled
}
