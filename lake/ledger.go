package lake

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pinova-group/tidemark/lake/file"
	"github.com/pinova-group/tidemark/parity"
)

// LedgerTable is the table of the parity ledger: what each transaction of a streaming job and
// each publication adds to the rows of a feature table, by hour (docs/parity.md).
const LedgerTable = "ops.ledger"

const (
	colTx   = "tx"
	colHour = "hour"
)

// LedgerColumns are the columns of LedgerTable.
func LedgerColumns() []file.Column {
	return []file.Column{
		{ID: 1, Name: colTx, Type: file.String, Doc: "what added it: publication/ID/TABLE, or topic/TOPIC/PARTITION/OFFSET of a record of a stream's ledger"},
		{ID: 2, Name: "table_name", Type: file.String},
		{ID: 3, Name: colHour, Type: file.Timestamptz, Doc: "rows with row_ts in the hour that begins here"},
		{ID: 4, Name: "rows", Type: file.Long, Unit: "rows", Doc: "added; fewer than none were removed"},
		{ID: 5, Name: "sum", Type: file.String, Doc: "added to the sum of the rows' 128-bit XXH3, modulo 2^128, hexadecimal"},
		{ID: 6, Name: "fingerprint", Type: file.String, Doc: "of the view, hexadecimal"},
		{ID: 7, Name: "job", Type: file.String, Doc: "of a stream; of a publication empty"},
		{ID: 8, Name: "task", Type: file.Int},
		{ID: 9, Name: "build", Type: file.String, Doc: "version of the program that computed the rows"},
		{ID: 10, Name: "inputs", Type: file.String, Doc: "offsets or snapshots that were read"},
		{ID: 11, Name: "history", Type: file.String, Doc: "served, corrected, or empty where it is not known"},
	}
}

// LedgerRow is one delta.
type LedgerRow struct {
	Tx          string
	Table       string // feature.…
	Hour        int64
	Sum         parity.Sum
	Fingerprint string
	Job         string // "" of a publication
	Task        int32
	Build       string
	Inputs      string
	History     string
}

// Publication is the id of the publication that added it, "" for a stream's.
func (r *LedgerRow) Publication() CommitID {
	rest, ok := strings.CutPrefix(r.Tx, "publication/")
	id, _, _ := strings.Cut(rest, "/")
	if !ok {
		return ""
	}
	return CommitID(id)
}

// OpenLedger finds the table of the ledger, or makes it.
func (l *Lake) OpenLedger(ctx context.Context) (*Table, error) {
	t, err := l.Load(ctx, LedgerTable)
	if errors.Is(err, ErrNoTable) {
		t, err = l.Create(ctx, LedgerTable, Definition{Columns: LedgerColumns(), Partition: []Partition{{Column: colHour, Transform: "month"}}, Sort: []string{"table_name", colHour},
			Doc: "parity ledger: what transactions of streams and publications add to feature tables; those of publications that are not in ops.publications do not count"})
		if errors.Is(err, ErrExists) {
			t, err = l.Load(ctx, LedgerTable)
		}
	}
	return t, err
}

// LedgerBatch is deltas as rows of the ledger's table.
func LedgerBatch(rows []LedgerRow) *file.Batch {
	b := &file.Batch{N: len(rows), Cols: make([]file.Col, len(LedgerColumns()))}
	dict := file.NewDict()
	text := func(col int, s string) {
		b.Cols[col].Dict = dict
		b.Cols[col].I32 = append(b.Cols[col].I32, dict.Code([]byte(s)))
	}
	for i := range rows {
		r := &rows[i]
		text(0, r.Tx)
		text(1, r.Table)
		b.Cols[2].I64 = append(b.Cols[2].I64, r.Hour)
		b.Cols[3].I64 = append(b.Cols[3].I64, r.Sum.Rows)
		text(4, r.Sum.Checksum())
		text(5, r.Fingerprint)
		text(6, r.Job)
		b.Cols[7].I32 = append(b.Cols[7].I32, r.Task)
		text(8, r.Build)
		text(9, r.Inputs)
		text(10, r.History)
	}
	return b
}

// Ledger lists the deltas of a feature table, of hours that begin in [from, to), by hour. Those
// of publications that were not made are left out.
func (l *Lake) Ledger(ctx context.Context, name string, from, to int64) ([]LedgerRow, error) {
	t, err := l.Load(ctx, LedgerTable)
	if errors.Is(err, ErrNoTable) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	rows, err := t.ledger(ctx, name, from, to)
	if err != nil {
		return nil, err
	}
	// Publications are looked at after the ledger: what was made meanwhile counts.
	feature, err := l.Load(ctx, name)
	if err != nil {
		return nil, err
	}
	all, err := l.Publications(ctx)
	if err != nil {
		return nil, err
	}
	made := map[CommitID]bool{}
	for _, p := range all {
		made[p.ID] = true
	}
	rows = slices.DeleteFunc(rows, func(r LedgerRow) bool {
		id := r.Publication()
		return id != "" && !made[id] && feature.Property(propOpen+string(id)) == ""
	})
	slices.SortStableFunc(rows, func(a, b LedgerRow) int { return cmp.Compare(a.Hour, b.Hour) })
	return rows, nil
}

func (t *Table) ledger(ctx context.Context, name string, from, to int64) (out []LedgerRow, err error) {
	files, err := t.Files(ctx, 0)
	if err != nil {
		return nil, err
	}
	cols, err := t.Columns()
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		if b, ok := f.Bounds[colHour]; ok {
			lo, ok1 := b[0].(int64)
			hi, ok2 := b[1].(int64)
			if ok1 && ok2 && (hi < from || lo >= to) {
				continue
			}
		}
		err := t.read(ctx, f.Path, f.Bytes, cols, func(b *file.Batch) error {
			for i := range b.N {
				text := func(c int) string { return string(b.Cols[c].Text(i)) }
				hour := b.Cols[2].I64[i]
				if hour < from || hour >= to || text(1) != name {
					continue
				}
				sum, err := parity.ParseSum(b.Cols[3].I64[i], text(4))
				if err != nil {
					return fmt.Errorf("%s: %s: %w", t.Name(), text(0), err)
				}
				out = append(out, LedgerRow{Tx: text(0), Table: name, Hour: hour, Sum: sum, Fingerprint: text(5), Job: text(6),
					Task: b.Cols[7].I32[i], Build: text(8), Inputs: text(9), History: text(10)})
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// ledger notes what the publication adds to the table and removes, before it does: readers
// leave out the deltas of a publication that was not made. What an earlier try left is taken
// out, so each delta is there once.
func (x *replacing) ledger(ctx context.Context) error {
	t, err := x.l.OpenLedger(ctx)
	if err != nil {
		return err
	}
	tx := "publication/" + string(x.p.ID) + "/" + x.v.Table
	var deltas []LedgerRow
	for _, c := range x.cells.List {
		deltas = append(deltas, LedgerRow{Tx: tx, Table: x.v.Table, Hour: c.Hour, Sum: c.Sum, Fingerprint: x.t.Property("tidemark.fingerprint"),
			Build: x.l.build, Inputs: x.p.Inputs, History: x.p.History})
	}
	id := NewCommitID()
	rows, err := t.NewRows(id, nil, nil, publishBudget)
	if err != nil {
		return err
	}
	if len(deltas) > 0 {
		if err := rows.Append(ctx, LedgerBatch(deltas), nil); err != nil {
			return err
		}
	}
	files, err := rows.Finish(ctx)
	if err != nil {
		return err
	}
	_, err = t.commitOnly(ctx, id, files, colTx, tx, x.p.ID)
	return err
}
