package catalog

import (
	"bytes"
	"compress/gzip"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/apache/iceberg-go/table"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"modernc.org/sqlite"

	"github.com/pinova-group/tidemark/internal/objstore"
)

// sqlCatalog keeps the names in two tables of a database, as the JDBC catalog of Iceberg
// lays them out (schema V1). Our own and not iceberg-go's, for three reasons: it has to
// tell "refused" from "unknown" (theirs hides the first from its own retries); every file
// goes through our store; and theirs brings the drivers of three more databases.
type sqlCatalog struct {
	db    *sql.DB
	conf  Config
	store objstore.Store

	mu   sync.Mutex
	last map[string]parsed // by table
}

// parsed is the newest metadata of a table that this process has read or written. A file
// is never changed, so its location says whether it is still the table's.
type parsed struct {
	loc  string
	meta table.Metadata
}

const (
	createTables = `CREATE TABLE IF NOT EXISTS iceberg_tables (
	catalog_name VARCHAR(255) NOT NULL, table_namespace VARCHAR(255) NOT NULL, table_name VARCHAR(255) NOT NULL,
	metadata_location VARCHAR(1000), previous_metadata_location VARCHAR(1000), iceberg_type VARCHAR(5),
	PRIMARY KEY (catalog_name, table_namespace, table_name))`
	createNamespaces = `CREATE TABLE IF NOT EXISTS iceberg_namespace_properties (
	catalog_name VARCHAR(255) NOT NULL, namespace VARCHAR(255) NOT NULL, property_key VARCHAR(255) NOT NULL,
	property_value VARCHAR(1000), PRIMARY KEY (catalog_name, namespace, property_key))`
)

// lockWait is how long a locked SQLite database is waited for.
const lockWait = 2 * time.Second

func openSQL(ctx context.Context, c Config, store objstore.Store) (Catalog, error) {
	driver, dsn := "pgx", c.URI
	if c.Kind == "sqlite" {
		driver = "sqlite"
		dsn = (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: c.URI}).EscapedPath()}).String() +
			fmt.Sprintf("?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(%d)&_txlock=immediate", lockWait.Milliseconds())
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		return nil, fmt.Errorf("catalog: %w", err)
	}
	s := &sqlCatalog{db: db, conf: c, store: store, last: map[string]parsed{}}
	for _, q := range []string{createTables, createNamespaces} {
		if err := s.ensure(ctx, q); err != nil {
			return nil, errors.Join(fmt.Errorf("catalog %s: %w", c.Kind, err), db.Close())
		}
	}
	if _, err := db.ExecContext(ctx, `SELECT iceberg_type FROM iceberg_tables WHERE 1=0`); err != nil {
		return nil, errors.Join(fmt.Errorf("catalog %s: table iceberg_tables has no column iceberg_type (schema V0): let one tool migrate it "+
			"(jdbc.schema-version=V1) or use another database: %w", c.Kind, err), db.Close())
	}
	return s, nil
}

// ensure creates a table. PostgreSQL may refuse the same statement of two processes at
// once (unique_violation in its own tables): then the other one has made it.
func (s *sqlCatalog) ensure(ctx context.Context, q string) error {
	_, err := s.db.ExecContext(ctx, q)
	if err != nil && (refused(err) || duplicate(err)) {
		_, err = s.db.ExecContext(ctx, q)
	}
	return err
}

// refused tells whether the database says that it has done nothing because of others.
func refused(err error) bool {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pg.Code == "40001" || pg.Code == "40P01" || pg.Code == "55P03"
	}
	if lite, ok := errors.AsType[*sqlite.Error](err); ok {
		code := lite.Code() & 0xff
		return code == 5 || code == 6 // SQLITE_BUSY, SQLITE_LOCKED
	}
	return false
}

func duplicate(err error) bool {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pg.Code == "23505" || pg.Code == "42P07"
	}
	if lite, ok := errors.AsType[*sqlite.Error](err); ok {
		return lite.Code()&0xff == 19 // SQLITE_CONSTRAINT
	}
	return false
}

// bind turns ? into the placeholders of the database.
func (s *sqlCatalog) bind(q string) string {
	if s.conf.Kind == "sqlite" {
		return q
	}
	var b strings.Builder
	n := 0
	for _, r := range q {
		if r != '?' {
			b.WriteRune(r)
			continue
		}
		n++
		fmt.Fprintf(&b, "$%d", n)
	}
	return b.String()
}

