package stream_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pinova-group/tidemark/ingest/gen"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run"
	"github.com/pinova-group/tidemark/stream/play"
	"github.com/pinova-group/tidemark/stream/record"
	"github.com/pinova-group/tidemark/stream/topic"
)

// lateEvents are the records of the late topics as texts without their place, sorted, and how far events
// missed their watermarks.
func (p *pipeline) lateEvents(t *testing.T) (events []string, missed []int64) {
	t.Helper()
	names := map[string]bool{}
	for _, n := range p.of(topic.Late) {
		names[n] = true
	}
	dec := record.NewEventDecoder(p.schemas, market.NewFeeds(), market.NewInstruments())
	for _, r := range readCommitted(t.Context(), t, p.addr, names) {
		mark, by, err := record.ReadLate(r)
		if err != nil {
			t.Fatal(err)
		}
		var c market.Chunk
		k, err := dec.Decode(t.Context(), r.Value, &c)
		if err != nil {
			t.Fatal(err)
		}
		if ts := c.Batches[k].EventTS[0]; by <= 0 || mark-by != ts {
			t.Errorf("late event of %d missed watermark %d by %d", ts, mark, by)
		}
		events = append(events, fmt.Sprintf("%s/%d %s %x missed %d by %d", r.Topic, r.Partition, r.Key, r.Value, mark, by))
		missed = append(missed, by)
	}
	slices.Sort(events)
	return events, missed
}

// Of a log in which a fifth is late, each late event is in the late topics once, with the watermark that
// it missed and by how much. Another group that sequences the log, in other batches and with restarts, says the
// same of each.
func TestLate_VerdictsAreThoseOfTheLog(t *testing.T) {
	c := gen.DefaultConfig()
	c.Events, c.Venues, c.Symbols, c.Seed = 12_000, c.Venues[:1], gen.Symbols(3), 11
	o := gen.Output{Path: filepath.Join(t.TempDir(), "tape.jsonl"), Format: gen.CanonicalJSONL}
	if err := o.Prepare(&c); err != nil {
		t.Fatal(err)
	}
	if _, err := gen.Write(t.Context(), c, o); err != nil {
		t.Fatal(err)
	}
	kinds := []string{"trade", "quote", "orderbook", "instrument", "funding"}
	sources := []topic.Source{{Market: "spot", Exchange: "alpha", Kinds: kinds}, {Market: "perp", Exchange: "alpha", Kinds: kinds}}
	eachBroker(t, func(t *testing.T, b servers) {
		p := newPipeline(t, b, sources, "trade_bars_1s")
		stop := work(t, p.sequence(t, p.name))
		rep := p.play(t, play.Config{Input: run.EventsConfig{Inputs: []string{o.Path}}, Late: 200_000, Seed: 2})
		p.waitIn(t, rep.Records)
		if err := stop(); err != nil {
			t.Error(err)
		}
		sum := p.account(t)
		once, missed := p.lateEvents(t)
		if sum.In != rep.Records || sum.Late != int64(len(once)) || len(slices.Compact(slices.Clone(once))) != len(once) || sum.Late < rep.Delayed/2 || sum.Late > rep.Delayed {
			t.Errorf("%d late events, %+v, of %d delayed", len(once), sum, rep.Delayed)
		}
		t.Logf("%d of %d late, by %d µs at most", len(once), sum.In, slices.Max(missed))
		first := p.processedLog(t)

		var second []string
		for range 200 {
			j := p.sequence(t, "again-"+p.name)
			j.MaxPoll, j.SnapshotEvery = 97, 20*time.Millisecond
			stop := work(t, j)
			time.Sleep(700 * time.Millisecond)
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			if second, _ = p.lateEvents(t); len(second) >= 2*len(once) {
				break
			}
		}
		var want []string
		for _, x := range once {
			want = append(want, x, x)
		}
		if diff := cmp.Diff(want, second); diff != "" {
			t.Errorf("late events of both groups (-want +got)\n%.2000s", diff)
		}
		for at, log := range p.processedLog(t) {
			if !strings.Contains(at, " events of kind ") {
				continue
			}
			if n := len(first[at]); len(log) != 2*n || !slices.Equal(log[:n], log[n:]) {
				t.Errorf("%s: %d events of one group, %d of both", at, n, len(log))
			}
		}
	})
}
