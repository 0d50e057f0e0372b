package features

import (
	"math"
	"math/bits"

	"github.com/pinova-group/tidemark/market/num"
)

// fastBlock is instants of an entity on their way out.
type fastBlock struct {
	n, rows int               // instants, and rows that they put out
	lo      int               // place of the first row
	single  bool              // each instant puts out one row
	panes   bool              // instants are the last ones of panes, of which the others are left out
	at      int               // place in the output of the first row
	to      []uint32          // or of each row
	ends    [blockRows]uint32 // place after the last row of each instant
	limit   [blockRows]int64
	first   []uint32          // by frame, blockRows each: place of its first row
	open    [blockRows]int64  // of panes: the first instant
	reach   [blockRows]uint32 // and the first row that frames of the pane reach
	known   [blockRows]int64  // when all that they reach was known
	found   []bool            // by queue: what follows has its least or greatest values
	most    []int32           // by use of a queue, blockRows each: rows with their scales
	mostVal []int64           // and the values
	sums    [blockRows]int64
	spreads [blockRows]num.Nat128
	avail   [blockRows]int64
	hold    [blockRows]int64
	flags   [blockRows]uint8
	f64     [blockRows]float64
	lost    [blockRows]bool
	col     OutCol
}

// blockRows is the most instants of a block: few enough for the nearest cache.
const blockRows = 256

// firstOf is the first row of a frame, by instant.
func (b *fastBlock) firstOf(frame int) []uint32 { return b.first[frame*blockRows:][:b.n] }

// moveFrames finds the first row of each frame at each instant. Frames go side by
// side, since each waits for its own last step.
func (s *fastState) moveFrames(p *fastFrames, b *fastBlock) {
	b.first = grow(b.first, len(p.spans)*blockRows)
	ts := s.padded()
	at := s.first[:len(p.spans)]
	for j, t := range b.limit[:b.n] {
		for k, span := range p.spans {
			at[k] = advance(ts, at[k], t-span+1)
			b.first[k*blockRows+j] = uint32(at[k])
		}
	}
}

// padding is how many times behind the last one advance looks at.
const padding = 3

// padded is the times with those behind them, which no frame leaves.
func (s *fastState) padded() []int64 {
	ts := append(s.ts, math.MaxInt64, math.MaxInt64, math.MaxInt64)
	s.ts = ts[:len(ts)-padding]
	return ts
}

// advance is the first place from i on whose time is at or after a limit. Four are looked at
// at once, without a branch: how many leave nobody can tell in advance.
func advance(ts []int64, i int, limit int64) int {
	for {
		w := ts[i : i+4 : i+4]
		n := -int((w[0]-limit)>>63 + (w[1]-limit)>>63 + (w[2]-limit)>>63 + (w[3]-limit)>>63)
		i += n
		if n < 4 {
			return i
		}
	}
}

// renew says that nothing has been found of a block yet.
func (b *fastBlock) renew(p *fastFrames) {
	b.found = grow(b.found, len(p.queues))
	clear(b.found)
	b.most, b.mostVal = grow(b.most, p.uses*blockRows), grow(b.mostVal, p.uses*blockRows)
}

// flagRows notes the flags of instants that put nothing out.
func (s *fastState) flagRows(b *fastBlock) {
	for at := b.lo; at < int(b.ends[b.n-1]); at++ {
		s.flag(at)
	}
}

// flag notes the flags of a row.
func (s *fastState) flag(at int) {
	f := s.flags[at]
	if f == 0 {
		return
	}
	for s.seen |= f; f != 0; f &= f - 1 {
		s.flagged[bits.TrailingZeros8(f)] = at + 1
	}
}

// floats works a feature out as floats; true when some are null, those that are lost.
func (s *fastState) floats(p *fastFrames, b *fastBlock, f *fastOut, dst []float64) (nulls bool) {
	switch {
	case f.fn == fastVar, f.fn == fastStd:
		return s.fastSpread(b, f, dst)
	case f.fn == fastQuo, f.wide:
		return s.fastRatio(b, f, dst)
	}
	s.fastF64(p, b, f, dst)
	return false
}

