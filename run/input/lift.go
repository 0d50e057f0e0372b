package input

import (
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/sequence"
)

// A view that reads two kinds is complete only as far as both are. Trades come by the
// thousand where funding comes by the hour, so the sequencer must be told that nothing
// has come: who collects events does it with watermark records. Files often have none;
// then the reader knows it in two ways, and the rest it takes from the clock of a line.
//
//   - A file whose next record lies ahead of the others is known up to there: nothing of
//     that kind comes in its line before that record, less the feed's disorder. This moves
//     no verdict: the record itself says the same once it is read.
//   - A line in which one kind goes on while another is silent is alive, so its silence is
//     one: behind the newest event of the line by idle, nothing of the silent kind is
//     waited for.
//   - A kind that no open file has a line of follows the merge of the files at the same
//     distance; one that never came, only after absent rows, because a file may hold one
//     kind behind the other.
//
// Order books are not lifted: a mark that moves on makes their keyframes, which are rows.
// Lifts of the second sort stand at a place among the records of their file, so verdicts
// do not depend on where chunks are cut.
const (
	idle   = market.Minute      // what an event may lie behind its line and be waited for
	step   = 10 * market.Second // lifts of one kind and line are so far apart at least
	absent = 1 << 20            // rows
)

// Lift says that nothing of a kind comes in a line before a time.
type Lift struct {
	Line
	Kind market.Kind
	To   int64
}

// Tell hands the sequencer what is known beyond the events of the chunk, which have been
// pushed.
func (c *Chunk) Tell(seq *sequence.Sequencer) {
	for _, l := range c.Lifts {
		seq.LiftLine(l.Feed, l.Shard, l.Kind, l.To)
	}
	for _, l := range c.Ended {
		seq.EndLine(l.Feed, l.Shard)
	}
	if c.Front != market.NoTime {
		seq.LiftKinds(c.Front-idle, c.Absent)
	}
}

// progress is how far a file has come in a line.
type progress struct {
	Line
	feed *market.Feed
	at   int64                  // newest event, of those whose time can be believed
	due  int64                  // at which a silent kind is to be lifted
	seen uint32                 // kinds that came
	kind [market.NumKinds]int64 // where the line was when one of the kind came or was lifted
}

func newProgress(l Line, feed *market.Feed) *progress {
	return &progress{Line: l, feed: feed, at: market.NoTime, due: market.NoTime}
}

// note moves the line to a row and reports whether a kind of it may be silent.
func (p *progress) note(k market.Kind, ts, ingest int64) bool {
	if !market.ValidTime(ts) || market.ValidTime(ingest) && p.feed.Ahead(ts, ingest) {
		return false
	}
	p.at = max(p.at, ts)
	p.kind[k] = p.at
	if p.seen&(1<<k) == 0 {
		p.seen |= 1 << k
		p.due = market.NoTime // to be worked out with the new kind
	}
	return p.at >= p.due
}

// lift appends what the records of the file so far say of silent kinds, and reports
// whether there was something. Kinds of which rows wait are not silent.
func (s *source) lift(out *Chunk) (silent bool) {
	if !s.stale {
		return false
	}
	s.stale = false
	for _, l := range s.Lines {
		p := s.known[l]
		if p.at < p.due {
			continue
		}
		p.due = market.NoTime
		first := true
		for k := range market.Kind(market.NumKinds) {
			if p.seen&(1<<k) == 0 || k == market.KindWatermark || k == market.KindBook {
				continue
			}
			if p.at-p.kind[k] >= idle+step && !s.waits(k) {
				p.kind[k] = p.at - idle
				out.Lifts = append(out.Lifts, Lift{l, k, p.kind[k]})
				silent = true
			}
			if d := p.kind[k] + idle + step; first || d < p.due {
				p.due, first = d, false
			}
		}
	}
	return silent
}

func (s *source) waits(k market.Kind) bool {
	b := s.pending.Batches[k]
	return b != nil && s.head[k] < b.N
}

// liftAhead appends how far each kind and line of which rows wait is known.
func (s *source) liftAhead(out *Chunk) {
	for k, b := range s.pending.Batches {
		if b == nil || s.head[k] == b.N || market.Kind(k) == market.KindWatermark || market.Kind(k) == market.KindBook {
			continue
		}
		from := len(out.Lifts)
		for i := s.head[k]; i < b.N; i++ {
			p := s.known[Line{b.Feed[i], b.Shard[i]}]
			if !market.ValidTime(b.EventTS[i]) || market.ValidTime(b.IngestTS[i]) && p.feed.Ahead(b.EventTS[i], b.IngestTS[i]) {
				continue // a dead letter says nothing
			}
			to := b.EventTS[i] - max(p.feed.Disorder, 1) + 1
			at := from
			for at < len(out.Lifts) && out.Lifts[at].Line != p.Line {
				at++
			}
			if at == len(out.Lifts) {
				out.Lifts = append(out.Lifts, Lift{p.Line, market.Kind(k), to})
			}
			out.Lifts[at].To = min(out.Lifts[at].To, to)
		}
	}
}

// look says how far the merge of the files is, and what is known of those ahead of it.
func (r *Reader) look(ch *Chunk) {
	r.rows += ch.Len()
	ch.Absent = r.rows > absent
	for _, s := range r.queue {
		if s.waiting > 0 {
			s.liftAhead(ch)
			s.lift(ch)
		}
	}
	for _, s := range r.queue {
		at := s.key
		if s.started && s.waiting == 0 {
			at = market.NoTime
			for _, p := range s.known {
				at = max(at, p.at)
			}
			if at == market.NoTime {
				ch.Front = market.NoTime
				return
			}
		}
		if ch.Front == market.NoTime || at < ch.Front {
			ch.Front = at
		}
	}
}
