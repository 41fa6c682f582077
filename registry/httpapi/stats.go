package httpapi

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/gorilla/mux"
	"github.com/rs/zerolog"

	"burrow/api"
	"burrow/internal/httpserve"
	"burrow/internal/metrics"
)

func (h *handler) statsRoutes(r *mux.Router) {
	r.HandleFunc("/v1/stats", h.stats).Methods(http.MethodGet)
	r.Handle("/metrics", metrics.Handler(h.samples)).Methods(http.MethodGet)
}

func (h *handler) stats(w http.ResponseWriter, r *http.Request) {
	width, limit, err := window(r)
	if err != nil {
		httpserve.WriteError(w, r, err)
		return
	}
	stats, err := h.dir.Stats(r.Context(), width, limit)
	answer(w, r, http.StatusOK, stats, err)
}

// window reads ?width=1s|1m|1h&limit=N; what is left out is "" and 0.
func window(r *http.Request) (width string, limit int, err error) {
	query := r.URL.Query()
	for name, values := range query {
		switch {
		case name != "width" && name != "limit":
			return "", 0, api.Invalid(name, "is no known parameter; accepted are width and limit")
		case len(values) > 1:
			return "", 0, api.Invalid(name, "is given %d times", len(values))
		}
	}
	if query.Has("limit") {
		limit, err = strconv.Atoi(query.Get("limit"))
		if err != nil || limit < 1 {
			return "", 0, api.Invalid("limit", "is %.16q; want a whole number from 1", query.Get("limit"))
		}
	}
	return query.Get("width"), limit, nil
}

// samples are the metrics of the network as the registry sees it.
func (h *handler) samples(ctx context.Context) []metrics.Sample {
	s, err := h.dir.Stats(ctx, "", 1)
	if err != nil {
		zerolog.Ctx(ctx).Error().Err(err).Msg("metrics left out")
		return nil
	}
	list := []metrics.Sample{
		{Name: "burrow_peers", Help: "Peers that are active now.", Value: float64(s.Peers)},
		{Name: "burrow_slots", Help: "Slots of the active peers.", Value: float64(s.Slots)},
		{Name: "burrow_jobs_running", Help: "Jobs that the active peers run now.", Value: float64(s.Running)},
		{Name: "burrow_jobs_queued", Help: "Jobs that wait at the active peers.", Value: float64(s.Queued)},
		{Name: "burrow_job_cpu_seconds_total", Help: "CPU time of ended jobs.", Counter: true, Value: time.Duration(s.CPU).Seconds()},
	}
	for _, state := range api.JobStates() {
		if state.Final() {
			list = append(list, metrics.Sample{
				Name: "burrow_jobs_ended_total", Help: "Ended jobs by final state.", Counter: true,
				Labels: map[string]string{"state": string(state)}, Value: float64(s.States[state]),
			})
		}
	}
	return list
}
