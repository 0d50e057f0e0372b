package lake

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/iceberg-go/table"
	"golang.org/x/sync/errgroup"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/lake/file"
	"github.com/pinova-group/tidemark/parity"
)

// Publication replaces rows of feature tables: how anything but the live stream changes
// what readers see. The same id published again finds what is done and does the rest.
type Publication struct {
	ID     CommitID
	Views  []Replacement
	Reason string
	Who    string
	At     int64    // µs; the same each time that this id is published
	Undoes CommitID // the publication that this one undoes
	Inputs string   // what the rows were made of, noted in each table's commit and in the ledger
	// History says, for the ledger, which rows they are: served, without events that came late,
	// corrected, or "" for rows of either.
	History string
	// Known, when not nil, are the publications that the new rows were decided on. Another one that
	// replaced rows of them since ends this one with ErrRaced.
	Known []CommitID
}

// ErrRaced is another publication of the same rows that was faster.
var ErrRaced = errors.New("another publication has replaced rows of the range meanwhile")

// Replacement is what a publication does to one table: all rows of the entities in
// [From, To) give way to Rows.
type Replacement struct {
	Table    string     // feature.…
	From, To int64      // of row_ts, µs
	Entities [][]string // values of the entity columns, the first of the sort order; nil is all
	// Rows hands over the new rows, with the table's columns in their order; it is called
	// again when the table has changed meanwhile. The revisions are set by Publish. nil is no rows.
	Rows func(yield func(*file.Batch) error) error
	// Tell notes in the table that consumers of the view's rows have to be told (Lake.Untold), unless the new rows are as
	// served and replace none: those are the rows that the stream gave them.
	Tell bool
	// Staged are files of the table, on another branch, with more of the new rows. Those whose rows have the right revision
	// already are taken over as they are, but for files below Merge bytes of a partition that has many such; rows of the
	// others are written anew, together.
	Staged []DataFile
	Merge  int64
}

// Published is one row of ops.publications: what a publication did to one table.
type Published struct {
	ID         CommitID
	Table      string
	From, To   int64
	Entities   [][]string
	Revision   int32 // of the new rows: one more than the highest of those replaced, or 0
	Reason     string
	Who        string
	At         int64
	Snapshot   int64 // of the table, 0 when it had expired before it was noted
	Superseded int64 // of the table of superseded rows
	Removed    int64
	Added      int64
	Undoes     CommitID
	Inputs     string // what the rows were made of, as Publication.Inputs
}

// names of columns that a publication has to do with.
const (
	colRowTS       = "row_ts"
	colRevision    = "revision"
	colAvailableAt = "available_at"
	colBy          = "superseded_by"
	colAt          = "superseded_at"
	colVisible     = "visible_from"
)

// propOpen marks, in the very commit that replaces rows, a publication that is not yet in
// ops.publications; the id follows.
const propOpen = "tidemark.publication-open."

// budget of rows that a publication holds in memory, for each of its three outputs.
const publishBudget = 256 << 20

// fewSmall is how many small files of a partition are left as they are: each costs a reader its footer.
const fewSmall = 8

// SupersededColumns are the columns of superseded.… beside a feature table's.
func SupersededColumns() []file.Column {
	return []file.Column{
		{ID: 100001, Name: colBy, Type: file.String, Doc: "publication that replaced the row"},
		{ID: 100002, Name: colAt, Type: file.Timestamptz, Doc: "when it was replaced"},
		{ID: 100003, Name: colVisible, Type: file.Timestamptz, Doc: "since when it had been visible"},
	}
}