// fastF64 works a feature out as floats.
func (s *fastState) fastF64(p *fastFrames, b *fastBlock, f *fastOut, dst []float64) {
	first, ends := b.firstOf(f.frame)[:len(dst)], b.ends[:len(dst)]
	den := 1.0
	if f.fn != fastCount {
		a := &s.args[f.arg]
		den = pow10[a.scale] // a float, since 5^18 is below 2^53
		rows := uint64(ends[len(ends)-1] - first[0])
		if bits.Len64(a.size)+bits.Len64(rows) > 53 || f.fn == fastMean && float64(rows)*den > 1<<53 {
			s.nums(p, b, f)
			for j := range dst {
				n := int64(1)
				if f.fn == fastMean {
					n = int64(ends[j]) - int64(first[j])
				}
				dst[j] = quotient(b.sums[j], n, a.scale)
			}
			return
		}
	}
	switch f.fn {
	case fastSum:
		before := s.args[f.arg].before
		for j := range dst {
			dst[j] = float64(before[ends[j]]-before[first[j]]) / den
		}
	case fastMean:
		before := s.args[f.arg].before
		for j := range dst {
			dst[j] = float64(before[ends[j]]-before[first[j]]) / (float64(int64(ends[j])-int64(first[j])) * den)
		}
	case fastMost:
		s.bestOf(p, b, f.queue)
		vals := b.mostVal[p.firstMost(f):][:len(dst)]
		last, q := vals[0], float64(vals[0])/den
		for j, x := range vals {
			if x != last { // the same for many rows
				last, q = x, float64(x)/den
			}
			dst[j] = q
		}
	default:
		s.nums(p, b, f)
		for j := range dst {
			dst[j] = float64(b.sums[j]) / den
		}
	}
}

// fastSpread works a variance out, or its root; true when some are null.
func (s *fastState) fastSpread(b *fastBlock, f *fastOut, dst []float64) (nulls bool) {
	first, ends, spreads := b.firstOf(f.frame)[:len(dst)], b.ends[:len(dst)], b.spreads[:len(dst)]
	a := &s.args[f.arg]
	for j := range spreads { // first all of them, since each waits for memory
		spreads[j] = a.spread(int(first[j]), int(ends[j]))
	}
	for j := range dst {
		x, ok := f.spreadOf(a, spreads[j], int64(ends[j])-int64(first[j]))
		dst[j], b.lost[j] = x, !ok
		nulls = nulls || !ok
	}
	return nulls
}

// spreadOf is the variance of n rows with that spread, divided by n·(n − ddof), or its root; false for ddof rows or fewer.
func (f *fastOut) spreadOf(a *fastArg, x num.Nat128, n int64) (float64, bool) {
	if n <= f.ddof {
		return 0, false
	}
	y := num.Nat128{Lo: uint64(n * (n - f.ddof))}
	if f.fn == fastStd {
		return num.RootQuo64(x, y, int(a.scale)), true
	}
	v, w := x.Int192(), y.Int192()
	q, _ := num.QuoFloat64(&v, 2*int(a.scale), &w, 0)
	return q, true
}

// nums works a feature out as integers: sums stand for means.
func (s *fastState) nums(p *fastFrames, b *fastBlock, f *fastOut) {
	first, ends := b.firstOf(f.frame), b.ends[:b.n]
	sums := b.sums[:b.n]
	if f.fn == fastCount {
		for j := range sums {
			sums[j] = int64(ends[j]) - int64(first[j])
		}
		return
	}
	before := s.args[f.arg].before
	switch f.fn {
	case fastFirst:
		for j, at := range first {
			sums[j] = before[at+1] - before[at]
		}
	case fastLast:
		for j, at := range ends {
			sums[j] = before[at] - before[at-1]
		}
	case fastMost:
		s.bestOf(p, b, f.queue)
		copy(sums, b.mostVal[p.firstMost(f):])
	default:
		for j := range sums {
			sums[j] = before[ends[j]] - before[first[j]]
		}
	}
}

// spread writes what each instant has into its rows.
func spread[T any](dst, x []T, b *fastBlock) {
	switch {
	case len(x) == 0:
	case b.single && b.to != nil:
		for j, at := range b.to {
			dst[at] = x[j]
		}
	default:
		b.eachRow(func(j, at int) { dst[at] = x[j] })
	}
}

// eachRow calls f for each row that is put out: its instant and its place in the output.
func (b *fastBlock) eachRow(f func(j, at int)) {
	r, place := 0, b.lo
	for j, end := range b.ends[:b.n] {
		n := int(end) - place
		place = int(end)
		if b.single {
			n = 1
		}
		for range n {
			if b.to != nil {
				f(j, int(b.to[r]))
			} else {
				f(j, b.at+r)
			}
			r++
		}
	}
}

// quotient is n × 10^-scale / den rounded once. A division of floats does so when both
// are exact: below 2^53.
func quotient(n, den int64, scale int8) float64 {
	const exact = 1 << 53
	d := float64(den) * pow10[scale]
	if uint64(n+exact) <= 2*exact && d <= exact {
		return float64(n) / d
	}
	a, b := num.FromInt64(n), num.FromInt64(den)
	f, _ := num.QuoFloat64(&a, int(scale), &b, 0)
	return f
}

var pow10 = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18}
