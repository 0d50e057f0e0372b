package topic

import (
	"context"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/pinova-group/tidemark/market"
)

// After gives for each partition of a topic the offset from which all records of a time or later (µs)
// are: that of the first such record, the end when there is none. Record times go back and forth within a
// partition; what is before the offset is of earlier times, what is after it may be. Timestamp is that of the
// record in ms, -1 when there is none.
//
// Kafka (4.3) looks into the first segment that has had such a record alone. It says that there is none when those were
// deleted by hand, whatever later segments have; then the offset is the start.
func After(ctx context.Context, adm *kadm.Client, name string, t int64) (kadm.ListedOffsets, error) {
	list := func(ask func(context.Context, ...string) (kadm.ListedOffsets, error)) (kadm.ListedOffsets, error) {
		offsets, err := ask(ctx, name)
		if err == nil {
			err = offsets.Error()
		}
		return offsets, err
	}
	ms := max(0, t/market.Millisecond) // record times are cut to ms
	at, err := list(func(ctx context.Context, names ...string) (kadm.ListedOffsets, error) {
		return adm.ListOffsetsAfterMilli(ctx, ms, names...)
	})
	if err != nil {
		return nil, err
	}
	none := false
	for _, o := range at[name] {
		none = none || o.Timestamp < 0
	}
	if !none {
		return at, nil
	}
	starts, err := list(adm.ListStartOffsets)
	if err != nil {
		return nil, err
	}
	newest, err := list(adm.ListMaxTimestampOffsets)
	if err != nil {
		return nil, err
	}
	for p, o := range at[name] {
		start, ok := starts.Lookup(name, p)
		last, there := newest.Lookup(name, p)
		if ok && there && o.Timestamp < 0 && start.Offset > 0 && start.Offset < o.Offset && last.Timestamp >= ms {
			o.Offset, o.Timestamp = start.Offset, last.Timestamp
			at[name][p] = o
		}
	}
	return at, nil
}
