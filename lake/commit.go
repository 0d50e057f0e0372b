package lake

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"github.com/pinova-group/tidemark/lake/catalog"
)

// Keys of snapshot summaries and table properties. docs/design/0003-lake.md says what they mean.
const (
	propCommit       = "tidemark.commit-id"
	propOffsets      = "tidemark.offsets"
	propInputs       = "tidemark.inputs"
	propValidThrough = "tidemark.valid-through"
	propPublication  = "tidemark.publication"
	propBuild        = "tidemark.build"
	propOwner        = "tidemark.owner"
	propImported     = "tidemark.imported-through"
	propCreated      = "tidemark.created"
)

// Limits of a table's metadata and of a commit's patience (I11).
const (
	maxSnapshots = 200
	maxRefs      = 100
	maxAttempts  = 20
	settleTime   = 30 * time.Second // for finding out what became of a commit after the caller's time is up
)

// Main is the branch that readers see.
const Main = table.MainBranch

// Change is what a commit does to its branch.
type Change struct {
	Add    []File
	Remove []string // paths of files that leave

	// Offsets that the table stands at after it; partitions that are not named stay.
	Offsets Offsets
	// Forget are topics whose offsets the table gives up first: they may begin anew, also under another id.
	Forget []string
	// From are the offsets that the change begins at. Where the table stands elsewhere
	// another committer is at work, and the commit ends with ErrFenced.
	From Offsets
	// ValidThrough is the minimum mark of the inputs, µs; a lower one than the table's changes nothing.
	ValidThrough int64
	Inputs       string
	Publication  string
	// Owner, when not empty, is who appends to the table from now on: the newest that says so. decide looks at
	// Base.Owner to find out that it is another one by now.
	Owner string
	// Imported is the greatest time of rows, µs, that came by no offsets: who brings rows up to it from elsewhere
	// has to look whether they are there. A lower one than the table's changes nothing; 0 is none.
	Imported int64

	Properties map[string]string // of the table, set with the rows
}

// Base is what a change is decided on.
type Base struct {
	Table        *Table // as it is now
	Snapshot     int64  // head of the branch, 0 when there is none
	Offsets      Offsets
	ValidThrough int64
	Owner        string
	Imported     int64
}

// Commit describes a commit that was made. Snapshot 0 is none: there was nothing to do.
type Commit struct {
	ID       CommitID
	Snapshot int64
	Tries    int
}

// ErrFenced is a table that stands at other offsets than those that the change begins at.
var ErrFenced = errors.New("another committer has moved the table on")

// ErrConflict is a commit for which others were faster, each time.
var ErrConflict = errors.New("the table changed each time")

// UnknownError is a commit of which nobody knows whether it was made. Nothing of it may
// be removed, and it may not be made again with another id. Looking for the id among the
// snapshots of the branch tells, as soon as the catalog answers.
type UnknownError struct {
	Table string
	ID    CommitID
	Cause error
}

func (e *UnknownError) Error() string {
	return fmt.Sprintf("table %s: outcome of commit %s unknown: %v", e.Table, e.ID, e.Cause)
}

func (e *UnknownError) Unwrap() error { return e.Cause }

// Commit makes one commit on a branch (main when ""; a new one begins at main). decide
// says what to do on the state that it is shown, and is asked again when somebody else
// was faster; a nil change is nothing to do. All files must be finished. The id has to be
// the one that the files are named by; it decides what became of the commit when an
// answer was lost, so it belongs to one change and is never used again.
//
// Errors: ErrFenced, ErrBackwards, ErrConflict, ErrReplaced, ErrNoTable, those of decide:
// not made. *UnknownError: nobody knows. Any other: not made.
func (t *Table) Commit(ctx context.Context, branch string, id CommitID, decide func(context.Context, Base) (*Change, error)) (Commit, error) {
	if branch == "" {
		branch = Main
	}
	c := committer{t: t, branch: branch, id: id, decide: decide, checked: map[string]bool{}}
	for {
		done, err := c.try(ctx)
		if done || err != nil {
			return Commit{ID: id, Snapshot: c.snapshot, Tries: c.tries}, c.explain(err)
		}
		if c.tries >= maxAttempts {
			return Commit{ID: id, Tries: c.tries}, c.explain(c.last)
		}
		if err := wait(ctx, c.tries); err != nil && !c.open {
			return Commit{ID: id, Tries: c.tries}, c.explain(err)
		}
	}
}

// Append commits files to main, whatever the others do.
func (t *Table) Append(ctx context.Context, id CommitID, ch Change) (Commit, error) {
	return t.Commit(ctx, Main, id, func(context.Context, Base) (*Change, error) { return &ch, nil })
}

// committer is one commit under way.
type committer struct {
	t      *Table
	branch string
	id     CommitID
	decide func(context.Context, Base) (*Change, error)

	tries    int
	claims   bool  // others were asked to wait
	open     bool  // an answer is missing, and the commit could still land
	origin   int64 // head before the first open try: the search for the id ends there
	parent   int64 // head that change was decided on
	change   *Change
	checked  map[string]bool // files whose size was seen
	snapshot int64
	last     error
}

