package main

import (
	"context"
	"sync"
	"time"

	"github.com/pinova-group/tidemark/internal/term"
	"github.com/pinova-group/tidemark/stream/topic"
)

// flow is what has gone through the topics, in records.
type flow struct{ Raw, Processed, Late, DLQ, Rows int64 }

// flowWatch counts what flows and shows it: in place on a terminal, else a line now and then.
type flowWatch struct {
	d      *demo
	adm    *topic.Admin
	topics []topic.Topic
	cancel context.CancelFunc
	wg     sync.WaitGroup
	mu     sync.Mutex
	base   flow // at the start
	now    flow
	since  time.Time // when it changed last
	err    error
}

// How often it looks, how often it says so where lines stay, and how long nothing moves until
// all is through: longer than the jobs wait for a partition to which nobody writes.
const (
	watchEvery = 250 * time.Millisecond
	watchLine  = 3 * time.Second
	settled    = 2500 * time.Millisecond
	slowest    = time.Minute // that jobs start, and that hours get complete on a busy machine
)

func (d *demo) watch(ctx context.Context) (*flowWatch, error) {
	s, err := (&app{config: d.file("tidemark.yaml"), now: d.a.now}).openStream(&streamFlags{}, true)
	if err != nil {
		return nil, err
	}
	w := &flowWatch{d: d, since: d.a.now()}
	if w.adm, err = s.admin(); err != nil {
		return nil, err
	}
	if w.topics, err = s.wanted(); err != nil {
		w.adm.Close()
		return nil, err
	}
	if w.base, err = w.count(ctx); err != nil {
		w.adm.Close()
		return nil, err
	}
	ctx, w.cancel = context.WithCancel(ctx)
	w.wg.Go(func() { w.run(ctx) })
	return w, nil
}

func (w *flowWatch) run(ctx context.Context) {
	t := time.NewTicker(watchEvery)
	defer t.Stop()
	began, said := w.d.a.now(), w.d.a.now()
	live := w.d.a.outTTY && !w.d.a.json
	for {
		select {
		case <-ctx.Done():
			if live {
				w.d.say("\r\x1b[K")
			}
			return
		case <-t.C:
		}
		f, err := w.count(ctx)
		if ctx.Err() != nil {
			continue
		}
		now := w.d.a.now()
		w.mu.Lock()
		if f != w.now {
			w.since = now
		}
		w.now, w.err = f, err
		w.mu.Unlock()
		text := f.text(f.Processed-w.base.Processed, now.Sub(began))
		switch {
		case live:
			w.d.say("\r\x1b[K   %s", text)
		case now.Sub(said) >= watchLine:
			said = now
			w.d.say("   %s\n", text)
		}
	}
}

func (f flow) text(done int64, took time.Duration) string {
	return "raw " + term.Int(f.Raw) + " → in order " + term.Int(f.Processed) + " → rows " + term.Int(f.Rows) +
		"   late " + term.Int(f.Late) + ", dead letters " + term.Int(f.DLQ) + "   " + term.Rate(done, took.Seconds())
}

// count sums the ends of the topics by class. The marks of transactions count there, too.
func (w *flowWatch) count(ctx context.Context) (f flow, err error) {
	spans, err := w.adm.Spans(ctx, w.topics)
	if err != nil {
		return f, err
	}
	for i, t := range w.topics {
		name, err := topic.Parse(t.Name)
		if err != nil {
			return f, err
		}
		n := spans[i].Offsets
		switch name.Class {
		case topic.Raw:
			f.Raw += n
		case topic.Processed:
			f.Processed += n
		case topic.Late:
			f.Late += n
		case topic.DLQ:
			f.DLQ += n
		case topic.Feature:
			f.Rows += n
		case topic.Ledger, topic.Control:
		}
	}
	return f, nil
}

// settle waits until nothing moves any more.
func (w *flowWatch) settle(ctx context.Context) error {
	t := time.NewTicker(watchEvery)
	defer t.Stop()
	from := w.d.a.now()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-t.C:
		}
		w.mu.Lock()
		quiet, err := w.d.a.now().Sub(w.since), w.err
		begun := w.now.Rows > w.base.Rows || w.d.a.now().Sub(from) > slowest // the jobs may still be starting
		w.mu.Unlock()
		if err != nil {
			return err
		}
		if begun && quiet >= settled && w.d.a.now().Sub(from) >= settled {
			return nil
		}
	}
}

// end stops watching and returns what has flowed.
func (w *flowWatch) end() flow {
	w.cancel()
	w.wg.Wait()
	w.adm.Close()
	return w.now
}
