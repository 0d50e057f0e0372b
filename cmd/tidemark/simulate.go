package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pinova-group/tidemark/ingest/gen"
	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run"
	"github.com/pinova-group/tidemark/stream/play"
)

// simulateFlags are the flags that need reading before they are a configuration.
type simulateFlags struct {
	format, start, symbols, zipf string
	kinds, markets               []string
	outages, skews, ticks        []string
}

func newSimulateCmd(a *app) *cobra.Command {
	cfg, out := gen.DefaultConfig(), gen.Output{}
	cfg.Events = 100_000
	var in simulateFlags
	live := playFlags{speed: "1", progress: "auto"}
	cmd := &cobra.Command{
		Use:   "simulate --out DIR|FILE|- | --into raw|processed [flags]",
		Short: "a deterministic market of several venues, with faults and the truth about them",
		Long: `simulate writes the events of a made-up market: trades, quotes, books, funding, reference data,
heartbeats. The same seed gives the same bytes on every machine. Faults are added on request, and
--truth says for every line what must become of it: applied, late, duplicate or dlq.

With --into the market goes into Kafka, as tidemark play would write it: from now on, as fast as time goes, without end unless
--events or --duration give one. Ctrl-C ends it.`,
		Example: `  tidemark simulate --out sim/ --duration 10m --rate 2000 --truth sim/truth.jsonl.gz
  tidemark simulate --out events.jsonl.zst --events 1000000 --disorder 100ms --duplicates 1% --late 0.1% --gaps 0.01%
  tidemark simulate --into raw --create --rate 500 --venues alpha`,
		Annotations: map[string]string{"page": pageURL + "formats.md"},
		Args:        exactly(0, ""),
	}
	f := cmd.Flags()
	live.add(f)
	f.StringVar(&live.into, "into", "", "`raw|processed`: topics of Kafka to write, in place of --out")
	f.StringVarP(&out.Path, "out", "o", "", "folder, file (.csv or .jsonl, also .gz or .zst), or - for the standard output")
	f.StringVar(&in.format, "format", "", "canonical-csv, canonical-jsonl or raw (Binance lines) (default: by the file's name, canonical-csv in a folder)")
	f.StringVar(&out.Compress, "compress", "", "compress the files of a folder: gz or zst")
	f.StringVar(&out.Truth, "truth", "", "write the verdict on each line, and each gap, to this file (JSON lines)")
	f.Uint64Var(&cfg.Seed, "seed", cfg.Seed, "another seed is another market")
	f.StringVar(&in.start, "start", market.FormatTime(cfg.Start), "event time of the first event (UTC); with --into now")
	f.Int64Var(&cfg.Events, "events", cfg.Events, "market events, faults not counted; 0 with --out - or --into: without end")
	f.Var((*durationFlag)(&cfg.Duration), "duration", "end after so much event time (default: --events decides)")
	f.Int64Var(&cfg.Rate, "rate", cfg.Rate, "market events per second of event time, all venues")
	f.StringVar(&in.symbols, "symbols", "8", "symbols by falling activity, or how many of the usual ones")
	f.StringSliceVar(&cfg.Venues, "venues", cfg.Venues, "venues; venue x has feed sim-x")
	f.StringSliceVar(&in.markets, "markets", []string{"spot", "perp"}, "markets of each venue")
	f.StringSliceVar(&in.kinds, "kinds", nil, "kinds to write (default: all that the format can hold)")
	f.StringVar(&in.zipf, "zipf", "1.1", "exponent of the symbols' activity; 0: all alike")
	f.IntVar(&cfg.Depth, "depth", cfg.Depth, "book levels of a side")
	f.IntVar(&cfg.Lines, "lines", cfg.Lines, "connections of a venue; more than 1 add the column shard")
	f.Var((*durationFlag)(&cfg.Delay), "delay", "from event to receipt, at least")
	f.Var((*durationFlag)(&cfg.Disorder), "disorder", "delays differ by up to this much, below the feed's 250ms")
	f.Var((*shareFlag)(&cfg.Duplicates), "duplicates", "share of events that come twice")
	f.Var((*shareFlag)(&cfg.Late), "late", "share of trades and quotes that come later than the feed's disorder")
	f.Var((*shareFlag)(&cfg.Gaps), "gaps", "share of trades and book deltas that never come")
	f.Var((*shareFlag)(&cfg.Corrupt), "corrupt", "broken copies, as a share of events")
	f.StringArrayVar(&in.outages, "outage", nil, "lost connection, VENUE:AT+FOR such as beta:10m+30s; may be repeated")
	f.StringArrayVar(&in.skews, "skew", nil, "wrong clock, VENUE:OFFSET[@AT] such as gamma:-15ms@5m; may be repeated")
	f.StringArrayVar(&in.ticks, "tick-change", nil, "price step ten times coarser, SYMBOL@AT such as BTC-USDT@5m; may be repeated")
	complete(cmd, "format", gen.FormatNames)
	complete(cmd, "compress", []string{"gz", "zst"})
	complete(cmd, "venues", gen.DefaultConfig().Venues)
	complete(cmd, "markets", []string{"spot", "perp"})
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if live.into != "" {
			return a.simulateInto(cmd, &live, &in, cfg, out)
		}
		for _, name := range []string{"speed", "create", "brokers", "registry", "progress"} {
			if f.Changed(name) {
				return fault.Usage("flag_useless", "--"+name+" is for a market that goes into Kafka", "add --into raw")
			}
		}
		if err := in.fill(&cfg, &out, f); err != nil {
			return simulateFault(err)
		}
		return simulate(cmd, cfg, out)
	}
	return cmd
}

