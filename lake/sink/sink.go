// Package sink takes sequenced events and puts each into its table of a lake once. It
// knows no Kafka and no files of events: who feeds it says what a commit stands for.
package sink

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/lake"
	"github.com/pinova-group/tidemark/lake/file"
	"github.com/pinova-group/tidemark/market"
)

// DefaultMemory is what rows on their way into files may take, in bytes.
const DefaultMemory = 128 << 20

// Config is how rows are kept and written.
type Config struct {
	Memory int64         // bytes of rows over all open files; 0 for DefaultMemory
	Plain  bool          // new tables get a double beside each decimal
	Kinds  *market.Kinds // nil: those of the release
	// BySymbol is how new tables are partitioned by symbol, beside hour, exchange and
	// market: what lake.BySymbol gives. A table that is there keeps its partition.
	BySymbol []lake.Partition
}

// Counts says what became of the events of one kind.
type Counts struct {
	Added int64 `json:"added"`
	Known int64 `json:"known"` // in the table already, by event id
	Files int64 `json:"files"`
	Bytes int64 `json:"bytes"`
}

// Events writes events into the tables processed.<kind>. A row whose event id is in its
// hour's partition already is left out, so the same events may come any number of times,
// after a crash, too. Rows are kept in memory by partition and become a file each when the
// memory is full, when their hour is long past, and at Commit. Not for concurrent use.
type Events struct {
	lake   *lake.Lake
	conf   Config
	insts  *market.Instruments
	feeds  *market.Feeds
	tables [market.NumKinds]*events
}

// NewEvents makes a sink for events.
func NewEvents(l *lake.Lake, insts *market.Instruments, feeds *market.Feeds, c Config) *Events {
	if c.Memory <= 0 {
		c.Memory = DefaultMemory
	}
	return &Events{lake: l, conf: c, insts: insts, feeds: feeds}
}

// events is one table.
type events struct {
	kind   market.Kind
	table  *lake.Table
	base   int64 // snapshot that known ids are of
	packer *file.Packer
	writer *file.Writer  // the parts' writers are others of it
	cols   []file.Column // the packer's, with the ids of the table
	split  []split       // fields of the table's partition that are by symbol
	fields int           // of the partition
	commit lake.CommitID
	files  []written
	nfiles int // files of the commit so far
	parts  map[partKey]*part
	known  map[hourKey]map[market.ID]struct{} // ids that the table has, nil for none; of the hours of parts
	byInst []*part                            // the part of an instrument's last row
	last   int64                              // greatest time of an in-time row, 0 for none
	newest int64                              // greatest time of a row
	counts Counts
}

// hourKey is a partition of the default kind.
type hourKey struct {
	hour             int64
	exchange, market string
}

// partKey is a partition of the table.
type partKey struct {
	hourKey
	symbol string // where symbols have partitions of their own
	bucket int32  // where buckets of symbols have
}

// split is a field of a partition that is by symbol: identity, or buckets.
type split struct {
	field   int
	buckets int // 0 for identity
}

// part is an open partition: rows that wait for their file.
type part struct {
	key   partKey
	w     *file.Writer
	known map[market.ID]struct{} // ids that the table has
	take  []int32                // rows of the batch at hand
}

// written is a file that waits for the commit.
type written struct {
	file lake.File
	key  partKey
}

// TableName is the table of a kind.
func TableName(kinds *market.Kinds, k market.Kind) string { return "processed." + kinds.Name(k) }

// propKind is the definition of a user-defined kind that a table was made with.
const propKind = "tidemark.kind"

