package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pinova-group/tidemark/backfill"
	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/internal/term"
	"github.com/pinova-group/tidemark/lake"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run"
	"github.com/pinova-group/tidemark/specs"
)

// backfillFlags are the flags of backfill.
type backfillFlags struct {
	req            backfill.Request
	specs, set     []string
	lake, as, step string
	progress       string
	parallel       int
	memory         int64
	dryRun         bool
	restart        bool
	dirty          string
	bySymbol       []lake.Partition
}

func newBackfillCmd(a *app) *cobra.Command {
	c := backfillFlags{as: "served", memory: backfill.DefaultMemory, progress: "auto", req: backfill.Request{Range: backfill.Range{From: market.NoTime, To: market.NoTime}}}
	cmd := &cobra.Command{
		Use:   "backfill --view A,B --from TIME --to TIME --lake DIR [flags]",
		Short: "compute rows of views from the lake's events and put them in the place of those that are there",
		Long: `backfill computes views from the event tables of a lake and publishes their rows: in the range, and of
the symbols that are asked for, they take the place of the rows that are in feature.VIEW_vN. Nothing else changes, readers
see all of it or nothing, and tidemark lake undo brings the old rows back.

The range is cut into tasks, each with as much history as its rows look back to; the bits do not depend on the cut. Finished
tasks are kept in a branch of the table. Stopped at any moment, the same command goes on where it was; run again after its
end it finds that there is nothing to do. --dry-run prints what would be done.

--dirty recomputes, as corrected, the rows that tidemark dirty lists and no others: of all shipped views with a table, or of
those named. Without names, views that say on_late: record are left out; --dirty=all takes them, too.

Where the config has a stream with the view, its consumers are told in the topic correction.VIEW.vN of all that is
replaced, and of all that is published as corrected.`,
		Example: `  tidemark backfill --view trade_bars_1m,vwap_5m --from 2025-11-10 --to 2025-11-11 --lake data/lake --dry-run
  tidemark backfill --view trade_bars_1m,vwap_5m --from 2025-11-10 --to 2025-11-11 --lake data/lake --as corrected
  tidemark backfill --dirty --lake data/lake
  tidemark backfill --spec my_view.yaml --from 2025-11-10T17:00:00Z --to 2025-11-10T18:00:00Z --symbols BTC-USDT --lake data/lake`,
		Annotations: map[string]string{"page": pageURL + "backfill.md"},
		Args:        exactly(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if c.dirty != "" {
				return a.repair(cmd, &c)
			}
			return a.backfill(cmd, &c)
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&c.req.Views, "view", nil, "`views` whose rows are replaced, comma between (default: the last one of --spec)")
	f.StringSliceVar(&c.specs, "spec", nil, "spec files that define views, `NAME|FILE` of each, comma between; shipped views need none")
	addLake(f, &c.lake)
	addRange(a, f, &c.req.From, &c.req.To)
	f.StringSliceVar(&c.req.Symbols, "symbols", nil, "rows of these symbols alone: `A,B`, such as BTC-USDT,ETH-USDT")
	f.StringArrayVar(&c.set, "set", nil, "value of a parameter, `name=value`; may be repeated")
	f.StringVar(&c.as, "as", c.as, "`served|corrected`: late events left out, as a stream has it, or in their places")
	f.BoolVar(&c.dryRun, "dry-run", false, "print the plan and change nothing")
	f.StringVar(&c.dirty, "dirty", "", "`recompute|all`: just what late events have made stale, as corrected")
	f.Lookup("dirty").NoOptDefVal = "recompute"
	f.BoolVar(&c.restart, "restart", false, "begin anew: forget the tasks that a stopped run has finished")
	f.StringVar(&c.step, "step", "", "length of a task, such as `1h` (default: by lookback and number of events)")
	addBySymbol(f, &c.bySymbol)
	f.IntVar(&c.parallel, "parallel", 0, "tasks at once, `N` (default: one for each CPU)")
	f.Int64Var(&c.memory, "memory", c.memory, "`bytes` that events and rows of all tasks may take; the state of the views comes on top")
	f.StringVar(&c.progress, "progress", c.progress, "`auto|plain|none`: in place on a terminal, a line each 10 s, or nothing")
	complete(cmd, "view", specs.Names())
	complete(cmd, "spec", specs.Names())
	complete(cmd, "as", []string{"served", "corrected"})
	complete(cmd, "progress", []string{"auto", "plain", "none"})
	complete(cmd, "dirty", []string{"recompute", "all"})
	return cmd
}

func (a *app) backfill(cmd *cobra.Command, c *backfillFlags) error {
	if err := oneOf("--as", c.as, "served", "corrected"); err != nil {
		return err
	}
	if err := oneOf("--progress", c.progress, "auto", "plain", "none"); err != nil {
		return err
	}
	if c.as == "corrected" {
		c.req.As = backfill.Corrected
	}
	if os.Getenv("GOMEMLIMIT") == "" { // garbage is collected before it doubles what is asked for
		debug.SetMemoryLimit(c.memory + c.memory/2)
	}
	env := backfill.Env{Now: a.now, Who: os.Getenv("USER"), Parallel: c.parallel, Memory: c.memory, Meter: &run.Meter{}, BySymbol: c.bySymbol}
	if c.step != "" {
		var err error
		if c.req.Step, err = run.ParseDuration(c.step); err != nil || c.req.Step <= 0 {
			return fault.Usage("step", fmt.Sprintf("--step: %q is no length of a task", c.step), "write a number and its unit, such as 1h (us ms s m h d w)")
		}
	}
	views, err := a.backfillViews(c)
	if err != nil {
		return err
	}
	l, _, err := a.openLake(cmd.Context(), c.lake, false)
	if err != nil {
		return err
	}
	defer func() { _ = l.Close() }()
	t, err := a.teller(l)
	if err != nil {
		return err
	}
	env.Lake, env.Tell = l, t.tables
	b, err := backfill.Make(cmd.Context(), env, views, c.req)
	if err != nil {
		return err
	}
	if c.dryRun {
		return a.backfillPlan(b.Plan)
	}
	if c.restart {
		if err := b.Discard(cmd.Context()); err != nil {
			return err
		}
		if b, err = backfill.Make(cmd.Context(), env, views, c.req); err != nil {
			return err
		}
	}
	if !a.json {
		for _, n := range b.Plan.Notes {
			a.warn(n)
		}
	}
	began := a.now()
	stop := a.startProgress(c.progress, env.Meter)
	rep, err := b.Run(cmd.Context())
	stop()
	if err != nil && errors.Is(context.Cause(cmd.Context()), errInterrupted) {
		return &fault.Error{Code: "interrupted", Message: "interrupted; finished tasks are kept", Remedy: "the same command goes on where it was", Exit: fault.ExitInterrupted, Cause: err}
	}
	if err != nil {
		return err
	}
	if err := a.backfillReport(rep, c.lake, a.now().Sub(began)); err != nil {
		return err
	}
	return t.tell(cmd.Context(), a)
}

// backfillViews compiles the spec files and the shipped views that are named.
func (a *app) backfillViews(c *backfillFlags) (*backfill.Views, error) {
	cfg := run.Config{Set: c.set}
	params, err := cfg.Params()
	if err != nil {
		return nil, err
	}
	args := slices.Clone(c.specs)
	parsed, src, problems, err := run.Load(c.specs)
	if err != nil {
		return nil, err
	}
	if len(problems) > 0 {
		return nil, run.SpecFault(problems)
	}
	if len(c.req.Views) == 0 {
		s, _, ok := run.LastView(src)
		if !ok {
			return nil, fault.Usage("view_missing", "no view given", "name views that are shipped (tidemark spec list) or specs: --view trade_bars_1m,vwap_5m")
		}
		c.req.Views = []string{s.View.Text}
	}
	for _, name := range c.req.Views {
		known := false
		for _, s := range parsed {
			known = known || s != nil && s.Kind == nil && s.View.Text == name
		}
		if _, shipped := specs.Find(name); !known && (shipped || len(c.specs) == 0) && !slices.Contains(args, name) {
			args = append(args, name)
		}
	}
	return backfill.Load(args, params)
}

// backfillPlan prints a plan.
func (a *app) backfillPlan(p *backfill.Plan) error {
	if a.json {
		return json.NewEncoder(a.out).Encode(p)
	}
	style := a.style(a.outTTY)
	var s strings.Builder
	for _, v := range p.Views {
		state := "will be made"
		if v.Exists {
			state = "is there"
		}
		fmt.Fprintf(&s, "%s version %d → %s, which %s\n", v.View, v.Version, v.Table, state)
		if v.From != p.From || v.To != p.To || v.Entities != "" {
			fmt.Fprintf(&s, "  rows of [%s, %s) of %s\n", market.FormatTime(v.From), market.FormatTime(v.To), cmp.Or(v.Entities, "all"))
		}
	}
	fmt.Fprintf(&s, "rows of [%s, %s) as %s", market.FormatTime(p.From), market.FormatTime(p.To), p.As)
	if p.Symbols != nil {
		fmt.Fprintf(&s, ", of %s", strings.Join(p.Symbols, ", "))
	}
	fmt.Fprintf(&s, "\n\n")
	var rows [][]string
	for _, in := range p.Inputs {
		rows = append(rows, []string{in.Table, fmt.Sprint(in.Snapshot), run.FormatDuration(in.Lookback), term.Int(int64(in.Files)), term.Int(in.Rows), term.Bytes(in.Bytes)})
	}
	s.WriteString(style.Table([]term.Column{{Head: "input"}, {Head: "snapshot", Right: true}, {Head: "looks back", Right: true}, {Head: "files", Right: true}, {Head: "events", Right: true}, {Head: "bytes", Right: true}}, rows))
	s.WriteString("\n")
	rows = nil
	for i, t := range p.Tasks {
		if len(p.Tasks) > 12 && i == 6 {
			rows = append(rows, []string{fmt.Sprintf("… %d more", len(p.Tasks)-11), "", "", "", "", ""})
		}
		if len(p.Tasks) > 12 && i >= 6 && i < len(p.Tasks)-5 {
			continue
		}
		state := "to do"
		if t.Done {
			state = "finished"
		}
		rows = append(rows, []string{market.FormatTime(t.From), market.FormatTime(t.To), term.Int(int64(t.Files)), term.Int(t.Rows), term.Bytes(t.Bytes), state})
	}
	s.WriteString(style.Table([]term.Column{{Head: "task from"}, {Head: "to"}, {Head: "files", Right: true}, {Head: "events", Right: true}, {Head: "bytes", Right: true}, {Head: ""}}, rows))
	fmt.Fprintf(&s, "\n%s of %s, %d finished by an earlier run; about %s events to read, %.0f %% of them for lookback\n",
		counted(len(p.Tasks), "task"), run.FormatDuration(p.Step), p.Finished, term.Int(p.Rows), 100*p.Again)
	for _, n := range p.Notes {
		fmt.Fprintf(&s, "note: %s\n", n)
	}
	if p.Nothing != "" {
		fmt.Fprintf(&s, "nothing to do: %s\n", p.Nothing)
	}
	_, err := fmt.Fprint(a.out, s.String())
	return err
}

func (a *app) backfillReport(rep *backfill.Report, lakeName string, took time.Duration) error {
	if a.json {
		return json.NewEncoder(a.out).Encode(map[string]any{"backfill": rep, "published": publishedJSON(rep.Published), "seconds": took.Seconds()})
	}
	if rep.Plan.Nothing != "" && !rep.Resumed {
		a.say("nothing to do: %s\n", rep.Plan.Nothing)
		return nil
	}
	if rep.Resumed {
		a.say("an earlier run had been stopped while it published; it is finished now\n")
	}
	for _, v := range rep.Views {
		line := fmt.Sprintf("%s: %s rows", v.Table, term.Int(v.Rows))
		if v.Warmup > 0 {
			line += ", " + term.Int(v.Warmup) + " flagged warmup"
		}
		if v.Partial > 0 {
			line += ", " + term.Int(v.Partial) + " flagged partial"
		}
		a.say("%s\n", line)
	}
	for _, p := range rep.Published {
		a.say("%s\n", publishedText(p, lakeName))
	}
	a.say("%s computed, %d taken from an earlier run; %s events in %s (%s)\n", counted(rep.Computed, "task"), rep.Reused, term.Int(rep.Events), took.Round(time.Millisecond), term.Rate(rep.Events, took.Seconds()))
	return nil
}
