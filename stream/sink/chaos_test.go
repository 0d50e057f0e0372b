package sink_test

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

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pinova-group/tidemark/lake"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run"
	"github.com/pinova-group/tidemark/stream/record"
	"github.com/pinova-group/tidemark/stream/sink"
)

// child is what a sink process of a test is told.
type child struct {
	Addr, Registry, Lake string
	Topics               []string
	IgnoreOffsets        bool
}

const childEnv = "TIDEMARK_TEST_SINK"

// TestMain runs a sink when a test asks for a process that it may kill.
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
	schemas, err := record.NewSchemas(c.Registry, nil)
	if err != nil {
		return err
	}
	feeds := market.NewFeeds()
	plan, _, err := run.Compile([]string{viewName}, nil, feeds)
	if err != nil {
		return err
	}
	l, err := lake.Open(ctx, lake.Config{Dir: c.Lake, Now: time.Now, Build: "test"})
	if err != nil {
		return err
	}
	s := sink.New(sink.Config{
		Lake: l, Options: []kgo.Opt{kgo.SeedBrokers(strings.Split(c.Addr, ",")...)}, Topics: c.Topics, Schemas: schemas, Feeds: feeds, Outputs: plan.Outputs(),
		CommitEvery: 30 * time.Millisecond, CommitRows: 200, Now: time.Now, Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if c.IgnoreOffsets {
		s.IgnoreOffsets()
	}
	return s.Run(ctx)
}

// process is a sink that runs.
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
	log, err := os.OpenFile(c.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
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
	t.Cleanup(func() { // whatever becomes of the test
		_ = cmd.Process.Kill()
		<-p.done
	})
	return p
}

func (c *child) log() string { return filepath.Join(filepath.Dir(c.Lake), "sink.log") }

func (p *process) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Error(err)
	}
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

func kills() int {
	if n, err := strconv.Atoi(os.Getenv("TIDEMARK_TEST_KILLS")); err == nil {
		return n
	}
	return 6
}

// A sink that is killed at any moment, or stopped until another has its tables and woken then, puts each
// committed record into its table once, and none of an aborted transaction.
func TestSink_SurvivesKillsAndZombies(t *testing.T) {
	if testing.Short() {
		t.Skip("kills processes for some seconds")
	}
	for name, start := range map[string]func(*testing.T) servers{"embedded": embedded, "kafka": realKafka} {
		t.Run(name, func(t *testing.T) {
			if d := chaos(t, start(t), kills(), false); d != "" {
				t.Error(d)
			}
		})
	}
}

// The test above finds what is wrong when the offsets are not in the tables.
func TestSink_KillsFindIgnoredOffsets(t *testing.T) {
	if testing.Short() {
		t.Skip("kills processes for some seconds")
	}
	if chaos(t, embedded(t), 3, true) == "" {
		t.Error("nothing was found")
	}
}

// chaos kills sinks while topics are written, and says how the tables differ in the end.
func chaos(t *testing.T, s servers, kills int, broken bool) string {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	w := newWorld(t, s, seed)
	c := &child{Addr: s.addr, Registry: s.registry, Lake: filepath.Join(t.TempDir(), "lake"), Topics: w.topics(), IgnoreOffsets: broken}
	t.Cleanup(func() {
		if t.Failed() {
			text, _ := os.ReadFile(c.log())
			t.Logf("%.30000s", text)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(120+3*kills)*time.Second)
	defer cancel()
	for range 5 { // the first transactions of a broker take long
		w.step(ctx, 60)
	}
	killed, written := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(written)
		for {
			w.step(ctx, 60)
			select {
			case <-killed:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	r := rand.New(rand.NewPCG(seed, 2))
	p := c.start(t)
	var zombie *process
	zombies := 0
	for n := range kills {
		for broken && !w.anyThere(t, c.Lake) && ctx.Err() == nil { // else there is nothing to double
			time.Sleep(50 * time.Millisecond)
		}
		time.Sleep(time.Duration(100+r.IntN(700)) * time.Millisecond)
		if n%5 == 3 {
			p.signal(t, syscall.SIGSTOP)
			zombie = p
		} else {
			p.signal(t, syscall.SIGKILL)
			<-p.done
		}
		p = c.start(t)
		if zombie == nil || n%5 != 4 && n != kills-1 {
			continue
		}
		// It wakes when another has taken its tables, or while it does: of the two one stays.
		time.Sleep(time.Duration(r.IntN(500)) * time.Millisecond)
		zombie.signal(t, syscall.SIGCONT)
		select {
		case <-zombie.done:
		case <-p.done:
			p = zombie
		case <-time.After(30 * time.Second):
			t.Error("of two sinks of one table none ends")
		}
		zombie, zombies = nil, zombies+1
	}
	close(killed)
	<-written
	l := openLake(t, c.Lake, nil)
	diff := "nothing"
	for diff != "" && ctx.Err() == nil {
		if p.ended() {
			return "the sink has ended"
		}
		diff = w.differ(t, l)
		if broken && ctx.Err() == nil && len(diff) > 0 && w.allThere(t, l) {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	time.Sleep(200 * time.Millisecond) // for one too many
	p.signal(t, syscall.SIGTERM)
	<-p.done
	if code := p.cmd.ProcessState.ExitCode(); code != 0 && !broken {
		t.Errorf("a sink that was asked to end left with %d", code)
	}
	rows := 0
	for _, keys := range w.want {
		rows += len(keys)
	}
	t.Logf("%d kills, %d zombies, %d rows", kills-zombies, zombies, rows)
	return w.differ(t, l)
}

// anyThere reports whether rows are in the lake.
func (w *world) anyThere(t *testing.T, dir string) bool {
	tab, err := openLake(t, dir, nil).Load(t.Context(), "processed.trade")
	if err != nil {
		return false
	}
	snaps, err := tab.Snapshots()
	return err == nil && len(snaps) > 0 && snaps[len(snaps)-1].Rows > 0
}

// allThere reports whether no row is missing.
func (w *world) allThere(t *testing.T, l *lake.Lake) bool {
	got := have(t, l)
	for table, keys := range w.want {
		for k := range keys {
			if got[table][k] == 0 {
				return false
			}
		}
	}
	return true
}
