package stream

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/pinova-group/tidemark/market/adapters"
	"github.com/pinova-group/tidemark/sequence"
)

const sequenceMagic = "TMSJ\x01"

// AppendSnapshot appends the state, right after a step: what has been given since is in no
// snapshot.
func (s *Sequence) AppendSnapshot(dst []byte) []byte {
	if len(s.sources)+len(s.letters)+s.gives.Rows.Len()+s.gives.Late.Len() > 0 {
		panic("BUG: snapshot of a sequence task between Add and Step")
	}
	at := len(dst)
	dst = append(dst, sequenceMagic...)
	dst = appendText(dst, s.cfg.Topic)
	dst = binary.AppendVarint(dst, int64(s.cfg.Partition))
	dst = binary.AppendVarint(dst, s.next)
	for _, n := range []int64{s.lost.In, s.lost.DLQ, s.lost.Filtered} {
		dst = binary.AppendVarint(dst, n)
	}
	dst = binary.AppendUvarint(dst, uint64(len(s.decoders)))
	for _, d := range s.decoders {
		dst = appendText(dst, d.format)
		dst = appendText(dst, d.feed)
		switch {
		case d.dec != nil:
			dst = appendText(dst, string(adapters.AppendSnapshot(nil, d.dec)))
		case d.adapter != nil:
			dst = appendText(dst, d.adapter.Name)
		default:
			dst = appendText(dst, "")
		}
	}
	dst = s.seq.AppendSnapshot(dst)
	return seal(dst, at)
}

// RestoreSequence rebuilds a task from AppendSnapshot, for the same topic and partition. It
// goes on at its Next.
func RestoreSequence(cfg SequenceConfig, src []byte) (*Sequence, error) {
	s, err := newSequence(cfg)
	if err != nil {
		return nil, err
	}
	r, err := unseal(src, sequenceMagic)
	if err != nil {
		return nil, err
	}
	if name, part := r.text(), r.varint(); r.src != nil && (name != cfg.Topic || part != int64(cfg.Partition)) {
		return nil, fmt.Errorf("%w: %s/%d", ErrPartitions, name, part)
	}
	s.next = r.varint()
	s.lost = sequence.Counts{In: r.varint(), DLQ: r.varint(), Filtered: r.varint()}
	for range r.uvarint() {
		if err := s.restoreDecoder(r.text(), r.text(), r.text()); err != nil {
			return nil, err
		}
		if r.src == nil {
			break
		}
	}
	if r.src == nil {
		return nil, ErrCorrupt
	}
	if s.seq, err = sequence.Restore(s.cfg.Sequencer, r.src); err != nil {
		return nil, err
	}
	for _, f := range s.seq.CountsByFeed() {
		s.feeds[cfg.Sequencer.Feeds.Intern(f.Feed)] = true
	}
	return s, nil
}

func (s *Sequence) restoreDecoder(format, feed, state string) error {
	d, why := s.decoderOf(format, feed)
	switch {
	case why != "":
		return fmt.Errorf("%w: %s", ErrCorrupt, why)
	case d.dec != nil:
		if err := adapters.Restore(d.dec, []byte(state)); err != nil {
			return fmt.Errorf("%w: decoder %s: %w", ErrCorrupt, format, err)
		}
	case state != "":
		at := slices.IndexFunc(s.cfg.Adapters, func(a *adapters.Adapter) bool { return a.Name == state })
		if at < 0 {
			return fmt.Errorf("%w: no format %q", ErrCorrupt, state)
		}
		d.adapter = s.cfg.Adapters[at]
	}
	return nil
}
