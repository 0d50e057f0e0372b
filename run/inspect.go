package run

import (
	"context"
	"errors"
	"io"
	"math"
	"sort"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/canon"
	"github.com/pinova-group/tidemark/run/input"
)

// InspectConfig says what to look at.
type InspectConfig struct {
	Specs  []string // files that define kinds
	Inputs []string
	Format string
	Feed   string
	Map    *canon.Map // what the columns of the input are, nil for a known format
}

// Inspection is what is in some files.
type Inspection struct {
	Files       []FileInfo       `json:"files"`
	Lines       []LineInfo       `json:"lines"`
	Instruments []InstrumentInfo `json:"instruments"`
	Bad         []BadInfo        `json:"bad"`
}

// FileInfo is one file.
type FileInfo struct {
	Path        string `json:"path"`
	Format      string `json:"format"`
	Compression string `json:"compression,omitempty"`
	Records     int64  `json:"records"`
	Events      int64  `json:"events"`
	Filtered    int64  `json:"filtered"`
	Bad         int64  `json:"bad"`
	Empty       bool   `json:"empty,omitempty"`
}

// LineInfo is one feed and kind over all files. Disorder is how far an event time lies
// behind the greatest one before it in the same line, in µs, over all events; silence is
// the longest time without an event.
type LineInfo struct {
	Feed        string `json:"feed"`
	Kind        string `json:"kind"`
	Events      int64  `json:"events"`
	Instruments int    `json:"instruments"`
	First       string `json:"first"`
	Last        string `json:"last"`
	Duplicates  int64  `json:"duplicates"`
	Missing     int64  `json:"missing"` // venue numbers that were skipped, or links missing in book chains; at most the greatest int64
	Silence     int64  `json:"silence_us"`
	P50         int64  `json:"disorder_p50_us"`
	P99         int64  `json:"disorder_p99_us"`
	P999        int64  `json:"disorder_p999_us"`
	Max         int64  `json:"disorder_max_us"`
	Declared    int64  `json:"disorder_declared_us"` // the feed's, by which events are judged late
	Ingest      bool   `json:"ingest_time"`          // receive times were recorded

	first, last int64
}

// InstrumentInfo is one instrument.
type InstrumentInfo struct {
	Exchange string `json:"exchange"`
	Market   string `json:"market"`
	Symbol   string `json:"symbol"`
	Events   int64  `json:"events"`
}

// BadInfo counts the rejected records of one reason and tells where the first one lies.
type BadInfo struct {
	Reason string `json:"reason"`
	Count  int64  `json:"count"`
	Input  string `json:"input"`
	Line   int64  `json:"line"`
	Offset int64  `json:"offset"`
	Detail string `json:"detail,omitempty"`
}

// Inspect reads files and tells what is in them. Memory is bounded by instruments and by
// the ids that duplicates are known by.
func Inspect(ctx context.Context, cfg InspectConfig, env Env) (*Inspection, error) {
	in, err := inputOf(EventsConfig{Inputs: cfg.Inputs, Format: cfg.Format, Feed: cfg.Feed}, cfg.Specs, cfg.Map, env)
	if err != nil {
		return nil, err
	}
	r, err := input.Open(in)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if env.Meter != nil {
		progress := r.Progress
		env.Meter.bytes.Store(&progress)
	}
	p := &inspector{feeds: in.Feeds, kinds: in.Kinds, lines: map[market.Src]*lineStat{}, running: map[runKey]int64{}, bad: map[string]*BadInfo{}}
	var ch input.Chunk
	for {
		err := r.Next(ctx, &ch)
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		for _, b := range ch.Batches {
			if b != nil && b.N > 0 {
				p.batch(b)
			}
		}
		for i := range ch.Bad {
			p.reject(&ch.Bad[i])
		}
		if env.Meter != nil {
			env.Meter.Events.Add(int64(ch.Len()))
		}
	}
	return p.result(r.Sources(), in.Insts), nil
}

type runKey struct {
	src   market.Src
	shard uint16
}

// inspector gathers what Inspect tells.
type inspector struct {
	feeds   *market.Feeds
	kinds   *market.Kinds
	lines   map[market.Src]*lineStat
	running map[runKey]int64 // greatest event time of a line
	perInst []int64
	bad     map[string]*BadInfo
}

// lineStat is what is gathered of one feed and kind.
type lineStat struct {
	LineInfo
	feed     *market.Feed
	disorder histogram
	newest   int64
	ids      idSet
	nums     []numbers // by instrument
}

// numbers is what is known of the venue numbers of an instrument.
type numbers struct {
	seen     bool
	lo, hi   uint64
	distinct int64
	broken   int64
}

func (p *inspector) batch(b *market.Batch) {
	var st *lineStat
	var last market.FeedID
	for i := range b.N {
		if st == nil || b.Feed[i] != last {
			last = b.Feed[i]
			st = p.line(last, b.Kind)
		}
		p.event(st, b, i)
	}
}

func (p *inspector) line(f market.FeedID, k market.Kind) *lineStat {
	src := market.MakeSrc(f, k)
	st := p.lines[src]
	if st == nil {
		st = &lineStat{feed: p.feeds.Get(f), newest: market.NoTime}
		st.Feed, st.Kind, st.first, st.last = st.feed.Name, p.kinds.Name(k), math.MaxInt64, math.MinInt64
		p.lines[src] = st
	}
	return st
}

