package lake_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pinova-group/tidemark/lake"
	"github.com/pinova-group/tidemark/lake/file"
)

// A publication gets its turn on a table that others commit to without a pause, and they go on afterwards.
func TestPublish_WinsOnABusyTable(t *testing.T) {
	l := open(t, t.TempDir(), nil)
	tab, err := l.Create(t.Context(), bars, barsDefinition())
	if err != nil {
		t.Fatal(err)
	}
	stage(t, tab, lake.Main, bulk([]string{"A"}, 0, 100, 1), nil)
	var stop atomic.Bool
	var commits atomic.Int64
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for !stop.Load() {
				_, err := tab.Append(context.WithoutCancel(t.Context()), lake.NewCommitID(), lake.Change{})
				if err != nil && !errors.Is(err, lake.ErrConflict) {
					t.Error(err)
					return
				}
				if err == nil {
					commits.Add(1)
				}
			}
		})
	}
	defer wg.Wait()
	defer stop.Store(true)
	for round := range int64(2) {
		before := commits.Load()
		began := time.Now()
		_, err := l.Publish(t.Context(), lake.Publication{ID: lake.NewCommitID(), At: 1 + round, Views: []lake.Replacement{{
			Table: bars, From: hour.UnixMicro(), To: hour.UnixMicro() + 50*minute,
			Rows: func(yield func(*file.Batch) error) error {
				return yield(batch(bulk([]string{"A"}, 0, 50, float64(2+round))))
			},
		}}})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("published after %s and %d commits of others", time.Since(began), commits.Load()-before)
		for was := commits.Load(); commits.Load() < was+2; time.Sleep(time.Millisecond) {
			if time.Since(began) > 2*time.Minute {
				t.Fatal("the others do not go on")
			}
		}
	}
	if got := dump(t, l, bars); len(got) != 100 {
		t.Errorf("%d rows", len(got))
	}
}

// A claim whose holder was killed is waited for no longer than it lasts, and one of a clock that goes ahead
// not at all.
func TestCommit_ClaimsEnd(t *testing.T) {
	now := time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC)
	var ahead atomic.Int64
	l, err := lake.Open(t.Context(), lake.Config{Dir: t.TempDir(), Now: func() time.Time { return now.Add(time.Duration(ahead.Load())) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	tab := newTable(t, l)
	commit := func(props map[string]string) (lake.Commit, error) {
		return tab.Append(t.Context(), lake.NewCommitID(), lake.Change{Properties: props})
	}
	until := func(d time.Duration) map[string]string {
		return map[string]string{"tidemark.claim": "0123456789abcdef0123456789abcdef " + strconv.FormatInt(now.Add(d).UnixMicro(), 10)}
	}
	if _, err := commit(until(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if c, err := commit(until(4 * time.Second)); err != nil || c.Tries != 1 {
		t.Fatalf("a claim of another clock: %+v, %v", c, err)
	}
	time.AfterFunc(300*time.Millisecond, func() { ahead.Store(int64(5 * time.Second)) })
	if c, err := commit(nil); err != nil || c.Tries < 2 {
		t.Errorf("%+v, %v", c, err)
	}
}
