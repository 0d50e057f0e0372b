package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/pinova-group/tidemark/backfill"
	"github.com/pinova-group/tidemark/backfill/verify"
	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run"
	"github.com/pinova-group/tidemark/specs"
	tasks "github.com/pinova-group/tidemark/stream"
	"github.com/pinova-group/tidemark/stream/tail"
)

// verifyOptions are the flags of verify.
type verifyOptions struct {
	verify.Config
	lake       string
	specs, set []string
	settle     time.Duration
	broker     bool
	flags      streamFlags

	continuous bool
	every      time.Duration
	seed       uint64
	status     string
}

func newVerifyCmd(a *app) *cobra.Command {
	o := &verifyOptions{Config: verify.Config{From: market.NoTime, To: market.NoTime, Limit: 5}, settle: 5 * time.Minute}
	cmd := &cobra.Command{
		Use: "verify VIEW... --lake LAKE", Short: "hold the rows of feature tables to history, hour by hour",
		Long: `verify computes the rows of views from the event tables of a lake and compares them, bit for bit, with the
rows that are in the feature tables and with what streams have written into the parity ledger. Each hour gets a verdict:
  equal              the rows are those of history with all events
  corrected differs  the rows are those as served; it says how many events came late and what they would change, column by column
  missing            history has rows, the table has none
  different          a fault: the first rows that differ are printed, column by column
  not sealed         events or rows of the hour may still come; it is not compared
The exit code is 0 only when no hour is missing or different, else 4.

--broker compares the rows of the feature topics, and the ledger's topics, instead of the tables: what consumers of the stream got.
Hours whose rows have been deleted since, as by retention, are "not in the topic any more", which is no fault.
--continuous looks at random sealed hours until Ctrl-C or SIGTERM, one each --every, and ends with a summary; an hour counts as a
fault when it is one twice in a row.`,
		Example: "  tidemark verify trade_bars_1m book_1s --lake data/lake\n  tidemark verify trade_bars_1m --lake data/lake --from 2025-11-10 --to 2025-11-11 --deep --json\n" +
			"  tidemark verify trade_bars_1m --lake data/lake --broker\n  tidemark verify trade_bars_1m book_1s --lake data/lake --continuous --every 1m --status 127.0.0.1:9467",
		Annotations: map[string]string{"page": pageURL + "parity.md"},
		Args:        atLeast(1, "a view: verify VIEW"),
		RunE:        func(cmd *cobra.Command, args []string) error { return a.verify(cmd.Context(), o, args) },
	}
	f := cmd.Flags()
	addLake(f, &o.lake)
	addRange(a, f, &o.From, &o.To)
	f.StringSliceVar(&o.specs, "spec", nil, "where the views are found, `NAME|FILE` of each (default: shipped views)")
	f.StringArrayVar(&o.set, "set", nil, "value of a parameter, `name=value`; may be repeated")
	f.BoolVar(&o.Deep, "deep", false, "compare row by row also where the sums of an hour are equal")
	f.IntVar(&o.Limit, "limit", o.Limit, "print at most `N` differing rows of an hour")
	f.DurationVar(&o.settle, "settle", o.settle, "how much longer than its events an hour of a table that a sink fills is given")
	f.BoolVar(&o.broker, "broker", false, "compare feature topics and the ledger's topics instead of the tables; see kafka of the config")
	o.flags.add(f)
	f.BoolVar(&o.continuous, "continuous", false, "look at random hours until it is told to end")
	f.DurationVar(&o.every, "every", time.Minute, "of --continuous: an hour of one view at most that often")
	f.Uint64Var(&o.seed, "seed", 0, "of --continuous: another seed is another order")
	f.StringVar(&o.status, "status", "", "of --continuous: serve /status, /metrics, /healthz and /readyz at `HOST:PORT`")
	complete(cmd, "spec", specs.Names())
	return cmd
}

func (a *app) verify(ctx context.Context, o *verifyOptions, names []string) error {
	if o.Limit < 0 || o.settle < 0 || o.every < 10*time.Millisecond {
		return fault.Usage("flag_invalid", "--limit and --settle cannot be negative, and --every must be at least 10ms", "")
	}
	o.Settle, o.Names = o.settle.Microseconds(), names
	load := o.specs
	if load == nil {
		load = names
	}
	params, err := (&run.Config{Set: o.set}).Params()
	if err != nil {
		return err
	}
	if o.Views, err = backfill.Load(load, params); err != nil {
		return err
	}
	if o.broker {
		if o.Broker, err = a.verifyTopics(ctx, &o.flags, load, names); err != nil {
			return err
		}
	}
	l, _, err := a.openLake(ctx, o.lake, false)
	if err != nil {
		return err
	}
	defer func() { _ = l.Close() }()
	o.Lake = l
	if o.continuous {
		return a.watch(ctx, o)
	}
	r, err := verify.Verify(ctx, o.Config)
	if err != nil {
		return err
	}
	return a.verified(r)
}

// verifyTopics reads the topics of the views, and the ledgers of the jobs that compute them.
func (a *app) verifyTopics(ctx context.Context, flags *streamFlags, specs, names []string) (*tail.Topics, error) {
	s, err := a.openStream(flags, true)
	if err != nil {
		return nil, err
	}
	if _, err := s.Kafka.Ping(ctx); err != nil {
		return nil, err
	}
	t := &tail.Topics{Jobs: map[string]string{}}
	if t.Options, err = s.Kafka.Options(); err != nil {
		return nil, err
	}
	set, _, err := run.Check(specs, nil)
	if err != nil {
		return nil, err
	}
	keyed, global := tasks.Split(set)
	for job, part := range map[string]tasks.Part{jobFeatures: keyed, jobGlobal: global} {
		for _, view := range part.Writes {
			t.Jobs[view] = job
		}
	}
	for _, name := range names {
		if t.Jobs[name] == "" {
			return nil, fault.Usage("view_missing", fmt.Sprintf("view %q has no topic", name), "name views of the stream; tidemark topics list shows their topics")
		}
	}
	return t, nil
}

