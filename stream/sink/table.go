package sink

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime"
	"time"

	"github.com/pinova-group/tidemark/lake"
	"github.com/pinova-group/tidemark/lake/file"
	"github.com/pinova-group/tidemark/market"
)

var commitsAtOnce = runtime.GOMAXPROCS(0)

// slot is how far a partition is read for one table.
type slot struct {
	at        place
	topicID   string
	committed int64 // the table has what lies before it
	next      int64 // the rows at hand have
	marks     bool  // the partition says how far it is complete
	mark      int64 // µs; market.NoTime before it did
}

// table is a table and the rows that it is to get.
type table struct {
	name  string
	kind  market.Kind // KindNone: rows of a view
	open  func(ctx context.Context) (*lake.Table, []file.Column, error)
	lake  *lake.Table
	cols  []file.Column
	slots []*slot
	known *known // nothing is looked up unless filter is asked

	filling    *batch
	committing *batch
	begun      time.Time // last commit
	valid      int64     // as committed
	head       int64     // our last snapshot
	imported   int64     // rows up to it may have come otherwise
	rowsUpTo   int64     // of a view: all rows below it are read

	metrics *tableMetrics
}

// batch is the rows of one commit.
type batch struct {
	t     *table
	id    lake.CommitID
	rows  *lake.Rows
	n     int64
	notes notes
	// checked are events of the batch that were looked for in the table.
	checked map[partKey][]market.ID

	foreign bool // somebody else has committed since the commit before
	recheck bool // the events were looked for in a state that was old

	began    time.Time
	size     int64
	from, to lake.Offsets
	valid    int64
	files    []lake.File
	snapshot int64
	err      error
}

// notes are what a commit says in its summary besides.
type notes struct {
	Lost        []lostRange `json:"lost,omitempty"`
	Undecodable []badRecord `json:"undecodable,omitempty"`
	Bad         int64       `json:"undecodable_records,omitempty"`
}

// lostRange is records that were deleted before they were read.
type lostRange struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	From      int64  `json:"from"`
	To        int64  `json:"to"` // exclusive
}

func (l lostRange) String() string {
	return fmt.Sprintf("%s/%d offsets %d to %d", l.Topic, l.Partition, l.From, l.To-1)
}

// badRecord is a record that could not be read.
type badRecord struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Why       string `json:"why"`
}

// maxNoted bounds the places that a summary names.
const maxNoted = 16

func (n *notes) text() string {
	if len(n.Lost) == 0 && n.Bad == 0 {
		return ""
	}
	b, err := json.Marshal(n)
	if err != nil {
		panic(err) // texts and numbers
	}
	return string(b)
}

// newBatch begins the rows of the next commit.
func (t *table) newBatch() (*batch, error) {
	b := &batch{t: t, id: lake.NewCommitID(), checked: map[partKey][]market.ID{}}
	var err error
	b.rows, err = t.lake.NewRows(b.id, t.cols, nil, math.MaxInt64)
	return b, err
}

// add takes rows of a batch.
func (t *table) add(ctx context.Context, b *file.Batch, rows []int32) error {
	if len(rows) == 0 {
		return nil
	}
	t.filling.n += int64(len(rows))
	return t.filling.rows.Append(ctx, b, rows)
}

// moved reports whether there is anything to commit.
func (t *table) moved() bool {
	if t.filling.n > 0 || t.filling.notes.Bad > 0 || t.complete() > t.valid {
		return true
	}
	for _, sl := range t.slots {
		if sl.next > sl.committed {
			return true
		}
	}
	return false
}

// due reports whether it is time to commit.
func (t *table) due(now time.Time, every time.Duration, rows int64) bool {
	if t.committing != nil {
		return false
	}
	if t.filling.n >= rows {
		return true
	}
	since := now.Sub(t.begun)
	if since < every || !t.moved() {
		return false
	}
	return t.filling.n > 0 || t.complete() > t.valid || since >= quietCommits*every
}

// complete is the time up to which all partitions with marks are read; 0 when that is not known.
func (t *table) complete() int64 {
	if t.rowsUpTo != 0 {
		return t.rowsUpTo
	}
	least, any := int64(math.MaxInt64), false
	for _, sl := range t.slots {
		if sl.marks {
			least, any = min(least, sl.mark), true
		}
	}
	if !any || !market.ValidTime(least) {
		return 0
	}
	return least
}

// position says where the batch begins and ends.
func (b *batch) position(t *table, cluster string) {
	b.valid = t.complete()
	for _, sl := range t.slots {
		p := lake.Position{Cluster: cluster, Topic: sl.at.topic, TopicID: sl.topicID, Partition: sl.at.n, Next: sl.committed}
		b.from = append(b.from, p)
		p.Next = sl.next
		b.to = append(b.to, p)
	}
}

// commit makes files of the rows and commits them with the offsets.
func (b *batch) commit(ctx context.Context, s *Sink) error {
	var err error
	for try := range maxTries {
		if b.files, err = b.rows.Finish(ctx); err == nil || ctx.Err() != nil {
			break
		}
		s.Log.Warn("a file was not written", slog.Int("try", try+1), slog.Any("error", err))
		sleep(ctx, minRetry<<try)
	}
	if err != nil {
		return err
	}
	n := int64(0)
	for i := range b.files {
		n += b.files[i].Info.Rows
	}
	if n != b.n {
		return fmt.Errorf("table %s: BUG: %d rows are in files, of %d", b.t.name, n, b.n)
	}
	ch := lake.Change{Add: b.files, Offsets: b.to, From: b.from, ValidThrough: b.valid, Inputs: b.notes.text()}
	if s.ignoreOffsets {
		ch.Offsets, ch.From = nil, nil
	}
	c, err := b.t.lake.Commit(ctx, lake.Main, b.id, func(ctx context.Context, base lake.Base) (*lake.Change, error) {
		if base.Owner != string(s.owner) {
			return nil, fmt.Errorf("table %s: %w", b.t.name, ErrTaken)
		}
		if err := b.unraced(ctx, base); err != nil {
			return nil, err
		}
		return &ch, nil
	})
	b.snapshot = c.Snapshot
	if errors.Is(err, lake.ErrFenced) {
		return fmt.Errorf("%w: %w", ErrTaken, err)
	}
	return err
}

// committed notes that the table has a batch.
func (t *table) committed(b *batch, now time.Time) {
	for i, sl := range t.slots {
		sl.committed = b.to[i].Next
	}
	t.valid, t.head = max(t.valid, b.valid), b.snapshot
	if t.known != nil {
		t.known.commit(b.foreign)
		t.filling.recheck = b.foreign
	}
	t.count(b, now)
}

// unraced looks whether events of the batch have come in otherwise since they were looked for.
func (b *batch) unraced(ctx context.Context, base lake.Base) error {
	if b.t.known == nil {
		return nil
	}
	if b.foreign = b.t.head != base.Snapshot; !b.foreign && !b.recheck {
		return nil
	}
	if base.Imported > b.t.imported {
		return fmt.Errorf("table %s: %w", b.t.name, errMoved)
	}
	for key, ids := range b.checked {
		now, err := b.t.known.read(ctx, base, key)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if _, ok := now[id]; ok {
				return fmt.Errorf("table %s: %w", b.t.name, errMoved)
			}
		}
	}
	return nil
}
