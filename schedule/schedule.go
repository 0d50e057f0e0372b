// Package schedule runs what keeps a lake in order when it is due: one run at a time for a table,
// over all processes, with what was missed made up for once. What is done, and who does it, stands in the
// lake's table ops.runs.
package schedule

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/pinova-group/tidemark/lake"
)

// Outcomes of a run.
const (
	Done    = "done"
	Failed  = "failed"
	Stopped = "stopped" // told to end: it is due again
	Lost    = "lost"    // its lease went to another process: that one does it
	Held    = "held"    // not begun: another process works on its tables
)

// maxMissed bounds the count of times that were missed.
const maxMissed = 1000

// Cron says when something is due: five fields, or @hourly and the like. In UTC, unless CRON_TZ=ZONE stands before.
type Cron struct{ s cron.Schedule }

// ParseCron reads a cron expression.
func ParseCron(text string) (Cron, error) {
	s, err := cron.ParseStandard(text)
	return Cron{s}, err
}

// Next is the first time after t; zero when there is none.
func (c Cron) Next(t time.Time) time.Time { return c.s.Next(t.UTC()).UTC() }

// Entry is one thing that runs now and then.
type Entry struct {
	Name   string
	Cron   Cron
	Line   string // what it does, for people
	Lake   *lake.Lake
	Tables func(ctx context.Context) ([]string, error) // that nobody else may work on meanwhile
	Do     func(ctx context.Context) Result
}

// Result is how a run ended.
type Result struct {
	Exit   int // code, 0 is well
	Detail string
}

// State is where an entry is.
type State struct {
	Name   string      `json:"name"`
	Line   string      `json:"run"`
	Next   time.Time   `json:"next"`           // when it is due; in the past: now
	Missed int         `json:"missed"`         // times before that which will be made up for
	Held   *lake.Lease `json:"held,omitempty"` // somebody runs it, or works on its tables
	Last   *lake.Run   `json:"last,omitempty"` // the newest run that ended

	through int64
	known   bool
}

// Due reports whether it is to run now.
func (s *State) Due(now time.Time) bool { return s.known && !s.Next.IsZero() && !s.Next.After(now) }

// Scheduler runs entries, one at a time.
type Scheduler struct {
	Entries []Entry
	Now     func() time.Time
	Sleep   func(ctx context.Context, d time.Duration) // until it is over or ctx ends
	Who     string                                     // names this process, and no other one
	Lease   time.Duration                              // after which a run of a process that was killed may begin elsewhere
	Log     *slog.Logger
	Metrics *Metrics
}

// look is between two looks at what other processes have done.
const look = 30 * time.Second

// State says where an entry is; history asks for its last run, too.
func (s *Scheduler) State(ctx context.Context, e *Entry, history bool) (*State, error) {
	r, err := e.Lake.Runs(ctx)
	if err != nil {
		return nil, err
	}
	now := s.Now()
	st := &State{Name: e.Name, Line: e.Line}
	st.through, st.known = r.Through[e.Name]
	from := now
	if st.known {
		from = time.UnixMicro(st.through)
	}
	st.Next = e.Cron.Next(from)
	if st.Due(now) {
		// The last time that it was due, and how often before.
		for n := e.Cron.Next(st.Next); !n.IsZero() && !n.After(now) && st.Missed < maxMissed; n = e.Cron.Next(n) {
			st.Next = n
			st.Missed++
		}
	}
	tables, err := e.Tables(ctx)
	if err != nil {
		return nil, err
	}
	st.Held = r.Holder(e.Name, "", tables, now.UnixMicro())
	if history {
		all, err := e.Lake.RunHistory(ctx)
		if err != nil {
			return nil, err
		}
		for i := range all {
			if all[i].Name == e.Name {
				st.Last = &all[i]
			}
		}
	}
	return st, nil
}

// Once does what is due, and returns how each ended.
func (s *Scheduler) Once(ctx context.Context) ([]lake.Run, error) {
	var ran []lake.Run
	for i := 0; i < len(s.Entries) && ctx.Err() == nil; i++ {
		r, _, err := s.one(ctx, &s.Entries[i])
		if err != nil {
			return ran, fmt.Errorf("%s: %w", s.Entries[i].Name, err)
		}
		if r != nil {
			ran = append(ran, *r)
		}
	}
	return ran, nil
}

