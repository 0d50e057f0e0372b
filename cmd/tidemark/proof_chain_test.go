//go:build unix

package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/internal/exkafka"
	"github.com/pinova-group/tidemark/lake"
	"github.com/pinova-group/tidemark/lake/file"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/parity"
	"github.com/pinova-group/tidemark/run"
	"github.com/pinova-group/tidemark/stream/record"
	"github.com/pinova-group/tidemark/stream/topic"
)

// proof is everything from raw topics to the tables of a lake, each part a process of its own that
// may be killed: a broker, workers, a sink.
type proof struct {
	t                *testing.T
	dir              string
	broker, registry string
	own              string // address of the embedded broker
	kafka            bool   // a real one; the registry is an embedded broker's
	partitions       int
	inputs           []string // files of the events, one for each partition or line
	outputs          []features.Output
	files            map[string]string // of views that are not shipped
	procs            map[string]*proofProc
	zombies          []*proofProc
	idle             string
	named            bool       // the lake is one of the config
	opened           *lake.Lake // what lake gives, once it was asked for
	short            bool       // the events do not reach over the end of an hour
	tend             func()     // called while something is waited for
}

// proofProc is a process of the chain.
type proofProc struct {
	cmd  *exec.Cmd
	log  *os.File
	done chan struct{} // closed when it has ended
}

// proofRows are how often rows are there, by view and by the hash of their message, which has all bits that a consumer sees.
type proofRows map[string]map[parity.Hash]int

func newProof(t *testing.T, kafka bool, partitions int, sources, views string) *proof {
	t.Helper()
	c := &proof{t: t, dir: t.TempDir(), kafka: kafka, partitions: partitions, procs: map[string]*proofProc{}, idle: "3s"}
	t.Cleanup(func() {
		for _, z := range c.zombies {
			_ = z.cmd.Process.Kill()
			<-z.done
		}
		for name, p := range c.procs {
			_ = p.cmd.Process.Kill()
			<-p.done
			if t.Failed() {
				text, _ := os.ReadFile(filepath.Join(c.dir, name+".log"))
				t.Logf("%s:\n%s", name, text[max(0, len(text)-20000):])
			}
		}
	})
	for try := 0; ; try++ { // another program may take a port before the broker does
		c.own, c.registry = freeAddr(t), freeAddr(t)
		if c.own != c.registry && c.serves() {
			break
		}
		if try == 4 {
			t.Fatal("the broker does not serve")
		}
	}
	c.broker = c.own
	if kafka {
		c.broker = exkafka.Addr(t)
		emptyKafka(t.Context(), t, c.broker)
	}
	config := fmt.Sprintf(`
kafka: {brokers: ["%s"], registry: {url: "http://%s"}}
stream:
  partitions: %d
  sources: %s
  views: [%s]
  retention: {raw: forever, processed: forever, feature: forever, alert: forever}
`, strings.ReplaceAll(c.broker, ",", `", "`), c.registry, partitions, sources, views)
	if err := os.WriteFile(filepath.Join(c.dir, configFile), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	plan, _, err := run.Compile(strings.Split(views, ","), nil, market.NewFeeds())
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range plan.Outputs() {
		if !strings.Contains(o.Name, "(") {
			c.outputs = append(c.outputs, o)
		}
	}
	c.do("topics", "apply")
	return c
}

// startBroker starts the embedded broker and waits until it serves.
func (c *proof) startBroker() {
	c.t.Helper()
	if !c.serves() {
		c.t.Fatal("the broker does not serve")
	}
}

// serves starts the embedded broker and reports whether it serves.
func (c *proof) serves() bool {
	c.t.Helper()
	p := c.start("broker", "broker", "--dir", "broker", "--listen", c.own, "--registry-listen", c.registry)
	for range 600 {
		if !p.running() {
			return false
		}
		if conn, err := net.Dial("tcp", c.registry); err == nil {
			_ = conn.Close()
			return p.running()
		}
		time.Sleep(50 * time.Millisecond)
	}
	return false
}

func freeAddr(t *testing.T) string {
	t.Helper()
	for range 100 { // below those that connections and listeners without a port get
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 12_000+rand.IntN(18_000))); err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("no free port")
	return ""
}