func namespace(id Ident) (string, string, error) {
	if len(id) != 2 || id[0] == "" || id[1] == "" || strings.Contains(id[0], ".") {
		return "", "", fmt.Errorf("table %q: want namespace and name", id)
	}
	return id[0], id[1], nil
}

// LoadTable implements Catalog.
func (s *sqlCatalog) LoadTable(ctx context.Context, id Ident) (*table.Table, error) {
	ns, name, err := namespace(id)
	if err != nil {
		return nil, err
	}
	var loc sql.NullString
	err = s.db.QueryRowContext(ctx, s.bind(`SELECT metadata_location FROM iceberg_tables
		WHERE catalog_name = ? AND table_namespace = ? AND table_name = ? AND (iceberg_type = 'TABLE' OR iceberg_type IS NULL)`),
		s.conf.Name, ns, name).Scan(&loc)
	if errors.Is(err, sql.ErrNoRows) || err == nil && !loc.Valid {
		return nil, fmt.Errorf("%w: %s.%s", ErrNoTable, ns, name)
	}
	if err != nil {
		return nil, fmt.Errorf("catalog: load %s.%s: %w", ns, name, err)
	}
	key := ns + "." + name
	s.mu.Lock()
	p := s.last[key]
	s.mu.Unlock()
	if p.loc != loc.String {
		data, err := objstore.Get(ctx, s.store, loc.String)
		if err != nil {
			return nil, fmt.Errorf("table %s.%s: metadata: %w", ns, name, err)
		}
		if strings.HasSuffix(loc.String, ".gz.metadata.json") { // other tools write it on request
			if data, err = gunzip(data); err != nil {
				return nil, fmt.Errorf("table %s.%s: metadata %s: %w", ns, name, loc.String, err)
			}
		}
		m, err := table.ParseMetadataBytes(data)
		if err != nil {
			return nil, fmt.Errorf("table %s.%s: metadata %s: %w", ns, name, loc.String, err)
		}
		p = parsed{loc.String, m}
		s.remember(key, p)
	}
	return table.New(id, p.meta, p.loc, fileIO(s.store), s), nil
}

