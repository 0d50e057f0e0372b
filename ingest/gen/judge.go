package gen

import (
	"github.com/pinova-group/tidemark/market"
)

// Judge gives verdicts on any input by the written rule of docs/design/0001-contracts.md
// and nothing else: no order, books, release or recovery. It is the second opinion to
// the simulator's own truth and to the sequencer. It remembers every id within twice the
// dedup horizon, so it is for tests.
//
//   - dead letter: the event time is implausible, or further ahead of the ingest time
//     than the feed allows
//   - duplicate: the id was seen before within the feed's horizon
//   - late: event time ≤ max(M − disorder, last watermark record − 1), M the greatest
//     event time before it of the same feed, kind and line; status rows are never late
//
// MaxAhead is the allowance of feeds whose clock is not measured.
type Judge struct {
	feeds    *market.Feeds
	MaxAhead int64
	lines    map[lineKey]int64
	marks    map[lineKey]int64
	ids      map[idKey]int64
	pruneAt  int
}

type lineKey struct {
	feed market.FeedID
	kind market.Kind
	line uint16
}

type idKey struct {
	feed market.FeedID
	kind market.Kind
	id   market.ID
}

// NewJudge makes a judge.
func NewJudge(feeds *market.Feeds) *Judge {
	return &Judge{
		feeds: feeds, MaxAhead: market.Minute, pruneAt: 1 << 16,
		lines: map[lineKey]int64{}, marks: map[lineKey]int64{}, ids: map[idKey]int64{},
	}
}

// Chunk judges the rows of a chunk; the result has a slice for each kind. Watermark
// rows come last in a chunk.
func (j *Judge) Chunk(c *market.Chunk) (out [market.NumKinds][]Verdict) {
	for k, b := range c.Batches {
		if b == nil {
			continue
		}
		for i := range b.N {
			out[k] = append(out[k], j.Row(b, i))
		}
	}
	return out
}

// Row judges row i of a batch. Rows must come in order of arrival.
func (j *Judge) Row(b *market.Batch, i int) Verdict {
	f := j.feeds.Get(b.Feed[i])
	ts := b.EventTS[i]
	if !market.ValidTime(ts) || j.ahead(f, ts, b.IngestTS[i]) {
		return DeadLetter
	}
	key := lineKey{b.Feed[i], b.Kind, b.Shard[i]}
	mark := lineKey{b.Feed[i], market.KindWatermark, b.Shard[i]}
	if b.Kind == market.KindWatermark {
		if m, ok := j.marks[mark]; !ok || ts > m {
			j.marks[mark] = ts
		}
		return Applied
	}
	latest, any := j.lines[key]
	if !any || ts > latest {
		j.lines[key] = ts
	}
	id := idKey{b.Feed[i], b.Kind, b.ID[i]}
	if at, known := j.ids[id]; known && f.Dedup != market.DedupNone && latest-at <= f.DedupHorizon {
		return Duplicate
	}
	j.remember(id, ts, latest-2*f.DedupHorizon)
	if b.Kind == market.KindStatus {
		return Applied
	}
	if m, ok := j.marks[mark]; ok && ts < m || any && ts <= latest-f.Disorder {
		return Late
	}
	return Applied
}

func (j *Judge) ahead(f *market.Feed, ts, ingest int64) bool {
	if ingest == market.NoTime {
		return false
	}
	limit := j.MaxAhead
	if f.ClockKnown {
		limit = f.MaxSkew
	}
	return ts > ingest+f.ClockOffset+limit
}

// remember keeps an id, and now and then lets old ones go.
func (j *Judge) remember(id idKey, ts, old int64) {
	j.ids[id] = ts
	if len(j.ids) < j.pruneAt {
		return
	}
	for k, at := range j.ids {
		if at < old {
			delete(j.ids, k)
		}
	}
	j.pruneAt = max(1<<16, 2*len(j.ids))
}
