// Package lake holds every event and every feature in Iceberg tables that other tools
// read. It makes tables, appends to them by one commit protocol that neither loses nor
// doubles a row (docs/design/0003-lake.md), and publishes corrected rows.
package lake

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/internal/objstore"
	"github.com/pinova-group/tidemark/lake/catalog"
	"github.com/pinova-group/tidemark/lake/file"
)

// Config says where a lake is. The zero catalog with a folder is the embedded lake: its
// catalog is DIR/catalog.db and its tables are under DIR/table.
type Config struct {
	Dir     string         // of the embedded lake
	Catalog catalog.Config // any other; Warehouse is required
	S3      objstore.S3Config
	Store   objstore.Store // instead of the one that Warehouse asks for; tests

	Now   func() time.Time // decides when, never what (I0)
	Build string           // version of the program, noted in every commit
}

// CatalogName is the name of the embedded lake's catalog. Other tools have to use it, too.
const CatalogName = "tidemark"

// namespaces of the lake's tables.
var namespaces = []string{"processed", "feature", "alert", "superseded", "ops"}

// Lake is an open lake. Safe for concurrent use.
type Lake struct {
	cat       catalog.Catalog
	store     objstore.Store
	warehouse string
	now       func() time.Time
	build     string
}

// Errors to ask for with errors.Is.
var (
	ErrNoTable = catalog.ErrNoTable
	ErrExists  = catalog.ErrExists
	// ErrReplaced: the name stands for another table than the one that was loaded.
	ErrReplaced = errors.New("the table was dropped and made anew")
)

// Open opens a lake; that of a folder is made when it is not there.
func Open(ctx context.Context, c Config) (*Lake, error) {
	if c.Now == nil {
		return nil, errors.New("lake: no clock")
	}
	if c.Dir != "" {
		if err := os.MkdirAll(c.Dir, 0o755); err != nil {
			return nil, err
		}
		uri, err := objstore.FolderURI(c.Dir)
		if err != nil {
			return nil, err
		}
		c.Catalog = catalog.Config{Kind: "sqlite", Name: CatalogName, URI: filepath.Join(c.Dir, "catalog.db"), Warehouse: uri}
	}
	l := &Lake{store: c.Store, warehouse: strings.TrimRight(c.Catalog.Warehouse, "/"), now: c.Now, build: c.Build}
	switch {
	case l.store != nil:
	case strings.HasPrefix(l.warehouse, "file:///"):
		l.store = objstore.Folder{}
	case strings.HasPrefix(l.warehouse, "s3://"):
		s, err := objstore.NewS3(ctx, c.S3)
		if err != nil {
			return nil, err
		}
		l.store = s
	default:
		return nil, fault.Usage("warehouse", fmt.Sprintf("warehouse %q is neither file:///… nor s3://…", l.warehouse), "give the folder of the tables as such a URI")
	}
	cat, err := catalog.Open(ctx, c.Catalog, l.store)
	if err != nil {
		return nil, err
	}
	if err := cat.Probe(ctx); err != nil {
		return nil, errors.Join(err, cat.Close())
	}
	l.cat = cat
	return l, nil
}

// Close closes the catalog.
func (l *Lake) Close() error { return l.cat.Close() }

// Tables lists the tables, as namespace.name.
func (l *Lake) Tables(ctx context.Context) ([]string, error) {
	var all []string
	for _, ns := range namespaces {
		names, err := l.cat.Tables(ctx, ns)
		if err != nil {
			return nil, err
		}
		for _, n := range names {
			all = append(all, ns+"."+n)
		}
	}
	slices.Sort(all)
	return all, nil
}

