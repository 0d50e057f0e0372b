package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/run"
	"github.com/pinova-group/tidemark/run/explain"
	"github.com/pinova-group/tidemark/specs"
)

func newExplainCmd(a *app) *cobra.Command {
	cfg := explain.Config{Limit: 20}
	lakeName := ""
	cmd := &cobra.Command{
		Use: "explain VIEW TIME [ENTITY] --input PATH [flags]", Short: "how one row came about, from which events",
		Long: `explain shows one row of a view: the formula of each feature with its numbers, the input events
that went in (file, line, time, id, the columns read), and those left out and why: late,
duplicate, filtered by where, rejected. Every value is worked out a second time, apart from the
engine; "recomputed: equal" means that both agree to the last bit.

Rows of other views that went in (the input of a view over a view, what is joined, the ticks of
a clock, the members of a latest window) stand in a tree; --deep goes on down to their events.
Of what scans and frames remember the last N rows are listed, with the state before them.

An input of the form lake:processed.trade is a table of the lake that --lake names; lake: alone
is every table that the view reads. Only what is in reach of the row is read, and the place of an
event is its table and its event_id.

TIME is any instant of the row's window; of a rolling or latest view the row at or after it is
taken, of a row view without windows it is the very time of the row. ENTITY is as
binance/spot/BTC-USDT, in the order of the view's by; it may be left out when only one has such
a row.`,
		Example: `  tidemark explain trade_bars_1m 2025-11-10T17:24:00Z binance/spot/BTC-USDT --input trades.csv.gz
  tidemark explain vwap_5m 2025-11-10T17:24:07Z --input trades.csv.gz --feature vwap --limit 5 --json
  tidemark explain trade_bars_1m 2025-11-10T17:24:00Z --lake data/lake --input lake:`,
		Annotations: map[string]string{"page": pageURL + "how-to/explain-a-value.md"},
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 3 {
				return exactly(3, "")(cmd, args)
			}
			return atLeast(2, "view and time: explain VIEW TIME [ENTITY]")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if cfg.Limit < 0 {
				return fault.Usage("flag_invalid", "--limit cannot be negative", "0 lists all")
			}
			if cfg.Nth < 1 {
				return fault.Usage("flag_invalid", "--nth counts from 1", "")
			}
			t, err := run.ParseTime(args[1], a.now().UnixMicro())
			if err != nil {
				return fault.Usage("time_invalid", err.Error(), "")
			}
			cfg.View, cfg.Time, cfg.Stdin = args[0], t, a.in
			if len(args) == 3 {
				cfg.Entity = args[2]
			}
			if slices.ContainsFunc(cfg.Inputs, func(in string) bool { return strings.HasPrefix(in, run.LakePrefix) }) {
				l, _, err := a.openLake(cmd.Context(), lakeName, false)
				if err != nil {
					return err
				}
				defer func() { _ = l.Close() }()
				cfg.Lake = l
			}
			x, err := explain.Explain(cmd.Context(), cfg)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(x)
			}
			return a.print(x.Text(a.style(a.outTTY)))
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&cfg.Inputs, "input", nil, "event files, folders, patterns, or - for the standard input: `PATH` of each, comma between")
	f.StringVar(&cfg.Format, "input-format", "auto", "`format` of the input (tidemark help formats)")
	f.StringVar(&cfg.Feed, "feed", "", "book all events to this `feed` (default: what the format says)")
	addLake(f, &lakeName)
	f.StringSliceVar(&cfg.Specs, "spec", nil, "where VIEW is found, `NAME|FILE` of each (default: the shipped view)")
	f.StringArrayVar(&cfg.Set, "set", nil, "value of a parameter, `name=value`; may be repeated")
	f.StringVar(&cfg.Feature, "feature", "", "explain this `name` only")
	f.IntVar(&cfg.Limit, "limit", cfg.Limit, "list at most `N` events, rows and left-out events; 0 lists all")
	f.BoolVar(&cfg.Deep, "deep", false, "take the rows of other views that went in apart, too, down to their events")
	f.IntVar(&cfg.Nth, "nth", 1, "of several rows at one instant explain the `N`th")
	complete(cmd, "spec", specs.Names())
	return cmd
}