func gunzip(data []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

func (s *sqlCatalog) remember(key string, p parsed) {
	s.mu.Lock()
	s.last[key] = p
	s.mu.Unlock()
}

// CommitTable implements Catalog: the requirements are checked against the newest
// metadata, the next one is written, and one UPDATE exchanges the pointer if it is still
// the one that was read.
func (s *sqlCatalog) CommitTable(ctx context.Context, id Ident, reqs []table.Requirement, ups []table.Update) (table.Metadata, string, error) {
	ns, name, err := namespace(id)
	if err != nil {
		return nil, "", err
	}
	cur, err := s.LoadTable(ctx, id)
	if errors.Is(err, ErrNoTable) {
		return nil, "", err
	}
	if err != nil {
		return nil, "", fmt.Errorf("%w: %w", ErrNotMade, err)
	}
	for _, r := range reqs {
		if err := r.Validate(cur.Metadata()); err != nil {
			return nil, "", fmt.Errorf("%w: %w", ErrRefused, err)
		}
	}
	if err := keepRefs(cur.Metadata(), ups); err != nil {
		return nil, "", err
	}
	if ups, err = inSequence(cur.Metadata(), ups); err != nil {
		return nil, "", err
	}
	next, err := table.UpdateTableMetadata(cur.Metadata(), ups, cur.MetadataLocation())
	if err != nil {
		return nil, "", fmt.Errorf("table %s.%s: %w: %w", ns, name, ErrNotMade, err)
	}
	if next.Equals(cur.Metadata()) {
		return cur.Metadata(), cur.MetadataLocation(), nil
	}
	loc, err := s.writeMetadata(ctx, next, version(cur.MetadataLocation())+1)
	if err != nil {
		return nil, "", fmt.Errorf("%w: %w", ErrNotMade, err)
	}
	res, err := s.db.ExecContext(ctx, s.bind(`UPDATE iceberg_tables SET metadata_location = ?, previous_metadata_location = ?, iceberg_type = 'TABLE'
		WHERE catalog_name = ? AND table_namespace = ? AND table_name = ? AND metadata_location = ?`),
		loc, cur.MetadataLocation(), s.conf.Name, ns, name, cur.MetadataLocation())
	if err != nil {
		if refused(err) {
			err = fmt.Errorf("%w: %w", ErrRefused, err)
		}
		return nil, "", fmt.Errorf("catalog: commit %s.%s: %w", ns, name, err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		return nil, "", err
	}
	if n == 0 {
		return nil, "", fmt.Errorf("%w: %s.%s changed in between", ErrRefused, ns, name)
	}
	s.remember(ns+"."+name, parsed{loc, next})
	s.dropOldMetadata(ctx, cur.Metadata(), next)
	return next, loc, nil
}

// inSequence refuses a snapshot that was numbered before another one came: its branch may stand
// where it did, but the numbers of a table's snapshots rise over all branches. It returns the updates with
// snapshots that point at nothing: those of iceberg-go (0.7) point into the transaction that made them, which has the metadata
// before it, whose snapshot points into the transaction before …: a process would keep all that it ever committed.
func inSequence(m table.Metadata, ups []table.Update) ([]table.Update, error) {
	free := slices.Clone(ups)
	for i, u := range ups {
		if u.Action() != table.UpdateAddSnapshot {
			continue
		}
		var add struct {
			Snapshot table.Snapshot `json:"snapshot"`
		}
		b, err := json.Marshal(u)
		if err == nil {
			err = json.Unmarshal(b, &add)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrNotMade, err)
		}
		if n := m.LastSequenceNumber(); add.Snapshot.SequenceNumber <= n {
			return nil, fmt.Errorf("%w: snapshot numbered %d, the table is at %d", ErrRefused, add.Snapshot.SequenceNumber, n)
		}
		free[i] = table.NewAddSnapshotUpdate(&add.Snapshot)
	}
	return free, nil
}

// keepRefs refuses to expire snapshots that a branch or tag points at, which may have been
// set after the commit was put together (I7).
func keepRefs(m table.Metadata, ups []table.Update) error {
	for _, u := range ups {
		if u.Action() != table.UpdateRemoveSnapshots {
			continue
		}
		var gone struct {
			IDs []int64 `json:"snapshot-ids"`
		}
		b, err := json.Marshal(u)
		if err == nil {
			err = json.Unmarshal(b, &gone)
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrNotMade, err)
		}
		for name, ref := range m.Refs() {
			if slices.Contains(gone.IDs, ref.SnapshotID) {
				return fmt.Errorf("%w: snapshot %d is wanted by %s", ErrRefused, ref.SnapshotID, name)
			}
		}
	}
	return nil
}

// dropOldMetadata removes the metadata files that fell out of the log. What cannot be
// removed is an orphan, and upkeep's.
func (s *sqlCatalog) dropOldMetadata(ctx context.Context, old, next table.Metadata) {
	if !next.Properties().GetBool(table.MetadataDeleteAfterCommitEnabledKey, false) {
		return
	}
	kept := map[string]bool{}
	for e := range next.PreviousFiles() {
		kept[e.MetadataFile] = true
	}
	for e := range old.PreviousFiles() {
		if !kept[e.MetadataFile] {
			_ = s.store.Delete(ctx, e.MetadataFile)
		}
	}
}

// version of a metadata file, from its name: 00012-uuid.metadata.json.
func version(loc string) int {
	n := 0
	for _, r := range loc[strings.LastIndexByte(loc, '/')+1:] {
		if r < '0' || r > '9' || n > 1<<40 {
			break
		}
		n = 10*n + int(r-'0')
	}
	return n
}

func (s *sqlCatalog) writeMetadata(ctx context.Context, m table.Metadata, version int) (string, error) {
	data, err := json.Marshal(m)
	if err != nil {
		return "", err
	}
	loc := objstore.Join(m.Location(), "metadata", fmt.Sprintf("%05d-%s.metadata.json", version, uuid.New()))
	if err := objstore.Put(ctx, s.store, loc, data); err != nil {
		return "", fmt.Errorf("write %s: %w", loc, err)
	}
	return loc, nil
}

