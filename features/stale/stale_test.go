package stale_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/features/stale"
	"github.com/pinova-group/tidemark/market"
)

// constructs are views of what no shipped view has.
var constructs = []string{
	"view: sessions\nversion: 1\nfrom: trade\nby: [exchange, market, symbol]\nwindow: {session: 20s, max: 10m}\nfeatures:\n  n: count()\n  v: sum(quantity)\n",
	"view: over_sessions\nversion: 1\nfrom: sessions\nby: [exchange, market]\nwindow: {tumbling: 5m}\nfeatures:\n  n: sum(n)\n",
	"view: by_sessions\nversion: 1\nfrom: trade\nby: [exchange, market, symbol]\nwindow: {clock: sessions, reset: 1h}\nempty: nulls\nfeatures:\n  n: count()\n  v: clock.v\n",
	"view: by_bars\nversion: 1\nfrom: quote\nby: [feed, exchange, market, symbol]\nwindow: {clock: tick_bars, with: {size: 3}, reset: 6h}\nfeatures:\n  n: count()\n",
	"view: filled\nversion: 1\nfrom: trade\nby: [exchange, base]\nwindow: {rolling: 2m, every: 30s}\nempty: flat\nfeatures:\n  p: last(price)\n  n: count()\n",
	"view: means\nversion: 1\nfrom: quote\nby: [exchange, symbol]\nwindow: {rolling: 1m, every: 10s}\nfeatures:\n  p: time_mean(bid_price)\n",
	"view: filled_up\nversion: 1\nfrom: trade_bars_flat_1m\nby: [exchange, market, symbol]\nwindow: {tumbling: 1h, carry: 6h}\nempty: flat\nrollup: all\n",
	"view: each\nversion: 1\nfrom: trade\nby: [exchange, market, symbol]\nwindow: {rolling: 90s, every: event}\nfeatures:\n  n: count()\n  p: mean(price)\n",
	"view: scans\nversion: 1\nfrom: trade\nby: [exchange, market, symbol]\nlet:\n  a: prev(price, within=2m)\n  b: prev(price - a, n=2, within=3m)\n  c: ema(b, 5)\nreset: 6h\nwarmup: 1h\nfeatures:\n  lag: b\n  soft: c\n  s: since(quantity > 1, within=10m)\n  q: prev(c, within=1m)\n",
	"view: nested\nversion: 1\nfrom: scans\nby: [exchange, market, symbol]\nfeatures:\n  m: mean(lag) over 5m\n  d: max(lag - m) over 4 rows within 10m\n  k: prev(d, n=2, within=4m)\n  e: count(k) over 30s\n",
	"view: exact\nversion: 1\nfrom: trade_bars_1m\nby: [exchange, market, symbol]\njoin:\n  o: {view: trade_flow_1m, on: [exchange, market, symbol], match: exact}\n  q: {view: quote, on: [exchange, symbol], match: asof, max_age: 40s, strict: true}\nfeatures:\n  n: trades\n  b: o.buys\n  p: q.bid_price\n",
	"view: york\nversion: 1\nfrom: trade\nby: [exchange, symbol]\nwindow: {tumbling: 6h, zone: America/New_York, carry: 12h}\nempty: flat\nfeatures:\n  n: count()\n  p: last(price)\n",
	"view: over_york\nversion: 1\nfrom: york\nby: [exchange, symbol]\nwindow: {tumbling: 1d, zone: America/New_York}\nrollup: all\n",
	"view: at_features\nversion: 1\nfrom: trade\nby: [exchange, symbol]\nwindow: {tumbling: 5m}\njoin:\n  f: {view: funding, on: [exchange, symbol], match: asof, max_age: 20m}\n  m: {view: fair_price_1s, on: [symbol], match: asof, max_age: 1m}\nfeatures:\n  n: count()\n  r: f.rate\n  d: sum(price - m.fair)\n",
	"view: mixed\nversion: 1\nfrom: {t: trade, s: sessions, q: quote}\nwhere: t.side == buy or s.n > 1 or q.symbol == 'BTC-USDT'\nby: [exchange, symbol]\nwindow: {tumbling: 1m}\nfeatures:\n  n: count()\n  v: sum(s.v)\n",
	"view: members_alone\nversion: 1\nfrom: trade\nby: [exchange, market]\nwindow: {latest: symbol, every: 10s, max_age: 1m, emit: members}\nfeatures:\n  p: price\n",
	"view: received\nversion: 1\nfrom: trade\nby: [market]\nwindow: {latest: exchange, every: 5s, max_age: 30s}\ntime: ingest\nwhere: symbol in ('BTC-USDT', 'ETH-USDT')\nfeatures:\n  n: count()\n  p: median(price)\n",
	"view: listed\nversion: 1\nfrom: trade\nwhere: market == perp and exchange != 'beta'\nby: [exchange, market]\nwindow: {latest: symbol, every: 1m, max_age: 10m, universe: listed}\nfeatures:\n  n: count()\n  live: count(price is not null)\n",
	"view: over_listed\nversion: 1\nfrom: listed\nby: [market]\nwindow: {tumbling: 15m}\nfeatures:\n  n: sum(n)\n",
	"view: joined_members\nversion: 1\nfrom: trade\nby: [market]\nwindow: {latest: symbol, every: 10s, max_age: 1m, emit: members}\njoin:\n  q: {view: quote, on: [symbol], match: asof, max_age: 20s}\nfeatures:\n  p: price - q.bid_price\n  r: rank(price)\n",
	"view: joined_group\nversion: 1\nfrom: trade\nby: [market]\nwindow: {latest: symbol, every: 10s, max_age: 1m}\njoin:\n  q: {view: quote, on: [symbol], match: asof, max_age: 20s}\n  m: {view: breadth_1m, on: [market], match: asof, max_age: 2m}\nfeatures:\n  p: max(price - q.bid_price)\n  u: m.up\n",
}