// explain gives an error its meaning: as long as a try is open, nothing is known.
func (c *committer) explain(err error) error {
	switch {
	case err == nil:
		return nil
	case c.open && !errors.Is(err, ErrReplaced) && !errors.Is(err, ErrNoTable):
		return &UnknownError{Table: c.t.Name(), ID: c.id, Cause: err}
	case errors.Is(err, catalog.ErrRefused):
		return fmt.Errorf("table %s: %w: given up after %d tries: %w", c.t.Name(), ErrConflict, c.tries, err)
	}
	return fmt.Errorf("table %s: commit %s not made: %w", c.t.Name(), c.id, err)
}

// try goes through the protocol once. Whatever went wrong before, it begins with a look
// at the table: that finds a commit whose answer was lost.
func (c *committer) try(ctx context.Context) (done bool, err error) {
	c.tries++
	gone := ctx.Err() != nil
	if c.open {
		// The caller's time may be up. What became of the commit is found out all the same.
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), settleTime)
		defer cancel()
	}
	cur, err := c.t.Reload(ctx)
	if err != nil {
		c.last = err
		if errors.Is(err, ErrReplaced) || errors.Is(err, ErrNoTable) || ctx.Err() != nil {
			return false, err
		}
		return false, nil
	}
	head := cur.head(c.branch)
	if c.open {
		switch snap, ok := cur.find(head, c.id, c.origin); {
		case snap != 0:
			c.snapshot, c.open = snap, false
			return true, nil
		case !ok:
			return false, fmt.Errorf("more than %d commits since, the snapshots between are expired", maxSnapshots)
		case head != c.parent:
			c.open = false // pinned on a head that is gone, no try can land any more
		case gone:
			return false, c.last
		}
	}
	if !c.open {
		c.origin = head
		if c.claimed(cur) {
			c.last = errClaimed
			return false, nil
		}
		if c.tries >= claimAfter {
			if c.claim(ctx); c.claims {
				if cur, err = c.t.Reload(ctx); err != nil {
					c.last = err
					return false, nil
				}
				head = cur.head(c.branch)
				c.origin = head
			}
		}
	}
	if c.change == nil || head != c.parent {
		if done, err := c.choose(ctx, cur, head); done || err != nil {
			return done, err
		}
	}
	reqs, ups, err := c.stage(ctx, cur)
	if err != nil {
		c.last = err
		if p, ok := errors.AsType[permanent](err); ok {
			return false, p.error
		}
		return false, ctx.Err()
	}
	meta, _, err := c.t.lake.cat.CommitTable(ctx, c.t.id, reqs, ups)
	if err == nil {
		c.snapshot, _ = find(meta, refHead(meta, c.branch), c.id, head)
		c.open = false
		return true, nil
	}
	c.last = err
	if errors.Is(err, ErrNoTable) {
		return false, err
	}
	if !errors.Is(err, catalog.ErrRefused) && !errors.Is(err, catalog.ErrNotMade) {
		c.open = true
	}
	return false, nil
}

// choose asks what to do on the head, and checks it.
func (c *committer) choose(ctx context.Context, cur *Table, head int64) (done bool, err error) {
	for name, ref := range cur.inner.Metadata().Refs() {
		if name == c.branch && ref.SnapshotRefType != table.BranchRef {
			return false, fmt.Errorf("%s is a tag; tags do not move", name)
		}
	}
	base, err := cur.base(c.branch)
	if err != nil {
		return false, err
	}
	ch, err := c.decide(ctx, base)
	if err != nil {
		return false, err
	}
	if ch == nil {
		return true, nil
	}
	for _, p := range ch.From {
		if n := base.Offsets.Next(p.Cluster, p.TopicID, p.Partition); n != p.Next {
			return false, fmt.Errorf("topic %s partition %d: the table stands at %d, the change begins at %d: %w", p.Topic, p.Partition, n, p.Next, ErrFenced)
		}
	}
	if _, err := base.Offsets.Without(ch.Forget).Advance(ch.Offsets); err != nil {
		return false, err
	}
	for i := range ch.Add {
		f := &ch.Add[i]
		if c.checked[f.Path] {
			continue
		}
		info, err := c.t.lake.store.Stat(ctx, f.Path)
		if err != nil {
			return false, fmt.Errorf("file %s: %w", f.Path, err)
		}
		if info.Size != f.Info.Size {
			return false, fmt.Errorf("file %s has %d bytes, written were %d", f.Path, info.Size, f.Info.Size)
		}
		c.checked[f.Path] = true
	}
	c.change, c.parent = ch, head
	return false, nil
}

// permanent is an error of staging that another try does not cure.
type permanent struct{ error }

