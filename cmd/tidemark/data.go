package main

import (
	"github.com/spf13/cobra"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/run"
)

func newDataCmd(a *app) *cobra.Command {
	cmd := parent("data", "look into event files", "  tidemark data inspect trades.csv.gz\n  tidemark data inspect captures --json")
	cmd.AddCommand(newDataInspect(a))
	return cmd
}

func newDataInspect(a *app) *cobra.Command {
	var cfg run.InspectConfig
	progress := "auto"
	cmd := &cobra.Command{
		Use: "inspect FILE...", Short: "what is in event files",
		Long: `inspect reads event files and tells what is in them: format, feeds, kinds, instruments, first
and last time, gaps, duplicates, disorder and bad records. Disorder is how far events lie
behind the newest one before them; those beyond the feed's declared disorder would be late.`,
		Example: "  tidemark data inspect trades.csv.gz\n  tidemark data inspect captures/ --json",
		Args:    atLeast(1, "file to inspect"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf("--progress", progress, "auto", "plain", "none"); err != nil {
				return err
			}
			cfg.Inputs = args
			env := run.Env{Stdin: a.in, Warn: a.warn, Meter: &run.Meter{}}
			stop := a.startProgress(progress, env.Meter)
			got, err := run.Inspect(cmd.Context(), cfg, env)
			stop()
			if err != nil {
				return err
			}
			a.rejected.Store(got.Exit() == fault.ExitRejected)
			if a.json {
				return a.printJSON(got)
			}
			return a.print(got.Text(a.style(a.outTTY)))
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&cfg.Specs, "spec", nil, "`FILE` that defines a kind of events in the input; comma between several")
	f.StringVar(&cfg.Format, "input-format", "auto", "`format` of the input (tidemark help formats)")
	addMap(f, &cfg.Map)
	f.StringVar(&cfg.Feed, "feed", "", "book all events to this `feed`")
	f.StringVar(&progress, "progress", progress, "`auto|plain|none`: in place on a terminal, a line each 10 s, or nothing")
	return cmd
}
