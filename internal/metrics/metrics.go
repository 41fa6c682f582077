// Package metrics renders a daemon's numbers for Prometheus. It is the only
// importer of the Prometheus library: everything else hands over [Sample]s.
package metrics

import (
	"context"
	"maps"
	"net/http"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rs/zerolog"
)

// Sample is one number at one moment.
type Sample struct {
	Name    string            // such as "burrow_jobs_total"; counters end in _total
	Help    string            // one sentence; the same for all samples of a name
	Counter bool              // only ever rises; otherwise a gauge
	Labels  map[string]string // of few different values
	Value   float64           // in base units: seconds, bytes
}

// Handler answers a scrape with what collect returns, read once per scrape, and
// the Go runtime's and the process's own numbers. Samples that Prometheus does
// not take (a bad name, a doubled label set) are left out and logged.
func Handler(collect func(ctx context.Context) []Sample) http.Handler {
	own := prometheus.NewRegistry()
	own.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A registry per scrape: a Collector has no context, and the samples
		// belong to this request's.
		scrape := prometheus.NewRegistry()
		scrape.MustRegister(samples(collect(r.Context())))
		promhttp.HandlerFor(prometheus.Gatherers{own, scrape}, promhttp.HandlerOpts{
			ErrorHandling: promhttp.ContinueOnError,
			ErrorLog:      logger{zerolog.Ctx(r.Context())},
		}).ServeHTTP(w, r)
	})
}

// samples is a Collector that is not checked ahead: it describes nothing.
type samples []Sample

func (samples) Describe(chan<- *prometheus.Desc) {}

func (s samples) Collect(out chan<- prometheus.Metric) {
	for _, sample := range s {
		kind := prometheus.GaugeValue
		if sample.Counter {
			kind = prometheus.CounterValue
		}
		names := slices.Sorted(maps.Keys(sample.Labels))
		values := make([]string, len(names))
		for i, name := range names {
			values[i] = sample.Labels[name]
		}
		desc := prometheus.NewDesc(sample.Name, sample.Help, names, nil)
		metric, err := prometheus.NewConstMetric(desc, kind, sample.Value, values...)
		if err != nil {
			metric = prometheus.NewInvalidMetric(desc, err)
		}
		out <- metric
	}
}

type logger struct{ log *zerolog.Logger }

// Println implements promhttp.Logger.
func (l logger) Println(v ...any) {
	for _, item := range v {
		if err, ok := item.(error); ok {
			l.log.Warn().Err(err).Msg("metrics left out")
		}
	}
}
