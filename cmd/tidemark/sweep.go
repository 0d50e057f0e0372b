package main

import (
	"github.com/spf13/cobra"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/run"
	"github.com/pinova-group/tidemark/run/rowfile"
	"github.com/pinova-group/tidemark/run/sweep"
	"github.com/pinova-group/tidemark/specs"
)

// sweepOut is where a sweep is written.
type sweepOut struct {
	top                  int
	table, picture, emit string
	progress             string
}

func newSweepCmd(a *app) *cobra.Command {
	cfg := sweep.Config{Config: run.DefaultConfig()}
	out := sweepOut{top: 10, progress: "auto"}
	cmd := &cobra.Command{
		Use:   "sweep SPEC --input PATH [flags]",
		Short: "run a family of views in one pass and compare the variants",
		Long: `sweep runs a view with every combination of its swept parameters in one pass over the input and
orders the variants by a metric. Parameters are swept that have sweep: in the spec; --param
sweeps others or other values. Combinations for which require is false are left out.

A metric is a function of features over all rows of a variant: count, nulls, mean, std, min, max, sum,
last, sharpe (mean / std) of one; corr and hit (share of equal signs) of two, the second one
ahead rows later of the same entity.

Each variant has the bits and the fingerprint of the spec run alone with its values;
--emit writes that spec.`,
		Example: `  tidemark sweep momentum.yaml --input trades.csv.gz --param w=1m,5m,15m --metric 'std(move)'
  tidemark sweep momentum.yaml --input trades.csv.gz --param w=1m..30m:1m --param z=1h,4h \
      --metric 'corr(score, ret, ahead=5)' --picture map.svg --emit best.yaml`,
		Annotations: map[string]string{"page": pageURL + "how-to/sweep-parameters.md"},
		Args:        exactly(1, "spec: a shipped view or a file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg.Specs = append(cfg.Specs, args[0])
			if err := oneOf("--progress", out.progress, "auto", "plain", "none"); err != nil {
				return err
			}
			return a.sweep(cmd, cfg, out)
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&cfg.Inputs, "input", nil, "event files, folders, patterns, or - for the standard input: `PATH` of each, comma between")
	f.StringVar(&cfg.Format, "input-format", "auto", "`format` of the input (tidemark help formats)")
	f.StringVar(&cfg.Feed, "feed", "", "book all events to this `feed` (default: what the format says)")
	f.StringSliceVar(&cfg.Specs, "with", nil, "other specs that SPEC reads, `NAME|FILE` of each")
	f.StringArrayVar(&cfg.Params, "param", nil, "values of a parameter: `name=a,b,c` or name=from..to:step; may be repeated")
	f.StringArrayVar(&cfg.Set, "set", nil, "one value of a parameter that is not swept, `name=value`; may be repeated")
	f.StringArrayVar(&cfg.Metrics, "metric", nil, "what to compare: `mean(feature)`, corr(feature, other, ahead=5) …; may be repeated (default: mean and std of each)")
	f.StringVar(&cfg.Best, "best", "", "order by this `metric` (default: the first)")
	f.BoolVar(&cfg.Least, "least", false, "the least of it first, not the greatest")
	f.IntVar(&out.top, "top", out.top, "print the best `N` variants; 0 prints all")
	f.StringVarP(&out.table, "output", "o", "", "write the table of all variants to `FILE`: .csv .jsonl .parquet .arrow")
	f.StringVar(&out.picture, "picture", "", "draw the metric over the parameters into `FILE`.svg")
	f.StringVar(&out.emit, "emit", "", "write the best variant as a spec to `FILE`")
	addRange(a, f, &cfg.From, &cfg.To)
	f.StringSliceVar(&cfg.Symbols, "symbols", nil, "only these symbols: `A,B`, such as BTC-USDT,ETH-USDT")
	f.StringVar(&out.progress, "progress", out.progress, "`auto|plain|none`: in place on a terminal, a line each 10 s, or nothing")
	complete(cmd, "progress", []string{"auto", "plain", "none"})
	cmd.ValidArgs = specs.Names()
	return cmd
}

func (a *app) sweep(cmd *cobra.Command, cfg sweep.Config, out sweepOut) error {
	if out.top < 0 {
		return fault.Usage("flag_invalid", "--top cannot be negative", "0 prints all")
	}
	env := run.Env{Stdin: a.in, Stdout: a.out, Warn: a.warn, Build: version, Meter: &run.Meter{}}
	stop := a.startProgress(out.progress, env.Meter)
	res, err := sweep.Sweep(cmd.Context(), cfg, env)
	stop()
	if err != nil {
		return err
	}
	a.rejected.Store(res.Report.Stats.Exit() == fault.ExitRejected)
	if err := writeSweep(res, cfg.Least, out); err != nil {
		return err
	}
	if a.json {
		return a.printJSON(res)
	}
	return a.print(res.Text(a.style(a.outTTY), out.top, cfg.Least))
}

// writeSweep writes what was asked for besides the table on the screen.
func writeSweep(res *sweep.Result, least bool, out sweepOut) error {
	if out.table != "" {
		w, err := rowfile.Create(out.table, res.Schema())
		if err != nil {
			return err
		}
		if err := res.Write(w); err != nil {
			w.Abort()
			return err
		}
		if err := w.Close(); err != nil {
			return err
		}
	}
	if out.picture != "" {
		g := res.Grid(least)
		if err := writeFile(out.picture, []byte(g.SVG(res.View+": "+g.Metric))); err != nil {
			return err
		}
	}
	if out.emit != "" {
		text, err := res.Spec(&res.Variants[0])
		if err != nil {
			return err
		}
		return writeFile(out.emit, text)
	}
	return nil
}

func writeFile(path string, data []byte) error {
	f, err := rowfile.CreateFile(path)
	if err != nil {
		return &fault.Error{Code: "output_unwritable", Message: "cannot write the output", Where: path, Why: err.Error(), Exit: fault.ExitUsage, Cause: err}
	}
	if _, err := f.Write(data); err != nil {
		f.Abort()
		return err
	}
	return f.Commit()
}
