package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/lake"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run"
	tasks "github.com/pinova-group/tidemark/stream"
	"github.com/pinova-group/tidemark/stream/topic"
)

// applyOptions are the flags of tidemark apply.
type applyOptions struct {
	flags        streamFlags
	name         string
	from         string
	in, timeout  time.Duration
	dry, list    bool
	reason, lake string
}

func newApplyCmd(a *app) *cobra.Command {
	o := &applyOptions{}
	cmd := &cobra.Command{
		Use: "apply", Short: "other views in a stream that runs, from an instant on", Args: exactly(0, ""),
		Long: `apply has the stream compute the views of the config instead of those that it computes now. Rows with row_ts before the
instant are of the old views, rows from it on of the new ones; no process starts again, and no row is missing or there twice. A new
view begins with all that it looks back on. Every task has to agree: if one refuses, or does not answer in time, nothing changes.
Topics of new views have to be there: tidemark topics apply.`,
		Example:     "  tidemark apply --dry-run\n  tidemark apply --in 5m --reason 'spread for the new model'\n  tidemark apply --effective-from 2026-08-01T12:00Z --lake data/lake\n  tidemark apply --list",
		RunE:        func(cmd *cobra.Command, _ []string) error { return a.apply(cmd.Context(), o) },
		Annotations: map[string]string{"page": pageURL + "how-to/change-views.md"},
	}
	f := cmd.Flags()
	o.flags.add(f)
	f.StringVar(&o.name, "name", "tidemark", "`name` of the stream")
	f.StringVar(&o.from, "effective-from", "", "the instant, an event `TIME` (default: --in after the newest event)")
	f.DurationVar(&o.in, "in", time.Minute, "how long after the newest event the instant is; tasks make new views warm before")
	f.DurationVar(&o.timeout, "timeout", 5*time.Minute, "how long to wait for all tasks before the change is withdrawn")
	f.BoolVar(&o.dry, "dry-run", false, "say what would change, and change nothing")
	f.BoolVar(&o.list, "list", false, "print the changes so far, and change nothing")
	f.StringVar(&o.reason, "reason", "", "why, for those who read the list: a `TEXT`")
	addLake(f, &o.lake)
	return cmd
}

// viewChange is what an activation changes, as --json prints it.
type viewChange struct {
	ID      string         `json:"activation,omitempty"`
	State   tasks.State    `json:"state,omitempty"`
	From    int64          `json:"effective_from"`
	Adds    []tasks.ViewID `json:"adds"`
	Ends    []tasks.ViewID `json:"ends"`
	Tasks   int            `json:"tasks,omitempty"`
	Done    int            `json:"tasks_done,omitempty"`
	Why     []string       `json:"why,omitempty"`
	Who     string         `json:"who,omitempty"`
	Reason  string         `json:"reason,omitempty"`
	AskedAt int64          `json:"asked_at,omitempty"`
}

func minus(a, b []tasks.ViewID) []tasks.ViewID {
	return slices.DeleteFunc(append([]tasks.ViewID{}, a...), func(id tasks.ViewID) bool { return slices.Contains(b, id) })
}

func (c *viewChange) text(st func(sign string) string) string {
	var b strings.Builder
	for _, id := range c.Adds {
		fmt.Fprintf(&b, "%s %s  from %s on\n", st("+"), id, market.FormatTime(c.From))
	}
	for _, id := range c.Ends {
		fmt.Fprintf(&b, "%s %s  until %s\n", st("-"), id, market.FormatTime(c.From))
	}
	return b.String()
}

// apply changes the views of a stream.
func (a *app) apply(ctx context.Context, o *applyOptions) error {
	s, err := a.openStream(&o.flags, true)
	if err != nil {
		return err
	}
	if _, err := s.Kafka.Ping(ctx); err != nil {
		return err
	}
	if err := s.topicsThere(ctx); err != nil {
		return err
	}
	opts, err := s.Kafka.Options()
	if err != nil {
		return err
	}
	if o.list {
		return tasks.WithControl(ctx, o.name, opts, func(c *tasks.Control) (bool, error) { return true, a.printActivations(c) })
	}
	act, change, err := a.proposal(ctx, s, o)
	if err != nil {
		return err
	}
	sign := a.style(a.outTTY)
	text := change.text(func(s string) string {
		if s == "+" {
			return sign.Green(s)
		}
		return sign.Red(s)
	})
	if o.dry || len(change.Adds)+len(change.Ends) == 0 {
		if a.json {
			return a.printJSON(change)
		}
		if text == "" {
			return a.print("the stream computes these views already\n")
		}
		return a.print(text)
	}
	if !a.json {
		if err := a.print(text); err != nil {
			return err
		}
	}
	if err := tasks.Propose(ctx, o.name, opts, act); err != nil {
		return err
	}
	p, err := a.awaitTasks(ctx, o, act, func(ctx context.Context, fn func(*tasks.Control) (bool, error)) error {
		return tasks.WithControl(ctx, o.name, opts, fn)
	}, func(ctx context.Context, why string) error {
		return tasks.Withdraw(ctx, o.name, opts, act.ID, "tidemark apply", why)
	})
	if err != nil {
		return err
	}
	if o.lake != "" {
		if err := a.noteActivation(ctx, o, act); err != nil {
			return err
		}
	}
	change.ID, change.State, change.Tasks, change.Done = act.ID, p.State, p.Number, len(p.Done)
	if a.json {
		return a.printJSON(change)
	}
	if len(p.Done) < p.Number {
		a.warn(fmt.Sprintf("%d of %d tasks have not said that they act by it: tidemark apply --list", p.Number-len(p.Done), p.Number))
	}
	return a.print(fmt.Sprintf("accepted by all %d tasks: activation %s\n", p.Number, act.ID))
}

