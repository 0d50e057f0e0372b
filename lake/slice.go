package lake

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"maps"
	"math"
	"math/bits"
	"slices"
	"sort"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/pinova-group/tidemark/lake/file"
)

// batchRows is how many rows a batch of a scan has at most.
const batchRows = 16 << 10

// gapRows is how many unwanted rows between two runs of a file are decoded with them
// rather than the page that both share twice.
const gapRows = 8 << 10

func keysOf[V any](m map[string]V) iter.Seq[string] { return maps.Keys(m) }

// slice is decoded rows and the runs that they come in.
type slice struct {
	n      int
	cols   []file.Col // by scanSpec.need
	kinds  []file.Type
	coded  []bool // columns of codes
	dicts  []*file.Dict
	longs  []file.Repeated[int64] // of columns with one value
	ints   []file.Repeated[int32]
	runs   []sliceRun
	nums   []keyColumn
	rank   func(row uint32) int // among rows of one key, nil for none; by column origin
	origin int

	histories []history
	order     []uint32 // rows in the total order, of histories with more than one run
	to        int64    // the end of its time
	given     int      // histories delivered
	at        int      // rows delivered of the next one
	last      int64    // time of the last row delivered

	batch  file.Batch // of rows in order: copies, and columns that are the same in all
	copies []file.Col
	view   file.Batch // of rows as they lie in cols
	keyed  []uint64   // what sort works with
	bounds []uint32
}

// reset makes the slice one of n rows, with the memory of the rows that it had.
func (s *slice) reset(n, cols int, p *scanSpec) {
	if cap(s.cols) == 0 {
		s.cols, s.kinds, s.coded, s.nums = make([]file.Col, len(p.need)), make([]file.Type, len(p.need)), make([]bool, len(p.need)), p.nums
		s.longs, s.ints = make([]file.Repeated[int64], len(p.need)), make([]file.Repeated[int32], len(p.need))
		for i, name := range p.need {
			s.kinds[i] = p.column(name).Type
			s.coded[i] = p.column(name).Coded()
		}
	}
	s.n, s.given, s.at, s.runs, s.rank, s.order, s.histories = n, 0, 0, s.runs[:0], nil, s.order[:0], s.histories[:0]
	s.cols = s.cols[:cols]
	s.dicts = make([]*file.Dict, cols) // who has words of the old ones keeps them
	for i := range s.cols {
		c := &s.cols[i]
		c.Dict, c.Null, c.Bytes, c.Off = nil, c.Null[:0], c.Bytes[:0], c.Off[:0]
		switch s.kinds[i] {
		case file.Long, file.Timestamptz:
			c.I64 = resize(c.I64, n)
		case file.Int, file.Boolean:
			c.I32 = resize(c.I32, n)
		case file.Double:
			c.F64 = resize(c.F64, n)
		case file.Decimal:
			c.Hi, c.Lo = resize(c.Hi, n), resize(c.Lo, n)
		case file.LongList:
			c.I64 = c.I64[:0]
		default:
			if s.coded[i] {
				c.I32 = resize(c.I32, n)
				s.dicts[i] = file.NewDict()
				c.Dict = s.dicts[i]
			}
		}
	}
}

// resize gives n values, of any value.
func resize[T any](v []T, n int) []T {
	if cap(v) < n {
		return make([]T, n)
	}
	return v[:n]
}

// sliceRun is rows first..end-1, in order.
type sliceRun struct {
	part       string
	key        []string
	first, end uint32
	same       []one // by column
}

// one says of some rows that they have one value in a column, which is not written in their places.
type one struct {
	is bool
	v  int64
}

// history is rows of one history, in order, or several such one after the other: rows first..end-1 of the slice, or of its order.
type history struct {
	first, end uint32
	ordered    bool
	same       []one
}

