package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/internal/term"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run"
	"github.com/pinova-group/tidemark/stream/play"
	"github.com/pinova-group/tidemark/stream/record"
	"github.com/pinova-group/tidemark/stream/topic"
)

// playFlags are the flags of play that are not its configuration.
type playFlags struct {
	stream      streamFlags
	speed       string
	progress    string
	dry, create bool
	closing     bool
	decode      bool
	into, lake  string
	duplicate   shareFlag
	late        shareFlag
	shuffle     durationFlag
}

// Where events are played.
const (
	intoRaw       = "raw"
	intoProcessed = "processed"
)

func newPlayCmd(a *app) *cobra.Command {
	cfg := play.Config{From: market.NoTime, To: market.NoTime, Seed: 1}
	in := playFlags{speed: "max", progress: "auto", closing: true, into: intoRaw}
	cmd := &cobra.Command{
		Use: "play --input PATH [flags]", Short: "recorded events into Kafka as if they came now",
		Long: `play writes what is in files into the topics of raw events, in the order in which it came, as fast as --speed says:
payloads of venues as they were collected, so that the stream decodes them, all else as events. The record time is that of
the event. At the end of the input it writes watermarks, so that nobody waits for more;
--close=false leaves them out, for an input that goes on.

With --shuffle, --duplicate and --late events come as they do over bad lines: delayed, twice, later than their feed
allows. The same input, faults and seed give the same records. Ctrl-C stops between two records, and --skip goes on
from there.

--into processed sequences what it plays as the stream does, each partition by itself, and writes the processed topics in place
of the raw ones: so they are filled again with what retention has deleted, from files or from a lake, before a new job reads them.
Late events and dead letters are counted only. It writes into no topic that has records of that time or later.

The topics must be there (tidemark topics apply), or --create makes those that are missing.`,
		Example: `  tidemark play --input trades.csv.gz --create
  tidemark play --input 'tapes/*.jsonl.zst' --speed 10 --shuffle 200ms --duplicate 1% --late 0.1% --seed 7
  tidemark simulate -o - --events 0 | tidemark play --input - --speed 1
  tidemark play --input trades.csv.gz --dry-run
  tidemark play --into processed --lake data/lake --input lake: --from 2025-11-01`,
		Annotations: map[string]string{"page": pageURL + "topics.md"},
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg.Input.Inputs = append(cfg.Input.Inputs, args...)
			if err := in.check(&cfg); err != nil {
				return err
			}
			if cfg.Skip < 0 || in.shuffle < 0 || int64(in.shuffle) > market.Hour {
				return fault.Usage("flag_invalid", "--skip and --shuffle cannot be negative, and --shuffle at most 1h", "")
			}
			if cfg.Processed && !in.closing {
				return fault.Usage("flag_useless", "another command cannot go on sequencing", "leave out --close=false, or play into raw and let the stream sequence it")
			}
			cfg.Input.Payloads = !in.decode
			cfg.Open, cfg.Shuffle, cfg.Duplicate, cfg.Late = !in.closing, int64(in.shuffle), int(in.duplicate), int(in.late)
			return a.play(cmd, cfg, &in)
		},
	}
	f := cmd.Flags()
	in.add(f)
	f.StringSliceVar(&cfg.Input.Inputs, "input", nil, "event files, folders, patterns, - for the standard input, lake:TABLE or lake: for all of a lake: `PATH` of each, comma between")
	f.StringVar(&cfg.Input.Format, "input-format", "auto", "`format` of the input (tidemark help formats)")
	f.StringVar(&cfg.Input.Feed, "feed", "", "book all events to this `feed` (default: what the format says)")
	addRange(a, f, &cfg.From, &cfg.To)
	f.StringSliceVar(&cfg.Symbols, "symbols", nil, "only these symbols: `A,B`, such as BTC-USDT,ETH-USDT")
	f.StringVar(&in.into, "into", in.into, "`raw|processed`: topics to write")
	addLake(f, &in.lake)
	f.Var(&in.shuffle, "shuffle", "delay each event by less than this, at random")
	f.Var(&in.duplicate, "duplicate", "share of events that come twice")
	f.Var(&in.late, "late", "share of events that come later than their feed's disorder")
	f.Uint64Var(&cfg.Seed, "seed", cfg.Seed, "another seed has other faults")
	f.BoolVar(&in.decode, "decode", false, "write the events that are in payloads in their place")
	f.BoolVar(&in.closing, "close", true, "end with watermarks in every partition of the topics")
	f.Int64Var(&cfg.Skip, "skip", 0, "leave out the first `N` records: they were written before")
	f.BoolVar(&in.dry, "dry-run", false, "count what would be written, by topic; connect to nothing")
	return cmd
}