// simulateInto writes a market into topics.
func (a *app) simulateInto(cmd *cobra.Command, live *playFlags, in *simulateFlags, c gen.Config, o gen.Output) error {
	f := cmd.Flags()
	cfg := play.Config{From: market.NoTime, To: market.NoTime}
	if err := live.check(&cfg); err != nil {
		return err
	}
	if o.Path != "" || o.Truth != "" || o.Compress != "" {
		return fault.Usage("flag_useless", "--into writes topics and no files", "leave out --out, --truth and --compress, or --into")
	}
	if !f.Changed("start") {
		in.start = market.FormatTime(a.now().Truncate(time.Second).UnixMicro())
		cfg.Clock = cfg.Speed == 1
	}
	if !f.Changed("events") {
		c.Events = 0
	}
	to, from := io.Pipe()
	o.Path, o.Stdout = "-", from
	if err := in.fill(&c, &o, f); err != nil {
		return simulateFault(err)
	}
	if o.Format == gen.CanonicalCSV {
		return fault.Usage("flag_invalid", "--format canonical-csv has one kind a file", "canonical-jsonl or raw")
	}
	cfg.Input.Inputs, cfg.Input.Payloads = []string{"-"}, true
	if o.Format == gen.Raw {
		cfg.Input.Feed = "sim-" + c.Venues[0] // its lines do not name it
	}
	ctx, cancel := context.WithCancel(cmd.Context())
	defer cancel()
	written := make(chan error, 1)
	go func() {
		_, err := gen.Write(ctx, c, o)
		_ = from.CloseWithError(err)
		written <- err
	}()
	a.in = to
	rep, err := a.played(cmd, &cfg, live)
	cancel()
	_ = to.Close()
	if werr := <-written; errors.Is(werr, gen.ErrConfig) {
		return simulateFault(werr)
	} else if err == nil && rep.Whole && werr != nil {
		return werr
	}
	return err // Ctrl-C is how a market without an end ends
}

func simulateFault(err error) error {
	return &fault.Error{
		Code: "flag_invalid", Message: strings.ReplaceAll(err.Error(), "\n", "; "),
		Remedy: "tidemark simulate --help", Exit: fault.ExitUsage, Cause: err,
	}
}

