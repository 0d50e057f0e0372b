package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/internal/objstore"
	"github.com/pinova-group/tidemark/lake"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run"
	"github.com/pinova-group/tidemark/specs"
	tasks "github.com/pinova-group/tidemark/stream"
	"github.com/pinova-group/tidemark/stream/sink"
	"github.com/pinova-group/tidemark/stream/topic"
)

// streamOptions are the flags of tidemark stream.
type streamOptions struct {
	flags               streamFlags
	state, slot, status string
	jobs                []string
	name                string
	snapshotEvery       time.Duration  // 0: as the config says
	idleAfter           *time.Duration // nil: likewise
	sink, lake          string
}

// collectLater has the heap of the jobs, or of a broker, grow to four times of what is live until it is collected: most of it is
// records on their way through, and at twice, the runtime's own, a tenth of the jobs' processor time went there, and a quarter of the broker's.
func collectLater() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(300)
	}
}

// The jobs of a stream.
const (
	jobSequence = "sequence"
	jobFeatures = "features"
	jobGlobal   = "global"
)

func newStreamCmd(a *app) *cobra.Command {
	o := &streamOptions{}
	cmd := &cobra.Command{
		Use: "stream --state DIR", Short: "run the streaming jobs: raw to processed to feature topics, each record once", Args: exactly(0, ""),
		Long: `stream runs jobs until Ctrl-C or SIGTERM:
  sequence  raw topics to processed, late and dlq topics
  features  processed topics to the topics of views whose rows depend on one base asset
  global    processed topics to the topics of all other views
Each cycle is one Kafka transaction of the records written and the offsets read. Killed at any moment, the next process
goes on where it was; Ctrl-C lets it commit what is under way first, twice ends it at once. Several processes share the work: give each a slot of its own and the same state; of two with one slot the
newer goes on. Topics have to be there: tidemark topics apply.`,
		Example:     "  tidemark stream --state data/state\n  tidemark stream --state s3://bucket/state --slot 1 --status 127.0.0.1:9464\n  tidemark stream --jobs sequence --state data/state",
		Annotations: map[string]string{"page": pageURL + "stream.md"},
	}
	var idleAfter time.Duration
	f := cmd.Flags()
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if f.Changed("idle-after") {
			o.idleAfter = &idleAfter
		}
		return a.stream(cmd.Context(), o)
	}
	o.flags.add(f)
	f.StringVar(&o.state, "state", "", "where tasks write their state: a folder that all processes reach, or `s3://BUCKET/PREFIX`")
	f.StringVar(&o.slot, "slot", "0", "which of the processes of these jobs this is: a `WORD`")
	f.StringSliceVar(&o.jobs, "jobs", []string{jobSequence, jobFeatures, jobGlobal}, "`jobs` to run, comma between")
	f.StringVar(&o.name, "name", "tidemark", "`name` of this stream: consumer groups are NAME-JOB")
	f.StringVar(&o.status, "status", "", "serve /status, /metrics, /healthz and /readyz at `HOST:PORT`")
	f.DurationVar(&o.snapshotEvery, "snapshot-every", 0, "how often a task writes its state; a restart reads what came since (default: limits.snapshot_every of the config, 10s)")
	f.DurationVar(&idleAfter, "idle-after", 0, "how long nobody writes to a raw partition before others go on without it; 0: they wait (default: limits.idle_after of the config, 5s)")
	f.StringVar(&o.sink, "sink", "", "put processed, late, feature and alert topics into this lake, too, `DIR|NAME`: what tidemark sink does, in this process")
	f.StringVar(&o.lake, "lake", "", "the lake of the sink, `DIR|NAME`: what views that tidemark apply adds look back on is read from it where topics do not keep it (default: that of --sink)")
	return cmd
}

// defaultIdleAfter is how long others wait for a raw partition that nobody writes to.
const defaultIdleAfter = 5 * time.Second

// times are what flags, the config and the defaults say, in this order.
func (o *streamOptions) times(c *limitsConfig) (snapshotEvery, idleAfter time.Duration) {
	idleAfter = defaultIdleAfter
	switch {
	case o.idleAfter != nil:
		idleAfter = *o.idleAfter
	case c.IdleAfter != nil:
		idleAfter = time.Duration(*c.IdleAfter)
	}
	return cmp.Or(o.snapshotEvery, time.Duration(c.SnapshotEvery)), idleAfter
}

