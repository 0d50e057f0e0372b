package sink

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/lake"
	"github.com/pinova-group/tidemark/lake/file"
	"github.com/pinova-group/tidemark/run"
	"github.com/pinova-group/tidemark/stream/record"
)

// ledger reads records of the parity ledger.
type ledger struct {
	s    *Sink
	t    *table
	rows []lake.LedgerRow
}

// ledgerTable has no rows that could be known: nobody else writes those of a stream.
func (r *reading) ledgerTable() *table {
	return &table{known: &known{}, open: func(ctx context.Context) (*lake.Table, []file.Column, error) {
		tab, err := r.Lake.OpenLedger(ctx)
		if err != nil {
			return nil, nil, err
		}
		cols, err := tab.Columns()
		return tab, cols, err
	}}
}

func (l *ledger) read(ctx context.Context, in *input, recs []*kgo.Record) error {
	l.rows = l.rows[:0]
	for _, r := range recs {
		if r.Attrs.IsControl() || r.Offset < in.slots[0].next {
			continue
		}
		if err := l.record(r); err != nil {
			l.t.bad(l.s, in.slots[0], r, err)
		}
	}
	if len(l.rows) == 0 {
		return nil
	}
	keep := make([]int32, len(l.rows))
	for i := range keep {
		keep[i] = int32(i)
	}
	if err := l.t.add(ctx, lake.LedgerBatch(l.rows), keep); err != nil {
		return fmt.Errorf("table %s: %w: %w", l.t.name, errTable, err)
	}
	return nil
}

func (l *ledger) record(r *kgo.Record) error {
	d, err := record.ReadLedger(r.Value)
	if err != nil {
		return err
	}
	read := map[string]int64{}
	for _, in := range d.Inputs {
		read[fmt.Sprintf("%s/%d", in.Topic, in.Partition)] = in.Next
	}
	inputs, err := json.Marshal(read)
	if err != nil {
		return err
	}
	for _, v := range d.Views {
		row := lake.LedgerRow{
			Tx: fmt.Sprintf("topic/%s/%d/%d", r.Topic, r.Partition, r.Offset), Table: run.FeatureTable(&features.Output{Name: v.View.Name, Version: v.View.Version}),
			Fingerprint: hex.EncodeToString(v.View.Fingerprint[:]), Job: d.Job, Task: d.Task, Build: d.Build, Inputs: string(inputs), History: "served",
		}
		for _, c := range v.Cells {
			row.Hour, row.Sum = c.Hour, c.Sum
			l.rows = append(l.rows, row)
		}
	}
	return nil
}