func (p *inspector) event(st *lineStat, b *market.Batch, i int) {
	t := b.EventTS[i]
	st.Events++
	st.first, st.last = min(st.first, t), max(st.last, t)
	st.Ingest = st.Ingest || b.IngestTS[i] != market.NoTime
	k := runKey{market.MakeSrc(b.Feed[i], b.Kind), b.Shard[i]}
	m, ok := p.running[k]
	if ok {
		st.disorder.add(max(0, m-t))
	} else {
		st.disorder.add(0)
	}
	if !ok || t > m {
		p.running[k] = t
	}
	if st.newest != market.NoTime {
		st.Silence = max(st.Silence, t-st.newest)
	}
	st.newest = max(st.newest, t)
	for int(b.Inst[i]) >= len(p.perInst) {
		p.perInst = append(p.perInst, 0)
	}
	p.perInst[b.Inst[i]]++
	if b.Kind == market.KindWatermark {
		return
	}
	for int(b.Inst[i]) >= len(st.nums) {
		st.nums = append(st.nums, numbers{})
	}
	n := &st.nums[b.Inst[i]]
	if st.ids.has(b.ID[i]) {
		st.Duplicates++
		n.seen = true
		return
	}
	n.count(st.feed, b, i)
}

// count follows the venue numbers of an instrument: of trades that rise by one, those
// that are missing; of book chains, links that do not fit.
func (n *numbers) count(f *market.Feed, b *market.Batch, i int) {
	n.seen = true
	if !b.HasSeq[i] {
		return
	}
	seq := b.Seq[i]
	if b.Kind == market.KindBook && n.distinct > 0 {
		first, prev := &b.Cols[market.BookFirstSeq], &b.Cols[market.BookPrevSeq]
		switch {
		case b.Cols[market.BookOrigin].I64[i] != market.OriginDelta:
		case !prev.IsNull(i) && prev.I64[i] >= 0 && uint64(prev.I64[i]) > n.hi,
			prev.IsNull(i) && !first.IsNull(i) && first.I64[i] > 0 && uint64(first.I64[i])-1 > n.hi:
			n.broken++
		}
	}
	if n.distinct == 0 {
		n.lo, n.hi = seq, seq
	}
	n.lo, n.hi = min(n.lo, seq), max(n.hi, seq)
	n.distinct++
	if b.Kind == market.KindTrade && !f.SeqStep {
		n.lo, n.hi, n.distinct = seq, seq, 1 // numbers of this feed say nothing about holes
	}
}

func (p *inspector) reject(b *input.Bad) {
	i := p.bad[b.Reason]
	if i == nil {
		i = &BadInfo{Reason: b.Reason, Input: b.Input, Line: b.Line, Offset: b.Offset, Detail: b.Detail}
		p.bad[b.Reason] = i
	}
	i.Count += int64(b.Count)
}

func (p *inspector) result(sources []*input.Source, insts *market.Instruments) *Inspection {
	out := &Inspection{Files: []FileInfo{}, Lines: []LineInfo{}, Instruments: []InstrumentInfo{}, Bad: []BadInfo{}}
	for _, s := range sources {
		out.Files = append(out.Files, FileInfo{
			Path: s.Path, Format: s.Format, Compression: s.Comp, Records: s.Records, Events: s.Events,
			Filtered: s.Filtered, Bad: s.Bad, Empty: s.Empty,
		})
	}
	for _, st := range p.lines {
		out.Lines = append(out.Lines, st.finish())
	}
	sort.Slice(out.Lines, func(i, j int) bool {
		a, b := &out.Lines[i], &out.Lines[j]
		return a.Feed < b.Feed || a.Feed == b.Feed && a.Kind < b.Kind
	})
	for i, n := range p.perInst {
		if n > 0 {
			in := insts.Get(market.Inst(i))
			out.Instruments = append(out.Instruments, InstrumentInfo{in.Exchange, in.Venue.String(), in.Symbol, n})
		}
	}
	sort.Slice(out.Instruments, func(i, j int) bool {
		a, b := &out.Instruments[i], &out.Instruments[j]
		if a.Events != b.Events {
			return a.Events > b.Events
		}
		return a.Exchange+"\x00"+a.Market+"\x00"+a.Symbol < b.Exchange+"\x00"+b.Market+"\x00"+b.Symbol
	})
	for _, b := range p.bad {
		out.Bad = append(out.Bad, *b)
	}
	sort.Slice(out.Bad, func(i, j int) bool {
		a, b := &out.Bad[i], &out.Bad[j]
		return a.Count > b.Count || a.Count == b.Count && a.Reason < b.Reason
	})
	return out
}

func (st *lineStat) finish() LineInfo {
	l := st.LineInfo
	l.First, l.Last = market.FormatTime(st.first), market.FormatTime(st.last)
	l.Declared = st.feed.Disorder
	l.P50, l.P99, l.P999, l.Max = st.disorder.quantile(0.5), st.disorder.quantile(0.99), st.disorder.quantile(0.999), st.disorder.max
	for i := range st.nums {
		n := &st.nums[i]
		if n.seen {
			l.Instruments++
		}
		switch {
		case l.Kind == market.KindBook.String():
			l.Missing = addMost(l.Missing, n.broken)
		case l.Kind == market.KindTrade.String() && n.distinct > 0 && st.feed.SeqStep:
			l.Missing = addMost(l.Missing, n.missing())
		}
	}
	return l
}

// missing counts the numbers between the least and the greatest one that did not come, at
// most the greatest int64.
func (n *numbers) missing() int64 {
	between, seen := n.hi-n.lo, uint64(n.distinct-1)
	if between <= seen {
		return 0
	}
	return int64(min(between-seen, math.MaxInt64))
}

// addMost adds two counts; a sum that does not fit is the greatest int64.
func addMost(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}
