package input

import (
	"bytes"
	"container/heap"
	"context"
	"errors"
	"io"
	"math"
	"os"
	"sync/atomic"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/adapters"
)

// Config says what to read and how.
type Config struct {
	Paths    []string // files, as Expand gives them
	Adapters []*adapters.Adapter
	Format   string // name of an adapter or of a family of them; "" or auto: by content
	Feed     string // feed to book events to; "" for the adapter's own choice
	Feeds    *market.Feeds
	Insts    *market.Instruments
	Kinds    *market.Kinds // nil: those of the release
	Stdin    io.Reader
	Rows     int  // rows of a chunk; 0 for 4096
	Places   bool // keep the place of every row, for Chunk.Place, and the text of bad records
	Payloads bool // keep the payload of every row, for Chunk.Payload
}

// placed reports whether rows are to have places.
func (c *Config) placed() bool { return c.Places || c.Payloads }

func (c *Config) env() adapters.Env {
	return adapters.Env{Feeds: c.Feeds, Insts: c.Insts, Kinds: c.Kinds, Feed: c.Feed}
}

// Chunk is a stretch of the merged input in arrival order.
type Chunk struct {
	market.Chunk
	Bad    []Bad  // records rejected on the way
	Ended  []Line // lines that no file has any more
	Lifts  []Lift // what is known of lines beyond the events of the chunk
	Front  int64  // no file goes on before it, market.NoTime when none is left
	Absent bool   // kinds that never came are taken not to come

	places [market.NumKinds][]Place
	bytes  int // of the records in it
}

// chunkBytes is how many bytes of records a chunk may hold: a row can be a book of
// thousands of levels.
const chunkBytes = 4 << 20

func (c *Chunk) full(rows int) bool {
	n := c.Len()
	return n >= rows || len(c.Bad) >= rows || c.bytes >= chunkBytes && n+len(c.Bad) > 0
}

// Place returns where row i of a kind came from; only with Config.Places.
func (c *Chunk) Place(k market.Kind, i int) Place { return c.places[k][i] }

// Payload returns what the venue sent when row i of a kind came; only with Config.Payloads. It is nil
// where that cannot be told, or told apart: in a row of a table, in a payload whose rows of the
// kind have several instruments.
func (c *Chunk) Payload(k market.Kind, i int) *Payload { return c.places[k][i].payload }

// Reset empties the chunk and keeps its memory.
func (c *Chunk) Reset() {
	c.Chunk.Reset()
	clear(c.Bad) // let go of the raw records
	c.Bad, c.Ended, c.Lifts, c.bytes = c.Bad[:0], c.Ended[:0], c.Lifts[:0], 0
	c.Front, c.Absent = market.NoTime, false
	for k := range c.places {
		clear(c.places[k]) // let go of the raw records
		c.places[k] = c.places[k][:0]
	}
}

// Reader merges files by time. One caller at a time; Progress may be asked from others.
type Reader struct {
	cfg     Config
	all     []*source
	queue   queue
	read    atomic.Int64
	total   int64
	bad     func(Bad)
	begin   func(Line)
	ending  []ending
	open    map[Line]int // how many unfinished files hold a line
	now     *Chunk       // chunk being filled
	control bool         // it must end here
	rows    int          // given so far
}

// Open looks at every file: it must be readable; its format and first time are found.
func Open(cfg Config) (*Reader, error) {
	if cfg.Rows == 0 {
		cfg.Rows = 4096
	}
	r := &Reader{cfg: cfg}
	r.bad = func(b Bad) {
		if r.cfg.Places {
			b.Raw = bytes.Clone(b.Raw)
		} else {
			b.Raw = nil
		}
		r.now.Bad = append(r.now.Bad, b)
	}
	r.open = map[Line]int{}
	r.begin = func(l Line) { r.open[l]++ }
	candidates, err := formats(&cfg)
	if err != nil {
		return nil, err
	}
	for _, p := range cfg.Paths {
		s := &source{Source: Source{Path: p, Shard: uint16(len(r.all))}, cfg: &r.cfg, read: &r.read}
		conns, err := s.probe(candidates, len(cfg.Paths) > 1)
		if err != nil {
			r.Close()
			return nil, err
		}
		if st, err := os.Stat(p); err == nil && p != Stdin && r.total >= 0 {
			r.total += st.Size() * int64(max(1, len(conns)))
		} else {
			r.total = -1
		}
		r.all = append(r.all, s.part(conns)...)
	}
	r.queue = append(r.queue, r.all...)
	heap.Init(&r.queue)
	r.read.Store(0) // the probes are no progress
	return r, nil
}

// Sources tells what became of each file so far, in the order of Paths; a capture whose
// connections lie one after the other has one entry for each of them. The feeds in it
// are complete for files that have ended.
func (r *Reader) Sources() []*Source {
	out := make([]*Source, len(r.all))
	for i, s := range r.all {
		out[i] = &s.Source
	}
	return out
}

// Progress returns bytes read (compressed, as they lie in the files) and the size of all
// files, -1 when it is not known. Safe for concurrent use.
func (r *Reader) Progress() (read, total int64) { return r.read.Load(), r.total }

// Close closes the files.
func (r *Reader) Close() {
	for _, s := range r.all {
		s.close()
	}
}

// Next fills a chunk, which it resets first. It returns io.EOF when nothing is left; the
// chunk then is empty.
func (r *Reader) Next(ctx context.Context, ch *Chunk) error {
	ch.Reset()
	r.now, r.control = ch, false
	for {
		if err := r.fill(ctx, ch); err != nil {
			return err
		}
		r.end(ch)
		r.look(ch)
		if ch.Len() > 0 || len(ch.Bad) > 0 || len(ch.Ended) > 0 || len(ch.Lifts) > 0 {
			return nil
		}
		if len(r.queue) == 0 && len(r.ending) == 0 {
			return io.EOF
		}
	}
}