// ident checks the name of a table: keys and paths are made of it (I9).
func ident(name string) (catalog.Ident, error) {
	ns, n, _ := strings.Cut(name, ".")
	if !slices.Contains(namespaces, ns) {
		return nil, fault.Usage("table-name", fmt.Sprintf("table %q: no such namespace", name), "namespaces are "+strings.Join(namespaces, ", "))
	}
	if !word(n) {
		return nil, fault.Usage("table-name", fmt.Sprintf("table %q: not a name", name), "names are a-z, 0-9 and _, begin with a letter, and have at most 128 characters")
	}
	return catalog.Ident{ns, n}, nil
}

func word(s string) bool {
	if s == "" || len(s) > 128 || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_' {
			return false
		}
	}
	return true
}

// Partition is one field of a table's partition: identity, hour, day, month of a column,
// or bucket[n].
type Partition struct {
	Column    string
	Transform string
}

// maxBuckets is the most buckets of a partition: each is a file an hour.
const maxBuckets = 4096

// BySymbol is the part of a partition by symbol that a text asks for: none (""), "each"
// symbol, or a number of buckets of symbols.
func BySymbol(text string) ([]Partition, error) {
	switch n, err := strconv.Atoi(text); {
	case text == "":
		return nil, nil
	case text == "each":
		return []Partition{{Column: "symbol", Transform: "identity"}}, nil
	case err == nil && n >= 1 && n <= maxBuckets:
		return []Partition{{Column: "symbol", Transform: fmt.Sprintf("bucket[%d]", n)}}, nil
	}
	return nil, fault.Usage("by-symbol", fmt.Sprintf("no partition by symbol is called %q", text), fmt.Sprintf("write each, or a number of buckets up to %d", maxBuckets))
}

// Buckets is the n of bucket[n], 0 for another transform.
func (p Partition) Buckets() int {
	t, err := iceberg.ParseTransform(p.Transform)
	if b, ok := t.(iceberg.BucketTransform); ok && err == nil {
		return b.NumBuckets
	}
	return 0
}

// Bucket is the bucket of n that a text is in, as all tools have it: the lower 31 bits of
// its 32-bit murmur3 hash (x86, seed 0), mod n.
func Bucket(n int, text string) int32 {
	v := iceberg.BucketTransform{NumBuckets: n}.Apply(iceberg.Optional[iceberg.Literal]{Valid: true, Val: iceberg.NewLiteral(text)})
	b, _ := v.Val.(iceberg.Int32Literal)
	return int32(b)
}

// Definition is what a table is made of.
type Definition struct {
	Columns    []file.Column
	Partition  []Partition
	Sort       []string // column names
	Doc        string
	Properties map[string]string
}

// properties of every table.
func properties() iceberg.Properties {
	return iceberg.Properties{
		"write.parquet.compression-codec":         "zstd",
		table.MetadataDeleteAfterCommitEnabledKey: "true",
		table.MetadataPreviousVersionsMaxKey:      "50",
		table.ManifestMergeEnabledKey:             "true",
		table.ManifestMinMergeCountKey:            "20",
		// Other tools' compaction loses files that it reads in splits (iceberg-go 0.7.0).
		"read.split.target-size": strconv.FormatInt(math.MaxInt64, 10),
	}
}

// Create makes a table. The name must be free (ErrExists).
func (l *Lake) Create(ctx context.Context, name string, d Definition) (*Table, error) {
	id, err := ident(name)
	if err != nil {
		return nil, err
	}
	def, err := d.definition()
	if err != nil {
		return nil, fmt.Errorf("table %s: %w", name, err)
	}
	def.Location = objstore.Join(l.warehouse, "table", id[0], id[1])
	def.Properties = properties()
	maps.Copy(def.Properties, d.Properties)
	if d.Doc != "" {
		def.Properties["comment"] = d.Doc
	}
	if e := packEncodings(d.Columns); e != "" {
		def.Properties[propEncodings] = e
	}
	mark := NewCommitID()
	def.Properties[propCreated] = string(mark)
	t, err := l.cat.CreateTable(ctx, id, def)
	if err != nil {
		// Made, and the answer lost? The mark tells whose table is there.
		if got, lerr := l.load(ctx, id); lerr == nil && got.inner.Properties()[propCreated] == string(mark) {
			return got, nil
		}
		return nil, fmt.Errorf("create table %s: %w", name, err)
	}
	return l.table(id, t), nil
}

