// Package tail reads topics of ours and says what is in each record, for people and scripts.
// It reads what is committed, belongs to no consumer group and leaves no trace.
package tail

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/stream/record"
	"github.com/pinova-group/tidemark/stream/topic"
)

// Where a reading may begin, besides at a time.
const (
	Earliest = market.NoTime
	End      = market.NoTime + 1
)

// Config says what is read.
type Config struct {
	Topic     string
	Partition int   // -1: all
	From      int64 // record time, µs; Earliest or End
	Limit     int64 // records at most; 0: no bound
	Follow    bool  // wait for more at the end
}

// Env is what reading needs.
type Env struct {
	Options []kgo.Opt
	Schemas *record.Schemas
	Kinds   *market.Kinds // that may be met, nil for the release's
	Feeds   *market.Feeds
	Outputs []features.Output // views whose rows may be met
}

// fetchWait is how long a broker may wait for more.
const fetchWait = 200 * time.Millisecond

// Tail hands records to each until there are no more, or ctx ends, which is no error. Those of
// a partition come in its order.
func Tail(ctx context.Context, cfg Config, env Env, each func(*Line) error) error {
	name, err := topic.Parse(cfg.Topic)
	if err != nil {
		return fault.Usage("topic_unknown", err.Error(), "tidemark topics list shows those that are there")
	}
	dec, err := newDecoder(ctx, name, env)
	if err != nil {
		return err
	}
	return read(ctx, cfg, env.Options, func(r *kgo.Record) error {
		line, err := dec.line(ctx, r)
		if err != nil {
			return err
		}
		return each(line)
	})
}

// read hands over records, as Tail does.
func read(ctx context.Context, cfg Config, opts []kgo.Opt, each func(*kgo.Record) error) error {
	from, ends, err := bounds(ctx, cfg, opts)
	if err != nil {
		return err
	}
	if len(ends) == 0 && !cfg.Follow {
		return nil
	}
	cl, err := kgo.NewClient(append(append([]kgo.Opt{}, opts...), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{cfg.Topic: from}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.FetchMaxWait(fetchWait))...)
	if err != nil {
		return err
	}
	defer cl.Close()
	// The broker's offset of a time is no later than the first record of it, but may be
	// earlier: marks of transactions have the time of writing.
	atTime := cfg.From != Earliest && cfg.From != End
	for n := int64(0); ; {
		fs := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err := fs.Err(); err != nil {
			return failed(cfg.Topic, err)
		}
		for it := fs.RecordIter(); !it.Done(); {
			r := it.Next()
			end, open := ends[r.Partition]
			if !cfg.Follow && (!open || r.Offset >= end) {
				delete(ends, r.Partition)
				continue // written meanwhile
			}
			if r.Offset+1 >= end {
				delete(ends, r.Partition)
			}
			if r.Attrs.IsControl() || atTime && r.Timestamp.UnixMicro() < cfg.From {
				continue
			}
			err := each(r)
			if ctx.Err() != nil { // told to end, as while it waits
				return nil
			}
			if err != nil {
				return err
			}
			if n++; n == cfg.Limit {
				return nil
			}
		}
		if len(ends) == 0 && !cfg.Follow {
			return nil
		}
	}
}

// bounds says where each partition is read from, and to: the end of what is committed.
func bounds(ctx context.Context, cfg Config, opts []kgo.Opt) (from map[int32]kgo.Offset, ends map[int32]int64, err error) {
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, nil, err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	last, err := adm.ListCommittedOffsets(ctx, cfg.Topic)
	if err == nil {
		err = last.Error()
	}
	if err != nil {
		return nil, nil, failed(cfg.Topic, err)
	}
	first := last
	switch cfg.From {
	case Earliest:
		first, err = adm.ListStartOffsets(ctx, cfg.Topic)
	case End:
	default:
		first, err = topic.After(ctx, adm, cfg.Topic, cfg.From)
	}
	if err == nil {
		err = first.Error()
	}
	if err != nil {
		return nil, nil, failed(cfg.Topic, err)
	}
	from, ends = map[int32]kgo.Offset{}, map[int32]int64{}
	for p, at := range first[cfg.Topic] {
		if cfg.Partition >= 0 && int(p) != cfg.Partition {
			continue
		}
		from[p] = kgo.NewOffset().At(at.Offset)
		if end := last[cfg.Topic][p].Offset; at.Offset < end {
			ends[p] = end
		}
	}
	if len(from) == 0 {
		return nil, nil, fault.Usage("partition_unknown", fmt.Sprintf("topic %s has no partition %d", cfg.Topic, cfg.Partition), fmt.Sprintf("it has %d, from 0", len(first[cfg.Topic])))
	}
	return from, ends, nil
}

func failed(name string, err error) error {
	f := &fault.Error{Code: "topic_unreadable", Message: "cannot read topic " + name, Why: err.Error(), Exit: fault.ExitFailed, Cause: err}
	switch {
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		f.Code, f.Exit, f.Message, f.Why = "topic_missing", fault.ExitNoTable, "there is no topic "+name, ""
		f.Remedy = "tidemark topics list shows those that are there"
	case errors.Is(err, kerr.TopicAuthorizationFailed):
		f.Exit, f.Remedy = fault.ExitDenied, "the user needs the rights Describe and Read of the topic"
	case strings.Contains(err.Error(), "unable to dial"):
		f.Remedy = "see that the brokers can be reached"
	}
	return f
}
