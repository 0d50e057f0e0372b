package lake

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/lake/catalog"
	"github.com/pinova-group/tidemark/lake/file"
)

// definition turns columns, partition and order into Iceberg's.
func (d *Definition) definition() (catalog.Definition, error) {
	sc, err := schema(d.Columns)
	if err != nil {
		return catalog.Definition{}, err
	}
	id := func(name string) (int, error) {
		for i := range d.Columns {
			if d.Columns[i].Name == name {
				return d.Columns[i].ID, nil
			}
		}
		return 0, fmt.Errorf("no column %q", name)
	}
	var fields []iceberg.PartitionField
	for i, p := range d.Partition {
		tr, err := iceberg.ParseTransform(p.Transform)
		if err != nil {
			return catalog.Definition{}, fmt.Errorf("partition by %s of %s: %w", p.Transform, p.Column, err)
		}
		src, err := id(p.Column)
		if err != nil {
			return catalog.Definition{}, fmt.Errorf("partition: %w", err)
		}
		name := p.Column
		if p.Transform != "identity" {
			name += "_" + strings.TrimRight(strings.ReplaceAll(p.Transform, "[", ""), "]")
		}
		fields = append(fields, iceberg.PartitionField{SourceIDs: []int{src}, FieldID: iceberg.PartitionDataIDStart + i, Name: name, Transform: tr})
	}
	spec := iceberg.NewPartitionSpec(fields...)
	order := table.UnsortedSortOrder
	if len(d.Sort) > 0 {
		var by []table.SortField
		for _, s := range d.Sort {
			src, err := id(s)
			if err != nil {
				return catalog.Definition{}, fmt.Errorf("sort: %w", err)
			}
			by = append(by, table.SortField{SourceIDs: []int{src}, Transform: iceberg.IdentityTransform{}, Direction: table.SortASC, NullOrder: table.NullsFirst})
		}
		if order, err = table.NewSortOrder(1, by); err != nil {
			return catalog.Definition{}, err
		}
	}
	return catalog.Definition{Schema: sc, Partition: &spec, Sort: order}, nil
}

func schema(cols []file.Column) (*iceberg.Schema, error) {
	fields := make([]iceberg.NestedField, len(cols))
	seen := map[string]bool{}
	for i := range cols {
		c := &cols[i]
		if !word(c.Name) || seen[c.Name] {
			return nil, fmt.Errorf("column %q: not a name, or taken", c.Name)
		}
		seen[c.Name] = true
		t, err := icebergType(c)
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", c.Name, err)
		}
		fields[i] = iceberg.NestedField{ID: c.ID, Name: c.Name, Type: t, Required: !c.Nullable, Doc: doc(c)}
	}
	return iceberg.NewSchema(0, fields...), nil
}

const unitMark = "; unit: "

func doc(c *file.Column) string {
	if c.Unit == "" {
		return c.Doc
	}
	return c.Doc + unitMark + c.Unit
}

func icebergType(c *file.Column) (iceberg.Type, error) {
	p := iceberg.PrimitiveTypes
	switch c.Type {
	case file.Int:
		return p.Int32, nil
	case file.Long:
		return p.Int64, nil
	case file.Double:
		return p.Float64, nil
	case file.Boolean:
		return p.Bool, nil
	case file.String:
		return p.String, nil
	case file.Binary:
		return p.Binary, nil
	case file.Timestamptz:
		return p.TimestampTz, nil
	case file.Decimal:
		return iceberg.DecimalTypeOf(file.Precision, int(c.Scale)), nil
	case file.LongList:
		return &iceberg.ListType{ElementID: c.Element, Element: p.Int64, ElementRequired: true}, nil
	}
	return nil, fmt.Errorf("no type %s", c.Type)
}

// Columns are the table's columns as this state of it has them, with the field ids of
// the catalog and the encodings that it was made with: what a file of the table is written
// with.
func (t *Table) Columns() ([]file.Column, error) {
	var cols []file.Column
	enc := unpackEncodings(t.Property(propEncodings))
	for _, f := range t.inner.Schema().Fields() {
		c, err := column(f)
		if err != nil {
			return nil, fmt.Errorf("table %s: column %s: %w", t.Name(), f.Name, err)
		}
		c.Encoding = enc[c.Name]
		cols = append(cols, c)
	}
	return cols, nil
}

func column(f iceberg.NestedField) (file.Column, error) {
	c := file.Column{ID: f.ID, Name: f.Name, Nullable: !f.Required, Doc: f.Doc}
	if i := strings.LastIndex(f.Doc, unitMark); i >= 0 {
		c.Doc, c.Unit = f.Doc[:i], f.Doc[i+len(unitMark):]
	}
	switch t := f.Type.(type) {
	case iceberg.Int32Type:
		c.Type = file.Int
	case iceberg.Int64Type:
		c.Type = file.Long
	case iceberg.Float64Type:
		c.Type = file.Double
	case iceberg.BooleanType:
		c.Type = file.Boolean
	case iceberg.StringType:
		c.Type = file.String
	case iceberg.BinaryType:
		c.Type = file.Binary
	case iceberg.TimestampTzType:
		c.Type = file.Timestamptz
	case iceberg.DecimalType:
		c.Type, c.Scale = file.Decimal, int8(t.Scale())
	case *iceberg.ListType:
		if _, ok := t.Element.(iceberg.Int64Type); !ok {
			return c, fmt.Errorf("lists of %s are not ours", t.Element)
		}
		c.Type, c.Element = file.LongList, t.ElementID
	default:
		return c, fmt.Errorf("type %s is not ours", f.Type)
	}
	return c, nil
}

