package gen

import (
	"errors"
	"fmt"
	"slices"

	"github.com/pinova-group/tidemark/market"
)

// Config says what market to simulate and what goes wrong with it. Times and durations
// are microseconds, shares are parts per million.
type Config struct {
	Seed  uint64
	Start int64 // event time of the first event

	// The run ends after Events market events or Duration of event time, whichever is
	// first; 0 means no such bound. Faults add to the events (duplicates, corrupt
	// copies) or take from them (gaps).
	Events   int64
	Duration int64
	Rate     int64 // market events per second, all venues together, about

	Venues  []string       // venue x has feed sim-x
	Markets []market.Venue // spot, perp
	Symbols []string       // by falling activity
	Zipf    int            // exponent of the activity in thousandths
	Kinds   []market.Kind  // what is written; the market behind it is the same

	Depth         int   // book levels of a side
	SnapshotEvery int64 // between snapshots of a book; 0 or Untimed: only at the start and after holes
	Heartbeat     int64 // between watermark rows of a line; 0: none
	Lines         int   // connections of a venue; instruments are spread over them
	Resolution    int64 // of event times; venues that send milliseconds have 1000

	Delay    int64 // from event to receipt, at least
	Disorder int64 // delay varies by up to this much

	Duplicates int // share of events that come a second time within a second
	Late       int // share of trades and quotes that come more than the feed's disorder late
	Gaps       int // share of trades and book deltas that never come
	Corrupt    int // events of which a broken copy comes too, as a share

	Outages     []Outage
	Skews       []Skew
	TickChanges []TickChange

	// Untimed leaves out the event time of spot quotes and spot snapshots, as Binance
	// does; the reader assumes the receive time.
	Untimed bool
	Rows    int // rows of a chunk
}

// Outage is a lost connection: nothing of the venue is received for a while, and what
// happened meanwhile is missing.
type Outage struct {
	Venue   string
	At, For int64 // after Start
}

// Skew sets the venue's clock off from At on: event times are Offset wrong. A smaller
// offset after a greater one is a clock that steps back.
type Skew struct {
	Venue      string
	At, Offset int64
}

// TickChange makes the price step of a symbol ten times coarser, everywhere.
type TickChange struct {
	Symbol string
	At     int64 // after Start
}

// margin keeps events that are meant to be in time away from the edge.
const margin = 2 * market.Millisecond

// DefaultConfig is a clean market of three venues and eight symbols at 1,000 events a
// second, 10,000 events long.
func DefaultConfig() Config {
	return Config{
		Seed:    1,
		Start:   1767571200 * market.Second, // 2026-01-05, a Monday
		Events:  10_000,
		Rate:    1000,
		Venues:  []string{"alpha", "beta", "gamma"},
		Markets: []market.Venue{market.Spot, market.Perp},
		Symbols: Symbols(8),
		Zipf:    1100,
		Kinds: []market.Kind{
			market.KindTrade, market.KindQuote, market.KindBook, market.KindFunding,
			market.KindInstrument, market.KindStatus, market.KindWatermark,
		},
		Depth:         10,
		SnapshotEvery: market.Minute,
		Heartbeat:     market.Second,
		Lines:         1,
		Resolution:    1,
		Delay:         20 * market.Millisecond,
		Rows:          4096,
	}
}

