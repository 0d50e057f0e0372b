package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // zones of cron expressions, where the machine has none

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pinova-group/tidemark/backfill"
	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/internal/term"
	"github.com/pinova-group/tidemark/lake"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run"
	"github.com/pinova-group/tidemark/schedule"
)

// scheduleEntry is something that runs now and then.
type scheduleEntry struct {
	// Which one it is, in leases and `ops.runs`; each has its own.
	Name string `yaml:"name" must:"yes"`
	// Minute, hour, day of month, month, day of week, or `@hourly` and the like; in UTC unless `CRON_TZ=ZONE` stands before.
	Cron string `yaml:"cron" must:"yes"`
	// `backfill` or `verify` as typed by hand, with their flags.
	Run string `yaml:"run" must:"yes"`
}

type scheduleOptions struct {
	once, dry bool
	status    string
	lease     time.Duration
	names     []string
}

func newScheduleCmd(a *app) *cobra.Command {
	o := &scheduleOptions{}
	cmd := &cobra.Command{
		Use: "schedule [NAME...]", Short: "run backfill --dirty and verify when they are due",
		Long: `schedule runs the commands that are listed under schedule: of the config, each when its cron expression says, in UTC
(CRON_TZ=Europe/Berlin before the expression is another zone), until Ctrl-C or SIGTERM:

  schedule:
    - {name: repair, cron: "5 * * * *", run: backfill --dirty --lake data/lake}
    - {name: parity, cron: "30 2 * * *", run: verify trade_bars_1m --lake data/lake --from now-26h}

One runs at a time. A run has a lease on its tables, in the lake: another process waits for it, and takes over when it has run
out because its holder was killed. What was missed is made up for once, as soon as it can be. A name that is new is due from now
on. Told to end, it stops what runs, which the next process does again; a backfill keeps its finished tasks.
What ran is in the table ops.runs of the lake. NAME... runs these entries alone.`,
		Example: "  tidemark schedule list\n  tidemark schedule --dry-run\n  tidemark schedule --status 127.0.0.1:9466\n  tidemark schedule --once --json",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.names = args
			return a.schedule(cmd.Context(), o)
		},
		Annotations: map[string]string{"page": pageURL + "schedule.md"},
	}
	f := cmd.Flags()
	f.BoolVar(&o.once, "once", false, "do what is due now, and end")
	f.BoolVar(&o.dry, "dry-run", false, "say what would run now, and do nothing")
	f.StringVar(&o.status, "status", "", "serve /status, /metrics, /healthz and /readyz at `HOST:PORT`")
	f.DurationVar(&o.lease, "lease", 2*time.Minute, "how long after its holder was killed a run may begin elsewhere")
	list := &cobra.Command{
		Use: "list", Short: "when each entry runs next, and how the last run ended", Args: exactly(0, ""),
		Example: "  tidemark schedule list\n  tidemark schedule list --json",
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.scheduleList(cmd.Context(), o) },
	}
	cmd.AddCommand(list)
	return cmd
}

// scheduler makes the scheduler of the config; done closes its lakes.
func (a *app) scheduler(ctx context.Context, o *scheduleOptions) (s *schedule.Scheduler, done func(), err error) {
	c, _, err := a.readConfig()
	if err != nil {
		return nil, nil, err
	}
	if len(c.Schedule) == 0 {
		return nil, nil, &fault.Error{Code: "schedule_empty", Message: "nothing is scheduled", Where: c.where(), Why: c.why(), Exit: fault.ExitUsage, Remedy: "list it under schedule: of the config; tidemark schedule --help has an example"}
	}
	if o.lease < time.Second {
		return nil, nil, fault.Usage("flag_invalid", "--lease must be at least 1s", "")
	}
	s = &schedule.Scheduler{Now: a.now, Sleep: sleep, Lease: o.lease, Log: a.logger()}
	host, _ := os.Hostname() // names the process for people; the random part tells it from others
	s.Who = fmt.Sprintf("%s/%d/%s", host, os.Getpid(), rand.Text()[:6])
	lakes := map[string]*lake.Lake{}
	done = func() {
		for _, l := range lakes {
			_ = l.Close()
		}
	}
	var parts []fault.Part
	wrong := func(i int, key, message, remedy string) {
		parts = append(parts, c.at("", []fault.Part{{Where: fmt.Sprintf("schedule[%d].%s", i, key), Message: message, Remedy: remedy}})...)
	}
	var names []string
	for i, e := range c.Schedule {
		entry := schedule.Entry{Name: e.Name, Line: e.Run}
		if e.Name == "" || slices.Contains(names, e.Name) {
			wrong(i, "name", fmt.Sprintf("%q is no name, or there twice", e.Name), "each entry needs a name of its own")
		}
		names = append(names, e.Name)
		if entry.Cron, err = schedule.ParseCron(e.Cron); err != nil {
			wrong(i, "cron", fmt.Sprintf("%q: %v", e.Cron, err), `minute, hour, day of month, month, day of week: "5 * * * *" is five past each hour`)
		} else if entry.Cron.Next(a.now()).IsZero() {
			wrong(i, "cron", fmt.Sprintf("%q is never", e.Cron), "")
		}
		line, err := a.parseLine(e.Run)
		if err != nil {
			f := fault.From(err)
			wrong(i, "run", f.Message, f.Remedy)
			continue
		}
		if len(o.names) > 0 && !slices.Contains(o.names, e.Name) {
			continue
		}
		if parts == nil {
			if lakes[line.lake] == nil {
				l, _, err := a.openLake(ctx, line.lake, false)
				if err != nil {
					done()
					return nil, nil, err
				}
				lakes[line.lake] = l
			}
			entry.Lake = lakes[line.lake]
			entry.Tables = func(ctx context.Context) ([]string, error) { return line.tables(ctx, entry.Lake) }
			entry.Do = func(ctx context.Context) schedule.Result { return a.runLine(ctx, line.args) }
			s.Entries = append(s.Entries, entry)
		}
	}
	if err := configFault(parts); err != nil {
		done()
		return nil, nil, err
	}
	for _, n := range o.names {
		if !slices.Contains(names, n) {
			done()
			return nil, nil, fault.Usage("schedule_unknown", fmt.Sprintf("nothing that is scheduled has the name %q", n), fault.DidYouMean(n, names))
		}
	}
	return s, done, nil
}

