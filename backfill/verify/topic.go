package verify

import (
	"context"
	"fmt"

	"github.com/pinova-group/tidemark/backfill"
	"github.com/pinova-group/tidemark/lake"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/wire"
	"github.com/pinova-group/tidemark/parity"
	"github.com/pinova-group/tidemark/stream/record"
)

// topic looks at the ledger and the topic of the view instead of the tables: all rows are as served, and the ledger
// says up to when they are complete.
func (v *view) topic(ctx context.Context, first *int64) error {
	complete, start := map[int32]int64{}, map[int32]int64{}
	tasks := int32(1)
	deleted, err := v.c.Broker.Ledger(ctx, v.out.Name, func(d *parity.Delta) error {
		tasks = max(tasks, d.Tasks)
		if _, known := start[d.Task]; !known && d.Complete != 0 {
			start[d.Task] = d.Complete
		}
		complete[d.Task] = max(complete[d.Task], d.Complete)
		for _, vc := range d.Views {
			if vc.View.Name != v.out.Name || vc.View.Version != v.out.Version {
				continue
			}
			if vc.View.Fingerprint != v.out.Fingerprint {
				return fmt.Errorf("the ledger of the stream is of another spec: fingerprint %.6x…, not %.6x…", vc.View.Fingerprint, v.out.Fingerprint)
			}
			for _, c := range vc.Cells {
				v.ledger = append(v.ledger, lake.LedgerRow{Job: d.Job, Task: d.Task, Hour: c.Hour, Sum: c.Sum, Build: d.Build})
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if len(complete) < int(tasks) {
		v.sealed = market.MinEventTime // a task has not said anything yet
	}
	for _, ts := range complete {
		v.sealed = min(v.sealed, ts)
	}
	// Hours of which something was deleted are not looked at.
	whole := market.NoTime
	if deleted {
		for _, ts := range start {
			whole = max(whole, parity.HourOf(ts)+parity.Hour)
		}
	}
	since, err := v.c.Broker.Since(ctx, v.out.Name, v.out.Version)
	if err != nil {
		return err
	}
	if since != market.NoTime {
		whole = max(whole, parity.HourOf(since)+parity.Hour)
	}
	for i := range v.ledger {
		if h := v.ledger[i].Hour; *first == market.NoTime || h < *first {
			*first = h
		}
	}
	if whole != market.NoTime {
		*first = max(*first, whole)
		if v.from != market.NoTime {
			v.from = max(v.from, whole)
		}
	}
	return nil
}

// where says what is compared.
func (v *view) where() string {
	if v.c.Broker != nil {
		return "topic"
	}
	return "table"
}

// have hands over the rows that are compared with history.
func (v *view) have(ctx context.Context, r backfill.Range, yield func(int64, []byte) error) error {
	if v.c.Broker == nil {
		return v.stored(ctx, r, yield)
	}
	rd := &reader{dec: record.NewRowDecoder(1, v.out), out: v.out}
	return v.c.Broker.Rows(ctx, v.out.Name, v.out.Version, r.From, func(value []byte) error {
		_, message, err := wire.CutFrame(value)
		if err != nil {
			return err
		}
		if _, err := rd.read(message); err != nil {
			return err
		}
		if ts := rd.rows.RowTS[0]; ts >= r.From && ts < r.To {
			return yield(ts, message)
		}
		return nil
	})
}
