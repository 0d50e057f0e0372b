//go:build unix

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run"
)

// New views get warm from the lake where topics do not keep what they look back on, also when a worker is killed on the way: their rows
// are those of views that had been there all the time. Without a lake the change is refused.
func TestProof_NewViewsGetWarmFromTheLake(t *testing.T) {
	proofBrokers(t, func(t *testing.T, kafka bool) {
		if kafka && !longRun() {
			t.Skip("through a real Kafka: make chaos")
		}
		const old, added = "trade_bars_1s,book_1s", "quote_bars_1s,fair_price_1s,venue_deviation_1s,btc_bars_1s,provider_ratio_1s" // the last looks back on 13 s
		c := newProof(t, kafka, 2, killSources, old)
		addr := freeAddr(t)
		c.worker(0, "--status", addr)
		c.hasTasks(addr)
		c.sink()
		// Now and not the past: the times of records must be those of their transactions.
		c.start("market", "simulate", "--into", "raw", "--rate", "300", "--venues", "alpha,beta", "--symbols", "3", "--progress", "none")
		time.Sleep(25 * time.Second)
		c.expireBefore(t, time.Now().Add(-5*time.Second).UnixMicro())
		config := filepath.Join(c.dir, "new.yaml") // what is applied counts, not what a worker's config says
		text := strings.Replace(mustRead(t, filepath.Join(c.dir, configFile)), "views: ["+old+"]", "views: ["+added+"]", 1)
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c.do("topics", "apply", "--config", config)
		apply := []string{"apply", "--config", config, "--name", c.group(), "--in", "2s", "--timeout", "1m", "--json"}
		if text := cliFails(t, fault.ExitFailed, apply...); !strings.Contains(text, "does not reach back") {
			t.Fatal(text)
		}
		c.end("worker0")
		c.worker(0, "--status", addr, "--lake", "lk")
		c.hasTasks(addr)
		var got struct {
			State string `json:"state"`
			From  int64  `json:"effective_from"`
		}
		if err := json.Unmarshal([]byte(cli(t, fault.ExitDone, apply...)), &got); err != nil || got.State != "accepted" {
			t.Fatalf("%+v, %v", got, err)
		}
		_ = c.procs["worker0"].cmd.Process.Kill()
		<-c.procs["worker0"].done
		c.worker(0, "--status", addr, "--lake", "lk")
		c.hasTasks(addr)
		for time.Now().UnixMicro() < got.From+10_000_000 {
			time.Sleep(100 * time.Millisecond)
		}
		c.end("market")
		c.end("sink")
		below := time.Now().Add(-2 * time.Second).Truncate(time.Second).UnixMicro()
		plan, _, err := run.Compile(strings.Split(added, ","), nil, market.NewFeeds())
		if err != nil {
			t.Fatal(err)
		}
		c.outputs = plan.Outputs()
		const parent = "trade_bars_1s" // of btc_bars_1s; its rows were there before, too
		for try := 0; ; try++ {        // until the sink has all events
			c.do("sink", "--lake", "lk", "--until-caught-up")
			all, _ := c.run([]string{"lake:"}, false, below)
			earlier, _ := c.run([]string{"lake:"}, false, got.From)
			want := all.without(earlier)
			delete(want, parent)
			rows := c.settle(want, below, parent)
			diff := rows.differ(want)
			if diff == "" && want.sum() > 100 {
				t.Logf("%d rows", want.sum())
				break
			}
			if try == 3 {
				t.Fatalf("%d rows wanted:\n%s", want.sum(), diff)
			}
		}
		c.end("worker0")
	})
}

// without is what is left of rows.
func (r proofRows) without(other proofRows) proofRows {
	for view, rows := range r {
		for h, n := range other[view] {
			if rows[h] -= n; rows[h] == 0 {
				delete(rows, h)
			}
		}
	}
	return r
}

// expireBefore deletes the records of processed topics that are older than a time, as retention does.
func (c *proof) expireBefore(t *testing.T, ts int64) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(c.broker, ",")...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	topics, err := adm.ListTopics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range topics.Names() {
		if !strings.HasPrefix(name, "processed.") {
			continue
		}
		at, err := adm.ListOffsetsAfterMilli(t.Context(), ts/1000, name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := adm.DeleteRecords(t.Context(), at.Offsets()); err != nil {
			t.Fatal(err)
		}
	}
}
