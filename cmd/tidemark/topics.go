package main

import (
	"bufio"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/internal/term"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/stream/topic"
)

func newTopicsCmd(a *app) *cobra.Command {
	cmd := parent("topics", "the Kafka topics of events and rows: plan, make, look", "  tidemark topics plan\n  tidemark topics apply\n  tidemark topics list --brokers localhost:9092")
	flags := &streamFlags{}
	flags.add(cmd.PersistentFlags())
	cmd.Annotations = map[string]string{"page": pageURL + "topics.md"}
	cmd.AddCommand(newTopicsPlan(a, flags), newTopicsApply(a, flags), newTopicsList(a, flags), newTopicsTail(a, flags))
	return cmd
}

func newTopicsPlan(a *app, flags *streamFlags) *cobra.Command {
	return &cobra.Command{
		Use: "plan", Short: "what apply would make and change", Args: exactly(0, ""),
		Long: `plan compares the topics that the config wants with those of the cluster, asks the brokers whether they would take
the difference, and changes nothing. Topics are never deleted, and never get more partitions.`,
		Example: "  tidemark topics plan\n  tidemark topics plan --config prod.yaml --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withPlan(cmd, flags, func(adm *topic.Admin, p topic.Plan) error {
				if err := a.printPlan(p, false); err != nil {
					return err
				}
				return adm.Try(cmd.Context(), p)
			})
		},
	}
}

func newTopicsApply(a *app, flags *streamFlags) *cobra.Command {
	yes := false
	cmd := &cobra.Command{
		Use: "apply", Short: "make the topics that the config wants", Args: exactly(0, ""),
		Long: `apply makes what is missing and sets the settings that differ. Done twice it does nothing the second time. If one
topic cannot be as it is wanted, nothing is begun. A shorter retention deletes records, so it asks first.`,
		Example: "  tidemark topics apply\n  tidemark topics apply --config prod.yaml --yes",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withPlan(cmd, flags, func(adm *topic.Admin, p topic.Plan) error {
				if err := p.Refused(); err != nil {
					return err
				}
				if shorter := p.Deletes(); len(shorter) > 0 && !yes {
					if err := a.confirmShorter(shorter); err != nil {
						return err
					}
				}
				if err := adm.Apply(cmd.Context(), p); err != nil {
					return err
				}
				return a.printPlan(p, true)
			})
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask before a shorter retention")
	return cmd
}

// confirmShorter asks whether topics may lose records.
func (a *app) confirmShorter(names []string) error {
	what := fmt.Sprintf("%d topics will keep records for a shorter time, and delete older ones: %s", len(names), strings.Join(names, ", "))
	if !a.outTTY || !a.errTTY {
		return fault.Usage("confirmation_missing", what, "add --yes, or a longer retention to the config")
	}
	a.say("%s.\nType shorten to go on: ", what)
	line, err := bufio.NewReader(a.in).ReadString('\n')
	if err != nil || strings.TrimSpace(line) != "shorten" {
		return fault.Usage("not_confirmed", "not confirmed: nothing was done", "")
	}
	return nil
}

// withPlan compares what the config wants with the cluster.
func (a *app) withPlan(cmd *cobra.Command, flags *streamFlags, f func(*topic.Admin, topic.Plan) error) error {
	s, err := a.openStream(flags, true)
	if err != nil {
		return err
	}
	want, err := s.wanted()
	if err != nil {
		return err
	}
	if len(want) == 0 {
		return &fault.Error{Code: "topics_none", Message: "the config wants no topics", Where: s.where(), Why: s.why(), Exit: fault.ExitUsage,
			Remedy: "list markets under stream.sources and views under stream.views; docs/topics.md has an example"}
	}
	return a.withAdmin(cmd, s, func(adm *topic.Admin) error {
		have, err := adm.List(cmd.Context())
		if err != nil {
			return err
		}
		return f(adm, topic.NewPlan(want, have))
	})
}

// withAdmin connects to the cluster; what does not answer is told with what helps.
func (a *app) withAdmin(cmd *cobra.Command, s *stream, f func(*topic.Admin) error) error {
	warnings, err := s.Kafka.Ping(cmd.Context())
	if err != nil {
		return err
	}
	for _, w := range warnings {
		a.warn(w.Error())
	}
	adm, err := s.admin()
	if err != nil {
		return err
	}
	defer adm.Close()
	return f(adm)
}

// printPlan prints what a plan does, or did.
func (a *app) printPlan(p topic.Plan, done bool) error {
	if a.json {
		type step struct {
			Topic      string         `json:"topic"`
			Action     topic.Action   `json:"action"`
			Partitions int            `json:"partitions"`
			Changes    []topic.Change `json:"changes,omitempty"`
			Deletes    bool           `json:"deletes,omitempty"`
			Why        string         `json:"why,omitempty"`
			Remedy     string         `json:"remedy,omitempty"`
		}
		steps := []step{}
		for _, s := range p {
			steps = append(steps, step{s.Topic.Name, s.Action, s.Topic.Partitions, s.Changes, s.Deletes, s.Why, s.Remedy})
		}
		return a.printJSON(map[string]any{"topics": steps, "applied": done})
	}
	st := a.style(a.outTTY)
	var b strings.Builder
	line := func(sign, format string, args ...any) { fmt.Fprintf(&b, "%s %s\n", sign, fmt.Sprintf(format, args...)) }
	for _, s := range p {
		keep, _ := s.Topic.Keeps()
		switch s.Action {
		case topic.Create:
			line(st.Green("+"), "%s  %d partitions, keeps %s", s.Topic.Name, s.Topic.Partitions, keep)
		case topic.Alter:
			line(st.Yellow("~"), "%s", s.Topic.Name)
			for _, c := range s.Changes {
				line(" ", "    %s: %s → %s", c.Key, c.From, c.To)
			}
		case topic.Refuse:
			line(st.Red("!"), "%s  %s", s.Topic.Name, s.Why)
		case topic.Leave:
			line(st.Faint("?"), "%s  is not in the config; left as it is", s.Topic.Name)
		case topic.Keep:
		}
	}
	words := [2]string{"to make", "to change"}
	if done {
		words = [2]string{"made", "changed"}
	}
	fmt.Fprintf(&b, "%d topics %s, %d %s, %d unchanged", p.Count(topic.Create), words[0], p.Count(topic.Alter), words[1], p.Count(topic.Keep))
	if n := p.Count(topic.Refuse); n > 0 {
		fmt.Fprintf(&b, ", %d refused", n)
	}
	if d := len(p.Deletes()); d > 0 && !done {
		fmt.Fprintf(&b, "; %d of them will delete records that they keep now", d)
	}
	return a.print(b.String() + "\n")
}

func newTopicsList(a *app, flags *streamFlags) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "the topics of ours that a cluster has", Args: exactly(0, ""),
		Long: `list prints the topics that have a name of ours. The number of offsets counts records and the marks of transactions,
and those of transactions that were given up.`,
		Example: "  tidemark topics list\n  tidemark topics list --brokers localhost:9092 --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := a.openStream(flags, true)
			if err != nil {
				return err
			}
			return a.withAdmin(cmd, s, func(adm *topic.Admin) error {
				list, err := adm.List(cmd.Context())
				if err != nil {
					return err
				}
				spans, err := adm.Spans(cmd.Context(), list)
				if err != nil {
					return err
				}
				return a.printTopics(list, spans)
			})
		},
	}
}

