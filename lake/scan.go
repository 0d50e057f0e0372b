package lake

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/internal/objstore"
	"github.com/pinova-group/tidemark/lake/file"
	"github.com/pinova-group/tidemark/market"
)

// DefaultScanMemory is what the decoded rows of a scan may take, in bytes; it is never
// less than minScanMemory.
const (
	DefaultScanMemory = 256 << 20
	minScanMemory     = 64 << 10
)

// Query says which rows of a table are wanted, and what of them.
type Query struct {
	Snapshot int64     // 0: the head of Ref
	Ref      string    // branch or tag, "" for main
	AsOf     time.Time // the head that main had then, instead of Ref; zero: now
	From, To int64     // the row's time, the first number of the sort order, is in [From, To), µs; both 0: all
	// Where has words for strings of the sort order and of the partition; a column that
	// is missing has any.
	Where map[string][]string
	// Late leaves out files of event tables that have no late rows; the other rows of those that have come, too.
	Late    bool
	Columns []string // names, nil for all
	// Apart are the columns of which each value is a history of its own: rows that differ in them come in any order
	// as far as Through, those that do not in the total order. It takes effect when all strings of the sort order
	// are among them, and spares merging what need not be merged.
	Apart   []string
	Memory  int64 // bytes of decoded rows, 0 for DefaultScanMemory
	Workers int   // files decoded at once, 0 for one a CPU
}

// ScanPlan is what a scan will read.
type ScanPlan struct {
	Table    string `json:"table"`
	Snapshot int64  `json:"snapshot_id"`
	Filter   string `json:"filter"`
	Files    int    `json:"files"`       // that may have wanted rows
	Of       int64  `json:"files_total"` // in the snapshot
	Rows     int64  `json:"rows"`        // of these files
	Bytes    int64  `json:"bytes"`       // of these files
	Spans    int    `json:"spans"`       // groups of files that do not overlap in time
	Memory   int64  `json:"memory_bytes"`
	Workers  int    `json:"workers"`
	Decoded  int    `json:"columns_decoded"`
}

// Scan delivers the rows of a query in the total order: by the numbers of the table's sort
// order, then its strings. For events that is (ts, src, inst, epoch, seq). Rows of histories apart (Query.Apart)
// come one history after the other, a slice of time at once. Not for concurrent use.
//
// Files are taken up span by span: spans do not overlap in time. The wanted rows of a
// span are decoded, several files and spans at once, and sorted; a span that does not fit in
// its share of the memory is cut into slices of time. Histories apart that no two files have at
// one time need no sorting: their files are decoded piece by piece, and a slice of time is as many rows as the whole memory
// would take, or half of the default: a reader may have to keep what it makes of them until Through moves. What is held besides are the footers of
// a span's files and a page of each column for each file that is decoded.
type Scan struct {
	plan    ScanPlan
	spec    scanSpec
	spans   []span
	slices  chan *future  // in order; each one is being decoded
	places  chan struct{} // one for each slice that is decoded and not taken
	free    chan *slice   // read to their end; their memory is taken again
	failed  error
	stopped error // of the planner, read when slices is closed
	cancel  context.CancelFunc
	cur     *slice
	through int64
	read    atomic.Int64
}

// scanSpec is what all parts of a scan share.
type scanSpec struct {
	store   objstore.Store
	table   []file.Column
	keys    []file.Key
	where   map[string][]string // strings of the sort order
	out     []string            // wanted columns
	need    []string            // and behind them the ones that the merge compares
	from    int64
	to      int64
	memory  int64
	workers int
	width   int64 // estimated bytes of a decoded row
	nums    []keyColumn
	origin  int   // place of column origin in need, -1
	apart   bool  // histories come apart, and without the columns that the merge compares where they are of one run
	parts   []int // and are told apart by these identity fields of the partition, too
}

// keyColumn is a number of the sort order: its place in need.
type keyColumn struct {
	at       int
	wide     bool
	unsigned bool
}

// span is files whose times overlap one another's and no others'.
type span struct {
	files    []spanFile
	from, to int64 // least time and the one after the greatest
}

