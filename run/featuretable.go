package run

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/lake"
	lakefile "github.com/pinova-group/tidemark/lake/file"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run/rowfile"
)

// FeatureTable is the table of a view's rows, or of its alerts.
func FeatureTable(o *features.Output) string {
	if view, ok := strings.CutSuffix(o.Name, features.AlertSuffix); ok {
		return fmt.Sprintf("alert.%s_v%d", view, o.Version)
	}
	return fmt.Sprintf("feature.%s_v%d", o.Name, o.Version)
}

// fingerprintKey is the table property that has the fingerprint of the view.
const fingerprintKey = "tidemark.fingerprint"

// Field ids of feature tables: entity columns from 1, the others of the release from 21,
// features from 101 on.
const (
	idEntity  = 1
	idOfRow   = 21
	idFeature = 101
)

// featureColumns are the columns of a view's table, and for each the result column that
// fills it; -1 is the revision, which publishing sets.
func featureColumns(o *features.Output, s *rowfile.Schema) (cols []lakefile.Column, from []int) {
	add := func(c lakefile.Column, at int) { cols, from = append(cols, c), append(from, at) }
	for i, f := range s.Fields {
		c := lakefile.Column{Name: f.Name, Nullable: f.Nullable, Unit: f.Unit, Doc: f.Doc, Scale: f.Scale}
		switch n := len(o.Entity); {
		case i < n:
			c.ID = idEntity + i
		case i < n+5:
			c.ID = idOfRow + i - n
		default:
			c.ID = idFeature + i - n - 5
		}
		switch f.Type {
		case market.TypeText:
			c.Type = lakefile.String
		case market.TypeTime:
			c.Type, c.Unit = lakefile.Timestamptz, ""
		case market.TypeFloat:
			c.Type = lakefile.Double
		case market.TypeBool:
			c.Type = lakefile.Boolean
		case market.TypeDec:
			c.Type = lakefile.Decimal
		default:
			c.Type = lakefile.Long
		}
		if f.Bits != nil {
			c.Type, c.Doc = lakefile.Int, "bits from the lowest: "+strings.Join(f.Bits, " ")
		}
		add(c, i)
		if f.Name == "available_at" && i == len(o.Entity)+3 {
			add(lakefile.Column{ID: idOfRow + 5, Name: "revision", Type: lakefile.Int, Doc: "0 as first published, one more each time that a publication replaced the row"}, -1)
		}
	}
	return cols, from
}

// featureKeys is the order of the rows in a file of a view's table.
func featureKeys(o *features.Output) (keys []lakefile.Key) {
	for _, e := range o.Entity {
		keys = append(keys, lakefile.Key{Column: e})
	}
	return append(keys, lakefile.Key{Column: "row_ts"})
}

// CheckBySymbol refuses to partition rows by a symbol that they do not have.
func CheckBySymbol(o *features.Output, bySymbol []lake.Partition) error {
	if len(bySymbol) > 0 && !slices.Contains(o.Entity, "symbol") {
		return fault.Usage("by-symbol", fmt.Sprintf("rows of view %s have no symbol to be partitioned by", o.Name), "leave out --by-symbol")
	}
	return nil
}

// OpenFeatureTable finds the table of a view, or makes it with a partition by hour, day or
// month of row_ts and then bySymbol. A table of another spec by the same name and version is refused.
func OpenFeatureTable(ctx context.Context, l *lake.Lake, o *features.Output, grain string, bySymbol ...lake.Partition) (*lake.Table, error) {
	if len(o.Entity) > idOfRow-idEntity {
		return nil, fmt.Errorf("view %s has %d entity columns; a table takes %d", o.Name, len(o.Entity), idOfRow-idEntity)
	}
	t, err := l.Load(ctx, FeatureTable(o))
	if errors.Is(err, lake.ErrNoTable) {
		cols, _ := featureColumns(o, Schema(o, ""))
		d := lake.Definition{
			Columns: cols, Doc: o.Doc, Partition: append([]lake.Partition{{Column: "row_ts", Transform: grain}}, bySymbol...),
			Properties: map[string]string{fingerprintKey: hex.EncodeToString(o.Fingerprint[:])},
		}
		for _, k := range featureKeys(o) {
			d.Sort = append(d.Sort, k.Column)
		}
		t, err = l.Create(ctx, FeatureTable(o), d)
		if errors.Is(err, lake.ErrExists) { // another process was faster
			t, err = l.Load(ctx, FeatureTable(o))
		}
	}
	if err != nil {
		return nil, err
	}
	return t, sameView(t, o)
}

