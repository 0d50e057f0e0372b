package broker_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/stream/broker"
)

// TestMain runs the broker alone when a test asks for a process that it may kill.
func TestMain(m *testing.M) {
	dir := os.Getenv("TIDEMARK_TEST_BROKER_DIR")
	if dir == "" {
		os.Exit(m.Run())
	}
	b, err := broker.Start(dir, broker.Options{Warn: func(s string) { fmt.Fprintln(os.Stderr, s) }})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(b.Addr())
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	select {
	case <-term:
	case <-b.Failed():
	}
	if err := b.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func start(t *testing.T, dir string) *broker.Broker {
	t.Helper()
	b, err := broker.Start(dir, broker.Options{Warn: func(s string) { t.Error(s) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func client(t *testing.T, addr string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(addr), kgo.RecordPartitioner(kgo.ManualPartitioner())}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func createTopic(t *testing.T, addr, name string, partitions int32, configs map[string]*string) {
	t.Helper()
	r, err := kadm.NewClient(client(t, addr)).CreateTopic(context.Background(), partitions, 1, configs, name)
	if err = errors.Join(err, r.Err); err != nil {
		t.Fatal(err)
	}
}

// committed reads all values of some topics up to the last stable offset.
func committed(t *testing.T, addr string, topics []string, opts ...kgo.Opt) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	ends, err := kadm.NewClient(client(t, addr)).ListCommittedOffsets(ctx, topics...)
	if err != nil {
		t.Fatal(err)
	}
	from, left := map[string]map[int32]kgo.Offset{}, map[string]int64{}
	for topic, ps := range ends {
		from[topic] = map[int32]kgo.Offset{}
		for p, o := range ps {
			from[topic][p] = kgo.NewOffset().At(0)
			if o.Offset > 0 {
				left[fmt.Sprint(topic, p)] = o.Offset
			}
		}
	}
	cl := client(t, addr, append(opts, kgo.ConsumePartitions(from), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.FetchMaxWait(100*time.Millisecond))...)
	var values []string
	for len(left) > 0 {
		fs := cl.PollFetches(ctx)
		if err := fs.Err0(); err != nil {
			t.Fatalf("read to the end: %v, left %v", err, left)
		}
		fs.EachRecord(func(r *kgo.Record) {
			at := fmt.Sprint(r.Topic, r.Partition)
			if r.Offset+1 >= left[at] {
				delete(left, at)
			}
			if !r.Attrs.IsControl() {
				values = append(values, string(r.Value))
			}
		})
	}
	return values
}

func produce(t *testing.T, cl *kgo.Client, topic string, p int32, values ...string) {
	t.Helper()
	for _, v := range values {
		if err := cl.ProduceSync(context.Background(), &kgo.Record{Topic: topic, Partition: p, Value: []byte(v), Timestamp: time.UnixMilli(1)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

// Who reads committed records sees no aborted ones when the answers are as full as they may be.
func TestBroker_FullAnswersTellOfAbortedTransactions(t *testing.T) {
	b := start(t, t.TempDir())
	createTopic(t, b.Addr(), "t", 3, nil)
	cl := client(t, b.Addr(), kgo.TransactionalID("x"))
	for _, commit := range []kgo.TransactionEndTry{kgo.TryAbort, kgo.TryCommit, kgo.TryAbort} {
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for p := range int32(3) {
			produce(t, cl, "t", p, fmt.Sprint(bool(commit)), fmt.Sprint(bool(commit)))
		}
		if err := cl.EndTransaction(t.Context(), commit); err != nil {
			t.Fatal(err)
		}
	}
	for _, most := range []int32{1, 100, 300, 1000} {
		for _, v := range committed(t, b.Addr(), []string{"t"}, kgo.FetchMaxBytes(most)) {
			if v != "true" {
				t.Errorf("answers of %d bytes: an aborted record is read", most)
			}
		}
	}
}

// The same where partitions alone ask for more than an answer can hold, and have batches of which some are larger than the share of one.
func TestBroker_AnswersOfManyPartitionsTellOfAbortedTransactions(t *testing.T) {
	const partitions = 75
	b := start(t, t.TempDir())
	createTopic(t, b.Addr(), "t", partitions, nil)
	cl := client(t, b.Addr(), kgo.TransactionalID("x"), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerBatchMaxBytes(4<<20))
	long := strings.Repeat("x", 900<<10)
	for _, commit := range []kgo.TransactionEndTry{kgo.TryAbort, kgo.TryCommit} {
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for p := range int32(partitions) {
			values := []string{fmt.Sprint(bool(commit), p), long[:len(long)/2]}
			if p%10 == 0 {
				values[1] = long + long
			}
			produce(t, cl, "t", p, values...)
		}
		if err := cl.EndTransaction(t.Context(), commit); err != nil {
			t.Fatal(err)
		}
	}
	got := map[string]int{}
	for _, v := range committed(t, b.Addr(), []string{"t"}) {
		got[v[:min(len(v), 8)]]++
	}
	for p := range partitions {
		if n := got[fmt.Sprint(true, p)]; n != 1 {
			t.Errorf("partition %d: a committed record is read %d times", p, n)
		}
		if got[fmt.Sprint(false, p)] > 0 {
			t.Errorf("partition %d: an aborted record is read", p)
		}
	}
}

func TestBroker_RestartKeepsTopicsRecordsOffsetsAndSchemas(t *testing.T) {
	dir := t.TempDir()
	ctx := context.Background()
	b := start(t, dir)
	day := "86400000"
	createTopic(t, b.Addr(), "raw.spot.trade.kraken", 3, map[string]*string{"retention.ms": &day})
	produce(t, client(t, b.Addr()), "raw.spot.trade.kraken", 2, "a", "b")
	var offs kadm.Offsets
	offs.Add(kadm.Offset{Topic: "raw.spot.trade.kraken", Partition: 2, At: 1, LeaderEpoch: -1, Metadata: "m"})
	if err := kadm.NewClient(client(t, b.Addr())).CommitAllOffsets(ctx, "job", offs); err != nil {
		t.Fatal(err)
	}
	first := schemaIDs(t, b.RegistryURL(), "x", "y", "x")
	if first[0] != first[2] || first[0] == first[1] {
		t.Fatalf("ids %v", first)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "dirty")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a clean close leaves the dirty mark: %v", err)
	}

	b = start(t, dir)
	if got := committed(t, b.Addr(), []string{"raw.spot.trade.kraken"}); fmt.Sprint(got) != "[a b]" {
		t.Errorf("records %v", got)
	}
	got, err := kadm.NewClient(client(t, b.Addr())).FetchOffsets(ctx, "job")
	if err != nil {
		t.Fatal(err)
	}
	if o, _ := got.Lookup("raw.spot.trade.kraken", 2); o.At != 1 || o.Metadata != "m" {
		t.Errorf("offset %+v", o)
	}
	if again := schemaIDs(t, b.RegistryURL(), "y", "x", "z"); again[0] != first[1] || again[1] != first[0] || again[2] == first[0] || again[2] == first[1] {
		t.Errorf("ids were %v, are %v", first, again)
	}
}

// schemaIDs registers messages of these names and reads each back by its number.
func schemaIDs(t *testing.T, url string, names ...string) (ids []int) {
	t.Helper()
	cl, err := sr.NewClient(sr.URLs(url))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		text := "syntax = \"proto3\";\nmessage " + n + " { int64 t = 1; }\n"
		if r := cl.SetCompatibility(t.Context(), sr.SetCompatibility{Level: sr.CompatBackwardTransitive}, "tidemark."+n); r[0].Err != nil {
			t.Fatal(r[0].Err)
		}
		s, err := cl.CreateSchema(t.Context(), "tidemark."+n, sr.Schema{Schema: text, Type: sr.TypeProtobuf})
		if err != nil {
			t.Fatal(err)
		}
		back, err := cl.SchemaByID(t.Context(), s.ID)
		if err != nil || back.Schema != text || back.Type != sr.TypeProtobuf {
			t.Fatalf("schema %d: %+v %v", s.ID, back, err)
		}
		if level := cl.Compatibility(t.Context(), "tidemark."+n); level[0].Err != nil || level[0].Level != sr.CompatBackwardTransitive {
			t.Fatalf("level %+v", level)
		}
		ids = append(ids, s.ID)
	}
	return ids
}

func TestBroker_RefusesAFolderInUse(t *testing.T) {
	dir := t.TempDir()
	start(t, dir)
	_, err := broker.Start(dir, broker.Options{})
	if f := fault.From(err); err == nil || f.Code != "broker_held" || f.Exit != fault.ExitHeld {
		t.Errorf("%v", err)
	}
}

func TestBroker_ReadCommittedSeesCommittedTransactionsOnly(t *testing.T) {
	b := start(t, t.TempDir())
	createTopic(t, b.Addr(), "t", 2, nil)
	cl := client(t, b.Addr(), kgo.TransactionalID("one"))
	for i, end := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryCommit} {
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		produce(t, cl, "t", 0, fmt.Sprint("p0-", i))
		produce(t, cl, "t", 1, fmt.Sprint("p1-", i))
		if err := cl.EndTransaction(t.Context(), end); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[string]int{}
	for _, v := range committed(t, b.Addr(), []string{"t"}) {
		seen[v]++
	}
	if want := (map[string]int{"p0-0": 1, "p1-0": 1, "p0-2": 1, "p1-2": 1}); fmt.Sprint(seen) != fmt.Sprint(want) {
		t.Errorf("read %v, want %v", seen, want)
	}
}

// The two faults of B1, one after the other: a crash with an open transaction, then later
// commits of the same producer, then another crash.
func TestBroker_CrashWithAnOpenTransaction(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := spawn(t, dir)
	createTopic(t, p.addr, "t", 1, nil)
	var want []string
	for i := range 3 {
		cl := client(t, p.addr, kgo.TransactionalID("one"))
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		produce(t, cl, "t", 0, fmt.Sprint("good-", i))
		if err := cl.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
			t.Fatal(err)
		}
		want = append(want, fmt.Sprint("good-", i))
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		produce(t, cl, "t", 0, fmt.Sprint("open-", i))
		p.kill()
		cl.CloseAllowingRebalance()
		p = spawn(t, dir)
		if got := committed(t, p.addr, []string{"t"}); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("after crash %d: read %v, want %v", i+1, got, want)
		}
	}
}

// process is a broker that can be killed.
type process struct {
	addr string
	cmd  *exec.Cmd
	gone chan struct{} // closed when it has ended
}

func spawn(t *testing.T, dir string) *process {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.CommandContext(t.Context(), exe), gone: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), "TIDEMARK_TEST_BROKER_DIR="+dir)
	p.cmd.Stderr = os.Stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	from := bufio.NewReader(out)
	line, err := from.ReadString('\n')
	if err != nil {
		t.Fatalf("the broker did not start: %v", err)
	}
	go func() {
		_, _ = io.Copy(io.Discard, from)
		close(p.gone)
	}()
	p.addr = strings.TrimSpace(line)
	return p
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}
