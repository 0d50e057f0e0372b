//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pinova-group/tidemark/lake"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run"
)

// backfilled is what a backfill says with --json.
type backfilled struct {
	Backfill struct {
		Computed int  `json:"tasks_computed"`
		Reused   int  `json:"tasks_reused"`
		Resumed  bool `json:"resumed"`
		Plan     struct {
			Tasks   []any  `json:"tasks"`
			Nothing string `json:"nothing"`
		} `json:"plan"`
	} `json:"backfill"`
}

// Backfills are killed at any moment, beside a stream whose sink commits to the same tables. Each that is then run to its
// end takes what was finished, its rows are in the tables once, and nothing of it is left behind; in the end the tables have all
// rows of the stream, too.
func TestBackfill_SurvivesKillsBesideASink(t *testing.T) {
	n, err := strconv.Atoi(os.Getenv("TIDEMARK_TEST_KILLS"))
	long := err == nil
	if !long {
		n = 4
	}
	proofBrokers(t, func(t *testing.T, kafka bool) {
		if kafka && !long {
			t.Skip("on real servers with TIDEMARK_TEST_KILLS: make chaos")
		}
		c := newProof(t, kafka, 2, `
    - {market: spot, exchange: alpha, kinds: [trade, orderbook, instrument]}
    - {market: perp, exchange: alpha, kinds: [trade, orderbook, instrument]}`, "trade_bars_1m,book_1s")
		if kafka {
			c.onServers()
		}
		c.killBackfills(n)
	})
}

