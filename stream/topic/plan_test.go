package topic_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/stream/topic"
)

func wanted(t testing.TB, c *topic.Config, views []topic.View, jobs ...string) []topic.Topic {
	t.Helper()
	if ps := c.Check(nil); ps != nil {
		t.Fatal(ps)
	}
	list, err := c.Wanted(nil, views, jobs)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestConfig_Wanted(t *testing.T) {
	c := topic.Config{
		Partitions: 4, Sources: []topic.Source{{Market: "spot", Exchange: "kraken", Kinds: []string{"trade", "book"}}},
		Retention: topic.Retentions{Processed: topic.Forever},
	}
	list := wanted(t, &c, []topic.View{{Name: "bars", Version: 2}}, "features")
	var names []string
	at := map[string]map[string]string{}
	for _, w := range list {
		names = append(names, w.Name)
		at[w.Name] = w.Settings
		if w.Partitions != map[bool]int{true: 1, false: 4}[w.Name == "control" || w.Name == "correction.bars.v2"] || w.Replication != 0 {
			t.Errorf("%+v", w)
		}
	}
	want := "control correction.bars.v2 dlq.spot.orderbook.kraken dlq.spot.trade.kraken feature.bars.v2 late.spot.orderbook.kraken late.spot.trade.kraken ledger.features " +
		"processed.spot.orderbook.kraken processed.spot.trade.kraken raw.spot.orderbook.kraken raw.spot.trade.kraken"
	if strings.Join(names, " ") != want {
		t.Errorf("got  %s\nwant %s", names, want)
	}
	eventTime := map[string]string{
		"cleanup.policy": "delete", "compression.type": "producer", "max.message.bytes": "8388608", "message.timestamp.type": "CreateTime",
		"message.timestamp.before.max.ms": "9223372036854775807", "message.timestamp.after.max.ms": "3600000", "retention.ms": "172800000", "segment.ms": "21600000",
	}
	if d := cmp.Diff(eventTime, at["raw.spot.trade.kraken"]); d != "" {
		t.Error(d)
	}
	for name, want := range map[string][3]string{
		"processed.spot.trade.kraken": {"CreateTime", "-1", "604800000"},
		"late.spot.trade.kraken":      {"LogAppendTime", "2592000000", "324000000"},
		"dlq.spot.trade.kraken":       {"LogAppendTime", "2592000000", "324000000"},
		"feature.bars.v2":             {"CreateTime", "604800000", "75600000"},
		"ledger.features":             {"LogAppendTime", "2592000000", "324000000"},
		"control":                     {"LogAppendTime", "-1", "604800000"},
	} {
		s := at[name]
		if got := [3]string{s["message.timestamp.type"], s["retention.ms"], s["segment.ms"]}; got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

func TestConfig_CheckSaysAllMistakes(t *testing.T) {
	c := topic.Config{Partitions: -1, Replication: 1000, Sources: []topic.Source{
		{Market: "spt", Exchange: "a.b", Kinds: []string{"trdae", "watermark", "book", "orderbook"}},
		{Market: "spot", Exchange: "kraken"},
	}}
	var got []string
	for _, p := range c.Check(nil) {
		got = append(got, p.Where+": "+p.Message)
		if p.Remedy == "" {
			t.Errorf("%s: no remedy", p.Where)
		}
	}
	want := []string{
		"partitions: -1 partitions", "replication: 1000 copies", `sources[0].market: "spt" is not a market`, `sources[0].exchange: "a.b" cannot be the name of an exchange`,
		`sources[0].kinds[0]: "trdae" is not a kind that has topics`, `sources[0].kinds[1]: "watermark" is not a kind that has topics`,
		"sources[0].kinds[3]: orderbook of a.b spt is listed twice", "sources[1].kinds: no kinds",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestRetention_HasUnits(t *testing.T) {
	for text, ms := range map[string]topic.Retention{"48h": 172_800_000, "5d": 432_000_000, "forever": topic.Forever, "1h": 3_600_000} {
		var r topic.Retention
		if err := r.UnmarshalText([]byte(text)); err != nil || r != ms {
			t.Errorf("%s is %d: %v", text, r, err)
		}
		var again topic.Retention
		if err := again.UnmarshalText([]byte(r.String())); err != nil || again != r {
			t.Errorf("%s prints as %s", text, r)
		}
	}
	for _, bad := range []string{"", "48", "0h", "-1", "-5d", "1.5d", "5 d", "5m", "99999d", "d"} {
		var r topic.Retention
		if err := r.UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q is %s", bad, r)
		}
	}
}

func TestPlan_SaysWhatBecomesOfEachTopic(t *testing.T) {
	c := topic.Config{Partitions: 4, Sources: []topic.Source{{Market: "spot", Exchange: "kraken", Kinds: []string{"trade"}}}}
	want := wanted(t, &c, nil)
	have := []topic.Topic{
		{Name: "late.spot.trade.kraken", Partitions: 4, Settings: maps.Clone(want[1].Settings)},
		{Name: "processed.spot.trade.kraken", Partitions: 8, Settings: want[2].Settings},
		{Name: "raw.spot.trade.kraken", Partitions: 4, Settings: maps.Clone(want[3].Settings)},
		{Name: "raw.spot.quote.kraken", Partitions: 8},
	}
	have[0].Settings["flush.ms"] = "1" // what we do not set is not ours
	have[2].Settings["retention.ms"] = "1000"
	delete(have[2].Settings, "segment.ms")
	p := topic.NewPlan(want, have)
	var got []string
	for _, s := range p {
		got = append(got, s.Topic.Name+" "+string(s.Action))
	}
	if d := cmp.Diff([]string{"dlq.spot.trade.kraken create", "late.spot.trade.kraken unchanged", "processed.spot.trade.kraken refuse", "raw.spot.quote.kraken left", "raw.spot.trade.kraken alter"}, got); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]topic.Change{{Key: "retention.ms", From: "1000", To: "172800000"}, {Key: "segment.ms", To: "21600000"}}, p[4].Changes); d != "" {
		t.Error(d)
	}
	if p.Deletes() != nil {
		t.Errorf("a longer retention deletes: %v", p.Deletes())
	}
	for _, is := range []string{"-1", "172800001", ""} {
		have[2].Settings["retention.ms"] = is
		if got := topic.NewPlan(want, have).Deletes(); len(got) != 1 || got[0] != "raw.spot.trade.kraken" {
			t.Errorf("from %q to 2 days deletes in %v", is, got)
		}
	}
	f := fault.From(p.Refused())
	if f.Code != "topic_refused" || len(f.Parts) != 1 || !strings.Contains(f.Parts[0].Remedy, "partitions: 8") {
		t.Errorf("%+v", f)
	}
	if topic.NewPlan(want, nil).Refused() != nil {
		t.Error("refuses to create")
	}
}

// A plan that is carried out leaves nothing to do.
func TestPlan_IsDoneOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := topic.Config{Partitions: rapid.IntRange(1, 8).Draw(t, "n")}
		for _, m := range []string{"spot", "perp"} {
			s := topic.Source{Market: m, Exchange: "x", Kinds: rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"trade", "quote", "orderbook"}), 1, 3, rapid.ID).Draw(t, m)}
			c.Sources = append(c.Sources, s)
		}
		want, err := c.Wanted(nil, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		var have []topic.Topic
		for _, w := range want {
			if rapid.Bool().Draw(t, "there") {
				w.Settings = maps.Clone(w.Settings)
				for _, k := range slices.Sorted(maps.Keys(w.Settings)) {
					if rapid.Bool().Draw(t, "other") {
						w.Settings[k] = "other"
					}
				}
				have = append(have, w)
			}
		}
		p := topic.NewPlan(want, have)
		for _, s := range p {
			switch s.Action {
			case topic.Create:
				have = append(have, s.Topic)
			case topic.Alter:
				i := slices.IndexFunc(have, func(h topic.Topic) bool { return h.Name == s.Topic.Name })
				for _, ch := range s.Changes {
					if have[i].Settings[ch.Key] != ch.From {
						t.Fatalf("%s %s was %s, not %s", s.Topic.Name, ch.Key, have[i].Settings[ch.Key], ch.From)
					}
					have[i].Settings[ch.Key] = ch.To
				}
			}
		}
		if again := topic.NewPlan(want, have); again.Count(topic.Keep) != len(want) || len(again) != len(want) {
			t.Fatalf("%+v", again)
		}
	})
}