// proposal is the activation that makes the stream compute the views of the config, and what it changes.
func (a *app) proposal(ctx context.Context, s *stream, o *applyOptions) (*tasks.Activation, *viewChange, error) {
	if len(s.Stream.Views) == 0 {
		return nil, nil, &fault.Error{Code: "views_none", Message: "the config has no views", Where: s.where(), Why: s.why(), Exit: fault.ExitUsage, Remedy: "list views under stream.views"}
	}
	views, set, err := s.viewSet()
	if err != nil {
		return nil, nil, err
	}
	opts, err := s.Kafka.Options()
	if err != nil {
		return nil, nil, err
	}
	act := &tasks.Activation{
		ID: tasks.NewActivationID(a.now()), Views: tasks.IDs(set), Set: *views, Tasks: map[string]int{},
		Who: os.Getenv("USER"), Reason: o.reason, At: a.now().UnixMicro(),
	}
	change := &viewChange{}
	err = tasks.WithControl(ctx, o.name, opts, func(c *tasks.Control) (bool, error) {
		jobs := c.Jobs()
		if len(jobs) == 0 {
			return true, &fault.Error{Code: "stream_unknown", Message: fmt.Sprintf("no stream called %q has begun", o.name), Exit: fault.ExitUsage,
				Remedy: "tidemark stream begins one with the views of the config; --name says which"}
		}
		for _, j := range jobs {
			act.Tasks[j] = s.Stream.Count()
			if strings.HasSuffix(j, "-"+jobGlobal) {
				act.Tasks[j] = 1
			}
		}
		live := c.Views()
		change.Adds, change.Ends = minus(act.Views, live), minus(live, act.Views)
		for _, p := range c.Proposals {
			if p.State == tasks.Proposed {
				return true, &fault.Error{Code: "activation_open", Message: "activation " + p.ID + " is not decided yet", Exit: fault.ExitFailed,
					Remedy: "wait for it: tidemark apply --list"}
			}
		}
		for _, n := range change.Adds {
			if slices.ContainsFunc(change.Ends, func(o tasks.ViewID) bool { return o.View == n.View && o.Version == n.Version }) {
				return true, &fault.Error{Code: "version_same", Message: fmt.Sprintf("view %s is live with another fingerprint", n), Exit: fault.ExitUsage,
					Why: "rows of one version are all computed in the same way", Remedy: "give the changed view another version"}
			}
		}
		return true, nil
	})
	if err != nil {
		return nil, nil, err
	}
	topics, _, err := s.topicsOf(topic.Processed, nil)
	if err != nil {
		return nil, nil, err
	}
	newest, err := tasks.Newest(ctx, opts, topics)
	if err != nil {
		return nil, nil, err
	}
	if act.From, err = a.instant(o, newest); err != nil {
		return nil, nil, err
	}
	change.From = act.From
	return act, change, nil
}

// instant is when the change takes effect.
func (a *app) instant(o *applyOptions, newest int64) (int64, error) {
	base := newest
	if base == market.NoTime {
		base = a.now().UnixMicro()
	}
	soonest := (base+o.in.Microseconds())/market.Second*market.Second + market.Second
	if o.from == "" {
		return soonest, nil
	}
	t, err := run.ParseTime(o.from, a.now().UnixMicro())
	if err != nil {
		return 0, fault.Usage("flag_invalid", fmt.Sprintf("--effective-from %q: %v", o.from, err), "--effective-from "+market.FormatTime(soonest))
	}
	if newest != market.NoTime && t <= newest {
		return 0, &fault.Error{Code: "activation_late", Message: fmt.Sprintf("%s is not after the newest event, of %s", market.FormatTime(t), market.FormatTime(newest)), Exit: fault.ExitUsage,
			Why: "rows of that time may be written already", Remedy: "--effective-from " + market.FormatTime(soonest)}
	}
	return t, nil
}

