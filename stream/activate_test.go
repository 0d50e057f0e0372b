package stream_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/internal/objstore"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/specs"
	"github.com/pinova-group/tidemark/stream"
)

// viewSet is some shipped views with the sizes of smallBars.
func viewSet(names []string) *stream.ViewSet {
	s := &stream.ViewSet{}
	for _, name := range names {
		text, _ := specs.Find(name)
		s.Specs = append(s.Specs, stream.SpecText{Name: name, Text: string(text)})
	}
	if params := smallBarsOf(names); len(params) > 0 {
		s.Params = params
	}
	return s
}

// switchLog is a log in topics with two sets of views, and an instant at which one follows the
// other.
type switchLog struct {
	*topicLog
	servers  servers
	r        *rand.Rand
	old, new *stream.ViewSet
	share    stream.Share // of the views, that the job has
	at       int64
	before   []string // rows with the old set alone
	want     []string // rows with the new set from the instant on
}

func (s *switchLog) plan(t *testing.T, v *stream.ViewSet) *features.Plan {
	t.Helper()
	set, err := v.Check()
	if err != nil {
		t.Fatal(err)
	}
	plan, err := features.CompileSet(set, features.Options{Feeds: s.feeds, Find: specs.Find})
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// newSwitchLog draws both sets from names.
func newSwitchLog(t *testing.T, b servers, seed uint64, names []string) *switchLog {
	t.Helper()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 7))
	feeds := market.NewFeeds()
	all := compileShipped(t, feeds)
	for {
		l, _ := wantRows(t, r, feeds, all)
		s := &switchLog{r: r, servers: b, topicLog: &topicLog{feeds: feeds}}
		var sets [2][]string
		for _, name := range names {
			for i := range sets {
				if r.IntN(3) > 0 {
					sets[i] = append(sets[i], name)
				}
			}
		}
		s.old, s.new = viewSet(sets[0]), viewSet(sets[1])
		if s.changed(t) {
			continue
		}
		rows := func(v *stream.ViewSet) []string {
			return slices.DeleteFunc(l.plain(t, s.plan(t, v)), func(s string) bool {
				return strings.Contains(s, " alert ") || strings.Contains(strings.Fields(s)[0], "(")
			})
		}
		s.before = rows(s.old)
		after := rows(s.new)
		var times []int64
		for _, row := range after {
			times = append(times, rowTS(t, row))
		}
		if len(times) < 100 {
			continue
		}
		slices.Sort(times)
		s.at = times[len(times)/4+r.IntN(len(times)/2)] + r.Int64N(2)
		for _, row := range s.before {
			if rowTS(t, row) < s.at {
				s.want = append(s.want, row)
			}
		}
		for _, row := range after {
			if rowTS(t, row) >= s.at {
				s.want = append(s.want, row)
			}
		}
		slices.Sort(s.want)
		s.topicLog = newTopicLog(t, b, l, all, feeds)
		createTopics(t, b.addr, 1, "control")
		return s
	}
}

// changed reports whether a version of a view is in both sets with different fingerprints: the size
// of its parent's bars is a parameter only where the parent is given.
func (s *switchLog) changed(t *testing.T) bool {
	t.Helper()
	old, new := s.activation(t, s.old, nil).Views, s.activation(t, s.new, nil).Views
	return slices.ContainsFunc(old, func(a stream.ViewID) bool {
		return slices.ContainsFunc(new, func(b stream.ViewID) bool { return a.View == b.View && a != b })
	})
}

// rowTS is the row_ts of a printed row: the third number behind the names.
func rowTS(t *testing.T, row string) int64 {
	t.Helper()
	_, rest, _ := strings.Cut(row, "] ")
	ts, err := strconv.ParseInt(strings.Fields(rest)[2], 10, 64)
	if err != nil {
		t.Fatal(row, err)
	}
	return ts
}