// stream runs the jobs.
func (a *app) stream(ctx context.Context, o *streamOptions) error {
	jobs, err := a.streamJobs(ctx, o)
	if err != nil {
		return unlessTold(ctx, err)
	}
	if o.status != "" {
		stop, err := serveStatus(o.status, jobs.pages())
		if err != nil {
			return err
		}
		defer stop()
	}
	if jobs.past != nil {
		defer func() { _ = jobs.past.Close() }()
	}
	if jobs.sink != nil {
		defer jobs.closeSink()
	}
	told := ctx
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	collectLater()
	var wg sync.WaitGroup
	for _, j := range jobs.list {
		wg.Go(func() {
			jobs.running.Add(1)
			defer jobs.running.Add(-1)
			if err := j.Run(ctx); err != nil {
				cancel(err)
			}
		})
	}
	if jobs.sink != nil {
		wg.Go(func() {
			if err := jobs.sink.Run(ctx); err != nil {
				cancel(sinkFault(err))
			}
		})
	}
	wg.Wait()
	if told.Err() != nil {
		return nil // to end
	}
	return streamFault(context.Cause(ctx))
}

// unlessTold is an error while a process starts that works until it is told to end; it was told so already: none.
func unlessTold(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return nil
}

func streamFault(err error) error {
	if _, told := errors.AsType[*fault.Error](err); told {
		return err
	}
	f := &fault.Error{Code: "stream_ended", Message: "the stream ended", Why: err.Error(), Exit: fault.ExitFailed, Cause: err}
	switch {
	case errors.Is(err, tasks.ErrTaken):
		f.Remedy = "give each process a --slot of its own"
	case errors.Is(err, tasks.ErrForeign), errors.Is(err, tasks.ErrPartitions), errors.Is(err, features.ErrSnapshotMismatch):
		f.Remedy = "the state is of other views or topics: change views with tidemark apply, or start under another --name"
	case errors.Is(err, tasks.ErrNoTopic):
		f.Remedy = "tidemark topics apply makes it; one that was deleted comes back empty: then start under another --name"
	case errors.Is(err, tasks.ErrUnequal):
		f.Remedy = "tidemark topics plan tells which"
	}
	return f
}

// streamJobs are the jobs of a process.
type streamJobs struct {
	list      []*tasks.Job
	sink      *sink.Sink // nil: none
	closeSink func()
	past      *lake.Lake // nil: none
	running   atomic.Int32
	reg       *prometheus.Registry
	began     time.Time
	now       func() time.Time
}

