//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/lake"
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
		const old, lookback = "trade_bars_1s,book_1s", 25 * time.Second
		c := newProof(t, kafka, 2, killSources, old)
		c.files = map[string]string{"recent": filepath.Join(c.dir, "recent.yaml")}
		spec := "view: recent\nversion: 1\ndoc: trades of late\nfrom: trade\nby: [exchange, market, symbol]\nwindow: {rolling: 25s, every: 1s}\nfeatures:\n  vwap: sum(price * quantity) / sum(quantity)\n  high: max(price)\n"
		if err := os.WriteFile(c.files["recent"], []byte(spec), 0o600); err != nil {
			t.Fatal(err)
		}
		added := "quote_bars_1s,fair_price_1s,btc_bars_1s,provider_ratio_1s," + c.files["recent"]
		addr := freeAddr(t)
		c.worker(0, "--status", addr)
		c.hasTasks(addr)
		c.sink()
		// Now and not the past: the times of records must be those of their transactions.
		c.start("market", "simulate", "--into", "raw", "--rate", "300", "--venues", "alpha,beta", "--symbols", "3", "--progress", "none")
		began := time.Now()
		time.Sleep(lookback - 5*time.Second)
		kept := time.Now()
		for c.through() < kept.UnixMicro() { // the lake and the topics have to meet
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(time.Until(began.Add(lookback + time.Second)))
		c.expireBefore(t, kept.UnixMicro())
		config := filepath.Join(c.dir, "new.yaml") // what is applied counts, not what a worker's config says
		text := strings.Replace(mustRead(t, filepath.Join(c.dir, configFile)), "views: ["+old+"]", "views: ["+added+"]", 1)
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c.do("topics", "apply", "--config", config)
		apply := []string{"apply", "--config", config, "--name", c.group(), "--in", "3s", "--timeout", "1m", "--json"}
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
		for try := 0; ; try++ {
			var out, errs bytes.Buffer
			a := &app{color: "never", in: strings.NewReader(""), out: &out, err: &errs, now: time.Now}
			if a.execute(t.Context(), apply) == fault.ExitDone {
				if err := json.Unmarshal(out.Bytes(), &got); err != nil || got.State != "accepted" {
					t.Fatalf("%s, %v", out.Bytes(), err)
				}
				break
			}
			if try == 5 || !strings.Contains(errs.String(), "written already") { // on a busy machine its time may come first
				t.Fatal(errs.String())
			}
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

// through is the time below which all tables of trades and quotes of the lake are complete; market.NoTime before they are there.
func (c *proof) through() int64 {
	c.t.Helper()
	l, least := c.lake(), int64(math.MaxInt64)
	for _, name := range []string{"processed.trade", "processed.quote"} {
		tab, err := l.Load(c.t.Context(), name)
		if errors.Is(err, lake.ErrNoTable) {
			return market.NoTime
		}
		if err != nil {
			c.t.Fatal(err)
		}
		base, err := tab.Base()
		if err != nil {
			c.t.Fatal(err)
		}
		least = min(least, base.ValidThrough)
	}
	return least
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
