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
	"github.com/pinova-group/tidemark/lake/sink"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run"
	"github.com/pinova-group/tidemark/run/input"
	"github.com/pinova-group/tidemark/sequence"
)

// maxEvents bounds the events that are kept in memory, 1 to 2 kB each with all that is worked
// out from them.
const maxEvents = 1 << 19

// maxBad bounds the rejected records that are kept.
const maxBad = 10_000

// identity is what a row is found by when it leaves the sequencer.
type identity struct {
	kind  market.Kind
	id    market.ID
	ts    int64
	feed  market.FeedID
	inst  market.Inst
	shard uint16
}

func identify(b *market.Batch, i int) identity {
	return identity{b.Kind, b.ID[i], b.EventTS[i], b.Feed[i], b.Inst[i], b.Shard[i]}
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
	kind  market.Kind
}

// readFiles takes the files through the sequencer and the engine.
func (e *explainer) readFiles(ctx context.Context) error {
	paths, err := input.Expand(e.cfg.Inputs)
	if err != nil {
		return err
	}
	r, err := input.Open(input.Config{Paths: paths, Adapters: run.Formats(), Format: e.cfg.Format, Feed: e.cfg.Feed,
		Feeds: e.feeds, Insts: e.insts, Kinds: e.plan.Kinds(), Stdin: e.cfg.Stdin, Places: true})
	if err != nil {
		return err
	}
	defer r.Close()
	scfg := sequence.DefaultConfig(e.feeds, e.insts)
	scfg.Kinds = e.plan.Kinds()
	seq, err := sequence.New(scfg)
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
		ch.Tell(seq)
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

// readTables takes what is in reach of the row through the engine, from tables of a lake.
// Its events were sequenced when they were imported: their place is their identity there.
func (e *explainer) readTables(ctx context.Context, names []string) error {
	q := run.TableQuery{Names: names, Plan: e.plan, Insts: e.insts, Feeds: e.feeds, To: market.NoTime, IDs: true}
	for k := range q.From {
		q.From[k] = market.NoTime
		if r := e.reads[market.Kind(k)]; r != nil {
			if q.From[k] = r.from; k == int(market.KindBook) {
				q.From[k] -= 2 * market.KeyframeEvery // a book begins with a snapshot
			}
		}
	}
	r, err := run.OpenTables(ctx, e.cfg.Lake, q)
	if err != nil {
		return err
	}
	defer r.Close()
	e.sequenced = true
	task := e.plan.NewTask(e.insts, e.from)
	var out sequence.Out
	for {
		_, err := r.Next(ctx, &out)
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
		if err := e.step(task, &out, false); err != nil {
			return err
		}
		if slices.Min(out.Marks[:]) > e.rowTS {
			return nil // the row is complete
		}
	}
	out.Reset()
	return e.step(task, &out, true)
}

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
	for kind, r := range e.reads {
		if b := ch.Batches[kind]; b != nil {
			if err := e.arriving(ch, r, b); err != nil {
				return err
			}
		}
	}
	return nil
}