// Definition is how the table of a kind is made; bySymbol comes last in its partition.
func Definition(kinds *market.Kinds, k market.Kind, plain bool, bySymbol ...lake.Partition) lake.Definition {
	d := lake.Definition{
		Columns: file.Events(kinds, k, plain), Doc: "sequenced events of kind " + kinds.Name(k),
		Partition: []lake.Partition{{Column: "ts", Transform: "hour"}, {Column: "exchange", Transform: "identity"}, {Column: "market", Transform: "identity"}},
	}
	d.Partition = append(d.Partition, bySymbol...)
	for _, key := range file.EventKeys() {
		d.Sort = append(d.Sort, key.Column)
	}
	if own := kinds.Definition(k); own != nil {
		d.Properties = map[string]string{propKind: own.String()}
	}
	return d
}

// Add takes sequenced rows of one kind, late ones flagged, in any order. It keeps nothing of b.
func (s *Events) Add(ctx context.Context, b *market.Batch) error {
	if b.N == 0 {
		return nil
	}
	t, err := s.of(ctx, b.Kind)
	if err != nil {
		return err
	}
	packed, err := t.packer.Pack(b)
	if err != nil {
		return fmt.Errorf("%s: %w", TableName(s.conf.Kinds, b.Kind), err)
	}
	if err := s.sort(ctx, t, b); err != nil {
		return err
	}
	for _, p := range t.parts {
		if len(p.take) == 0 {
			continue
		}
		if err := p.w.Append(packed, p.take); err != nil {
			return fmt.Errorf("%s: %w", TableName(s.conf.Kinds, b.Kind), err)
		}
		t.counts.Added += int64(len(p.take))
		p.take = p.take[:0]
	}
	if err := t.closePast(ctx); err != nil {
		return err
	}
	return s.shrink(ctx)
}

// sort finds the partition of each row and drops the known ones.
func (s *Events) sort(ctx context.Context, t *events, b *market.Batch) error {
	for i := range b.N {
		hour := floorHour(b.TS[i])
		h := int(b.Inst[i])
		for h >= len(t.byInst) {
			t.byInst = append(t.byInst, nil)
		}
		p := t.byInst[h]
		if p == nil || p.key.hour != hour {
			inst := s.insts.Get(b.Inst[i])
			var err error
			if p, err = t.part(ctx, t.key(hour, inst)); err != nil {
				return err
			}
			t.byInst[h] = p
		}
		if p.known != nil {
			if _, ok := p.known[b.ID[i]]; ok {
				t.counts.Known++
				continue
			}
		}
		p.take = append(p.take, int32(i))
		t.newest = max(t.newest, b.TS[i])
		if b.Flags[i]&market.FlagLate == 0 {
			t.last = max(t.last, b.TS[i])
		}
	}
	return nil
}

// key is the partition of an instrument's rows of an hour.
func (t *events) key(hour int64, inst market.Instrument) partKey {
	k := partKey{hourKey: hourKey{hour, inst.Exchange, inst.Venue.String()}}
	for _, f := range t.split {
		if f.buckets == 0 {
			k.symbol = inst.Symbol
		} else {
			k.bucket = lake.Bucket(f.buckets, inst.Symbol)
		}
	}
	return k
}

// values are those of the partition's fields that bounds of the rows do not tell.
func (t *events) values(k partKey) []any {
	values := make([]any, t.fields)
	for _, f := range t.split {
		if f.buckets == 0 {
			values[f.field] = k.symbol
		} else {
			values[f.field] = k.bucket
		}
	}
	return values
}

func floorHour(ts int64) int64 {
	h := ts / market.Hour
	if ts%market.Hour < 0 {
		h--
	}
	return h
}

// of finds the table of a kind, and makes it when it is not there.
func (s *Events) of(ctx context.Context, k market.Kind) (*events, error) {
	if t := s.tables[k]; t != nil {
		return t, nil
	}
	tab, plain, cols, err := OpenTable(ctx, s.lake, s.conf.Kinds, k, s.conf.Plain, s.conf.BySymbol...)
	if err != nil {
		return nil, err
	}
	t := &events{kind: k, table: tab, packer: file.NewPacker(s.conf.Kinds, k, plain, s.insts, s.feeds), cols: cols, parts: map[partKey]*part{}, known: map[hourKey]map[market.ID]struct{}{}}
	for i, p := range tab.PartitionBy() {
		if t.fields++; p.Column == "symbol" && (p.Transform == "identity" || p.Buckets() > 0) {
			t.split = append(t.split, split{i, p.Buckets()})
		}
	}
	if t.writer, err = file.NewWriter(t.cols, file.EventKeys()); err != nil {
		return nil, err
	}
	if err := t.begin(tab); err != nil {
		return nil, err
	}
	s.tables[k] = t
	return t, nil
}