// distinct reports whether the files, which are in the order of their first rows, have each history one after the other.
func (sp *span) distinct() bool {
	ends := map[string]int64{}
	for _, f := range sp.files {
		if to, ok := ends[f.part]; ok && f.from < to {
			return false
		}
		ends[f.part] = f.to
	}
	return true
}

type spanFile struct {
	path     string
	size     int64
	rows     int64
	from, to int64
	part     string // what tells histories apart in the partition
}

// Scan plans a scan and begins to read. The caller closes it.
func (t *Table) Scan(ctx context.Context, q Query) (*Scan, error) {
	s := &Scan{through: market.NoTime}
	snap, err := t.snapshotFor(&q)
	if err != nil {
		return nil, err
	}
	if err := s.specify(t, &q); err != nil {
		return nil, err
	}
	s.plan = ScanPlan{Table: t.Name(), Snapshot: snap, Memory: s.spec.memory, Workers: s.spec.workers, Decoded: len(s.spec.need)}
	if snap != 0 {
		if err := s.planFiles(ctx, t, &q, snap); err != nil {
			return nil, err
		}
	}
	ctx, s.cancel = context.WithCancel(ctx)
	s.slices, s.places = make(chan *future, s.spec.workers), make(chan struct{}, s.spec.workers)
	s.free = make(chan *slice, s.spec.workers+1)
	go s.produce(ctx)
	return s, nil
}

// snapshotFor resolves which snapshot a query reads; 0 is an empty table.
func (t *Table) snapshotFor(q *Query) (int64, error) {
	n := 0
	for _, set := range []bool{q.Snapshot != 0, q.Ref != "", !q.AsOf.IsZero()} {
		if set {
			n++
		}
	}
	missing := func(what, remedy string) error {
		return &fault.Error{Code: "no-snapshot", Message: "no such snapshot", Where: t.Name(), Why: what, Remedy: remedy, Exit: fault.ExitNoTable}
	}
	m := t.inner.Metadata()
	switch {
	case n > 1:
		return 0, fault.Usage("snapshot", "a snapshot id, a ref and a time exclude each other", "give one of them")
	case q.Snapshot != 0:
		if m.SnapshotByID(q.Snapshot) == nil {
			return 0, missing(fmt.Sprintf("snapshot %d is not kept", q.Snapshot), "tidemark lake snapshots lists those that are")
		}
		return q.Snapshot, nil
	case !q.AsOf.IsZero():
		at, id := q.AsOf.UnixMilli(), int64(0)
		for e := range m.SnapshotLogs() {
			if e.TimestampMs <= at {
				id = e.SnapshotID
			}
		}
		if id == 0 || m.SnapshotByID(id) == nil {
			return 0, missing("none is kept that was current at "+q.AsOf.UTC().Format(time.RFC3339Nano), "tidemark lake snapshots lists those that are")
		}
		return id, nil
	}
	ref := first(q.Ref, Main)
	for name, r := range m.Refs() {
		if name == ref {
			return r.SnapshotID, nil
		}
	}
	if ref == Main {
		return 0, nil
	}
	return 0, missing("no branch or tag is called "+ref, "tidemark lake snapshots lists branches and tags")
}

// Keys is the sort order of the table's files; nil when it has none.
func (t *Table) Keys() []file.Key {
	if t.id[0] == "processed" {
		return file.EventKeys()
	}
	order := t.inner.SortOrder()
	var keys []file.Key
	for _, f := range order.Fields() {
		name, ok := t.inner.Schema().FindColumnName(f.SourceID())
		if !ok {
			return nil
		}
		keys = append(keys, file.Key{Column: name})
	}
	return keys
}

