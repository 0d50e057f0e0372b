//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pinova-group/tidemark/backfill/verify"
	"github.com/pinova-group/tidemark/internal/exkafka"
	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/stream/broker"
)

// testBrokers starts an embedded broker and gives addresses of a broker and a registry: its own, or those of the real Kafka, which is
// emptied before and after, and of its registry.
func testBrokers(t *testing.T, kafka bool) (addr, registry string) {
	t.Helper()
	b, err := broker.Start(filepath.Join(t.TempDir(), "broker"), broker.Options{Warn: func(s string) { t.Error(s) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	if !kafka {
		return b.Addr(), b.RegistryURL()
	}
	addr = exkafka.Addr(t)
	emptyKafka(t.Context(), t, addr)
	t.Cleanup(func() { emptyKafka(context.Background(), t, addr) })
	return addr, b.RegistryURL()
}

// verifyLab is a stream that has computed two hours and a bit of two views, and a lake with their events and no rows.
type verifyLab struct {
	t          *testing.T
	addr       string
	config, lk string
}

var labViews = []string{"trade_bars_1m", "breadth_1m"}

func newVerifyLab(t *testing.T, kafka bool) *verifyLab {
	t.Helper()
	dir := t.TempDir()
	addr, registry := testBrokers(t, kafka)
	v := &verifyLab{t, addr, filepath.Join(dir, "tidemark.yaml"), filepath.Join(dir, "lake")}
	text := strings.Replace(fmt.Sprintf(streamConfig, addr, registry), "[trade_bars_1s, book_1s, btc_bars_1s, basis_1s]", "["+strings.Join(labViews, ", ")+"]", 1)
	if err := os.WriteFile(v.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cli(t, fault.ExitDone, "topics", "apply", "--config", v.config)
	events := filepath.Join(dir, "events.jsonl")
	cli(t, fault.ExitDone, "simulate", "-o", events, "--events", "32000", "--rate", "4", "--venues", "alpha", "--disorder", "100ms", "--late", "0.5%", "--kinds", "trade,quote,instrument")
	stop := startStream(t, "--config", v.config, "--state", filepath.Join(dir, "state"), "--snapshot-every", "200ms")
	half := "2026-01-05T01:05:00Z"
	cli(t, fault.ExitDone, "play", "--config", v.config, "--input", events, "--progress", "none", "--to", half, "--close=false")
	for end, tasks := time.Now().Add(time.Minute), map[string]bool{}; len(tasks) < 4; time.Sleep(100 * time.Millisecond) { // each has told something
		if time.Now().After(end) {
			t.Fatalf("told by %v", tasks)
		}
		for _, r := range committed(t, addr, []string{"ledger.features", "ledger.global"}) {
			tasks[fmt.Sprint(r.Topic, r.Partition)] = true
		}
	}
	cli(t, fault.ExitDone, "play", "--config", v.config, "--input", events, "--progress", "none", "--from", half)
	for end := time.Now().Add(time.Minute); ; time.Sleep(200 * time.Millisecond) {
		cli(t, fault.ExitDone, "sink", "--config", v.config, "--lake", v.lk, "--until-caught-up", "--tables", "processed.trade,processed.quote,processed.instrument")
		code, out, errs := v.run()
		if code != fault.ExitDone {
			if time.Now().After(end) || !strings.Contains(errs, "no hour") { // nothing is there yet
				t.Fatal(errs)
			}
			continue
		}
		r := v.report(out)
		if compared(r) >= 4 { // two hours of two views
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
	return v
}

// run verifies the topics.
func (v *verifyLab) run(more ...string) (code int, out, errs string) {
	var o, e bytes.Buffer
	a := &app{color: "never", in: strings.NewReader(""), out: &o, err: &e, now: time.Now}
	args := append([]string{"verify"}, labViews...)
	code = a.execute(v.t.Context(), append(append(args, "--config", v.config, "--lake", v.lk, "--broker", "--json"), more...))
	return code, o.String(), e.String()
}

func (v *verifyLab) report(out string) *verify.Report {
	v.t.Helper()
	r := &verify.Report{}
	if err := json.Unmarshal([]byte(out), r); err != nil {
		v.t.Fatal(err)
	}
	return r
}

// verdicts are those of the hours of a view.
func (v *verifyLab) verdicts(want int, view string, more ...string) (list []verify.Verdict) {
	v.t.Helper()
	code, out, errs := v.run(more...)
	if code != want {
		v.t.Fatalf("exit %d, want %d: %s%s", code, want, out, errs)
	}
	for _, h := range v.report(out).Hours {
		if strings.HasPrefix(h.View, view) {
			list = append(list, h.Verdict)
		}
	}
	return list
}

// cut deletes the records of a topic that are there before the first one that stays says so, in the partitions named or all.
func (v *verifyLab) cut(topic string, stays func(*kgo.Record) bool, partitions ...int32) {
	t := v.t
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(v.addr))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	ends, err := adm.ListCommittedOffsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	first := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if len(partitions) == 0 || slices.Contains(partitions, o.Partition) {
			first[o.Partition] = o.Offset
		}
	})
	for _, r := range committed(t, v.addr, []string{topic}) {
		if at, ok := first[r.Partition]; ok && stays(r) {
			first[r.Partition] = min(at, r.Offset)
		}
	}
	at := kadm.Offsets{}
	for p, offset := range first {
		at.AddOffset(topic, p, offset, -1)
	}
	done, err := adm.DeleteRecords(t.Context(), at)
	if err == nil {
		err = done.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func compared(r *verify.Report) (n int) {
	for _, h := range r.Hours {
		if h.Verdict == verify.Equal || h.Verdict == verify.Late {
			n++
		}
	}
	return n
}

func never(*kgo.Record) bool { return false }

// since is a time after the market opens.
func since(d time.Duration) func(*kgo.Record) bool {
	at := time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC).Add(d)
	return func(r *kgo.Record) bool { return !r.Timestamp.Before(at) }
}

// What the stream wrote into its topics is held to history without any table of rows: it is in order, a row that is doubled
// behind the ledger's back is found, and hours that reach beyond what the tasks say are not sealed. What was deleted from the
// topics since is told from what is missing.
func TestVerify_Broker(t *testing.T) {
	proofBrokers(t, func(t *testing.T, kafka bool) {
		v := newVerifyLab(t, kafka)
		const bars, global = "feature.trade_bars_1m.v1", "feature.breadth_1m.v1"
		is := func(what string, got []verify.Verdict, want ...verify.Verdict) {
			t.Helper()
			if n := len(got) - 1; n >= 0 && got[n] == verify.NotSealed {
				got = got[:n]
			}
			for i, w := range want {
				if i < len(got) && w == fine && (got[i] == verify.Equal || got[i] == verify.Late) {
					got[i] = fine
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: %q, want %q", what, got, want)
			}
		}
		some := committed(t, v.addr, []string{bars})[0].Partition
		// Half an hour of one partition; what comes before the market has never been there.
		v.cut(bars, since(30*time.Minute), some)
		is("half an hour of a partition deleted", v.verdicts(fault.ExitDone, "trade_bars_1m"), verify.Gone, fine)
		is("the other view", v.verdicts(fault.ExitDone, "breadth_1m"), fine, fine)
		code, out, _ := v.run()
		h := v.report(out).Hours[0]
		if code != fault.ExitDone || h.Rows == 0 || h.Rows >= h.Served || h.Stream == nil || *h.Stream != h.Served || h.Faults != 0 || !strings.Contains(h.Why, "rows were deleted") {
			t.Errorf("exit %d: %+v", code, h)
		}
		if _, text, _ := v.run("--json=false"); !strings.Contains(text, "not in the topic any more") || strings.Contains(text, "lost") || !strings.Contains(text, "0 missing, 0 different") {
			t.Error(text)
		}
		// All of the first hour.
		v.cut(bars, since(70*time.Minute))
		is("an hour deleted", v.verdicts(fault.ExitDone, "trade_bars_1m"), verify.Gone, verify.Gone)
		is("asked for by time", v.verdicts(fault.ExitDone, "trade_bars_1m", "--from", "2026-01-05T00:00:00Z", "--to", "2026-01-05T01:00:00Z"), verify.Gone)
		// Where the ledger has lost its beginning, rows are held to history alone.
		later := func(r *kgo.Record) bool { return r.Offset > 0 }
		v.cut("ledger.global", later)
		v.cut("ledger.features", later)
		_, out, _ = v.run()
		for _, h := range v.report(out).Hours {
			if h.Hour == "2026-01-05T00:00:00Z" && (h.Stream != nil || !h.Verdict.OK()) {
				t.Errorf("%+v", h)
			}
		}
		is("ledger cut", v.verdicts(fault.ExitDone, "breadth_1m"), fine, fine)
		is("topic and ledger cut", v.verdicts(fault.ExitDone, "trade_bars_1m", "--from", "2026-01-05"), verify.Gone, verify.Gone)
		v.cut(global, never)
		is("everything deleted", v.verdicts(fault.ExitDone, "breadth_1m", "--from", "2026-01-05"), verify.Gone, verify.Gone)

		// A row that is there twice is a fault wherever it is.
		recs := committed(t, v.addr, []string{bars})
		one := recs[slices.IndexFunc(recs, func(r *kgo.Record) bool { return !since(100*time.Minute)(r) && since(90*time.Minute)(r) })]
		cl, err := kgo.NewClient(kgo.SeedBrokers(v.addr), kgo.RecordPartitioner(kgo.ManualPartitioner()))
		if err != nil {
			t.Fatal(err)
		}
		defer cl.Close()
		if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: one.Topic, Partition: one.Partition, Key: one.Key, Value: one.Value, Headers: one.Headers, Timestamp: one.Timestamp}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		is("a row twice", v.verdicts(fault.ExitDifference, "trade_bars_1m", "--from", "2026-01-05"), verify.Gone, verify.Different)
		code, out, _ = v.run()
		i := slices.IndexFunc(v.report(out).Hours, func(h verify.Hour) bool { return !h.Verdict.OK() })
		if h := v.report(out).Hours[i]; code != fault.ExitDifference || h.Faults != 1 || h.First[0].What != "doubled" || !strings.Contains(h.Why, "1 rows of the topic") {
			t.Errorf("%+v", h)
		}
	})
}

const fine verify.Verdict = "equal or served as it should be"
