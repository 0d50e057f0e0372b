package lake

import (
	"context"
	"fmt"
	"sync"

	"github.com/pinova-group/tidemark/lake/file"
)

// part is the rows of one file in a slice.
type part struct {
	scan *file.Scan
	name string     // what tells its histories apart in the partition
	at   int        // first row in the slice
	cols []file.Col // of texts, lists and nulls, which do not lie at fixed places
	runs []sliceRun
}

// decode reads the runs of one file; near ones at once.
func (pt *part) decode(ctx context.Context, s *slice, mu *sync.Mutex) error {
	runs := pt.scan.Runs()
	at := pt.at
	for i := 0; i < len(runs); {
		j := i + 1
		for j < len(runs) && runs[j].First-(runs[j-1].First+runs[j-1].Rows) <= gapRows {
			j++
		}
		cur, err := pt.scan.OpenRuns(i, j)
		if err != nil {
			return err
		}
		codes := make([]recode, len(s.cols))
		row, have := runs[i].First, int64(0) // the batch at hand is rows row..row+have-1
		var b *file.Batch
		for ; i < j; i++ {
			run := runs[i]
			pt.runs = append(pt.runs, sliceRun{part: pt.name, key: run.Key, first: uint32(at), end: uint32(at) + uint32(run.Rows), same: make([]one, len(s.cols))})
			for next := run.First; next < run.First+run.Rows; {
				for next >= row+have {
					if err := ctx.Err(); err != nil {
						return err
					}
					row += have
					rest, room := int(run.First+run.Rows-next), 0
					if row == next {
						room = rest
						for k := i + 1; k < j && runs[k].First == runs[k-1].First+runs[k-1].Rows; k++ {
							room += int(runs[k].Rows)
						}
					}
					if b, err = cur.NextTo(s.cols, at, room, int(next-row)+rest); err != nil {
						return err
					}
					if b == nil {
						return fmt.Errorf("the file ends before row %d", next)
					}
					have = int64(b.N)
					for c := range codes {
						codes[c].follow(s, c, &b.Cols[c], mu)
					}
				}
				lo := int(next - row)
				n := int(min(have-int64(lo), run.First+run.Rows-next))
				for c := range s.cols {
					pt.take(s, c, &b.Cols[c], &codes[c], lo, n, at)
				}
				at += n
				next += int64(n)
			}
		}
		cur.Close()
	}
	return nil
}

// recode maps the codes of a file's dictionary to the slice's.
type recode struct {
	from  *file.Dict
	to    []int32
	plain bool // codes stay as they are
}

func (r *recode) of(code int32) int32 {
	if int(code) < len(r.to) {
		return r.to[code]
	}
	return code
}

func (r *recode) follow(s *slice, c int, src *file.Col, mu *sync.Mutex) {
	if src.Dict == nil || src.Dict == r.from && len(r.to) == src.Dict.Len() {
		return
	}
	mu.Lock()
	defer mu.Unlock()
	if r.from != src.Dict {
		r.from, r.to, r.plain = src.Dict, r.to[:0], true
	}
	for len(r.to) < src.Dict.Len() {
		code := s.dicts[c].Code(src.Dict.Word(int32(len(r.to))))
		r.plain = r.plain && int(code) == len(r.to)
		r.to = append(r.to, code)
	}
}

// take copies n rows from lo on to place at of the slice.
func (pt *part) take(s *slice, c int, src *file.Col, codes *recode, lo, n, at int) {
	dst, own := &s.cols[c], &pt.cols[c]
	if pt.repeat(s, c, src, codes, lo, n, at) {
		return
	}
	switch s.kinds[c] {
	case file.Long, file.Timestamptz:
		put(dst.I64[at:], src.I64[lo:lo+n])
	case file.Int, file.Boolean:
		put(dst.I32[at:], src.I32[lo:lo+n])
	case file.Double:
		put(dst.F64[at:], src.F64[lo:lo+n])
	case file.Decimal:
		put(dst.Hi[at:], src.Hi[lo:lo+n])
		put(dst.Lo[at:], src.Lo[lo:lo+n])
	case file.LongList:
		own.I64, own.Off = spans(own.I64, own.Off, src.I64, src.Off[lo:lo+n+1])
	case file.String, file.Binary:
		if !s.coded[c] {
			own.Bytes, own.Off = spans(own.Bytes, own.Off, src.Bytes, src.Off[lo:lo+n+1])
			break
		}
		out := dst.I32[at : at+n]
		if codes.plain {
			put(out, src.I32[lo:lo+n])
			break
		}
		for i, code := range src.I32[lo : lo+n] {
			out[i] = codes.of(code)
		}
	}
	if len(src.Null) == 0 {
		return
	}
	for i := range n {
		if src.IsNull(lo + i) {
			own.SetNull(at - pt.at + i)
		}
	}
}

// put copies what is not there already.
func put[T any](dst, src []T) {
	if len(src) > 0 && &dst[0] != &src[0] {
		copy(dst, src)
	}
}

// repeat takes rows of one value, as long as all so far have it: they are not written.
func (pt *part) repeat(s *slice, c int, src *file.Col, codes *recode, lo, n, at int) bool {
	run := &pt.runs[len(pt.runs)-1]
	o, first := &run.same[c], int(run.first)
	if !src.Same {
		if o.is {
			o.is = false
			s.put(c, o.v, first, at)
		}
		return false
	}
	v := int64(0)
	switch {
	case s.wide(c):
		v = src.I64[lo]
	case s.coded[c]:
		v = int64(codes.of(src.I32[lo]))
	default:
		v = int64(src.I32[lo])
	}
	switch {
	case at == first:
		*o = one{true, v}
	case o.is && v != o.v:
		o.is = false
		s.put(c, o.v, first, at)
	}
	if !o.is {
		s.put(c, v, at, at+n)
	}
	return true
}

// spans appends what the offsets off of src bound.
func spans[T any](dst []T, dstOff []int32, src []T, off []int32) ([]T, []int32) {
	if len(dstOff) == 0 {
		dstOff = append(dstOff, 0)
	}
	shift := dstOff[len(dstOff)-1] - off[0]
	for _, o := range off[1:] {
		dstOff = append(dstOff, o+shift)
	}
	return append(dst, src[off[0]:off[len(off)-1]]...), dstOff
}