// emptyKafka deletes what tests of before have left.
func emptyKafka(ctx context.Context, t *testing.T, addr string) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(addr, ",")...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		topics, err := adm.ListTopics(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if len(topics) == 0 {
			return
		}
		if _, err := adm.DeleteTopics(ctx, topics.Names()...); err != nil {
			t.Fatal(err)
		}
		time.Sleep(300 * time.Millisecond)
	}
}

// do runs a command to its end; brokers that have just begun to serve get some tries.
func (c *proof) do(args ...string) string {
	c.t.Helper()
	for try := 0; ; try++ {
		var out, errs bytes.Buffer
		cmd := tidemark(c.t.Context(), c.dir, args...)
		cmd.Stdout, cmd.Stderr = &out, &errs
		err := cmd.Run()
		if err == nil {
			return out.String()
		} else if try == 20 || args[0] != "topics" || c.t.Context().Err() != nil {
			c.t.Fatalf("tidemark %s: %v\n%s", strings.Join(args, " "), err, errs.Bytes())
		}
		time.Sleep(300 * time.Millisecond)
	}
}

// start runs a command in a process under a name, whose output is NAME.log.
func (c *proof) start(name string, args ...string) *proofProc {
	c.t.Helper()
	log, err := os.OpenFile(filepath.Join(c.dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		c.t.Fatal(err)
	}
	p := &proofProc{tidemark(context.Background(), c.dir, args...), log, make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := p.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait()
		_ = log.Close()
		close(p.done)
	}()
	c.procs[name] = p
	return p
}

func (c *proof) worker(slot int, more ...string) *proofProc {
	c.t.Helper()
	// Topics that nothing is played into have no marks but those of the job.
	args := []string{"stream", "--state", "state", "--slot", strconv.Itoa(slot), "--snapshot-every", "1s", "--idle-after", c.idle, "--name", c.group()}
	return c.start("worker"+strconv.Itoa(slot), append(args, more...)...)
}

// group is the name of the stream.
func (c *proof) group() string {
	return filepath.Base(c.dir) + strings.ReplaceAll(c.t.Name(), "/", "-")
}

func (c *proof) sink() *proofProc {
	c.t.Helper()
	return c.start("sink", "sink", "--lake", "lk", "--commit-every", "500ms")
}

// end tells a process to end and waits for it.
func (c *proof) end(name string) {
	c.t.Helper()
	p := c.procs[name]
	delete(c.procs, name)
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(time.Minute):
		c.t.Errorf("%s does not end", name)
		_ = p.cmd.Process.Kill()
		<-p.done
	}
	if code := p.cmd.ProcessState.ExitCode(); code > 0 { // -1: it had not come so far as to listen
		text, _ := os.ReadFile(filepath.Join(c.dir, name+".log"))
		c.t.Errorf("%s ends with %d\n%s", name, code, text[max(0, len(text)-3000):])
	}
}

// split writes the events of a file into one for each partition, as lines of their own: then tidemark run judges
// what is late as the partitions do, each by itself.
func (c *proof) split(name string) {
	c.t.Helper()
	files := make([]bytes.Buffer, c.partitions)
	for line := range strings.Lines(mustRead(c.t, filepath.Join(c.dir, name))) {
		var e struct{ Kind, Symbol string }
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			c.t.Fatal(err)
		}
		if e.Kind == "watermark" || e.Kind == "status" {
			for i := range files {
				files[i].WriteString(line)
			}
			continue
		}
		base, _, _ := strings.Cut(e.Symbol, "-")
		files[topic.Partition(base, c.partitions)].WriteString(line)
	}
	for i := range files {
		path := filepath.Join(c.dir, fmt.Sprintf("part-%d.jsonl", i))
		if err := os.WriteFile(path, files[i].Bytes(), 0o600); err != nil {
			c.t.Fatal(err)
		}
		c.inputs = append(c.inputs, path)
	}
}

