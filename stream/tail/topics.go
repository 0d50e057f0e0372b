package tail

import (
	"context"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/parity"
	"github.com/pinova-group/tidemark/stream/record"
	"github.com/pinova-group/tidemark/stream/topic"
)

// Topics reads the topics of rows and the ledgers of a stream as they are: what holds a stream to history wants.
type Topics struct {
	Options []kgo.Opt
	Jobs    map[string]string // the job that writes a view
}

// Rows hands over the values of the committed records of a view's topic, those of a time on.
func (t *Topics) Rows(ctx context.Context, view string, version int, from int64, yield func(value []byte) error) error {
	name, err := topic.Name{Class: topic.Feature, View: view, Version: version}.Topic()
	if err != nil {
		return err
	}
	cfg := Config{Topic: name, Partition: -1, From: Earliest}
	if from != market.NoTime {
		cfg.From = max(0, market.FloorDiv(from, market.Millisecond)*market.Millisecond) // record times are ms
	}
	if err := read(ctx, cfg, t.Options, func(r *kgo.Record) error { return yield(r.Value) }); err != nil {
		return err
	}
	return ctx.Err() // that is no end here
}

// Kept says what is left of each partition of a view's topic.
func (t *Topics) Kept(ctx context.Context, view string, version int) ([]topic.Kept, error) {
	name, err := topic.Name{Class: topic.Feature, View: view, Version: version}.Topic()
	if err != nil {
		return nil, err
	}
	starts, err := t.starts(ctx, name)
	if err != nil {
		return nil, err
	}
	kept := make([]topic.Kept, len(starts))
	for p, offset := range starts {
		k := &kept[p]
		k.Deleted, k.First = offset > 0, market.NoTime
		err := read(ctx, Config{Topic: name, Partition: int(p), From: Earliest, Limit: 1}, t.Options, func(r *kgo.Record) error {
			k.First = r.Timestamp.UnixMicro()
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return kept, ctx.Err()
}

// Ledger hands over what the job of a view has told.
func (t *Topics) Ledger(ctx context.Context, view string, yield func(*parity.Delta) error) (deleted bool, err error) {
	name, err := topic.Name{Class: topic.Ledger, Job: t.Jobs[view]}.Topic()
	if err != nil {
		return false, err
	}
	starts, err := t.starts(ctx, name)
	if err != nil {
		return false, err
	}
	for _, offset := range starts {
		deleted = deleted || offset > 0
	}
	err = read(ctx, Config{Topic: name, Partition: -1, From: Earliest}, t.Options, func(r *kgo.Record) error {
		d, err := record.ReadLedger(r.Value)
		if err != nil {
			return err
		}
		return yield(&d)
	})
	if err == nil {
		err = ctx.Err()
	}
	return deleted, err
}

func (t *Topics) starts(ctx context.Context, name string) (map[int32]int64, error) {
	cl, err := kgo.NewClient(t.Options...)
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	list, err := kadm.NewClient(cl).ListStartOffsets(ctx, name)
	if err == nil {
		err = list.Error()
	}
	if err != nil {
		return nil, failed(name, err)
	}
	m := map[int32]int64{}
	for p, o := range list[name] {
		m[p] = o.Offset
	}
	return m, nil
}
