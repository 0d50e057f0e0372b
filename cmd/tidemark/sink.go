package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/internal/term"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/stream/sink"
	"github.com/pinova-group/tidemark/stream/topic"
)

func newSinkCmd(a *app) *cobra.Command {
	var flags streamFlags
	var name, status string
	cfg := sink.Config{}
	cmd := &cobra.Command{
		Use: "sink", Short: "put the events and rows of topics into the tables of a lake, each once", Args: exactly(0, ""),
		Long: `sink reads the processed, late, feature and alert topics of the config and commits what is in them: events to processed.KIND,
late ones marked, rows of views to feature.VIEW_vN, alerts to alert.VIEW_vN. How far a topic is read stands in the table itself, in the commit that
has its rows, so the next process goes on where the tables stand, whenever this one is killed. Each commit says up to which
time the table is complete (valid_through).

One process writes a table; of two the newer goes on and the older ends. Give the tables to several processes with --tables.
It runs until Ctrl-C or SIGTERM and commits what it has then.`,
		Example: "  tidemark sink --lake data/lake\n  tidemark sink --lake prod --tables processed.trade,feature.trade_bars_1m_v1 --status 127.0.0.1:9465\n  tidemark sink --lake data/lake --until-caught-up --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			f := cmd.Flags()
			if f.Changed("commit-every") && cfg.CommitEvery <= 0 || f.Changed("commit-rows") && cfg.CommitRows <= 0 || cfg.Memory != 0 && cfg.Memory < minSinkMemory {
				return fault.Usage("flag_invalid", "--commit-every and --commit-rows must be above 0, and --memory at least 1048576", "")
			}
			return a.sink(cmd.Context(), &flags, name, status, cfg)
		},
		Annotations: map[string]string{"page": pageURL + "stream.md"},
	}
	f := cmd.Flags()
	flags.add(f)
	addLake(f, &name)
	f.StringSliceVar(&cfg.Tables, "tables", nil, "only these `tables` of those that the topics have rows of, comma between")
	f.DurationVar(&cfg.CommitEvery, "commit-every", 0, "how often a table gets a commit; a restart reads again what came since (default: limits.commit_every of the config, 1m)")
	f.Int64Var(&cfg.CommitRows, "commit-rows", 0, "`rows` of a table that are committed before it is time (default: limits.commit_rows of the config, 1048576)")
	f.Int64Var(&cfg.Memory, "memory", 0, "`bytes` of rows that are not committed yet; nothing is read while there are more (default: limits.sink_memory of the config)")
	f.BoolVar(&cfg.Plain, "plain", false, "new tables get a double beside each exact decimal, for people")
	addBySymbol(f, &cfg.BySymbol)
	f.BoolVar(&cfg.UntilCaughtUp, "until-caught-up", false, "end where the topics ended at the start")
	f.BoolVar(&cfg.SkipLost, "skip-lost", false, "go on where records were deleted before they were read, and note the range in the table")
	f.StringSliceVar(&cfg.Accept, "accept", nil, "read `topics` from their beginning that were made anew, or are of another cluster, comma between")
	f.StringVar(&status, "status", "", "serve /status, /metrics, /healthz and /readyz at `HOST:PORT`")
	return cmd
}

// sink runs a sink.
func (a *app) sink(ctx context.Context, flags *streamFlags, name, status string, cfg sink.Config) error {
	s, err := a.openStream(flags, true)
	if err != nil {
		return err
	}
	if _, err := s.Kafka.Ping(ctx); err != nil {
		return unlessTold(ctx, err)
	}
	reg, began := newRegistry(), a.now()
	k, done, err := a.openSink(ctx, s, name, cfg, reg)
	if err != nil {
		return unlessTold(ctx, err)
	}
	defer done()
	if status != "" {
		stop, err := serveStatus(status, statusPages{
			reg: reg, healthy: func() error { return nil },
			ready: func() error {
				if st := k.Status(); st.State != sink.Running {
					return errors.New(st.State)
				}
				return nil
			},
			status: func() any {
				return map[string]any{"version": version, "uptime_s": int(a.now().Sub(began).Seconds()), "sink": k.Status()}
			},
		})
		if err != nil {
			return err
		}
		defer stop()
	}
	stop := a.sinkProgress(k)
	err = k.Run(ctx)
	stop()
	if err == nil {
		return a.printSink(k.Status(), a.now().Sub(began))
	}
	return sinkFault(err)
}

func sinkFault(err error) error {
	if _, told := errors.AsType[*fault.Error](err); told {
		return err
	}
	f := &fault.Error{Code: "sink_ended", Message: "the sink ended", Why: err.Error(), Exit: fault.ExitFailed, Cause: err}
	if errors.Is(err, sink.ErrTaken) {
		f.Code, f.Remedy = "sink_taken", "one process writes a table; stop the other, or share the tables with --tables"
	}
	return f
}

