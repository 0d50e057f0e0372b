package sink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/lake/file"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/wire"
	"github.com/pinova-group/tidemark/run"
	"github.com/pinova-group/tidemark/stream/record"
	"github.com/pinova-group/tidemark/stream/topic"
)

// input is a partition of a topic.
type input struct {
	next, behind int64
	slots        []*slot // by the tables of the topic
}

// topicOf is a topic and what its records become.
type topicOf struct {
	name   topic.Name
	id     string
	parts  int
	tables []*table
	events *events // nil for rows
	kinds  []market.Kind
	view   *view
	ledger *ledger
}

// read takes records of a partition.
func (t *topicOf) read(ctx context.Context, in *input, recs []*kgo.Record) error {
	switch {
	case t.view != nil:
		return t.view.read(ctx, in, recs)
	case t.ledger != nil:
		return t.ledger.read(ctx, in, recs)
	}
	return t.events.read(ctx, t, in, recs)
}

// events reads records of events, for all topics of them.
type events struct {
	s       *Sink
	insts   *market.Instruments
	dec     *record.EventDecoder
	chunk   market.Chunk
	keep    [market.NumKinds][]int32
	packers [market.NumKinds]*file.Packer
}

func (e *events) read(ctx context.Context, t *topicOf, in *input, recs []*kgo.Record) error {
	e.chunk.Reset()
	for _, k := range t.kinds {
		e.keep[k] = e.keep[k][:0]
	}
	for _, r := range recs {
		if r.Attrs.IsControl() {
			continue
		}
		if err := e.record(ctx, t, in, r); err != nil {
			if errors.Is(err, record.ErrRegistry) || ctx.Err() != nil {
				return err
			}
			if r.Offset >= in.slots[0].next {
				t.tables[0].bad(e.s, in.slots[0], r, err)
			}
		}
	}
	for i, k := range t.kinds {
		rows := e.keep[k]
		if len(rows) == 0 {
			continue
		}
		if err := e.add(ctx, t.tables[i], k, rows); err != nil {
			return fmt.Errorf("table %s: %w", t.tables[i].name, err)
		}
	}
	return nil
}

// record reads one record into the batch of its kind.
func (e *events) record(ctx context.Context, t *topicOf, in *input, r *kgo.Record) error {
	k, err := e.dec.Decode(ctx, r.Value, &e.chunk)
	if err != nil {
		return err
	}
	b := e.chunk.Batches[k]
	if k == market.KindWatermark {
		of, _, err := record.ReadMark(r, e.s.Kinds)
		if err != nil {
			return err
		}
		for i, have := range t.kinds {
			if have == of { // one that was read before says it still
				in.slots[i].mark = max(in.slots[i].mark, b.TS[b.N-1])
			}
		}
		return nil
	}
	for i, have := range t.kinds {
		if have != k {
			continue
		}
		if r.Offset >= in.slots[i].next {
			e.keep[k] = append(e.keep[k], int32(b.N-1))
		}
		if t.name.Class == topic.Late {
			b.Flags[b.N-1] |= market.FlagLate
		}
		return nil
	}
	if k == market.KindStatus || k == t.kind(e.s.Kinds) { // its table is another sink's
		return nil
	}
	return fmt.Errorf("it is %s", e.s.Kinds.Name(k))
}

// kind is what the events of the topic are.
func (t *topicOf) kind(kinds *market.Kinds) market.Kind {
	k, _ := topic.ParseKindWord(kinds, t.name.Kind)
	return k
}

func (e *events) add(ctx context.Context, t *table, k market.Kind, rows []int32) error {
	b := e.chunk.Batches[k]
	rows, err := t.known.filter(ctx, t, rows, b.TS, func(r int32) (partKey, market.ID) {
		inst := e.insts.Get(b.Inst[r])
		return partKey{floorHour(b.TS[r]), inst.Exchange, inst.Venue.String()}, b.ID[r]
	})
	if err != nil || len(rows) == 0 {
		return err
	}
	packed, err := e.packers[k].Pack(b)
	if err != nil {
		return err
	}
	return t.add(ctx, packed, rows)
}