func (e *explainer) arriving(ch *input.Chunk, r *reads, b *market.Batch) error {
	for i := range b.N {
		l := line{b.Feed[i], b.Shard[i], b.Kind}
		ts := b.EventTS[i]
		if e.reaches(r, ts) && e.wanted(r, b, i) {
			if e.arrived++; e.arrived > 2*e.cfg.most {
				return e.tooMany()
			}
			p := ch.Place(b.Kind, i)
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

// tooMany says what reaches so far back that not all of it can be kept.
func (e *explainer) tooMany() error {
	var reach []string
	for _, in := range e.plan.Inputs() {
		back := "all"
		if in.Lookback < market.Day*3660 {
			back = run.FormatDuration(in.Lookback) + " of"
		}
		reach = append(reach, fmt.Sprintf("%s %s events", back, in.Name))
	}
	why := fmt.Sprintf("a row of %s depends on %s", e.view.Name, strings.Join(reach, ", "))
	remedy := "give --input only the files of this stretch and entity"
	if e.sequenced {
		remedy = "explain a row of a view with less lookback (tidemark spec plan)"
	}
	if e.entity == nil {
		remedy = "name the ENTITY: then only its events are kept"
	}
	return &fault.Error{Code: "explain_too_many", Message: fmt.Sprintf("more than %d events are in reach, and all are kept in memory: %s", e.cfg.most, why),
		Remedy: remedy, Exit: fault.ExitFailed}
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
			return fmt.Errorf("push %s events: %w", e.plan.Kinds().Name(market.Kind(k)), err)
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
	e.pick(task)
	return nil
}

// verdicts keeps the events that matter, with their places.
func (e *explainer) verdicts(out *sequence.Out) error {
	for kind, r := range e.reads {
		if b := out.Rows.Batches[kind]; b != nil {
			if err := e.applied(r, b); err != nil {
				return err
			}
		}
		if b := out.Late.Batches[kind]; b != nil {
			for i := range b.N {
				switch at, ok := e.leave(identify(b, i)); {
				case e.sequenced && e.reaches(r, b.EventTS[i]) && e.wanted(r, b, i):
					ev := e.event(r, b, i, &plainBook{})
					ev.Place = inTable(e.plan.Kinds(), b, i)
					e.leaveOut(ev, "late", "by the verdict stored with it")
				case ok:
					ev := e.event(r, b, i, &plainBook{})
					ev.Place = at.place
					e.placeOf[b.ID[i]] = ev.Place
					e.leaveOut(ev, "late", fmt.Sprintf("%s behind the newest event of its line", ago(at.behind)))
				}
			}
		}
	}
	for i := range out.Dead {
		d := &out.Dead[i]
		if e.reads[d.Kind] == nil {
			continue
		}
		if at, ok := e.leave(identity{d.Kind, d.ID, d.EventTS, d.Feed, d.Inst, d.Shard}); ok {
			e.leaveOut(&Event{Place: at.place, kind: d.Kind, ts: d.EventTS, Time: market.FormatTime(d.EventTS)}, "rejected", d.Reason)
		}
	}
	return nil
}

// applied keeps the events of a batch that are in reach.
func (e *explainer) applied(r *reads, b *market.Batch) error {
	for i := range b.N {
		if !e.wanted(r, b, i) {
			e.other(b.Kind, b.TS[i])
			continue
		}
		var book *plainBook
		if b.Kind == market.KindBook {
			book = e.books.take(b, i)
		}
		if !e.reaches(r, b.TS[i]) {
			continue
		}
		if e.kept++; e.kept > e.cfg.most {
			return e.tooMany()
		}
		ev := e.event(r, b, i, book)
		if at, ok := e.leave(identify(b, i)); ok {
			ev.Place = at.place
		} else if e.sequenced {
			ev.Place = inTable(e.plan.Kinds(), b, i)
		} else {
			ev.Place = "(written by the sequencer)"
		}
		e.eval.events[b.Kind] = append(e.eval.events[b.Kind], ev)
		e.placeOf[b.ID[i]] = ev.Place
	}
	return nil
}

// inTable is the place of an event of a lake.
func inTable(kinds *market.Kinds, b *market.Batch, i int) string {
	return fmt.Sprintf("%s:%x", sink.TableName(kinds, b.Kind), b.ID[i])
}

// other notes an event of another entity that the view reads itself.
func (e *explainer) other(k market.Kind, ts int64) {
	if !slices.Contains(kindsOf(e.view), k) {
		return
	}
	if len(e.others) == 2*maxEvents {
		e.others = append(e.others[:0], e.others[maxEvents:]...)
	}
	e.others = append(e.others, ts)
}

// duplicates are the arrivals that never left.
func (e *explainer) duplicates() {
	for k, ats := range e.open {
		for _, at := range ats {
			ev := &Event{Place: at.place, kind: k.kind, ts: k.ts, Time: market.FormatTime(k.ts), ID: fmt.Sprintf("%x", k.id)}
			why := "its identity was known"
			if of, ok := e.placeOf[k.id]; ok {
				why = "of " + of
			}
			e.leaveOut(ev, "duplicate", why)
		}
	}
}

// leaveOut keeps an event that does not count.
func (e *explainer) leaveOut(ev *Event, verdict, why string) {
	e.out = append(e.out, LeftOut{Event: *ev, Verdict: verdict, Why: why})
}

// pick keeps the engine's rows of the time that was asked for.
func (e *explainer) pick(task *features.Task) {
	v := &e.rows.Views[e.at]
	for i := range v.Len() {
		names := task.EntityNames(e.at, v.Entity[i])
		if e.entity != nil && !slices.Equal(e.entity, names) {
			continue
		}
		if !e.asked(v.Start[i], v.RowTS[i]) {
			if t := v.RowTS[i]; t < e.cfg.Time {
				e.rowBefore = max(e.rowBefore, t)
			} else if e.rowAfter == market.NoTime {
				e.rowAfter = t
			}
			continue
		}
		name := strings.Join(names, "/")
		have := e.found[name]
		if len(have) > 0 && have[0].rowTS != v.RowTS[i] {
			continue // of rows that meet at this instant the first
		}
		row := engineRow{entity: slices.Clone(names), avail: v.Avail[i], flags: v.Flags[i], start: v.Start[i], end: v.End[i], rowTS: v.RowTS[i]}
		for k := range have {
			if have[k].start == row.start {
				row.twins++
			}
		}
		for f := range v.Features {
			row.vals = append(row.vals, stored(&e.plan.Outputs()[e.at].Fields[f], &v.Features[f], i))
		}
		e.found[name] = append(have, row)
		if e.entity != nil {
			e.rowTS = row.rowTS // what comes later does not matter
		}
	}
}