func (s *Scan) specify(t *Table, q *Query) error {
	cols, err := t.Columns()
	if err != nil {
		return err
	}
	if kind, ok := market.ParseKind(t.id[1]); ok && t.id[0] == "processed" {
		packed(cols, file.Events(nil, kind, true))
	}
	p := &s.spec
	*p = scanSpec{
		store: t.lake.store, table: cols, keys: t.Keys(), where: map[string][]string{}, out: q.Columns, from: q.From, to: q.To,
		memory: q.Memory, workers: q.Workers, origin: -1,
	}
	if p.memory <= 0 {
		p.memory = DefaultScanMemory
	}
	p.memory = max(p.memory, minScanMemory)
	if p.workers <= 0 {
		p.workers = runtime.GOMAXPROCS(0)
	}
	if len(p.keys) == 0 {
		return fmt.Errorf("table %s has no sort order, so its rows have no order to deliver them in", t.Name())
	}
	if p.out == nil {
		for i := range cols {
			p.out = append(p.out, cols[i].Name)
		}
	}
	for _, name := range p.out {
		if p.column(name) == nil {
			var names []string
			for i := range cols {
				names = append(names, cols[i].Name)
			}
			return fault.Usage("column", fmt.Sprintf("table %s has no column %q", t.Name(), name), fault.DidYouMean(name, names))
		}
	}
	p.need = slices.Clone(p.out)
	want := func(name string) int {
		i := slices.Index(p.need, name)
		if i < 0 {
			i = len(p.need)
			p.need = append(p.need, name)
		}
		return i
	}
	var texts []string
	for _, k := range p.keys {
		c := p.column(k.Column)
		if c == nil {
			return fmt.Errorf("table %s: sort column %s is missing", t.Name(), k.Column)
		}
		if c.Type == file.String {
			texts = append(texts, k.Column)
			continue
		}
		p.nums = append(p.nums, keyColumn{at: want(k.Column), wide: c.Type != file.Int, unsigned: k.Unsigned})
	}
	if len(p.nums) == 0 {
		return fmt.Errorf("table %s: no number in the sort order", t.Name())
	}
	if t.id[0] == "processed" && p.column("origin") != nil {
		p.origin = want("origin") // a snapshot over REST may have the key of the delta that it follows
	}
	for name, words := range q.Where {
		switch {
		case slices.Contains(texts, name):
			p.where[name] = words
		case slices.Contains(t.PartitionBy(), Partition{Column: name, Transform: "identity"}):
		default:
			return fault.Usage("filter", fmt.Sprintf("rows of table %s cannot be chosen by %q", t.Name(), name),
				"it is neither in the sort order nor in the partition; filter the rows after the scan")
		}
	}
	p.apart = len(texts) > 0 && p.nums[0].at < len(p.out) && !slices.ContainsFunc(texts, func(name string) bool { return !slices.Contains(q.Apart, name) })
	if p.apart {
		p.parts = t.identities(q.Apart)
	}
	p.width = 14 // what sorting takes
	for _, name := range p.need {
		p.width += width(p.column(name))
	}
	return nil
}

// packed gives columns the encodings that the release has for them: texts that hardly
// repeat are no dictionary.
func packed(cols, release []file.Column) {
	for i := range cols {
		if k := slices.IndexFunc(release, func(c file.Column) bool { return c.Name == cols[i].Name }); k >= 0 {
			cols[i].Encoding = release[k].Encoding
		}
	}
}

func (p *scanSpec) column(name string) *file.Column {
	for i := range p.table {
		if p.table[i].Name == name {
			return &p.table[i]
		}
	}
	return nil
}

// width is about what a value takes in memory.
func width(c *file.Column) int64 {
	switch c.Type {
	case file.Int, file.Boolean:
		return 4
	case file.Binary, file.String:
		if c.Coded() {
			return 4
		}
		return 20
	case file.Decimal:
		return 16
	case file.LongList:
		return 128
	}
	return 8
}

