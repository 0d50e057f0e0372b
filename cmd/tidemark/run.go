package main

import (
	"encoding/json"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run"
	"github.com/pinova-group/tidemark/run/rowfile"
	"github.com/pinova-group/tidemark/specs"
)

func newRunCmd(a *app) *cobra.Command {
	cfg := run.DefaultConfig()
	as, progress, lakeName := "served", "auto", ""
	cmd := &cobra.Command{
		Use:   "run --spec NAME|FILE --input PATH [flags]",
		Short: "compute views over event files",
		Long: `run reads event files, puts their events in order, computes views and writes the rows of one.

Files may be gzip or zstd; several are merged by time. Bad records are counted and skipped,
and the exit code is then 3 (see tidemark help accounting).

An input of the form lake:processed.trade is a table of the lake that --lake names; lake: alone is every table that the
views read. The rows are the same bits as those over the files that were imported.

-o lake: publishes the rows in the table feature.VIEW_vN: in their range they take the place of the rows that are there,
which tidemark lake undo brings back.`,
		Example: `  tidemark run --spec trade_bars_1m --input trades.csv.gz
  tidemark run --spec my_view.yaml --input 'tapes/*.jsonl.zst' --from 2025-11-10 --symbols BTC-USDT -o bars.parquet --stats stats.json
  tidemark run --spec hot_instruments --input quotes.csv.gz --alerts -
  tidemark run --spec trade_bars_1m --lake data/lake --input lake:processed.trade --from 2025-11-10 --to 2025-11-11
  tidemark run --spec trade_bars_1m --lake data/lake --input lake: -o lake:`,
		Annotations: map[string]string{"page": pageURL + "formats.md"},
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg.Inputs = append(cfg.Inputs, args...)
			if err := oneOf("--as", as, "served", "corrected"); err != nil {
				return err
			}
			if err := oneOf("--progress", progress, "auto", "plain", "none"); err != nil {
				return err
			}
			cfg.Corrected = as == "corrected"
			if cfg.Alerts == "-" && !cmd.Flags().Changed("output") {
				cfg.Output = "" // the alerts alone
			}
			return a.run(cmd, cfg, lakeName, progress)
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&cfg.Specs, "spec", nil, "views to compute, `NAME|FILE` of each, comma between")
	f.StringVar(&cfg.View, "view", "", "the `view` whose rows are written (default: that of the last spec)")
	f.StringSliceVar(&cfg.Inputs, "input", nil, "event files, folders, patterns, or - for the standard input: `PATH` of each, comma between")
	f.StringVar(&cfg.Format, "input-format", "auto", "`format` of the input (tidemark help formats)")
	addMap(f, &cfg.Map)
	f.StringVar(&cfg.Feed, "feed", "", "book all events to this `feed` (default: what the format says)")
	addLake(f, &lakeName)
	addRange(a, f, &cfg.From, &cfg.To)
	f.StringSliceVar(&cfg.Symbols, "symbols", nil, "only these symbols: `A,B`, such as BTC-USDT,ETH-USDT")
	f.StringArrayVar(&cfg.Set, "set", nil, "value of a parameter, `name=value`; may be repeated")
	f.StringVarP(&cfg.Output, "output", "o", "-", "`FILE` to write, by extension .csv .jsonl .parquet .arrow; - is the standard output, lake: the view's table")
	addBySymbol(f, &cfg.BySymbol)
	f.StringVar(&cfg.Picture, "picture", "", "draw the rows over time into `FILE`.svg: a panel for each feature, a line for each entity")
	f.StringSliceVar(&cfg.Draw, "draw", nil, "features that are drawn, `a,b` (default: the first six numeric ones)")
	f.StringVar(&cfg.Alerts, "alerts", "", "write a record for each alert that begins or ends to `FILE`, by extension; - is the standard output, then without rows unless -o says where")
	f.StringVar(&as, "as", as, "`served|corrected`: late events left out, as a stream has it, or in their places")
	f.StringVar(&cfg.Stats, "stats", "", "write the accounting as JSON to `FILE`; - is the standard output")
	f.StringVar(&cfg.DLQ, "dlq", "", "write rejected records to `FILE`, JSON lines")
	f.BoolVar(&cfg.Strict, "strict", false, "end at the first bad record with exit code 1")
	f.BoolVar(&cfg.Open, "open", false, "also write bars, sessions and clock intervals that are open at the end")
	f.StringVar(&progress, "progress", progress, "`auto|plain|none`: in place on a terminal, a line each 10 s, or nothing")
	complete(cmd, "spec", specs.Names())
	complete(cmd, "as", []string{"served", "corrected"})
	complete(cmd, "progress", []string{"auto", "plain", "none"})
	var names []string
	for _, x := range run.Formats() {
		names = append(names, x.Name)
	}
	complete(cmd, "input-format", append([]string{"auto"}, names...))
	var feeds []string
	registry := market.NewFeeds()
	for id := range market.FeedID(market.MaxFeeds) {
		if f := registry.Get(id); f != nil {
			feeds = append(feeds, f.Name)
		}
	}
	complete(cmd, "feed", feeds)
	return cmd
}