// awaitTasks waits until the log has decided and all tasks act by it. In the end it withdraws
// what is not decided.
func (a *app) awaitTasks(ctx context.Context, o *applyOptions, act *tasks.Activation,
	follow func(context.Context, func(*tasks.Control) (bool, error)) error, withdraw func(context.Context, string) error,
) (last tasks.Proposal, err error) {
	said, total := "", 0
	for _, n := range act.Tasks {
		total += n
	}
	look := func(c *tasks.Control) (bool, error) {
		p := c.Find(act.ID)
		if p == nil {
			return false, nil
		}
		last = *p
		if line := fmt.Sprintf("%d of %d tasks have answered, %d act by it\n", len(p.Voted), total, len(p.Done)); line != said && !a.json {
			said = line
			a.say("%s", line)
		}
		return p.Finished(), nil
	}
	waiting, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	err = follow(waiting, look)
	if err != nil && waiting.Err() != nil && last.State != tasks.Accepted {
		why := "not all tasks answered within " + o.timeout.String()
		if ctx.Err() != nil {
			why = "interrupted"
		}
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		if err := withdraw(late, why); err != nil {
			return last, err
		}
		// The last answer may have come before: the log says.
		err = follow(late, func(c *tasks.Control) (bool, error) {
			_, err := look(c)
			return last.State != tasks.Proposed && last.State != "", err
		})
		if err != nil {
			return last, err
		}
	} else if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return last, err
	}
	if last.State == tasks.Accepted {
		return last, nil
	}
	f := &fault.Error{Code: "activation_refused", Message: "the change was refused, and nothing has changed", Exit: fault.ExitFailed,
		Why: strings.Join(last.Why, "; "), Remedy: "see that all processes of the stream run; a later time gives tasks longer: --in"}
	for _, w := range last.Why {
		f.Parts = append(f.Parts, fault.Part{Where: act.ID, Message: w})
	}
	return last, f
}

// noteActivation puts the activation into the lake.
func (a *app) noteActivation(ctx context.Context, o *applyOptions, act *tasks.Activation) error {
	l, _, err := a.openLake(ctx, o.lake, false)
	if err != nil {
		return err
	}
	defer func() { _ = l.Close() }()
	n := lake.Activation{ID: act.ID, Stream: o.name, From: act.From, Who: act.Who, Reason: act.Reason, At: act.At, Params: act.Set.Params}
	for _, v := range act.Views {
		n.Views = append(n.Views, lake.ActiveView{View: v.View, Version: v.Version, Fingerprint: v.Fingerprint})
	}
	for _, s := range act.Set.Specs {
		n.Specs = append(n.Specs, s.Text)
	}
	return l.RecordActivation(ctx, &n)
}

// printActivations lists what changed and when.
func (a *app) printActivations(c *tasks.Control) error {
	list := []viewChange{}
	live := c.Base()
	for _, p := range c.Proposals {
		ch := viewChange{
			ID: p.ID, State: p.State, From: p.From, Adds: minus(p.Views, live), Ends: minus(live, p.Views), Tasks: p.Number, Done: len(p.Done),
			Why: p.Why, Who: p.Who, Reason: p.Reason, AskedAt: p.At,
		}
		if p.State == tasks.Accepted {
			live = p.Views
		}
		list = append(list, ch)
	}
	if a.json {
		return a.printJSON(map[string]any{"activations": list, "views": live})
	}
	var b strings.Builder
	for _, ch := range list {
		fmt.Fprintf(&b, "%s  %s  from %s", ch.ID, ch.State, market.FormatTime(ch.From))
		for _, id := range ch.Adds {
			b.WriteString("  +" + id.String())
		}
		for _, id := range ch.Ends {
			b.WriteString("  -" + id.String())
		}
		if ch.Reason != "" {
			b.WriteString("  " + ch.Reason)
		}
		b.WriteByte('\n')
		for _, w := range ch.Why {
			b.WriteString("    " + w + "\n")
		}
		if ch.State == tasks.Accepted && ch.Done < ch.Tasks {
			fmt.Fprintf(&b, "    %d of %d tasks act by it\n", ch.Done, ch.Tasks)
		}
	}
	var names []string
	for _, id := range live {
		names = append(names, id.String())
	}
	fmt.Fprintf(&b, "live: %s\n", strings.Join(names, ", "))
	return a.print(b.String())
}