// planFiles asks the manifests which files may have wanted rows.
func (s *Scan) planFiles(ctx context.Context, t *Table, q *Query, snap int64) error {
	timeName := s.spec.need[s.spec.nums[0].at]
	var filter iceberg.BooleanExpression = iceberg.AlwaysTrue{}
	if q.From != 0 || q.To != 0 {
		filter = iceberg.NewAnd(filter, iceberg.GreaterThanEqual(iceberg.Reference(timeName), iceberg.Timestamp(q.From)),
			iceberg.LessThan(iceberg.Reference(timeName), iceberg.Timestamp(q.To)))
	}
	for _, name := range slices.Sorted(keysOf(q.Where)) {
		filter = iceberg.NewAnd(filter, iceberg.IsIn(iceberg.Reference(name), q.Where[name]...))
	}
	if q.Late {
		filter = iceberg.NewAnd(filter, iceberg.EqualTo(iceberg.Reference("late"), true))
	}
	s.plan.Filter = filter.String()
	tasks, err := t.inner.Scan(table.WithSnapshotID(snap), table.WithRowFilter(filter)).PlanFiles(ctx)
	if err != nil {
		return fmt.Errorf("table %s: plan: %w", t.Name(), err)
	}
	if sum := t.inner.SnapshotByID(snap).Summary; sum != nil {
		s.plan.Of = sum.Properties.GetInt64("total-data-files", 0)
	}
	timeID := s.spec.column(timeName).ID
	seen := map[string]bool{}
	spec := t.inner.Spec()
	if slices.ContainsFunc(tasks, func(k table.FileScanTask) bool { return int(k.File.SpecID()) != spec.ID() }) {
		s.spec.parts = nil // a history may have files of both partitions
	}
	var files []spanFile
	for _, k := range tasks {
		path := k.File.FilePath()
		if len(k.DeleteFiles)+len(k.EqualityDeleteFiles)+len(k.DeletionVectorFiles) > 0 {
			return &fault.Error{Code: "row-deletes", Message: "the table has row-level deletes, which are not read", Where: t.Name() + " " + path, Exit: fault.ExitFailed,
				Why: "another tool wrote them", Remedy: "rewrite the table's data files there with copy-on-write (write.delete.mode, write.update.mode, write.merge.mode)"}
		}
		if seen[path] {
			continue // a file is planned in several splits
		}
		seen[path] = true
		f := spanFile{path: path, size: k.File.FileSizeBytes(), rows: k.File.Count(), from: math.MinInt64, to: math.MaxInt64}
		for _, id := range s.spec.parts {
			f.part += fmt.Sprintf("%q ", fmt.Sprint(k.File.Partition()[id]))
		}
		lo, hi := k.File.LowerBoundValues()[timeID], k.File.UpperBoundValues()[timeID]
		if len(lo) == 8 && len(hi) == 8 {
			f.from, f.to = int64(binary.LittleEndian.Uint64(lo)), int64(binary.LittleEndian.Uint64(hi))+1
		}
		files = append(files, f)
		s.plan.Files++
		s.plan.Rows += f.rows
		s.plan.Bytes += f.size
	}
	slices.SortFunc(files, func(a, b spanFile) int {
		return cmp.Or(cmp.Compare(a.from, b.from), strings.Compare(a.path, b.path))
	})
	for _, f := range files {
		if n := len(s.spans); n > 0 && f.from < s.spans[n-1].to {
			s.spans[n-1].files = append(s.spans[n-1].files, f)
			s.spans[n-1].to = max(s.spans[n-1].to, f.to)
			continue
		}
		s.spans = append(s.spans, span{files: []spanFile{f}, from: f.from, to: f.to})
	}
	s.plan.Spans = len(s.spans)
	return nil
}

// Plan is what the scan reads.
func (s *Scan) Plan() ScanPlan { return s.plan }

// BytesRead counts the bytes that were asked of storage so far. Safe for concurrent use.
func (s *Scan) BytesRead() int64 { return s.read.Load() }

// Columns are the columns of the batches.
func (s *Scan) Columns() []file.Column {
	cols := make([]file.Column, len(s.spec.out))
	for i, name := range s.spec.out {
		cols[i] = *s.spec.column(name)
	}
	return cols
}

// Next gives the next rows, nil after the last ones. The batch is valid until the next call.
func (s *Scan) Next() (*file.Batch, error) {
	for {
		if s.cur != nil {
			if b := s.cur.next(len(s.spec.out)); b != nil {
				if !s.spec.apart {
					s.through = s.cur.last
				} else if s.cur.ended() && s.cur.to != market.NoTime {
					s.through = s.cur.to
				}
				return b, nil
			}
			s.free <- s.cur // never blocks: there are no more slices
			s.cur = nil
		}
		if s.failed != nil {
			return nil, s.failed
		}
		f, ok := <-s.slices
		if !ok {
			return nil, s.stopped
		}
		<-f.done
		<-s.places
		if s.failed = f.err; f.err == nil {
			s.cur = f.slice
		}
	}
}

