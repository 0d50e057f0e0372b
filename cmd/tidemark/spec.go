package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/internal/term"
	"github.com/pinova-group/tidemark/run"
	"github.com/pinova-group/tidemark/run/causal"
	"github.com/pinova-group/tidemark/run/describe"
	"github.com/pinova-group/tidemark/run/rowfile"
	"github.com/pinova-group/tidemark/specs"
)

func newSpecCmd(a *app) *cobra.Command {
	cmd := parent("spec", "check, list, show, draw, test and format views", "  tidemark spec list\n  tidemark spec check my_view.yaml")
	cmd.AddCommand(newSpecCheck(a), newSpecList(a), newSpecShow(a), newSpecGraph(a), newSpecPlan(a), newSpecFmt(a), newSpecTest(a), newSpecSQL(a), newSpecDiff(a), newSpecProto(a))
	for _, c := range cmd.Commands() {
		c.ValidArgsFunction = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return specs.Names(), cobra.ShellCompDirectiveDefault
		}
	}
	return cmd
}

// printJSON prints one object on one line.
func (a *app) printJSON(v any) error { return writeJSON(a.out, v) }

func writeJSON(w io.Writer, v any) error {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	_, err := w.Write(buf.Bytes())
	return err
}

func (a *app) print(s string) error {
	_, err := fmt.Fprint(a.out, s)
	return err
}

func newSpecCheck(a *app) *cobra.Command {
	cfg := causal.Config{Config: run.DefaultConfig(), Cuts: 10, Seed: 1}
	ahead := false
	cmd := &cobra.Command{
		Use: "check NAME|FILE...", Short: "find every mistake of specs, with place and remedy; or whether they look ahead",
		Long: `check reads specs and reports all that is wrong with them at once, as file:line:column with what to write instead.

With --causal it also runs them over events and tries whether rows look ahead: for times t drawn from the data, rows
with available_at <= t must not move when the events after t are changed, dropped or delayed. A row that moves is
told with the event that moves it (exit code 4).`,
		Example: "  tidemark spec check my_view.yaml\n  tidemark spec check views/*.yaml --json\n  tidemark spec check --causal my_view.yaml --input trades.csv --cuts 50",
		Args:    atLeast(1, "spec to check"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if ahead {
				cfg.Specs = args
				return a.checkCausal(cmd, cfg)
			}
			for _, name := range []string{"input", "input-format", "feed", "from", "to", "symbols", "cuts", "seed"} {
				if cmd.Flags().Changed(name) {
					return fault.Usage("flag_needs", "--"+name+" is for trying whether rows look ahead", "add --causal")
				}
			}
			c, err := describe.Compile(args, cfg.Set)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(map[string]any{"ok": true, "views": c.Given})
			}
			return a.print(fmt.Sprintf("%s: no mistakes\n", strings.Join(c.Given, ", ")))
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&cfg.Set, "set", nil, "value of a parameter, `name=value`; may be repeated")
	f.BoolVar(&ahead, "causal", false, "also try over --input whether rows look ahead")
	f.IntVar(&cfg.Cuts, "cuts", cfg.Cuts, "how many times to try, `N`")
	f.Uint64Var(&cfg.Seed, "seed", cfg.Seed, "another seed tries other times")
	f.StringSliceVar(&cfg.Inputs, "input", nil, "event files to try with: `PATH` of each, comma between")
	f.StringVar(&cfg.Format, "input-format", "auto", "`format` of the input (tidemark help formats)")
	f.StringVar(&cfg.Feed, "feed", "", "book all events to this `feed`")
	addRange(a, f, &cfg.From, &cfg.To)
	f.StringSliceVar(&cfg.Symbols, "symbols", nil, "only these symbols: `A,B`, such as BTC-USDT,ETH-USDT")
	return cmd
}