// run gives the rows of all views as tidemark run computes them over inputs, below a time.
func (c *proof) run(inputs []string, corrected bool, below int64) (proofRows, *run.Report) {
	c.t.Helper()
	var names []string
	for _, o := range c.outputs {
		names = append(names, cmp.Or(c.files[o.Name], o.Name))
	}
	set, _, err := run.Check(names, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	cfg := run.DefaultConfig()
	cfg.Specs, cfg.Inputs, cfg.Corrected = names, inputs, corrected
	env := run.Env{Stdout: io.Discard, Warn: func(s string) { c.t.Log(s) }, Build: "test"}
	if strings.HasPrefix(inputs[0], "lake:") {
		env.Lake = c.lake()
	}
	rows, outs := proofRows{}, map[int]*record.RowEncoder{}
	plan, _, err := run.Compile(names, nil, market.NewFeeds())
	if err != nil {
		c.t.Fatal(err)
	}
	var buf []byte
	rep, err := run.Drive(c.t.Context(), cfg, env, set, func(task *features.Task, all *features.Rows) error {
		for v := range all.Views {
			o, w := &plan.Outputs()[v], &all.Views[v]
			if strings.Contains(o.Name, "(") {
				continue
			}
			if outs[v] == nil {
				if outs[v], err = record.NewRowEncoder(0, o); err != nil {
					return err
				}
				rows[o.Name] = map[parity.Hash]int{}
			}
			for i := range w.Len() {
				if w.RowTS[i] >= below {
					continue
				}
				buf = outs[v].AppendMessage(buf[:0], w, i, task.EntityNames(v, w.Entity[i]))
				rows[o.Name][parity.HashOf(buf)]++
			}
		}
		return nil
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return rows, rep
}

// topics gives the committed rows of the feature topics below a time, to a consumer that knows nothing of us but the frame.
func (c *proof) topics(below int64) proofRows {
	c.t.Helper()
	names, rows := map[string]*features.Output{}, proofRows{}
	for i := range c.outputs {
		o := &c.outputs[i]
		names[fmt.Sprintf("feature.%s.v%d", o.Name, o.Version)] = o
		rows[o.Name] = map[parity.Hash]int{}
	}
	for _, r := range committed(c.t, c.broker, slices.Collect(maps.Keys(names))) {
		if r.Timestamp.UnixMilli() < below/1000 { // record time is row_ts
			rows[names[r.Topic].Name][parity.HashOf(r.Value[6:])]++
		}
	}
	return rows
}

// committed are the records of topics.
func committed(t *testing.T, addr string, topics []string) (recs []*kgo.Record) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(addr, ",")...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	starts, err := kadm.NewClient(cl).ListStartOffsets(ctx, topics...)
	if err != nil {
		t.Fatal(err)
	}
	ends, err := kadm.NewClient(cl).ListCommittedOffsets(ctx, topics...)
	if err = errors.Join(err, starts.Error(), ends.Error()); err != nil {
		t.Fatal(err)
	}
	type place struct {
		topic string
		at    int32
	}
	from, left := map[string]map[int32]kgo.Offset{}, map[place]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if from[o.Topic] == nil {
			from[o.Topic] = map[int32]kgo.Offset{}
		}
		if first, _ := starts.Lookup(o.Topic, o.Partition); first.Offset < o.Offset {
			from[o.Topic][o.Partition], left[place{o.Topic, o.Partition}] = kgo.NewOffset().At(first.Offset), o.Offset
		}
	})
	reader, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(addr, ",")...), kgo.ConsumePartitions(from), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	for len(left) > 0 {
		fs := reader.PollFetches(ctx)
		if err := fs.Err0(); err != nil {
			t.Fatalf("topics are not read to their ends: %v; left: %v", err, left)
		}
		fs.EachRecord(func(r *kgo.Record) {
			at := place{r.Topic, r.Partition}
			if r.Offset+1 >= left[at] {
				delete(left, at)
			}
			if !r.Attrs.IsControl() {
				recs = append(recs, r)
			}
		})
	}
	return recs
}