// LoadFeatureTable finds the table of a view. A table of another spec by the same name and
// version is refused.
func LoadFeatureTable(ctx context.Context, l *lake.Lake, o *features.Output) (*lake.Table, error) {
	t, err := l.Load(ctx, FeatureTable(o))
	if err != nil {
		return nil, err
	}
	return t, sameView(t, o)
}

// sameView refuses a table of another view: its rows would be other things by the same name.
func sameView(t *lake.Table, o *features.Output) error {
	if got, want := t.Property(fingerprintKey), hex.EncodeToString(o.Fingerprint[:]); got != want {
		return &fault.Error{Code: "fingerprint", Message: "the table holds rows of another view", Where: t.Name(), Exit: fault.ExitUsage,
			Why: fmt.Sprintf("its fingerprint is %.12s…, that of the spec %.12s…", got, want), Remedy: "raise version: in the spec; the new version has a table of its own"}
	}
	return nil
}

// tablePacker turns result columns into those of a view's table.
type tablePacker struct {
	cols  []lakefile.Column
	from  []int
	batch lakefile.Batch
}

func newTablePacker(o *features.Output, s *rowfile.Schema) tablePacker {
	cols, from := featureColumns(o, s)
	return tablePacker{cols, from, lakefile.Batch{Cols: make([]lakefile.Col, len(cols))}}
}

// pack shares memory with b; the result is valid until it is called again.
func (p *tablePacker) pack(b *rowfile.Batch) *lakefile.Batch {
	p.batch.N = b.N
	for i, at := range p.from {
		c := &p.batch.Cols[i]
		i32 := c.I32[:0]
		if at < 0 {
			*c = lakefile.Col{I32: slices.Grow(i32, b.N)[:b.N]}
			clear(c.I32)
			continue
		}
		src := &b.Cols[at]
		*c = lakefile.Col{I64: src.I64, F64: src.F64, Hi: src.Hi, Lo: src.Lo, Bytes: src.Bytes, Off: src.Off, Null: src.Null}
		if t := p.cols[i].Type; t == lakefile.Int || t == lakefile.Boolean {
			for _, v := range src.I64[:b.N] {
				i32 = append(i32, int32(v))
			}
			c.I64, c.I32 = nil, i32
		}
	}
	return &p.batch
}

// FeatureRows turns rows of a view into columns of its table. Not for concurrent use.
type FeatureRows struct {
	sink  *sink
	words []*lakefile.Dict // by entity column
	codes [][]int32
	tablePacker
}

// NewFeatureRows makes one for the rows of a view.
func NewFeatureRows(o *features.Output) *FeatureRows {
	f := &FeatureRows{sink: newSink(nil, 0, o), codes: make([][]int32, len(o.Entity)), tablePacker: newTablePacker(o, Schema(o, ""))}
	for range o.Entity {
		f.words = append(f.words, lakefile.NewDict())
	}
	return f
}

// Columns are the columns of the batches; the caller must not change them.
func (f *FeatureRows) Columns() []lakefile.Column { return f.cols }

// Pack gives the rows as columns, of revision 0; names are the values of the entity columns.
// The result shares memory with v and is valid until the next call.
func (f *FeatureRows) Pack(v *features.ViewRows, names func(entity uint32) []string) *lakefile.Batch {
	b := f.pack(f.sink.values(v))
	for i, words := range f.words {
		codes := f.codes[i][:0]
		for row, e := range v.Entity {
			if row == 0 || e != v.Entity[row-1] {
				codes = append(codes, words.Code([]byte(names(e)[i])))
			} else {
				codes = append(codes, codes[row-1])
			}
		}
		f.codes[i], b.Cols[i] = codes, lakefile.Col{I32: codes, Dict: words}
	}
	return b
}
