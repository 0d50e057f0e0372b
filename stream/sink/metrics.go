package sink

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pinova-group/tidemark/market"
)

// Metrics are what a sink tells about itself, by table.
type Metrics struct {
	rows, known, files, bytes, commits, undecodable, lost *prometheus.CounterVec
	behind, validLag                                      *prometheus.GaugeVec
	seconds                                               *prometheus.HistogramVec
	buffered                                              prometheus.Gauge
	sessions                                              prometheus.Counter

	mu     sync.Mutex
	tables map[string]*tableMetrics
}

// NewMetrics makes the metrics of a sink and registers them.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	table := []string{"table"}
	counter := func(name, help string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tidemark_sink_" + name, Help: help}, table)
		reg.MustRegister(c)
		return c
	}
	gauge := func(name, help string) *prometheus.GaugeVec {
		g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "tidemark_sink_" + name, Help: help}, table)
		reg.MustRegister(g)
		return g
	}
	m := &Metrics{
		rows:        counter("rows_total", "Rows committed."),
		known:       counter("rows_known_total", "Rows left out because the table has their events already."),
		files:       counter("files_total", "Files committed."),
		bytes:       counter("file_bytes_total", "Size of the files committed."),
		commits:     counter("commits_total", "Commits made."),
		undecodable: counter("undecodable_total", "Records left out because they cannot be read."),
		lost:        counter("lost_records_total", "Offsets passed over because their records were deleted before they were read."),
		behind:      gauge("behind_records", "Records of the table's partitions that are not read yet."),
		validLag:    gauge("valid_through_lag_seconds", "How long ago, by the clock of this process, is the time up to which the table is complete."),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tidemark_sink_commit_seconds", Help: "How long files and commit took.", Buckets: []float64{.03, .1, .3, 1, 3, 10, 30, 100},
		}, table),
		buffered: prometheus.NewGauge(prometheus.GaugeOpts{Name: "tidemark_sink_buffered_bytes", Help: "Memory of rows that are not committed yet."}),
		sessions: prometheus.NewCounter(prometheus.CounterOpts{Name: "tidemark_sink_sessions_total", Help: "Times that the sink began from where its tables stand."}),
		tables:   map[string]*tableMetrics{},
	}
	reg.MustRegister(m.seconds, m.buffered, m.sessions)
	return m
}

func newMetrics() *Metrics { return NewMetrics(prometheus.NewRegistry()) }

// total is a counter that can be read.
type total struct {
	prometheus.Counter
	n int64
}

func (t *total) add(n int64) {
	t.n += n
	t.Add(float64(n))
}

// tableMetrics are those of one table. The loop of the sink alone writes them.
type tableMetrics struct {
	rows, known, files, bytes, commits, undecodable, lost total
	behind, validLag                                      prometheus.Gauge
	seconds                                               prometheus.Observer
	last                                                  time.Time // commit
}

func (m *Metrics) of(table string) *tableMetrics {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.tables[table]
	if t == nil {
		get := func(v *prometheus.CounterVec) total { return total{Counter: v.WithLabelValues(table)} }
		t = &tableMetrics{
			rows: get(m.rows), known: get(m.known), files: get(m.files), bytes: get(m.bytes), commits: get(m.commits),
			undecodable: get(m.undecodable), lost: get(m.lost),
			behind: m.behind.WithLabelValues(table), validLag: m.validLag.WithLabelValues(table), seconds: m.seconds.WithLabelValues(table),
		}
		m.tables[table] = t
	}
	return t
}

// States of a sink.
const (
	Starting = "starting"
	Running  = "running"
	Retrying = "retrying" // it goes on from where the tables stand, after an error
	Ended    = "ended"
)

// Status is how a sink is.
type Status struct {
	State    string        `json:"state"`
	Error    string        `json:"error,omitempty"` // why it is retrying
	Buffered int64         `json:"buffered_bytes"`
	Tables   []TableStatus `json:"tables"`
}

// TableStatus is how a table is; numbers are since the process began.
type TableStatus struct {
	Table        string `json:"table"`
	Rows         int64  `json:"rows"`                  // committed
	Known        int64  `json:"rows_known"`            // left out: the table has their events
	Undecodable  int64  `json:"undecodable,omitempty"` // records left out
	Lost         int64  `json:"lost,omitempty"`        // offsets passed over
	Files        int64  `json:"files"`
	Bytes        int64  `json:"file_bytes"`
	Commits      int64  `json:"commits"`
	Waiting      int64  `json:"rows_waiting"`   // for the next commit
	Behind       int64  `json:"behind_records"` // not read yet, when something was read last
	ValidThrough string `json:"valid_through,omitempty"`
	LastCommit   string `json:"last_commit,omitempty"`
}

// Status tells how the sink is, at any time.
func (s *Sink) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.status
	st.Tables = slices.Clone(st.Tables)
	return st
}

func (s *Sink) note(set func(*Status)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	set(&s.status)
}

// commits is the number of commits since the process began.
func (s *Sink) commits() (n int64) {
	for _, t := range s.Status().Tables {
		n += t.Commits
	}
	return n
}

// count counts what was committed at now.
func (t *table) count(b *batch, now time.Time) {
	m := t.metrics
	m.rows.add(b.n)
	m.files.add(int64(len(b.files)))
	for i := range b.files {
		m.bytes.add(b.files[i].Info.Size)
	}
	m.commits.add(1)
	m.seconds.Observe(now.Sub(b.began).Seconds())
	m.last = now
}

// report tells how the tables are.
func (r *reading) report() {
	size, now := r.size(), r.Now()
	behind := map[*table]int64{}
	for at, in := range r.inputs {
		for _, t := range r.topics[at.topic].tables {
			behind[t] += in.behind
		}
	}
	tables := make([]TableStatus, len(r.tables))
	for i, t := range r.tables {
		m := t.metrics
		m.behind.Set(float64(behind[t]))
		st := TableStatus{
			Table: t.name, Rows: m.rows.n, Known: m.known.n, Undecodable: m.undecodable.n, Lost: m.lost.n, Files: m.files.n, Bytes: m.bytes.n, Commits: m.commits.n,
			Waiting: t.filling.n, Behind: behind[t],
		}
		if t.committing != nil {
			st.Waiting += t.committing.n
		}
		if t.valid != 0 {
			m.validLag.Set(float64(now.UnixMicro()-t.valid) / 1e6)
			st.ValidThrough = market.FormatTime(t.valid)
		}
		if !m.last.IsZero() {
			st.LastCommit = m.last.UTC().Format(time.RFC3339Nano)
		}
		tables[i] = st
	}
	slices.SortFunc(tables, func(a, b TableStatus) int { return strings.Compare(a.Table, b.Table) })
	r.Metrics.buffered.Set(float64(size))
	r.note(func(s *Status) { s.Buffered, s.Tables = size, tables })
}
