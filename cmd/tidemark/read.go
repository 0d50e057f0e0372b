package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/internal/term"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run/rowfile"
	"github.com/pinova-group/tidemark/stream/follow"
)

type readFlags struct {
	lake                        string
	stream                      streamFlags
	specs                       []string
	symbols, exchanges, markets []string
	limit                       int64
	out                         string
}

func newReadCmd(a *app) *cobra.Command {
	var fl readFlags
	cfg := follow.Config{From: market.NoTime, To: market.NoTime}
	cmd := &cobra.Command{
		Use: "read VIEW", Short: "rows of a view from history and on into the live topic, each once", Args: exactly(1, "view"),
		Long: `read writes the rows of a view: first those of its table, at one snapshot, then those of its topic from the offsets
which that snapshot has the rows up to. So no row is missing and none comes twice, and the rows of an entity come in the
order of their time. Without --follow it ends where the topic ended when it began; with it, it waits for more until Ctrl-C.

Where it changes over is said on the standard error: the snapshot, the offsets, the last row before and the first one after.
The table has to be filled by tidemark sink, which notes the offsets.`,
		Example: `  tidemark read trade_bars_1m --lake data/lake --from now-1d --follow
  tidemark read trade_bars_1m --lake prod --from 2025-11-10 --symbols BTC-USDT,ETH-USDT --json
  tidemark read book_1s --lake prod --from now-1h -o rows.parquet`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if cfg.Follow && (fl.out != "-" || cfg.To != market.NoTime) {
				return fault.Usage("flags_conflict", "--follow has no end, so it goes with neither --output nor --to", "leave --follow out, or write to the standard output")
			}
			cfg.Where = map[string][]string{}
			for col, words := range map[string][]string{"exchange": fl.exchanges, "market": fl.markets, "symbol": fl.symbols} {
				if len(words) > 0 {
					cfg.Where[col] = words
				}
			}
			return a.read(cmd.Context(), args[0], cfg, &fl)
		},
	}
	f := cmd.Flags()
	addLake(f, &fl.lake)
	fl.stream.add(f)
	addRange(a, f, &cfg.From, &cfg.To)
	f.BoolVarP(&cfg.Follow, "follow", "f", false, "wait for more at the end")
	f.StringSliceVar(&fl.symbols, "symbols", nil, "only these symbols: `A,B`, such as BTC-USDT,ETH-USDT")
	f.StringSliceVar(&fl.exchanges, "exchanges", nil, "only these exchanges: `a,b`")
	f.StringSliceVar(&fl.markets, "markets", nil, "only these markets: `spot,perp`")
	f.StringSliceVar(&fl.specs, "spec", nil, "where the view is, unless it is shipped or in the config: `NAME|FILE` of each, comma between")
	f.Int64Var(&fl.limit, "limit", 0, "end after `N` rows, 0 for all")
	f.StringVarP(&fl.out, "output", "o", "-", "`FILE` to write, by extension .csv .jsonl .parquet .arrow; - is the standard output")
	return cmd
}

// output finds a view among those of the config, those added, and those that are shipped: of
// several versions the last.
func (s *stream) output(view string) (*features.Output, error) {
	if !slices.ContainsFunc(s.outputs, func(o features.Output) bool { return o.Name == view }) {
		if err := s.addShipped("feature." + view + ".v1"); err != nil {
			return nil, err
		}
	}
	var found *features.Output
	var names []string
	for i := range s.outputs {
		o := &s.outputs[i]
		names = append(names, o.Name)
		if o.Name == view && (found == nil || o.Version > found.Version) {
			found = o
		}
	}
	if found == nil {
		remedy := "name its file: --spec FILE; tidemark spec list shows those that are shipped"
		if len(names) > 0 {
			remedy = "here are " + strings.Join(names, ", ") + "; or name its file: --spec FILE"
		}
		return nil, fault.Usage("view_unknown", fmt.Sprintf("view %q is not known here", view), remedy)
	}
	return found, nil
}

