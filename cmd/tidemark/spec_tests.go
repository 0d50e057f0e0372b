package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/run"
	"github.com/pinova-group/tidemark/run/spectest"
)

func newSpecTest(a *app) *cobra.Command {
	cfg := run.DefaultConfig()
	record, events := "", 20
	cmd := &cobra.Command{
		Use: "test NAME|FILE...", Short: "run the tests inside specs",
		Long: `test runs the entries of tests: of each spec: events go in as in run, and the rows are compared with those expected.

With --record it prints an entry made from the first events of an input instead. Check its rows by hand before you keep them.`,
		Example:     "  tidemark spec test my_view.yaml\n  tidemark spec test trade_bars_1m vwap_5m --json\n  tidemark spec test my_view.yaml --record morning --input trades.csv.gz --events 10",
		Annotations: map[string]string{"page": pageURL + "language.md#tests"},
		Args:        atLeast(1, "spec to test"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if record == "" {
				for _, name := range []string{"input", "input-format", "feed", "from", "to", "symbols", "events"} {
					if cmd.Flags().Changed(name) {
						return fault.Usage("flag_needs", "--"+name+" is for recording", "add --record NAME")
					}
				}
				return a.specTest(cmd, args)
			}
			cfg.Specs = args
			text, err := spectest.Record(cmd.Context(), cfg, record, events, run.Env{Stdin: a.in, Warn: a.warn, Build: version})
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(map[string]string{"test": record, "entry": text})
			}
			return a.print(text)
		},
	}
	f := cmd.Flags()
	f.StringVar(&record, "record", "", "print a test called `NAME` made from --input, for the last view")
	f.IntVar(&events, "events", events, "how many events to record, `N`")
	f.StringSliceVar(&cfg.Inputs, "input", nil, "event files to record from: `PATH` of each, comma between")
	f.StringVar(&cfg.Format, "input-format", "auto", "`format` of the input (tidemark help formats)")
	f.StringVar(&cfg.Feed, "feed", "", "book all events to this `feed`")
	addRange(a, f, &cfg.From, &cfg.To)
	f.StringSliceVar(&cfg.Symbols, "symbols", nil, "only these symbols: `A,B`, such as BTC-USDT,ETH-USDT")
	return cmd
}

// specTest runs the tests and tells of each.
func (a *app) specTest(cmd *cobra.Command, args []string) error {
	results, err := spectest.Run(cmd.Context(), args)
	if err != nil {
		return err
	}
	failed := 0
	for _, r := range results {
		if !r.OK {
			failed++
		}
	}
	if a.json {
		if results == nil {
			results = []spectest.Result{}
		}
		err = a.printJSON(map[string]any{"ok": failed == 0, "tests": results})
	} else {
		err = a.print(a.testText(results))
	}
	if err != nil || failed == 0 {
		return err
	}
	return &fault.Error{Code: "spec_test_failed", Message: fmt.Sprintf("%d of %d tests failed", failed, len(results)), Exit: fault.ExitFailed}
}

// testText is a line for each test, with what differs below it.
func (a *app) testText(results []spectest.Result) string {
	if len(results) == 0 {
		return "no tests\n"
	}
	const most = 20
	st := a.style(a.outTTY)
	var b strings.Builder
	for _, r := range results {
		if r.OK {
			fmt.Fprintf(&b, "ok      %s %s\n", r.View, r.Name)
			continue
		}
		fmt.Fprintf(&b, "%s  %s %s\n", st.Red("failed"), r.View, r.Name)
		if r.Problem != "" {
			fmt.Fprintf(&b, "        %s\n", r.Problem)
		}
		for i, d := range r.Diffs {
			if i == most {
				fmt.Fprintf(&b, "        … and %d more\n", len(r.Diffs)-most)
				break
			}
			fmt.Fprintf(&b, "        %s\n", d)
		}
		for _, n := range r.Notes {
			fmt.Fprintf(&b, "        %s %s\n", st.Faint("note:"), n)
		}
	}
	return b.String()
}