// tightness is what was seen of the stale rows of a view.
type tightness struct {
	stale, moved  int
	edge, further bool // a row moved that ranges shorter by 1 µs would miss, or the entities of the event alone
}

// spread is the ranges of each entity of a view, as they are asked for.
type spread struct {
	view     *stale.View
	entities map[string][]stale.Range
}

func (s *spread) of(entity []string) []stale.Range {
	name := strings.Join(entity, " ")
	if r, ok := s.entities[name]; ok {
		return r
	}
	var all []stale.Range
	for _, r := range s.view.Rows {
		if r.Key.Has(s.view.View.By, entity) {
			all = append(all, r.Ranges...)
		}
	}
	s.entities[name] = all
	return all
}

func in(rs []stale.Range, ts, short int64) bool {
	return slices.ContainsFunc(rs, func(r stale.Range) bool { return r.From <= ts && ts < r.To-short })
}

// Rows move nowhere but where they are said to be stale, whatever comes late: for every
// shipped view and every construct, on simulated markets. That the ranges are no longer than
// needed shows in rows that move at their very ends, and in those of other entities.
func TestOf_NothingOutsideMoves(t *testing.T) {
	t.Parallel()
	cases := 40
	if testing.Short() {
		cases = 10
	}
	var mu sync.Mutex
	seen := map[string]*tightness{}
	t.Run("markets", func(t *testing.T) {
		for i, c := range []struct{ events, stretch, step, tail int64 }{
			{400, 1, 1, 7 * market.Minute}, {250, 3, market.Second, 7 * market.Minute}, {200, 10, market.Second, 16 * market.Minute},
			{120, 40, 10 * market.Second, 16 * market.Minute}, {70, 200, market.Second, market.Hour}, {60, 600, market.Minute, market.Hour},
			{50, 1500, 30 * market.Second, market.Hour}, {40, 2500, market.Minute, 26 * market.Hour},
		} {
			t.Run(fmt.Sprintf("stretched %d times", c.stretch), func(t *testing.T) {
				t.Parallel()
				m := simulate(t, uint64(100+i), c.events, c.stretch, c.step)
				set, plan := compile(t, m.feeds, constructs...)
				var whole, before outcome
				m.compute(t, plan, &m.log, m.last+c.tail, &whole)
				g := rand.New(rand.NewPCG(uint64(i), 3))
				for range cases {
					var late []event
					var changes []stale.Change
					for range 1 + g.IntN(3) {
						if e := m.pick(g, plan); !slices.Contains(late, e) {
							late, changes = append(late, e), append(changes, m.change(e))
						}
					}
					log := m.without(late)
					m.compute(t, plan, &log, m.last+c.tail, &before)
					views := stale.Of(set.Views, changes)
					mu.Lock()
					for v := range views {
						view := views[v].View
						if seen[view.Name] == nil {
							seen[view.Name] = &tightness{}
						}
						own := &spread{&views[v], map[string][]stale.Range{}}
						at := seen[view.Name]
						compare(v, &before, &whole, func(entity []string, ts int64, same bool) {
							rs := own.of(entity)
							inside := in(rs, ts, 0)
							if inside {
								at.stale++
							}
							if same {
								return
							}
							at.moved++
							if !inside {
								t.Errorf("%s: row of %s at %s (%d) moved and is not stale; changes %v; stale %v", view.Name, entity, market.FormatTime(ts), ts, changes, views[v].Rows)
							}
							at.edge = at.edge || !in(rs, ts, 1)
							at.further = at.further || !slices.ContainsFunc(changes, func(c stale.Change) bool { return shares(view, c.Key, entity) })
						})
					}
					mu.Unlock()
					if t.Failed() {
						return
					}
				}
			})
		}
	})
	for _, n := range slices.Sorted(maps.Keys(seen)) {
		at := seen[n]
		t.Logf("%-22s %7d rows stale, %7d moved: %5.1f %%; at the edge %v, of other entities %v", n, at.stale, at.moved, 100*float64(at.moved)/float64(max(at.stale, 1)), at.edge, at.further)
	}
	if !testing.Short() {
		controls(t, seen)
	}
}

// Negative controls: with ranges shorter by 1 µs, and with the entities of the events alone,
// the test above would have failed.
func controls(t *testing.T, seen map[string]*tightness) {
	for _, n := range []string{
		"trade_bars_1m", "trade_bars_1h", "trade_bars_1d", "trade_bars_flat_1m", "vwap_5m", "notional_24h", "momentum_15m",
		"silent_feeds_1m", "fair_price_1s", "breadth_1m", "notional_rank", "tick_bars", "by_bars", "alts_per_btc", "lead_lag_5m", "exact",
		"joined_members", "filled", "filled_up", "listed", "over_sessions",
	} {
		if seen[n] == nil || !seen[n].edge {
			t.Errorf("%s: no row moved at the end of a range: nothing shows that it is not too long", n)
		}
	}
	for _, n := range []string{"alts_per_btc", "beta_btc_1h", "notional_rank", "venue_deviation_1s", "joined_members"} {
		if seen[n] == nil || !seen[n].further {
			t.Errorf("%s: no row of another entity than that of the event moved", n)
		}
	}
	for n, at := range seen {
		if at.moved == 0 {
			t.Errorf("%s: no row moved", n)
		}
	}
}

// shares reports whether an entity is that of an event, as far as it has its columns.
func shares(v *lang.View, k stale.Key, entity []string) bool {
	for i, c := range v.By {
		if k.Get(c) != entity[i] {
			return false
		}
	}
	return true
}
