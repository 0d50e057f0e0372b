package stream_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pinova-group/tidemark/stream"
	"github.com/pinova-group/tidemark/stream/broker"
	"github.com/pinova-group/tidemark/stream/record"
)

// ended waits until jobs end by themselves, and returns why.
func ended(t *testing.T, stop func() error, done func() bool) error {
	t.Helper()
	for range 400 {
		if done() {
			return stop()
		}
		time.Sleep(50 * time.Millisecond)
	}
	_ = stop()
	t.Fatal("the job goes on")
	return nil
}

// A job whose topics get more partitions, or are deleted, ends and says where and what helps.
func TestTrouble_TopicsChangedUnderAJob(t *testing.T) {
	for name, c := range map[string]struct {
		change func(t *testing.T, p *pipeline, adm *kadm.Client)
		want   []string
	}{
		"raw partitions added": {func(t *testing.T, _ *pipeline, adm *kadm.Client) {
			t.Helper()
			if _, err := adm.CreatePartitions(t.Context(), 2, tradeTopic); err != nil {
				t.Fatal(err)
			}
		}, []string{tradeTopic, "partitions"}},
		"partitions of all topics added": {func(t *testing.T, p *pipeline, adm *kadm.Client) {
			t.Helper()
			if _, err := adm.CreatePartitions(t.Context(), 2, p.topics...); err != nil {
				t.Fatal(err)
			}
		}, []string{"had 2, and has 4"}},
		"raw topic deleted": {func(t *testing.T, _ *pipeline, adm *kadm.Client) {
			t.Helper()
			if _, err := adm.DeleteTopics(t.Context(), tradeTopic); err != nil {
				t.Fatal(err)
			}
		}, []string{tradeTopic}},
		"processed topic deleted": {func(t *testing.T, _ *pipeline, adm *kadm.Client) {
			t.Helper()
			if _, err := adm.DeleteTopics(t.Context(), "processed.spot.trade.alpha"); err != nil {
				t.Fatal(err)
			}
		}, []string{"processed.spot.trade.alpha"}},
	} {
		test := func(t *testing.T, b servers) {
			t.Helper()
			p := newPipeline(t, b, tradeSource, "trade_bars_1s")
			w := p.rawTrades(t)
			w.send(w.event(0, "0"), w.event(5, "5"))
			j := p.sequence(t, p.name)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var over atomic.Bool
			done := make(chan error, 1)
			go func() {
				err := j.Run(ctx)
				over.Store(true)
				done <- err
			}()
			p.waitApplied(t, 0, "0")
			c.change(t, p, kadm.NewClient(newClient(t, p.addr)))
			if name == "processed topic deleted" {
				w.send(w.event(10, "10"))
			}
			err := ended(t, func() error { cancel(); return <-done }, over.Load)
			for _, word := range c.want {
				if err == nil || !strings.Contains(err.Error(), word) {
					t.Errorf("got %v, want %q in it", err, word)
				}
			}
		}
		t.Run(name, func(t *testing.T) {
			t.Run("embedded", func(t *testing.T) {
				t.Parallel()
				test(t, startBroker(t))
			})
			t.Run("kafka", func(t *testing.T) { test(t, realKafka(t)) })
		})
	}
}

// registryThatGoes is the broker's registry behind an address at which it can be down.
func registryThatGoes(t *testing.T, b servers) (addr string, down *atomic.Bool) {
	t.Helper()
	down = new(atomic.Bool)
	to, err := url.Parse(b.registry)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(to)
	front := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if down.Load() {
			time.Sleep(100 * time.Millisecond) // so that others are done meanwhile
			http.Error(rw, "down", http.StatusServiceUnavailable)
			return
		}
		proxy.ServeHTTP(rw, r)
	}))
	t.Cleanup(front.Close)
	return front.URL, down
}

// behindARegistry is a pipeline with two events in its raw topic, whose jobs ask a registry that is down when told.
func behindARegistry(t *testing.T) (*pipeline, *rawTrades, *atomic.Bool) {
	t.Helper()
	b := startBroker(t)
	front, down := registryThatGoes(t, b)
	p := newPipeline(t, b, tradeSource, "trade_bars_1s")
	w := p.rawTrades(t)
	w.send(w.event(0, "0"), w.event(5, "5"))
	var err error
	if p.schemas, err = record.NewSchemas(front, nil); err != nil {
		t.Fatal(err)
	}
	return p, w, down
}

