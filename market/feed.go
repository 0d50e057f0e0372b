package market

import (
	"fmt"
	"sort"
	"sync"

	"github.com/zeebo/xxh3"
)

// FeedID is the permanent number of a feed: 1..2047 from the table below, 2048..4095
// derived from the name of a feed that the table does not know.
type FeedID uint16

// MaxFeeds bounds feed numbers: they take 12 bits.
const MaxFeeds = 4096

// Dedup says by what a feed's duplicates are known.
type Dedup uint8

// The policies.
const (
	DedupID      Dedup = iota // same event id within the horizon
	DedupPayload              // like DedupID, the id being that of the payload with ordinal 0
	DedupNone
)

// Feed is a provider's line of events: what is measured and declared about it decides
// order, lateness and identity, so it is data of the release, not of a run.
type Feed struct {
	ID       FeedID
	Name     string // e.g. binance-usdm
	Exchange string // "" when the feed carries several

	Disorder     int64 // µs that events may be out of order by event time within one line
	AssumedLag   int64 // µs from event to ingest where the ingest time was not recorded
	ClockOffset  int64 // µs to add to an ingest time to get the venue's clock
	ClockKnown   bool  // ClockOffset is measured, 0 included; else MaxAhead is applied in place of MaxSkew
	MaxSkew      int64 // µs that an event time may lie ahead of ingest + offset; ≤ Disorder
	MaxAhead     int64 // µs that an event time may lie ahead of its record's time, and of ingest + offset while that is not measured
	DedupHorizon int64 // µs of event time within which a repeated id is a duplicate
	Dedup        Dedup
	Chained      bool // book events link by first_seq/prev_seq
	SeqStep      bool // trade numbers of an instrument rise by one: a hole is a gap
}

// The feeds of the release. Append only: a number is never reused or changed.
var feedTable = []Feed{
	{ID: 1, Name: "binance-spot", Exchange: "binance", Chained: true, SeqStep: true},
	{ID: 2, Name: "binance-usdm", Exchange: "binance", Chained: true},
	{ID: 3, Name: "binance-coinm", Exchange: "binance", Chained: true},
	{ID: 4, Name: "binance-spot-agg", Exchange: "binance", SeqStep: true},
	{ID: 5, Name: "binance-usdm-agg", Exchange: "binance", SeqStep: true},
	{ID: 6, Name: "binance-coinm-agg", Exchange: "binance", SeqStep: true},
	{ID: 7, Name: "kraken-spot", Exchange: "kraken"},
	{ID: 8, Name: "coinbase-spot", Exchange: "coinbase", Disorder: 500 * Millisecond}, // 480 ms between products, measured
	{ID: 9, Name: "bybit-spot", Exchange: "bybit", Chained: true},
	{ID: 10, Name: "bybit-linear", Exchange: "bybit", Chained: true},
	{ID: 11, Name: "bybit-inverse", Exchange: "bybit", Chained: true},
	{ID: 12, Name: "okx", Exchange: "okx", Chained: true},
	{ID: 13, Name: "tardis-binance-usdm", Exchange: "binance", Chained: true},
	{ID: 14, Name: "tardis", Exchange: ""},
	{ID: 15, Name: "coinbase-tape", Exchange: "coinbase"},
	{ID: 16, Name: "sim-alpha", Exchange: "alpha", Chained: true, SeqStep: true},
	{ID: 17, Name: "sim-beta", Exchange: "beta", Chained: true, SeqStep: true},
	{ID: 18, Name: "sim-gamma", Exchange: "gamma", Chained: true, SeqStep: true},
	{ID: 19, Name: "binance-us-spot", Exchange: "binance-us", Chained: true, SeqStep: true},
	{ID: 20, Name: "binance-us-spot-agg", Exchange: "binance-us", SeqStep: true},
}

// Defaults of a feed that declares nothing else.
const (
	DefaultDisorder     = 250 * Millisecond
	DefaultAssumedLag   = 250 * Millisecond
	DefaultDedupHorizon = 5 * Minute
	DefaultMaxAhead     = Minute
)

// Feeds is the registry of feeds known to a process: the release's table plus those
// met in the input. Safe for concurrent use.
type Feeds struct {
	mu     sync.RWMutex
	byID   [MaxFeeds]*Feed
	byName map[string]FeedID
	seen   []string // unknown names in order of appearance
}

// NewFeeds returns the release's registry.
func NewFeeds() *Feeds {
	r := &Feeds{byName: map[string]FeedID{}}
	for _, f := range feedTable {
		r.add(f)
	}
	return r
}

func (r *Feeds) add(f Feed) *Feed {
	if f.Disorder == 0 {
		f.Disorder = DefaultDisorder
	}
	if f.AssumedLag == 0 {
		f.AssumedLag = DefaultAssumedLag
	}
	if f.DedupHorizon == 0 {
		f.DedupHorizon = DefaultDedupHorizon
	}
	if f.MaxAhead == 0 {
		f.MaxAhead = DefaultMaxAhead
	}
	if f.MaxSkew == 0 || f.MaxSkew > f.Disorder {
		f.MaxSkew = f.Disorder
	}
	r.byID[f.ID], r.byName[f.Name] = &f, f.ID
	return &f
}

// Set declares or changes a feed for this process; a feed with ID 0 gets the number
// that its name has or would get.
func (r *Feeds) Set(f Feed) FeedID {
	if f.ID == 0 {
		f.ID = r.Intern(f.Name)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.add(f).ID
}

// Intern returns the number of a feed by name; an unknown name gets the defaults and a
// number derived from its hash. There is room for 2,048 of them; who takes names from
// outside bounds them before.
func (r *Feeds) Intern(name string) FeedID {
	r.mu.RLock()
	id, ok := r.byName[name]
	r.mu.RUnlock()
	if ok {
		return id
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if id, ok := r.byName[name]; ok {
		return id
	}
	if len(r.seen) == 2048 {
		panic("BUG: feed names from outside are not bounded")
	}
	n := FeedID(2048 + xxh3.HashString(name)%2048)
	for r.byID[n] != nil {
		n = 2048 + (n+1)%2048
	}
	r.seen = append(r.seen, name)
	return r.add(Feed{ID: n, Name: name}).ID
}

// Lookup returns the number of a feed by name, if there is one.
func (r *Feeds) Lookup(name string) (FeedID, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	id, ok := r.byName[name]
	return id, ok
}

// Get returns a feed by number, which must come from Intern or the table. The caller
// must not change it.
func (r *Feeds) Get(id FeedID) *Feed {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.byID[id]
}

// Unknown lists the names that the release's table does not have, sorted.
func (r *Feeds) Unknown() []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	out := append([]string(nil), r.seen...)
	sort.Strings(out)
	return out
}

// Ahead reports whether an event time lies too far ahead of its ingest time to be
// believed. A feed whose clock offset is measured allows its MaxSkew; another one its
// MaxAhead, because recorders are known to run a second behind their exchange.
func (f *Feed) Ahead(ts, ingest int64) bool {
	bound := f.MaxAhead
	if f.ClockKnown {
		bound = f.MaxSkew
	}
	return ts-ingest > f.ClockOffset+bound
}

func (f *Feed) String() string { return fmt.Sprintf("%s(%d)", f.Name, f.ID) }