// OpenTable finds the table of a kind, or makes it: with doubles beside the decimals when plain is
// set; isPlain says whether the one that is there has them. cols are the columns of its files, those of a
// file.Packer with the ids of the table. bySymbol comes last in the partition of a new one.
func OpenTable(ctx context.Context, l *lake.Lake, kinds *market.Kinds, k market.Kind, plain bool, bySymbol ...lake.Partition) (t *lake.Table, isPlain bool, cols []file.Column, err error) {
	name := TableName(kinds, k)
	tab, err := l.Load(ctx, name)
	if errors.Is(err, lake.ErrNoTable) {
		tab, err = l.Create(ctx, name, Definition(kinds, k, plain, bySymbol...))
		if errors.Is(err, lake.ErrExists) { // another process was faster
			tab, err = l.Load(ctx, name)
		}
	}
	if err != nil {
		return nil, false, nil, err
	}
	if err := CheckKind(tab, kinds, k); err != nil {
		return nil, false, nil, err
	}
	have, err := tab.Columns()
	if err != nil {
		return nil, false, nil, err
	}
	isPlain = slices.ContainsFunc(kinds.Fields(k), func(f market.Field) bool {
		return f.Type == market.TypeDec && slices.ContainsFunc(have, func(c file.Column) bool { return c.Name == f.Name })
	})
	if tab, have, err = grow(ctx, tab, have, kinds, k, isPlain); err != nil {
		return nil, false, nil, err
	}
	cols, err = Fit(tab.Name(), have, file.Events(kinds, k, isPlain))
	return tab, isPlain, cols, err
}

// Fit gives the columns that a program writes the ids that the table has for them: those of the
// release, unless a REST server gave its own. A table of other columns is refused.
func Fit(name string, have, want []file.Column) ([]file.Column, error) {
	refuse := func(what string) error {
		return &fault.Error{Code: "schema", Message: "the table has other columns than this program writes", Where: name, Why: what, Exit: fault.ExitFailed,
			Remedy: "one of them is of another version: use the program that made the table, or a table of its own"}
	}
	if len(have) != len(want) {
		return nil, refuse(fmt.Sprintf("it has %d columns, not %d", len(have), len(want)))
	}
	out := slices.Clone(want)
	for i := range out {
		k := slices.IndexFunc(have, func(h file.Column) bool { return h.Name == out[i].Name })
		switch {
		case k < 0:
			return nil, refuse("it has no column " + out[i].Name)
		case have[k].Type != out[i].Type || have[k].Nullable != out[i].Nullable:
			return nil, refuse(fmt.Sprintf("column %s is %s there and %s here", out[i].Name, have[k].Type, out[i].Type))
		}
		out[i].ID, out[i].Element = have[k].ID, have[k].Element
	}
	return out, nil
}

// begin starts the next commit on a state of the table.
func (t *events) begin(tab *lake.Table) error {
	b, err := tab.Base()
	if err != nil {
		return err
	}
	t.table, t.base, t.commit, t.files, t.nfiles = tab, b.Snapshot, lake.NewCommitID(), nil, 0
	clear(t.parts)
	clear(t.known)
	clear(t.byInst)
	return nil
}