// While the schema registry is down, records of an unknown schema wait; none becomes a dead letter.
func TestTrouble_RegistryIsDown(t *testing.T) {
	t.Parallel()
	p, w, down := behindARegistry(t)
	down.Store(true)
	stop := work(t, p.sequence(t, p.name))
	w.send(w.event(10, "10"))
	time.Sleep(time.Second)
	reader := *p
	var err error
	if reader.schemas, err = record.NewSchemas(p.registry, nil); err != nil {
		t.Fatal(err)
	}
	if ids := reader.applied(t, 0); len(ids) > 0 {
		t.Errorf("%v without a registry", ids)
	}
	down.Store(false)
	if ids := reader.waitApplied(t, 0, "5"); fmt.Sprint(ids) != "[0 5]" {
		t.Errorf("%v", ids)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if sum := reader.account(t); sum.DLQ != 0 || sum.In != 3 {
		t.Errorf("account %+v", sum)
	}
}

// A task that cannot go on does not keep readers from what others have written: the transaction ends with the session, not with
// the next one or after its time.
func TestTrouble_ErrorLeavesNoTransactionOpen(t *testing.T) {
	t.Parallel()
	p, w, down := behindARegistry(t)
	stop := work(t, p.sequence(t, p.name))
	p.waitApplied(t, 0, "0")
	down.Store(true)
	bad := w.record(stream.FormatEvent, []byte{0, 0, 0, 0x77, 0x77, 0, 1})
	bad.Partition = 1
	manual := newClient(t, p.addr, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err := manual.ProduceSync(t.Context(), bad).FirstErr(); err != nil {
		t.Fatal(err)
	}
	w.send(w.event(10, "10"))
	adm := kadm.NewClient(newClient(t, p.addr))
	last, grew, open := int64(0), 0, 0
	const looks = 160 // in eight seconds, of which the job waits most
	for range looks {
		ends, err := adm.ListEndOffsets(t.Context(), "processed.spot.trade.alpha")
		if err != nil {
			t.Fatal(err)
		}
		stable, err := adm.ListCommittedOffsets(t.Context(), "processed.spot.trade.alpha")
		if err != nil {
			t.Fatal(err)
		}
		end, _ := ends.Lookup("processed.spot.trade.alpha", 0)
		upTo, _ := stable.Lookup("processed.spot.trade.alpha", 0)
		if end.Offset > last {
			grew++
		}
		if last = end.Offset; upTo.Offset < end.Offset {
			open++
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Logf("%d looks: a transaction is open in %d, %d new", looks, open, grew)
	if grew < 3 || open > looks/4 {
		t.Errorf("%d looks: a transaction is open in %d, %d new", looks, open, grew)
	}
	down.Store(false)
	p.waitApplied(t, 0, "5")
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// A broker that ends and comes back, twice, in the middle of the work: each event and row once.
func TestTrouble_BrokerRestarts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open := func(opt broker.Options) *broker.Broker {
		t.Helper()
		b, err := broker.Start(dir, opt)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	b := open(broker.Options{})
	p := newPipeline(t, servers{b.Addr(), b.RegistryURL()}, tradeSource, "trade_bars_1s")
	p.idle = 300 * time.Millisecond
	again := broker.Options{Port: port(t, b.Addr()), RegistryPort: port(t, b.RegistryURL())}
	w := p.rawTrades(t)
	stop := work(t, p.sequence(t, p.name), p.features(t))
	var want []string
	n := 0
	for round := range 3 {
		for range 20 {
			want = append(want, strconv.Itoa(n))
			w.send(w.event(float64(n), strconv.Itoa(n)))
			n++
		}
		if round < 2 {
			p.waitApplied(t, 0, strconv.Itoa(n-5))
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(300 * time.Millisecond)
			b = open(again)
		}
	}
	t.Cleanup(func() { _ = b.Close() })
	w.send(w.event(float64(n+1), "end"), w.event(float64(n+60), "last"))
	if got := p.waitApplied(t, 0, "end"); !slices.Equal(got, append(want, "end")) {
		t.Errorf("applied %v", got)
	}
	o := &p.plan.Outputs()[0]
	var rows []string
	for range 200 {
		if rows = p.rowsInTopic(t, o); len(rows) > n {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if len(rows) != n+1 || len(slices.Compact(rows)) != n+1 {
		t.Errorf("%d rows, want %d", len(rows), n+1)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if sum := p.account(t); sum.DLQ != 0 || sum.Late != 0 {
		t.Errorf("account %+v", sum)
	}
}

// port is that of an address or URL.
func port(t *testing.T, at string) int {
	t.Helper()
	n, err := strconv.Atoi(at[strings.LastIndexByte(at, ':')+1:])
	if err != nil {
		t.Fatal(err)
	}
	return n
}
