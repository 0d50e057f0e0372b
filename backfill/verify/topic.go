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
	"github.com/pinova-group/tidemark/stream/topic"
)

// topic looks at the ledger and the topic of the view instead of the tables: all rows are as served, and the ledger
// says up to when they are complete.
func (v *view) openTopic(ctx context.Context, first *int64) error {
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
	if deleted { // rows that were told before may be of the hour of the first one that is left
		for _, ts := range start {
			v.told = max(v.told, parity.HourOf(ts)+parity.Hour)
		}
	}
	if err := v.readKept(ctx); err != nil {
		return err
	}
	begins := func(h int64) {
		if *first == market.NoTime || h < *first {
			*first = h
		}
	}
	for i := range v.ledger {
		begins(v.ledger[i].Hour)
	}
	for _, k := range v.kept {
		if k.First != market.NoTime {
			begins(parity.HourOf(k.First))
		}
	}
	return nil
}

func (v *view) readKept(ctx context.Context) (err error) {
	v.kept, err = v.c.Broker.Kept(ctx, v.out.Name, v.out.Version)
	return err
}

// begins is the hour before which the topic has nothing because it was deleted, market.MinEventTime where nothing was.
func (v *view) begins() int64 {
	first, deleted := market.MaxEventTime, false
	for _, k := range v.kept {
		deleted = deleted || k.Deleted
		if k.First != market.NoTime {
			first = min(first, k.First)
		}
	}
	if !deleted {
		return market.MinEventTime
	}
	return parity.HourOf(first)
}

// gone reports whether a row that the topic does not have may have been deleted from it: those of a partition are in the order
// of their times.
func (v *view) gone(ts int64, entity []string) bool {
	if len(v.kept) == 0 {
		return false
	}
	_, base := record.RowKey(v.out.Entity, entity)
	k := v.kept[topic.Partition(base, len(v.kept))]
	return k.Deleted && (k.First == market.NoTime || ts <= k.First)
}

// deleted are the hours up to last that the topic has nothing of any more, and where others begin. One that the stream
// never wrote, as the ledger knows, is missing all the same.
func (v *view) deleted(ctx context.Context, last int64, stream map[int64]parity.Sum, known map[int64]bool) (hours []Hour, h int64, err error) {
	begins := v.begins()
	for h = v.from; h < min(last, begins); h += parity.Hour {
		hour := v.hour(h, parity.Sum{})
		hour.Verdict = Gone
		hour.tell(stream, known)
		if h >= v.told && !known[h] {
			served, err := sums(ctx, v.history(backfill.Served), backfill.Range{From: h, To: h + parity.Hour})
			if err != nil {
				return nil, 0, err
			}
			if hour.Served = served[h].Rows; hour.Served == 0 {
				continue
			}
			hour.Verdict, hour.Why = Missing, fmt.Sprintf("history has %d rows, the ledger of the stream none", hour.Served)
		}
		hours = append(hours, hour)
	}
	return hours, h, nil
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
