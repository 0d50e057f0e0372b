package backfill

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/lake"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run"
	"github.com/pinova-group/tidemark/sequence"
)

// Range is the rows with row_ts in [From, To), µs.
type Range struct{ From, To int64 }

// As says what becomes of events that came late.
type As uint8

// The two histories.
const (
	Served    As = iota // without late events: what a stream gave
	Corrected           // with late events, in their places
)

func (a As) String() string {
	if a == Corrected {
		return "corrected"
	}
	return "served"
}

// Options are how Compute goes about it. None but As, Symbols and Views changes what rows there are, none but Apart their order.
type Options struct {
	As      As
	Symbols []string // rows of these alone, canonical; nil for all. Every view must have symbol among its entity columns
	Memory  int64    // bytes of decoded events, 0 for a scan's default
	Workers int      // files decoded at once, 0 for one a CPU
	Apart   bool     // rows of a view come by row_ts for each entity, not over all: takes less time and memory
	Views   []int    // rows of these alone, by their places in Plan.Outputs; nil for all
	Meter   *Meter   // may be nil
}

// Meter is what computing has done so far. Safe for concurrent use.
type Meter struct {
	Events atomic.Int64 // read, those of the lookback included
	Bytes  atomic.Int64 // asked of storage
	Rows   atomic.Int64 // of all views asked for
}

// Emit takes rows of all views of the plan, in the order of Plan.Outputs; of each view rows
// come by (row_ts, entity names) over all calls, unless they come apart. It keeps nothing of them. names resolves the
// entities of the rows at hand.
type Emit func(rows *features.Rows, names func(view int, entity uint32) []string) error

// Compute gives the rows of a range, of the views and of the views that they read. Rows are
// the same bits as those of one run over everything, for any cut into ranges. It takes one run
// of the engine, memory for its state and for o.Memory of events for each table.
//
// Where the tables end before the range does, rows of windows that reach past the last event
// are flagged partial, as at the end of any input.
//
// Errors: fault.Usage for a range or symbols that cannot be, those of the lake, and emit's.
func (in *Inputs) Compute(ctx context.Context, r Range, o Options, emit Emit) error {
	c := computation{in: in, r: r, o: o, emit: emit}
	if err := c.check(); err != nil {
		return err
	}
	return c.run(ctx)
}

type computation struct {
	in    *Inputs
	r     Range
	o     Options
	emit  Emit
	task  *features.Task
	rows  features.Rows
	kept  features.Rows
	col   []int // of symbol among the entity columns of a view
	words map[string]bool
}

func (c *computation) check() error {
	if c.r.From >= c.r.To {
		return fault.Usage("range_empty", fmt.Sprintf("the range [%s, %s) is empty", market.FormatTime(c.r.From), market.FormatTime(c.r.To)),
			"--from is the first instant, --to the first one after the range")
	}
	if c.o.Symbols == nil {
		return nil
	}
	c.words = map[string]bool{}
	for _, s := range c.o.Symbols {
		c.words[s] = true
	}
	for _, v := range c.in.Views.Plan.Outputs() {
		c.col = append(c.col, slices.Index(v.Entity, "symbol"))
	}
	return nil
}

