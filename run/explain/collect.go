package explain

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run/input"
	"github.com/pinova-group/tidemark/sequence"
)

// maxEvents bounds the events that are kept in memory.
const maxEvents = 1 << 19

// maxBad bounds the rejected records that are kept.
const maxBad = 10_000

// identity is what a row is found by when it leaves the sequencer.
type identity struct {
	id    market.ID
	ts    int64
	feed  market.FeedID
	inst  market.Inst
	shard uint16
}

func identify(b *market.Batch, i int) identity {
	return identity{b.ID[i], b.EventTS[i], b.Feed[i], b.Inst[i], b.Shard[i]}
}

// arrival is a row on its way through the sequencer.
type arrival struct {
	place  string
	behind int64 // the newest event of its line, in µs
}

// line is what lateness is judged within.
type line struct {
	feed  market.FeedID
	shard uint16
}

// read takes the whole input through the sequencer and the engine.
func (e *explainer) read(ctx context.Context, r *input.Reader) error {
	seq, err := sequence.New(sequence.DefaultConfig(e.feeds, e.insts))
	if err != nil {
		return fmt.Errorf("start the sequencer: %w", err)
	}
	task := e.plan.NewTask(e.insts, market.NoTime)
	var ch input.Chunk
	var out sequence.Out
	for {
		err := r.Next(ctx, &ch)
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
		if err := e.arrive(&ch); err != nil {
			return err
		}
		if err := seq.Push(&ch.Chunk); err != nil {
			return fmt.Errorf("push a chunk: %w", err)
		}
		for _, l := range ch.Ended {
			seq.EndLine(l.Feed, l.Shard)
		}
		out.Reset()
		seq.Advance(&out)
		if err := e.step(task, &out, false); err != nil {
			return err
		}
	}
	out.Reset()
	seq.Close(&out)
	return e.step(task, &out, true)
}

// reaches reports whether a time can matter: one that lies in the window or in what the
// window looks back on.
func (e *explainer) reaches(ts int64) bool { return ts >= e.from && ts <= e.rowTS }

// arrive notes the places of what a chunk holds.
func (e *explainer) arrive(ch *input.Chunk) error {
	for i := range ch.Bad {
		b := &ch.Bad[i]
		e.badCount += int64(b.Count)
		if len(e.bad) < maxBad {
			detail := b.Reason
			if b.Detail != "" {
				detail += ": " + fmt.Sprintf("%q", b.Detail)
			}
			e.bad = append(e.bad, badRecord{b.Input, b.Line, detail})
		}
	}
	b := ch.Batches[e.kind]
	if b == nil {
		return nil
	}
	for i := range b.N {
		l := line{b.Feed[i], b.Shard[i]}
		ts := b.EventTS[i]
		if e.reaches(ts) && e.wanted(b, i) {
			if e.arrived++; e.arrived > 2*maxEvents {
				return tooMany()
			}
			p := ch.Place(e.kind, i)
			at := arrival{place: fmt.Sprintf("%s:%d", p.Input, p.Line)}
			if newest, ok := e.newest[l]; ok && newest > ts {
				at.behind = newest - ts
			}
			k := identify(b, i)
			e.open[k] = append(e.open[k], at)
		}
		if newest, ok := e.newest[l]; (!ok || ts > newest) && (b.IngestTS[i] == market.NoTime || ts <= b.IngestTS[i]+market.Minute) {
			e.newest[l] = ts
		}
	}
	return nil
}

func tooMany() error {
	return &fault.Error{Code: "explain_too_many", Message: fmt.Sprintf("more than %d events are in reach of the row", maxEvents),
		Remedy: "name the ENTITY, or explain a row of a shorter window", Exit: fault.ExitFailed}
}

// leave takes the oldest arrival of a row; one that the sequencer made itself has none.
func (e *explainer) leave(k identity) (arrival, bool) {
	at := e.open[k]
	if len(at) == 0 {
		return arrival{}, false
	}
	if len(at) == 1 {
		delete(e.open, k)
	} else {
		e.open[k] = at[1:]
	}
	return at[0], true
}

