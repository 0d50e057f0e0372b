package main

import (
	"github.com/spf13/cobra"

	"github.com/pinova-group/tidemark/run"
)

func newDemoCmd(a *app) *cobra.Command {
	cfg := run.DefaultDemo()
	cmd := &cobra.Command{
		Use: "demo", Short: "the tour: simulate a market, sequence it, compute bars, draw them",
		Long:    "demo simulates three venues with disorder, duplicates, late events and gaps, puts the events in order, computes one-minute bars and draws them. Nothing is written.",
		Example: "  tidemark demo\n  tidemark demo --minutes 600 --rate 500",
		Args:    exactly(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return run.Demo(cmd.Context(), cfg, a.out, a.style(a.outTTY), func() float64 { return float64(a.now().UnixNano()) / 1e9 })
		},
	}
	f := cmd.Flags()
	f.Uint64Var(&cfg.Seed, "seed", cfg.Seed, "another seed is another market")
	f.IntVar(&cfg.Minutes, "minutes", cfg.Minutes, "length in minutes of event time")
	f.Int64Var(&cfg.Rate, "rate", cfg.Rate, "market events per second of event time")
	return cmd
}
