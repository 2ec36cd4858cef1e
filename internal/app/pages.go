package app

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/pprof"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// pages answers what operators ask over the AWS addresses: metrics, health and, on request, profiles.
func (n *Node) pages() *http.ServeMux {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(n.metrics.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, n.health()) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { answer(w, n.readiness()) })
	if n.config.Pprof {
		for path, handler := range map[string]http.HandlerFunc{
			"/debug/pprof/": pprof.Index, "/debug/pprof/cmdline": pprof.Cmdline, "/debug/pprof/profile": pprof.Profile,
			"/debug/pprof/symbol": pprof.Symbol, "/debug/pprof/trace": pprof.Trace,
		} {
			mux.HandleFunc(path, localOnly(handler))
		}
	}
	return mux
}

func answer(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = fmt.Fprintln(w, err) // a client that has gone needs no answer
		return
	}
	_, _ = fmt.Fprintln(w, statusOK)
}

// localOnly keeps profiles, which show memory and command line, on this machine.
func localOnly(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !isLoopback(r.RemoteAddr) {
			http.Error(w, "profiles are served to this machine only", http.StatusForbidden)
			return
		}
		next(w, r)
	}
}

var errDraining = errors.New("stopping")

// health says whether the process should go on: it fails once the log has.
func (n *Node) health() error {
	if failure := n.failure.Load(); failure != nil {
		return *failure
	}
	return nil
}

// readiness says whether requests are served. Nobody asks a node that starts: connections wait until it serves.
func (n *Node) readiness() error {
	if err := n.health(); err != nil {
		return err
	}
	if n.draining.Load() {
		return errDraining
	}
	return nil
}
