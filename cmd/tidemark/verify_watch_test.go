package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pinova-group/tidemark/backfill/verify"
	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/lake/file"
	"github.com/pinova-group/tidemark/stream/broker"
)

// What the stream wrote into its topics is held to history without any table of rows: it is in order, a row that is doubled or
// gone behind the ledger's back is found, and hours that reach beyond what the tasks say are not sealed.
func TestVerify_Broker(t *testing.T) {
	dir := t.TempDir()
	b, err := broker.Start(filepath.Join(dir, "broker"), broker.Options{Warn: func(s string) { t.Error(s) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	config := filepath.Join(dir, "tidemark.yaml")
	text := strings.Replace(fmt.Sprintf(streamConfig, b.Addr(), b.RegistryURL()), "[trade_bars_1s, book_1s, btc_bars_1s, basis_1s]", "[trade_bars_1m, breadth_1m]", 1)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cli(t, fault.ExitDone, "topics", "apply", "--config", config)
	events, lk := filepath.Join(dir, "events.jsonl"), filepath.Join(dir, "lake")
	cli(t, fault.ExitDone, "simulate", "-o", events, "--events", "32000", "--rate", "4", "--venues", "alpha", "--disorder", "100ms", "--late", "0.5%", "--kinds", "trade,quote,instrument")
	stop := startStream(t, "--config", config, "--state", filepath.Join(dir, "state"), "--snapshot-every", "200ms")
	cli(t, fault.ExitDone, "play", "--config", config, "--input", events, "--progress", "none")
	check := func(want int) *verify.Report {
		t.Helper()
		r := &verify.Report{}
		if err := json.Unmarshal([]byte(cli(t, want, "verify", "trade_bars_1m", "breadth_1m", "--config", config, "--lake", lk, "--broker", "--json")), r); err != nil {
			t.Fatal(err)
		}
		return r
	}
	sealed := func(r *verify.Report) (n int) {
		for _, h := range r.Hours {
			if h.Verdict == verify.Equal || h.Verdict == verify.Late {
				n++
			}
		}
		return n
	}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		cli(t, fault.ExitDone, "sink", "--config", config, "--lake", lk, "--until-caught-up", "--tables", "processed.trade,processed.quote,processed.instrument")
		var out, errs bytes.Buffer
		a := &app{color: "never", in: strings.NewReader(""), out: &out, err: &errs, now: time.Now}
		r := &verify.Report{}
		if a.execute(t.Context(), []string{"verify", "trade_bars_1m", "breadth_1m", "--config", config, "--lake", lk, "--broker", "--json"}) != fault.ExitDone {
			if time.Now().After(end) || !strings.Contains(errs.String(), "no hour") { // nothing is there yet
				t.Fatal(errs.String())
			}
			continue
		}
		if err := json.Unmarshal(out.Bytes(), r); err != nil {
			t.Fatal(err)
		}
		if sealed(r) >= 4 { // two hours of two views
			h := r.Hours[0]
			if h.Stream == nil || *h.Stream != h.Rows || h.Rows == 0 || r.Hours[len(r.Hours)-1].Verdict != verify.NotSealed {
				t.Errorf("%+v", r)
			}
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%+v", r)
		}
	}
	if code, text := stop(); code != fault.ExitDone {
		t.Fatalf("exit %d: %s", code, text)
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addr()), kgo.ConsumeTopics("feature.trade_bars_1m.v1"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	var one *kgo.Record
	for one == nil {
		cl.PollFetches(t.Context()).EachRecord(func(r *kgo.Record) {
			if r.Timestamp.Before(time.Date(2026, 1, 5, 0, 30, 0, 0, time.UTC)) {
				one = r
			}
		})
	}
	if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: one.Topic, Partition: one.Partition, Key: one.Key, Value: one.Value, Headers: one.Headers, Timestamp: one.Timestamp}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	r := check(fault.ExitDifference)
	if h := r.Hours[0]; h.Verdict != verify.Different || h.Faults != 1 || h.First[0].What != "doubled" || !strings.Contains(h.Why, "1 rows of the topic") || sealed(r) != 3 {
		t.Errorf("%+v", r)
	}
}

// Random hours are looked at until it is told to end; what is found is on the metrics, in the summary and
// in the exit code.
func TestVerify_Continuous(t *testing.T) {
	dir := t.TempDir()
	events, lk := filepath.Join(dir, "events.jsonl"), filepath.Join(dir, "lake")
	cli(t, fault.ExitDone, "simulate", "-o", events, "--events", "9000", "--rate", "1", "--venues", "alpha", "--disorder", "100ms", "--late", "1%", "--kinds", "trade")
	cli(t, fault.ExitDone, "lake", "import", "--lake", lk, "--input", events, "--progress", "none")
	cli(t, fault.ExitDone, "run", "--spec", "trade_bars_1m", "--input", "lake:", "--lake", lk, "-o", "lake:", "--progress", "none")
	watch := func(want, checks int, addr string) (text, metrics string) {
		t.Helper()
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		var out, errs safeBuffer
		code := make(chan int)
		go func() {
			a := &app{color: "never", in: strings.NewReader(""), out: &out, err: &errs, now: time.Now}
			code <- a.execute(ctx, []string{"verify", "trade_bars_1m", "--lake", lk, "--continuous", "--every", "10ms", "--seed", "7", "--status", addr})
		}()
		for end := time.Now().Add(30 * time.Second); strings.Count(errs.String(), "looked at")+strings.Count(errs.String(), "msg=fault") < checks; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal(errs.String())
			}
		}
		resp, err := http.Get("http://" + addr + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		cancel(errInterrupted)
		if c := <-code; c != want {
			t.Errorf("exit %d, want %d\n%s%s", c, want, out.String(), errs.String())
		}
		return out.String(), string(body)
	}
	text, metrics := watch(fault.ExitDone, 20, "127.0.0.1:39471")
	if !regexp.MustCompile(`\d+ checks of 3 hours: \d equal, \d served as they should be with late events, 0 missing, 0 different; 0 could not be made\n$`).MatchString(text) {
		t.Error(text)
	}
	if !strings.Contains(metrics, `tidemark_parity_ok_ratio{view="trade_bars_1m.v1"} 1`) {
		t.Error(metrics)
	}
	plant(t, lk, "feature.trade_bars_1m_v1", func(b *file.Batch, _ []file.Column) []int32 { return allRows(b.N)[1:] })
	text, metrics = watch(fault.ExitDifference, 20, "127.0.0.1:39472")
	if !strings.Contains(text, "lost: ") || !strings.Contains(text, "1 different") {
		t.Error(text)
	}
	if !strings.Contains(metrics, `tidemark_parity_ok_ratio{view="trade_bars_1m.v1"} 0.66`) || !strings.Contains(metrics, `tidemark_parity_hours{verdict="different",view="trade_bars_1m.v1"} 1`) {
		t.Error(metrics)
	}
}

// What late events would change is told by column: the numbers are those of the rows themselves.
func TestVerify_EffectByColumn(t *testing.T) {
	dir := t.TempDir()
	events, lk := filepath.Join(dir, "events.jsonl"), filepath.Join(dir, "lake")
	cli(t, fault.ExitDone, "simulate", "-o", events, "--events", "4000", "--rate", "4", "--venues", "alpha", "--late", "2%", "--kinds", "trade", "--seed", "3")
	cli(t, fault.ExitDone, "lake", "import", "--lake", lk, "--input", events, "--progress", "none")
	cli(t, fault.ExitDone, "run", "--spec", "trade_bars_1m", "--input", "lake:", "--lake", lk, "-o", "lake:", "--progress", "none")
	type bar struct {
		Exchange, Market, Symbol string
		RowTS                    int64 `json:"row_ts"`
		Volume                   float64
	}
	rows := func(as string) map[string]float64 {
		m := map[string]float64{}
		out := filepath.Join(dir, as+".jsonl")
		cli(t, fault.ExitDone, "run", "--spec", "trade_bars_1m", "--input", "lake:", "--lake", lk, "--as", as, "-o", out, "--progress", "none")
		for line := range strings.Lines(mustRead(t, out)) {
			var b bar
			if err := json.Unmarshal([]byte(line), &b); err != nil {
				t.Fatal(err)
			}
			m[fmt.Sprintf("%s/%s/%s %d", b.Exchange, b.Market, b.Symbol, b.RowTS)] = b.Volume
		}
		return m
	}
	served, corrected := rows("served"), rows("corrected")
	n, biggest := 0, 0.0
	for k, v := range served {
		if d := corrected[k] - v; d != 0 {
			n++
			biggest = max(biggest, max(d, -d))
		}
	}
	r := &verify.Report{}
	if err := json.Unmarshal([]byte(cli(t, fault.ExitDone, "verify", "trade_bars_1m", "--lake", lk, "--json")), r); err != nil {
		t.Fatal(err)
	}
	if len(r.Hours) != 1 || r.Hours[0].Effect == nil || n == 0 {
		t.Fatalf("%+v, %d rows differ", r, n)
	}
	e := r.Hours[0].Effect
	if e.More != len(corrected)-len(served)+e.Fewer {
		t.Errorf("%d more, %d fewer: %d, not %d", e.More, e.Fewer, len(corrected), len(served))
	}
	found := false
	for _, c := range e.Columns {
		if c.Name == "volume" {
			found = true
			if c.Rows != n || c.Biggest < biggest*0.999999 || c.Biggest > biggest*1.000001 {
				t.Errorf("%+v, want %d rows, %g", c, n, biggest)
			}
		}
	}
	if text := cli(t, fault.ExitDone, "verify", "trade_bars_1m", "--lake", lk); !found || !strings.Contains(text, fmt.Sprintf("effect: volume in %d rows, by ", n)) {
		t.Error(text)
	}
}
