package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"golang.org/x/sync/errgroup"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run/input"
	"github.com/pinova-group/tidemark/sequence"
)

// chunksAhead is how many chunks may lie between the reader and the sequencer: enough to
// keep both busy, few enough to stay in the cache.
const chunksAhead = 3

// source gives chunks of events in arrival order, io.EOF at the end.
type source interface {
	Next(ctx context.Context, ch *input.Chunk) error
	Close()
}

// pass is one reading of the whole input through a sequencer.
type pass struct {
	reader source
	files  *input.Reader // the same, where files are read
	seq    *sequence.Sequencer
	out    sequence.Out
	meter  *Meter
	strict bool
	dlq    *deadLetters
	last   int64 // greatest event time that left the sequencer
}

func newPass(icfg input.Config, strict bool, dlq *deadLetters, meter *Meter) (*pass, error) {
	icfg.Places = strict || dlq != nil
	r, err := input.Open(icfg)
	if err != nil {
		return nil, err
	}
	scfg := sequence.DefaultConfig(icfg.Feeds, icfg.Insts)
	scfg.Kinds = icfg.Kinds
	seq, err := sequence.New(scfg)
	if err != nil {
		r.Close()
		return nil, err
	}
	progress := r.Progress
	meter.bytes.Store(&progress)
	return &pass{reader: r, files: r, seq: seq, meter: meter, strict: strict, dlq: dlq, last: market.NoTime}, nil
}

// run reads everything and calls step for what each chunk released, and once more, with
// closed set, for what the end of the input released. Reading and sequencing run side by
// side; what they hand over does not depend on which of them is faster.
func (p *pass) run(ctx context.Context, step func(out *sequence.Out, closed bool) error) error {
	g, ctx := errgroup.WithContext(ctx)
	full := make(chan *input.Chunk, chunksAhead)
	free := make(chan *input.Chunk, chunksAhead)
	for range chunksAhead {
		free <- &input.Chunk{}
	}
	g.Go(func() error {
		defer close(full)
		defer p.reader.Close()
		for {
			var ch *input.Chunk
			select {
			case ch = <-free:
			case <-ctx.Done():
				return ctx.Err()
			}
			err := p.reader.Next(ctx, ch)
			if errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return err
			}
			select {
			case full <- ch:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
	g.Go(func() error {
		for ch := range full {
			if err := p.take(ch, step); err != nil {
				return err
			}
			free <- ch // never blocks: there are no more chunks than places
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		p.out.Reset()
		p.seq.Close(&p.out)
		if err := p.dead(nil); err != nil {
			return err
		}
		p.note()
		return step(&p.out, true)
	})
	return g.Wait()
}

// take sequences one chunk.
func (p *pass) take(ch *input.Chunk, step func(out *sequence.Out, closed bool) error) error {
	lost := int64(0)
	for i := range ch.Bad {
		b := &ch.Bad[i]
		lost += int64(b.Count)
		if err := p.reject(b); err != nil {
			return err
		}
	}
	if err := p.seq.Push(&ch.Chunk); err != nil {
		return fmt.Errorf("BUG: sequencer refused a chunk: %w", err)
	}
	ch.Tell(p.seq)
	p.out.Reset()
	p.seq.Advance(&p.out)
	if err := p.dead(ch); err != nil {
		return err
	}
	p.note()
	p.meter.Events.Add(int64(ch.Len()) + lost)
	return step(&p.out, false)
}

// note keeps the greatest event time.
func (p *pass) note() {
	for _, b := range p.out.Rows.Batches {
		if b != nil && b.N > 0 {
			p.last = max(p.last, b.TS[b.N-1])
		}
	}
	if p.last != market.NoTime {
		p.meter.Time.Store(p.last)
	}
}

// reject hands a record to the dead letters; a strict run ends at it.
func (p *pass) reject(b *input.Bad) error {
	p.meter.Bad.Add(int64(b.Count))
	if p.strict {
		why := b.Reason
		if b.Detail != "" {
			why += ": " + fmt.Sprintf("%q", b.Detail)
		}
		return &fault.Error{
			Code: "input_bad", Message: "bad record", Where: fmt.Sprintf("%s:%d (byte %d)", b.Input, b.Line, b.Offset), Why: why,
			Remedy: "leave out --strict to go on without it; --dlq FILE keeps what was rejected", Exit: fault.ExitFailed,
		}
	}
	return p.dlq.put(b)
}

// dead rejects the rows that the sequencer refused, with the place that they came from.
func (p *pass) dead(ch *input.Chunk) error {
	if p.dlq == nil && !p.strict {
		p.meter.Bad.Add(int64(len(p.out.Dead)))
		return nil
	}
	for i := range p.out.Dead {
		d := &p.out.Dead[i]
		b := input.Bad{Reason: d.Reason, Detail: market.FormatTime(d.EventTS), Count: 1, Shard: d.Shard}
		if ch != nil {
			pl := ch.Place(d.Kind, int(d.Row))
			b.Input, b.Line, b.Offset, b.Raw = pl.Input, pl.Line, pl.Offset, pl.Raw
		}
		if err := p.reject(&b); err != nil {
			return err
		}
	}
	return nil
}

// never is a mark that nothing reaches.
const never = int64(math.MaxInt64)