// Publish replaces rows. Steps, each one done once however often it is begun: the rows
// that give way are appended to superseded.…, what changes is added to the ledger, then one commit pinned on the state that
// they were read from exchanges them, for each table; then rows in ops.publications tie
// them together: with these the publication is made.
func (l *Lake) Publish(ctx context.Context, p Publication) ([]Published, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	all, err := l.Publications(ctx)
	if err != nil {
		return nil, err
	}
	done := slices.DeleteFunc(slices.Clone(all), func(d Published) bool { return d.ID != p.ID })
	if len(done) == 0 {
		for i := range p.Views {
			d, err := l.replace(ctx, &p, &p.Views[i], all)
			if err != nil {
				return nil, fmt.Errorf("publication %s: %w", p.ID, err)
			}
			done = append(done, d)
		}
		if err := l.record(ctx, done); err != nil {
			return nil, fmt.Errorf("publication %s: %w", p.ID, err)
		}
	}
	for _, d := range done {
		if err := l.closeOpen(ctx, d); err != nil {
			return nil, fmt.Errorf("publication %s: %w", p.ID, err)
		}
	}
	return done, nil
}

func (p *Publication) check() error {
	switch {
	case len(p.ID) != 32 || strings.Trim(string(p.ID), "0123456789abcdef") != "":
		return fault.Usage("publication", fmt.Sprintf("%q is no id of a publication", p.ID), "ids are 32 hexadecimal digits")
	case p.At <= 0:
		return fault.Usage("publication", "a publication without a time", "")
	case len(p.Views) == 0:
		return fault.Usage("publication", "a publication of nothing", "")
	}
	for i, v := range p.Views {
		if !strings.HasPrefix(v.Table, "feature.") {
			return fault.Usage("publication", fmt.Sprintf("table %q is no feature table", v.Table), "rows of other tables are only appended")
		}
		if v.From >= v.To {
			return fault.Usage("publication", fmt.Sprintf("%s: the range [%d, %d) is empty", v.Table, v.From, v.To), "")
		}
		if slices.ContainsFunc(p.Views[:i], func(o Replacement) bool { return o.Table == v.Table }) {
			return fault.Usage("publication", v.Table+" twice in one publication", "make two publications, or one range")
		}
	}
	return nil
}

// closeOpen takes the mark off the table, now that ops.publications has the publication.
func (l *Lake) closeOpen(ctx context.Context, d Published) error {
	t, err := l.Load(ctx, d.Table)
	if err != nil {
		return err
	}
	key := propOpen + string(d.ID)
	_, err = t.change(ctx, "close publication", func(cur *Table) ([]table.Requirement, []table.Update, error) {
		if cur.Property(key) == "" {
			return nil, nil, nil
		}
		return nil, []table.Update{table.NewRemovePropertiesUpdate([]string{key})}, nil
	})
	return err
}

var errMoved = errors.New("rows of the range changed meanwhile")

// replace does what a publication has to do on one table.
func (l *Lake) replace(ctx context.Context, p *Publication, v *Replacement, all []Published) (Published, error) {
	var last error
	for try := range maxAttempts {
		if try > 0 {
			if err := wait(ctx, try); err != nil {
				return Published{}, errors.Join(last, err)
			}
		}
		t, err := l.Load(ctx, v.Table)
		if err != nil {
			return Published{}, err
		}
		d := Published{ID: p.ID, Table: v.Table, From: v.From, To: v.To, Entities: v.Entities, Reason: p.Reason, Who: p.Who, At: p.At, Undoes: p.Undoes, Inputs: p.Inputs}
		if was := t.Property(propOpen + string(p.ID)); was != "" {
			return d, d.resume(t, was)
		}
		if err := l.raced(ctx, p, t, d); err != nil {
			return d, err
		}
		x := replacing{l: l, t: t, p: p, v: v, all: all, d: &d, id: NewCommitID()}
		last = x.run(ctx)
		if !errors.Is(last, errMoved) {
			return d, last
		}
	}
	return Published{}, fmt.Errorf("table %s: %w: %w", v.Table, ErrConflict, last)
}

