package lakes

import (
	"encoding/hex"
	"strconv"

	"github.com/pinova-group/tidemark/lake"
	"github.com/pinova-group/tidemark/lake/file"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run/rowfile"
)

// RowSchema is how rows of a scan are written to result files: binary values as
// hexadecimal text, lists as JSON.
func RowSchema(sc *lake.Scan) *rowfile.Schema {
	plan := sc.Plan()
	s := &rowfile.Schema{Meta: []rowfile.Meta{
		{Key: "tidemark.table", Value: plan.Table}, {Key: "tidemark.snapshot", Value: strconv.FormatInt(plan.Snapshot, 10)},
	}}
	for _, c := range sc.Columns() {
		f := rowfile.Field{Name: c.Name, Nullable: c.Nullable, Unit: c.Unit, Doc: c.Doc, Scale: c.Scale}
		switch c.Type {
		case file.Double:
			f.Type = market.TypeFloat
		case file.Boolean:
			f.Type = market.TypeBool
		case file.Timestamptz:
			f.Type = market.TypeTime
		case file.Decimal:
			f.Type = market.TypeDec
		case file.Int, file.Long:
			f.Type = market.TypeInt
		default:
			f.Type = market.TypeText
		}
		s.Fields = append(s.Fields, f)
	}
	return s
}

// Write writes the rows of a scan, at most limit of them (0: all), and returns how many.
func Write(sc *lake.Scan, limit int64, w rowfile.Writer) (int64, error) {
	cols := sc.Columns()
	var out rowfile.Batch
	n := int64(0)
	for limit == 0 || n < limit {
		b, err := sc.Next()
		if err != nil {
			return n, err
		}
		if b == nil {
			break
		}
		Convert(&out, b, cols)
		if limit > 0 {
			out.N = int(min(int64(b.N), limit-n))
		}
		if err := w.Write(&out); err != nil {
			return n, err
		}
		n += int64(out.N)
	}
	return n, w.Close()
}

// Convert makes result rows of a table's, whose columns are cols. They share memory.
func Convert(dst *rowfile.Batch, src *file.Batch, cols []file.Column) {
	dst.N = src.N
	if len(dst.Cols) != len(cols) {
		dst.Cols = make([]rowfile.Col, len(cols))
	}
	for i := range cols {
		convert(&dst.Cols[i], &src.Cols[i], cols[i].Type, src.N)
	}
}

// convert makes a result column of n rows of a table's.
func convert(dst *rowfile.Col, src *file.Col, t file.Type, n int) {
	i64, bytes, off := dst.I64[:0], dst.Bytes[:0], append(dst.Off[:0], 0)
	*dst = rowfile.Col{Null: src.Null}
	switch t {
	case file.Double:
		dst.F64 = src.F64[:n]
	case file.Decimal:
		dst.Hi, dst.Lo = src.Hi[:n], src.Lo[:n]
	case file.Long, file.Timestamptz:
		dst.I64 = src.I64[:n]
	case file.Int, file.Boolean:
		for _, v := range src.I32[:n] {
			i64 = append(i64, int64(v))
		}
		dst.I64 = i64
	default:
		for i := range n {
			switch {
			case src.IsNull(i):
			case t == file.Binary:
				bytes = hex.AppendEncode(bytes, src.Text(i))
			case t == file.LongList:
				bytes = append(bytes, '[')
				for k, v := range src.Longs(i) {
					if k > 0 {
						bytes = append(bytes, ',')
					}
					bytes = strconv.AppendInt(bytes, v, 10)
				}
				bytes = append(bytes, ']')
			default:
				bytes = append(bytes, src.Text(i)...)
			}
			off = append(off, int32(len(bytes)))
		}
		dst.Bytes, dst.Off = bytes, off
	}
}
