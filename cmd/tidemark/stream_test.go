package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bufbuild/protocompile"
	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/sr"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"

	"github.com/pinova-group/tidemark/internal/exenv"
	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/stream/broker"
)

const streamConfig = `
kafka:
  brokers: ["%s"]
  registry: {url: "%s"}
stream:
  partitions: 3
  sources:
    - {market: spot, exchange: alpha, kinds: [trade, quote, orderbook, instrument]}
    - {market: perp, exchange: alpha, kinds: [trade, quote, orderbook, instrument, funding]}
  views: [trade_bars_1s, book_1s, btc_bars_1s, basis_1s]
  retention: {raw: forever, processed: forever, feature: forever, alert: forever}
`

// cli runs a command to its end.
func cli(t *testing.T, want int, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	a := &app{color: "never", in: strings.NewReader(""), out: &out, err: &errs, now: time.Now}
	if code := a.execute(t.Context(), args); code != want {
		t.Fatalf("tidemark %s: exit %d\n%s", strings.Join(args, " "), code, errs.String())
	}
	return out.String()
}

// safeBuffer is a buffer that is written while it is read.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// startStream runs tidemark stream until stop, which returns the exit code and standard error.
func startStream(t *testing.T, args ...string) (stop func() (int, string)) {
	t.Helper()
	var errs safeBuffer
	ctx, cancel := context.WithCancelCause(t.Context())
	code := make(chan int, 1)
	go func() {
		a := &app{color: "never", in: strings.NewReader(""), out: io.Discard, err: &errs, now: time.Now}
		code <- a.execute(ctx, append([]string{"stream"}, args...))
	}()
	return func() (int, string) {
		cancel(errInterrupted)
		return <-code, errs.String()
	}
}

// Told to end while it waits for a broker that does not answer, a job ends well.
func TestStream_ToldToEndWhileItStarts(t *testing.T) {
	for _, command := range [][]string{{"stream", "--state", t.TempDir()}, {"sink", "--lake", t.TempDir()}} {
		t.Run(command[0], func(t *testing.T) {
			mute, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = mute.Close() }()
			config := filepath.Join(t.TempDir(), "tidemark.yaml")
			if err := os.WriteFile(config, fmt.Appendf(nil, streamConfig, mute.Addr(), "http://"+mute.Addr().String()), 0o600); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(50*time.Millisecond, func() { cancel(errInterrupted) })
			var errs safeBuffer
			a := &app{color: "never", in: strings.NewReader(""), out: io.Discard, err: &errs, now: time.Now}
			if code := a.execute(ctx, append(command, "--config", config)); code != fault.ExitDone {
				t.Errorf("exit %d: %s", code, errs.String())
			}
		})
	}
}

// Rows that come out of the topics are those of tidemark run over the same file, but for
// the windows that the end of a file closes; also when the stream is stopped and started in
// between.
func TestStream_RowsAreThoseOfRun(t *testing.T) { rowsAreThoseOfRun(t, "", "") }

// The same with a schema registry that is not ours, which the config names.
func TestStream_RegistryOfOthers(t *testing.T) {
	rowsAreThoseOfRun(t, exenv.Get(t, "TIDEMARK_TEST_REGISTRY"), "")
}

// The same when all comes at once and a job may hold next to nothing: it lags, and nothing is lost.
func TestStream_MoreThanItCanDo(t *testing.T) {
	rowsAreThoseOfRun(t, "", "limits: {cycle_records: 100, waiting_rows: 50, fetch_bytes: 64KiB}\n")
}