func (a *app) streamJobs(ctx context.Context, o *streamOptions) (*streamJobs, error) {
	if o.state == "" {
		return nil, fault.Usage("flag_missing", "no place for the state of tasks", "tidemark stream --state data/state")
	}
	for _, j := range o.jobs {
		if all := []string{jobSequence, jobFeatures, jobGlobal}; !slices.Contains(all, j) {
			return nil, fault.Usage("flag_invalid", fmt.Sprintf("%q is no job", j), fault.DidYouMean(j, all))
		}
	}
	s, err := a.openStream(&o.flags, true)
	if err != nil {
		return nil, err
	}
	snapshotEvery, idleAfter := o.times(&s.Limits)
	if snapshotEvery < 0 || idleAfter < 0 {
		return nil, fault.Usage("flag_invalid", "--snapshot-every and --idle-after must not be below 0", "")
	}
	store, dir, err := stateStore(ctx, o.state)
	if err != nil {
		return nil, err
	}
	if _, err := s.Kafka.Ping(ctx); err != nil {
		return nil, err
	}
	opts, err := s.Kafka.Options()
	if err != nil {
		return nil, err
	}
	schemas, err := s.schemas()
	if err != nil {
		return nil, err
	}
	if err := s.topicsThere(ctx); err != nil {
		return nil, err
	}
	reg := newRegistry()
	metrics := tasks.NewMetrics(reg)
	log := a.logger()
	jobs := &streamJobs{reg: reg, began: a.now(), now: a.now}
	handover := tasks.NewHandover()
	job := func(name string, single bool, topics []string) *tasks.Job {
		full := o.name + "-" + name
		j := &tasks.Job{
			Name: full, Slot: o.slot, Topics: topics, Single: single, Options: opts, Store: store, Dir: objstore.Join(dir, full),
			SnapshotEvery: snapshotEvery, MaxPoll: s.Limits.CycleRecords, FetchBytes: int32(s.Limits.FetchBytes), Log: log, Metrics: metrics, Now: a.now,
		}
		if name != jobGlobal { // it reads what the features job reads
			j.Handover = handover
		}
		jobs.list = append(jobs.list, j)
		return j
	}
	if slices.Contains(o.jobs, jobSequence) {
		raw, _, err := s.topicsOf(topic.Raw, nil)
		if err != nil {
			return nil, err
		}
		if err := job(jobSequence, false, raw).Sequence(tasks.SequenceJobConfig{Schemas: schemas, Kinds: s.kinds, IdleAfter: idleAfter, Now: a.now}); err != nil {
			return nil, err
		}
	}
	plans, err := s.plans(o.jobs)
	if err != nil {
		return nil, err
	}
	var past tasks.Past
	if name := cmp.Or(o.lake, o.sink); name != "" && len(plans) > 0 {
		if jobs.past, _, err = a.openLake(ctx, name, o.lake == ""); err != nil {
			return nil, err
		}
		past = run.Past{Lake: jobs.past, Feeds: s.feeds}
	}
	for _, p := range plans {
		if len(p.writes) > 0 {
			if _, _, err := s.topicsOf(topic.Processed, p.plan); err != nil {
				return nil, err
			}
		}
		topics, kinds, err := s.topicsOf(topic.Processed, nil) // views to come may read any
		if err != nil {
			return nil, err
		}
		err = job(p.job, p.job == jobGlobal, topics).Features(tasks.FeaturesConfig{
			Plan: p.plan, Feeds: s.feeds, Schemas: schemas, Partitions: s.Stream.Count(), Kinds: kinds, Write: p.writes, From: market.NoTime,
			Ledger: p.job, Build: version, Stream: o.name, Views: p.views, Share: p.share, MaxWaiting: s.Limits.WaitingRows, Past: past,
		})
		if err != nil {
			return nil, err
		}
	}
	if len(jobs.list) == 0 {
		return nil, fault.Usage("stream_empty", "there is nothing to run", "list views under stream.views of the config, or run --jobs sequence")
	}
	if o.sink != "" {
		jobs.sink, jobs.closeSink, err = a.openSink(ctx, s, o.sink, sink.Config{}, reg)
	}
	return jobs, err
}