// Validate names everything that is wrong with the configuration.
func (c *Config) Validate() error {
	var errs []error
	bad := func(is bool, format string, a ...any) {
		if is {
			errs = append(errs, fmt.Errorf(format, a...))
		}
	}
	bad(!market.ValidTime(c.Start) || c.Duration < 0 || !market.ValidTime(c.Start+c.Duration), "start and duration lie outside of 2000 to 2100")
	bad(c.Events < 0, "events %d is negative", c.Events)
	bad(c.Rate < 1 || c.Rate > 10_000_000, "rate %d is not in 1 to 10,000,000 events per second", c.Rate)
	bad(len(c.Venues) < 1 || len(c.Venues) > 64, "%d venues, 1 to 64 wanted", len(c.Venues))
	bad(len(c.Symbols) < 1 || len(c.Symbols) > 20_000, "%d symbols, 1 to 20,000 wanted", len(c.Symbols))
	bad(len(c.Markets) < 1, "no market, spot or perp wanted")
	for _, m := range c.Markets {
		bad(m != market.Spot && m != market.Perp, "market %s, spot or perp wanted", m)
	}
	errs = append(errs, unique("venue", c.Venues)...)
	errs = append(errs, unique("symbol", c.Symbols)...)
	for _, k := range c.Kinds {
		bad(!simulated(k), "kind %s is not simulated", k)
	}
	bad(!c.has(market.KindTrade) && !c.has(market.KindQuote) && !c.has(market.KindBook), "kinds hold none of trade, quote and book")
	bad(c.Zipf < 0 || c.Zipf > 5000, "zipf exponent %d/1000 is not in 0 to 5", c.Zipf)
	bad(c.Depth < 2 || c.Depth > 1000, "depth %d is not in 2 to 1000", c.Depth)
	bad(c.Lines < 1 || c.Lines > 1024, "lines %d is not in 1 to 1024", c.Lines)
	bad(c.Resolution < 1 || c.Resolution > market.Second, "resolution %d is not in 1 µs to 1 s", c.Resolution)
	bad(c.Delay < 0 || c.Delay > market.Minute, "delay %d is not in 0 to 1 min", c.Delay)
	bad(c.SnapshotEvery < 0 || c.Heartbeat < 0 || c.Disorder < 0, "a duration is negative")
	bad(c.Heartbeat > 0 && c.Heartbeat < 10*market.Millisecond, "heartbeat %d µs is shorter than 10 ms", c.Heartbeat)
	bad(c.Rows < 1 || c.Rows > 1<<20, "chunks of %d rows, 1 to 1,048,576 wanted", c.Rows)
	for _, s := range []struct {
		name string
		ppm  int
	}{{"duplicates", c.Duplicates}, {"late", c.Late}, {"gaps", c.Gaps}, {"corrupt", c.Corrupt}} {
		bad(s.ppm < 0 || s.ppm > 500_000, "share of %s is not in 0 to 50 %%", s.name)
	}
	for _, o := range c.Outages {
		bad(!contains(c.Venues, o.Venue), "outage of venue %q, which is not simulated", o.Venue)
		bad(o.At < 0 || o.For <= 0, "outage of venue %q has no length or starts before the run", o.Venue)
	}
	for _, s := range c.Skews {
		bad(!contains(c.Venues, s.Venue), "skew of venue %q, which is not simulated", s.Venue)
		bad(s.At < 0, "skew of venue %q starts before the run", s.Venue)
	}
	for _, x := range c.TickChanges {
		bad(!contains(c.Symbols, x.Symbol), "tick change of symbol %q, which is not simulated", x.Symbol)
		bad(x.At < 0, "tick change of symbol %q lies before the run", x.Symbol)
	}
	return errors.Join(errs...)
}

// ErrConfig is the error of a configuration whose truth could not be told.
var ErrConfig = errors.New("faults leave no margin")

// checkFeed makes sure that whatever is meant to be in time is in time by the rule of
// the feed, whatever the jitter and however clocks differ and step: a line that starts
// is measured by the other venues' clocks, too.
func (c *Config) checkFeed(venue string, f *market.Feed) error {
	low, high := c.offsets(c.Venues...)
	need := c.Disorder + high - low
	if c.Untimed { // receive times and event times meet in one line
		need = max(0, high-c.Delay) - min(0, low-c.Delay-c.Disorder)
	}
	if need+margin+c.Resolution >= f.Disorder {
		return fmt.Errorf("%w: disorder %d µs and clocks %d µs apart do not fit into the %d µs of feed %s",
			ErrConfig, c.Disorder, high-low, f.Disorder, f.Name)
	}
	if _, high := c.offsets(venue); high+margin > f.MaxSkew+f.ClockOffset+c.Delay {
		return fmt.Errorf("%w: the clock of %s is %d µs ahead, its feed allows %d µs", ErrConfig, venue, high, f.MaxSkew+f.ClockOffset+c.Delay-margin)
	}
	return nil
}

// offsets is the range of the clocks of some venues.
func (c *Config) offsets(venues ...string) (low, high int64) {
	for i, v := range venues {
		skews := c.skews(v)
		first := int64(0)
		if len(skews) > 0 && skews[0].At == 0 {
			first = skews[0].Offset
		}
		if i == 0 {
			low, high = first, first
		}
		low, high = min(low, first), max(high, first)
		for _, s := range skews {
			low, high = min(low, s.Offset), max(high, s.Offset)
		}
	}
	return low, high
}

// skews of a venue in the order of time.
func (c *Config) skews(venue string) []Skew {
	var out []Skew
	for _, s := range c.Skews {
		if s.Venue != venue {
			continue
		}
		i := len(out)
		for i > 0 && out[i-1].At > s.At {
			i--
		}
		out = append(out[:i], append([]Skew{s}, out[i:]...)...)
	}
	return out
}

func (c *Config) has(k market.Kind) bool {
	return slices.Contains(c.Kinds, k)
}

func simulated(k market.Kind) bool {
	switch k {
	case market.KindTrade, market.KindQuote, market.KindBook, market.KindFunding,
		market.KindInstrument, market.KindStatus, market.KindWatermark:
		return true
	}
	return false
}

func contains(list []string, s string) bool {
	return slices.Contains(list, s)
}

func unique(what string, list []string) (errs []error) {
	seen := map[string]bool{}
	for _, s := range list {
		if !market.ValidSymbol(s) {
			errs = append(errs, fmt.Errorf("%s %q may not stand in a path", what, s))
		}
		if seen[s] {
			errs = append(errs, fmt.Errorf("%s %q appears twice", what, s))
		}
		seen[s] = true
	}
	return errs
}