// load decodes the rows into s, several files at once.
func (l *located) load(ctx context.Context, p *scanSpec, s *slice) error {
	if l.rows > math.MaxInt32 {
		return fmt.Errorf("%d rows of one instant", l.rows)
	}
	s.reset(l.rows, l.cols, p)
	var mu sync.Mutex // of the dictionaries
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(p.workers)
	parts := make([]*part, 0, len(l.scans))
	at := 0
	for i, sc := range l.scans {
		pt := &part{scan: sc, name: l.parts[i], at: at, cols: make([]file.Col, l.cols)}
		for _, run := range sc.Runs() {
			at += int(run.Rows)
		}
		if at == pt.at {
			continue
		}
		parts = append(parts, pt)
		g.Go(func() error { return pt.decode(gctx, s, &mu) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, pt := range parts {
		s.join(pt)
		s.runs = append(s.runs, pt.runs...)
	}
	if p.origin >= 0 && p.origin < l.cols {
		c := &s.cols[p.origin]
		s.origin = p.origin
		s.rank = func(row uint32) int { return originRank(c.Text(int(row))) }
	}
	s.arrange(p.apart, l.single)
	return nil
}

// unite tells what all rows of some runs have one value in; in other columns each row has its value in its place then.
func (s *slice) unite(runs []sliceRun) []one {
	all := runs[0].same
	if len(runs) == 1 {
		return all
	}
	all = slices.Clone(all)
	for c := range all {
		for _, run := range runs {
			all[c].is = all[c].is && run.same[c] == all[c]
		}
		s.apart(c, all[c].is, runs)
	}
	return all
}

// apart puts the values of a column into the places of all rows, unless they are to stay away.
func (s *slice) apart(c int, stay bool, runs []sliceRun) {
	for i := range runs {
		if o := &runs[i].same[c]; o.is && !stay {
			o.is = false
			s.put(c, o.v, int(runs[i].first), int(runs[i].end))
		}
	}
}

// put writes a value to rows lo..hi-1.
func (s *slice) put(c int, v int64, lo, hi int) {
	if s.wide(c) {
		for i := range s.cols[c].I64[lo:hi] {
			s.cols[c].I64[lo+i] = v
		}
		return
	}
	for i := range s.cols[c].I32[lo:hi] {
		s.cols[c].I32[lo+i] = int32(v)
	}
}

// wide reports whether values of a column are in I64, else they are in I32 if they are numbers or codes.
func (s *slice) wide(c int) bool { return s.kinds[c] == file.Long || s.kinds[c] == file.Timestamptz }

// fewRows is how many rows of histories that are not sorted are given together although a column may have one value in each
// of them, as a symbol has.
const fewRows = 4 << 10

// arrange makes histories of the runs: one of all or, apart, one of each part and key; of rows that are given as they lie,
// one of each run.
func (s *slice) arrange(apart, single bool) {
	runs := slices.Clone(s.runs)
	s.apart(s.nums[0].at, false, runs)
	for single && len(runs) > 0 {
		n := 1
		for n < len(runs) && runs[n].end-runs[0].first <= fewRows {
			n++
		}
		s.histories = append(s.histories, history{first: runs[0].first, end: runs[n-1].end, same: s.unite(runs[:n])})
		runs = runs[n:]
	}
	name := func(a, b sliceRun) int { return cmp.Or(strings.Compare(a.part, b.part), slices.Compare(a.key, b.key)) }
	if apart {
		slices.SortStableFunc(runs, name)
	}
	for len(runs) > 0 {
		n := 1
		for n < len(runs) && (!apart || name(runs[0], runs[n]) == 0) {
			n++
		}
		if n == 1 {
			s.histories = append(s.histories, history{first: runs[0].first, end: runs[0].end, same: runs[0].same})
		} else {
			for _, k := range s.nums[1:] { // they are compared
				s.apart(k.at, false, runs[:n])
			}
			if s.rank != nil {
				s.apart(s.origin, false, runs[:n])
			}
			h := history{first: uint32(len(s.order)), ordered: true, same: s.unite(runs[:n])}
			s.sort(runs[:n])
			h.end = uint32(len(s.order))
			s.histories = append(s.histories, h)
		}
		runs = runs[n:]
	}
}

// join adds what a part kept for itself. Parts come in order.
func (s *slice) join(pt *part) {
	for c := range s.cols {
		dst, own := &s.cols[c], &pt.cols[c]
		if len(own.Off) > 0 {
			if s.kinds[c] == file.LongList {
				dst.I64, dst.Off = spans(dst.I64, dst.Off, own.I64, own.Off)
			} else {
				dst.Bytes, dst.Off = spans(dst.Bytes, dst.Off, own.Bytes, own.Off)
			}
		}
		for w, bits := range own.Null {
			for b := 0; bits != 0; bits, b = bits>>1, b+1 {
				if bits&1 == 1 {
					dst.SetNull(pt.at + w<<6 + b)
				}
			}
		}
	}
}

// sort merges runs into order. Rows are dealt by their first key into as many bins as hold a few
// each: each run goes through the bins in order, so that takes a fraction of comparing the
// runs' heads. Bins are sorted by the first key, rows of one key by all of them.
func (s *slice) sort(runs []sliceRun) {
	least, most, n := int64(math.MaxInt64), int64(math.MinInt64), 0
	for _, run := range runs {
		least, most = min(least, s.key(&s.nums[0], run.first)), max(most, s.key(&s.nums[0], run.end-1))
		n += int(run.end - run.first)
	}
	width := bits.Len64(uint64(most) - uint64(least))
	cut := max(0, width-32) // a longer key is cut to 32 bits, and compared as a whole where those are equal
	bin := max(0, width-cut-bits.Len(uint(n/4)))
	keyed := resize(s.keyed, n)
	end := resize(s.bounds, 1<<(width-cut-bin)+1)
	clear(end)
	for _, run := range runs {
		for i := run.first; i < run.end; i++ {
			at := (uint64(s.key(&s.nums[0], i)) - uint64(least)) >> cut
			end[at>>bin+1]++
		}
	}
	for b := 1; b < len(end); b++ {
		end[b] += end[b-1]
	}
	for _, run := range runs {
		for i := run.first; i < run.end; i++ {
			at := (uint64(s.key(&s.nums[0], i)) - uint64(least)) >> cut
			keyed[end[at>>bin]] = at<<32 | uint64(i)
			end[at>>bin]++
		}
	}
	s.keyed, s.bounds = keyed, end
	from := uint32(0)
	for _, to := range end[:len(end)-1] {
		sortBin(keyed[from:to])
		from = to
	}
	order := slices.Grow(s.order, n)[:len(s.order)+n]
	s.order, order = order, order[len(s.order):]
	for i, k := range keyed {
		order[i] = uint32(k)
	}
	for lo := 0; lo < n; {
		hi := lo + 1
		for hi < n && keyed[hi]>>32 == keyed[lo]>>32 {
			hi++
		}
		if hi > lo+1 {
			slices.SortFunc(order[lo:hi], s.compare)
		}
		lo = hi
	}
}

// sortBin sorts the few rows of a bin, or the many of a skewed one.
func sortBin(v []uint64) {
	if len(v) > 24 {
		slices.Sort(v)
		return
	}
	for i := 1; i < len(v); i++ {
		x, j := v[i], i
		for ; j > 0 && v[j-1] > x; j-- {
			v[j] = v[j-1]
		}
		v[j] = x
	}
}

// key is a number of a row, such that signed comparison gives its order.
func (s *slice) key(k *keyColumn, row uint32) int64 {
	c := &s.cols[k.at]
	switch {
	case k.wide && k.unsigned:
		return c.I64[row] ^ math.MinInt64
	case k.wide:
		return c.I64[row]
	case k.unsigned:
		return int64(uint32(c.I32[row]))
	}
	return int64(c.I32[row])
}

// compare orders rows: by the numbers, the strings, the rank, then which file and place
// they come from.
func (s *slice) compare(a, b uint32) int {
	for i := range s.nums {
		if d := cmp.Compare(s.key(&s.nums[i], a), s.key(&s.nums[i], b)); d != 0 {
			return d
		}
	}
	if d := slices.CompareFunc(s.runOf(a).key, s.runOf(b).key, strings.Compare); d != 0 {
		return d
	}
	if s.rank != nil {
		if d := cmp.Compare(s.rank(a), s.rank(b)); d != 0 {
			return d
		}
	}
	return cmp.Compare(a, b)
}

func (s *slice) runOf(row uint32) *sliceRun {
	i := sort.Search(len(s.runs), func(i int) bool { return s.runs[i].end > row })
	return &s.runs[i]
}

// next gives the next rows of the slice, with the first out of its columns; nil after the last.
func (s *slice) next(out int) *file.Batch {
	if s.ended() {
		return nil
	}
	h := s.histories[s.given]
	lo := h.first + uint32(s.at)
	hi := min(h.end, lo+batchRows)
	if s.at += int(hi - lo); hi == h.end {
		s.given, s.at = s.given+1, 0
	}
	if !h.ordered {
		s.last = s.key(&s.nums[0], hi-1)
		return s.rows(out, int(lo), int(hi-lo), h.same)
	}
	perm := s.order[lo:hi]
	s.last = s.key(&s.nums[0], perm[len(perm)-1])
	s.batch.Cols, s.copies = slices.Grow(s.batch.Cols[:0], out)[:out], slices.Grow(s.copies[:0], out)[:out]
	s.batch.N = len(perm)
	for c := range s.batch.Cols {
		if o := h.same[c]; o.is {
			s.repeat(&s.batch.Cols[c], c, o.v, len(perm))
			continue
		}
		gather(&s.copies[c], &s.cols[c], s.kinds[c], perm)
		s.batch.Cols[c] = s.copies[c]
	}
	return &s.batch
}

// ended reports whether all rows have been given.
func (s *slice) ended() bool { return s.given == len(s.histories) }

// rows shows rows as they lie.
func (s *slice) rows(out, lo, n int, same []one) *file.Batch {
	s.view.Cols = slices.Grow(s.view.Cols[:0], out)[:out]
	s.view.N = n
	for c := range s.view.Cols {
		src, dst := &s.cols[c], &s.view.Cols[c]
		null := dst.Null[:0]
		*dst = file.Col{Dict: src.Dict}
		if o := same[c]; o.is {
			s.repeat(dst, c, o.v, n)
			continue
		}
		switch s.kinds[c] {
		case file.Long, file.Timestamptz:
			dst.I64 = src.I64[lo : lo+n]
		case file.Int, file.Boolean:
			dst.I32 = src.I32[lo : lo+n]
		case file.Double:
			dst.F64 = src.F64[lo : lo+n]
		case file.Decimal:
			dst.Hi, dst.Lo = src.Hi[lo:lo+n], src.Lo[lo:lo+n]
		case file.LongList:
			dst.I64, dst.Off = src.I64, src.Off[lo:lo+n+1]
		default:
			if src.Dict != nil {
				dst.I32 = src.I32[lo : lo+n]
			} else {
				dst.Bytes, dst.Off = src.Bytes, src.Off[lo:lo+n+1]
			}
		}
		dst.Null = src.AppendNulls(null, lo, n)
	}
	return &s.view
}

// repeat shows n rows of a column that have v.
func (s *slice) repeat(dst *file.Col, c int, v int64, n int) {
	*dst = file.Col{Dict: s.cols[c].Dict, Same: true}
	if s.wide(c) {
		dst.I64 = s.longs[c].Of(v, n)
	} else {
		dst.I32 = s.ints[c].Of(int32(v), n)
	}
}

// gather copies the rows of perm.
func gather(dst, src *file.Col, kind file.Type, perm []uint32) {
	dst.Dict, dst.Null = src.Dict, dst.Null[:0]
	switch kind {
	case file.Long, file.Timestamptz:
		dst.I64 = pick(dst.I64, src.I64, perm)
	case file.Int, file.Boolean:
		dst.I32 = pick(dst.I32, src.I32, perm)
	case file.Double:
		dst.F64 = pick(dst.F64, src.F64, perm)
	case file.Decimal:
		dst.Hi, dst.Lo = pick(dst.Hi, src.Hi, perm), pick(dst.Lo, src.Lo, perm)
	case file.LongList:
		dst.I64, dst.Off = pickSpans(dst.I64, dst.Off, src.I64, src.Off, perm)
	default:
		if src.Dict != nil {
			dst.I32 = pick(dst.I32, src.I32, perm)
		} else {
			dst.Bytes, dst.Off = pickSpans(dst.Bytes, dst.Off, src.Bytes, src.Off, perm)
		}
	}
	if len(src.Null) > 0 {
		for i, r := range perm {
			if src.IsNull(int(r)) {
				dst.SetNull(i)
			}
		}
	}
}

func pick[T any](dst, src []T, perm []uint32) []T {
	dst = slices.Grow(dst[:0], len(perm))[:len(perm)]
	for i, r := range perm {
		dst[i] = src[r]
	}
	return dst
}

func pickSpans[T any](dst []T, dstOff []int32, src []T, off []int32, perm []uint32) ([]T, []int32) {
	dst, dstOff = dst[:0], append(dstOff[:0], 0)
	for _, r := range perm {
		dst = append(dst, src[off[r]:off[r+1]]...)
		dstOff = append(dstOff, int32(len(dst)))
	}
	return dst, dstOff
}