// stage writes manifests for the change and says what to ask of the catalog. It uses
// iceberg-go's transaction up to there; the commit itself is ours, since theirs tries
// again on its own.
func (c *committer) stage(ctx context.Context, cur *Table) ([]table.Requirement, []table.Update, error) {
	base, err := cur.base(c.branch)
	if err != nil {
		return nil, nil, permanent{err}
	}
	props := iceberg.Properties{propCommit: string(c.id), propBuild: c.t.lake.build}
	global := iceberg.Properties{}
	put := func(key, value string, wide bool) {
		if value != "" {
			props[key] = value
			if wide && c.branch == Main {
				global[key] = value
			}
		}
	}
	if len(c.change.Offsets) > 0 {
		all, err := base.Offsets.Without(c.change.Forget).Advance(c.change.Offsets)
		if err != nil {
			return nil, nil, permanent{err}
		}
		put(propOffsets, all.Pack(), true)
	}
	if v := max(base.ValidThrough, c.change.ValidThrough); v != 0 {
		put(propValidThrough, strconv.FormatInt(v, 10), v != base.ValidThrough)
	}
	if v := c.change.Imported; v > base.Imported {
		put(propImported, strconv.FormatInt(v, 10), true)
	}
	put(propOwner, c.change.Owner, true)
	put(propInputs, c.change.Inputs, false)
	put(propPublication, c.change.Publication, false)

	maps.Copy(global, c.change.Properties)

	tx := cur.inner.NewTransactionOnBranch(c.branch)
	if err := c.stageFiles(ctx, cur, tx, props); err != nil {
		return nil, nil, err
	}
	if len(global) > 0 {
		if err := tx.SetProperties(global); err != nil {
			return nil, nil, err
		}
	}
	tc, err := tx.TableCommit()
	if err != nil {
		return nil, nil, err
	}
	ups := tc.Updates
	if old := cur.expired(c.branch); len(old) > 0 {
		ups = append(ups, table.NewRemoveSnapshotsUpdate(old, false))
	}
	if c.claims {
		ups = append(ups, table.NewRemovePropertiesUpdate([]string{propClaim}))
	}
	// TableCommit asserts the table's uuid and the head of the branch (I4).
	return tc.Requirements, ups, nil
}

func (c *committer) stageFiles(ctx context.Context, cur *Table, tx *table.Transaction, props iceberg.Properties) error {
	var add []iceberg.DataFile
	for i := range c.change.Add {
		df, err := cur.dataFile(&c.change.Add[i])
		if err != nil {
			return permanent{err}
		}
		add = append(add, df)
	}
	opts := []table.WriteOption{table.WithoutDuplicateCheck(), table.WithoutAutoNameMapping()}
	switch {
	case len(c.change.Remove) > 0:
		remove, err := cur.livingFiles(ctx, c.branch, c.change.Remove)
		if err != nil {
			return err
		}
		return tx.ReplaceDataFilesWithDataFiles(ctx, remove, add, props, opts...)
	case len(add) > 0:
		return tx.AddDataFiles(ctx, add, props, opts...)
	}
	return catalog.EmptySnapshot(ctx, tx, cur.inner.Schema(), props)
}

func (t *Table) dataFile(f *File) (iceberg.DataFile, error) {
	spec := t.inner.Spec()
	values := map[int]any{}
	if len(f.Partition) > spec.NumFields() {
		return nil, fmt.Errorf("file %s: %d partition values for %d fields", f.Path, len(f.Partition), spec.NumFields())
	}
	for i, v := range f.Partition {
		if v != nil {
			values[spec.Field(i).FieldID] = v
		}
	}
	df, err := table.DataFileFromMetadata(table.DataFileArgs{
		Schema: t.inner.Schema(), Spec: spec, Format: iceberg.ParquetFile, Metadata: f.Info.Meta,
		FilePath: f.Path, FileSize: f.Info.Size, Content: iceberg.EntryContentData, PartitionValues: values,
		SortOrderID: t.inner.SortOrder().OrderID(), Properties: t.inner.Properties(), FormatVersion: t.inner.Metadata().Version(),
	})
	if err != nil {
		return nil, fmt.Errorf("file %s does not fit table %s: %w", f.Path, t.Name(), err)
	}
	if df.Count() != f.Info.Rows {
		return nil, fmt.Errorf("file %s: footer has %d rows, written were %d", f.Path, df.Count(), f.Info.Rows)
	}
	return df, nil
}

// livingFiles finds files of a branch by their paths; one that is not there is an error.
func (t *Table) livingFiles(ctx context.Context, branch string, paths []string) ([]iceberg.DataFile, error) {
	want := make(map[string]bool, len(paths))
	for _, p := range paths {
		want[p] = true
	}
	var found []iceberg.DataFile
	for df, err := range t.dataFiles(ctx, t.head(branch)) {
		if err != nil {
			return nil, err
		}
		if want[df.FilePath()] {
			found = append(found, df)
			delete(want, df.FilePath())
		}
	}
	for p := range want {
		return nil, permanent{fmt.Errorf("file %s is not in branch %s any more", p, branch)}
	}
	return found, nil
}

// wait sleeps before another try, longer each time and never in step with others.
func wait(ctx context.Context, tries int) error {
	limit := min(10*time.Millisecond<<min(tries, 8), time.Second)
	t := time.NewTimer(limit/4 + rand.N(limit))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