// raced looks for a publication of the same rows that is not among the known ones: one that
// is recorded, or one that has replaced its rows and is not recorded yet.
func (l *Lake) raced(ctx context.Context, p *Publication, t *Table, d Published) error {
	if p.Known == nil {
		return nil
	}
	other := func(id CommitID) bool { return id != p.ID && !slices.Contains(p.Known, id) }
	all, err := l.Publications(ctx)
	if err != nil {
		return err
	}
	for _, o := range all {
		if other(o.ID) && o.Overlaps(d) {
			return fmt.Errorf("table %s: publication %s: %w", t.Name(), o.ID, ErrRaced)
		}
	}
	for key, note := range t.inner.Properties() {
		id, open := strings.CutPrefix(key, propOpen)
		if !open || !other(CommitID(id)) {
			continue
		}
		var n, from, to int64
		if _, err := fmt.Sscanf(note, "%d %d %d %d %d %d", &n, &n, &n, &n, &from, &to); err != nil || from < d.To && d.From < to {
			return fmt.Errorf("table %s: publication %s, which is not finished: %w", t.Name(), id, ErrRaced)
		}
	}
	return nil
}

// resume fills in what an earlier run did.
func (d *Published) resume(t *Table, note string) error {
	var rev int64
	if _, err := fmt.Sscanf(note, "%d %d %d %d", &rev, &d.Removed, &d.Added, &d.Superseded); err != nil {
		return fmt.Errorf("table %s: property %s%s: %w", t.Name(), propOpen, d.ID, err)
	}
	d.Revision = int32(rev)
	for at := t.head(Main); at != 0; {
		s := t.inner.SnapshotByID(at)
		if s == nil {
			break
		}
		if s.Summary != nil && s.Summary.Properties[propPublication] == string(d.ID) {
			d.Snapshot = at
			break
		}
		at = 0
		if s.ParentSnapshotID != nil {
			at = *s.ParentSnapshotID
		}
	}
	return nil
}

// replacing is one try of a replacement.
type replacing struct {
	l   *Lake
	t   *Table // as it was read
	p   *Publication
	v   *Replacement
	all []Published // earlier publications
	d   *Published
	id  CommitID // of the commit on t

	cols     []file.Column
	entities []int // columns
	rowTS    int
	revision int
	avail    int
	wanted   map[string]bool // entities
	newest   int64           // row_ts of the new rows
	taken    []File          // staged files that are taken over

	enc     *RowEncoder
	message []byte
	cells   parity.Cells // what the ledger gets
}

func (x *replacing) run(ctx context.Context) error {
	if err := x.columns(); err != nil {
		return err
	}
	files, err := x.candidates(ctx, x.t)
	if err != nil {
		return err
	}
	out, err := x.t.NewRows(x.id, x.cols, nil, publishBudget)
	if err != nil {
		return err
	}
	removed, err := x.supersede(ctx, files, out)
	if err != nil {
		return err
	}
	if err := x.add(ctx, out); err != nil {
		return err
	}
	added, err := out.Finish(ctx)
	if err != nil {
		return err
	}
	added = append(added, x.taken...)
	if err := x.ledger(ctx); err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	note := fmt.Sprintf("%d %d %d %d %d %d", x.d.Revision, x.d.Removed, x.d.Added, x.d.Superseded, x.v.From, x.v.To)
	c, err := x.t.Commit(ctx, Main, x.id, func(ctx context.Context, b Base) (*Change, error) {
		if b.Table.Property(propOpen+string(x.p.ID)) != "" {
			return nil, errMoved // by another run of this publication
		}
		if b.Snapshot != x.t.head(Main) {
			now, err := x.candidates(ctx, b.Table)
			if err != nil {
				return nil, err
			}
			if !slices.EqualFunc(now, files, func(a, b DataFile) bool { return a.Path == b.Path }) {
				return nil, errMoved
			}
		}
		props := map[string]string{propOpen + string(x.p.ID): note}
		if x.v.Tell && (x.p.History != "served" || x.d.Removed > 0) {
			props[propTell+string(x.p.ID)] = "1"
		}
		return &Change{Add: added, Remove: removed, Publication: string(x.p.ID), Inputs: x.p.Inputs, Imported: x.newest, Properties: props}, nil
	})
	x.d.Snapshot = c.Snapshot
	return err
}

