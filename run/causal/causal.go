// Package causal checks that views do not look ahead: rows that say that they were known
// at a time must not move when what came after that time is changed, dropped or delayed.
//
// The input is sequenced once and kept; for each cut the log is changed after the cut and
// the engine runs over it anew.
package causal

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run"
)

// Config is one check.
type Config struct {
	run.Config        // specs and input
	Cuts       int    // how many times are tried
	Seed       uint64 // of their choice
}

// Result is what a check found.
type Result struct {
	Views   []string `json:"views"`
	Events  int      `json:"events"`
	Cuts    int      `json:"cuts"`
	Runs    int      `json:"runs"`
	Rows    int64    `json:"rows_compared"`
	Changed int64    `json:"events_changed"`
	Leak    *Leak    `json:"leak,omitempty"` // the first one found
}

// Leak is a row that was known at the cut and moved with what came after it.
type Leak struct {
	View        string `json:"view"`
	Entity      string `json:"entity"`
	WindowStart int64  `json:"window_start"`
	RowTS       int64  `json:"row_ts"`
	AvailableAt int64  `json:"available_at"`
	Column      string `json:"column"` // "" when the row is gone
	Whole       string `json:"whole"`  // value over the whole input
	Changed     string `json:"changed"`
	Cut         int64  `json:"cut"`
	How         string `json:"how"`   // what was done to the events after the cut
	Event       string `json:"event"` // the first event whose change moves the row
}

// modes are what is done to the events after a cut.
var modes = []string{"perturbed", "dropped", "delayed"}

// limits of a check: the log is kept in memory, and every cut runs the engine three times.
const (
	maxEvents = 2 << 20
	maxCuts   = 1000
)

// checker is one check under way.
type checker struct {
	plan  *features.Plan
	feeds *market.Feeds
	insts *market.Instruments
	log   [market.NumKinds]*market.Batch // the sequenced events of the kinds that are read
	last  int64
	base  *result
	res   *Result
	early int64 // test hook: rows claim to have been known this much earlier
}

// result is what the engine made of one log.
type result struct {
	task *features.Task
	rows features.Rows
}

// Check reads the input and tries cuts until one shows a leak.
func Check(ctx context.Context, cfg Config, env run.Env) (*Result, error) {
	return check(ctx, cfg, env, 0)
}

func check(ctx context.Context, cfg Config, env run.Env, early int64) (*Result, error) {
	if cfg.Cuts < 1 || cfg.Cuts > maxCuts {
		return nil, fault.Usage("flag_value", fmt.Sprintf("--cuts is %d", cfg.Cuts), fmt.Sprintf("want 1 to %d", maxCuts))
	}
	params, err := cfg.Params()
	if err != nil {
		return nil, err
	}
	c := &checker{feeds: market.NewFeeds(), insts: market.NewInstruments(), last: market.NoTime, res: &Result{}, early: early}
	if c.plan, _, err = run.Compile(cfg.Specs, params, c.feeds); err != nil {
		return nil, err
	}
	for _, o := range c.plan.Outputs() {
		c.res.Views = append(c.res.Views, o.Name)
	}
	if err := c.read(ctx, &cfg.Config, env); err != nil {
		return nil, err
	}
	if c.res.Events == 0 {
		return nil, fault.Usage("sample_empty", "the input holds no event that the views read", "tidemark data inspect shows what is in it")
	}
	if c.base, err = c.engine(&c.log, c.last+1); err != nil {
		return nil, err
	}
	for _, cut := range c.choose(cfg.Cuts, cfg.Seed) {
		c.res.Cuts++
		for _, how := range modes {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			leak, err := c.try(cut, how)
			if err != nil || leak != nil {
				c.res.Leak = leak
				return c.res, err
			}
		}
	}
	return c.res, nil
}

// choose draws the cuts: half are times at which a row says it became known, when a leak
// would be nearest, half are times at which an event came.
func (c *checker) choose(n int, seed uint64) []int64 {
	g := rand.New(rand.NewPCG(seed, 0x63617573616c))
	var rows, events []int64
	for v := range c.base.rows.Views {
		for _, t := range c.base.rows.Views[v].Avail {
			rows = append(rows, t-c.early)
		}
	}
	for _, b := range c.log {
		if b == nil {
			continue
		}
		for i := range b.N {
			events = append(events, c.known(b, i))
		}
	}
	var cuts []int64
	for i := range n {
		from := events
		if i%2 == 0 && len(rows) > 0 {
			from = rows
		}
		cuts = append(cuts, from[g.IntN(len(from))])
	}
	slices.Sort(cuts)
	return slices.Compact(cuts)
}

// known is when an event could be known: received, or assumed to be.
func (c *checker) known(b *market.Batch, i int) int64 {
	if t := b.IngestTS[i]; t != market.NoTime {
		return t
	}
	lag := market.DefaultAssumedLag
	if f := c.feeds.Get(b.Feed[i]); f != nil {
		lag = f.AssumedLag
	}
	return b.TS[i] + lag
}

// engine runs the views over a log and returns all rows below the mark. There is no end of
// input: it would cut windows that a stream goes on with.
func (c *checker) engine(log *[market.NumKinds]*market.Batch, mark int64) (*result, error) {
	r := &result{task: c.plan.NewTask(c.insts, market.NoTime)}
	var marks [market.NumKinds]int64
	for k := range marks {
		marks[k] = mark
		if log[k] == nil {
			continue
		}
		if err := r.task.Push(log[k]); err != nil {
			return nil, fmt.Errorf("push %s events: %w", c.plan.Kinds().Name(market.Kind(k)), err)
		}
	}
	if err := r.task.Advance(&marks, &r.rows); err != nil {
		return nil, fmt.Errorf("advance: %w", err)
	}
	return r, nil
}

// try changes what came after the cut and looks for a row that moved; the event is then
// found by halving.
func (c *checker) try(cut int64, how string) (*Leak, error) {
	after := c.after(cut)
	if len(after) == 0 {
		return nil, nil
	}
	c.res.Runs++
	c.res.Changed += int64(len(after))
	leak, err := c.moved(cut, how, after, true)
	if err != nil || leak == nil {
		return nil, err
	}
	lo, hi := 0, len(after) // the first lo alone do not move a row, the first hi do
	for hi-lo > 1 {
		mid := (lo + hi) / 2
		l, err := c.moved(cut, how, after[:mid], false)
		if err != nil {
			return nil, err
		}
		if l != nil {
			leak, hi = l, mid
		} else {
			lo = mid
		}
	}
	leak.Event = c.describe(after[hi-1])
	return leak, nil
}

// markOf is the mark up to which a changed log is run: beyond every row that says it was
// known at the cut, whatever its time.
func (c *checker) markOf(cut int64) int64 {
	mark := int64(0)
	for v := range c.base.rows.Views {
		a := &c.base.rows.Views[v]
		for i, t := range a.Avail {
			if t-c.early <= cut {
				mark = max(mark, a.RowTS[i]+1)
			}
		}
	}
	return mark
}

// moved runs the engine with some events changed and compares.
func (c *checker) moved(cut int64, how string, events []place, count bool) (*Leak, error) {
	log := c.change(how, events)
	got, err := c.engine(&log, c.markOf(cut))
	if err != nil {
		return nil, fmt.Errorf("cut at %s, events after it %s: %w", market.FormatTime(cut), how, err)
	}
	for v := range c.base.rows.Views {
		leak, rows := c.compare(v, got, cut)
		if count {
			c.res.Rows += rows
		}
		if leak != nil {
			leak.Cut, leak.How = cut, how
			return leak, nil
		}
	}
	return nil, nil
}
