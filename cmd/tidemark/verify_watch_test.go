package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pinova-group/tidemark/backfill/verify"
	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/lake/file"
)

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
	text, metrics := watch(fault.ExitDone, 20, "127.0.0.1:19471")
	if !regexp.MustCompile(`\d+ checks of 3 hours: \d equal, \d served as they should be with late events, 0 missing, 0 different; 0 could not be made\n$`).MatchString(text) {
		t.Error(text)
	}
	if !strings.Contains(metrics, `tidemark_parity_ok_ratio{view="trade_bars_1m.v1"} 1`) {
		t.Error(metrics)
	}
	plant(t, lk, "feature.trade_bars_1m_v1", func(b *file.Batch, _ []file.Column) []int32 { return allRows(b.N)[1:] })
	text, metrics = watch(fault.ExitDifference, 20, "127.0.0.1:19472")
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