// part opens a partition.
func (t *events) part(ctx context.Context, key partKey) (*part, error) {
	if p := t.parts[key]; p != nil {
		return p, nil
	}
	var err error
	known, ok := t.known[key.hourKey]
	if !ok {
		if known, err = KnownIDs(ctx, t.table, t.base, key.hour, key.exchange, key.market); err != nil {
			return nil, err
		}
		t.known[key.hourKey] = known
	}
	p := &part{key: key, known: known, w: t.writer.Another()}
	t.parts[key] = p
	return p, nil
}

// KnownIDs reads the event ids of an hour, counted from the epoch, of all its symbols, as of a
// snapshot, 0 for that of an empty table; nil when it has none.
func KnownIDs(ctx context.Context, tab *lake.Table, snapshot, hour int64, exchange, venue string) (map[market.ID]struct{}, error) {
	if snapshot == 0 {
		return nil, nil
	}
	sc, err := tab.Scan(ctx, lake.Query{
		Snapshot: snapshot, Columns: []string{"event_id"}, From: hour * market.Hour, To: (hour + 1) * market.Hour,
		Where: map[string][]string{"exchange": {exchange}, "market": {venue}}, Memory: 32 << 20,
	})
	if err != nil {
		return nil, err
	}
	defer sc.Close()
	var ids map[market.ID]struct{}
	for {
		b, err := sc.Next()
		if err != nil {
			return nil, fmt.Errorf("table %s: known events: %w", tab.Name(), err)
		}
		if b == nil {
			return ids, nil
		}
		if ids == nil {
			ids = make(map[market.ID]struct{}, sc.Plan().Rows)
		}
		for i := range b.N {
			if id := b.Cols[0].Text(i); len(id) == len(market.ID{}) {
				ids[market.ID(id)] = struct{}{}
			}
		}
	}
}

// closePast writes the partitions whose hours lie far enough back that hardly a row of
// them will come.
func (t *events) closePast(ctx context.Context) error {
	if t.last == 0 {
		return nil
	}
	var past []*part
	for _, p := range t.parts {
		if p.key.hour < floorHour(t.last)-1 {
			past = append(past, p)
		}
	}
	return t.write(ctx, past)
}

// write makes files of partitions, in a settled order.
func (t *events) write(ctx context.Context, parts []*part) error {
	slices.SortFunc(parts, func(a, b *part) int {
		return cmp.Or(cmp.Compare(a.key.hour, b.key.hour), cmp.Compare(a.key.exchange, b.key.exchange), cmp.Compare(a.key.market, b.key.market),
			cmp.Compare(a.key.bucket, b.key.bucket), cmp.Compare(a.key.symbol, b.key.symbol))
	})
	for _, p := range parts {
		if p.w.Rows() > 0 {
			f, err := t.table.WriteFile(ctx, t.commit, t.nfiles, p.w)
			if err != nil {
				return err
			}
			f.Partition = t.values(p.key)
			t.nfiles++
			t.counts.Files++
			t.counts.Bytes += f.Info.Size
			t.files = append(t.files, written{file: f, key: p.key})
		}
		delete(t.parts, p.key)
		for i := range t.byInst {
			if t.byInst[i] == p {
				t.byInst[i] = nil
			}
		}
	}
	if len(t.known) > 0 {
		open := map[hourKey]bool{}
		for k := range t.parts {
			open[k.hourKey] = true
		}
		maps.DeleteFunc(t.known, func(k hourKey, _ map[market.ID]struct{}) bool { return !open[k] })
	}
	return nil
}

// shrink keeps the memory: what files before have left over goes first, then the largest
// partition becomes a file until all fit.
func (s *Events) shrink(ctx context.Context) error {
	for {
		total := int64(0)
		var of *events
		var largest *part
		for _, t := range s.tables {
			if t == nil {
				continue
			}
			for _, p := range t.parts {
				total += p.w.Size()
				if largest == nil || p.w.Size() > largest.w.Size() {
					of, largest = t, p
				}
			}
		}
		for _, t := range s.tables {
			if t != nil {
				left := t.writer.Left()
				total += left - t.writer.Drop(min(left, total+left-s.conf.Memory))
			}
		}
		if total <= s.conf.Memory || largest.w.Rows() == 0 {
			return nil
		}
		if err := of.write(ctx, []*part{largest}); err != nil {
			return err
		}
	}
}

