//go:build unix

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// killSources are topics that the market has events for from its beginning, so that nobody has to be idle.
const killSources = `
    - {market: spot, exchange: alpha, kinds: [trade, quote, orderbook, instrument]}
    - {market: perp, exchange: alpha, kinds: [trade, quote, orderbook, instrument]}
    - {market: spot, exchange: beta, kinds: [trade, quote, orderbook, instrument]}
    - {market: perp, exchange: beta, kinds: [trade, quote, orderbook, instrument]}`

// killViews are of both jobs: windows, books, joins, scans, ranks over all symbols.
const killViews = "trade_bars_1s,trade_bars_1m,book_1s,quote_bars_1s,fair_price_1s,vwap_5m,rolling_trades,spread_1m,indicators_1m,btc_bars_1s,breadth_1m,provider_ratio_1s"

// killRun is a kill test under way.
type killRun struct {
	*proof
	mu      sync.Mutex
	ready   []time.Duration // from a kill of a worker until the one in its place had its tasks
	cut     int             // workers that ended before they had them
	revived int             // processes that ended by themselves
	wg      sync.WaitGroup
}

// Every process of the chain is killed at any moment, many times: workers, sinks in the midst of commits, brokers with their
// data kept; some are stopped until another has their place, and woken then. What is in topics and tables in the end are the rows
// of tidemark run over the same events: none lost, none twice, none other.
func TestProof_SurvivesKills(t *testing.T) {
	n, err := strconv.Atoi(os.Getenv("TIDEMARK_TEST_KILLS"))
	long := err == nil
	if !long {
		n = 6
	}
	proofBrokers(t, func(t *testing.T, kafka bool) {
		if kafka && !long {
			t.Skip("kills a real Kafka for minutes: make chaos")
		}
		c := &killRun{proof: newProof(t, kafka, 3, killSources, killViews)}
		c.idle = "0"
		minutes, apart := 20, 1 // seconds between kills
		if kafka {
			apart = 3 // who begins again waits for a transaction or a session of the one before
		}
		below := c.simulate(minutes, 15)
		for slot := range 2 {
			c.place(slot, time.Now())
		}
		c.sink()
		c.tend = c.revive
		playing := c.start("play", "play", "--input", "market.jsonl", "--speed", strconv.Itoa(max(1, minutes*60/(n*apart+4))), "--progress", "none")
		delete(c.procs, "play")
		t.Cleanup(func() { _ = playing.cmd.Process.Kill() })
		began, seed := time.Now(), uint64(time.Now().UnixNano())
		r := rand.New(rand.NewPCG(seed, 1))
		t.Logf("seed %d", seed)
		var todo []string
		for what, times := range map[string]int{"broker": max(1, n/25), "stop": max(1, n/12), "sink": max(1, n/5)} {
			for range times {
				todo = append(todo, what)
			}
		}
		for len(todo) < n {
			todo = append(todo, "worker")
		}
		slices.Sort(todo)
		r.Shuffle(len(todo), func(i, j int) { todo[i], todo[j] = todo[j], todo[i] })
		counts, lively, woken := map[string]int{}, 0, 0
		var asleep []int            // slots of zombies
		time.Sleep(3 * time.Second) // play needs the registry when it begins
		for _, what := range todo {
			time.Sleep(time.Duration((100+r.IntN(1200))*apart) * time.Millisecond)
			c.revive()
			counts[what]++
			if playing.running() {
				lively++
			}
			switch slot := r.IntN(2); what {
			case "broker":
				c.killBroker()
			case "sink":
				c.kill("sink")
				c.sink()
			case "stop":
				p := c.procs["worker"+strconv.Itoa(slot)]
				_ = p.cmd.Process.Signal(syscall.SIGSTOP)
				c.zombies, asleep = append(c.zombies, p), append(asleep, slot)
				c.place(slot, time.Now())
			default:
				at := time.Now()
				c.kill("worker" + strconv.Itoa(slot))
				c.place(slot, at)
			}
			if len(asleep) > 0 && r.IntN(4) == 0 {
				c.wake(c.zombies[woken], asleep[0])
				asleep, woken = asleep[1:], woken+1
			}
		}
		for _, slot := range asleep {
			c.wake(c.zombies[woken], slot)
			woken++
		}
		took := time.Since(began)
		select {
		case <-playing.done:
		case <-time.After(15 * time.Minute):
			t.Fatal("play does not end")
		}
		if code := playing.cmd.ProcessState.ExitCode(); code != 0 {
			t.Fatalf("play ends with %d: %s", code, mustRead(t, filepath.Join(c.dir, "play.log")))
		}
		c.revive()
		c.end("sink")
		c.prove(below)
		for slot := range 2 {
			c.kill("worker" + strconv.Itoa(slot))
		}
		c.wg.Wait()
		slices.Sort(c.ready)
		t.Logf("%v in %v, %d of them while events came; %d workers ended before they had tasks, %d processes by themselves", counts, took.Round(time.Second), lively, c.cut, c.revived)
		if len(c.ready) > 0 {
			t.Logf("from a kill to tasks: %d times, p50 %v, p99 %v, max %v", len(c.ready), c.ready[len(c.ready)/2].Round(time.Millisecond),
				c.ready[len(c.ready)*99/100].Round(time.Millisecond), c.ready[len(c.ready)-1].Round(time.Millisecond))
		}
	})
}

