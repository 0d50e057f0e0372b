package sequence

import (
	"fmt"
	"strings"

	"github.com/pinova-group/tidemark/market"
)

// tb is what *testing.T and *rapid.T share.
type tb interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
	Errorf(string, ...any)
}

const (
	ms = market.Millisecond
	t0 = 1_700_000_000 * market.Second // 22:13:20, a multiple of 20 s
)

// world holds registries of a test: feeds a (ids 250 ms), b (100 ms), chained ones and
// a few instruments.
type world struct {
	feeds *market.Feeds
	insts *market.Instruments
	id    map[string]market.FeedID
	inst  []market.Inst
}

func newWorld() *world {
	w := &world{feeds: market.NewFeeds(), insts: market.NewInstruments(), id: map[string]market.FeedID{}}
	for _, f := range []market.Feed{
		{Name: "a", Exchange: "x", Disorder: 250 * ms, DedupHorizon: market.Minute},
		{Name: "b", Exchange: "y", Disorder: 100 * ms, DedupHorizon: market.Second},
		{Name: "step", Exchange: "x", Disorder: 250 * ms, SeqStep: true},
		{Name: "none", Exchange: "x", Disorder: 250 * ms, Dedup: market.DedupNone},
		{Name: "clock", Exchange: "x", Disorder: 250 * ms, ClockKnown: true, ClockOffset: 1000 * ms, MaxSkew: 10 * ms},
		{Name: "book", Exchange: "x", Disorder: 250 * ms, Chained: true},
		{Name: "tape", Exchange: "kraken", Disorder: 250 * ms},
	} {
		w.id[f.Name] = w.feeds.Set(f)
	}
	for _, sym := range []string{"A-USD", "B-USD", "C-USD"} {
		w.inst = append(w.inst, w.insts.Intern("x", market.Spot, sym))
	}
	w.inst = append(w.inst, w.insts.Intern("kraken", market.Spot, "A-USD"))
	return w
}

// ev is one event of a test log.
type ev struct {
	kind   market.Kind
	feed   string
	shard  uint16
	inst   int
	ts     int64
	ingest int64 // 0: not recorded
	seq    uint64
	noSeq  bool
	id     string // "": none
	flags  uint8

	state               int64 // of a status
	origin, first, prev int64 // of a book row; first and prev 0: null
	sum                 int64 // 0: null
	depth               int64 // 0: null
	bids, asks          []int64
}

func (w *world) append(c *market.Chunk, e *ev) {
	b := c.Batch(e.kind)
	env := market.Envelope{
		Feed: w.id[e.feed], Shard: e.shard, Inst: w.inst[e.inst], EventTS: e.ts, IngestTS: e.ingest,
		Seq: e.seq, HasSeq: !e.noSeq && e.seq != 0, Flags: e.flags, RawBytes: 7,
	}
	if e.ingest == 0 {
		env.IngestTS = market.NoTime
	}
	if e.id != "" {
		env.ID, _ = market.EventID(nil, []byte(e.feed+e.kind.String()), []byte(e.id))
	}
	b.AppendEnvelope(&env)
	intOr := func(col int, v int64) {
		if v == 0 {
			b.Cols[col].AppendNull(false)
		} else {
			b.Cols[col].AppendInt(v)
		}
	}
	switch e.kind {
	case market.KindTrade:
		if e.id == "" {
			b.Cols[0].AppendNullText()
		} else {
			b.Cols[0].AppendText([]byte(e.id))
		}
		b.Cols[1].AppendInt(1)
		b.Cols[2].AppendDec(100+e.ts%7, 2)
		b.Cols[3].AppendDec(int64(e.seq), 1)
		b.Cols[4].AppendInt(1)
	case market.KindQuote:
		b.Cols[0].AppendDec(99, 0)
		b.Cols[1].AppendDec(e.ts%5+1, 1)
		b.Cols[2].AppendNull(true)
		b.Cols[3].AppendDec(1, 3)
	case market.KindFunding:
		b.Cols[0].AppendDec(1, 4)
		b.Cols[1].AppendInt(0)
		b.Cols[2].AppendNull(false)
		b.Cols[3].AppendInt(8 * market.Hour)
	case market.KindStatus:
		b.Cols[market.StatusState].AppendInt(e.state)
		b.Cols[market.StatusReason].AppendNullText()
		b.Cols[market.StatusFromSeq].AppendNull(false)
		b.Cols[market.StatusToSeq].AppendNull(false)
	case market.KindBook:
		b.Cols[market.BookOrigin].AppendInt(e.origin)
		intOr(market.BookFirstSeq, e.first)
		intOr(market.BookPrevSeq, e.prev)
		intOr(market.BookChecksum, e.sum)
		intOr(market.BookDepth, e.depth)
		for s, l := range [][]int64{e.bids, e.asks} {
			var p, q []int64
			for i := 0; i+1 < len(l); i += 2 {
				p, q = append(p, l[i]), append(q, l[i+1])
			}
			b.Cols[market.BookBidPrice+2*s].AppendDecs(p, 1)
			b.Cols[market.BookBidQuantity+2*s].AppendDecs(q, 2)
		}
	case market.KindWatermark:
	default:
		panic("helper knows no " + e.kind.String())
	}
}