// check reads the flags that play and simulate share.
func (in *playFlags) check(cfg *play.Config) error {
	if err := oneOf("--progress", in.progress, "auto", "plain", "none"); err != nil {
		return err
	}
	if err := oneOf("--into", in.into, intoRaw, intoProcessed); err != nil {
		return err
	}
	cfg.Processed = in.into == intoProcessed
	if in.speed == "max" {
		cfg.Speed = 0
		return nil
	}
	x, err := strconv.ParseFloat(in.speed, 64)
	if err != nil || !(x >= 1e-6 && x <= 1e9) {
		return fault.Usage("flag_invalid", fmt.Sprintf("--speed cannot be %q", in.speed), "1 is as fast as it was, 60 a minute in a second, max as fast as it goes")
	}
	cfg.Speed = x
	return nil
}

// add adds the flags that play and simulate share.
func (in *playFlags) add(f *pflag.FlagSet) {
	in.stream.add(f)
	f.StringVar(&in.speed, "speed", in.speed, "`N|max`: seconds of the input in a second")
	f.BoolVar(&in.create, "create", false, "make topics that are missing")
	f.StringVar(&in.progress, "progress", in.progress, "`auto|plain|none`: in place on a terminal, a line each 10 s, or nothing")
}

// play plays an input.
func (a *app) play(cmd *cobra.Command, cfg play.Config, in *playFlags) error {
	rep, err := a.played(cmd, &cfg, in)
	if err != nil || rep.Whole {
		return err
	}
	return &fault.Error{Code: "interrupted", Message: fmt.Sprintf("interrupted behind record %s; all up to there are written", term.Int(cfg.Skip+rep.Records)),
		Remedy: fmt.Sprintf("the same command goes on with --skip %d", cfg.Skip+rep.Records), Exit: fault.ExitInterrupted, Cause: cmd.Context().Err()}
}

// played plays an input and tells what was played.
func (a *app) played(cmd *cobra.Command, cfg *play.Config, in *playFlags) (*play.Report, error) {
	s, err := a.openStream(&in.stream, !in.dry)
	if err != nil {
		return nil, err
	}
	cfg.Kinds, cfg.Partitions = s.kinds, s.Stream.Count()
	env := play.Env{Env: run.Env{Stdin: a.in, Warn: a.warn, Meter: &run.Meter{}}, Now: a.now, Topic: func(context.Context, string, int64) error { return nil }}
	env.Schemas = record.NewSchemasOf(nil, s.kinds)
	if slices.ContainsFunc(cfg.Input.Inputs, func(in string) bool { return strings.HasPrefix(in, run.LakePrefix) }) {
		l, _, err := a.openLake(cmd.Context(), in.lake, false)
		if err != nil {
			return nil, err
		}
		defer func() { _ = l.Close() }()
		env.Lake = l
	}
	if !in.dry {
		done, err := a.connectPlay(cmd, s, in, cfg.Speed, &env)
		if err != nil {
			return nil, err
		}
		defer done()
	}
	began := a.now()
	stop := a.startProgress(in.progress, env.Meter)
	rep, err := play.Play(cmd.Context(), *cfg, env)
	stop()
	if err != nil {
		return nil, err
	}
	a.rejected.Store(rep.Bad > 0)
	if a.json {
		return rep, a.printJSON(rep)
	}
	return rep, a.print(a.playText(rep, in.dry, a.now().Sub(began)))
}