// Load finds a table as it is now.
func (l *Lake) Load(ctx context.Context, name string) (*Table, error) {
	id, err := ident(name)
	if err != nil {
		return nil, err
	}
	t, err := l.load(ctx, id)
	if errors.Is(err, ErrNoTable) {
		return nil, &fault.Error{Code: "no-table", Message: "table " + name + " does not exist", Where: l.warehouse, Exit: fault.ExitNoTable, Cause: err}
	}
	return t, err
}

func (l *Lake) load(ctx context.Context, id catalog.Ident) (*Table, error) {
	t, err := l.cat.LoadTable(ctx, id)
	if err != nil {
		return nil, err
	}
	return l.table(id, t), nil
}

func (l *Lake) table(id catalog.Ident, t *table.Table) *Table {
	return &Table{lake: l, id: id, inner: t}
}

// Drop forgets a table; its files stay for upkeep.
func (l *Lake) Drop(ctx context.Context, name string) error {
	id, err := ident(name)
	if err != nil {
		return err
	}
	return l.cat.DropTable(ctx, id)
}

// Table is one table as it was when it was loaded; commits load it anew. Safe for
// concurrent use.
type Table struct {
	lake  *Lake
	id    catalog.Ident
	inner *table.Table
}

// Name is namespace.name.
func (t *Table) Name() string { return t.id[0] + "." + t.id[1] }

// Location is the URI of the table's folder.
func (t *Table) Location() string { return t.inner.Location() }

// MetadataLocation is the URI of the metadata file that describes this state.
func (t *Table) MetadataLocation() string { return t.inner.MetadataLocation() }

// Property is one of the table's properties, or "".
func (t *Table) Property(key string) string { return t.inner.Properties()[key] }

// Reload finds the table as it is now.
func (t *Table) Reload(ctx context.Context) (*Table, error) {
	n, err := t.lake.load(ctx, t.id)
	if err != nil {
		return nil, err
	}
	if n.inner.Metadata().TableUUID() != t.inner.Metadata().TableUUID() {
		return nil, fmt.Errorf("table %s: %w", t.Name(), ErrReplaced)
	}
	return n, nil
}

// CommitID names one commit, for ever: 128 random bits in hex.
type CommitID string

// NewCommitID makes one.
func NewCommitID() CommitID {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return CommitID(hex.EncodeToString(b[:]))
}

// Create starts the n-th file of a commit. A file that no commit registers is an orphan.
func (t *Table) Create(ctx context.Context, id CommitID, n int) (path string, w objstore.Writer, err error) {
	path = objstore.Join(t.inner.Location(), "data", fmt.Sprintf("%s-%05d.parquet", id, n))
	w, err = t.lake.store.Create(ctx, path)
	return path, w, err
}

// WriteFile finishes a writer into the n-th file of a commit.
func (t *Table) WriteFile(ctx context.Context, id CommitID, n int, rows *file.Writer) (File, error) {
	path, w, err := t.Create(ctx, id, n)
	if err != nil {
		return File{}, fmt.Errorf("table %s: %w", t.Name(), err)
	}
	info, err := rows.Finish(w)
	if err != nil {
		w.Abort()
		return File{}, fmt.Errorf("table %s: file %s: %w", t.Name(), path, err)
	}
	if err := w.Close(); err != nil {
		return File{}, fmt.Errorf("table %s: file %s: %w", t.Name(), path, err)
	}
	return File{Path: path, Info: info}, nil
}

// File is a finished file of a table, ready for a commit.
type File struct {
	Path      string
	Info      *file.Info
	Partition []any // values of the partition fields; nil ones are taken from the bounds
}
