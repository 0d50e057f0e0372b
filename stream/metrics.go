package stream

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Metrics are what the workers of a process tell about themselves. Labels have the job and, of
// latencies, nothing more: symbols are in none of them.
type Metrics struct {
	tasks, behind                             *prometheus.GaugeVec
	records, rows, commits, aborts, snapshots *prometheus.CounterVec
	sessions, lost                            *prometheus.CounterVec
	recovery, latency                         *prometheus.HistogramVec
}

// NewMetrics makes the metrics of a process and registers them.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	job := []string{"job"}
	gauge := func(name, help string) *prometheus.GaugeVec {
		g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "tidemark_" + name, Help: help}, job)
		reg.MustRegister(g)
		return g
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tidemark_" + name, Help: help}, append(job, labels...))
		reg.MustRegister(c)
		return c
	}
	histogram := func(name, help string, buckets []float64) *prometheus.HistogramVec {
		h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "tidemark_" + name, Help: help, Buckets: buckets}, job)
		reg.MustRegister(h)
		return h
	}
	return &Metrics{
		tasks:     gauge("tasks", "Tasks that this process works on."),
		behind:    gauge("behind_records", "Records of the tasks' partitions that are not read yet."),
		records:   counter("records_read_total", "Records read."),
		rows:      counter("records_written_total", "Records written and committed, by class of topic.", "class"),
		commits:   counter("commits_total", "Transactions committed."),
		aborts:    counter("aborts_total", "Transactions aborted; their records are written again."),
		snapshots: counter("snapshots_total", "Snapshots of tasks written."),
		lost:      counter("snapshots_failed_total", "Snapshots of tasks that could not be written."),
		sessions:  counter("sessions_total", "Times that a worker joined its group."),
		recovery: histogram("recovery_seconds", "How long it took to make tasks as they were at their committed offsets.",
			[]float64{.01, .03, .1, .3, 1, 3, 10, 30, 100}),
		latency: histogram("latency_seconds", "From when a row could first be known to its commit, by the clock of this process.",
			[]float64{.005, .01, .02, .03, .05, .075, .1, .15, .2, .3, .5, 1, 2, 5, 10, 60}),
	}
}

// jobMetrics are those of one job; without Metrics they count for nobody.
type jobMetrics struct {
	tasks, behind                                     prometheus.Gauge
	records, commits, aborts, snapshots, lost, joined prometheus.Counter
	rows                                              *prometheus.CounterVec
	recovery, latency                                 prometheus.Observer
}

func (m *Metrics) of(job string) *jobMetrics {
	if m == nil {
		m = NewMetrics(prometheus.NewRegistry())
	}
	return &jobMetrics{
		tasks: m.tasks.WithLabelValues(job), behind: m.behind.WithLabelValues(job), records: m.records.WithLabelValues(job),
		commits: m.commits.WithLabelValues(job), aborts: m.aborts.WithLabelValues(job), snapshots: m.snapshots.WithLabelValues(job),
		lost: m.lost.WithLabelValues(job), joined: m.sessions.WithLabelValues(job),
		rows:     m.rows.MustCurryWith(prometheus.Labels{"job": job}),
		recovery: m.recovery.WithLabelValues(job), latency: m.latency.WithLabelValues(job),
	}
}

// count counts records by the classes of their topics.
func (m *jobMetrics) count(recs []*kgo.Record) {
	for len(recs) > 0 {
		n := 1
		for n < len(recs) && recs[n].Topic == recs[0].Topic {
			n++
		}
		class, _, _ := strings.Cut(recs[0].Topic, ".")
		m.rows.WithLabelValues(class).Add(float64(n))
		recs = recs[n:]
	}
}

// observe takes the latencies of what was committed at now.
func (m *jobMetrics) observe(out *outbox, now time.Time) {
	at := now.UnixMicro()
	for _, known := range out.known {
		m.latency.Observe(float64(at-known) / 1e6)
	}
}