func (c *computation) run(ctx context.Context) error {
	v := c.in.Views
	end := c.in.end(c.r.To)
	apart := v.Plan.Apart()
	if c.o.Apart {
		apart = v.Plan.ApartNow()
	}
	q := run.TableQuery{
		Names: []string{""}, Plan: v.Plan, Insts: market.NewInstruments(), Feeds: v.feeds, To: c.r.To, Corrected: c.o.As == Corrected,
		Apart: apart, At: map[string]*lake.Table{}, End: end, Memory: c.o.Memory, Workers: c.o.Workers,
	}
	if v.bySymbol() {
		q.Symbols = c.o.Symbols
	}
	for _, t := range c.in.Tables {
		q.From[t.input.Kind] = max(c.r.From-t.input.Lookback, market.MinEventTime)
		if t.Snapshot != 0 {
			q.At[t.Name] = t.table
		}
	}
	if len(q.At) == 0 {
		return nil // tables without a row
	}
	reader, err := run.OpenTables(ctx, c.in.lake, q)
	if err != nil {
		return err
	}
	defer reader.Close()
	c.task = v.Plan.NewTask(q.Insts, c.r.From)
	for i := range v.Plan.Outputs() {
		if c.o.Views != nil && !slices.Contains(c.o.Views, i) {
			c.task.Omit(i)
		}
	}
	var out sequence.Out
	read := int64(0)
	for {
		n, err := reader.Next(ctx, &out)
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
		c.rows.Reset()
		for _, b := range out.Rows.Batches {
			if b == nil || b.N == 0 {
				continue
			}
			if err := c.push(b); err != nil {
				return fmt.Errorf("push %s events: %w", v.Plan.Kinds().Name(b.Kind), err)
			}
		}
		if m := c.o.Meter; m != nil {
			m.Events.Add(int64(n))
			now := reader.BytesRead()
			m.Bytes.Add(now - read)
			read = now
		}
		if err := c.task.Advance(&out.Marks, &c.rows); err != nil {
			return err
		}
		if err := c.handOn(); err != nil {
			return err
		}
	}
	c.rows.Reset()
	if err := c.task.Close(end, &c.rows); err != nil {
		return err
	}
	return c.handOn()
}

func (c *computation) push(b *market.Batch) error {
	if c.o.Apart {
		return c.task.PushApart(b, &c.rows)
	}
	return c.task.Push(b)
}

// handOn hands on the rows that have become final.
func (c *computation) handOn() error {
	rows := &c.rows
	if rows.Len() == 0 {
		return nil
	}
	for i := range rows.Views {
		v := &rows.Views[i]
		if c.words != nil || slices.ContainsFunc(v.RowTS, func(ts int64) bool { return ts >= c.r.To }) {
			rows = c.choose()
			break
		}
	}
	if c.o.Meter != nil {
		c.o.Meter.Rows.Add(int64(rows.Len()))
	}
	return c.emit(rows, c.task.EntityNames)
}

// choose copies the rows of the range and of the symbols.
func (c *computation) choose() *features.Rows {
	if c.kept.Views == nil {
		c.kept.Views = make([]features.ViewRows, len(c.rows.Views))
	}
	c.kept.Reset()
	for i := range c.rows.Views {
		src, dst := &c.rows.Views[i], &c.kept.Views[i]
		for row := range src.Len() {
			if src.RowTS[row] < c.r.To && (c.words == nil || c.words[c.symbol(i, src.Entity[row])]) {
				appendRow(dst, src, row)
			}
		}
	}
	return &c.kept
}

// symbol is that of a row, "" of a view without one.
func (c *computation) symbol(view int, entity uint32) string {
	if c.col[view] < 0 {
		return ""
	}
	return c.task.EntityNames(view, entity)[c.col[view]]
}

// appendRow copies row i of src.
func appendRow(dst, src *features.ViewRows, i int) {
	n := dst.Len()
	dst.Entity, dst.Start, dst.End = append(dst.Entity, src.Entity[i]), append(dst.Start, src.Start[i]), append(dst.End, src.End[i])
	dst.RowTS, dst.Avail, dst.Flags = append(dst.RowTS, src.RowTS[i]), append(dst.Avail, src.Avail[i]), append(dst.Flags, src.Flags[i])
	if dst.Features == nil {
		dst.Features = make([]features.OutCol, len(src.Features))
	}
	for k := range src.Features {
		s, d := &src.Features[k], &dst.Features[k]
		switch {
		case len(s.F64) > 0:
			d.F64 = append(d.F64, s.F64[i])
		case len(s.I64) > 0:
			d.I64 = append(d.I64, s.I64[i])
		case len(s.Hi) > 0:
			d.Hi, d.Lo = append(d.Hi, s.Hi[i]), append(d.Lo, s.Lo[i])
		default:
			if len(d.Off) == 0 {
				d.Off = append(d.Off, 0)
			}
			d.Bytes = append(d.Bytes, s.Bytes[s.Off[i]:s.Off[i+1]]...)
			d.Off = append(d.Off, int32(len(d.Bytes)))
		}
		if s.IsNull(i) {
			for len(d.Null) <= n>>6 {
				d.Null = append(d.Null, 0)
			}
			d.Null[n>>6] |= 1 << (n & 63)
		}
	}
}