// complete offers fixed values for a flag.
func complete(cmd *cobra.Command, flag string, values []string) {
	_ = cmd.RegisterFlagCompletionFunc(flag, func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		directive := cobra.ShellCompDirectiveNoFileComp
		if flag == "spec" {
			directive = cobra.ShellCompDirectiveDefault // files, too
		}
		return values, directive
	})
}

// addRange adds --from and --to.
func addRange(a *app, f *pflag.FlagSet, from, to *int64) {
	f.Var(&timeFlag{a: a, t: from}, "from", "first instant: 2025-11-10T17:24:00Z, a date, now-2h or integer µs (UTC)")
	f.Var(&timeFlag{a: a, t: to}, "to", "first instant after the range")
}

// timeFlag is a flag that takes a time.
type timeFlag struct {
	a *app
	t *int64
}

func (f *timeFlag) String() string {
	if f.t == nil || *f.t == market.NoTime {
		return ""
	}
	return market.FormatTime(*f.t)
}

func (f *timeFlag) Type() string { return "time" }

func (f *timeFlag) Set(s string) error {
	t, err := run.ParseTime(s, f.a.now().UnixMicro())
	if err != nil {
		return err
	}
	*f.t = t
	return nil
}

func (a *app) run(cmd *cobra.Command, cfg run.Config, lakeName, progress string) error {
	env := run.Env{Stdin: a.in, Stdout: a.out, Warn: a.warn, Build: version, Meter: &run.Meter{}}
	if a.json {
		env.Rows = rowfile.JSONL
	} else if a.outTTY {
		env.Table = run.NewTable(a.out, a.style(true))
	}
	out := strings.HasPrefix(cfg.Output, run.LakePrefix)
	if out || slices.ContainsFunc(cfg.Inputs, func(in string) bool { return strings.HasPrefix(in, run.LakePrefix) }) {
		l, _, err := a.openLake(cmd.Context(), lakeName, out)
		if err != nil {
			return err
		}
		defer func() { _ = l.Close() }()
		env.Lake, env.Now, env.Who = l, a.now, os.Getenv("USER")
	}
	began := a.now()
	stop := a.startProgress(progress, env.Meter)
	rep, err := run.Run(cmd.Context(), cfg, env)
	stop()
	if err != nil {
		return err
	}
	if rep.Piped {
		return nil
	}
	a.rejected.Store(rep.Stats.Exit() == fault.ExitRejected)
	seconds := a.now().Sub(began).Seconds()
	if a.json {
		b, err := json.Marshal(map[string]any{"summary": rep.Summary(seconds)})
		if err == nil {
			a.say("%s\n", b)
		}
		return err
	}
	for _, p := range rep.Published {
		a.say("%s\n", publishedText(p, lakeName))
	}
	a.say("%s\n", strings.Join(rep.Lines(a.style(a.errTTY), seconds), "\n"))
	return nil
}
