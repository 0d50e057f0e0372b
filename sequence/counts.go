package sequence

import (
	"slices"
	"strings"

	"github.com/pinova-group/tidemark/market"
)

// Counts is the account of rows: In = Applied + Late + Duplicate + DLQ + Filtered +
// Pending after every call (I3). Watermark rows are applied when they come, though no
// row leaves for them; keyframes and status rows that the sequencer writes are in none.
type Counts struct {
	In        int64 `json:"in"`
	Applied   int64 `json:"applied"`
	Late      int64 `json:"late"`
	Duplicate int64 `json:"duplicate"`
	DLQ       int64 `json:"dlq"`
	Filtered  int64 `json:"filtered"`
	Pending   int64 `json:"pending"`
}

// Balanced reports whether every row that came in is in exactly one place.
func (c *Counts) Balanced() bool {
	return c.In == c.Applied+c.Late+c.Duplicate+c.DLQ+c.Filtered+c.Pending
}

// Add adds the account o.
func (c *Counts) Add(o *Counts) {
	c.In += o.In
	c.Applied += o.Applied
	c.Late += o.Late
	c.Duplicate += o.Duplicate
	c.DLQ += o.DLQ
	c.Filtered += o.Filtered
	c.Pending += o.Pending
}

// FeedCounts is the account of one feed.
type FeedCounts struct {
	Feed string
	Counts
}

// Counts is the account of all feeds since the sequencer was new.
func (s *Sequencer) Counts() Counts {
	var sum Counts
	for _, f := range s.feeds {
		sum.Add(&f.counts)
	}
	return sum
}

// CountsByFeed is the account of each feed, sorted by name.
func (s *Sequencer) CountsByFeed() []FeedCounts {
	out := make([]FeedCounts, 0, len(s.feeds))
	for _, f := range s.feeds {
		out = append(out, FeedCounts{Feed: f.feed.Name, Counts: f.counts})
	}
	slices.SortFunc(out, func(a, b FeedCounts) int { return strings.Compare(a.Feed, b.Feed) })
	return out
}

// CountExternal adds what never became a row: bad records and records dropped on
// purpose, as the adapters report them.
func (s *Sequencer) CountExternal(feed market.FeedID, dlq, filtered int64) {
	if dlq == 0 && filtered == 0 {
		return
	}
	c := &s.feed(feed).counts
	c.In += dlq + filtered
	c.DLQ += dlq
	c.Filtered += filtered
}
