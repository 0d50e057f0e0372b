package main

import (
	"encoding/json"
	"os"
	"os/signal"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/pinova-group/tidemark/run"
)

// How progress is shown: from the first second on, in place on a terminal, else as a
// line now and then.
const (
	progressAfter = time.Second
	progressTick  = 100 * time.Millisecond
	progressLine  = 10 * time.Second
)

// startProgress shows what a run does until stop is called. SIGUSR1 prints the state.
func (a *app) startProgress(mode string, m *run.Meter) (stop func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	usr1 := make(chan os.Signal, 1)
	notifyState(usr1)
	began := a.now()
	bar := mode == "auto" && a.errTTY && !a.json
	wg.Go(func() {
		defer signal.Stop(usr1)
		t := time.NewTicker(progressTick)
		defer t.Stop()
		var show *bars
		defer func() { show.end() }()
		next := progressLine
		for {
			select {
			case <-done:
				return
			case <-usr1:
				a.progressLine(m, a.now().Sub(began))
			case <-t.C:
				took := a.now().Sub(began)
				switch {
				case bar && show == nil && took >= progressAfter:
					show = a.newBars(m, began)
				case bar:
					show.update(m)
				case mode != "none" && took >= next:
					next += progressLine
					a.progressLine(m, took)
				}
			}
		}
	})
	return func() {
		close(done)
		wg.Wait()
	}
}

// bars is the line that is drawn in place.
type bars struct {
	p   *mpb.Progress
	bar *mpb.Bar
}

func (a *app) newBars(m *run.Meter, began time.Time) *bars {
	p := mpb.New(mpb.WithOutput(a.err), mpb.WithWidth(32), mpb.WithRefreshRate(progressTick), mpb.WithAutoRefresh())
	_, total := m.Bytes()
	text := decor.Any(func(decor.Statistics) string { return " " + run.Progress(m, a.now().Sub(began).Seconds()).Text() })
	style := mpb.BarStyle().Lbound("").Rbound("").Filler("━").Tip("━").Padding("╌")
	if a.style(true).ASCII {
		style = mpb.BarStyle()
	}
	return &bars{p: p, bar: p.New(max(total, 0), style, mpb.AppendDecorators(text), mpb.BarRemoveOnComplete())}
}

func (b *bars) update(m *run.Meter) {
	if b == nil {
		return
	}
	read, total := m.Bytes()
	if total > 0 {
		b.bar.SetTotal(total+1, false)
	}
	b.bar.SetCurrent(read)
}

func (b *bars) end() {
	if b == nil {
		return
	}
	b.bar.Abort(true)
	b.p.Wait()
}

func (a *app) progressLine(m *run.Meter, took time.Duration) {
	s := run.Progress(m, took.Seconds())
	if a.json {
		if b, err := json.Marshal(map[string]any{"progress": s}); err == nil {
			a.say("%s\n", b)
		}
		return
	}
	a.say("%s\n", s.Text())
}
