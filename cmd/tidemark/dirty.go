package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pinova-group/tidemark/backfill"
	"github.com/pinova-group/tidemark/internal/term"
	"github.com/pinova-group/tidemark/lake"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run"
	"github.com/pinova-group/tidemark/specs"
)

func newDirtyCmd(a *app) *cobra.Command {
	name := ""
	cfg := run.Config{From: market.MinEventTime, To: market.MaxEventTime}
	cmd := &cobra.Command{
		Use: "dirty [VIEW...] --lake DIR [flags]", Short: "rows of views that late events have made stale",
		Long: `dirty looks in the tables of views for rows that were made without events which the lake has by now: events that came late, and
what they reach through windows, clocks, joins and views over views. It lists entities and ranges of row_ts, whether the
view wants such rows recomputed (on_late), and what reading for that would take. Rows outside of these ranges are right
to the last bit; most of those inside may be so, too.

VIEW is a shipped view or a spec file; without one, all shipped views that have a table. Nothing is changed.`,
		Example:     "  tidemark dirty --lake data/lake\n  tidemark dirty trade_bars_1m vwap_5m --lake data/lake --from 2025-11-10 --to 2025-11-11 --json",
		Annotations: map[string]string{"page": pageURL + "runbooks/late-data.md"},
		RunE: func(cmd *cobra.Command, args []string) error {
			l, _, err := a.openLake(cmd.Context(), name, false)
			if err != nil {
				return err
			}
			defer func() { _ = l.Close() }()
			return a.dirty(cmd, l, args, &cfg)
		},
	}
	f := cmd.Flags()
	addLake(f, &name)
	addRange(a, f, &cfg.From, &cfg.To)
	f.StringArrayVar(&cfg.Set, "set", nil, "value of a parameter, `name=value`; may be repeated")
	cmd.ValidArgs = specs.Names()
	return cmd
}

func (a *app) dirty(cmd *cobra.Command, l *lake.Lake, args []string, cfg *run.Config) error {
	params, err := cfg.Params()
	if err != nil {
		return err
	}
	var v *backfill.Views
	var names []string
	if len(args) == 0 {
		var others []string
		if v, names, others, err = backfill.Tabled(cmd.Context(), l, params); err != nil {
			return err
		}
		if len(others) > 0 {
			a.warn("not looked at, for their specs are not the shipped ones: " + strings.Join(others, ", "))
		}
	} else if v, err = backfill.Load(args, params); err == nil {
		names, err = v.Named(args)
	}
	if err != nil {
		return err
	}
	found := []backfill.Stale{}
	if len(names) > 0 {
		in, err := backfill.Pin(cmd.Context(), l, v)
		if err != nil {
			return err
		}
		if found, err = in.Dirty(cmd.Context(), names, backfill.Range{From: cfg.From, To: cfg.To}); err != nil {
			return err
		}
	}
	if a.json {
		return a.printJSON(map[string]any{"views": found})
	}
	return a.print(dirtyText(found, a.style(a.outTTY)))
}

// maxDirtyLines is how many ranges of a view are listed for people.
const maxDirtyLines = 12

func dirtyText(found []backfill.Stale, st term.Style) string {
	if len(found) == 0 {
		return "nothing is stale\n"
	}
	var b strings.Builder
	for i, s := range found {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "%s  %s, %s in %s; to recompute, %s are read (%s); on_late: %s\n", st.Bold(s.View), counted(s.Events, "late event"), counted(len(s.Rows), "range"),
			counted(s.Hours, "hour"), counted(int(s.Read), "event"), term.Bytes(s.Bytes), s.OnLate)
		var rows [][]string
		for _, r := range s.Rows[:min(len(s.Rows), maxDirtyLines)] {
			rows = append(rows, []string{r.Key.String(), market.FormatTime(r.From), market.FormatTime(r.To)})
		}
		b.WriteString(st.Table([]term.Column{{Head: "entities", Keep: true}, {Head: "from", Keep: true}, {Head: "to", Keep: true}}, rows))
		if n := len(s.Rows) - maxDirtyLines; n > 0 {
			fmt.Fprintf(&b, "… and %s more ranges; --json lists all\n", term.Int(int64(n)))
		}
	}
	return b.String()
}

func counted(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return term.Int(int64(n)) + " " + thing
}
