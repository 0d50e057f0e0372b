package follow

import (
	"fmt"
	"slices"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run/rowfile"
)

// entity is the key of a row's entity: its names, each ended by a zero byte, which none has.
func (r *Reader) entity(b *rowfile.Batch, i int) []byte {
	r.key = r.key[:0]
	for k := range r.cfg.View.Entity {
		r.key = append(append(r.key, b.Cols[k].Text(i)...), 0)
	}
	return r.key
}

func (r *Reader) place(b *rowfile.Batch, i int) *Place {
	p := &Place{RowTS: r.times(b, 2)[i], Entity: []string{}}
	for k := range r.cfg.View.Entity {
		p.Entity = append(p.Entity, string(b.Cols[k].Text(i)))
	}
	return p
}

// times are window_start, window_end, row_ts and available_at.
func (r *Reader) times(b *rowfile.Batch, k int) []int64 {
	return b.Cols[len(r.cfg.View.Entity)+k].I64
}

// remember notes the newest row of each entity of the table.
func (r *Reader) remember(b *rowfile.Batch) error {
	start, ts := r.times(b, 0), r.times(b, 2)
	for i := range b.N {
		key := r.entity(b, i)
		s := r.last[string(key)]
		if s == nil {
			s = &seen{ts: market.NoTime}
			r.last[string(key)] = s
		}
		if ts[i] < s.ts {
			return fmt.Errorf("table %s: rows of %v out of order", r.cut.Table, r.place(b, i).Entity)
		}
		s.ts, s.windowed = ts[i], start[i] < ts[i]
		if r.cut.Last == nil || ts[i] > r.cut.Last.RowTS {
			r.cut.Last = r.place(b, i)
		}
	}
	r.cut.Rows += int64(b.N)
	return nil
}

// check sees that rows of the topic come after those of the table.
func (r *Reader) check(b *rowfile.Batch) error {
	ts := r.times(b, 2)
	for i := range b.N {
		if r.cut.First == nil {
			r.cut.First = r.place(b, i)
		}
		s := r.last[string(r.entity(b, i))]
		if s == nil || s.continued {
			continue
		}
		if ts[i] < s.ts || ts[i] == s.ts && s.windowed {
			return &fault.Error{Code: "cut_overlaps", Message: "the table has rows that the topic brings after the cut", Where: r.cut.Table, Exit: fault.ExitFailed,
				Why: fmt.Sprintf("of %v it has %s, and the topic's next is %s: something else than the sink has written there, ahead of it",
					r.place(b, i).Entity, market.FormatTime(s.ts), market.FormatTime(ts[i])),
				Remedy: "wait until the sink has caught up, then read again; tidemark lake publications shows who wrote"}
		}
		s.continued = true
		r.cut.Continued++
	}
	r.cut.Followed += int64(b.N)
	return nil
}

// wanted leaves out the rows of the topic that were not asked for.
func (r *Reader) wanted(b *rowfile.Batch) *rowfile.Batch {
	if r.cfg.From == market.NoTime && r.cfg.To == market.NoTime && len(r.cfg.Where) == 0 {
		return b
	}
	ts := r.times(b, 2)
	r.keep = r.keep[:0]
	for i := range b.N {
		if (r.cfg.From == market.NoTime || ts[i] >= r.cfg.From) && (r.cfg.To == market.NoTime || ts[i] < r.cfg.To) && r.named(b, i) {
			r.keep = append(r.keep, i)
		}
	}
	if len(r.keep) == b.N {
		return b
	}
	return b.Select(&r.kept, r.schema, r.keep)
}

func (r *Reader) named(b *rowfile.Batch, i int) bool {
	for k, col := range r.cfg.View.Entity {
		if words, ok := r.cfg.Where[col]; ok && !slices.Contains(words, string(b.Cols[k].Text(i))) {
			return false
		}
	}
	return true
}