func (p *proofProc) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// revive does what whoever runs processes does: those that have ended by themselves, such as for want of a registry or because
// another had the slot, are started again.
func (c *killRun) revive() {
	for slot := range 2 {
		if !c.procs["worker"+strconv.Itoa(slot)].running() {
			c.revived++
			c.place(slot, time.Now())
		}
	}
	if p := c.procs["sink"]; p != nil && !p.running() {
		c.revived++
		c.sink()
	}
}

func (c *killRun) kill(name string) {
	p := c.procs[name]
	_ = p.cmd.Process.Kill()
	<-p.done
}

// place starts a worker in a slot and measures from when on it has its tasks.
func (c *killRun) place(slot int, since time.Time) {
	addr := freeAddr(c.t)
	p := c.worker(slot, "--status", addr)
	c.wg.Go(func() {
		for p.running() {
			resp, err := http.Get("http://" + addr + "/readyz")
			if err == nil {
				_ = resp.Body.Close()
				if resp.StatusCode == http.StatusOK {
					c.mu.Lock()
					c.ready = append(c.ready, time.Since(since))
					c.mu.Unlock()
					return
				}
			}
			time.Sleep(10 * time.Millisecond)
			if time.Since(since) > 2*time.Minute {
				break
			}
		}
		c.mu.Lock()
		c.cut++
		c.mu.Unlock()
	})
}

// killBroker kills the broker, and its registry, and starts it again with its data.
func (c *killRun) killBroker() {
	c.t.Helper()
	if !c.kafka {
		c.kill("broker")
		c.startBroker()
		return
	}
	root, name, n := filepath.Join("..", ".."), "kafka", 1
	if strings.Contains(c.broker, ",") {
		name, n = "kafka3", 3
	}
	ports, err := os.ReadFile(filepath.Join(root, ".cache", "servers", fmt.Sprintf("kafka%d.ports", n)))
	if err != nil || c.broker != "127.0.0.1:"+strings.Join(strings.Fields(string(ports)), ",127.0.0.1:") {
		return // it is another's
	}
	c.inSync()
	if out, err := exec.Command("bash", filepath.Join(root, "scripts", "servers.sh"), "restart", name).CombinedOutput(); err != nil { //nolint:gosec // of this repository
		c.t.Fatalf("%v\n%s", err, out)
	}
}

// inSync waits until all nodes have all records, so that of those that have one at most one is killed at a time.
func (c *killRun) inSync() {
	c.t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(c.broker, ",")...))
	if err != nil {
		c.t.Fatal(err)
	}
	defer cl.Close()
	lacking := ""
	for range 600 {
		ctx, cancel := context.WithTimeout(c.t.Context(), 5*time.Second)
		meta, err := kadm.NewClient(cl).Metadata(ctx)
		cancel()
		if lacking = fmt.Sprint(err); err == nil {
			lacking = ""
			meta.Topics.EachPartition(func(p kadm.PartitionDetail) {
				if len(p.ISR) < len(p.Replicas) {
					lacking += fmt.Sprintf(" %s/%d: %v of %v", p.Topic, p.Partition, p.ISR, p.Replicas)
				}
			})
		}
		if lacking == "" {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	c.t.Fatalf("nodes lack records: %.2000s", lacking)
}

// wake lets a stopped worker go on; of it and the one that has its slot now one stays.
func (c *killRun) wake(z *proofProc, slot int) {
	c.t.Helper()
	name := "worker" + strconv.Itoa(slot)
	_ = z.cmd.Process.Signal(syscall.SIGCONT)
	select {
	case <-z.done:
	case <-c.procs[name].done:
		c.procs[name] = z
	case <-time.After(time.Minute):
		c.t.Error("of two workers with one slot none ends")
		_ = z.cmd.Process.Kill()
		<-z.done
	}
}