// columns finds the columns that matter.
func (x *replacing) columns() error {
	var err error
	if x.cols, err = x.t.Columns(); err != nil {
		return err
	}
	find := func(name string, typ file.Type) (int, error) {
		i := slices.IndexFunc(x.cols, func(c file.Column) bool { return c.Name == name })
		if i < 0 || x.cols[i].Type != typ || x.cols[i].Nullable {
			return 0, fmt.Errorf("table %s: no column %s of type %s without nulls", x.t.Name(), name, typ)
		}
		return i, nil
	}
	if x.rowTS, err = find(colRowTS, file.Timestamptz); err != nil {
		return err
	}
	if x.revision, err = find(colRevision, file.Int); err != nil {
		return err
	}
	if x.avail, err = find(colAvailableAt, file.Timestamptz); err != nil {
		return err
	}
	for _, k := range x.t.Keys() {
		if k.Column == colRowTS {
			break
		}
		i, err := find(k.Column, file.String)
		if err != nil {
			return err
		}
		x.entities = append(x.entities, i)
	}
	if x.enc, err = x.t.NewRowEncoder(x.cols); err != nil {
		return err
	}
	if x.v.Entities == nil {
		return nil
	}
	x.wanted = map[string]bool{}
	for _, e := range x.v.Entities {
		if len(e) != len(x.entities) {
			return fmt.Errorf("table %s: entity %q has %d values, the table has %d entity columns", x.t.Name(), e, len(e), len(x.entities))
		}
		x.wanted[strings.Join(e, "\x00")] = true
	}
	return nil
}

// candidates are the files that may hold rows of the range.
func (x *replacing) candidates(ctx context.Context, t *Table) ([]DataFile, error) {
	files, err := t.Files(ctx, 0)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(files, func(f DataFile) bool {
		b, ok := f.Bounds[colRowTS]
		if !ok {
			return false
		}
		lo, ok1 := b[0].(int64)
		hi, ok2 := b[1].(int64)
		return ok1 && ok2 && (hi < x.v.From || lo >= x.v.To)
	}), nil
}

// pick splits the rows of a batch: those of range and entities, and the others. The
// columns are given by place in the batch.
func (x *replacing) pick(b *file.Batch, rowTS int, entities []int, in, out []int32) ([]int32, []int32) {
	in, out = in[:0], out[:0]
	var key []byte
	for i := range b.N {
		ts := b.Cols[rowTS].I64[i]
		hit := ts >= x.v.From && ts < x.v.To
		if hit && x.wanted != nil {
			key = key[:0]
			for j, c := range entities {
				if j > 0 {
					key = append(key, 0)
				}
				key = append(key, b.Cols[c].Text(i)...)
			}
			hit = x.wanted[string(key)]
		}
		if hit {
			in = append(in, int32(i))
		} else {
			out = append(out, int32(i))
		}
	}
	return in, out
}

func (x *replacing) hash(b *file.Batch, i int) parity.Hash {
	x.message = x.enc.AppendMessage(x.message[:0], b, i)
	return parity.HashOf(x.message)
}