// step sorts what the sequencer gave and drives the engine over it.
func (e *explainer) step(task *features.Task, out *sequence.Out, closed bool) error {
	if err := e.verdicts(out); err != nil {
		return err
	}
	for k, b := range out.Rows.Batches {
		if b == nil || b.N == 0 {
			continue
		}
		e.last = max(e.last, b.TS[b.N-1])
		if err := task.Push(b); err != nil {
			return fmt.Errorf("push %s events: %w", market.Kind(k), err)
		}
	}
	e.rows.Reset()
	var err error
	if closed {
		err = task.Close(e.last, &e.rows)
	} else {
		err = task.Advance(&out.Marks, &e.rows)
	}
	if err != nil {
		return fmt.Errorf("advance: %w", err)
	}
	return e.pick(task)
}

// verdicts keeps the events that matter, with their places.
func (e *explainer) verdicts(out *sequence.Out) error {
	if b := out.Rows.Batches[e.kind]; b != nil {
		for i := range b.N {
			e.seen(b, i)
			if !e.wanted(b, i) {
				continue
			}
			var book *plainBook
			if e.books != nil {
				book = e.books.take(b, i)
			}
			if b.TS[i] < e.from || b.TS[i] > e.rowTS {
				continue
			}
			if len(e.events) == maxEvents {
				return tooMany()
			}
			ev := e.event(b, i, book)
			if at, ok := e.leave(identify(b, i)); ok {
				ev.Place = at.place
			} else {
				ev.Place = "(written by the sequencer)"
			}
			e.events = append(e.events, ev)
			e.placeOf[b.ID[i]] = ev.Place
		}
	}
	if b := out.Late.Batches[e.kind]; b != nil {
		for i := range b.N {
			if at, ok := e.leave(identify(b, i)); ok {
				ev := e.event(b, i, &plainBook{})
				ev.Place = at.place
				e.placeOf[b.ID[i]] = ev.Place
				e.leaveOut(ev, "late", fmt.Sprintf("%s behind the newest event of its line", span(at.behind)))
			}
		}
	}
	for i := range out.Dead {
		d := &out.Dead[i]
		if d.Kind != e.kind {
			continue
		}
		if at, ok := e.leave(identity{d.ID, d.EventTS, d.Feed, d.Inst, d.Shard}); ok {
			e.leaveOut(&Event{Place: at.place, ts: d.EventTS, Time: market.FormatTime(d.EventTS)}, "rejected", d.Reason)
		}
	}
	return nil
}

// duplicates are the arrivals that never left.
func (e *explainer) duplicates() {
	for k, ats := range e.open {
		for _, at := range ats {
			ev := &Event{Place: at.place, ts: k.ts, Time: market.FormatTime(k.ts), ID: fmt.Sprintf("%x", k.id)}
			why := "its identity was known"
			if of, ok := e.placeOf[k.id]; ok {
				why = "of " + of
			}
			e.leaveOut(ev, "duplicate", why)
		}
	}
}

// leaveOut keeps an event of the window that does not count.
func (e *explainer) leaveOut(ev *Event, verdict, why string) {
	if ev.ts < e.low || ev.ts >= e.high {
		return
	}
	e.out = append(e.out, LeftOut{Event: *ev, Verdict: verdict, Why: why})
}

// pick keeps the engine's row.
func (e *explainer) pick(task *features.Task) error {
	v := &e.rows.Views[e.at]
	for i := range v.Len() {
		if !e.asked(v.Start[i], v.RowTS[i]) {
			continue
		}
		names := slices.Clone(task.EntityNames(e.at, v.Entity[i]))
		name := strings.Join(names, "/")
		if e.entity != nil && !slices.Equal(e.entity, names) {
			continue
		}
		if begins(e.view) && slices.Contains(e.found, name) {
			continue // of bars that meet at this instant the first
		}
		e.found = append(e.found, name)
		e.names = names
		e.row = engineRow{avail: v.Avail[i], flags: v.Flags[i], start: v.Start[i], end: v.End[i], rowTS: v.RowTS[i]}
		for f := range v.Features {
			e.row.vals = append(e.row.vals, stored(&e.plan.Outputs()[e.at].Fields[f], &v.Features[f], i))
		}
	}
	return nil
}
