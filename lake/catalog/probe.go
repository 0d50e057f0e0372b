package catalog

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"github.com/pinova-group/tidemark/internal/objstore"
)

// ErrRefs is a server that loses branches or tags; Nessie's REST service is one. Published
// rows could not be tested on a branch before, nor training sets be pinned.
var ErrRefs = errors.New("the catalog server does not keep branches and tags")

// Probe implements Catalog: a table is made, a branch and a tag are set on it, looked for,
// and the table is dropped.
func (r *restCatalog) Probe(ctx context.Context) (err error) {
	var n [8]byte
	if _, err := rand.Read(n[:]); err != nil {
		return err
	}
	id := Ident{"tidemark", "probe_" + hex.EncodeToString(n[:])}
	def := Definition{
		Schema:    iceberg.NewSchema(0, iceberg.NestedField{ID: 1, Name: "x", Type: iceberg.PrimitiveTypes.Int64}),
		Partition: iceberg.UnpartitionedSpec,
		Sort:      table.UnsortedSortOrder,
	}
	if r.conf.Warehouse != "" {
		def.Location = objstore.Join(r.conf.Warehouse, "table", id[0], id[1])
	}
	t, err := r.CreateTable(ctx, id, def)
	if err != nil {
		return fmt.Errorf("probe of the catalog: %w", err)
	}
	defer func() { err = errors.Join(err, r.DropTable(context.WithoutCancel(ctx), id)) }()
	tx := t.NewTransaction()
	if err := EmptySnapshot(ctx, tx, t.Schema(), nil); err != nil {
		return fmt.Errorf("probe of the catalog: %w", err)
	}
	c, err := tx.TableCommit()
	if err != nil {
		return err
	}
	if _, _, err := r.CommitTable(ctx, id, c.Requirements, c.Updates); err != nil {
		return fmt.Errorf("probe of the catalog: %w", err)
	}
	if t, err = r.LoadTable(ctx, id); err != nil {
		return err
	}
	head := t.CurrentSnapshot()
	if head == nil {
		return fmt.Errorf("probe of the catalog: a snapshot was committed and is not there: %w", ErrRefs)
	}
	_, _, err = r.CommitTable(ctx, id, nil, []table.Update{
		table.NewSetSnapshotRefUpdate("b", head.SnapshotID, table.BranchRef, 0, 0, 0),
		table.NewSetSnapshotRefUpdate("t", head.SnapshotID, table.TagRef, 0, 0, 0)})
	if err != nil {
		return fmt.Errorf("probe of the catalog: %w: %w", ErrRefs, err)
	}
	if t, err = r.LoadTable(ctx, id); err != nil {
		return err
	}
	found := 0
	for name := range t.Metadata().Refs() {
		if name == "b" || name == "t" {
			found++
		}
	}
	if found != 2 {
		return fmt.Errorf("%s: %d of a branch and a tag were there after they were set: %w; use another server, or PostgreSQL as the catalog", r.conf.URI, found, ErrRefs)
	}
	return nil
}
