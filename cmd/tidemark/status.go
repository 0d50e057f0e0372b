package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/pinova-group/tidemark/internal/fault"
)

// statusPages are what a process that runs on tells over HTTP: /status, /metrics, /healthz, /readyz.
type statusPages struct {
	reg            *prometheus.Registry
	status         func() any   // as JSON
	healthy, ready func() error // nil: it is
}

// newRegistry is a registry with the metrics of every process.
func newRegistry() *prometheus.Registry {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return reg
}

// serveStatus serves the pages until stop.
func serveStatus(addr string, p statusPages) (stop func(), err error) {
	l, err := net.Listen("tcp", addr) //nolint:noctx // it is closed at the end
	if err != nil {
		return nil, fault.Usage("flag_invalid", fmt.Sprintf("cannot listen at %q: %v", addr, err), "--status 127.0.0.1:9464")
	}
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(p.reg, promhttp.HandlerOpts{}))
	for path, check := range map[string]func() error{"/healthz": p.healthy, "/readyz": p.ready} {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			if err := check(); err != nil {
				http.Error(w, err.Error(), http.StatusServiceUnavailable)
			}
		})
	}
	mux.HandleFunc("/status", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(p.status())
	})
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = srv.Serve(l) }()
	return func() { _ = srv.Close() }, nil
}