func (c *proof) killBackfills(n int) {
	t := c.t
	t.Helper()
	at := func(minutes int) string { return fmt.Sprintf("2026-01-05T00:%02d:00Z", minutes) }
	const until, cut = 12, 20 // minutes: the range of the backfills ends, and the market that goes on meanwhile begins
	c.do("simulate", "--out", "market.jsonl", "--start", at(0), "--duration", "75m", "--rate", "10", "--symbols", "3", "--venues", "alpha", "--disorder", "100ms", "--late", "1%", "--depth", "5", "--kinds", "trade,orderbook.delta,orderbook.snapshot,instrument")
	c.worker(0)
	c.do("play", "--input", "market.jsonl", "--to", at(cut), "--close=false", "--progress", "none")
	args := func(as string, more ...string) []string {
		return append([]string{"backfill", "--view", "trade_bars_1m,book_1s", "--from", at(0), "--to", at(until), "--step", "2m", "--as", as, "--lake", "lk", "--progress", "none"}, more...)
	}
	for began := time.Now(); ; time.Sleep(300 * time.Millisecond) { // until the range is sealed
		c.do("sink", "--lake", "lk", "--until-caught-up")
		out, err := tidemark(t.Context(), c.dir, args("corrected", "--dry-run")...).CombinedOutput()
		if err == nil {
			break
		} else if time.Since(began) > time.Minute {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	l := c.lake()
	below := time.Date(2026, 1, 5, 0, until, 0, 0, time.UTC).UnixMicro()
	want := map[string]proofRows{}
	want["corrected"], _ = c.run([]string{"lake:"}, true, below)
	want["served"], _ = c.run([]string{"lake:"}, false, below)
	if want["served"].sum() < 1000 || want["served"].differ(want["corrected"]) == "" || c.tables(below).differ(want["served"]) != "" {
		t.Fatalf("%d rows: %s", want["served"].sum(), c.tables(below).differ(want["served"]))
	}
	began := time.Now()
	c.do(args("corrected")...)
	took := time.Since(began)
	c.sink()
	playing := c.start("play", "play", "--input", "market.jsonl", "--from", at(cut), "--speed", strconv.Itoa(max(1, 3300/(5+int(1.6*took.Seconds()*float64(n))))), "--progress", "none")
	delete(c.procs, "play")
	t.Cleanup(func() { _ = playing.cmd.Process.Kill() })
	sealed := c.sealedTo(l)
	kills, resumed, beside, lively := 0, 0, 0, 0
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 2))
	for round := 0; kills < n; round++ {
		as := []string{"served", "corrected"}[round%2]
		for range 1 + round%3 {
			cmd := tidemark(t.Context(), c.dir, args(as)...)
			var told bytes.Buffer
			cmd.Stdout, cmd.Stderr = &told, &told
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			timer := time.AfterFunc(took/4+time.Duration(r.Int64N(int64(took))), func() { _ = cmd.Process.Signal(syscall.SIGKILL) })
			err := cmd.Wait()
			timer.Stop()
			if err == nil {
				break
			} else if cmd.ProcessState.ExitCode() != -1 {
				t.Fatalf("a backfill ends by itself: %v\n%s", err, told.Bytes())
			}
			if kills++; playing.running() {
				lively++
			}
		}
		var plan struct{ Finished int }
		if err := json.Unmarshal([]byte(c.do(args(as, "--dry-run", "--json")...)), &plan); err != nil {
			t.Fatal(err)
		}
		if plan.Finished > 0 {
			resumed++
		}
		var rep backfilled
		if err := json.Unmarshal([]byte(c.do(args(as, "--json")...)), &rep); err != nil {
			t.Fatal(err)
		}
		if b := rep.Backfill; !b.Resumed && b.Plan.Nothing == "" && (b.Reused != plan.Finished || b.Computed != len(b.Plan.Tasks)-plan.Finished) {
			t.Errorf("%d of %d tasks were finished: %d taken, %d computed", plan.Finished, len(b.Plan.Tasks), b.Reused, b.Computed)
		}
		if diff := c.tables(below).differ(want[as]); diff != "" {
			t.Fatalf("after %d kills: %s", kills, diff)
		}
		c.nothingLeft(l)
		if now := c.sealedTo(l); now > sealed {
			sealed, beside = now, beside+1
		}
	}
	t.Logf("%d kills, %d of them while events came; %d times some tasks had been finished; the sink had gone on %d times; a backfill takes %v", kills, lively, resumed, beside, took.Round(time.Millisecond))
	if beside == 0 || lively == 0 || n > 20 && resumed == 0 {
		t.Error("that is no test of what it should be")
	}
	<-playing.done
	if code := playing.cmd.ProcessState.ExitCode(); code != 0 {
		t.Fatalf("play ends with %d: %s", code, mustRead(t, filepath.Join(c.dir, "play.log")))
	}
	c.end("sink")
	c.seal(time.Date(2026, 1, 5, 1, 10, 0, 0, time.UTC).UnixMicro())
	c.verify()
	var found struct{ Findings []lake.Finding }
	var out bytes.Buffer
	cmd := tidemark(t.Context(), c.dir, "lake", "doctor", "--lake", "lk", "--deep", "--json")
	cmd.Stdout = &out
	_ = cmd.Run() // the exit code is of warnings, too: a killed backfill leaves files to upkeep
	if err := json.Unmarshal(out.Bytes(), &found); err != nil {
		t.Fatalf("%v: %s", err, out.Bytes())
	}
	for _, f := range found.Findings {
		if f.Level == lake.Wrong {
			t.Errorf("%+v", f)
		}
	}
	c.end("worker0")
}

// sealedTo is the time up to which the sink has filled the first table.
func (c *proof) sealedTo(l *lake.Lake) int64 {
	c.t.Helper()
	tab, err := l.Load(c.t.Context(), run.FeatureTable(&c.outputs[0]))
	if err != nil {
		c.t.Fatal(err)
	}
	base, err := tab.Base()
	if err != nil {
		c.t.Fatal(err)
	}
	return max(base.ValidThrough, market.NoTime)
}

// nothingLeft wants no branch and no note of a backfill in the tables.
func (c *proof) nothingLeft(l *lake.Lake) {
	c.t.Helper()
	for i := range c.outputs {
		tab, err := l.Load(c.t.Context(), run.FeatureTable(&c.outputs[i]))
		if err != nil {
			c.t.Fatal(err)
		}
		if refs := tab.Refs(); len(refs) != 1 {
			c.t.Errorf("%s: branches are left: %v", tab.Name(), refs)
		}
		for key := range tab.Properties() {
			if strings.HasPrefix(key, "tidemark.backfill") || strings.HasPrefix(key, "tidemark.publication-open") {
				c.t.Errorf("%s: property %s is left", tab.Name(), key)
			}
		}
	}
}
