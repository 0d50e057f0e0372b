package stale_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/features/stale"
	"github.com/pinova-group/tidemark/market"
)

const (
	ms   = market.Millisecond
	sec  = market.Second
	mins = market.Minute
	hour = market.Hour
	day  = 1704067200 * sec // 2024-01-01
)

func check(t *testing.T, texts ...string) (*lang.Set, *features.Plan) {
	t.Helper()
	var parsed []*lang.Spec
	for _, text := range texts {
		s, ps := lang.Parse("spec", []byte(text))
		if len(ps) > 0 {
			t.Fatal(ps)
		}
		parsed = append(parsed, s)
	}
	set, ps := lang.Check(parsed, lang.CheckOptions{})
	if len(ps) > 0 {
		t.Fatal(ps)
	}
	p, err := features.CompileSet(set, features.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return set, p
}

// What is stale has closed forms, and its last instant is one at which a row moves: each case
// has a trade that comes late and others that make the row there.
func TestOf_BoundsAreReached(t *testing.T) {
	t.Parallel()
	const head = "view: v\nversion: 1\nfrom: trade\nby: [exchange, market, symbol]\n"
	clock := "view: k\nversion: 1\nfrom: trade\nby: [exchange, market, symbol]\nwindow: {bar: sum(quantity), size: 1000, reset: 1h}\nfeatures:\n  n: count()\n"
	at := day + 10*hour + 17*sec + 250*ms // the late trade
	for name, c := range map[string]struct {
		specs  []string
		others []int64 // further trades
		want   stale.Range
	}{
		"tumbling":       {[]string{head + "window: {tumbling: 1m}\nfeatures:\n  n: count()\n"}, nil, stale.Range{day + 10*hour, day + 10*hour + mins}},
		"origin":         {[]string{head + "window: {tumbling: 1m, origin: '2024-01-01T00:00:17Z'}\nfeatures:\n  n: count()\n"}, nil, stale.Range{day + 10*hour + 17*sec, day + 10*hour + 77*sec}},
		"zone":           {[]string{head + "window: {tumbling: 2h, zone: Asia/Kolkata}\nfeatures:\n  n: count()\n"}, nil, stale.Range{day + 8*hour + 30*mins, day + 10*hour + 30*mins}},
		"carry":          {[]string{head + "window: {tumbling: 10s, carry: 2m}\nempty: flat\nfeatures:\n  n: last(price)\n"}, nil, stale.Range{day + 10*hour + 10*sec, day + 10*hour + 140*sec}},
		"means":          {[]string{head + "window: {tumbling: 1m, carry: 2m}\nfeatures:\n  n: time_mean(price)\n"}, []int64{day + 10*hour + 3*mins - 1}, stale.Range{day + 10*hour, day + 10*hour + 3*mins}},
		"rolling":        {[]string{head + "window: {rolling: 30s, every: 10s}\nfeatures:\n  n: count()\n"}, nil, stale.Range{day + 10*hour + 20*sec, day + 10*hour + 40*sec + 1}},
		"by event":       {[]string{head + "window: {rolling: 30s, every: event}\nfeatures:\n  n: count()\n"}, []int64{at + 30*sec - 1, at + 30*sec}, stale.Range{at, at + 30*sec}},
		"latest":         {[]string{"view: v\nversion: 1\nfrom: trade\nby: [exchange, market]\nwindow: {latest: symbol, every: 1s, max_age: 5s}\nfeatures:\n  n: count()\n"}, nil, stale.Range{day + 10*hour + 18*sec, day + 10*hour + 22*sec + 1}},
		"rows":           {[]string{head + "features:\n  n: quantity\n"}, nil, stale.Range{at, at + 1}},
		"prev":           {[]string{head + "let:\n  p: prev(price, within=1m)\nfeatures:\n  n: p\n"}, []int64{at + mins, at + 2*mins + 1}, stale.Range{at, at + mins + 1}},
		"prev of prev":   {[]string{head + "let:\n  p: prev(price, within=1m)\n  q: prev(p, within=5s)\nfeatures:\n  n: q\n"}, []int64{at + mins, at + mins + 5*sec}, stale.Range{at, at + mins + 5*sec + 1}},
		"since":          {[]string{head + "features:\n  n: since(price > 0, within=1m)\n"}, nil, stale.Range{at, at + mins + 1}},
		"ema":            {[]string{head + "let:\n  e: ema(price, 2)\nreset: 1h\nfeatures:\n  n: e\n"}, []int64{at + 1, day + 11*hour - 1, day + 11*hour}, stale.Range{at, day + 11*hour}},
		"warm-up":        {[]string{head + "let:\n  e: ema(price, 2)\nreset: 1h\nwarmup: 1h\nfeatures:\n  n: e\n"}, []int64{at + 1, day + 12*hour - 1}, stale.Range{at, day + 12*hour}},
		"over time":      {[]string{head + "features:\n  n: count() over 1m\n"}, []int64{at + mins - 1, at + mins}, stale.Range{at, at + mins}},
		"over rows":      {[]string{head + "features:\n  n: count() over 9 rows within 1m\n"}, []int64{at + mins, at + mins + 1}, stale.Range{at, at + mins + 1}},
		"over over":      {[]string{head + "features:\n  n: count(price) over 1m\n  m: min(n) over 1m\n"}, []int64{at + mins - 1, at + 2*mins - 2}, stale.Range{at, at + 2*mins - 1}},
		"bars":           {[]string{head + "window: {bar: count(), size: 2, reset: 1h}\nfeatures:\n  n: sum(price)\n"}, []int64{at + 1, at + 2}, stale.Range{at, day + 11*hour}},
		"sessions":       {[]string{head + "window: {session: 40m, max: 1h}\nfeatures:\n  n: count()\n"}, []int64{at + 30*mins}, stale.Range{at, day + 11*hour}},
		"clock":          {[]string{clock, "view: v\nversion: 1\nfrom: trade\nby: [exchange, market, symbol]\nwindow: {clock: k}\nfeatures:\n  n: count()\n"}, nil, stale.Range{at, day + 11*hour}},
		"clock, filled":  {[]string{clock, "view: v\nversion: 1\nfrom: trade\nby: [exchange, market, symbol]\nwindow: {clock: k}\nempty: nulls\nfeatures:\n  n: count()\n"}, nil, stale.Range{at, at + hour + 1}},
		"view over view": {[]string{head + "window: {tumbling: 1m}\nfeatures:\n  n: count()\n", "view: w\nversion: 1\nfrom: v\nby: [exchange]\nwindow: {rolling: 2m, every: 1m}\nfeatures:\n  n: sum(n)\n"}, nil, stale.Range{day + 10*hour + mins, day + 10*hour + 2*mins + 1}},
		"as of": {[]string{head + "window: {tumbling: 1m}\nfeatures:\n  n: count()\n", "view: w\nversion: 1\nfrom: trade\nby: [exchange]\nwhere: quantity > 0\njoin:\n  v: {view: v, on: [exchange, market, symbol], match: asof, max_age: 1m, strict: true}\nfeatures:\n  n: v.n\n"},
			[]int64{day + 10*hour + 2*mins - 1}, stale.Range{at, day + 10*hour + 2*mins}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set, plan := check(t, c.specs...)
			x := &bazaar{feeds: market.NewFeeds(), insts: market.NewInstruments()}
			feed, inst := x.feeds.Intern("kraken-spot"), x.insts.Intern("kraken", market.Spot, "BTC-USD")
			b := x.of(market.KindTrade)
			for i, ts := range append([]int64{at, at - 10*mins}, c.others...) {
				b.AppendEnvelope(&market.Envelope{Feed: feed, Inst: inst, EventTS: ts, IngestTS: ts, Seq: uint64(i), HasSeq: true})
				for k, f := range b.Fields {
					switch f.Type {
					case market.TypeDec:
						b.Cols[k].AppendDec(int64(100+7*i), 1)
					case market.TypeText:
						b.Cols[k].AppendNullText()
					default:
						b.Cols[k].AppendInt(0)
					}
				}
			}
			x.sort()
			late := event{market.KindTrade, slices.Index(x.log[market.KindTrade].TS, at)}
			views := stale.Of(set.Views, []stale.Change{x.change(late)})
			last := len(views) - 1
			if r := views[last].Rows; len(r) != 1 || len(r[0].Ranges) == 0 || r[0].Ranges[0].From > c.want.From || r[0].Ranges[len(r[0].Ranges)-1] != c.want && name != "view over view" && name != "as of" {
				t.Fatalf("stale %v, want %v", r, c.want)
			}
			ranges := views[last].Rows[0].Ranges
			var whole, before outcome
			log := x.without([]event{late})
			x.compute(t, plan, &x.log, at+3*hour, &whole)
			x.compute(t, plan, &log, at+3*hour, &before)
			var moved []int64
			compare(last, &before, &whole, func(_ []string, ts int64, same bool) {
				if !same {
					moved = append(moved, ts)
				}
				if !same && !in(ranges, ts, 0) {
					t.Errorf("row at %s moved", market.FormatTime(ts))
				}
			})
			if len(moved) == 0 || moved[0] < ranges[0].From || ranges[len(ranges)-1].To != c.want.To {
				t.Fatalf("moved %v, stale %v, want %v", moved, ranges, c.want)
			}
			if m := moved[len(moved)-1]; m != c.want.To-1 && name != "since" && name != "clock, filled" {
				t.Errorf("the last row that moved is at %s, the last instant %s", market.FormatTime(m), market.FormatTime(c.want.To-1))
			}
		})
	}
}

// No range goes beyond the reach that the checker gives (I2), nor before the event.
func TestOf_WithinReach(t *testing.T) {
	t.Parallel()
	m := simulate(t, 1, 50, 1, 1)
	set, plan := compile(t, m.feeds, constructs...)
	g := rand.New(rand.NewPCG(5, 5))
	for range 200 {
		var e event
		for e = m.pick(g, plan); e.kind == market.KindInstrument; e = m.pick(g, plan) { // who is listed has a reach of its own
		}
		c := m.change(e)
		c.From += g.Int64N(day) / 1e3 * 1e3 % (2 * 24 * hour)
		c.To = c.From + 1
		for _, v := range stale.Of(set.Views, []stale.Change{c}) {
			for _, r := range v.Rows {
				from, to := r.Ranges[0].From, r.Ranges[len(r.Ranges)-1].To
				if v.View.Window.Kind == lang.Tumbling {
					from += v.View.Window.Width - 1
				}
				if from < c.From || to-1 > c.From+v.View.Reach {
					t.Errorf("%s: an event at %d makes %v stale, its reach is %d", v.View.Name, c.From, r, v.View.Reach)
				}
			}
		}
	}
}
