package stream_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
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
	"github.com/pinova-group/tidemark/run"
	"github.com/pinova-group/tidemark/specs"
	"github.com/pinova-group/tidemark/stream"
	"github.com/pinova-group/tidemark/stream/record"
)

// child is what a worker process of a test is told.
type child struct {
	Addr, Registry string
	Name, Slot     string
	Dir            string
	Kinds          map[string][]market.Kind
	Views          []string
	Single         bool
	Raw            []string // a sequence job reads them; else it is a features job
	SnapshotEvery  time.Duration
	Broken         stream.Broken
	Set            *stream.ViewSet // of a job whose views may be changed
}

const childEnv = "TIDEMARK_TEST_WORKER"

// TestMain runs a worker when a test asks for a process that it may kill.
func TestMain(m *testing.M) {
	text := os.Getenv(childEnv)
	if text == "" {
		os.Exit(m.Run())
	}
	var c child
	err := json.Unmarshal([]byte(text), &c)
	if err == nil {
		ctx, _ := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		err = c.run(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func (c *child) run(ctx context.Context) error {
	feeds := market.NewFeeds()
	set, _, err := run.Check(c.Views, smallBarsOf(c.Views))
	if c.Set != nil {
		set, err = c.Set.Check()
	}
	if err != nil {
		return err
	}
	plan, err := features.CompileSet(set, features.Options{Feeds: feeds, Find: specs.Find})
	if err != nil {
		return err
	}
	schemas, err := record.NewSchemas(c.Registry, plan.Kinds())
	if err != nil {
		return err
	}
	uri, err := objstore.FolderURI(c.Dir)
	if err != nil {
		return err
	}
	j := &stream.Job{
		Name: c.Name, Slot: c.Slot, Options: []kgo.Opt{kgo.SeedBrokers(strings.Split(c.Addr, ",")...)}, Store: objstore.Folder{}, Dir: objstore.Join(uri, c.Name),
		SnapshotEvery: c.SnapshotEvery, MaxPoll: 50, Now: time.Now, Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	}
	if c.Raw != nil {
		j.Topics = c.Raw
		if err := j.Sequence(stream.SequenceJobConfig{Schemas: schemas, Kinds: plan.Kinds()}); err != nil {
			return err
		}
		return j.Run(ctx)
	}
	j.Single = c.Single
	for topic := range c.Kinds {
		j.Topics = append(j.Topics, topic)
	}
	cfg := stream.FeaturesConfig{Plan: plan, Feeds: feeds, Schemas: schemas, Partitions: testPartitions, Kinds: c.Kinds, MaxWaiting: 30, From: market.NoTime, Ledger: testLedger, Build: "test"}
	if c.Set != nil {
		cfg.Stream, cfg.Views = c.Name, c.Set
	}
	if err := j.Features(cfg); err != nil {
		return err
	}
	j.Break(c.Broken)
	return j.Run(ctx)
}

// smallBarsOf are the sizes of smallBars for some views.
func smallBarsOf(views []string) map[string]string {
	set := map[string]string{}
	for key, v := range smallBars {
		view, _, _ := strings.Cut(key, ".")
		for _, name := range views {
			if name == view {
				set[key] = v
			}
		}
	}
	return set
}

// process is a worker that runs.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

func (c *child) start(t *testing.T) *process {
	t.Helper()
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.OpenFile(filepath.Join(c.Dir, "..", "worker-"+c.Slot+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0]) //nolint:gosec // this test's own program
	cmd.Env = append(os.Environ(), childEnv+"="+string(text))
	cmd.Stderr, cmd.Stdout = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{cmd, make(chan struct{})}
	go func() {
		_ = cmd.Wait()
		_ = log.Close()
		close(p.done)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		p.wait()
	})
	return p
}

func (p *process) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Error(err)
	}
}

func (p *process) wait() { <-p.done }

func kills() int {
	if n, err := strconv.Atoi(os.Getenv("TIDEMARK_TEST_KILLS")); err == nil {
		return n
	}
	return 6
}

// Workers of both jobs that are killed at any moment, or stopped until others have their place and woken
// then, write each row once, and the right ones.
func TestJob_SurvivesKillsAndZombies(t *testing.T) {
	if testing.Short() {
		t.Skip("kills processes for some seconds")
	}
	eachBroker(t, func(t *testing.T, b servers) {
		c := newChaos(t, b)
		c.raw, c.child.Single = c.rawTopics(t), true // partitions do not all end at the same time
		if diff := c.run(t, kills()); diff != "" {
			t.Errorf("rows (-engine +topics)\n%.4000s", diff)
		}
		c.account(t.Context(), t)
	})
}

// The test above finds what is wrong when a guarantee is taken away.
func TestJob_KillsFindWhatIsBroken(t *testing.T) {
	if testing.Short() {
		t.Skip("kills processes for some seconds")
	}
	for name, b := range map[string]stream.Broken{"no transaction": stream.NoTransaction, "no replay": stream.NoReplay, "no drop": stream.NoDrop} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for range 4 { // kills may miss the moment that matters
				c := newChaos(t, startBroker(t))
				if c.broken = b; c.run(t, 10) != "" {
					return
				}
			}
			t.Error("nothing was found")
		})
	}
}