// Through is the time below which all rows have been delivered, that of the last row unless histories come apart;
// market.NoTime when nothing is known.
func (s *Scan) Through() int64 { return s.through }

// Close ends the scan.
func (s *Scan) Close() {
	s.cancel()
	for f := range s.slices { // the producer ends
		<-f.done
		<-s.places
	}
}

// future is a slice that is being decoded.
type future struct {
	done  chan struct{}
	slice *slice
	err   error
}

// produce finds slice after slice and has them decoded, as many at once as there are workers.
func (s *Scan) produce(ctx context.Context) {
	defer close(s.slices)
	for i := range s.spans {
		if err := s.span(ctx, &s.spans[i]); err != nil {
			s.stopped = err
			return
		}
	}
}

// interval is a slice of time, [from, to).
type interval struct{ from, to int64 }

// timeSlice is a slice of time and the rows in it, nil before they are found.
type timeSlice struct {
	interval
	found *located
}

// span delivers the rows of a span: at once or, where that takes too much memory, in
// slices of time.
func (s *Scan) span(ctx context.Context, sp *span) error {
	p := &s.spec
	iv := interval{from: sp.from, to: sp.to}
	if p.from != 0 || p.to != 0 {
		iv.from, iv.to = max(iv.from, p.from), min(iv.to, p.to)
	}
	readers, err := s.open(ctx, sp)
	if err != nil {
		return err
	}
	todo := []timeSlice{{interval: iv}}
	for len(todo) > 0 {
		iv := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if iv.found == nil {
			if iv.found, err = s.locate(readers, sp, iv.interval); err != nil {
				return err
			}
		}
		l := iv.found
		share := p.memory / int64(p.workers+1)
		rows := share / p.width // of a piece
		if l.single {
			share = max(share, min(p.memory, DefaultScanMemory/2))
		}
		if cut := (int64(l.rows)*p.width + share - 1) / share; cut > 1 && iv.to-iv.from > 1 && iv.from != math.MinInt64 && iv.to != math.MaxInt64 {
			step := max(1, (iv.to-iv.from)/min(cut, iv.to-iv.from))
			parts := len(todo)
			for from := iv.from; from < iv.to; from += step {
				todo = append(todo, timeSlice{interval: interval{from: from, to: min(iv.to, from+step)}})
			}
			if err := iv.cut(todo[parts:]); err != nil {
				return err
			}
			slices.Reverse(todo[parts:]) // the earliest is taken first
			continue
		}
		if l.rows == 0 {
			continue
		}
		pieces := []*located{l}
		if l.single {
			pieces = l.pieces(min(rows, pieceRows))
		}
		for i, piece := range pieces {
			to := market.NoTime
			if i == len(pieces)-1 {
				to = iv.to
			}
			if err := s.start(ctx, piece, to); err != nil {
				return err
			}
		}
	}
	return nil
}

// start has a slice decoded, as soon as there is room for one; to is the time below which all rows have come with it,
// market.NoTime where it is not the last one of its time.
func (s *Scan) start(ctx context.Context, l *located, to int64) error {
	select {
	case s.places <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	f := &future{done: make(chan struct{})}
	select {
	case f.slice = <-s.free:
	default:
		f.slice = &slice{}
	}
	go func() {
		f.err = l.load(ctx, &s.spec, f.slice)
		f.slice.to = to
		close(f.done)
	}()
	s.slices <- f // never blocks: it has as many places
	return nil
}

// source is a file of the store as an io.ReaderAt; it counts what it reads.
type source struct {
	ctx   context.Context //nolint:containedctx // ReadAt takes none
	store objstore.Store
	path  string
	read  *atomic.Int64
}

func (f source) ReadAt(p []byte, off int64) (int, error) {
	f.read.Add(int64(len(p)))
	return f.store.ReadAt(f.ctx, f.path, p, off)
}

// originRank orders rows of one key: a delta, then the snapshots that follow it.
func originRank(word []byte) int { return slices.Index(market.OriginWords, string(word)) }
