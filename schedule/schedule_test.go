package schedule_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pinova-group/tidemark/lake"
	"github.com/pinova-group/tidemark/schedule"
)

// clock is a time that moves when it is told to; who sleeps wakes when it has come.
type clock struct {
	mu  sync.Mutex
	t   time.Time
	new chan struct{} // closed when it moves

	sleepers atomic.Int64
}

func newClock() *clock {
	return &clock{t: time.Date(2026, 1, 5, 10, 20, 0, 0, time.UTC), new: make(chan struct{})}
}

func (c *clock) now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.t }

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
	close(c.new)
	c.new = make(chan struct{})
}

// asleep waits until somebody sleeps: who has not begun to would sleep from the moved time on.
func (c *clock) asleep() {
	for c.sleepers.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
}

func (c *clock) sleep(ctx context.Context, d time.Duration) {
	end := c.now().Add(d)
	c.sleepers.Add(1)
	defer c.sleepers.Add(-1)
	for {
		c.mu.Lock()
		t, moved := c.t, c.new
		c.mu.Unlock()
		if !t.Before(end) {
			return
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return
		}
	}
}

func openLake(t *testing.T, c *clock) *lake.Lake {
	t.Helper()
	l, err := lake.Open(t.Context(), lake.Config{Dir: t.TempDir(), Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func scheduler(c *clock, who string, entries ...schedule.Entry) *schedule.Scheduler {
	return &schedule.Scheduler{Entries: entries, Now: c.now, Sleep: c.sleep, Who: who, Lease: time.Minute, Log: slog.New(slog.DiscardHandler), Metrics: schedule.NewMetrics(prometheus.NewRegistry())}
}

func entry(t *testing.T, l *lake.Lake, name, cron string, do func(context.Context) schedule.Result, tables ...string) schedule.Entry {
	t.Helper()
	cr, err := schedule.ParseCron(cron)
	if err != nil {
		t.Fatal(err)
	}
	return schedule.Entry{Name: name, Cron: cr, Line: "line of " + name, Lake: l, Tables: func(context.Context) ([]string, error) { return tables, nil }, Do: do}
}

func well(context.Context) schedule.Result { return schedule.Result{Detail: "fine"} }

func once(t *testing.T, s *schedule.Scheduler) []lake.Run {
	t.Helper()
	ran, err := s.Once(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return ran
}

// A new name is due from now on; what was missed is made up for by one run; a run that failed is
// not tried again before its time.
func TestOnce_MakesUpForMissedTimesOnce(t *testing.T) {
	c := newClock()
	l := openLake(t, c)
	exit := 0
	s := scheduler(c, "a", entry(t, l, "hourly", "5 * * * *", func(context.Context) schedule.Result { return schedule.Result{Exit: exit} }))
	if ran := once(t, s); len(ran) != 0 {
		t.Fatalf("ran what was due before it was known: %+v", ran)
	}
	st, err := s.State(t.Context(), &s.Entries[0], false)
	if err != nil || st.Next.Format(time.TimeOnly) != "11:05:00" || st.Due(c.now()) {
		t.Fatalf("%+v, %v", st, err)
	}
	c.move(44 * time.Minute)
	if ran := once(t, s); len(ran) != 0 {
		t.Fatalf("ran a minute too early: %+v", ran)
	}
	c.move(4*time.Hour + 6*time.Minute) // 15:10: 11:05 to 15:05
	ran := once(t, s)
	if len(ran) != 1 || ran[0].Missed != 4 || ran[0].Outcome != schedule.Done || time.UnixMicro(ran[0].Due).UTC().Format(time.TimeOnly) != "15:05:00" {
		t.Fatalf("%+v", ran)
	}
	if ran := once(t, s); len(ran) != 0 {
		t.Fatalf("ran again: %+v", ran)
	}
	c.move(time.Hour)
	exit = 4
	if ran := once(t, s); len(ran) != 1 || ran[0].Outcome != schedule.Failed || ran[0].Exit != 4 || ran[0].Missed != 0 {
		t.Fatalf("%+v", ran)
	}
	if ran := once(t, s); len(ran) != 0 {
		t.Fatalf("a run that failed was tried again: %+v", ran)
	}
	all, err := l.RunHistory(t.Context())
	if err != nil || len(all) != 2 || all[1].Exit != 4 || all[0].Line != "line of hourly" {
		t.Errorf("%+v, %v", all, err)
	}
}

// Another process waits for a table, under whatever name it is worked on; a holder that was killed is waited
// for until its lease runs out, and then its run is done.
func TestOnce_WaitsForLeases(t *testing.T) {
	c := newClock()
	l := openLake(t, c)
	a := scheduler(c, "a", entry(t, l, "one", "* * * * *", well, "x", "y"))
	b := scheduler(c, "b", entry(t, l, "two", "* * * * *", well, "y", "z"), entry(t, l, "three", "* * * * *", well, "z"))
	once(t, a)
	once(t, b)
	c.move(time.Minute)
	st, err := a.State(t.Context(), &a.Entries[0], false)
	if err != nil {
		t.Fatal(err)
	}
	runs, err := l.Runs(t.Context())
	if err != nil || !st.Due(c.now()) {
		t.Fatal(err, st)
	}
	// a begins, and is killed.
	if err := l.HoldRun(t.Context(), lake.Lease{Run: "one", Who: "a", Tables: []string{"x", "y"}}, time.Minute.Microseconds(), runs.Through["one"]); err != nil {
		t.Fatal(err)
	}
	ran := once(t, b)
	if len(ran) != 2 || ran[0].Outcome != schedule.Held || ran[1].Outcome != schedule.Done {
		t.Fatalf("two is held, three is not: %+v", ran)
	}
	again := scheduler(c, "c", a.Entries[0])
	if ran := once(t, again); len(ran) != 1 || ran[0].Outcome != schedule.Held {
		t.Fatalf("%+v", ran)
	}
	c.move(59 * time.Second)
	if ran := once(t, again); len(ran) != 1 || ran[0].Outcome != schedule.Held {
		t.Fatalf("a second before its end: %+v", ran)
	}
	c.move(time.Second)
	if ran := once(t, again); len(ran) != 1 || ran[0].Outcome != schedule.Done {
		t.Fatalf("%+v", ran)
	}
	if ran := once(t, b); len(ran) != 2 || ran[0].Outcome != schedule.Done {
		t.Fatalf("%+v", ran)
	}
}

// A run that lasts keeps its lease; when that goes to another process all the same, it ends and is not
// taken for done.
func TestRun_RenewsAndLoses(t *testing.T) {
	c := newClock()
	l := openLake(t, c)
	in, out := make(chan struct{}), make(chan struct{})
	var stopped atomic.Bool
	s := scheduler(c, "a", entry(t, l, "long", "* * * * *", func(ctx context.Context) schedule.Result {
		in <- struct{}{}
		select {
		case <-ctx.Done():
			stopped.Store(true)
			return schedule.Result{Exit: 130}
		case <-out:
			return schedule.Result{}
		}
	}, "x"))
	other := scheduler(c, "b", entry(t, l, "other", "* * * * *", well, "x"))
	once(t, s)
	once(t, other)
	c.move(time.Minute)
	until := func() int64 {
		r, err := l.Runs(t.Context())
		if err != nil || len(r.Leases) != 1 {
			t.Fatal(err, r)
		}
		return r.Leases[0].Until
	}
	result := make(chan []lake.Run)
	go func() {
		ran, err := s.Once(context.WithoutCancel(t.Context()))
		if err != nil {
			t.Error(err)
		}
		result <- ran
	}()
	<-in
	for range 5 { // far beyond one lease
		was := until()
		c.asleep()
		for c.move(20 * time.Second); until() == was; time.Sleep(time.Millisecond) {
		}
		if ran := once(t, other); len(ran) != 1 || ran[0].Outcome != schedule.Held {
			t.Fatalf("%+v", ran)
		}
	}
	out <- struct{}{}
	if ran := <-result; len(ran) != 1 || ran[0].Outcome != schedule.Done || ran[0].Ended-ran[0].Began != 100e6 {
		t.Fatalf("%+v", ran)
	}
	if ran := once(t, other); len(ran) != 1 || ran[0].Outcome != schedule.Done {
		t.Fatalf("%+v", ran)
	}
	go func() {
		ran, err := s.Once(context.WithoutCancel(t.Context()))
		if err != nil {
			t.Error(err)
		}
		result <- ran
	}()
	<-in
	before, err := l.Runs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// The process slept for so long that the other one took over.
	if err := l.EndRun(t.Context(), before.Leases[0], lake.Run{Name: "long", Outcome: "gone"}, 0); err != nil {
		t.Fatal(err)
	}
	c.asleep()
	c.move(20 * time.Second)
	ran := <-result
	if len(ran) != 1 || ran[0].Outcome != schedule.Lost || !stopped.Load() {
		t.Fatalf("%+v", ran)
	}
	if after, err := l.Runs(t.Context()); err != nil || after.Through["long"] != before.Through["long"] || len(after.Leases) != 0 {
		t.Errorf("%+v, %v", after, err)
	}
}

// Told to end, a run is noted as stopped, gives its lease back, and is due for the next process.
func TestRun_StopsAndIsDueAgain(t *testing.T) {
	c := newClock()
	l := openLake(t, c)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := scheduler(c, "a", entry(t, l, "long", "* * * * *", func(ctx context.Context) schedule.Result {
		cancel()
		<-ctx.Done()
		return schedule.Result{Exit: 130, Detail: "interrupted"}
	}, "x"))
	once(t, s)
	c.move(time.Minute)
	s.Run(ctx) // returns
	all, err := l.RunHistory(t.Context())
	if err != nil || len(all) != 1 || all[0].Outcome != schedule.Stopped {
		t.Fatalf("%+v, %v", all, err)
	}
	s.Entries[0].Do, s.Who = well, "b"
	if ran := once(t, s); len(ran) != 1 || ran[0].Outcome != schedule.Done {
		t.Fatalf("%+v", ran)
	}
}

// However many processes look at the same time, each time that is due is done once.
func TestOnce_ManyProcessesDoItOnce(t *testing.T) {
	c := newClock()
	l := openLake(t, c)
	var mu sync.Mutex
	busy, done := map[string]int{}, map[string]int{}
	do := func(name string) func(context.Context) schedule.Result {
		return func(context.Context) schedule.Result {
			mu.Lock()
			if busy["x"]++; busy["x"] > 1 {
				t.Errorf("%s and another one at once", name)
			}
			mu.Unlock()
			time.Sleep(2 * time.Millisecond)
			mu.Lock()
			busy["x"]--
			done[name]++
			mu.Unlock()
			return schedule.Result{}
		}
	}
	one, two := entry(t, l, "one", "* * * * *", do("one"), "x"), entry(t, l, "two", "* * * * *", do("two"), "x")
	once(t, scheduler(c, "first", one, two))
	for round := range 4 {
		c.move(time.Minute)
		var wg sync.WaitGroup
		for p := range 4 {
			wg.Go(func() {
				s := scheduler(c, fmt.Sprint("p", p, ".", round), one, two)
				for range 100 {
					ran, err := s.Once(t.Context())
					if err != nil {
						t.Error(err)
						return
					}
					if !slices.ContainsFunc(ran, func(r lake.Run) bool { return r.Outcome == schedule.Held }) {
						return
					}
					time.Sleep(2 * time.Millisecond)
				}
			})
		}
		wg.Wait()
		if done["one"] != round+1 || done["two"] != round+1 {
			t.Fatalf("round %d: %v", round, done)
		}
	}
}

// What is kept of runs is bounded, and the newest.
func TestEndRun_KeepsTheNewest(t *testing.T) {
	c := newClock()
	l := openLake(t, c)
	const n = 70
	for i := range n {
		if err := l.EndRun(t.Context(), lake.Lease{}, lake.Run{Name: fmt.Sprint(i), Ended: int64(i + 1)}, 0); err != nil {
			t.Fatal(err)
		}
	}
	all, err := l.RunHistory(t.Context())
	if err != nil || len(all) != n || all[n-1].Name != fmt.Sprint(n-1) {
		t.Fatalf("%d runs, %v", len(all), err)
	}
	tab, err := l.Load(t.Context(), lake.RunsTable)
	if err != nil {
		t.Fatal(err)
	}
	if files, err := tab.Files(t.Context(), 0); err != nil || len(files) > 33 {
		t.Errorf("%d files, %v", len(files), err)
	}
}

func TestParseCron(t *testing.T) {
	at := time.Date(2026, 3, 29, 0, 30, 0, 0, time.UTC)
	for text, want := range map[string]string{
		"5 * * * *":                         "2026-03-29T01:05:00Z",
		"30 2 * * *":                        "2026-03-29T02:30:00Z",
		"CRON_TZ=Europe/Berlin 0 6 * * MON": "2026-03-30T04:00:00Z",
		"@hourly":                           "2026-03-29T01:00:00Z",
		"@every 90s":                        "2026-03-29T00:31:30Z",
	} {
		c, err := schedule.ParseCron(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Next(at).Format(time.RFC3339); got != want {
			t.Errorf("%s: %s, not %s", text, got, want)
		}
	}
	for _, text := range []string{"", "* * * *", "61 * * * *", "0 0 * * * *", "@never"} {
		if _, err := schedule.ParseCron(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}
