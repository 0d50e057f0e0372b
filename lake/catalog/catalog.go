// Package catalog opens the catalogs that hold the lake's tables: SQLite and PostgreSQL
// with the JDBC tables that other Iceberg tools share, and Iceberg REST. It says of each
// commit whether it was made, refused, or nobody knows.
package catalog

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/apache/iceberg-go"
	icecat "github.com/apache/iceberg-go/catalog"
	"github.com/apache/iceberg-go/catalog/rest"
	iceio "github.com/apache/iceberg-go/io"
	"github.com/apache/iceberg-go/table"

	"github.com/pinova-group/tidemark/internal/objstore"
)

// Errors that tell what became of a call.
var (
	// ErrRefused: the catalog looked at the commit and did not make it, because the table
	// is no longer what the commit was made for.
	ErrRefused = table.ErrCommitFailed
	// ErrNotMade: the commit did not get as far as the catalog's pointer, or the server
	// says that it would not do it for a reason of its own. It was not made.
	ErrNotMade = errors.New("commit not made")
	// ErrNoTable: the table is not in the catalog.
	ErrNoTable = icecat.ErrNoSuchTable
	// ErrExists: a table of this name is in the catalog.
	ErrExists = icecat.ErrTableAlreadyExists
)

// Ident is namespace and name of a table.
type Ident = table.Identifier

// Definition of a table to create.
type Definition struct {
	Schema     *iceberg.Schema
	Partition  *iceberg.PartitionSpec
	Sort       table.SortOrder
	Location   string
	Properties iceberg.Properties
}

// Catalog maps names to tables. Safe for concurrent use. An error of CommitTable that is
// none of ErrRefused, ErrNotMade and ErrNoTable leaves open whether the commit was made: look.
type Catalog interface {
	table.CatalogIO
	// CreateTable fails with ErrExists when the name is taken. Field ids may differ from
	// the definition's: a REST server gives its own.
	CreateTable(ctx context.Context, id Ident, def Definition) (*table.Table, error)
	// Tables lists the names in a namespace; one that does not exist has none.
	Tables(ctx context.Context, namespace string) ([]string, error)
	// DropTable forgets the table; its files stay.
	DropTable(ctx context.Context, id Ident) error
	// Probe tries whether the catalog keeps branches and tags, where that is not ours.
	Probe(ctx context.Context) error
	Close() error
}

// Config says which catalog to open.
type Config struct {
	Kind string // "sqlite", "postgres" or "rest"
	Name string // of the catalog: must be the same in every tool that shares it
	URI  string // sqlite: path of the database; postgres: its URL or DSN; rest: URL of the server
	// Warehouse is the folder of the tables, file:///… or s3://bucket/…
	Warehouse string
	// Properties for a REST server: warehouse, prefix, credential, token, rest.sigv4-enabled,
	// rest.signing-region, rest.signing-name (glue, s3tables), …
	Properties map[string]string
}

// Open opens a catalog whose tables lie in store.
func Open(ctx context.Context, c Config, store objstore.Store) (Catalog, error) {
	if c.Name == "" {
		return nil, errors.New("a catalog needs a name")
	}
	switch c.Kind {
	case "sqlite", "postgres":
		return openSQL(ctx, c, store)
	case "rest":
		return openREST(ctx, c, store)
	}
	return nil, fmt.Errorf("catalog kind %q: known are sqlite, postgres and rest", c.Kind)
}

// restCatalog is a REST server's catalog. The files are read and written by our store,
// never by credentials that the server hands out.
type restCatalog struct {
	cat   *rest.Catalog
	store objstore.Store
	conf  Config
}

func openREST(ctx context.Context, c Config, store objstore.Store) (Catalog, error) {
	props := iceberg.Properties{}
	maps.Copy(props, c.Properties)
	opts := []rest.Option{rest.WithAdditionalProps(props)}
	if props["rest.sigv4-enabled"] == "true" {
		opts = append(opts, rest.WithSigV4RegionSvc(props["rest.signing-region"], props["rest.signing-name"]))
	}
	for key, opt := range map[string]func(string) rest.Option{
		"warehouse": rest.WithWarehouseLocation, "prefix": rest.WithPrefix, "credential": rest.WithCredential,
		"token": rest.WithOAuthToken, "scope": rest.WithScope,
	} {
		if v := props[key]; v != "" {
			opts = append(opts, opt(v))
		}
	}
	cat, err := rest.NewCatalog(ctx, c.Name, c.URI, opts...)
	if err != nil {
		return nil, fmt.Errorf("REST catalog %s: %w", c.URI, err)
	}
	return &restCatalog{cat: cat, store: store, conf: c}, nil
}

func (r *restCatalog) ours(t *table.Table) *table.Table {
	return table.New(t.Identifier(), t.Metadata(), t.MetadataLocation(), fileIO(r.store), r)
}

func fileIO(s objstore.Store) table.FSysF {
	return func(ctx context.Context) (iceio.IO, error) { return IO(ctx, s), nil }
}

// LoadTable implements Catalog.
func (r *restCatalog) LoadTable(ctx context.Context, id Ident) (*table.Table, error) {
	t, err := r.cat.LoadTable(ctx, id)
	if err != nil {
		return nil, err
	}
	return r.ours(t), nil
}

// CommitTable implements Catalog.
func (r *restCatalog) CommitTable(ctx context.Context, id Ident, reqs []table.Requirement, ups []table.Update) (table.Metadata, string, error) {
	m, loc, err := r.cat.CommitTable(ctx, id, reqs, ups)
	for _, no := range []error{rest.ErrBadRequest, rest.ErrUnauthorized, rest.ErrForbidden, rest.ErrAuthorizationExpired} {
		if errors.Is(err, no) {
			return nil, "", fmt.Errorf("%w: %w", ErrNotMade, err)
		}
	}
	return m, loc, err
}

// CreateTable implements Catalog.
func (r *restCatalog) CreateTable(ctx context.Context, id Ident, def Definition) (*table.Table, error) {
	ns := icecat.NamespaceFromIdent(id)
	if ok, err := r.cat.CheckNamespaceExists(ctx, ns); err != nil {
		return nil, err
	} else if !ok {
		if err := r.cat.CreateNamespace(ctx, ns, nil); err != nil && !errors.Is(err, icecat.ErrNamespaceAlreadyExists) {
			return nil, err
		}
	}
	props := iceberg.Properties{table.PropertyFormatVersion: "2"}
	maps.Copy(props, def.Properties)
	t, err := r.cat.CreateTable(ctx, id, def.Schema, icecat.WithPartitionSpec(def.Partition), icecat.WithSortOrder(def.Sort),
		icecat.WithLocation(def.Location), icecat.WithProperties(props))
	if err != nil {
		return nil, err
	}
	return r.ours(t), nil
}

// Tables implements Catalog.
func (r *restCatalog) Tables(ctx context.Context, namespace string) ([]string, error) {
	var names []string
	for id, err := range r.cat.ListTables(ctx, Ident{namespace}) {
		if errors.Is(err, icecat.ErrNoSuchNamespace) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		names = append(names, icecat.TableNameFromIdent(id))
	}
	return names, nil
}

// DropTable implements Catalog.
func (r *restCatalog) DropTable(ctx context.Context, id Ident) error { return r.cat.DropTable(ctx, id) }

// Close implements Catalog.
func (r *restCatalog) Close() error { return r.cat.Close() }