// add hands the new rows over, with their revision. Files that are taken over are looked through side by side, unless
// their footers say what matters of them.
func (x *replacing) add(ctx context.Context, out *Rows) error {
	x.d.Added = 0
	rows := newRows{x: x}
	if x.v.Rows != nil {
		if err := x.v.Rows(rows.adder(ctx, out)); err != nil {
			return err
		}
	}
	var stand []DataFile
	small := map[string]int{} // files by partition
	for _, f := range x.v.Staged {
		if f.Bytes < x.v.Merge {
			small[fmt.Sprint(f.Partition)]++
		}
	}
	for _, f := range x.v.Staged {
		if x.stands(f, small[fmt.Sprint(f.Partition)]) {
			stand = append(stand, f)
		} else if err := x.t.read(ctx, f.Path, f.Bytes, x.cols, rows.adder(ctx, out)); err != nil {
			return err
		}
	}
	x.enter(&rows)
	x.taken = make([]File, len(stand))
	parts := make([]newRows, len(stand))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i, f := range stand {
		g.Go(func() error {
			r, err := file.Open(&ranges{gctx, x.l.store, f.Path}, f.Bytes, f.Path)
			if err != nil {
				return err
			}
			x.taken[i] = File{Path: f.Path, Info: &file.Info{Rows: f.Rows, Size: f.Bytes, Meta: r.Meta()}, Partition: f.Partition}
			parts[i].x = x
			known, err := parts[i].known(f, r)
			if err != nil || known {
				return err
			}
			return readAll(r, x.cols, parts[i].adder(gctx, nil))
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for i := range parts {
		x.enter(&parts[i])
	}
	return nil
}

// stands reports whether a staged file, whose partition has so many small ones, can be taken over.
func (x *replacing) stands(f DataFile, small int) bool {
	b := f.Bounds[colRevision]
	return (f.Bytes >= x.v.Merge || small <= fewSmall) && len(f.Partition) == len(x.t.PartitionBy()) && b[0] == any(x.d.Revision) && b[1] == any(x.d.Revision)
}

// newRows are new rows of a publication, as far as they are added up.
type newRows struct {
	x       *replacing
	added   int64
	newest  int64 // row_ts
	cells   parity.Cells
	message []byte
	in, not []int32
	rev     []int32
}

// enter adds new rows to what the publication knows of all.
func (x *replacing) enter(n *newRows) {
	x.d.Added += n.added
	x.newest = max(x.newest, n.newest)
	for _, c := range n.cells.List {
		sum := x.cells.At(c.Hour)
		*sum = sum.Plus(c.Sum)
	}
}

// known takes the rows of a file into account by what its footer says, if that is all there is to know of them.
func (n *newRows) known(f DataFile, r *file.Reader) (bool, error) {
	lo, ok1 := f.Bounds[colRowTS][0].(int64)
	hi, ok2 := f.Bounds[colRowTS][1].(int64)
	if n.x.wanted != nil || !ok1 || !ok2 || lo < n.x.v.From || hi >= n.x.v.To {
		return false, nil
	}
	cells, ok, err := sumsOf(r)
	if err != nil || !ok {
		return false, err
	}
	n.added, n.newest, n.cells = f.Rows, hi, cells
	return true, nil
}

// adder takes new rows into account, and into out where that is not nil.
func (n *newRows) adder(ctx context.Context, out *Rows) func(*file.Batch) error {
	x := n.x
	return func(b *file.Batch) error {
		if len(b.Cols) != len(x.cols) {
			return fmt.Errorf("table %s: rows of %d columns, the table has %d", x.t.Name(), len(b.Cols), len(x.cols))
		}
		n.in, n.not = x.pick(b, x.rowTS, x.entities, n.in, n.not)
		if len(n.not) > 0 {
			return fmt.Errorf("table %s: row with %s %s of the publication lies outside of its range or entities", x.t.Name(), colRowTS,
				strconv.FormatInt(b.Cols[x.rowTS].I64[n.not[0]], 10))
		}
		n.added += int64(b.N)
		for i, ts := range b.Cols[x.rowTS].I64[:b.N] {
			n.newest = max(n.newest, ts)
			n.message = x.enc.AppendMessage(n.message[:0], b, i)
			n.cells.At(ts).Add(parity.HashOf(n.message))
		}
		if out == nil {
			return nil
		}
		for len(n.rev) < b.N {
			n.rev = append(n.rev, x.d.Revision)
		}
		c := *b
		c.Cols = slices.Clone(b.Cols)
		c.Cols[x.revision] = file.Col{I32: n.rev[:b.N]}
		return out.Append(ctx, &c, nil)
	}
}