func (a *app) printTopics(list []topic.Topic, spans []topic.Span) error {
	type info struct {
		Topic       string  `json:"topic"`
		Partitions  int     `json:"partitions"`
		Replication int     `json:"replication"`
		Retention   string  `json:"retention"`
		RecordTime  string  `json:"record_time"`
		Offsets     int64   `json:"offsets"`
		Newest      *string `json:"newest"`
	}
	infos := []info{}
	var rows [][]string
	for i, t := range list {
		keep, eventTime := t.Keeps()
		in := info{Topic: t.Name, Partitions: t.Partitions, Replication: t.Replication, Retention: keep.String(), RecordTime: "written", Offsets: spans[i].Offsets}
		if eventTime {
			in.RecordTime = "event"
		}
		newest := "-"
		if spans[i].Newest != market.NoTime {
			newest = market.FormatTime(spans[i].Newest)
			in.Newest = &newest
		}
		infos = append(infos, in)
		rows = append(rows, []string{t.Name, fmt.Sprint(t.Partitions), fmt.Sprint(t.Replication), in.Retention, term.Int(in.Offsets), newest, in.RecordTime})
	}
	if a.json {
		return a.printJSON(map[string]any{"topics": infos})
	}
	cols := []term.Column{
		{Head: "topic", Keep: true}, {Head: "partitions", Right: true}, {Head: "copies", Right: true}, {Head: "keeps"}, {Head: "offsets", Right: true},
		{Head: "newest record (UTC)"}, {Head: "record time"},
	}
	return a.print(a.style(a.outTTY).Table(cols, rows))
}