// fill reads on in the file whose time is the smallest, until the chunk is full, must end
// or a line has ended.
func (r *Reader) fill(ctx context.Context, ch *Chunk) error {
	for len(r.queue) > 0 && !ch.full(r.cfg.Rows) && !r.control {
		if err := ctx.Err(); err != nil {
			return err
		}
		s := r.queue[0]
		if !s.started {
			if err := s.begin(); err != nil {
				return err
			}
		}
		if !r.drain(s, r.bound()) {
			heap.Fix(&r.queue, 0)
			continue
		}
		s.close()
		heap.Pop(&r.queue)
		r.ending = append(r.ending, ending{lines: s.Lines, last: s.newest})
		if r.endable() {
			return nil // what follows must not be held back by a line that has ended
		}
	}
	return nil
}

// ending is a file that has been read, whose lines are still to be ended.
type ending struct {
	lines  []Line
	last   int64 // greatest plausible event time in the file
	chunks int   // given since
}

// maxEnding is how many chunks a file's lines may outlive it, lest one wrong time in it
// holds all others back.
const maxEnding = 16

// seam is how far behind its last event a file's lines end: kinds of one file may be in
// different times. Binance's spot quotes bear the clock of who recorded them.
const seam = 10 * market.Second

// due reports whether a line that has ended may be told so: when what comes next lies
// well behind its last event. At the seam of two daily files, events of the second that
// come from before the last event of the first would otherwise be late.
func (r *Reader) due(e *ending) bool {
	return len(r.queue) == 0 || r.queue[0].key > e.last+seam || e.chunks >= maxEnding
}

func (r *Reader) endable() bool {
	for i := range r.ending {
		if r.due(&r.ending[i]) {
			return true
		}
	}
	return false
}

// end moves the lines that are due into the chunk.
func (r *Reader) end(ch *Chunk) {
	keep := r.ending[:0]
	for _, e := range r.ending {
		if !r.due(&e) {
			e.chunks++
			keep = append(keep, e)
			continue
		}
		for _, l := range e.lines {
			if r.open[l]--; r.open[l] == 0 {
				delete(r.open, l)
				ch.Ended = append(ch.Ended, l)
			}
		}
	}
	r.ending = keep
}

// bound is the time up to which the first source may be read: where the next one goes on.
func (r *Reader) bound() int64 {
	t := int64(math.MaxInt64)
	for _, i := range [2]int{1, 2} { // the children of the heap's root
		if i < len(r.queue) {
			t = min(t, r.queue[i].key)
		}
	}
	return t
}

// drain moves events of a source into the chunk until its time passes bound or the chunk
// is full, and reports whether the source has ended. What a record holds beyond the bound
// waits in the source.
func (r *Reader) drain(s *source, bound int64) (ended bool) {
	if s.waiting > 0 {
		r.control = s.take(r.now, bound)
		if s.waiting > 0 || r.control {
			return false
		}
	}
	if s.lift(r.now) {
		r.control = true
		return false
	}
	var before [market.NumKinds]int
	for n := 0; !r.now.full(r.cfg.Rows) && n < 4*r.cfg.Rows; n++ {
		for k, b := range r.now.Batches {
			before[k] = 0
			if b != nil {
				before[k] = b.N
			}
		}
		if err := s.decode(&r.now.Chunk, r.bad); errors.Is(err, io.EOF) {
			s.Empty = s.Records == 0 && s.Bad == 0
			return true
		}
		r.now.bytes += len(s.rec.Data)
		if r.settle(s, &before, bound) {
			return false
		}
		if s.lift(r.now) {
			r.control = true
			return false
		}
	}
	return false
}

// settle looks at the rows that a record has added: rows beyond the bound go to the
// source's waiting rows. It reports whether the source must stop here.
func (r *Reader) settle(s *source, before *[market.NumKinds]int, bound int64) (stop bool) {
	newest, first := int64(math.MinInt64), int64(math.MaxInt64)
	for k, b := range r.now.Batches {
		if b == nil || b.N == before[k] {
			continue
		}
		s.note(b, before[k], r.begin)
		if r.cfg.placed() {
			at := s.place
			at.payload = s.payloadOf(b, before[k])
			for range b.N - before[k] {
				r.now.places[k] = append(r.now.places[k], at)
			}
		}
		for _, t := range b.EventTS[before[k]:] {
			newest, first = max(newest, t), min(first, t)
		}
		r.control = r.control || isControl(market.Kind(k))
	}
	if newest == math.MinInt64 {
		return false // no event in the record
	}
	s.key = first
	s.newest = max(s.newest, newest)
	if newest <= bound {
		return r.control
	}
	for k, b := range r.now.Batches {
		if b == nil || b.N == before[k] {
			continue
		}
		s.pending.BatchOf(b.Kind, b.Fields).AppendRows(b, before[k], b.N)
		s.waiting += b.N - before[k]
		b.Truncate(before[k])
		if r.cfg.placed() {
			s.places[k] = append(s.places[k], r.now.places[k][before[k]:]...)
			r.now.places[k] = r.now.places[k][:before[k]]
		}
	}
	r.control = s.take(r.now, bound)
	return true
}

// queue is a heap of sources by the time of their next event, then by their order.
type queue []*source

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	return q[i].key < q[j].key || q[i].key == q[j].key && q[i].Shard < q[j].Shard
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(*source)) }
func (q *queue) Pop() any {
	old := *q
	s := old[len(old)-1]
	*q = old[:len(old)-1]
	return s
}