func (a *app) read(ctx context.Context, view string, cfg follow.Config, fl *readFlags) error {
	s, err := a.openStream(&fl.stream, true, fl.specs...)
	if err != nil {
		return err
	}
	if cfg.View, err = s.output(view); err != nil {
		return err
	}
	l, _, err := a.openLake(ctx, fl.lake, false)
	if err != nil {
		return err
	}
	defer func() { _ = l.Close() }()
	warnings, err := s.Kafka.Ping(ctx)
	if err != nil {
		return err
	}
	for _, w := range warnings {
		a.warn(w.Error())
	}
	env := follow.Env{Lake: l}
	if env.Options, err = s.Kafka.Options(); err != nil {
		return err
	}
	if env.Schemas, err = s.schemas(); err != nil {
		return err
	}
	r, err := follow.Open(ctx, cfg, env)
	if err != nil {
		return err
	}
	defer r.Close()
	w, err := a.rowWriter(fl.out, r.Schema())
	if err != nil {
		return err
	}
	if f, ok := w.(*rowfile.Rows); ok {
		defer f.Abort()
	}
	if err := a.copyRows(ctx, r, w, fl.limit); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return a.sayCut(r.Cut(), "")
}

// rowWriter writes result rows: to a file by its extension, to the standard output as CSV or JSON lines.
func (a *app) rowWriter(out string, s *rowfile.Schema) (rowfile.Writer, error) {
	if out == "-" {
		format := rowfile.CSV
		if a.json {
			format = rowfile.JSONL
		}
		return rowfile.New(a.out, format, s)
	}
	w, err := rowfile.Create(out, s)
	if err != nil {
		return nil, &fault.Error{Code: "output_unwritable", Message: "cannot write the output", Where: out, Why: err.Error(), Exit: fault.ExitUsage, Cause: err}
	}
	return w, nil
}

// copyRows writes what r gives, until its end, the limit or Ctrl-C, which is how following ends.
func (a *app) copyRows(ctx context.Context, r *follow.Reader, w rowfile.Writer, limit int64) error {
	crossed, following := false, false
	for n := int64(0); limit == 0 || n < limit; {
		b, err := r.Next(ctx)
		if errors.Is(err, io.EOF) || ctx.Err() != nil && following {
			return nil
		}
		if err != nil {
			return err
		}
		if limit > 0 {
			b.N = int(min(int64(b.N), limit-n))
		}
		n += int64(b.N)
		if b.N > 0 {
			if err := w.Write(b); err != nil {
				return err
			}
		}
		if f, ok := w.(interface{ Flush() error }); ok {
			if err := f.Flush(); err != nil {
				return err
			}
		}
		c := r.Cut()
		following = c.First != nil || b.N == 0
		if c.First != nil && !crossed {
			crossed = true
			if err := a.sayCut(c, "goes on in the topic: "); err != nil {
				return err
			}
		}
	}
	return nil
}

// sayCut says where the table ends and the topic begins.
func (a *app) sayCut(c follow.Cut, what string) error {
	if a.json {
		return writeJSON(a.err, map[string]follow.Cut{"cut": c})
	}
	place := func(p *follow.Place) string {
		if p == nil {
			return "none"
		}
		return strings.Join(p.Entity, " ") + " " + market.FormatTime(p.RowTS)
	}
	var at []string
	for _, p := range c.Offsets {
		at = append(at, fmt.Sprintf("%d:%d", p.Partition, p.Next))
	}
	a.say("%s%s at snapshot %d: %s rows, the last %s; %s from %s: %s rows, the first %s; %d entities on both sides, each in order\n", what,
		c.Table, c.Snapshot, term.Int(c.Rows), place(c.Last), c.Topic, strings.Join(at, " "), term.Int(c.Followed), place(c.First), c.Continued)
	return nil
}
