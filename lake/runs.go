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

// RunsTable says what schedules ran, and who runs what now.
const RunsTable = "ops.runs"

// propRuns is a property of RunsTable: leases, and how far each name is done. It changes in commits
// of main alone, so each one is decided on the state that it replaces (I4).
const propRuns = "tidemark.runs"

// Bounds of RunsTable (I11).
const (
	maxRuns     = 1000 // that are kept
	maxRunFiles = 32   // then they become one
)

// Run is one run of a schedule.
type Run struct {
	Name    string `json:"name"`
	Line    string `json:"run"`    // the command
	Due     int64  `json:"due"`    // when it was to begin, µs
	Missed  int32  `json:"missed"` // earlier times that it makes up for
	Began   int64  `json:"began"`
	Ended   int64  `json:"ended"`
	Outcome string `json:"outcome"`
	Exit    int32  `json:"exit"` // code
	Detail  string `json:"detail"`
	Who     string `json:"who"`
}

// Lease is the right to run something that works on some tables. It ends with the run, or at
// Until when nobody renews it.
type Lease struct {
	Run    string   `json:"run"`
	Who    string   `json:"who"` // differs for each process
	Tables []string `json:"tables"`
	Until  int64    `json:"until"` // µs
}

// Runs is the state of the schedules of a lake.
type Runs struct {
	Leases  []Lease          `json:"leases"`
	Through map[string]int64 `json:"through"` // what of a name was due up to here is done, µs
}

// ErrHeld is a lease that another process has.
var ErrHeld = errors.New("another process has the lease")

// ErrRunDone is a run that another process has ended meanwhile.
var ErrRunDone = errors.New("another process has done it")

func runColumns() []file.Column {
	return []file.Column{
		{ID: 1, Name: "name", Type: file.String, Doc: "of the schedule"},
		{ID: 2, Name: "line", Type: file.String, Doc: "command"},
		{ID: 3, Name: "due", Type: file.Timestamptz},
		{ID: 4, Name: "missed", Type: file.Int, Doc: "earlier times that it made up for"},
		{ID: 5, Name: "began", Type: file.Timestamptz},
		{ID: 6, Name: "ended", Type: file.Timestamptz},
		{ID: 7, Name: "outcome", Type: file.String, Doc: "done, failed, stopped or lost"},
		{ID: 8, Name: "exit", Type: file.Int, Doc: "code"},
		{ID: 9, Name: "detail", Type: file.String},
		{ID: 10, Name: "who", Type: file.String},
	}
}

// Runs reads the state. A lake without schedules has an empty one.
func (l *Lake) Runs(ctx context.Context) (*Runs, error) {
	t, err := l.Load(ctx, RunsTable)
	if errors.Is(err, ErrNoTable) {
		return &Runs{Through: map[string]int64{}}, nil
	}
	if err != nil {
		return nil, err
	}
	return t.runs()
}

func (t *Table) runs() (*Runs, error) {
	r := &Runs{Through: map[string]int64{}}
	if text := t.Property(propRuns); text != "" {
		if err := json.Unmarshal([]byte(text), r); err != nil {
			return nil, fmt.Errorf("table %s: property %s: %w", t.Name(), propRuns, err)
		}
	}
	return r, nil
}

// Holder finds who has a lease that lasts at now and is about one of the tables or the name, but
// not who.
func (r *Runs) Holder(name, who string, tables []string, now int64) *Lease {
	for i := range r.Leases {
		l := &r.Leases[i]
		if l.Who != who && l.Until > now && (l.Run == name || slices.ContainsFunc(l.Tables, func(t string) bool { return slices.Contains(tables, t) })) {
			return l
		}
	}
	return nil
}

func (r *Runs) drop(run, who string) (had bool) {
	r.Leases = slices.DeleteFunc(r.Leases, func(l Lease) bool {
		mine := l.Run == run && l.Who == who
		had = had || mine
		return mine
	})
	return had
}

// changeRuns changes the state, exactly as f says on the newest one. f may add files.
func (l *Lake) changeRuns(ctx context.Context, f func(ctx context.Context, t *Table, r *Runs, now int64) (*Change, error)) error {
	t, err := l.Load(ctx, RunsTable)
	if errors.Is(err, ErrNoTable) {
		t, err = l.Create(ctx, RunsTable, Definition{Columns: runColumns(), Sort: []string{"began"}, Doc: "what schedules ran; the newest ones"})
		if errors.Is(err, ErrExists) {
			t, err = l.Load(ctx, RunsTable)
		}
	}
	if err != nil {
		return err
	}
	_, err = t.Commit(ctx, Main, NewCommitID(), func(ctx context.Context, b Base) (*Change, error) {
		r, err := b.Table.runs()
		if err != nil {
			return nil, err
		}
		now := l.now().UnixMicro()
		r.Leases = slices.DeleteFunc(r.Leases, func(l Lease) bool { return l.Until <= now })
		ch, err := f(ctx, b.Table, r, now)
		if err != nil || ch == nil {
			return nil, err
		}
		text, err := json.Marshal(r)
		ch.Properties = map[string]string{propRuns: string(text)}
		return ch, err
	})
	return err
}

