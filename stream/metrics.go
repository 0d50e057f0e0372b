package stream

import (
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are what the workers of a process tell about themselves. Labels have the job and, of
// latencies, nothing more: symbols are in none of them.
type Metrics struct {
	tasks, behind                             *prometheus.GaugeVec
	records, rows, commits, aborts, snapshots *prometheus.CounterVec
	handed                                    *prometheus.CounterVec
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
		handed:    counter("records_handed_total", "Records committed that went to another job of the process without being fetched."),
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

// jobMetrics are those of one job; without Metrics nobody collects them.
type jobMetrics struct {
	tasks, behind                   level
	records, commits                total
	aborts, snapshots, lost, joined prometheus.Counter
	handed                          prometheus.Counter
	rows                            *prometheus.CounterVec
	recovery, latency               prometheus.Observer
	written, committed              atomic.Int64 // for Status: records, and when the last commit was, µs
}

// level is a gauge that can be read.
type level struct {
	prometheus.Gauge
	n atomic.Int64
}

func (l *level) set(n int64) {
	l.n.Store(n)
	l.Set(float64(n))
}

// total is a counter that can be read.
type total struct {
	prometheus.Counter
	n atomic.Int64
}

func (t *total) add(n int64) {
	t.n.Add(n)
	t.Add(float64(n))
}

func (m *Metrics) of(job string) *jobMetrics {
	if m == nil {
		m = NewMetrics(prometheus.NewRegistry())
	}
	return &jobMetrics{
		tasks: level{Gauge: m.tasks.WithLabelValues(job)}, behind: level{Gauge: m.behind.WithLabelValues(job)},
		records: total{Counter: m.records.WithLabelValues(job)}, commits: total{Counter: m.commits.WithLabelValues(job)},
		handed: m.handed.WithLabelValues(job),
		aborts: m.aborts.WithLabelValues(job), snapshots: m.snapshots.WithLabelValues(job),
		lost: m.lost.WithLabelValues(job), joined: m.sessions.WithLabelValues(job),
		rows:     m.rows.MustCurryWith(prometheus.Labels{"job": job}),
		recovery: m.recovery.WithLabelValues(job), latency: m.latency.WithLabelValues(job),
	}
}

// Status is how a job is.
type Status struct {
	Tasks      int    `json:"tasks"`        // that this worker has
	Read       int64  `json:"records_read"` // since the process began
	Written    int64  `json:"records_written"`
	Commits    int64  `json:"commits"`
	Behind     int64  `json:"behind_records"` // not read yet, when something was read last
	LastCommit string `json:"last_commit,omitempty"`
}

// Status tells how the job is, at any time.
func (j *Job) Status() Status {
	m := j.metrics
	s := Status{Tasks: int(m.tasks.n.Load()), Read: m.records.n.Load(), Written: m.written.Load(), Commits: m.commits.n.Load(), Behind: m.behind.n.Load()}
	if at := m.committed.Load(); at != 0 {
		s.LastCommit = time.UnixMicro(at).UTC().Format(time.RFC3339Nano)
	}
	return s
}

// commit counts what was committed at now.
func (m *jobMetrics) commit(out *outbox, now time.Time) {
	m.observe(out, now)
	m.written.Add(int64(out.n))
	for _, r := range out.runs {
		class, _, _ := strings.Cut(r.topic, ".")
		m.rows.WithLabelValues(class).Add(float64(r.n))
	}
}

// observe takes the latencies of what was committed at now.
func (m *jobMetrics) observe(out *outbox, now time.Time) {
	at := now.UnixMicro()
	for _, known := range out.known {
		m.latency.Observe(float64(at-known) / 1e6)
	}
}