// connectPlay connects to the brokers and finds the topics that are there.
func (a *app) connectPlay(cmd *cobra.Command, s *stream, in *playFlags, speed float64, env *play.Env) (done func(), err error) {
	opts, err := s.Kafka.Options()
	if err != nil {
		return nil, err
	}
	if env.Schemas, err = s.schemas(); err != nil {
		return nil, err
	}
	have := map[string]topic.Topic{}
	if err := a.withAdmin(cmd, s, func(adm *topic.Admin) error {
		list, err := adm.List(cmd.Context())
		for _, t := range list {
			have[t.Name] = t
		}
		return err
	}); err != nil {
		return nil, err
	}
	adm, err := topic.Open(opts...)
	if err != nil {
		return nil, err
	}
	if env.Client, err = play.NewClient(speed, opts...); err != nil {
		adm.Close()
		return nil, err
	}
	env.Topic = func(ctx context.Context, name string, at int64) error {
		t, ok := have[name]
		if !ok {
			if !in.create {
				return &fault.Error{Code: "topic_missing", Message: "there is no topic " + name, Exit: fault.ExitNoTable,
					Remedy: "name its market under stream.sources of tidemark.yaml and run tidemark topics apply, or add --create"}
			}
			if t, err = s.Stream.Topic(name); err != nil {
				return err
			}
			if err := adm.Apply(ctx, topic.NewPlan([]topic.Topic{t}, nil)); err != nil {
				return err
			}
		}
		return a.playable(s, &t, at)
	}
	return func() { env.Client.Close(); adm.Close() }, nil
}

// playable says whether a topic can take what is played, from a time on.
func (a *app) playable(s *stream, t *topic.Topic, from int64) error {
	if n := s.Stream.Count(); t.Partitions != n {
		return &fault.Error{Code: "topic_refused", Message: fmt.Sprintf("topic %s has %d partitions, not %d", t.Name, t.Partitions, n), Exit: fault.ExitFailed,
			Remedy: fmt.Sprintf("set stream.partitions: %d in tidemark.yaml", t.Partitions)}
	}
	if keep, _ := t.Keeps(); keep > 0 && from < a.now().UnixMicro()-int64(keep)*market.Millisecond {
		a.warn(fmt.Sprintf("%s keeps records for %s, and these are older: Kafka deletes them soon after they are written (stream.retention.%s: forever keeps them)", t.Name, keep, strings.Split(t.Name, ".")[0]))
	}
	return nil
}

func (a *app) playText(rep *play.Report, dry bool, took time.Duration) string {
	var b strings.Builder
	var rows [][]string
	cols := []term.Column{{Head: "topic", Keep: true}, {Head: "events", Right: true}, {Head: "watermarks and statuses", Right: true}}
	payloads := slices.ContainsFunc(rep.Topics, func(c play.Count) bool { return c.Payloads > 0 })
	if payloads {
		cols = slices.Insert(cols, 1, term.Column{Head: "payloads", Right: true})
	}
	for _, t := range rep.Topics {
		row := []string{t.Topic, term.Int(t.Events), term.Int(t.Control)}
		if payloads {
			row = slices.Insert(row, 1, term.Int(t.Payloads))
		}
		rows = append(rows, row)
	}
	if len(rows) > 0 {
		b.WriteString(a.style(a.outTTY).Table(cols, rows))
	}
	word := "wrote"
	if dry {
		word = "would write"
	}
	fmt.Fprintf(&b, "%s %s records in %.1f s", word, term.Int(rep.Records), took.Seconds())
	if rep.First != "" {
		fmt.Fprintf(&b, ", events of [%s, %s]", rep.First, rep.Last)
	}
	for _, n := range []struct {
		n    int64
		text string
	}{{rep.Skipped, "left out"}, {rep.Late, "late in the lake, left out"}, {rep.Duplicated, "came twice"}, {rep.Delayed, "made late"}, {rep.Bad, "rejected"}} {
		if n.n > 0 {
			fmt.Fprintf(&b, "; %s %s", term.Int(n.n), n.text)
		}
	}
	b.WriteString("\n")
	if c := rep.Sequenced; c != nil {
		fmt.Fprintf(&b, "sequenced %s events: %s applied, %s late, %s duplicates, %s filtered, %s dead letters, %s pending\n", term.Int(c.In), term.Int(c.Applied),
			term.Int(c.Late), term.Int(c.Duplicate), term.Int(c.Filtered), term.Int(c.DLQ), term.Int(c.Pending))
	}
	return b.String()
}
