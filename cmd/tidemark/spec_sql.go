package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/features/sql"
	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/run"
)

func newSpecSQL(a *app) *cobra.Command {
	var cfg run.Config
	dialect, opts := "duckdb", sql.Options{Digits: 8}
	cmd := &cobra.Command{
		Use: "sql NAME|FILE", Short: "one SQL query that computes the view, to check it with",
		Long: `sql prints a query that computes the view from canonical events, for what SQL can promise exactly:
counts, sums, first, last, min and max to the last digit; ratios as a rule within 1 ulp. What it cannot promise
(logarithms, quantiles, empty: flat, …) is refused with place and reason. Comments at the top of the
query say what is exact and which rows and columns differ by design.`,
		Example: "  tidemark spec sql trade_bars_1m --input trades.csv | duckdb\n  tidemark spec sql my_view.yaml --set n=20 --digits 5",
		Args:    exactly(1, "spec to write as SQL"),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := oneOf("--dialect", dialect, "duckdb"); err != nil {
				return err
			}
			if opts.Digits < 1 || opts.Digits > 12 {
				return fault.Usage("flag_value", fmt.Sprintf("--digits is %d", opts.Digits), "want 1 to 12")
			}
			v, err := specView(args[0], &cfg)
			if err != nil {
				return err
			}
			query, err := sql.Query(v, opts)
			if ps := (lang.Problems)(nil); errors.As(err, &ps) {
				f := &fault.Error{Code: "spec_not_sql", Message: "SQL cannot promise what " + v.Name + " computes", Exit: fault.ExitUsage, Cause: err}
				for _, p := range ps {
					f.Parts = append(f.Parts, fault.Part{Where: p.Pos.String(), Message: p.What, Remedy: p.Remedy})
				}
				return f
			}
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(map[string]any{"view": v.Name, "dialect": dialect, "sql": query})
			}
			return a.print(query)
		},
	}
	f := cmd.Flags()
	f.StringVar(&dialect, "dialect", dialect, "`dialect` of SQL: duckdb")
	f.StringVar(&opts.Input, "input", "", "canonical `FILE` to read (.csv, .csv.gz, .csv.zst, .parquet) or name of a table (default: the table events)")
	f.IntVar(&opts.Digits, "digits", opts.Digits, "digits after the point that decimals of the input have at most, 1 to 12")
	f.StringArrayVar(&cfg.Set, "set", nil, "value of a parameter, `name=value`; may be repeated")
	complete(cmd, "dialect", []string{"duckdb"})
	return cmd
}

// specView checks one spec and returns its view.
func specView(arg string, cfg *run.Config) (*lang.View, error) {
	params, err := cfg.Params()
	if err != nil {
		return nil, err
	}
	set, src, err := run.Check([]string{arg}, params)
	if err != nil {
		return nil, err
	}
	sp, _ := lang.Parse(src[0].Name, src[0].Text) // without mistakes: it was checked
	for _, v := range set.Views {
		if v.Name == sp.View.Text {
			return v, nil
		}
	}
	return nil, fmt.Errorf("BUG: view %q is checked and is not in the set", sp.View.Text)
}