// PartitionBy is the table's partition.
func (t *Table) PartitionBy() []Partition {
	var ps []Partition
	spec := t.inner.Spec()
	for _, f := range spec.Fields() {
		name, _ := t.inner.Schema().FindColumnName(f.SourceID())
		ps = append(ps, Partition{Column: name, Transform: f.Transform.String()})
	}
	return ps
}

// identities are the partition's fields that are the value of one of the columns, by field id.
func (t *Table) identities(columns []string) []int {
	var ids []int
	spec := t.inner.Spec()
	for _, f := range spec.Fields() {
		if name, _ := t.inner.Schema().FindColumnName(f.SourceID()); f.Transform.String() == "identity" && slices.Contains(columns, name) {
			ids = append(ids, f.FieldID)
		}
	}
	return ids
}

// Evolve makes the table's columns those of want, matched by field id: nullable columns
// are added, types widened, columns renamed and made nullable, texts changed. Anything
// else is refused, and the error says what to do instead. Rows stay as they are.
func (t *Table) Evolve(ctx context.Context, want []file.Column) (*Table, error) {
	return t.change(ctx, "evolve", func(cur *Table) ([]table.Requirement, []table.Update, error) {
		sc, err := cur.evolved(want)
		if err != nil || sc == nil {
			return nil, nil, err
		}
		m := cur.inner.Metadata()
		return []table.Requirement{table.AssertCurrentSchemaID(m.CurrentSchema().ID), table.AssertLastAssignedFieldID(m.LastColumnID())},
			[]table.Update{table.NewAddSchemaUpdate(sc), table.NewSetCurrentSchemaUpdate(-1)}, nil
	})
}

// evolved is the schema of want, or nil when nothing changes.
func (t *Table) evolved(want []file.Column) (*iceberg.Schema, error) {
	refuse := func(why, remedy string) error {
		return &fault.Error{Code: "schema", Message: "the schema cannot change like this", Where: t.Name(), Why: why, Remedy: remedy, Exit: fault.ExitUsage}
	}
	const anew = "a new version of the view, which is a new table, can have any columns"
	sc, err := schema(want)
	if err != nil {
		return nil, refuse(err.Error(), anew)
	}
	same := true
	var parts []string
	have := t.inner.Schema().Fields()
	for _, h := range have {
		i := slices.IndexFunc(sc.Fields(), func(f iceberg.NestedField) bool { return f.ID == h.ID })
		if i < 0 {
			parts = append(parts, fmt.Sprintf("column %s (id %d) is missing", h.Name, h.ID))
			continue
		}
		w := sc.Fields()[i]
		if !w.Type.Equals(h.Type) && !widens(h.Type, w.Type) {
			parts = append(parts, fmt.Sprintf("column %s: %s does not widen to %s", h.Name, h.Type, w.Type))
		}
		if w.Required && !h.Required {
			parts = append(parts, fmt.Sprintf("column %s has nulls and cannot be made required", h.Name))
		}
		same = same && w.Name == h.Name && w.Type.Equals(h.Type) && w.Required == h.Required && w.Doc == h.Doc
	}
	for _, w := range sc.Fields() {
		if slices.ContainsFunc(have, func(f iceberg.NestedField) bool { return f.ID == w.ID }) {
			continue
		}
		same = false
		if w.Required {
			parts = append(parts, fmt.Sprintf("new column %s is required; rows of old files have no value of it", w.Name))
		}
		for _, old := range t.inner.Schemas() {
			if name, ok := old.FindColumnName(w.ID); ok {
				parts = append(parts, fmt.Sprintf("new column %s: id %d was column %s before", w.Name, w.ID, name))
			}
		}
	}
	if len(parts) > 0 {
		return nil, refuse(strings.Join(parts, "; "), "add nullable columns, widen or rename; "+anew)
	}
	if same && len(have) == len(want) {
		return nil, nil
	}
	return sc, nil
}

func widens(from, to iceberg.Type) bool {
	switch f := from.(type) {
	case iceberg.Int32Type:
		_, ok := to.(iceberg.Int64Type)
		return ok
	case iceberg.Float32Type:
		_, ok := to.(iceberg.Float64Type)
		return ok
	case iceberg.DecimalType:
		t, ok := to.(iceberg.DecimalType)
		return ok && t.Scale() == f.Scale() && t.Precision() >= f.Precision()
	}
	return false
}

// change is a commit without rows: what to ask for and to set is worked out on the newest
// state until it lands or there is nothing left to do. Because of that it needs no id: if
// an answer is lost, the next look finds the work done.
func (t *Table) change(ctx context.Context, what string, f func(cur *Table) ([]table.Requirement, []table.Update, error)) (*Table, error) {
	var last error
	for attempt := range maxAttempts {
		if attempt > 0 {
			if err := wait(ctx, attempt); err != nil {
				return nil, errors.Join(last, err)
			}
		}
		cur, err := t.Reload(ctx)
		if err != nil {
			if errors.Is(err, ErrNoTable) || errors.Is(err, ErrReplaced) || ctx.Err() != nil {
				return nil, err
			}
			last = err
			continue
		}
		reqs, ups, err := f(cur)
		if err != nil {
			return nil, err
		}
		if len(ups) == 0 {
			return cur, nil
		}
		reqs = append(reqs, table.AssertTableUUID(cur.inner.Metadata().TableUUID()))
		if _, _, err = t.lake.cat.CommitTable(ctx, t.id, reqs, ups); err == nil {
			return t.Reload(ctx)
		}
		last = err
	}
	if errors.Is(last, catalog.ErrRefused) {
		last = fmt.Errorf("%w: %w", ErrConflict, last)
	}
	return nil, fmt.Errorf("table %s: %s: given up after %s tries: %w", t.Name(), what, strconv.Itoa(maxAttempts), last)
}