// chaos is a keyed features job whose workers are killed.
type chaos struct {
	*topicLog
	seed   uint64
	want   []string
	child  child
	broken stream.Broken
	raw    []string // with a sequence job, whose workers are the last two
	slots  []*process
}

func newChaos(t *testing.T, b servers) *chaos {
	t.Helper()
	feeds := market.NewFeeds()
	var views []string
	for _, v := range shippedSet(t).Views {
		if stream.Keyed(v) {
			views = append(views, v.Name)
		}
	}
	keyed, _, err := run.Check(views, smallBarsOf(views))
	if err != nil {
		t.Fatal(err)
	}
	plan, err := features.CompileSet(keyed, features.Options{Feeds: feeds, Find: specs.Find})
	if err != nil {
		t.Fatal(err)
	}
	c := &chaos{seed: uint64(time.Now().UnixNano())}
	t.Logf("seed %d", c.seed)
	l, want := wantRows(t, rand.New(rand.NewPCG(c.seed, 7)), feeds, plan)
	c.want = want
	c.topicLog = newTopicLog(t, b, l, plan, feeds)
	dir := filepath.Join(t.TempDir(), "state")
	if err := os.Mkdir(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	c.child = child{Addr: b.addr, Registry: b.registry, Name: "keyed-" + strconv.FormatUint(c.seed, 36), Dir: dir, Kinds: c.kinds, Views: views}
	return c
}

func (c *chaos) start(t *testing.T, slot int) {
	t.Helper()
	child := c.child
	child.Slot, child.Broken = strconv.Itoa(slot), c.broken
	child.SnapshotEvery = []time.Duration{100 * time.Millisecond, 2 * time.Second}[slot%2]
	if c.broken != 0 {
		child.SnapshotEvery = 3 * time.Second // so that there is something to replay
	}
	if slot >= 2 {
		child.Name, child.Raw = child.Name+"-raw", c.raw
	}
	c.slots[slot] = child.start(t)
}

// run kills workers while the log is written, and returns how the rows differ in the end.
func (c *chaos) run(t *testing.T, kills int) string {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() && c.broken == 0 {
			for i := range c.slots {
				text, _ := os.ReadFile(filepath.Join(c.child.Dir, "..", fmt.Sprintf("worker-%d.log", i)))
				t.Logf("worker %d:\n%s", i, text)
			}
		}
	})
	entries, write := 0, c.write
	for _, p := range c.log.parts {
		if c.raw == nil {
			entries += len(p.entries)
		} else {
			entries += 1 + len(p.raw)/10
		}
	}
	c.slots = make([]*process, 2)
	if c.raw != nil {
		c.slots, write = make([]*process, 4), c.writeRaw
	}
	c.pace = time.Duration(kills) * 600 * time.Millisecond / time.Duration(entries)
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(180+3*kills)*time.Second)
	defer cancel()
	for i := range c.slots {
		c.start(t, i)
	}
	written := make(chan struct{})
	go func() {
		defer close(written)
		write(ctx, t, rand.New(rand.NewPCG(c.seed, 8)))
	}()
	r := rand.New(rand.NewPCG(c.seed, 9))
	type zombie struct {
		*process
		slot int
	}
	var zombies []zombie
	for n := range kills {
		time.Sleep(time.Duration(200+r.IntN(600)) * time.Millisecond)
		i := r.IntN(len(c.slots))
		switch n % 5 {
		case 4:
			c.slots[i].signal(t, syscall.SIGSTOP)
			zombies = append(zombies, zombie{c.slots[i], i})
		case 3:
			c.slots[i].signal(t, syscall.SIGTERM)
			c.slots[i].wait()
		default:
			c.slots[i].signal(t, syscall.SIGKILL)
			c.slots[i].wait()
		}
		c.start(t, i)
		if len(zombies) > 0 && r.IntN(3) == 0 {
			c.wake(t, zombies[0].process, zombies[0].slot)
			zombies = zombies[1:]
		}
	}
	<-written
	for _, z := range zombies {
		c.wake(t, z.process, z.slot)
	}
	got, order := c.waitRows(ctx, t, c.want)
	for _, w := range c.slots {
		w.signal(t, syscall.SIGTERM)
		w.wait()
		if code := w.cmd.ProcessState.ExitCode(); code != 0 && c.broken == 0 {
			t.Errorf("a worker that was asked to end left with %d", code)
		}
	}
	return order + cmp.Diff(c.want, got) + c.ledgerDiff(ctx, t)
}

// wake lets a stopped worker go on. Another has its slot, so it ends by itself; unless it
// was stopped before it had the slot: then it is the newer one, and the other ends.
func (c *chaos) wake(t *testing.T, p *process, slot int) {
	t.Helper()
	p.signal(t, syscall.SIGCONT)
	select {
	case <-p.done:
	case <-c.slots[slot].done:
		c.slots[slot] = p
	case <-time.After(30 * time.Second):
		t.Error("of two workers with one slot none ends")
		p.signal(t, syscall.SIGQUIT) // its log then has what it was doing
		p.wait()
	}
}