// writeUntil writes the entries that say nothing of the instant or later.
func (s *switchLog) writeUntil(ctx context.Context, t *testing.T, to int64, at []int) {
	t.Helper()
	enc, send := s.writer(ctx, t)
	marks := s.log.final
	for k := range marks {
		marks[k] = min(marks[k], to)
	}
	s.writeEmpty(ctx, t, enc, send, marks)
	for p, part := range s.log.parts {
		if part.Name == "rest" {
			continue
		}
		topic, partition := inputTopic(part.Name)
		for at[p] < len(part.entries) {
			e := part.entries[at[p]]
			if slices.ContainsFunc(part.Kinds, func(k market.Kind) bool { return e.marks[k] > to }) {
				break
			}
			send(s.records(ctx, t, enc, topic, partition, part.Kinds, e))
			at[p]++
		}
	}
}

// writeRest writes what is left, a few entries at a time.
func (s *switchLog) writeRest(ctx context.Context, t *testing.T, at []int) {
	t.Helper()
	enc, send := s.writer(ctx, t)
	s.writeEmpty(ctx, t, enc, send, s.log.final)
	for {
		var left []int
		for p, part := range s.log.parts {
			if at[p] < len(part.entries) && part.Name != "rest" {
				left = append(left, p)
			}
		}
		if len(left) == 0 {
			return
		}
		p := left[s.r.IntN(len(left))]
		part := s.log.parts[p]
		topic, partition := inputTopic(part.Name)
		send(s.records(ctx, t, enc, topic, partition, part.Kinds, part.entries[at[p]]))
		at[p]++
		time.Sleep(s.pace)
	}
}

func (s *switchLog) opts() []kgo.Opt {
	return []kgo.Opt{kgo.SeedBrokers(strings.Split(s.addr, ",")...)}
}

