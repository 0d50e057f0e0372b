package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pinova-group/tidemark/backfill"
	"github.com/pinova-group/tidemark/backfill/verify"
	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run"
	"github.com/pinova-group/tidemark/specs"
)

func newVerifyCmd(a *app) *cobra.Command {
	var lakeName string
	var specFiles, set []string
	settle := 5 * time.Minute
	c := verify.Config{From: market.NoTime, To: market.NoTime, Limit: 5}
	cmd := &cobra.Command{
		Use: "verify VIEW... --lake LAKE", Short: "hold the rows of feature tables to history, hour by hour",
		Long: `verify computes the rows of views from the event tables of a lake and compares them, bit for bit, with the
rows that are in the feature tables and with what streams have written into the parity ledger. Each hour gets a verdict:
  equal              the rows are those of history with all events
  corrected differs  the rows are those as served; it says how many events came late and how many rows they would change
  missing            history has rows, the table has none
  different          a fault: the first rows that differ are printed, column by column
  not sealed         events or rows of the hour may still come; it is not compared
The exit code is 0 only when no hour is missing or different, else 4.`,
		Example:     "  tidemark verify trade_bars_1m book_1s --lake data/lake\n  tidemark verify trade_bars_1m --lake data/lake --from 2025-11-10 --to 2025-11-11 --deep --json",
		Annotations: map[string]string{"page": pageURL + "parity.md"},
		Args:        atLeast(1, "a view: verify VIEW"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if c.Limit < 0 || settle < 0 {
				return fault.Usage("flag_invalid", "--limit and --settle cannot be negative", "")
			}
			c.Settle, c.Names = settle.Microseconds(), args
			load := specFiles
			if load == nil {
				load = args
			}
			params, err := (&run.Config{Set: set}).Params()
			if err != nil {
				return err
			}
			if c.Views, err = backfill.Load(load, params); err != nil {
				return err
			}
			l, _, err := a.openLake(cmd.Context(), lakeName, false)
			if err != nil {
				return err
			}
			defer func() { _ = l.Close() }()
			c.Lake = l
			r, err := verify.Verify(cmd.Context(), c)
			if err != nil {
				return err
			}
			return a.verified(r)
		},
	}
	f := cmd.Flags()
	addLake(f, &lakeName)
	addRange(a, f, &c.From, &c.To)
	f.StringSliceVar(&specFiles, "spec", nil, "where the views are found, `NAME|FILE` of each (default: shipped views)")
	f.StringArrayVar(&set, "set", nil, "value of a parameter, `name=value`; may be repeated")
	f.BoolVar(&c.Deep, "deep", false, "compare row by row also where the sums of an hour are equal")
	f.IntVar(&c.Limit, "limit", c.Limit, "print at most `N` differing rows of an hour")
	f.DurationVar(&settle, "settle", settle, "how much longer than its events an hour of a table that a sink fills is given")
	complete(cmd, "spec", specs.Names())
	return cmd
}

// verified prints a report; one that is not in order is an error.
func (a *app) verified(r *verify.Report) error {
	var err error
	if a.json {
		err = a.printJSON(r)
	} else {
		err = a.print(verifyText(r))
	}
	if err != nil || r.OK() {
		return err
	}
	n := 0
	for _, h := range r.Hours {
		if !h.Verdict.OK() {
			n++
		}
	}
	return &fault.Error{Code: "parity", Message: fmt.Sprintf("%d of %d hours are not what they should be", n, len(r.Hours)), Exit: fault.ExitDifference,
		Remedy: "docs/parity.md says how to read a verdict; tidemark backfill puts the rows of history in their place"}
}

func verifyText(r *verify.Report) string {
	var b strings.Builder
	counts := map[verify.Verdict]int{}
	for _, h := range r.Hours {
		counts[h.Verdict]++
		fmt.Fprintf(&b, "%s  %s  %s", h.Hour, h.View, h.Verdict)
		if h.Verdict != verify.NotSealed {
			fmt.Fprintf(&b, "  %d rows", h.Rows)
			if h.Stream != nil {
				fmt.Fprintf(&b, ", the stream wrote %d", *h.Stream)
			}
		}
		if h.Why != "" {
			b.WriteString("  " + h.Why)
		}
		b.WriteByte('\n')
		if h.Verdict == verify.Late {
			for _, e := range h.Late {
				b.WriteString("    late: " + e + "\n")
			}
		}
		for _, d := range h.First {
			fmt.Fprintf(&b, "    %s: %s %s\n", d.What, d.Entity, d.RowTS)
			for _, c := range d.Columns {
				fmt.Fprintf(&b, "      %s: table %s, history %s\n", c.Name, c.Table, c.History)
			}
			b.WriteString("      " + d.Explain + "\n")
		}
	}
	fmt.Fprintf(&b, "%d hours: %d equal, %d served as they should be with late events, %d missing, %d different, %d not sealed\n", len(r.Hours),
		counts[verify.Equal], counts[verify.Late], counts[verify.Missing], counts[verify.Different], counts[verify.NotSealed])
	return b.String()
}
