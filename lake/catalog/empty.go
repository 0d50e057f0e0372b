package catalog

import (
	"context"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
)

// EmptySnapshot stages a snapshot without files: a commit that carries properties only.
func EmptySnapshot(ctx context.Context, tx *table.Transaction, schema *iceberg.Schema, props iceberg.Properties) error {
	as, err := table.SchemaToArrowSchema(schema, nil, false, false)
	if err != nil {
		return err
	}
	rr, err := array.NewRecordReader(as, nil)
	if err != nil {
		return err
	}
	defer rr.Release()
	return tx.Append(ctx, rr, props)
}