// fill reads the flags that are text and reports all mistakes at once.
func (in *simulateFlags) fill(c *gen.Config, o *gen.Output, f *pflag.FlagSet) error {
	var errs []error
	note := func(err error) { errs = append(errs, err) }
	if f.Changed("duration") && !f.Changed("events") {
		c.Events = 0
	}
	var err error
	c.Start, err = run.ParseTime(in.start, time.Now().UnixMicro())
	note(err)
	c.Symbols, err = gen.ParseSymbols(in.symbols)
	note(err)
	if ppm, err := gen.ParseShare(in.zipf + "%"); err != nil {
		note(fmt.Errorf("read zipf exponent %q: want a number such as 1.1", in.zipf))
	} else {
		c.Zipf = ppm / 10
	}
	var ok bool
	if o.Format, _ = gen.FormatOf(o.Path); in.format != "" {
		if o.Format, ok = gen.ParseFormat(in.format); !ok {
			note(fmt.Errorf("unknown format %q: want %s", in.format, strings.Join(gen.FormatNames, ", ")))
		}
	} else if o.Path == "-" {
		o.Format = gen.CanonicalJSONL
	}
	c.Markets = nil
	for _, s := range in.markets {
		v, ok := market.ParseVenue(s)
		if !ok {
			note(fmt.Errorf("unknown market %q: want spot or perp", s))
		}
		c.Markets = append(c.Markets, v)
	}
	if len(in.kinds) > 0 {
		c.Kinds = nil
	}
	for _, s := range in.kinds {
		k, ok := market.ParseKind(s)
		if !ok {
			note(fmt.Errorf("unknown kind %q", s))
		}
		c.Kinds = append(c.Kinds, k)
	}
	for _, s := range in.outages {
		x, err := gen.ParseOutage(s)
		c.Outages = append(c.Outages, x)
		note(err)
	}
	for _, s := range in.skews {
		x, err := gen.ParseSkew(s)
		c.Skews = append(c.Skews, x)
		note(err)
	}
	for _, s := range in.ticks {
		x, err := gen.ParseTickChange(s)
		c.TickChanges = append(c.TickChanges, x)
		note(err)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return errors.Join(o.Prepare(c), c.Validate())
}

// simulate writes the files and says what was written.
func simulate(cmd *cobra.Command, c gen.Config, o gen.Output) error {
	o.Stdout = cmd.OutOrStdout()
	asJSON, _ := cmd.Flags().GetBool("json")
	began := time.Now()
	o.Progress = simulateProgress(cmd.ErrOrStderr(), c, asJSON, began)
	s, err := gen.Write(cmd.Context(), c, o)
	if errors.Is(err, gen.ErrConfig) {
		return &fault.Error{
			Code: "flag_invalid", Message: err.Error(), Exit: fault.ExitUsage, Cause: err,
			Remedy: "a smaller --disorder, --skew or --delay",
		}
	}
	if errors.Is(err, gen.ErrFolder) {
		return &fault.Error{
			Code: "folder_taken", Message: err.Error(), Exit: fault.ExitUsage, Cause: err,
			Remedy: "a folder of its own, as what reads it takes all files for one market",
		}
	}
	if err != nil {
		return err
	}
	to := cmd.OutOrStdout()
	if o.Path == "-" {
		to = cmd.ErrOrStderr()
	}
	if asJSON {
		return json.NewEncoder(to).Encode(map[string]any{"summary": s})
	}
	var bytes int64
	for _, f := range s.Files {
		bytes += f.Bytes
	}
	took := time.Since(began)
	_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "simulated %s records, %s to %s\n", humanize.Comma(s.Records), market.FormatTime(s.First), market.FormatTime(s.Last))
	_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "truth: %s applied, %s late, %s duplicate, %s dlq; %s never arrive, %s gaps\n", humanize.Comma(s.Applied),
		humanize.Comma(s.Late), humanize.Comma(s.Dup), humanize.Comma(s.DLQ), humanize.Comma(s.Missing), humanize.Comma(s.Gaps))
	for _, f := range s.Files {
		if f.Path != "-" {
			_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "  %s  %s lines\n", f.Path, humanize.Comma(f.Lines))
		}
	}
	_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "%s in %.1f s\n", humanize.Bytes(uint64(bytes)), took.Seconds())
	return nil
}

// simulateProgress prints a line every ten seconds.
func simulateProgress(w io.Writer, c gen.Config, asJSON bool, began time.Time) func(gen.Stats) {
	next := progressLine
	return func(s gen.Stats) {
		took := time.Since(began)
		if took < next {
			return
		}
		next += progressLine
		done := 0.0
		switch {
		case c.Events > 0:
			done = float64(s.Records) / float64(c.Events)
		case c.Duration > 0:
			done = float64(s.LastEvent-c.Start) / float64(c.Duration)
		}
		done = min(max(done, 0), 1)
		rate := float64(s.Records) / took.Seconds()
		if asJSON {
			_ = json.NewEncoder(w).Encode(map[string]any{"progress": map[string]any{"records": s.Records, "done": done, "records_per_second": rate}})
			return
		}
		left := ""
		if done > 0 {
			left = fmt.Sprintf(", %.0f s left", took.Seconds()*(1-done)/done)
		}
		_, _ = fmt.Fprintf(w, "%3.0f %%  %s records, %s/s, event time %s%s\n",
			done*100, humanize.Comma(s.Records), humanize.Comma(int64(rate)), market.FormatTime(s.LastEvent), left)
	}
}

// durationFlag is a flag of microseconds that takes a number with its unit.
type durationFlag int64

func (f *durationFlag) String() string {
	if f == nil || *f == 0 {
		return ""
	}
	return (time.Duration(*f) * time.Microsecond).String()
}
func (f *durationFlag) Type() string { return "duration" }
func (f *durationFlag) Set(s string) error {
	v, err := gen.ParseDuration(s)
	*f = durationFlag(v)
	return err
}

// shareFlag is a flag of parts per million that takes 1% or 0.01.
type shareFlag int

func (f *shareFlag) String() string {
	if f == nil || *f == 0 {
		return ""
	}
	return gen.FormatShare(int(*f))
}
func (f *shareFlag) Type() string { return "share" }
func (f *shareFlag) Set(s string) error {
	v, err := gen.ParseShare(s)
	*f = shareFlag(v)
	return err
}
