//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pinova-group/tidemark/backfill"
	"github.com/pinova-group/tidemark/backfill/verify"
	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/internal/exdata"
	"github.com/pinova-group/tidemark/internal/exkafka"
	"github.com/pinova-group/tidemark/lake/file"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run"
	"github.com/pinova-group/tidemark/specs"
	"github.com/pinova-group/tidemark/stream/play"
)

// prove holds topics and tables to what tidemark run makes of the same events, and the lake to itself; workers and sink have ended
// or go on with nothing to do.
func (c *proof) prove(below int64, aside ...string) {
	t := c.t
	t.Helper()
	fromFiles, rep := c.run(c.inputs, false, below)
	c.settle(fromFiles, below, aside...)
	c.do("sink", "--lake", "lk", "--until-caught-up")
	t.Logf("account of run: %+v", rep.Stats.Counts)
	// What the lake has as events is what the files have.
	whole := filepath.Join(c.dir, "whole")
	c.do("lake", "import", "--lake", whole, "--input", strings.Join(c.inputs, ","), "--progress", "none")
	have := eventIDs(t, filepath.Join(c.dir, "lk"))
	for table, want := range eventIDs(t, whole) {
		if table != "processed.status" && !maps.Equal(want, have[table]) { // each sequencer has statuses of its own
			var lost, doubled int
			for id, n := range want {
				lost += max(0, n-have[table][id])
				doubled += max(0, have[table][id]-n)
			}
			t.Errorf("%s: %d events, not %d; of those %d are not there, or late where they were not, %d there too often", table, len(have[table]), len(want), lost, doubled)
		}
	}
	want, _ := c.run([]string{"lake:"}, false, below)
	got := c.settle(want, below)
	c.seal(below)
	var empty []string
	for _, o := range c.outputs {
		if len(want[o.Name]) == 0 {
			empty = append(empty, o.Name)
		}
	}
	t.Logf("%d rows of %d views; none of %v", want.sum(), len(want)-len(empty), empty)
	for what, diff := range map[string]string{
		"topics against run over the tables": got.differ(want), "topics against run over the files": got.differ(fromFiles, aside...), "tables against the topics": c.tables(below).differ(got),
	} {
		if diff != "" {
			t.Errorf("%s:\n%s", what, diff)
		}
	}
	c.verify()
	c.refill(want, below)
}

// seal fills the tables until all say that they are complete below a time: topics that nothing is played into
// get marks when they have been idle.
func (c *proof) seal(below int64) {
	c.t.Helper()
	l := c.lake()
	for began := time.Now(); ; time.Sleep(300 * time.Millisecond) {
		if c.tend != nil {
			c.tend()
		}
		c.do("sink", "--lake", "lk", "--until-caught-up")
		names, err := l.Tables(c.t.Context())
		if err != nil {
			c.t.Fatal(err)
		}
		var open []string
		for _, name := range names {
			tab, err := l.Load(c.t.Context(), name)
			if err != nil {
				c.t.Fatal(err)
			}
			base, err := tab.Base()
			if err != nil {
				c.t.Fatal(err)
			}
			least := below
			if strings.HasPrefix(name, "feature.") || strings.HasPrefix(name, "alert.") {
				least -= 10 * market.Second // tasks say so each 10 s where they have no rows
			}
			if !strings.HasPrefix(name, "ops.") && !strings.HasPrefix(name, "superseded.") && base.ValidThrough < least {
				open = append(open, name+" "+market.FormatTime(base.ValidThrough))
			}
		}
		if len(open) == 0 {
			return
		} else if time.Since(began) > 3*time.Minute {
			c.t.Fatalf("tables that are not complete: %v", open)
		}
	}
}

// eventIDs are how often the events of each table are there, by their identity and whether they were late.
func eventIDs(t *testing.T, dir string) map[string]map[string]int {
	t.Helper()
	l := openDir(t, dir, time.Now)
	names, err := l.Tables(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]map[string]int{}
	for _, name := range names {
		if !strings.HasPrefix(name, "processed.") {
			continue
		}
		out[name] = map[string]int{}
		eachRow(t, l, name, []string{"event_id", "late"}, func(b *file.Batch, i int) {
			out[name][fmt.Sprintf("%x %d", b.Cols[0].Text(i), b.Cols[1].I32[i])]++
		})
	}
	return out
}