// rowsAreThoseOfRun uses a registry, the broker's own with "", and more of a config.
func rowsAreThoseOfRun(t *testing.T, registry, more string) {
	t.Helper()
	dir := t.TempDir()
	b, err := broker.Start(filepath.Join(dir, "broker"), broker.Options{Warn: func(s string) { t.Error(s) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	config := filepath.Join(dir, "tidemark.yaml")
	foreign := registry != ""
	if !foreign {
		registry = b.RegistryURL()
	}
	if err := os.WriteFile(config, fmt.Appendf(nil, streamConfig+more, b.Addr(), registry), 0o600); err != nil {
		t.Fatal(err)
	}
	events := filepath.Join(dir, "events.jsonl")
	cli(t, fault.ExitDone, "simulate", "-o", events, "--events", "20000", "--venues", "alpha", "--disorder", "100ms", "--duplicates", "1%", "--late", "0.5%", "--gaps", "0.05%")
	state := []string{"--config", config, "--state", filepath.Join(dir, "state"), "--snapshot-every", "200ms"}
	var without bytes.Buffer
	a := &app{color: "never", in: strings.NewReader(""), out: io.Discard, err: &without, now: time.Now}
	if code, text := a.execute(t.Context(), append([]string{"stream"}, state...)), without.String(); code != fault.ExitUsage || !strings.Contains(text, "tidemark topics apply") {
		t.Errorf("a stream without topics: exit %d: %s", code, text)
	}
	cli(t, fault.ExitDone, "topics", "apply", "--config", config)
	status := freeAddr(t)
	stop := startStream(t, append(state, "--status", status)...)
	ready(t, "http://"+status+"/readyz")
	cli(t, fault.ExitDone, "play", "--config", config, "--input", events, "--progress", "none")
	if code, text := stop(); code != fault.ExitDone {
		t.Fatalf("exit %d: %s", code, text)
	}
	stop = startStream(t, append(state, "--status", status)...)
	defer stop()
	ready(t, "http://"+status+"/readyz")
	for _, view := range []string{"trade_bars_1s", "book_1s", "btc_bars_1s", "basis_1s"} {
		rows := filepath.Join(dir, view+".jsonl")
		cli(t, fault.ExitDone, "run", "--spec", view, "--input", events, "-o", rows, "--progress", "none")
		want := jsonLines(t, mustRead(t, rows), "")
		want = slices.DeleteFunc(want, func(s string) bool { return strings.Contains(s, "partial") })
		var got []string
		for range 100 {
			got = jsonLines(t, cli(t, fault.ExitDone, "topics", "tail", "feature."+view+".v1", "--config", config, "--json"), "row")
			if len(got) >= len(want) {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
		if len(want) == 0 {
			t.Errorf("%s: no rows", view)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-run +topics)\n%.3000s", view, diff)
		}
	}
	if foreign { // nobody has asked the broker's own
		cl, err := sr.NewClient(sr.URLs(b.RegistryURL()))
		if err != nil {
			t.Fatal(err)
		}
		if names, err := cl.Subjects(t.Context()); err != nil || len(names) > 0 {
			t.Errorf("the broker's registry has %v: %v", names, err)
		}
		return
	}
	if more != "" {
		return
	}
	t.Run("python", func(t *testing.T) { consumePython(t, dir, b.Addr()) })
	t.Run("go", func(t *testing.T) { consumeGo(t, dir, b.Addr()) })
}

// consumePython runs the consumer of docs/how-to/consume-rows.md over the rows of trade_bars_1s.
func consumePython(t *testing.T, dir, addr string) {
	t.Helper()
	python := exenv.Get(t, "TIDEMARK_ORACLE_PYTHON")
	_, text, ok := strings.Cut(mustRead(t, "../../docs/how-to/consume-rows.md"), "```python consume.py\n")
	text, _, ok2 := strings.Cut(text, "```")
	if !ok || !ok2 {
		t.Fatal("the page has no consume.py")
	}
	for name, text := range map[string]string{"consume.py": text, "rows.proto": cli(t, fault.ExitDone, "spec", "proto", "trade_bars_1s")} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	command := func(args ...string) string {
		cmd := exec.CommandContext(t.Context(), python, args...) //nolint:gosec // the test's own command
		cmd.Dir = dir
		out, err := cmd.Output()
		if err != nil {
			var stderr []byte
			if exit, ok := errors.AsType[*exec.ExitError](err); ok {
				stderr = exit.Stderr
			}
			t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, stderr)
		}
		return string(out)
	}
	command("-m", "grpc_tools.protoc", "-I", ".", "--python_out=.", "rows.proto")
	checkConsumed(t, dir, command("consume.py", addr))
}

// checkConsumed compares what a consumer printed with the rows of trade_bars_1s that tidemark run wrote.
func checkConsumed(t *testing.T, dir, printed string) {
	t.Helper()
	got := jsonLines(t, printed, "")
	var want []string
	for line := range strings.Lines(mustRead(t, filepath.Join(dir, "trade_bars_1s.jsonl"))) {
		var row struct {
			Symbol string `json:"symbol"`
			RowTS  int64  `json:"row_ts"`
			Flags  string `json:"flags"`
			Close  any    `json:"close"`
			Trades int64  `json:"trades"`
		}
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(row.Flags, "partial") {
			continue
		}
		one, err := json.Marshal(map[string]any{"symbol": row.Symbol, "row_ts": row.RowTS, "close": row.Close, "trades": row.Trades})
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, string(one))
	}
	for i := range got {
		var v map[string]any
		if err := json.Unmarshal([]byte(got[i]), &v); err != nil {
			t.Fatal(err)
		}
		v["row_ts"], v["trades"] = int64(v["row_ts"].(float64)), int64(v["trades"].(float64))
		one, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		got[i] = string(one)
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rows (-run +consumer)\n%.2000s", diff)
	}
}

// consumeGo runs the other consumer of the page, in a package of this module.
func consumeGo(t *testing.T, dir, addr string) {
	t.Helper()
	_, text, ok := strings.Cut(mustRead(t, "../../docs/how-to/consume-rows.md"), "```go consume.go\n")
	text, _, ok2 := strings.Cut(text, "```")
	if !ok || !ok2 {
		t.Fatal("the page has no consume.go")
	}
	pkg := filepath.Join("testdata", fmt.Sprintf("consume%d", os.Getpid())) // in the module, and in no list of its packages
	t.Cleanup(func() { _ = os.RemoveAll(pkg) })
	path := "github.com/pinova-group/tidemark/cmd/tidemark/" + filepath.ToSlash(pkg) + "/rowspb"
	if err := os.MkdirAll(filepath.Join(pkg, "rowspb"), 0o750); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"consume.go":        strings.Replace(text, "example.org/consume/rowspb", path, 1),
		"rowspb/rows.pb.go": protocGenGo(t, cli(t, fault.ExitDone, "spec", "proto", "trade_bars_1s"), path),
	} {
		if err := os.WriteFile(filepath.Join(pkg, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	program := filepath.Join(dir, "consume")
	for _, args := range [][]string{{"go", "vet", "./" + pkg}, {"go", "build", "-o", program, "./" + pkg}} {
		if out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput(); err != nil { //nolint:gosec // the test's own command
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	out, err := exec.CommandContext(t.Context(), program, addr).Output() //nolint:gosec // the test's own program
	if err != nil {
		t.Fatal(err)
	}
	checkConsumed(t, dir, string(out))
}

// protocGenGo compiles a .proto file with the generator of the Protobuf module.
func protocGenGo(t *testing.T, text, path string) string {
	t.Helper()
	c := protocompile.Compiler{Resolver: &protocompile.SourceResolver{Accessor: protocompile.SourceAccessorFromMap(map[string]string{"rows.proto": text})}}
	files, err := c.Compile(t.Context(), "rows.proto")
	if err != nil {
		t.Fatal(err)
	}
	file := protodesc.ToFileDescriptorProto(files[0])
	req, err := proto.Marshal(&pluginpb.CodeGeneratorRequest{FileToGenerate: []string{"rows.proto"}, Parameter: new("Mrows.proto=" + path), ProtoFile: []*descriptorpb.FileDescriptorProto{file}})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "run", "google.golang.org/protobuf/cmd/protoc-gen-go")
	cmd.Stdin = bytes.NewReader(req)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var resp pluginpb.CodeGeneratorResponse
	if err := proto.Unmarshal(out, &resp); err != nil || resp.Error != nil || len(resp.File) != 1 {
		t.Fatalf("%v, %s", err, resp.GetError())
	}
	return resp.File[0].GetContent()
}

func mustRead(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// jsonLines are JSON lines, or a field of each, sorted, as canonical texts.
func jsonLines(t *testing.T, text, field string) []string {
	t.Helper()
	var out []string
	for line := range strings.Lines(text) {
		d := json.NewDecoder(strings.NewReader(line))
		d.UseNumber()
		var v map[string]any
		if err := d.Decode(&v); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		var one any = v
		if field != "" {
			one = v[field]
		}
		b, err := json.Marshal(one)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(b))
	}
	slices.Sort(out)
	return out
}

// ready waits until an address says that all is well.
func ready(t *testing.T, url string) {
	t.Helper()
	for range 200 {
		resp, err := http.Get(url) //nolint:gosec // the test's own address
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Error(url + " does not get ready")
}

func TestStream_Mistakes(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "--state"},
		{[]string{"--state", "x", "--jobs", "sequnce"}, "sequence"},
		{[]string{"--state", "x"}, "--brokers"},
		{[]string{"--state", "x", "--brokers", "127.0.0.1:1"}, "127.0.0.1:1"},
		{[]string{"--state", "x", "--brokers", "127.0.0.1:1", "--snapshot-every", "-1s"}, "--snapshot-every"},
		{[]string{"--state", "x", "--config", "times.yaml"}, "times.yaml:2:31: limits.snapshot_every: \"soon\""},
		{[]string{"--state", "x", "--config", "times.yaml"}, "limits.idle_after: \"-5s\""},
	} {
		t.Chdir(t.TempDir())
		if err := os.WriteFile("times.yaml", []byte("kafka: {brokers: [\"127.0.0.1:1\"]}\nlimits:  {  snapshot_every:   soon, idle_after: -5s}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		var errs bytes.Buffer
		a := &app{color: "never", in: strings.NewReader(""), out: io.Discard, err: &errs, now: time.Now}
		if code := a.execute(t.Context(), append([]string{"stream"}, c.args...)); code == fault.ExitDone || !strings.Contains(errs.String(), c.want) {
			t.Errorf("%v: exit %d: %s", c.args, code, errs.String())
		}
	}
}

// A flag counts before the config, and that before the default.
func TestStream_Times(t *testing.T) {
	never, second := time.Duration(0), duration(time.Second)
	for _, c := range []struct {
		options        streamOptions
		limits         limitsConfig
		snapshot, idle time.Duration
	}{
		{idle: 5 * time.Second}, // snapshots as the job has it
		{limits: limitsConfig{SnapshotEvery: second, IdleAfter: &second}, snapshot: time.Second, idle: time.Second},
		{limits: limitsConfig{IdleAfter: new(duration)}},
		{
			options: streamOptions{snapshotEvery: time.Minute, idleAfter: &never}, limits: limitsConfig{SnapshotEvery: second, IdleAfter: &second},
			snapshot: time.Minute,
		},
	} {
		if snapshot, idle := c.options.times(&c.limits); snapshot != c.snapshot || idle != c.idle {
			t.Errorf("%+v and %+v: %v, %v", c.options, c.limits, snapshot, idle)
		}
	}
}

// The messages of a view's alerts are printed like those of its rows.
func TestSpecProto_Alerts(t *testing.T) {
	if text := cli(t, fault.ExitDone, "spec", "proto", "hot_instruments", "--alerts"); !strings.Contains(text, "package tidemark.view.hot_instruments.alerts.v1;") {
		t.Error(text)
	}
	refused(t, "alerts_none", "spec", "proto", "vwap_5m", "--alerts", "--json")
	refused(t, "flags_conflict", "spec", "proto", "--kinds", "--alerts", "--json")
}