// watch verifies until it is told to end.
func (a *app) watch(ctx context.Context, o *verifyOptions) error {
	reg, began := newRegistry(), a.now()
	var mu sync.Mutex
	var last error
	checks, faults := 0, 0
	w := verify.Watch{Config: o.Config, Seed: o.seed, Every: o.every, Sleep: sleep, Now: a.now, Metrics: verify.NewMetrics(reg)}
	log := a.logger()
	w.Each = func(h *verify.Hour, err error) {
		mu.Lock()
		defer mu.Unlock()
		last = err
		switch checks++; {
		case err != nil:
			log.Error("cannot look at an hour; another one is next", slog.Any("error", err))
		case !h.Verdict.OK():
			faults++
			log.Error("fault", slog.String("view", h.View), slog.String("hour", h.Hour), slog.String("verdict", string(h.Verdict)), slog.String("why", h.Why))
			if a.json {
				_ = a.printJSON(h)
			} else {
				_ = a.print(hourText(h))
			}
		default:
			log.Info("looked at", slog.String("view", h.View), slog.String("hour", h.Hour), slog.String("verdict", string(h.Verdict)), slog.Int64("rows", h.Rows))
		}
	}
	healthy := func() error { mu.Lock(); defer mu.Unlock(); return last }
	if o.status != "" {
		stop, err := serveStatus(o.status, statusPages{reg: reg, healthy: healthy, ready: healthy, status: func() any {
			mu.Lock()
			defer mu.Unlock()
			return map[string]any{"version": version, "uptime_s": int(a.now().Sub(began).Seconds()), "checks": checks, "faults": faults}
		}})
		if err != nil {
			return err
		}
		defer stop()
	}
	seen := w.Run(ctx)
	n := 0
	for _, k := range seen.Hours {
		n += k
	}
	if a.json {
		if err := a.printJSON(map[string]any{"summary": seen}); err != nil {
			return err
		}
	} else if err := a.print(fmt.Sprintf("%d checks of %d hours: %d equal, %d served as they should be with late events, %d missing, %d different; %d could not be made\n", seen.Checks, n,
		seen.Hours[verify.Equal], seen.Hours[verify.Late], seen.Hours[verify.Missing], seen.Hours[verify.Different], seen.Failed)); err != nil {
		return err
	}
	if seen.OK {
		return nil
	}
	return parityFault(seen.Hours[verify.Missing]+seen.Hours[verify.Different], n)
}

func parityFault(faults, hours int) error {
	return &fault.Error{Code: "parity", Message: fmt.Sprintf("%d of %d hours are not what they should be", faults, hours), Exit: fault.ExitDifference,
		Remedy: "docs/parity.md says how to read a verdict; tidemark backfill puts the rows of history in their place"}
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
	return parityFault(n, len(r.Hours))
}

func verifyText(r *verify.Report) string {
	var b strings.Builder
	counts := map[verify.Verdict]int{}
	empty := func(h *verify.Hour) bool { return h.Verdict == verify.Gone && h.Rows == 0 }
	for i := 0; i < len(r.Hours); {
		h, n := &r.Hours[i], 1
		for i+n < len(r.Hours) && empty(h) && empty(&r.Hours[i+n]) && h.View == r.Hours[i+n].View {
			n++
		}
		text := hourText(h)
		if n > 1 {
			text = fmt.Sprintf("%s  %s  %s, nor are the %d hours after it\n", h.Hour, h.View, h.Verdict, n-1)
		}
		b.WriteString(text)
		counts[h.Verdict] += n
		i += n
	}
	fmt.Fprintf(&b, "%d hours: %d equal, %d served as they should be with late events, %d missing, %d different, %d not sealed", len(r.Hours),
		counts[verify.Equal], counts[verify.Late], counts[verify.Missing], counts[verify.Different], counts[verify.NotSealed])
	if n := counts[verify.Gone]; n > 0 {
		fmt.Fprintf(&b, ", %d %s", n, verify.Gone)
	}
	b.WriteByte('\n')
	return b.String()
}

func hourText(h *verify.Hour) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s  %s", h.Hour, h.View, h.Verdict)
	switch {
	case h.Verdict == verify.Gone && h.Rows == 0:
		if h.Stream != nil {
			fmt.Fprintf(&b, "  the stream wrote %d rows", *h.Stream)
		}
	case h.Verdict != verify.NotSealed:
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
		if e := h.Effect; e != nil {
			if e.More+e.Fewer > 0 {
				fmt.Fprintf(&b, "    effect: %d rows more, %d fewer\n", e.More, e.Fewer)
			}
			for _, c := range e.Columns {
				fmt.Fprintf(&b, "    effect: %s in %d rows", c.Name, c.Rows)
				if c.Biggest != 0 {
					fmt.Fprintf(&b, ", by %g at most, %s %s", c.Biggest, c.Entity, c.At)
				}
				b.WriteByte('\n')
			}
		}
	}
	for _, d := range h.First {
		fmt.Fprintf(&b, "    %s: %s %s\n", d.What, d.Entity, d.RowTS)
		for _, c := range d.Columns {
			fmt.Fprintf(&b, "      %s: table %s, history %s\n", c.Name, c.Table, c.History)
		}
		b.WriteString("      " + d.Explain + "\n")
	}
	return b.String()
}