// lake opens the lake, that of the folder or of the config, once: each has connections of its own to the catalog.
func (c *proof) lake() *lake.Lake {
	c.t.Helper()
	if c.opened != nil {
		return c.opened
	}
	name := "lk"
	if !c.named {
		name = filepath.Join(c.dir, name)
	}
	a := &app{config: filepath.Join(c.dir, configFile), now: time.Now}
	l, _, err := a.openLake(c.t.Context(), name, false)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = l.Close() })
	c.opened = l
	return l
}

// onServers puts the lake on the real PostgreSQL and S3.
func (c *proof) onServers() {
	c.t.Helper()
	path := filepath.Join(c.dir, configFile)
	text := mustRead(c.t, path) + strings.Replace(fmt.Sprintf(demoLake, "postgres", freshDatabase(c.t), s3Env(c.t)), "  demo:", "  lk:", 1)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
	c.named = true
}

// tables gives the rows of the feature tables below a time.
func (c *proof) tables(below int64) proofRows {
	c.t.Helper()
	l, rows := c.lake(), proofRows{}
	for i := range c.outputs {
		o := &c.outputs[i]
		rows[o.Name] = map[parity.Hash]int{}
		tab, err := l.Load(c.t.Context(), run.FeatureTable(o))
		if err != nil {
			c.t.Fatal(err)
		}
		cols, err := tab.Columns()
		if err != nil {
			c.t.Fatal(err)
		}
		enc, err := tab.NewRowEncoder(cols)
		if err != nil {
			c.t.Fatal(err)
		}
		files, err := tab.Files(c.t.Context(), 0)
		if err != nil {
			c.t.Fatal(err)
		}
		var buf []byte
		for _, f := range files {
			if err := tab.ReadFile(c.t.Context(), f, func(b *file.Batch) error {
				for i := range b.N {
					if enc.RowTS(b, i) < below {
						buf = enc.AppendMessage(buf[:0], b, i)
						rows[o.Name][parity.HashOf(buf)]++
					}
				}
				return nil
			}); err != nil {
				c.t.Fatal(err)
			}
		}
	}
	return rows
}

// sum is the number of rows, but of the views that are left out.
func (r proofRows) sum(without ...string) (n int) {
	for view, rows := range r {
		if slices.Contains(without, view) {
			continue
		}
		for _, k := range rows {
			n += k
		}
	}
	return n
}

// differ says which views have other rows than wanted, and how many; views that are left out are not compared.
func (r proofRows) differ(want proofRows, without ...string) string {
	var out strings.Builder
	for _, view := range slices.Sorted(maps.Keys(want)) {
		if slices.Contains(without, view) {
			continue
		}
		var lost, doubled, foreign int
		for h, n := range want[view] {
			lost += max(0, n-r[view][h])
			doubled += max(0, r[view][h]-n)
		}
		for h, n := range r[view] {
			if want[view][h] == 0 {
				foreign += n
			}
		}
		if lost+doubled+foreign > 0 {
			fmt.Fprintf(&out, "%s: of %d rows %d are lost, %d there too often, %d others\n", view, len(want[view]), lost, doubled, foreign)
		}
	}
	return out.String()
}

// settle waits until the topics have as many rows as wanted, or no more come.
func (c *proof) settle(want proofRows, below int64, aside ...string) proofRows {
	c.t.Helper()
	most, since := -1, time.Now()
	for {
		if c.tend != nil {
			c.tend()
		}
		got := c.topics(below)
		if n := got.sum(aside...); n > most {
			most, since = n, time.Now()
		}
		if most >= want.sum(aside...) || time.Since(since) > 30*time.Second {
			return got
		}
		time.Sleep(300 * time.Millisecond)
	}
}
