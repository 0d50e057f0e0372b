package schedule

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pinova-group/tidemark/lake"
)

// Metrics are what a scheduler tells about itself, by the name of the entry.
type Metrics struct {
	runs                        *prometheus.CounterVec
	next, last, seconds, runsOn *prometheus.GaugeVec

	mu     sync.Mutex
	failed map[string]error // of the last look
}

// NewMetrics makes the metrics and registers them.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	gauge := func(name, help string) *prometheus.GaugeVec {
		g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "tidemark_schedule_" + name, Help: help}, []string{"name"})
		reg.MustRegister(g)
		return g
	}
	m := &Metrics{
		runs:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tidemark_schedule_runs_total", Help: "Runs that ended, and those that were due and held by another process."}, []string{"name", "outcome"}),
		next:    gauge("next_seconds", "When it is due next, as Unix time."),
		last:    gauge("last_success_seconds", "When it last ended well in this process, as Unix time."),
		seconds: gauge("run_seconds", "How long the last run took."),
		runsOn:  gauge("running", "1 while it runs."),
		failed:  map[string]error{},
	}
	reg.MustRegister(m.runs)
	return m
}

func (m *Metrics) looked(name string, next time.Time, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failed[name] = err
	if err == nil && !next.IsZero() {
		m.next.WithLabelValues(name).Set(float64(next.UnixMilli()) / 1000)
	}
}

// Healthy is nil when the last look at every entry went well.
func (m *Metrics) Healthy() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, err := range m.failed {
		if err != nil {
			return err
		}
	}
	return nil
}

func (m *Metrics) began(name string) { m.runsOn.WithLabelValues(name).Set(1) }

func (m *Metrics) ended(r *lake.Run) {
	m.runsOn.WithLabelValues(r.Name).Set(0)
	m.runs.WithLabelValues(r.Name, r.Outcome).Inc()
	if r.Outcome == Held {
		return
	}
	m.seconds.WithLabelValues(r.Name).Set(float64(r.Ended-r.Began) / 1e6)
	if r.Outcome == Done {
		m.last.WithLabelValues(r.Name).Set(float64(r.Ended) / 1e6)
	}
}
