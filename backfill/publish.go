package backfill

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/pinova-group/tidemark/features/stale"
	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/lake"
	lakefile "github.com/pinova-group/tidemark/lake/file"
)

// announce notes in each table that the publication begins. From then on nothing staged
// changes, so that whoever goes on publishes the same rows by the same name.
func (b *Backfill) announce(ctx context.Context, states []*staged) error {
	for i := range b.tables {
		states[i].At = states[0].At
		states[i].Publish = b.Plan.Publication
		if err := b.set(ctx, i, states[i]); err != nil {
			return err
		}
	}
	return nil
}

// mergeBelow is the size of a task's file below which it is merged with others, in bytes. Tests change it.
var mergeBelow int64 = 8 << 20

// set writes what is noted of a table's stage anew, if it still is what this process has read. It moves the branch, so
// of two who change it, by a task or like this, one finds the other's work.
func (b *Backfill) set(ctx context.Context, i int, s *staged) error {
	text, err := s.text()
	if err != nil {
		return err
	}
	key := propertyOf(b.Plan.stage)
	was := b.tables[i].Property(key)
	err = patient(ctx, func() error {
		_, err := b.tables[i].Commit(ctx, branchOf(b.Plan.stage), lake.NewCommitID(), func(_ context.Context, base lake.Base) (*lake.Change, error) {
			switch base.Table.Property(key) {
			case text:
				return nil, nil // by another process
			case was:
				return &lake.Change{Properties: map[string]string{key: text}}, nil
			case "":
				return nil, b.held("it has published")
			}
			return nil, b.held("its tasks have changed meanwhile")
		})
		return err
	})
	if err != nil {
		return err
	}
	b.tables[i], err = b.tables[i].Reload(ctx)
	return err
}

// publish replaces the rows of the range by those that are staged, and takes the stage away.
func (b *Backfill) publish(ctx context.Context, rep *Report, states []*staged, id lake.CommitID) error {
	pub := lake.Publication{ID: id, At: states[0].At, Who: b.env.Who, History: b.Plan.As, Known: []lake.CommitID{}}
	pub.Reason = "tidemark backfill --as " + b.Plan.As
	for _, d := range b.all {
		pub.Known = append(pub.Known, d.ID)
	}
	what := map[string]any{"from": b.Plan.From, "to": b.Plan.To, "as": b.Plan.As, "symbols": b.Plan.Symbols, "inputs": b.Plan.Inputs, "tasks": len(states[0].Tasks)}
	if b.req.Parts != nil {
		pub.Reason += " --dirty"
		keys := map[string][]stale.Key{}
		for i, v := range b.Plan.Views {
			keys[v.Table] = b.req.Parts[i].Keys
		}
		what["entities"] = keys
	}
	note, err := json.Marshal(what)
	if err != nil {
		return err
	}
	pub.Inputs = string(note)
	rep.Views = nil
	for i, t := range b.tables {
		files, err := stagedFiles(ctx, t, b.Plan.stage, states[i])
		if err != nil {
			return err
		}
		vr := ViewReport{Table: t.Name()}
		var list []lake.DataFile
		for _, k := range states[i].Tasks {
			vr.Rows, vr.Warmup, vr.Partial = vr.Rows+k.Rows, vr.Warmup+k.Warmup, vr.Partial+k.Partial
			list = append(list, files[k.Commit]...)
		}
		var rows int64
		for _, f := range list {
			rows += f.Rows
		}
		if rows != vr.Rows {
			return fmt.Errorf("table %s: %d rows are staged, %d were computed", t.Name(), rows, vr.Rows)
		}
		rep.Views = append(rep.Views, vr)
		part := b.req.part(i)
		if b.req.Parts == nil { // its open sides were filled in
			part.Range = Range{b.Plan.From, b.Plan.To}
		}
		r := lake.Replacement{Table: t.Name(), From: part.From, To: part.To, Tell: slices.Contains(b.env.Tell, t.Name()), Staged: list, Merge: mergeBelow}
		if b.req.Symbols != nil || part.Keys != nil {
			if r.Entities, err = b.entities(ctx, t, list, &part); err != nil {
				return err
			}
		}
		pub.Views = append(pub.Views, r)
	}
	done, err := b.env.Lake.Publish(ctx, pub)
	if errors.Is(err, lake.ErrRaced) {
		return &fault.Error{Code: "backfill_raced", Message: "another publication has replaced rows of the range meanwhile", Where: strings.Join(b.req.Views, ", "), Exit: fault.ExitHeld,
			Remedy: "look at it with tidemark lake publications, then run the command again: what was computed is kept", Cause: err}
	}
	if err != nil {
		return err
	}
	rep.Published = done
	return b.clean(ctx)
}

// clean takes away the branches and what was noted with them.
func (b *Backfill) clean(ctx context.Context) error {
	for _, t := range b.tables {
		if t == nil {
			continue
		}
		err := patient(ctx, func() error {
			_, err := t.DropBranch(ctx, branchOf(b.Plan.stage), propertyOf(b.Plan.stage))
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Discard takes away what an earlier run of the same backfill left, finished tasks included;
// not what it has begun to publish.
func (b *Backfill) Discard(ctx context.Context) error {
	for _, t := range b.tables {
		if t == nil {
			continue
		}
		if s, err := readStaged(t, b.Plan.stage); err != nil || s != nil && s.Publish != "" {
			return err
		}
	}
	return b.clean(ctx)
}

// entities lists those of the part, and of the wanted symbols, that have rows in it, new or old.
func (b *Backfill) entities(ctx context.Context, t *lake.Table, files []lake.DataFile, part *Part) ([][]string, error) {
	cols, err := t.Columns()
	if err != nil {
		return nil, err
	}
	n := slices.IndexFunc(cols, func(c lakefile.Column) bool { return c.Type != lakefile.String })
	var names []string
	for _, c := range cols[:n] {
		names = append(names, c.Name)
	}
	seen := map[string]bool{}
	out := [][]string{}
	collect := func(batch *lakefile.Batch) error {
		for i := range batch.N {
			var e []string
			for c := range n {
				e = append(e, string(batch.Cols[c].Text(i)))
			}
			if k := strings.Join(e, "\x00"); !seen[k] {
				seen[k] = true
				if part.has(names, e, part.From) {
					out = append(out, e)
				}
			}
		}
		return nil
	}
	for _, f := range files {
		if err := t.ReadFile(ctx, f, collect); err != nil {
			return nil, err
		}
	}
	q := lake.Query{From: part.From, To: part.To, Columns: names}
	if b.req.Symbols != nil {
		q.Where = map[string][]string{"symbol": b.req.Symbols}
	}
	sc, err := t.Scan(ctx, q)
	if err != nil {
		return nil, err
	}
	defer sc.Close()
	for {
		batch, err := sc.Next()
		if err != nil {
			return nil, err
		}
		if batch == nil {
			break
		}
		if err := collect(batch); err != nil {
			return nil, err
		}
	}
	sort.Slice(out, func(i, j int) bool { return slices.Compare(out[i], out[j]) < 0 })
	return out, nil
}
