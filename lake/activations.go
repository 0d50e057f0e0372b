package lake

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/pinova-group/tidemark/lake/file"
)

// activations is the table that says which views streams computed, and since when: what history needs to know
// what was live.
const activations = "ops.activations"

// Activation says which views a stream computes from an instant on.
type Activation struct {
	ID     string
	Stream string
	From   int64 // rows with row_ts from here on are of these views, µs
	Views  []ActiveView
	Specs  []string          // texts of the views and kinds
	Params map[string]string // values of parameters, by view.name
	Who    string
	Reason string
	At     int64 // when it was asked for, µs
}

// ActiveView is a version of a view.
type ActiveView struct {
	View        string `json:"view"`
	Version     int    `json:"version"`
	Fingerprint string `json:"fingerprint"` // hexadecimal
}

func activationColumns() []file.Column {
	return []file.Column{
		{ID: 1, Name: "id", Type: file.String},
		{ID: 2, Name: "stream", Type: file.String},
		{ID: 3, Name: "effective_from", Type: file.Timestamptz, Doc: "rows with row_ts from here on are of these views"},
		{ID: 4, Name: "views", Type: file.String, Doc: "JSON list of view, version, fingerprint"},
		{ID: 5, Name: "specs", Type: file.String, Doc: "JSON list of the texts of views and kinds"},
		{ID: 6, Name: "params", Type: file.String, Doc: "JSON object of values by view.name"},
		{ID: 7, Name: "who", Type: file.String},
		{ID: 8, Name: "reason", Type: file.String},
		{ID: 9, Name: "at", Type: file.Timestamptz, Doc: "when it was asked for"},
	}
}

// RecordActivation notes an activation, once.
func (l *Lake) RecordActivation(ctx context.Context, a *Activation) error {
	t, err := l.Load(ctx, activations)
	if errors.Is(err, ErrNoTable) {
		t, err = l.Create(ctx, activations, Definition{Columns: activationColumns(), Sort: []string{"stream", "effective_from"}, Doc: "which views streams computed, and since when"})
		if errors.Is(err, ErrExists) {
			t, err = l.Load(ctx, activations)
		}
	}
	if err != nil {
		return err
	}
	b := &file.Batch{N: 1, Cols: make([]file.Col, len(activationColumns()))}
	dict := file.NewDict()
	text := func(col int, s string) { b.Cols[col].Dict, b.Cols[col].I32 = dict, []int32{dict.Code([]byte(s))} }
	for col, v := range map[int]any{3: a.Views, 4: a.Specs, 5: a.Params} {
		s, err := json.Marshal(v)
		if err != nil {
			return err
		}
		text(col, string(s))
	}
	text(0, a.ID)
	text(1, a.Stream)
	text(6, a.Who)
	text(7, a.Reason)
	b.Cols[2].I64, b.Cols[8].I64 = []int64{a.From}, []int64{a.At}
	id := NewCommitID()
	rows, err := t.NewRows(id, nil, nil, publishBudget)
	if err != nil {
		return err
	}
	if err := rows.Append(ctx, b, nil); err != nil {
		return err
	}
	files, err := rows.Finish(ctx)
	if err != nil {
		return err
	}
	_, err = t.Commit(ctx, Main, id, func(ctx context.Context, base Base) (*Change, error) {
		have, err := readActivations(ctx, base.Table)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(have, func(h Activation) bool { return h.ID == a.ID }) {
			return nil, nil
		}
		return &Change{Add: files}, nil
	})
	return err
}

// Activations lists what streams computed, oldest first.
func (l *Lake) Activations(ctx context.Context) ([]Activation, error) {
	return recordsOf(ctx, l, activations, readActivations)
}

func readActivations(ctx context.Context, t *Table) ([]Activation, error) {
	var out []Activation
	err := t.eachRow(ctx, activationColumns(), func(b *file.Batch, i int) error {
		text := func(c int) string { return string(b.Cols[c].Text(i)) }
		a := Activation{ID: text(0), Stream: text(1), From: b.Cols[2].I64[i], Who: text(6), Reason: text(7), At: b.Cols[8].I64[i]}
		for col, to := range map[int]any{3: &a.Views, 4: &a.Specs, 5: &a.Params} {
			if err := json.Unmarshal(b.Cols[col].Text(i), to); err != nil {
				return fmt.Errorf("activation %s: %w", a.ID, err)
			}
		}
		out = append(out, a)
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(out, func(a, b Activation) int { return cmp.Or(cmp.Compare(a.Stream, b.Stream), cmp.Compare(a.At, b.At)) })
	return out, nil
}