// topicsThere checks that the topics of the config are there.
func (s *stream) topicsThere(ctx context.Context) error {
	want, have, err := s.topics(ctx)
	if err != nil {
		return err
	}
	var missing []string
	for _, t := range want {
		if !slices.ContainsFunc(have, func(h topic.Topic) bool { return h.Name == t.Name }) {
			missing = append(missing, t.Name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return &fault.Error{Code: "topics_missing", Message: fmt.Sprintf("%d topics are missing, such as %s", len(missing), missing[0]),
		Exit: fault.ExitUsage, Remedy: "tidemark topics apply makes them"}
}

// stateStore is where snapshots go.
func stateStore(ctx context.Context, state string) (objstore.Store, string, error) {
	if strings.HasPrefix(state, "s3://") {
		s3, err := objstore.NewS3(ctx, objstore.S3Config{})
		return s3, strings.TrimSuffix(state, "/"), err
	}
	uri, err := objstore.FolderURI(state)
	return objstore.Folder{}, uri, err
}

// jobPlan is the plan of a features job.
type jobPlan struct {
	job    string
	plan   *features.Plan
	writes []string // the views that are this job's; the others are what they are made of
	views  *tasks.ViewSet
	share  tasks.Share
}

// viewSet are the texts of the views of the config, and what they say.
func (s *stream) viewSet() (*tasks.ViewSet, *lang.Set, error) {
	set, src, err := run.Check(s.Stream.Views, nil)
	if err != nil {
		return nil, nil, err
	}
	v := &tasks.ViewSet{}
	for _, f := range src {
		v.Specs = append(v.Specs, tasks.SpecText{Name: f.Name, Text: string(f.Text)})
	}
	return v, set, nil
}

// plans are those of the views of the config, for the jobs that are wanted. A job without
// views may get some later.
func (s *stream) plans(jobs []string) (out []jobPlan, err error) {
	if len(s.Stream.Views) == 0 {
		return nil, nil
	}
	views, set, err := s.viewSet()
	if err != nil {
		return nil, err
	}
	keyed, global := tasks.Split(set)
	for _, p := range []struct {
		job   string
		part  tasks.Part
		share tasks.Share
	}{{jobFeatures, keyed, tasks.KeyedViews}, {jobGlobal, global, tasks.GlobalViews}} {
		if !slices.Contains(jobs, p.job) {
			continue
		}
		plan, err := features.CompileSet(p.part.Set, features.Options{Feeds: s.feeds, Find: specs.Find})
		if err != nil {
			return nil, run.SpecFault(err)
		}
		out = append(out, jobPlan{p.job, plan, append([]string{}, p.part.Writes...), views, p.share})
	}
	return out, nil
}

// topicsOf are the topics of a class that the sources of the config have, with what they
// carry; with a plan those that it reads, which must be all that it reads.
func (s *stream) topicsOf(class topic.Class, plan *features.Plan) ([]string, map[string][]market.Kind, error) {
	want, err := s.wanted()
	if err != nil {
		return nil, nil, err
	}
	reads := map[market.Kind]bool{}
	if plan != nil {
		for _, in := range plan.Inputs() {
			reads[in.Kind] = true
		}
	}
	var names []string
	kinds, has := map[string][]market.Kind{}, map[market.Kind]bool{market.KindStatus: true}
	for _, t := range want {
		name, err := topic.Parse(t.Name)
		if err != nil || name.Class != class {
			continue
		}
		kind, ok := topic.ParseKindWord(s.kinds, name.Kind)
		if !ok || plan != nil && !reads[kind] {
			continue
		}
		names, kinds[t.Name], has[kind] = append(names, t.Name), []market.Kind{kind, market.KindStatus}, true
	}
	if plan != nil {
		for _, in := range plan.Inputs() {
			if !has[in.Kind] {
				return nil, nil, &fault.Error{Code: "source_missing", Message: fmt.Sprintf("a view reads %s, which no source has", in.Name), Where: s.where(), Why: s.why(), Exit: fault.ExitUsage,
					Remedy: "add it to the kinds of a source under stream.sources, then tidemark topics apply"}
			}
		}
	}
	if len(names) == 0 {
		return nil, nil, &fault.Error{Code: "source_missing", Message: "the config has no sources", Where: s.where(), Why: s.why(), Exit: fault.ExitUsage,
			Remedy: "list markets under stream.sources; docs/topics.md has an example"}
	}
	return names, kinds, nil
}

// pages tell how the jobs are.
func (j *streamJobs) pages() statusPages {
	return statusPages{
		reg: j.reg,
		healthy: func() error {
			if int(j.running.Load()) < len(j.list) {
				return errors.New("a job does not run")
			}
			return nil
		},
		ready: func() error {
			for _, j := range j.list {
				if j.Status().Tasks == 0 {
					return fmt.Errorf("%s has no tasks yet", j.Name)
				}
			}
			if j.sink != nil && j.sink.Status().State != sink.Running {
				return errors.New("the sink is " + j.sink.Status().State)
			}
			return nil
		},
		status: func() any {
			type status struct {
				Job  string `json:"job"`
				Slot string `json:"slot"`
				tasks.Status
			}
			list := []status{}
			for _, j := range j.list {
				list = append(list, status{j.Name, j.Slot, j.Status()})
			}
			all := map[string]any{"version": version, "uptime_s": int(j.now().Sub(j.began).Seconds()), "jobs": list}
			if j.sink != nil {
				all["sink"] = j.sink.Status()
			}
			return all
		},
	}
}
