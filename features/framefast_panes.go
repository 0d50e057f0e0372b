package features

import (
	"math/bits"
	"slices"

	"github.com/pinova-group/tidemark/features/op"
)

// Where nothing is put out of the rows themselves and all children keep the newest row of a pane, frames are worked out at the
// last instant of each pane alone. What the others put into the envelope is what the frames of the pane reach together.

// thin tells that the next rows may be taken pane by pane. All need one hold: that of a
// pane's rows, each with its time, is not what they reach together.
func (v *viewState) thin(s *fastState) bool {
	return v.frames.fast.panes && (v.omit || s.ts[s.done] < v.task.from) && s.holds == nil
}

// panesAlone tells that children want the newest row of each pane alone.
func (v *viewState) panesAlone(p *fastFrames) bool {
	each := slices.ContainsFunc(p.children, func(c fastChild) bool { return len(c.each) > 0 })
	return len(p.children) > 0 && !each && !v.p.Instants && p.rows[0] == 0
}

// nextPanes takes up the next panes: of each the last instant, and when it opens.
func (v *viewState) nextPanes(s *fastState, b *fastBlock, lim int) {
	p, ts, i, n := v.frames.fast, s.ts[:lim], s.done, 0
	b.lo = i
	for i < lim && n < blockRows {
		open, end := ts[i], int64(never)
		if !v.omit {
			if open >= v.task.from {
				break
			}
			end = v.task.from
		}
		for k := range p.children {
			c := p.children[k].v.p
			end = min(end, c.PaneStart(c.PaneOf(open)+1))
		}
		for i < lim && ts[i] < end {
			i++
		}
		b.open[n], b.ends[n], b.limit[n] = open, uint32(i), ts[i-1]
		n++
	}
	b.n, b.rows, b.single, b.panes = n, i-b.lo, false, true
	b.renew(p)
}

// movePanes finds the first row of each frame at the last instant of each pane, and the first that any reaches in it.
func (s *fastState) movePanes(p *fastFrames, b *fastBlock) {
	b.first = grow(b.first, len(p.spans)*blockRows)
	ts := s.padded()
	at := s.first[:len(p.spans)]
	for j, t := range b.limit[:b.n] {
		i := advance(ts, at[p.longest], b.open[j]-p.spans[p.longest]+1)
		at[p.longest], b.reach[j] = i, uint32(i)
		for k, span := range p.spans {
			at[k] = advance(ts, at[k], t-span+1)
			b.first[k*blockRows+j] = uint32(at[k])
		}
	}
}

// paneEnvelope finds what the rows of panes come from.
func (s *fastState) paneEnvelope(p *fastFrames, b *fastBlock) {
	first, avail := b.firstOf(p.longest), &s.best[bestAvail]
	avails, place := fastVals{vals: s.avail}, b.lo
	for j, end := range b.ends[:b.n] {
		for ; place < int(end); place++ {
			s.flag(place)
		}
		b.flags[j] = s.flagsFrom(int(b.reach[j]))
		b.hold[j] = s.hold
		if avail.rising {
			b.avail[j] = s.avail[end-1]
			b.known[j] = b.avail[j]
			continue
		}
		avail.take(avails, int(end))
		_, b.avail[j] = avail.find(avails, 0, int(first[j]))
		_, b.known[j] = avail.find(avails, 1, int(b.reach[j]))
	}
}

// flagsFrom are the flags of rows from a place to the last that is out.
func (s *fastState) flagsFrom(at int) (flags uint8) {
	for f := s.seen; f != 0; f &= f - 1 {
		if s.flagged[bits.TrailingZeros8(f)] > at {
			flags |= f & -f
		}
	}
	return flags
}

// older sets x to a feature at the newest instant before the last of a pane where it has a value, and returns its time.
func (s *fastState) older(x *op.Val, p *fastFrames, b *fastBlock, f *fastOut, j int) int64 {
	o := &p.instant
	o.n, o.first = 1, grow(o.first, len(p.spans)*blockRows)
	for end, begin := int(b.ends[j]), b.begin(j); ; {
		for t := s.ts[end-1]; end > begin && s.ts[end-1] == t; {
			end--
		}
		if end == begin {
			return 0
		}
		t := s.ts[end-1]
		for k, span := range p.spans {
			lo, _ := slices.BinarySearch(s.ts[:end], t-span+1)
			o.first[k*blockRows] = uint32(lo)
		}
		o.ends[0], o.limit[0] = uint32(end), t
		if s.value(x, p, o, f, 0); !x.Null {
			return t
		}
	}
}
