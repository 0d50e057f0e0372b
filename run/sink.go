package run

import (
	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/run/rowfile"
)

// sink turns the engine's rows of one view into a result file.
type sink struct {
	w       rowfile.Writer
	view    int
	entity  int // entity columns
	batch   rowfile.Batch
	written int64
}

func newSink(w rowfile.Writer, view int, o *features.Output) *sink {
	return &sink{w: w, view: view, entity: len(o.Entity), batch: rowfile.Batch{Cols: make([]rowfile.Col, len(o.Entity)+5+len(o.Fields))}}
}

// write writes the rows of the view. Names resolves the entity numbers, which hold only
// until the task's next call.
func (s *sink) write(v *features.ViewRows, names func(view int, entity uint32) []string) error {
	if v.Len() == 0 {
		return nil
	}
	s.written += int64(v.Len())
	return s.w.Write(s.columns(v, names))
}

// columns gives the rows as result columns, valid until it is called again.
func (s *sink) columns(v *features.ViewRows, names func(view int, entity uint32) []string) *rowfile.Batch {
	b := s.values(v)
	for i := range s.entity {
		c := &b.Cols[i]
		c.Bytes, c.Off = c.Bytes[:0], append(c.Off[:0], 0)
	}
	for _, e := range v.Entity {
		ns := names(s.view, e)
		for i := range s.entity {
			c := &b.Cols[i]
			c.Bytes = append(c.Bytes, ns[i]...)
			c.Off = append(c.Off, int32(len(c.Bytes)))
		}
	}
	return b
}

// values gives what is not of the entities.
func (s *sink) values(v *features.ViewRows) *rowfile.Batch {
	b := &s.batch
	b.N = v.Len()
	for i, times := range [][]int64{v.Start, v.End, v.RowTS, v.Avail} {
		b.Cols[s.entity+i].I64 = times
	}
	flags := &b.Cols[s.entity+4]
	flags.I64 = flags.I64[:0]
	for _, f := range v.Flags {
		flags.I64 = append(flags.I64, int64(f))
	}
	for i := range v.Features {
		f := &v.Features[i]
		b.Cols[s.entity+5+i] = rowfile.Col{F64: f.F64, I64: f.I64, Hi: f.Hi, Lo: f.Lo, Bytes: f.Bytes, Off: f.Off, Null: f.Null}
	}
	return b
}