// checkCausal tries whether views look ahead.
func (a *app) checkCausal(cmd *cobra.Command, cfg causal.Config) error {
	res, err := causal.Check(cmd.Context(), cfg, run.Env{Stdin: a.in, Warn: a.warn, Build: version})
	if err != nil {
		return err
	}
	if a.json {
		err = a.printJSON(res)
	} else {
		err = a.print(res.Print(a.style(a.outTTY)))
	}
	if err != nil {
		return err
	}
	return leakFault(res)
}

// leakFault is the error of a check that found a row that looks ahead.
func leakFault(res *causal.Result) error {
	if res.Leak == nil {
		return nil
	}
	return &fault.Error{Code: "spec_looks_ahead", Message: "a row moved with events that came after it was known", Exit: fault.ExitDifference}
}

func newSpecList(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "the views that are shipped",
		Long: "list prints the shipped views.", Example: "  tidemark spec list\n  tidemark spec list --json", Args: exactly(0, ""),
		RunE: func(*cobra.Command, []string) error {
			items, err := describe.List()
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(map[string]any{"views": items})
			}
			var rows [][]string
			for _, i := range items {
				rows = append(rows, []string{i.View, fmt.Sprint(i.Version), i.From, i.Window, fmt.Sprint(i.Features), i.Doc})
			}
			cols := []term.Column{{Head: "view"}, {Head: "v", Right: true}, {Head: "from"}, {Head: "window"}, {Head: "features", Right: true}, {Head: "what"}}
			return a.print(a.style(a.outTTY).Table(cols, rows))
		},
	}
}

func newSpecShow(a *app) *cobra.Command {
	var set []string
	cmd := &cobra.Command{
		Use: "show NAME|FILE...", Short: "the manual page of a view or kind",
		Long:    "show prints what a view computes: columns with types and formulas, window, lookback, reach, fingerprint; or the columns of\na kind that a file defines. Of several specs it shows the last; the others are what that one refers to.",
		Example: "  tidemark spec show trade_bars_1m\n  tidemark spec show my_view.yaml --set n=20", Args: atLeast(1, "spec to show"),
		RunE: func(_ *cobra.Command, args []string) error {
			m, err := describe.Show(args, set)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(m)
			}
			return a.print(m.Text(a.style(a.outTTY)))
		},
	}
	cmd.Flags().StringArrayVar(&set, "set", nil, "value of a parameter, `name=value`; may be repeated")
	return cmd
}

func newSpecGraph(a *app) *cobra.Command {
	out, format := "-", ""
	var set []string
	cmd := &cobra.Command{
		Use: "graph NAME|FILE...", Short: "draw the plan as SVG or DOT",
		Long:    "graph draws what is read, the views and what they read from each other. The same plan gives the same bytes.",
		Example: "  tidemark spec graph trade_bars_1h -o plan.svg\n  tidemark spec graph trade_bars_1h --format dot | dot -Tpng > plan.png",
		Args:    atLeast(1, "spec to draw"),
		RunE: func(_ *cobra.Command, args []string) error {
			if format == "" {
				format = "svg"
				if strings.HasSuffix(out, ".dot") || strings.HasSuffix(out, ".gv") {
					format = "dot"
				}
			}
			if err := oneOf("--format", format, "svg", "dot"); err != nil {
				return err
			}
			c, err := describe.Compile(args, set)
			if err != nil {
				return err
			}
			text := c.SVG()
			if format == "dot" {
				text = c.DOT()
			}
			return a.writeFile(out, []byte(text))
		},
	}
	f := cmd.Flags()
	f.StringVarP(&out, "output", "o", out, "`FILE` to write, .svg or .dot; - is the standard output")
	f.StringVar(&format, "format", "", "`svg|dot` (default: by the file's extension, else svg)")
	f.StringArrayVar(&set, "set", nil, "value of a parameter, `name=value`; may be repeated")
	complete(cmd, "format", []string{"svg", "dot"})
	return cmd
}