// startJob runs a job with all views of the old set until stop.
func (s *switchLog) startJob(ctx context.Context, t *testing.T, name, slot string, store objstore.Store) (stop func()) {
	t.Helper()
	j := &stream.Job{
		Name: name, Slot: slot, Topics: s.inputs(), Single: true, Options: s.opts(), Store: store, Dir: "mem://state/" + name,
		SnapshotEvery: 50 * time.Millisecond, MaxPoll: 50, Now: time.Now, Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	}
	err := j.Features(stream.FeaturesConfig{
		Plan: s.plan(t, s.old), Feeds: s.feeds, Schemas: s.schemas, Partitions: testPartitions, Kinds: s.kinds, MaxWaiting: 30, From: market.NoTime,
		Stream: name, Views: s.old, Share: s.share,
	})
	if err != nil {
		t.Fatal(err)
	}
	run, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- j.Run(run) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func (s *switchLog) activation(t *testing.T, v *stream.ViewSet, tasks map[string]int) *stream.Activation {
	t.Helper()
	set, err := v.Check()
	if err != nil {
		t.Fatal(err)
	}
	return &stream.Activation{ID: stream.NewActivationID(time.Now()), From: s.at, Views: stream.IDs(set), Set: *v, Tasks: tasks}
}

func (s *switchLog) propose(ctx context.Context, t *testing.T, name string, a *stream.Activation) {
	t.Helper()
	if err := stream.Propose(ctx, name, s.opts(), a); err != nil {
		t.Fatal(err)
	}
}

// await waits until something holds of a proposal.
func (s *switchLog) await(ctx context.Context, t *testing.T, name, id string, holds func(p *stream.Proposal) bool) (last stream.Proposal) {
	t.Helper()
	err := stream.WithControl(ctx, name, s.opts(), func(c *stream.Control) (bool, error) {
		p := c.Find(id)
		if p != nil {
			last = *p
		}
		return p != nil && holds(p), nil
	})
	if err != nil {
		t.Fatalf("activation %s: %v; it is %s, %v", id, err, last.State, last.Why)
	}
	return last
}

// Rows before the instant are those of an engine with the old views, rows from it on those of
// an engine with the new ones, both with all that came before.
func TestActivation_RowsAreOfTheOldViewsBeforeAndOfTheNewOnesAfter(t *testing.T) {
	cases := 3
	if testing.Short() {
		cases = 0
	}
	for i := range cases {
		t.Run(fmt.Sprint(i), func(t *testing.T) { testSwitch(t, startBroker(t), uint64(time.Now().UnixNano())) })
	}
	eachBroker(t, func(t *testing.T, b servers) { testSwitch(t, b, uint64(time.Now().UnixNano())) })
}

func testSwitch(t *testing.T, b servers, seed uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s := newSwitchLog(t, b, seed, specs.Names())
	name := "switch-" + strconv.FormatUint(seed, 36)
	stop := s.startJob(ctx, t, name, "0", &objstore.Memory{})
	defer func() { stop() }()
	at := make([]int, len(s.log.parts))
	s.writeUntil(ctx, t, s.at, at)
	a := s.activation(t, s.new, map[string]int{name: 1, "other": 1})
	s.propose(ctx, t, name, a)
	s.await(ctx, t, name, a.ID, func(p *stream.Proposal) bool { return len(p.Voted) == 1 })
	s.writeRest(ctx, t, at)
	time.Sleep(300 * time.Millisecond) // all of it is there, and the task waits at the instant
	for _, row := range first(s.rows(ctx, t)) {
		if rowTS(t, row) >= s.at {
			t.Fatalf("a row of the activation's time before it was decided: %s", row)
		}
	}
	if err := stream.VoteAs(ctx, name, s.opts(), a.ID, stream.TaskID{Job: "other"}, ""); err != nil {
		t.Fatal(err)
	}
	got, order := s.waitRows(ctx, t, s.want)
	if diff := order + cmp.Diff(s.want, got); diff != "" {
		t.Errorf("rows (-engines +topics)\n%.4000s", diff)
	}
}

func first[A, B any](a A, _ B) A { return a }

// Workers that are killed around the instant, before and after the decision and while they wait
// for it, write each row once, and the right ones: of both sets when it is accepted, of the old
// one when it is refused.
func TestActivation_SurvivesKills(t *testing.T) {
	if testing.Short() {
		t.Skip("kills processes for some seconds")
	}
	for i := range 2 {
		t.Run(fmt.Sprint(i), func(t *testing.T) { testSwitchKills(t, startBroker(t), uint64(time.Now().UnixNano())) })
	}
	eachBroker(t, func(t *testing.T, b servers) { testSwitchKills(t, b, uint64(time.Now().UnixNano())) })
}

func testSwitchKills(t *testing.T, b servers, seed uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var keyed []string
	for _, v := range shippedSet(t).Views {
		if stream.Keyed(v) && !strings.Contains(v.Name, "(") {
			keyed = append(keyed, v.Name)
		}
	}
	s := newSwitchLog(t, b, seed, keyed)
	dir := filepath.Join(t.TempDir(), "state")
	if err := os.Mkdir(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	name := "switch-" + strconv.FormatUint(seed, 36)
	t.Cleanup(func() {
		for i := range 2 {
			if text, _ := os.ReadFile(filepath.Join(dir, "..", fmt.Sprintf("worker-%d.log", i))); t.Failed() {
				t.Logf("worker %d:\n%s", i, text)
			}
		}
	})
	var workers [2]*process
	start := func(i int) {
		workers[i] = (&child{
			Addr: s.servers.addr, Registry: s.servers.registry, Name: name, Slot: strconv.Itoa(i), Dir: dir, Kinds: s.kinds, Set: s.old,
			SnapshotEvery: []time.Duration{100 * time.Millisecond, 2 * time.Second}[i],
		}).start(t)
	}
	for i := range workers {
		start(i)
	}
	kills := 0
	kill := func(n int) {
		for range n {
			time.Sleep(time.Duration(s.r.IntN(500)) * time.Millisecond)
			i := s.r.IntN(len(workers))
			workers[i].signal(t, syscall.SIGKILL)
			workers[i].wait()
			start(i)
			kills++
		}
	}
	at := make([]int, len(s.log.parts))
	s.writeUntil(ctx, t, s.at, at)
	a := s.activation(t, s.new, map[string]int{name: testPartitions, "other": 1})
	s.propose(ctx, t, name, a)
	kill(s.r.IntN(3))
	s.await(ctx, t, name, a.ID, func(p *stream.Proposal) bool { return len(p.Voted) == testPartitions })
	kill(s.r.IntN(3))
	s.pace = 3 * time.Millisecond
	written := make(chan struct{})
	go func() {
		defer close(written)
		s.writeRest(ctx, t, at)
	}()
	kill(2) // some are held
	want, reason := s.want, ""
	if s.r.IntN(3) == 0 {
		want, reason = s.before, "no"
	}
	if err := stream.VoteAs(ctx, name, s.opts(), a.ID, stream.TaskID{Job: "other"}, reason); err != nil {
		t.Fatal(err)
	}
	kill(3)
	<-written
	kill(2)
	got, order := s.waitRows(ctx, t, want)
	if diff := order + cmp.Diff(want, got); diff != "" {
		t.Errorf("rows (-engines +topics)\n%.4000s", diff)
	}
	state := s.await(ctx, t, name, a.ID, func(p *stream.Proposal) bool { return p.State == stream.Refused || len(p.Done) == testPartitions })
	t.Logf("%s after %d kills, %d rows", state.State, kills, len(got))
}

// What cannot be is refused, by one for all, with a reason; the rows stay those of the old views.
func TestActivation_Refusals(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s := newSwitchLog(t, startBroker(t), 7, []string{"trade_bars_1s", "book_1s", "quote_bars_1s", "tick_bars", "trade_flags"})
	name := "refusals"
	stop := s.startJob(ctx, t, name, "0", &objstore.Memory{})
	defer func() { stop() }()
	at := make([]int, len(s.log.parts))
	s.writeUntil(ctx, t, s.at, at)
	n := 0
	refused := func(what, want string, change func(a *stream.Activation)) {
		t.Helper()
		a := s.activation(t, s.new, map[string]int{name: 1})
		n++
		a.ID = fmt.Sprint("a", n)
		a.Set.Specs = slices.Clone(a.Set.Specs)
		change(a)
		s.propose(ctx, t, name, a)
		p := s.await(ctx, t, name, a.ID, func(p *stream.Proposal) bool { return p.State != stream.Proposed })
		if why := strings.Join(p.Why, "; "); p.State != stream.Refused || !strings.Contains(why, want) {
			t.Errorf("%s: %s, %q", what, p.State, why)
		}
	}
	refused("other partitions", "does not know this task", func(a *stream.Activation) { a.Tasks = map[string]int{"x": 1} })
	refused("another build", "other fingerprints", func(a *stream.Activation) { a.Views[0].Fingerprint = "00" })
	refused("a text that is wrong", "views are wrong", func(a *stream.Activation) { a.Set.Specs[0].Text += "\nnonsense: 1\n" })
	refused("kinds", "kinds of one's own", func(a *stream.Activation) {
		a.Set.Specs = append(a.Set.Specs, stream.SpecText{Name: "k.yaml", Text: "kind: weather\ndoc: weather\ncolumns:\n  celsius: {type: float}\n"})
	})
	refused("a version that is live", "with another fingerprint", func(a *stream.Activation) {
		changed := *s.old
		changed.Specs = slices.Clone(s.old.Specs)
		for i, spec := range changed.Specs {
			if strings.Contains(spec.Text, "tumbling") {
				changed.Specs[i].Text = strings.Replace(spec.Text, "features:", "features:\n  another: count() + 1", 1)
			}
		}
		set, err := changed.Check()
		if err != nil {
			t.Fatal(err)
		}
		a.Set, a.Views = changed, stream.IDs(set)
	})
	refused("two of which one refuses", "other/0: no", func(a *stream.Activation) {
		a.Tasks = map[string]int{name: 1, "other": 1}
		go func() {
			s.await(ctx, t, name, a.ID, func(p *stream.Proposal) bool { return len(p.Voted) == 1 })
			if err := stream.VoteAs(ctx, name, s.opts(), a.ID, stream.TaskID{Job: "other"}, "no"); err != nil {
				t.Error(err)
			}
		}()
	})
	// One that is open is withdrawn, and keeps others out until then.
	open := s.activation(t, s.new, map[string]int{name: 1, "other": 1})
	open.ID = "open"
	s.propose(ctx, t, name, open)
	refused("one that is open", "open is not decided yet", func(*stream.Activation) {})
	if err := stream.Withdraw(ctx, name, s.opts(), open.ID, "test", "changed its mind"); err != nil {
		t.Fatal(err)
	}
	s.await(ctx, t, name, open.ID, func(p *stream.Proposal) bool { return p.State == stream.Refused })
	s.writeRest(ctx, t, at)
	got, order := s.waitRows(ctx, t, s.before)
	if diff := order + cmp.Diff(s.before, got); diff != "" {
		t.Errorf("rows (-engine +topics)\n%.4000s", diff)
	}
	refused("the past", "written already", func(*stream.Activation) {})
}

// A task without views has no offsets. So nothing says which snapshot is its, and it writes none after the first: a second one would
// be taken as the sign of offsets that were lost.
func TestActivation_OfATaskWithoutViews(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s := newSwitchLog(t, startBroker(t), 7, []string{"trade_bars_1s", "book_1s", "trade_flags"}) // none of which a job of views over all symbols has
	s.old, s.share = viewSet(nil), stream.GlobalViews
	name, store := "none", &objstore.Memory{}
	stop := s.startJob(ctx, t, name, "0", store)
	defer func() { stop() }()
	s.writeUntil(ctx, t, s.at, make([]int, len(s.log.parts)))
	a := s.activation(t, s.new, map[string]int{name: 1})
	s.propose(ctx, t, name, a)
	s.await(ctx, t, name, a.ID, func(p *stream.Proposal) bool { return len(p.Done) == 1 })
	time.Sleep(time.Second) // twenty times as long as snapshots are apart
	n := 0
	for _, err := range store.List(ctx, "mem://state/"+name) {
		if n++; err != nil {
			t.Fatal(err)
		}
	}
	if n != 1 {
		t.Errorf("%d snapshots", n)
	}
}

// A task that is held by an activation that nobody decides withdraws it.
func TestActivation_IsWithdrawnByATaskThatIsHeld(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for ten seconds")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s := newSwitchLog(t, startBroker(t), 8, []string{"trade_bars_1s", "book_1s", "quote_bars_1s", "tick_bars", "trade_flags"})
	name := "held"
	defer s.startJob(ctx, t, name, "0", &objstore.Memory{})()
	at := make([]int, len(s.log.parts))
	s.writeUntil(ctx, t, s.at, at)
	a := s.activation(t, s.new, map[string]int{name: 1, "other": 1})
	s.propose(ctx, t, name, a)
	s.await(ctx, t, name, a.ID, func(p *stream.Proposal) bool { return len(p.Voted) == 1 })
	s.writeRest(ctx, t, at)
	p := s.await(ctx, t, name, a.ID, func(p *stream.Proposal) bool { return p.State != stream.Proposed })
	if why := strings.Join(p.Why, "; "); p.State != stream.Refused || !strings.Contains(why, "its time has come") {
		t.Errorf("%s, %q", p.State, why)
	}
	got, order := s.waitRows(ctx, t, s.before)
	if diff := order + cmp.Diff(s.before, got); diff != "" {
		t.Errorf("rows (-engine +topics)\n%.4000s", diff)
	}
}