// verify wants every hour equal or explained by late events.
func (c *proof) verify() {
	t := c.t
	t.Helper()
	var names []string
	for _, o := range c.outputs {
		names = append(names, o.Name)
	}
	views, err := backfill.Load(names, nil)
	if err != nil {
		t.Fatal(err)
	}
	rep, err := verify.Verify(t.Context(), verify.Config{Lake: c.lake(), Views: views, Names: names, From: market.NoTime, To: market.NoTime, Limit: 2})
	if err != nil {
		t.Fatal(err)
	}
	counts := map[verify.Verdict]int{}
	for _, h := range rep.Hours {
		if counts[h.Verdict]++; !h.Verdict.OK() {
			t.Errorf("verify: %+v", h)
		}
	}
	t.Logf("verify: %v", counts)
	if counts[verify.Equal]+counts[verify.Late] == 0 && !c.short {
		t.Error("no hour was verified")
	}
}

// refill computes all rows again into tables that are empty: as served they are those that the sink wrote; as corrected those of
// tidemark run.
func (c *proof) refill(served proofRows, below int64) {
	t := c.t
	t.Helper()
	l := c.lake()
	var names []string
	for i := range c.outputs {
		names = append(names, c.outputs[i].Name)
		if err := l.Drop(t.Context(), run.FeatureTable(&c.outputs[i])); err != nil {
			t.Fatal(err)
		}
	}
	for as, want := range map[string]func() proofRows{"served": func() proofRows { return served }, "corrected": func() proofRows {
		rows, _ := c.run([]string{"lake:"}, true, below)
		return rows
	}} {
		c.do("backfill", "--view", strings.Join(names, ","), "--lake", "lk", "--as", as, "--progress", "none")
		if diff := c.tables(below).differ(want()); diff != "" {
			t.Errorf("backfill as %s:\n%s", as, diff)
		}
	}
}

// status are the views of what sequencers say, which is the partitions' in a stream and the files' in a run.
var ofStatus = []string{"book_resyncs_5m", "feed_health_1m", "silent_feeds_1m"}

const proofSources = `
    - {market: spot, exchange: alpha, kinds: [trade, quote, orderbook, instrument]}
    - {market: perp, exchange: alpha, kinds: [trade, quote, orderbook, instrument, funding, mark_price, open_interest, liquidation]}
    - {market: spot, exchange: beta, kinds: [trade, quote, orderbook, instrument]}
    - {market: perp, exchange: beta, kinds: [trade, quote, orderbook, instrument, funding, mark_price, open_interest, liquidation]}`

// simulate makes the market: disorder, duplicates, late events, gaps in books and trades, a lost connection and what comes after it.
func (c *proof) simulate(minutes, rate int) (below int64) {
	c.t.Helper()
	start := time.Date(2026, 1, 5, 1, 0, 0, 0, time.UTC).Add(-time.Duration(minutes) * time.Minute * 3 / 4)
	c.do("simulate", "--out", "market.jsonl", "--start", start.Format(time.RFC3339), "--duration", fmt.Sprintf("%dm", minutes), "--rate", strconv.Itoa(rate), "--symbols", "3", "--venues", "alpha,beta",
		"--disorder", "100ms", "--duplicates", "1%", "--late", "0.3%", "--gaps", "0.1%", "--outage", fmt.Sprintf("beta:%dm+20s", minutes/2), "--depth", "5")
	c.split("market.jsonl")
	return start.Add(time.Duration(minutes)*time.Minute - time.Second).UnixMicro()
}

func proofBrokers(t *testing.T, test func(t *testing.T, kafka bool)) {
	t.Helper()
	if testing.Short() {
		t.Skip("runs processes for half a minute")
	}
	t.Run("embedded", func(t *testing.T) { test(t, false) })
	t.Run("kafka", func(t *testing.T) {
		exkafka.Addr(t)
		test(t, true)
	})
}