// Run does what is due, whenever it is, until ctx ends. What cannot be done now for want of the lake is
// tried again.
func (s *Scheduler) Run(ctx context.Context) {
	for ctx.Err() == nil {
		pause := look
		for i := range s.Entries {
			if ctx.Err() != nil {
				return
			}
			e := &s.Entries[i]
			_, next, err := s.one(ctx, e)
			s.Metrics.looked(e.Name, next, err)
			if err != nil && ctx.Err() == nil {
				s.Log.Error("cannot tell what is due; it is tried again", slog.String("name", e.Name), slog.Any("error", err))
			}
			if d := next.Sub(s.Now()); err == nil && d < pause {
				pause = max(d, 0)
			}
		}
		s.Sleep(ctx, pause)
	}
}

// one runs an entry if it is due, and says when to look again.
func (s *Scheduler) one(ctx context.Context, e *Entry) (*lake.Run, time.Time, error) {
	st, err := s.State(ctx, e, false)
	if err != nil {
		return nil, time.Time{}, err
	}
	if !st.known {
		return nil, st.Next, e.Lake.SeeRun(ctx, e.Name)
	}
	if !st.Due(s.Now()) {
		return nil, st.Next, nil
	}
	tables, err := e.Tables(ctx)
	if err != nil {
		return nil, time.Time{}, err
	}
	run := lake.Run{Name: e.Name, Line: e.Line, Due: st.Next.UnixMicro(), Missed: int32(st.Missed), Began: s.Now().UnixMicro(), Who: s.Who}
	lease := lake.Lease{Run: e.Name, Who: s.Who, Tables: tables}
	err = e.Lake.HoldRun(ctx, lease, s.Lease.Microseconds(), st.through)
	switch {
	case errors.Is(err, lake.ErrRunDone):
		return nil, s.Now(), nil
	case errors.Is(err, lake.ErrHeld):
		run.Outcome, run.Detail = Held, err.Error()
		s.Log.Info("due, and waits", slog.String("name", e.Name), slog.Any("why", err))
		s.Metrics.ended(&run)
		return &run, s.Now().Add(min(look, s.Lease)), nil
	case err != nil:
		return nil, time.Time{}, err
	}
	s.Log.Info("begins", slog.String("name", e.Name), slog.String("run", e.Line), slog.Time("due", st.Next), slog.Int("missed", st.Missed))
	s.Metrics.began(e.Name)
	res, lost := s.do(ctx, e, lease)
	through := run.Began
	run.Ended, run.Exit, run.Detail = s.Now().UnixMicro(), int32(res.Exit), res.Detail
	switch {
	case lost:
		run.Outcome, through = Lost, 0
	case ctx.Err() != nil && res.Exit != 0:
		run.Outcome, through = Stopped, 0
	case res.Exit != 0:
		run.Outcome = Failed
	default:
		run.Outcome = Done
	}
	s.Metrics.ended(&run)
	level := slog.LevelInfo
	if run.Outcome == Failed || run.Outcome == Lost {
		level = slog.LevelError
	}
	s.Log.Log(ctx, level, "ended", slog.String("name", e.Name), slog.String("outcome", run.Outcome), slog.Int("exit", res.Exit), slog.Float64("seconds", float64(run.Ended-run.Began)/1e6), slog.String("detail", run.Detail))
	// It is noted, too, when this process is told to end.
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
	defer cancel()
	return &run, s.Now(), e.Lake.EndRun(end, lease, run, through)
}

// endTime is what noting a run may take.
const endTime = 30 * time.Second

// do runs an entry while its lease is renewed; without the lease it ends.
func (s *Scheduler) do(ctx context.Context, e *Entry, lease lake.Lease) (res Result, lost bool) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan bool)
	go func() {
		lost := false
		valid := s.Now().Add(s.Lease)
		for s.Sleep(ctx, s.Lease/3); ctx.Err() == nil; s.Sleep(ctx, s.Lease/3) {
			now := s.Now()
			err := e.Lake.RenewRun(ctx, lease, s.Lease.Microseconds())
			if err == nil {
				valid = now.Add(s.Lease)
				continue
			}
			if ctx.Err() == nil && (errors.Is(err, lake.ErrHeld) || !s.Now().Before(valid)) {
				lost = true
				cancel()
			}
		}
		done <- lost
	}()
	res = e.Do(ctx)
	cancel()
	return res, <-done
}