// SeeRun notes a name that is not known yet as done up to now: what is due later runs.
func (l *Lake) SeeRun(ctx context.Context, name string) error {
	return l.changeRuns(ctx, func(_ context.Context, _ *Table, r *Runs, now int64) (*Change, error) {
		if _, known := r.Through[name]; known {
			return nil, nil
		}
		r.Through[name] = now
		return &Change{}, nil
	})
}

// HoldRun takes a lease, from now until it has lasted so many µs. It ends with ErrHeld when another
// process has one of the tables, and with ErrRunDone when the name is done further than the caller has seen.
func (l *Lake) HoldRun(ctx context.Context, lease Lease, lasts, through int64) error {
	return l.changeRuns(ctx, func(_ context.Context, _ *Table, r *Runs, now int64) (*Change, error) {
		if r.Through[lease.Run] != through {
			return nil, ErrRunDone
		}
		if h := r.Holder(lease.Run, lease.Who, lease.Tables, now); h != nil {
			return nil, fmt.Errorf("%w: %s runs %s", ErrHeld, h.Who, h.Run)
		}
		r.drop(lease.Run, lease.Who)
		lease.Until = now + lasts
		r.Leases = append(r.Leases, lease)
		return &Change{}, nil
	})
}

// RenewRun makes a lease last longer. One that had run out is lost: ErrHeld.
func (l *Lake) RenewRun(ctx context.Context, lease Lease, lasts int64) error {
	return l.changeRuns(ctx, func(_ context.Context, _ *Table, r *Runs, now int64) (*Change, error) {
		if !r.drop(lease.Run, lease.Who) {
			return nil, fmt.Errorf("%w, or it ran out", ErrHeld)
		}
		lease.Until = now + lasts
		r.Leases = append(r.Leases, lease)
		return &Change{}, nil
	})
}

// EndRun gives a lease back and notes the run. Through, when not 0, is up to when the name is done now.
func (l *Lake) EndRun(ctx context.Context, lease Lease, run Run, through int64) error {
	return l.changeRuns(ctx, func(ctx context.Context, t *Table, r *Runs, _ int64) (*Change, error) {
		had := r.drop(lease.Run, lease.Who)
		if had && through != 0 {
			r.Through[lease.Run] = max(r.Through[lease.Run], through)
		}
		files, err := t.Files(ctx, 0)
		if err != nil {
			return nil, err
		}
		ch, rows := &Change{}, []Run{run}
		if len(files) >= maxRunFiles {
			have, err := readRuns(ctx, t)
			if err != nil {
				return nil, err
			}
			for _, f := range files {
				ch.Remove = append(ch.Remove, f.Path)
			}
			rows = append(have, run)
			rows = rows[max(0, len(rows)-maxRuns):]
		}
		out, err := t.NewRows(NewCommitID(), nil, nil, publishBudget)
		if err != nil {
			return nil, err
		}
		if err := out.Append(ctx, runBatch(rows), nil); err != nil {
			return nil, err
		}
		ch.Add, err = out.Finish(ctx)
		return ch, err
	})
}

// RunHistory lists the runs that are kept, oldest first.
func (l *Lake) RunHistory(ctx context.Context) ([]Run, error) {
	return recordsOf(ctx, l, RunsTable, readRuns)
}

func runBatch(runs []Run) *file.Batch {
	b := &file.Batch{N: len(runs), Cols: make([]file.Col, len(runColumns()))}
	dict := file.NewDict()
	text := func(col int, s string) {
		b.Cols[col].Dict = dict
		b.Cols[col].I32 = append(b.Cols[col].I32, dict.Code([]byte(s)))
	}
	for i := range runs {
		r := &runs[i]
		text(0, r.Name)
		text(1, r.Line)
		b.Cols[2].I64 = append(b.Cols[2].I64, r.Due)
		b.Cols[3].I32 = append(b.Cols[3].I32, r.Missed)
		b.Cols[4].I64 = append(b.Cols[4].I64, r.Began)
		b.Cols[5].I64 = append(b.Cols[5].I64, r.Ended)
		text(6, r.Outcome)
		b.Cols[7].I32 = append(b.Cols[7].I32, r.Exit)
		text(8, r.Detail)
		text(9, r.Who)
	}
	return b
}

func readRuns(ctx context.Context, t *Table) (out []Run, err error) {
	err = t.eachRow(ctx, runColumns(), func(b *file.Batch, i int) error {
		text := func(c int) string { return string(b.Cols[c].Text(i)) }
		out = append(out, Run{Name: text(0), Line: text(1), Due: b.Cols[2].I64[i], Missed: b.Cols[3].I32[i], Began: b.Cols[4].I64[i], Ended: b.Cols[5].I64[i],
			Outcome: text(6), Exit: b.Cols[7].I32[i], Detail: text(8), Who: text(9)})
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(out, func(a, b Run) int { return cmp.Compare(a.Ended, b.Ended) })
	return out, nil
}