// Waiting is the number of rows that the next commit would add.
func (s *Events) Waiting() int64 {
	n := int64(0)
	for _, t := range s.tables {
		if t == nil {
			continue
		}
		for _, p := range t.parts {
			n += int64(p.w.Rows())
		}
		for _, f := range t.files {
			n += f.file.Info.Rows
		}
	}
	return n
}

// Counts by kind, of all that was added since the sink was made.
func (s *Events) Counts() map[market.Kind]Counts {
	out := map[market.Kind]Counts{}
	for k, t := range s.tables {
		if t != nil {
			out[market.Kind(k)] = t.counts
		}
	}
	return out
}

// ErrRaced says that another process has put some of the same events into the table
// meanwhile. Nothing of the commit is in the table; adding the events again leaves out the known ones.
var ErrRaced = errors.New("another process has added some of the same events meanwhile")

// Commit writes what waits and makes one commit a table that has new rows. change says
// what it stands for besides; nil for nothing.
func (s *Events) Commit(ctx context.Context, change func(k market.Kind) lake.Change) error {
	for _, t := range s.tables {
		if t == nil {
			continue
		}
		var all []*part
		for _, p := range t.parts {
			all = append(all, p)
		}
		if err := t.write(ctx, all); err != nil {
			return err
		}
		if len(t.files) == 0 {
			continue
		}
		ch := lake.Change{}
		if change != nil {
			ch = change(t.kind)
		}
		for _, f := range t.files {
			ch.Add = append(ch.Add, f.file)
		}
		ch.ValidThrough, ch.Imported = max(ch.ValidThrough, t.last), t.newest
		_, err := t.table.Commit(ctx, lake.Main, t.commit, func(ctx context.Context, b lake.Base) (*lake.Change, error) {
			if err := t.unraced(ctx, s.lake, b); err != nil {
				return nil, err
			}
			return &ch, nil
		})
		if err != nil {
			return err
		}
		tab, err := t.table.Reload(ctx)
		if err != nil {
			return err
		}
		if err := t.begin(tab); err != nil {
			return err
		}
	}
	return nil
}

// unraced looks, where the table has moved on since the known ids were read, whether
// events of this commit have come in.
func (t *events) unraced(ctx context.Context, l *lake.Lake, b lake.Base) error {
	if b.Snapshot == t.base {
		return nil
	}
	byKey := map[hourKey]map[market.ID]struct{}{}
	for _, f := range t.files {
		now, ok := byKey[f.key.hourKey]
		if !ok {
			var err error
			if now, err = KnownIDs(ctx, b.Table, b.Snapshot, f.key.hour, f.key.exchange, f.key.market); err != nil {
				return err
			}
			byKey[f.key.hourKey] = now
		}
		if len(now) == 0 {
			continue
		}
		if err := t.eachID(ctx, l, f.file, func(id market.ID) error {
			if _, ok := now[id]; ok {
				return ErrRaced
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// eachID reads the event ids of a file that was written.
func (t *events) eachID(ctx context.Context, l *lake.Lake, f lake.File, yield func(market.ID) error) error {
	at := slices.IndexFunc(t.cols, func(c file.Column) bool { return c.Name == "event_id" })
	r, err := file.Open(l.ReaderAt(ctx, f.Path), f.Info.Size, f.Path)
	if err != nil {
		return err
	}
	rows, err := r.Read(t.cols[at:at+1], 0, r.Rows())
	if err != nil {
		return err
	}
	for {
		b, err := rows.Next()
		if err != nil || b == nil {
			return err
		}
		for i := range b.N {
			if id := b.Cols[0].Text(i); len(id) == len(market.ID{}) {
				if err := yield(market.ID(id)); err != nil {
					return err
				}
			}
		}
	}
}
