package stream

import (
	"context"
	"fmt"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/wire"
	"github.com/pinova-group/tidemark/stream/record"
)

// Add takes the next records; offsets may be left out. What they refer to must stay as it is: dead
// letters of the next step refer to it. No record is an error: what cannot be used becomes a dead letter. After
// record.ErrRegistry or an error of ctx the records from Next on have not been taken and may be given again;
// any other error ends the task.
func (s *Sequence) Add(ctx context.Context, recs ...record.Raw) error {
	for len(recs) > 0 {
		block := recs[:min(len(recs), wire.BlockRows)]
		recs = recs[len(block):]
		if len(block) > 1 {
			if took, err := s.quick(block); err != nil {
				return err
			} else if took {
				continue
			}
		}
		for i := range block {
			if err := s.add(ctx, block[i:i+1]); err != nil {
				return err
			}
		}
	}
	return nil
}

// add takes one record.
func (s *Sequence) add(ctx context.Context, one []record.Raw) error {
	r := &one[0]
	if r.Offset < s.next {
		return fmt.Errorf("%s/%d: %w: at %d, given %d", s.cfg.Topic, s.cfg.Partition, ErrOffset, s.next, r.Offset)
	}
	if took, err := s.quick(one); took || err != nil {
		return err
	}
	s.one.Reset()
	single, err := s.decode(ctx, r)
	if err != nil {
		return err
	}
	s.next = r.Offset + 1
	return s.take(r, single)
}

// quick takes records that are one event each, like the one before: their rows are decoded into their places. If one of them is
// not, it leaves all as they are.
func (s *Sequence) quick(recs []record.Raw) (bool, error) {
	next, bytes := s.next, s.bytes
	s.values = s.values[:0]
	for i := range recs {
		r := &recs[i]
		bytes += len(r.Value)
		if string(r.Format) != FormatEvent || r.Offset < next || bytes > pushBytes {
			return false, nil
		}
		next = r.Offset + 1
		s.values = append(s.values, r.Value)
	}
	k := market.KindNone
	k, s.left = s.events.DecodeBlock(s.values, &s.rows, s.left[:0])
	if len(s.left) == len(recs) {
		return false, nil
	}
	b := s.rows.Batches[k]
	at := b.N + len(s.left) - len(recs)
	if len(s.left) > 0 || k != s.kind || !s.alike(b, at, recs) {
		b.Truncate(at)
		return false, nil
	}
	for i := range recs {
		b.Shard[at+i] = uint16(s.cfg.Partition)
		s.origin[k] = append(s.origin[k], len(s.sources))
		s.sources = append(s.sources, source{recs[i].Offset, recs[i].Key, recs[i].Value})
	}
	s.next, s.bytes = next, bytes
	if len(s.sources) < pushRows && s.bytes < pushBytes {
		return true, nil
	}
	return true, s.push()
}

// alike reports whether the rows of records, which begin at row at, are of the line that has begun and belong into the topic.
func (s *Sequence) alike(b *market.Batch, at int, recs []record.Raw) bool {
	for i := range recs {
		row := at + i
		feed, x := b.Feed[row], s.symbol(b.Inst[row])
		if feed != s.begun || feed != s.feed || !x.here || x.name != string(recs[i].Key) || b.EventTS[row]-recs[i].Time > s.ahead {
			return false
		}
	}
	return true
}