// sleep waits until d is over or ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// scheduledLine is a command that a schedule runs.
type scheduledLine struct {
	args  []string
	lake  string
	views []string // names and files; none: all that have a table
}

// parseLine reads a command as the program would, so that its mistakes are found before it is due.
func (a *app) parseLine(text string) (*scheduledLine, error) {
	l := &scheduledLine{args: strings.Fields(text)}
	remedy := "such as backfill --dirty --lake data/lake, or verify trade_bars_1m --lake data/lake --from now-26h"
	if len(l.args) == 0 {
		return nil, fault.Usage("run", "no command", remedy)
	}
	sub := &app{now: a.now}
	var cmd *cobra.Command
	switch l.args[0] {
	case "backfill":
		cmd = newBackfillCmd(sub)
	case "verify":
		cmd = newVerifyCmd(sub)
	default:
		return nil, fault.Usage("run", fmt.Sprintf("%q cannot be scheduled", l.args[0]), "backfill and verify can: "+remedy)
	}
	if err := cmd.ParseFlags(l.args[1:]); err != nil {
		return nil, fault.Usage("run", err.Error(), "tidemark "+l.args[0]+" --help")
	}
	rest := cmd.Flags().Args()
	if err := cmd.ValidateArgs(rest); err != nil {
		return nil, err
	}
	l.lake = cmd.Flag("lake").Value.String()
	if l.lake == "" {
		return nil, fault.Usage("run", "no lake given", "add --lake, or set TIDEMARK_LAKE")
	}
	get := func(name string) []string {
		if v, ok := cmd.Flag(name).Value.(pflag.SliceValue); ok {
			return v.GetSlice()
		}
		return nil
	}
	if c := cmd.Flag("continuous"); c != nil && c.Changed {
		return nil, fault.Usage("run", "--continuous has no end", "start it as a process of its own")
	}
	l.views = append(get("spec"), rest...)
	if l.args[0] == "backfill" {
		l.views = append(get("spec"), get("view")...)
		if len(l.views) == 0 && !cmd.Flags().Changed("dirty") {
			return nil, fault.Usage("run", "a backfill of nothing", "add --dirty, or --view A,B")
		}
		if !cmd.Flags().Changed("progress") {
			l.args = append(l.args, "--progress", "none")
		}
	}
	if len(l.views) > 0 {
		if _, err := backfill.Load(l.views, nil); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// tables are those that the command works on.
func (l *scheduledLine) tables(ctx context.Context, lk *lake.Lake) ([]string, error) {
	if len(l.views) == 0 {
		all, err := lk.Tables(ctx)
		return slices.DeleteFunc(all, func(t string) bool { return !strings.HasPrefix(t, "feature.") }), err
	}
	v, err := backfill.Load(l.views, nil)
	if err != nil {
		return nil, err
	}
	var out []string
	for i := range v.Plan.Outputs() {
		out = append(out, run.FeatureTable(&v.Plan.Outputs()[i]))
	}
	return out, nil
}

// maxDetail bounds what is noted of a run.
const maxDetail = 500

// runLine runs a command in this process.
func (a *app) runLine(ctx context.Context, args []string) schedule.Result {
	var out, errs lockedBuffer
	sub := &app{in: strings.NewReader(""), out: &out, err: &errs, color: "never", now: a.now}
	if a.config != "" {
		args = append([]string{"--config", a.config}, args...)
	}
	r := schedule.Result{Exit: sub.execute(ctx, args)}
	if r.Detail, _ = reason(errs.String()); r.Detail == "" {
		said := strings.TrimSpace(out.String())
		if said == "" {
			said = strings.TrimSpace(errs.String())
		}
		r.Detail = said[strings.LastIndexByte(said, '\n')+1:]
	}
	r.Detail = r.Detail[:min(len(r.Detail), maxDetail)]
	return r
}

// schedule runs what is due.
func (a *app) schedule(ctx context.Context, o *scheduleOptions) error {
	reg, began := newRegistry(), a.now()
	s, done, err := a.scheduler(ctx, o)
	if err != nil {
		return err
	}
	defer done()
	s.Metrics = schedule.NewMetrics(reg)
	switch {
	case o.dry:
		states, err := a.states(ctx, s, false)
		if err != nil {
			return err
		}
		due := slices.DeleteFunc(states, func(st *schedule.State) bool { return !st.Due(a.now()) })
		return a.printStates(due, "nothing is due\n")
	case o.once:
		ran, err := s.Once(ctx)
		if err != nil {
			return scheduleFault(err)
		}
		return a.printRan(ran)
	}
	if o.status != "" {
		stop, err := serveStatus(o.status, statusPages{
			reg: reg, healthy: s.Metrics.Healthy, ready: s.Metrics.Healthy,
			status: func() any {
				states, err := a.states(ctx, s, true)
				m := map[string]any{"version": version, "uptime_s": int(a.now().Sub(began).Seconds()), "schedule": states}
				if err != nil {
					m["error"] = err.Error()
				}
				return m
			},
		})
		if err != nil {
			return err
		}
		defer stop()
	}
	s.Run(ctx)
	return nil // to end
}

func scheduleFault(err error) error {
	if _, told := errors.AsType[*fault.Error](err); told {
		return err
	}
	return &fault.Error{Code: "schedule_failed", Message: "cannot tell what is due, or note what ran", Why: err.Error(), Exit: fault.ExitFailed, Cause: err,
		Remedy: "see that the lake can be reached; what is due runs the next time"}
}

func (a *app) scheduleList(ctx context.Context, o *scheduleOptions) error {
	s, done, err := a.scheduler(ctx, o)
	if err != nil {
		return err
	}
	defer done()
	states, err := a.states(ctx, s, true)
	if err != nil {
		return err
	}
	return a.printStates(states, "")
}

func (a *app) states(ctx context.Context, s *schedule.Scheduler, history bool) ([]*schedule.State, error) {
	out := []*schedule.State{}
	for i := range s.Entries {
		st, err := s.State(ctx, &s.Entries[i], history)
		if err != nil {
			return out, scheduleFault(err)
		}
		out = append(out, st)
	}
	return out, nil
}

func (a *app) printStates(states []*schedule.State, none string) error {
	if a.json {
		return a.printJSON(map[string]any{"schedule": states})
	}
	if len(states) == 0 {
		return a.print(none)
	}
	now := a.now()
	var rows [][]string
	for _, st := range states {
		next := market.FormatTime(st.Next.UnixMicro())
		if st.Due(now) {
			next = fmt.Sprintf("now (%s, %d missed before)", next, st.Missed)
		}
		held, last := "-", "-"
		if st.Held != nil {
			held = fmt.Sprintf("%s by %s until %s", st.Held.Run, st.Held.Who, market.FormatTime(st.Held.Until))
		}
		if st.Last != nil {
			last = fmt.Sprintf("%s %s: %s", market.FormatTime(st.Last.Began), st.Last.Outcome, st.Last.Detail)
		}
		rows = append(rows, []string{st.Name, next, held, last, st.Line})
	}
	return a.print(a.style(a.outTTY).Table([]term.Column{{Head: "name", Keep: true}, {Head: "next (UTC)", Keep: true}, {Head: "runs"}, {Head: "last (UTC)"}, {Head: "command"}}, rows))
}

// printRan says what ran; the first that failed gives the exit code.
func (a *app) printRan(ran []lake.Run) error {
	if a.json {
		if ran == nil {
			ran = []lake.Run{}
		}
		if err := a.printJSON(map[string]any{"runs": ran}); err != nil {
			return err
		}
	} else {
		text := ""
		for _, r := range ran {
			text += fmt.Sprintf("%s: %s  %s\n", r.Name, r.Outcome, r.Detail)
		}
		if text == "" {
			text = "nothing is due\n"
		}
		if err := a.print(text); err != nil {
			return err
		}
	}
	for _, r := range ran {
		switch {
		case r.Outcome == schedule.Held:
			return &fault.Error{Code: "schedule_held", Message: r.Name + " is due, and another process works on its tables", Why: r.Detail, Exit: fault.ExitHeld, Remedy: "run the command again; tidemark schedule list says until when"}
		case r.Outcome == schedule.Lost:
			return &fault.Error{Code: "schedule_lost", Message: r.Name + " lost its lease", Exit: fault.ExitHeld, Remedy: "the process that has it now does the run"}
		case r.Exit != 0:
			return &fault.Error{Code: "schedule_run", Message: r.Name + " ended with exit code " + fmt.Sprint(r.Exit), Why: r.Detail, Exit: int(r.Exit), Remedy: "the same command by hand says more: tidemark " + r.Line}
		}
	}
	return nil
}
