package verify

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pinova-group/tidemark/backfill"
	"github.com/pinova-group/tidemark/parity"
)

// Watch says how to verify for ever.
type Watch struct {
	Config
	Seed    uint64
	Every   time.Duration                              // at most one hour of a view in that time
	Sleep   func(ctx context.Context, d time.Duration) // until it is over or ctx ends
	Now     func() time.Time
	Metrics *Metrics
	Each    func(h *Hour, err error) // told of each hour, and of what kept it from being looked at
}

// maxWatched bounds the hours whose last verdict is remembered (I11).
const maxWatched = 1 << 18

// Seen counts the hours that were looked at, each by its last verdict.
type Seen struct {
	Checks int             `json:"checks"` // times that an hour was looked at
	Failed int             `json:"failed"` // times that it could not be
	Hours  map[Verdict]int `json:"hours"`
	OK     bool            `json:"ok"`
}

// Run looks at one random sealed hour of a random view after the other until ctx ends. A fault
// counts when it is found a second time at once: a publication may have come in between.
func (w *Watch) Run(ctx context.Context) *Seen {
	rng := rand.New(rand.NewPCG(w.Seed, 0))
	type key struct {
		view  string
		start int64
	}
	last := map[key]Verdict{}
	seen := &Seen{}
	for ctx.Err() == nil {
		began := w.Now()
		name := w.Names[rng.IntN(len(w.Names))]
		h, err := w.one(ctx, name, rng.Uint64())
		if err == nil && h != nil && !h.Verdict.OK() && ctx.Err() == nil {
			again := w.Config
			again.From, again.To = h.start, h.start+parity.Hour
			h, err = w.hour(ctx, again, name)
		}
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			seen.Failed++
		} else if h != nil {
			seen.Checks++
			if len(last) < maxWatched {
				last[key{h.View, h.start}] = h.Verdict
			}
		}
		counts := map[string]map[Verdict]int{}
		for k, v := range last {
			if counts[k.view] == nil {
				counts[k.view] = map[Verdict]int{}
			}
			counts[k.view][v]++
		}
		w.Metrics.note(h, err, counts)
		if h != nil || err != nil {
			w.Each(h, err)
		}
		w.Sleep(ctx, max(0, w.Every-w.Now().Sub(began)))
	}
	seen.Hours, seen.OK = map[Verdict]int{}, true
	for _, v := range last {
		seen.Hours[v]++
		seen.OK = seen.OK && v.OK()
	}
	return seen
}

// one verifies a sealed hour, whichever the number picks; nil when it has no rows, or none is sealed.
func (w *Watch) one(ctx context.Context, name string, pick uint64) (*Hour, error) {
	c := w.Config
	v, err := openOne(ctx, &c, name)
	if err != nil {
		return nil, err
	}
	from := max(v.from, v.begins())
	n := (min(v.to, v.sealed) - from) / parity.Hour
	if n <= 0 {
		return nil, nil
	}
	c.From = from + int64(pick%uint64(n))*parity.Hour
	c.To = c.From + parity.Hour
	return w.hour(ctx, c, name)
}

func (w *Watch) hour(ctx context.Context, c Config, name string) (*Hour, error) {
	c.Names = []string{name}
	r, err := Verify(ctx, c)
	if err != nil || len(r.Hours) == 0 {
		return nil, err
	}
	return &r.Hours[0], nil
}

// openOne pins what a view is made of.
func openOne(ctx context.Context, c *Config, name string) (*view, error) {
	var err error
	if c.Views, err = c.Views.Only([]string{name}); err != nil { // others would be computed with it, once for each
		return nil, err
	}
	in, err := backfill.Pin(ctx, c.Lake, c.Views)
	if err != nil {
		return nil, err
	}
	return open(ctx, c, in, name)
}

// Metrics are what a watch tells about itself, by view.
type Metrics struct {
	ratio, hours *prometheus.GaugeVec
	checks       *prometheus.CounterVec
	failed       prometheus.Counter
}

// NewMetrics makes the metrics of a watch and registers them.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		ratio:  prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "tidemark_parity_ok_ratio", Help: "Share of the hours looked at, each by its last verdict, that are as they must be."}, []string{"view"}),
		hours:  prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "tidemark_parity_hours", Help: "Hours looked at, each by its last verdict."}, []string{"view", "verdict"}),
		checks: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tidemark_parity_checks_total", Help: "Times that an hour was looked at."}, []string{"view", "verdict"}),
		failed: prometheus.NewCounter(prometheus.CounterOpts{Name: "tidemark_parity_failed_total", Help: "Times that an hour could not be looked at."}),
	}
	reg.MustRegister(m.ratio, m.hours, m.checks, m.failed)
	return m
}

func (m *Metrics) note(h *Hour, err error, counts map[string]map[Verdict]int) {
	if err != nil {
		m.failed.Inc()
	}
	if h != nil {
		m.checks.WithLabelValues(h.View, string(h.Verdict)).Inc()
	}
	for view, by := range counts {
		all, ok := 0, 0
		for _, v := range []Verdict{Equal, Late, Missing, Different} {
			m.hours.WithLabelValues(view, string(v)).Set(float64(by[v]))
			all += by[v]
			if v.OK() {
				ok += by[v]
			}
		}
		if all > 0 {
			m.ratio.WithLabelValues(view).Set(float64(ok) / float64(all))
		}
	}
}
