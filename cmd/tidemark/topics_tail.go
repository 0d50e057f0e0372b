package main

import (
	"bufio"
	"encoding/json"
	"slices"

	"github.com/spf13/cobra"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run"
	"github.com/pinova-group/tidemark/specs"
	"github.com/pinova-group/tidemark/stream/tail"
	"github.com/pinova-group/tidemark/stream/topic"
)

func newTopicsTail(a *app, flags *streamFlags) *cobra.Command {
	cfg := tail.Config{Partition: -1}
	from := ""
	var more []string
	cmd := &cobra.Command{
		Use: "tail TOPIC", Short: "what is in the records of a topic", Args: exactly(1, "topic"),
		Long: `tail prints the records of a topic, a line each: partition:offset, record time, key and what is in it, decoded. It reads
what is committed and leaves no trace in the cluster. Records of a partition come in its order.

Without --follow it ends where the topic ended when it began. Views whose rows are not shipped need --spec FILE, unless
the config names them.`,
		Example: `  tidemark topics tail processed.spot.trade.kraken --limit 10
  tidemark topics tail feature.trade_bars_1m.v1 --follow
  tidemark topics tail dlq.spot.trade.kraken --from now-1h --json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg.Topic = args[0]
			var err error
			if cfg.From, err = a.tailFrom(from, cfg.Follow); err != nil {
				return err
			}
			return a.tail(cmd, cfg, flags, more)
		},
	}
	f := cmd.Flags()
	f.StringVar(&from, "from", "", "`earliest|end|TIME`: where to begin (default: earliest, with --follow the end)")
	f.Int64Var(&cfg.Limit, "limit", 0, "end after `N` records")
	f.IntVar(&cfg.Partition, "partition", -1, "only partition `N`")
	f.BoolVarP(&cfg.Follow, "follow", "f", false, "wait for more at the end")
	f.StringSliceVar(&more, "spec", nil, "more views or kinds, `NAME|FILE` of each, comma between")
	complete(cmd, "from", []string{"earliest", "end"})
	return cmd
}

func (a *app) tailFrom(text string, follow bool) (int64, error) {
	switch {
	case text == "earliest", text == "" && !follow:
		return tail.Earliest, nil
	case text == "end", text == "":
		return tail.End, nil
	}
	t, err := run.ParseTime(text, a.now().UnixMicro())
	if err != nil {
		return 0, fault.Usage("flag_invalid", "--from: "+err.Error(), "earliest, end, or a time")
	}
	return t, nil
}

func (a *app) tail(cmd *cobra.Command, cfg tail.Config, flags *streamFlags, more []string) error {
	s, err := a.openStream(flags, true, more...)
	if err != nil {
		return err
	}
	if err := s.addShipped(cfg.Topic); err != nil {
		return err
	}
	warnings, err := s.Kafka.Ping(cmd.Context())
	if err != nil {
		return err
	}
	for _, w := range warnings {
		a.warn(w.Error())
	}
	env := tail.Env{Kinds: s.kinds, Feeds: s.feeds, Outputs: s.outputs}
	if env.Options, err = s.Kafka.Options(); err != nil {
		return err
	}
	if env.Schemas, err = s.schemas(); err != nil {
		return err
	}
	out := bufio.NewWriter(a.out)
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	err = tail.Tail(cmd.Context(), cfg, env, func(l *tail.Line) error {
		var err error
		if a.json {
			err = enc.Encode(l)
		} else {
			_, err = out.WriteString(l.Text() + "\n")
		}
		if err == nil && cfg.Follow {
			err = out.Flush()
		}
		return err
	})
	if err != nil {
		return err
	}
	return out.Flush()
}

// addShipped adds the shipped view that a topic has rows or alerts of, if the config does not name it.
func (s *stream) addShipped(name string) error {
	n, _ := topic.Parse(name) // what is none of ours is no feature topic either
	known := func(o features.Output) bool { return o.Name == n.View && o.Version == n.Version }
	if _, ok := specs.Find(n.View); n.Class != topic.Feature && n.Class != topic.Alert || !ok || slices.ContainsFunc(s.outputs, known) {
		return nil
	}
	plan, _, err := run.Compile([]string{n.View}, nil, market.NewFeeds())
	if err == nil {
		s.outputs = append(slices.Clip(s.outputs), plan.Outputs()...)
	}
	return err
}