func (w *world) chunk(evs ...ev) *market.Chunk {
	c := new(market.Chunk)
	for i := range evs {
		w.append(c, &evs[i])
	}
	return c
}

func (w *world) new(t tb, change func(*Config)) *Sequencer {
	t.Helper()
	cfg := DefaultConfig(w.feeds, w.insts)
	if change != nil {
		change(&cfg)
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// push pushes events, each in a chunk of its own, and advances after each.
func (w *world) push(t tb, s *Sequencer, out *Out, evs ...ev) {
	t.Helper()
	for i := range evs {
		if err := s.Push(w.chunk(evs[i])); err != nil {
			t.Fatal(err)
		}
		s.Advance(out)
		balanced(t, s)
	}
}

func balanced(t tb, s *Sequencer) {
	t.Helper()
	if c := s.Counts(); c.In != c.Applied+c.Late+c.Duplicate+c.DLQ+c.Filtered+c.Pending || c.Pending < 0 {
		t.Fatalf("account does not balance: %+v", c)
	}
}

// show prints the rows of a kind, times in ms after t0.
func (w *world) show(b *market.Batch) string {
	if b == nil {
		return ""
	}
	var out strings.Builder
	for i := range b.N {
		if i > 0 {
			out.WriteByte(' ')
		}
		fmt.Fprintf(&out, "%s", w.showRow(b, i))
	}
	return out.String()
}

func (w *world) showRow(b *market.Batch, i int) string {
	at := func(ts int64) string {
		if (ts-t0)%ms == 0 {
			return fmt.Sprint((ts - t0) / ms)
		}
		return fmt.Sprintf("%.3f", float64(ts-t0)/1000)
	}
	out := at(b.TS[i])
	switch b.Kind {
	case market.KindStatus:
		out += ":" + market.StatusWords[b.Cols[0].I64[i]]
		if !b.Cols[market.StatusFromSeq].IsNull(i) {
			out += fmt.Sprintf("[%d-%d]", b.Cols[market.StatusFromSeq].I64[i], b.Cols[market.StatusToSeq].I64[i])
		}
	case market.KindBook:
		out += fmt.Sprintf(":%s%d", "dvrk"[b.Cols[0].I64[i]:][:1], b.Seq[i])
		if b.Epoch[i] > 0 {
			out += fmt.Sprintf("e%d", b.Epoch[i])
		}
	default:
		out += fmt.Sprintf("/%d", b.Seq[i])
	}
	for k, c := range "LCAG" {
		if b.Flags[i]>>k&1 == 1 {
			out += string(c)
		}
	}
	return out
}

func wantShow(t tb, w *world, what string, b *market.Batch, want string) {
	t.Helper()
	if got := w.show(b); got != want {
		t.Errorf("%s:\n got %s\nwant %s", what, got, want)
	}
}

func trade(ts int64, seq uint64) ev {
	return ev{kind: market.KindTrade, feed: "a", ts: t0 + ts*ms, seq: seq, id: fmt.Sprint(seq)}
}