// view reads records of rows of a view.
type view struct {
	s    *Sink
	out  *features.Output
	t    *table
	dec  map[uint32]*record.RowDecoder // by schema
	last uint32
	rows features.Rows
	pack *run.FeatureRows
	keep []int32
	buf  []byte
}

func newView(s *Sink, out *features.Output, t *table) *view {
	return &view{s: s, out: out, t: t, dec: map[uint32]*record.RowDecoder{}, rows: features.Rows{Views: make([]features.ViewRows, 1)}, pack: run.NewFeatureRows(out)}
}

func (v *view) read(ctx context.Context, in *input, recs []*kgo.Record) error {
	v.rows.Reset()
	for _, r := range recs {
		if r.Attrs.IsControl() || r.Offset < in.slots[0].next {
			continue
		}
		if err := v.record(ctx, r); err != nil {
			if errors.Is(err, record.ErrRegistry) || ctx.Err() != nil || errors.Is(err, errTable) {
				return err
			}
			v.t.bad(v.s, in.slots[0], r, err)
		}
	}
	return v.flush(ctx)
}

var errTable = errors.New("rows do not fit the table")

func (v *view) record(ctx context.Context, r *kgo.Record) error {
	id, _, err := wire.CutFrame(r.Value)
	if err != nil {
		return err
	}
	if id != v.last {
		if err := v.flush(ctx); err != nil { // numbers of entities are a decoder's
			return err
		}
	}
	dec := v.dec[id]
	if dec == nil {
		what, err := v.s.Schemas.Lookup(ctx, id)
		if err != nil {
			return err
		}
		if what.View != v.out.Name || what.Version != v.out.Version {
			return fmt.Errorf("it is %s", what.Name)
		}
		dec = record.NewRowDecoder(id, v.out)
		v.dec[id] = dec
	}
	v.last = id
	return dec.Decode(r.Value, &v.rows.Views[0])
}

// maxEntities is how many entities a decoder gets to know before it begins anew.
const maxEntities = 1 << 18

// flush adds the rows that were read to the table.
func (v *view) flush(ctx context.Context) error {
	rows := &v.rows.Views[0]
	if rows.Len() == 0 {
		return nil
	}
	dec := v.dec[v.last]
	v.keep = v.keep[:0]
	most := uint32(0)
	for i, e := range rows.Entity {
		v.keep = append(v.keep, int32(i))
		most = max(most, e)
	}
	keep, err := v.t.known.filter(ctx, v.t, v.keep, rows.RowTS, func(r int32) (key partKey, id market.ID) {
		id, v.buf = record.RowID(v.buf, v.out.Fingerprint, dec.Names(rows.Entity[r]), rows.RowTS[r])
		return partKey{hour: floorHour(rows.RowTS[r])}, id
	})
	if err == nil {
		err = v.t.add(ctx, v.pack.Pack(rows, dec.Names), keep)
	}
	if err != nil {
		return fmt.Errorf("table %s: %w: %w", v.t.name, errTable, err)
	}
	v.rows.Reset()
	if most >= maxEntities {
		delete(v.dec, v.last)
	}
	return nil
}

// bad notes a record that cannot be read. The commit that passes it says where it is.
func (t *table) bad(s *Sink, sl *slot, r *kgo.Record, why error) {
	if r.Offset < sl.next {
		return // noted before
	}
	n := &t.filling.notes
	if n.Bad++; n.Bad <= maxNoted {
		n.Undecodable = append(n.Undecodable, badRecord{r.Topic, r.Partition, r.Offset, why.Error()})
	}
	t.metrics.undecodable.add(1)
	s.Log.Error("a record cannot be read and is left out", slog.String("topic", r.Topic), slog.Int("partition", int(r.Partition)),
		slog.Int64("offset", r.Offset), slog.Any("error", why))
}