// CreateTable implements Catalog. The field ids are the definition's.
func (s *sqlCatalog) CreateTable(ctx context.Context, id Ident, def Definition) (*table.Table, error) {
	ns, name, err := namespace(id)
	if err != nil {
		return nil, err
	}
	if _, err := s.LoadTable(ctx, id); err == nil {
		return nil, fmt.Errorf("%w: %s.%s", ErrExists, ns, name)
	} else if !errors.Is(err, ErrNoTable) {
		return nil, err
	}
	meta, err := newMetadata(def)
	if err != nil {
		return nil, fmt.Errorf("table %s.%s: %w", ns, name, err)
	}
	loc, err := s.writeMetadata(ctx, meta, 0)
	if err != nil {
		return nil, err
	}
	_, err = s.db.ExecContext(ctx, s.bind(`INSERT INTO iceberg_namespace_properties (catalog_name, namespace, property_key, property_value)
		VALUES (?, ?, 'exists', 'true') ON CONFLICT DO NOTHING`), s.conf.Name, ns)
	if err != nil {
		return nil, fmt.Errorf("catalog: create namespace %s: %w", ns, err)
	}
	_, err = s.db.ExecContext(ctx, s.bind(`INSERT INTO iceberg_tables (catalog_name, table_namespace, table_name, metadata_location, iceberg_type)
		VALUES (?, ?, ?, ?, 'TABLE')`), s.conf.Name, ns, name, loc)
	if duplicate(err) {
		err = fmt.Errorf("%w: %w", ErrExists, err)
	}
	if err != nil {
		return nil, fmt.Errorf("catalog: create %s.%s: %w", ns, name, err)
	}
	return s.LoadTable(ctx, id)
}

func newMetadata(def Definition) (table.Metadata, error) {
	b, err := table.NewMetadataBuilder(2)
	if err != nil {
		return nil, err
	}
	for _, f := range []func() error{
		func() error { return b.SetUUID(uuid.New()) },
		func() error { return b.AddSchema(def.Schema) },
		func() error { return b.SetCurrentSchemaID(-1) },
		func() error { return b.AddSortOrder(&def.Sort) },
		func() error { return b.SetDefaultSortOrderID(-1) },
		func() error { return b.AddPartitionSpec(def.Partition, true) },
		func() error { return b.SetDefaultSpecID(-1) },
		func() error { return b.SetLoc(def.Location) },
		func() error { return b.SetProperties(def.Properties) },
	} {
		if err := f(); err != nil {
			return nil, err
		}
	}
	return b.Build()
}

// Tables implements Catalog.
func (s *sqlCatalog) Tables(ctx context.Context, namespace string) ([]string, error) {
	rows, err := s.db.QueryContext(ctx, s.bind(`SELECT table_name FROM iceberg_tables
		WHERE catalog_name = ? AND table_namespace = ? AND (iceberg_type = 'TABLE' OR iceberg_type IS NULL)`), s.conf.Name, namespace)
	if err != nil {
		return nil, fmt.Errorf("catalog: list %s: %w", namespace, err)
	}
	defer func() { _ = rows.Close() }()
	var names []string
	for rows.Next() {
		var n string
		if err := rows.Scan(&n); err != nil {
			return nil, err
		}
		names = append(names, n)
	}
	slices.Sort(names)
	return names, rows.Err()
}

// DropTable implements Catalog.
func (s *sqlCatalog) DropTable(ctx context.Context, id Ident) error {
	ns, name, err := namespace(id)
	if err != nil {
		return err
	}
	res, err := s.db.ExecContext(ctx, s.bind(`DELETE FROM iceberg_tables WHERE catalog_name = ? AND table_namespace = ? AND table_name = ?`),
		s.conf.Name, ns, name)
	if err != nil {
		return fmt.Errorf("catalog: drop %s.%s: %w", ns, name, err)
	}
	if n, err := res.RowsAffected(); err == nil && n == 0 {
		return fmt.Errorf("%w: %s.%s", ErrNoTable, ns, name)
	}
	return nil
}

// Probe implements Catalog: branches and tags stand in our metadata.
func (s *sqlCatalog) Probe(context.Context) error { return nil }

// Close implements Catalog.
func (s *sqlCatalog) Close() error { return s.db.Close() }
