package main

import (
	"github.com/spf13/cobra"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/run"
	"github.com/pinova-group/tidemark/run/specdiff"
)

func newSpecDiff(a *app) *cobra.Command {
	cfg := run.DefaultConfig()
	var diff specdiff.Config
	var set []string
	exit := false
	cmd := &cobra.Command{
		Use: "diff A B", Short: "how two views differ: text, features, fingerprint, cost, rows",
		Long: `diff compares two specs, each a file or a shipped view (NAME or NAME@VERSION): the canonical text key by key,
what makes the fingerprints differ, what the views need. With --input it also runs both over the same events
and says which rows and columns differ, by how much, and shows the first ones.`,
		Example: "  tidemark spec diff trade_bars_1m my_bars.yaml\n" +
			"  tidemark spec diff momentum_15m momentum_15m --set-b w=1h --input trades.csv\n" +
			"  tidemark spec diff old.yaml new.yaml --with parent.yaml --input trades.csv --exit-code --json",
		Args: exactly(2, "two specs to compare"),
		RunE: func(cmd *cobra.Command, args []string) error {
			diff.A.Arg, diff.B.Arg = args[0], args[1]
			diff.A.Set, diff.B.Set = append(diff.A.Set, set...), append(diff.B.Set, set...)
			if len(cfg.Inputs) == 0 {
				for _, name := range []string{"input-format", "feed", "from", "to", "symbols"} {
					if cmd.Flags().Changed(name) {
						return fault.Usage("flag_needs", "--"+name+" is for comparing rows", "add --input FILE")
					}
				}
			}
			d, err := specdiff.Compare(diff)
			if err != nil {
				return err
			}
			if len(cfg.Inputs) > 0 {
				if err := d.Data(cmd.Context(), diff, cfg, run.Env{Stdin: a.in, Warn: a.warn, Build: version}); err != nil {
					return err
				}
			}
			if a.json {
				err = a.printJSON(d)
			} else {
				err = a.print(d.Print(a.style(a.outTTY)))
			}
			if err == nil && exit && !d.Same {
				err = &fault.Error{Code: "specs_differ", Message: "the views differ", Exit: fault.ExitDifference}
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&set, "set", nil, "value of a parameter of both, `name=value`; may be repeated")
	f.StringArrayVar(&diff.A.Set, "set-a", nil, "value of a parameter of the first, `name=value`")
	f.StringArrayVar(&diff.B.Set, "set-b", nil, "value of a parameter of the second, `name=value`")
	f.StringSliceVar(&diff.With, "with", nil, "specs that both may read, `NAME|FILE` of each, comma between")
	f.StringSliceVar(&cfg.Inputs, "input", nil, "event files to run both over: `PATH` of each, comma between")
	f.StringVar(&cfg.Format, "input-format", "auto", "`format` of the input (tidemark help formats)")
	f.StringVar(&cfg.Feed, "feed", "", "book all events to this `feed`")
	addRange(a, f, &cfg.From, &cfg.To)
	f.StringSliceVar(&cfg.Symbols, "symbols", nil, "only these symbols: `A,B`, such as BTC-USDT,ETH-USDT")
	f.BoolVar(&exit, "exit-code", false, "exit with 4 when the fingerprints differ")
	return cmd
}