// All shipped views over the whole chain: what is in the topics and in the tables are, to the last bit, the rows of tidemark run over
// the same events, whatever joins and leaves meanwhile; verify and backfill say the same.
func TestProof_RowsAreThoseOfRun(t *testing.T) {
	proofBrokers(t, func(t *testing.T, kafka bool) {
		c := newProof(t, kafka, 3, proofSources, strings.Join(specs.Names(), ","))
		minutes, rate := 20, 15
		if os.Getenv("TIDEMARK_TEST_PROOF") == "full" {
			minutes, rate = 24*60, 10 // a day, 1.4 million events
		}
		below := c.simulate(minutes, rate)
		seed := uint64(time.Now().UnixNano())
		t.Logf("seed %d", seed)
		r := rand.New(rand.NewPCG(seed, 1))
		at := []int{0} // slots of workers
		c.worker(0)
		c.sink()
		playing := c.start("play", "play", "--input", "market.jsonl", "--speed", strconv.Itoa(minutes*60/8), "--progress", "none")
		for playing.running() {
			time.Sleep(time.Duration(r.IntN(1200)) * time.Millisecond)
			slot := r.IntN(3)
			switch i := slices.Index(at, slot); {
			case i < 0:
				c.worker(slot)
				at = append(at, slot)
			case len(at) > 1:
				c.end("worker" + strconv.Itoa(slot))
				at = slices.Delete(at, i, i+1)
			}
		}
		if code := playing.cmd.ProcessState.ExitCode(); code != 0 {
			t.Fatalf("play ends with %d", code)
		}
		delete(c.procs, "play")
		c.end("sink")
		c.prove(below, ofStatus...)
		for _, slot := range at {
			c.end("worker" + strconv.Itoa(slot))
		}
	})
}

// viewsOf are the shipped views that read events of some kinds and statuses, and no others.
func viewsOf(t *testing.T, kinds ...market.Kind) string {
	t.Helper()
	var names []string
	for _, name := range specs.Names() {
		plan, _, err := run.Compile([]string{name}, nil, market.NewFeeds())
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(plan.Inputs(), func(in features.Input) bool { return in.Kind != market.KindStatus && !slices.Contains(kinds, in.Kind) }) {
			names = append(names, name)
		}
	}
	return strings.Join(names, ",")
}

// lines copies the first lines of a recording into the folder, all of them with TIDEMARK_TEST_PROOF=full.
func (c *proof) lines(name string, n int) {
	c.t.Helper()
	if os.Getenv("TIDEMARK_TEST_PROOF") == "full" {
		n = math.MaxInt
	}
	c.inputs = append(c.inputs, exdata.Head(c.t, name, c.dir, n))
}

// Recorded tapes of venues, played as they were collected: all views that read their kinds.
func TestProof_RecordedTapes(t *testing.T) {
	for _, x := range []struct {
		name, sources string
		files         []string
		lines         int
		decode        bool
	}{
		{"binance", `
    - {market: spot, exchange: binance, kinds: [trade, quote, orderbook]}
    - {market: perp, exchange: binance, kinds: [trade, quote, orderbook]}`, []string{
			"rawstream/binance_spot_btcusdt_20240808.jsonl.gz", "rawstream/binance_spot_ethusdt_20240808.jsonl.gz", "rawstream/binance_usdm_btcusdt_20240808.jsonl.gz",
			"rawstream/binance_usdm_ethusdt_20240808.jsonl.gz", "rawstream/binance_cm_btcusd_perp_20240808.jsonl.gz",
		}, 4000, false},
		{"kraken", `
    - {market: spot, exchange: kraken, kinds: [trade, quote, orderbook, instrument]}`, []string{"captures/kraken_v1_20210417.jsonl.zst"}, 10_000, true}, // its snapshots of books have no time: what is assumed depends on what else is read
	} {
		t.Run(x.name, func(t *testing.T) {
			exdata.Path(t, x.files[0])
			proofBrokers(t, func(t *testing.T, kafka bool) {
				if kafka && os.Getenv("TIDEMARK_TEST_PROOF") != "full" {
					t.Skip("the tapes go through a real Kafka with TIDEMARK_TEST_PROOF=full")
				}
				c := newProof(t, kafka, 2, x.sources, viewsOf(t, market.KindTrade, market.KindQuote, market.KindBook))
				c.short = true
				for _, f := range x.files {
					c.lines(f, x.lines)
				}
				c.worker(0)
				c.worker(1)
				args := []string{"play", "--input", strings.Join(c.inputs, ","), "--progress", "none", "--json"}
				if x.decode {
					args = append(args, "--decode")
				}
				var rep play.Report
				if err := json.Unmarshal([]byte(c.do(args...)), &rep); err != nil {
					t.Fatal(err)
				}
				last, err := time.Parse(time.RFC3339Nano, rep.Last)
				if err != nil {
					t.Fatal(err)
				}
				c.prove(last.UnixMicro()-market.Second, ofStatus...) // statuses are known a little behind trades
				c.end("worker0")
				c.end("worker1")
			})
		})
	}
}
