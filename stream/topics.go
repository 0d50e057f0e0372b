package stream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ErrNoTopic says that a topic which the job reads or writes is not there.
var ErrNoTopic = errors.New("topic is not there")

// Nobody tells a member of a group that a topic was deleted: its reads just wait. So a worker
// looks at its topics before it begins, and every watchEvery; a broker that begins may not know all
// of them yet, so one look is no proof.
const (
	watchEvery = 1500 * time.Millisecond
	missesMax  = 3
)

// mayWork checks the job's topics before a session.
func (w *worker) mayWork(ctx context.Context) error {
	cl, err := kgo.NewClient(w.Options...)
	if err != nil {
		return err
	}
	defer cl.Close()
	for began := w.Now(); ; sleep(ctx, minRetry) {
		err := w.checkTopics(ctx, cl)
		if !lasting(err) || ctx.Err() != nil || w.Now().Sub(began) >= missesMax*watchEvery { // made just now, they may not be known yet
			return err
		}
	}
}

// watch tells fail when the job's topics are not as they must be any more.
func (w *worker) watch(ctx context.Context, cl *kgo.Client, fail func(error)) {
	for n := 0; ctx.Err() == nil; {
		sleep(ctx, watchEvery)
		err := w.checkTopics(ctx, cl)
		if !lasting(err) {
			n = 0
		} else if n++; n == missesMax {
			fail(err)
			return
		}
	}
}

func lasting(err error) bool { return errors.Is(err, ErrNoTopic) || errors.Is(err, ErrUnequal) }

// checkTopics compares the topics that the job reads and writes with each other, and with how
// they were first.
func (w *worker) checkTopics(ctx context.Context, cl *kgo.Client) error {
	names := append(slices.Clone(w.Topics), w.writes...)
	req := kmsg.NewPtrMetadataRequest()
	for _, name := range names {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = &name
		req.Topics = append(req.Topics, t)
	}
	resp, err := req.RequestWith(ctx, cl) // not what the client remembers
	if err != nil {
		return err
	}
	counts := map[string]int32{}
	for _, t := range resp.Topics {
		if t.Topic == nil {
			continue
		}
		switch err := kerr.ErrorForCode(t.ErrorCode); {
		case errors.Is(err, kerr.UnknownTopicOrPartition) || err == nil && len(t.Partitions) == 0:
			return fmt.Errorf("%w: %s", ErrNoTopic, *t.Topic)
		case err != nil:
			return fmt.Errorf("look at %s: %w", *t.Topic, err)
		}
		counts[*t.Topic] = int32(len(t.Partitions))
	}
	for _, name := range names {
		if counts[name] == 0 {
			return fmt.Errorf("%w: %s", ErrNoTopic, name)
		}
	}
	n, err := tasksOf(counts)
	switch {
	case err != nil:
		return err
	case w.partitions == 0:
		w.partitions = n
	case n != w.partitions:
		return fmt.Errorf("%w, and keep it: %s had %d, and has %d", ErrUnequal, names[0], w.partitions, n)
	}
	return nil
}
