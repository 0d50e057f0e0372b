package lake

import (
	"context"

	"golang.org/x/sync/errgroup"

	"github.com/pinova-group/tidemark/lake/file"
)

// pieceRows is how many rows of histories that are not sorted are decoded at once, at most: memory that stays in use
// is warm, and each new page of it is work for the operating system.
const pieceRows = 128 << 10

// open reads the footers of a span's files.
func (s *Scan) open(ctx context.Context, sp *span) ([]*file.Reader, error) {
	readers := make([]*file.Reader, len(sp.files))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(s.spec.workers)
	for i, f := range sp.files {
		g.Go(func() error {
			if err := gctx.Err(); err != nil {
				return err
			}
			var err error
			readers[i], err = file.Open(source{ctx, s.spec.store, f.path, &s.read}, f.size, f.path)
			return err
		})
	}
	return readers, g.Wait()
}

// located is the wanted rows of a slice of time, found and not yet decoded.
type located struct {
	scans []*file.Scan
	parts []string // of each: what tells its histories apart in the partition
	rows  int
	runs  int
	cols  int // of scanSpec.need that are decoded: without those that merging takes where nothing is merged

	single bool // histories come apart, and no run overlaps another of its history
}

func (s *Scan) locate(readers []*file.Reader, sp *span, iv interval) (*located, error) {
	l := &located{cols: len(s.spec.need)}
	if s.spec.apart && sp.distinct() {
		l.cols, l.single = len(s.spec.out), true
	}
	for i, r := range readers {
		q := file.Query{Table: s.spec.table, Columns: s.spec.need[:l.cols], Keys: s.spec.keys, Where: s.spec.where, Limit: s.spec.memory}
		if f := &sp.files[i]; f.from < iv.from || f.to > iv.to { // else all of its rows are wanted, and need not be looked for
			q.From, q.To = iv.from, iv.to
		}
		sc, err := r.Scan(q)
		if err != nil {
			return nil, err
		}
		l.add(sc, sp.files[i].part)
	}
	return l, nil
}

// cut cuts a slice of time into parts, each as it is found by itself. They are to be found anew where
// rows are held in memory, which is not to be taken for all parts at once.
func (t *timeSlice) cut(parts []timeSlice) error {
	l := t.found
	var at []int64
	for i := range parts {
		parts[i].found = &located{cols: l.cols, single: l.single}
		at = append(at, parts[i].from)
	}
	for i, sc := range l.scans {
		if sc.InMemory() {
			for i := range parts {
				parts[i].found = nil
			}
			return nil
		}
		cut, err := sc.CutAt(at[1:])
		if err != nil {
			return err
		}
		for k, sc := range cut {
			parts[k].found.add(sc, l.parts[i])
		}
	}
	return nil
}

func (l *located) add(sc *file.Scan, part string) {
	l.scans, l.parts = append(l.scans, sc), append(l.parts, part)
	for _, run := range sc.Runs() {
		l.rows += int(run.Rows)
		l.runs++
	}
}

// pieces cuts histories, of which each is in one file at a time, into parts of about so many rows, a page at least.
func (l *located) pieces(rows int64) []*located {
	var out []*located
	last := &located{}
	for i, sc := range l.scans {
		for _, part := range sc.Cut(rows) {
			next := &located{cols: l.cols, single: true}
			next.add(part, l.parts[i])
			if len(out) == 0 || int64(last.rows+next.rows) > rows {
				last = next
				out = append(out, last)
			} else if next.rows > 0 {
				last.add(part, l.parts[i])
			}
		}
	}
	return out
}