// writeFile writes a whole file, or the standard output for "-".
func (a *app) writeFile(path string, data []byte) error {
	if path == "-" {
		_, err := a.out.Write(data)
		return err
	}
	f, err := rowfile.CreateFile(path)
	if err != nil {
		return &fault.Error{Code: "output_unwritable", Message: "cannot write the output", Where: path, Why: err.Error(), Exit: fault.ExitUsage, Cause: err}
	}
	defer f.Abort()
	if _, err := f.Write(data); err != nil {
		return err
	}
	return f.Commit()
}

func newSpecPlan(a *app) *cobra.Command {
	cfg := run.DefaultConfig()
	cmd := &cobra.Command{
		Use: "plan NAME|FILE...", Short: "lookback, reach, state, inputs; from a sample also rows, bytes and shared cost",
		Long: `plan prints what views need: how far they look back, what they read, how long the records of an entity are, and
which views share the grouping of events. From a sample it also prints what they give (rows per second of event time, bytes
per day as Parquet), the memory an entity took, with names and the room of all slices, what the plan predicts for the
traffic of the sample (within a third, either way) and for the same traffic once windows are full, and what each view costs
alone and adds to the others, in operations: instructions, accumulators and groupings, counted, so that the same sample
gives the same numbers everywhere. Memory that views share, names and order books, counts for the first that needs it.`,
		Example: "  tidemark spec plan trade_bars_1h\n  tidemark spec plan trade_bars_1m vwap_5m --input trades.csv.gz",
		Args:    atLeast(1, "spec to plan"),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg.Specs = args
			env := run.Env{Stdin: a.in, Warn: a.warn, Build: version}
			p, err := describe.MakePlan(cmd.Context(), cfg, env, func() float64 { return float64(a.now().UnixNano()) / 1e9 })
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(p)
			}
			return a.print(p.Text(a.style(a.outTTY)))
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&cfg.Inputs, "input", nil, "event files to measure with: `PATH` of each, comma between")
	f.StringVar(&cfg.Format, "input-format", "auto", "`format` of the input (tidemark help formats)")
	f.StringVar(&cfg.Feed, "feed", "", "book all events to this `feed`")
	f.StringArrayVar(&cfg.Set, "set", nil, "value of a parameter, `name=value`; may be repeated")
	addRange(a, f, &cfg.From, &cfg.To)
	return cmd
}

func newSpecFmt(a *app) *cobra.Command {
	var write, check bool
	cmd := &cobra.Command{
		Use: "fmt FILE...", Short: "lay out spec files in the one canonical way",
		Long:    "fmt prints spec files in canonical layout: keys in order, expressions as the parser prints them; comments stay.",
		Example: "  tidemark spec fmt my_view.yaml\n  tidemark spec fmt -w views/*.yaml\n  tidemark spec fmt --check views/*.yaml",
		Args:    atLeast(1, "file to format"),
		RunE: func(_ *cobra.Command, args []string) error {
			if write && check {
				return fault.Usage("flag_conflict", "-w and --check exclude each other", "")
			}
			var other []string
			for _, path := range args {
				old, text, err := describe.Fmt(path)
				if err != nil {
					return err
				}
				switch same := bytes.Equal(old, text); {
				case check && !same:
					other = append(other, path)
				case check, write && same:
				case write:
					if err := a.writeFile(path, text); err != nil {
						return err
					}
					a.say("%s\n", path)
				default:
					if _, err := a.out.Write(text); err != nil {
						return err
					}
				}
			}
			if len(other) > 0 {
				return &fault.Error{Code: "spec_unformatted", Message: fmt.Sprintf("%d of %d files are laid out otherwise", len(other), len(args)),
					Where: strings.Join(other, ", "), Remedy: "tidemark spec fmt -w " + strings.Join(other, " "), Exit: fault.ExitDifference}
			}
			return nil
		},
	}
	cmd.Flags().BoolVarP(&write, "write", "w", false, "write the files instead of printing them")
	cmd.Flags().BoolVar(&check, "check", false, "exit with 4 when a file is laid out otherwise; print nothing")
	return cmd
}