// openSink makes a sink of the topics of the config, and opens its lake until done.
func (a *app) openSink(ctx context.Context, s *stream, name string, cfg sink.Config, reg *prometheus.Registry) (k *sink.Sink, done func(), err error) {
	if cfg.Topics, err = s.sinkTopics(); err != nil {
		return nil, nil, err
	}
	plans, err := s.plans([]string{jobFeatures, jobGlobal})
	if err != nil {
		return nil, nil, err
	}
	cfg.Memory = cmp.Or(cfg.Memory, int64(s.Limits.SinkMemory))
	cfg.CommitEvery, cfg.CommitRows = cmp.Or(cfg.CommitEvery, time.Duration(s.Limits.CommitEvery)), cmp.Or(cfg.CommitRows, int64(s.Limits.CommitRows))
	cfg.Jobs = map[string]string{}
	for _, p := range plans {
		for _, view := range p.writes {
			cfg.Jobs[view], cfg.Jobs[view+features.AlertSuffix] = p.job, p.job
		}
	}
	have, err := sink.TablesOf(cfg.Topics, s.kinds)
	if err != nil {
		return nil, nil, err
	}
	for _, t := range cfg.Tables {
		if !slices.Contains(have, t) {
			return nil, nil, fault.Usage("flag_invalid", fmt.Sprintf("the topics of the config have no rows of table %q", t), fault.DidYouMean(t, have))
		}
	}
	if cfg.Options, err = s.Kafka.Options(); err != nil {
		return nil, nil, err
	}
	if cfg.Schemas, err = s.schemas(); err != nil {
		return nil, nil, err
	}
	l, _, err := a.openLake(ctx, name, true)
	if err != nil {
		return nil, nil, err
	}
	cfg.Lake, cfg.Kinds, cfg.Feeds, cfg.Outputs, cfg.Now, cfg.Log, cfg.Metrics = l, s.kinds, market.NewFeeds(), s.outputs, a.now, a.logger(), sink.NewMetrics(reg)
	return sink.New(cfg), func() { _ = l.Close() }, nil
}

// sinkTopics are the topics of the config that have a table.
func (s *stream) sinkTopics() (names []string, err error) {
	want, err := s.wanted()
	if err != nil {
		return nil, err
	}
	for _, t := range want {
		if n, err := topic.Parse(t.Name); err == nil && (n.Class == topic.Processed || n.Class == topic.Late || n.Class == topic.Feature || n.Class == topic.Alert || n.Class == topic.Ledger) {
			names = append(names, t.Name)
		}
	}
	if len(names) == 0 {
		return nil, &fault.Error{Code: "source_missing", Message: "the config has neither sources nor views", Where: s.where(), Why: s.why(), Exit: fault.ExitUsage,
			Remedy: "list markets under stream.sources and views under stream.views; docs/topics.md has an example"}
	}
	return names, nil
}

// logger tells operators what happens, on standard error.
func (a *app) logger() *slog.Logger {
	o := &slog.HandlerOptions{Level: slog.LevelInfo}
	if a.json {
		return slog.New(slog.NewJSONHandler(a.err, o))
	}
	return slog.New(slog.NewTextHandler(a.err, o))
}

// sinkProgress prints the status as a line of JSON now and then, with --json, until stop.
func (a *app) sinkProgress(k *sink.Sink) (stop func()) {
	if !a.json {
		return func() {}
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		t := time.NewTicker(progressLine)
		defer t.Stop()
		for {
			select {
			case <-done:
				return
			case <-t.C:
				_ = json.NewEncoder(a.out).Encode(k.Status())
			}
		}
	}()
	return func() { close(done); <-ended }
}

func (a *app) printSink(st sink.Status, took time.Duration) error {
	if a.json {
		return json.NewEncoder(a.out).Encode(st)
	}
	var b strings.Builder
	var rows [][]string
	var all int64
	for _, t := range st.Tables {
		all += t.Rows
		valid := "-"
		if t.ValidThrough != "" {
			valid = t.ValidThrough
		}
		rows = append(rows, []string{t.Table, term.Int(t.Rows), term.Int(t.Files), term.Bytes(t.Bytes), term.Int(t.Commits), term.Int(t.Behind), valid})
	}
	fmt.Fprintf(&b, "committed %s rows in %.1f s\n", term.Int(all), took.Seconds())
	b.WriteString(a.style(a.outTTY).Table([]term.Column{
		{Head: "table", Keep: true}, {Head: "rows", Right: true}, {Head: "files", Right: true}, {Head: "size", Right: true}, {Head: "commits", Right: true},
		{Head: "behind", Right: true}, {Head: "valid through (UTC)"},
	}, rows))
	return a.print(b.String())
}
