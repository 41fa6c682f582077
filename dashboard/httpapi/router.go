// Package httpapi serves the dashboard: its page, GET /api/overview for it, and
// /healthz, /readyz and /metrics for machines. It only reads; browsers never
// talk to the registry themselves.
package httpapi

import (
	"context"
	"net/http"

	"github.com/gorilla/mux"
	"github.com/rs/zerolog"

	"burrow/dashboard/web"
	"burrow/internal/httpserve"
	"burrow/internal/metrics"
)

// New returns the dashboard's handler over what registry says, with all guards
// of [httpserve.Wrap] for a daemon on loopback.
func New(registry Registry, log zerolog.Logger, cfg Config) http.Handler {
	src := newSource(registry, cfg)
	r := mux.NewRouter()
	r.NotFoundHandler = httpserve.NotFound()
	r.MethodNotAllowedHandler = httpserve.MethodNotAllowed()
	get := func(path string, h http.Handler) { r.Handle(path, h).Methods(http.MethodGet, http.MethodHead) }
	for _, f := range web.Files() {
		get(f.Path, f)
	}
	get("/api/overview", http.HandlerFunc(src.serve))
	// Ready without the registry too: saying that it is away is the work.
	healthz, readyz := httpserve.Health(nil)
	get("/healthz", healthz)
	get("/readyz", readyz)
	get("/metrics", metrics.Handler(src.samples))
	return httpserve.Wrap(r, log, nil)
}

// samples asks the registry too, so that the numbers hold without a browser.
func (s *source) samples(ctx context.Context) []metrics.Sample {
	seen, up := s.overview(ctx), 0.0
	if seen.Registry.OK {
		up = 1
	}
	out := []metrics.Sample{{Name: "burrow_dashboard_registry_up", Help: "1 when the registry answers.", Value: up}}
	if !seen.At.IsZero() {
		out = append(out, metrics.Sample{
			Name: "burrow_dashboard_data_timestamp_seconds", Help: "Time of the shown data.",
			Value: float64(seen.At.UnixMilli()) / 1e3,
		})
	}
	return out
}
