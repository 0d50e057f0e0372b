package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pinova-group/tidemark/backfill"
	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/lake"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run"
)

// repair is backfill --dirty.
func (a *app) repair(cmd *cobra.Command, c *backfillFlags) error {
	if err := oneOf("--dirty", c.dirty, "recompute", "all"); err != nil {
		return err
	}
	if err := oneOf("--progress", c.progress, "auto", "plain", "none"); err != nil {
		return err
	}
	for _, flag := range []string{"as", "symbols", "step", "restart", "by-symbol"} {
		if cmd.Flags().Changed(flag) {
			return fault.Usage("flag_useless", "--dirty and --"+flag+" exclude each other", "what is stale says which rows, and they are recomputed as corrected")
		}
	}
	l, _, err := a.openLake(cmd.Context(), c.lake, false)
	if err != nil {
		return err
	}
	defer func() { _ = l.Close() }()
	v, names, err := a.repairViews(cmd, c, l)
	if err != nil {
		return err
	}
	r := backfill.Range{From: market.MinEventTime, To: market.MaxEventTime}
	if c.req.From != market.NoTime {
		r.From = c.req.From
	}
	if c.req.To != market.NoTime {
		r.To = c.req.To
	}
	var reqs []backfill.Request
	if len(names) > 0 {
		in, err := backfill.Pin(cmd.Context(), l, v)
		if err != nil {
			return err
		}
		found, err := in.Dirty(cmd.Context(), names, r)
		if err != nil {
			return err
		}
		if len(c.req.Views)+len(c.specs) == 0 && c.dirty != "all" {
			found = a.withoutRecorded(found)
		}
		open := false
		if reqs, open = in.Repairs(found); open {
			a.warn("rows of hours that are not complete yet are left for a later run")
		}
	}
	t, err := a.teller(l)
	if err != nil {
		return err
	}
	if err := a.runRepairs(cmd, c, l, v, reqs, t.tables); err != nil || c.dryRun {
		return err
	}
	return t.tell(cmd.Context(), a)
}

// repairViews compiles the views that are named, or the shipped ones that have a table.
func (a *app) repairViews(cmd *cobra.Command, c *backfillFlags, l *lake.Lake) (*backfill.Views, []string, error) {
	if len(c.req.Views)+len(c.specs) > 0 {
		v, err := a.backfillViews(c)
		return v, c.req.Views, err
	}
	cfg := run.Config{Set: c.set}
	params, err := cfg.Params()
	if err != nil {
		return nil, nil, err
	}
	v, names, others, err := backfill.Tabled(cmd.Context(), l, params)
	if len(others) > 0 {
		a.warn("not looked at, for their specs are not the shipped ones: " + strings.Join(others, ", "))
	}
	return v, names, err
}

func (a *app) withoutRecorded(found []backfill.Stale) []backfill.Stale {
	var left []string
	found = slices.DeleteFunc(found, func(s backfill.Stale) bool {
		if s.OnLate == "record" {
			left = append(left, s.View)
		}
		return s.OnLate == "record"
	})
	if len(left) > 0 {
		a.warn("left as they are, for their views say on_late: record: " + strings.Join(left, ", ") + "; --dirty=all takes them, too")
	}
	return found
}

func (a *app) runRepairs(cmd *cobra.Command, c *backfillFlags, l *lake.Lake, v *backfill.Views, reqs []backfill.Request, tell []string) error {
	if len(reqs) == 0 {
		if a.json && !c.dryRun {
			return a.printJSON(map[string]any{"nothing": "nothing is stale"})
		}
		return a.print("nothing to do: nothing is stale\n")
	}
	for i, req := range reqs {
		if i > 0 && c.dryRun && !a.json {
			if err := a.print("\n"); err != nil {
				return err
			}
		}
		env := backfill.Env{Lake: l, Now: a.now, Who: os.Getenv("USER"), Parallel: c.parallel, Memory: c.memory, Meter: &run.Meter{}, Tell: tell}
		views, err := v.Only(req.Views)
		if err != nil {
			return err
		}
		b, err := backfill.Make(cmd.Context(), env, views, req)
		if err != nil {
			return err
		}
		if c.dryRun {
			if err := a.backfillPlan(b.Plan); err != nil {
				return err
			}
			continue
		}
		began := a.now()
		stop := a.startProgress(c.progress, env.Meter)
		rep, err := b.Run(cmd.Context())
		stop()
		if err != nil {
			return fmt.Errorf("repair %d of %d: %w", i+1, len(reqs), err)
		}
		if err := a.backfillReport(rep, c.lake, a.now().Sub(began)); err != nil {
			return err
		}
	}
	return nil
}
