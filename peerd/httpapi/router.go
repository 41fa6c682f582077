// Package httpapi is a peer's HTTP API for its user: jobs, output, status.
// api/openapi/peer.yaml is its contract. Every call but the health checks and
// the contract itself needs the peer's token.
package httpapi

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net/http"
	"time"

	"github.com/gorilla/mux"
	"github.com/rs/zerolog"

	"burrow/api"
	"burrow/api/openapi"
	"burrow/internal/httpserve"
	"burrow/internal/metrics"
	"burrow/peerd/queue"
)

// Peers answers who else is there; nil means that there is no registry.
type Peers interface {
	Peers(ctx context.Context) ([]api.Peer, error)
}

// Config is what the API stands on. All fields but Peers are required.
type Config struct {
	Queue *queue.Queue
	Token string // what Authorization: Bearer must carry
	// Status returns what GET /v1/status says.
	Status func(ctx context.Context) api.PeerStatus
	// Ready returns why the peer cannot work yet, or nil.
	Ready func(ctx context.Context) error
	Peers Peers
	Log   zerolog.Logger
}

// maxStreams bounds the connections that follow or wait at once.
const maxStreams = 512

type server struct {
	Config
	tokenHash [sha256.Size]byte
	streams   chan struct{} // a place for each stream
}

// New returns the handler of the whole API.
func New(cfg Config) http.Handler { return httpserve.Wrap(newRouter(cfg), cfg.Log, nil) }

func newRouter(cfg Config) *mux.Router {
	s := &server{Config: cfg, tokenHash: sha256.Sum256([]byte(cfg.Token)), streams: make(chan struct{}, maxStreams)}
	// Paths are taken as they are: a redirect to a cleaned one would answer a
	// POST with a page for browsers.
	r := mux.NewRouter().SkipClean(true)
	r.NotFoundHandler = httpserve.NotFound()
	r.MethodNotAllowedHandler = httpserve.MethodNotAllowed()

	healthz, readyz := httpserve.Health(cfg.Ready)
	r.Handle("/healthz", healthz).Methods(http.MethodGet)
	r.Handle("/readyz", readyz).Methods(http.MethodGet)
	r.HandleFunc("/openapi.yaml", serveContract).Methods(http.MethodGet)

	s.handle(r, http.MethodGet, "/metrics", metrics.Handler(s.samples).ServeHTTP)
	s.handle(r, http.MethodPost, "/v1/jobs", s.submit)
	s.handle(r, http.MethodGet, "/v1/jobs", s.listJobs)
	s.handle(r, http.MethodGet, "/v1/jobs/{id}", s.getJob)
	s.handle(r, http.MethodGet, "/v1/jobs/{id}/output", s.output)
	s.handle(r, http.MethodPost, "/v1/jobs/{id}/cancel", s.cancel)
	s.handle(r, http.MethodGet, "/v1/status", s.status)
	s.handle(r, http.MethodGet, "/v1/peers", s.peers)
	return r
}

// handle registers a route that needs the token.
func (s *server) handle(r *mux.Router, method, path string, h http.HandlerFunc) {
	r.HandleFunc(path, func(w http.ResponseWriter, req *http.Request) {
		// Hashes have one length, so the comparison tells nothing by its time.
		got := sha256.Sum256([]byte(httpserve.Bearer(req)))
		if subtle.ConstantTimeCompare(got[:], s.tokenHash[:]) != 1 {
			httpserve.WriteError(w, req, fmt.Errorf("missing or wrong token; send \"Authorization: Bearer\" with the content of the file token in the peer's data folder: %w", api.ErrUnauthorized))
			return
		}
		h(w, req)
	}).Methods(method)
}

func serveContract(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/yaml")
	_, _ = w.Write(openapi.Peer) // a client that went away is not our fault
}

// stream takes a place for a long answer, or says that there is none.
func (s *server) stream() (release func(), err error) {
	select {
	case s.streams <- struct{}{}:
		return func() { <-s.streams }, nil
	default:
		return nil, fmt.Errorf("%d streams are open already; close some: %w", maxStreams, api.ErrUnavailable)
	}
}

func (s *server) status(w http.ResponseWriter, r *http.Request) {
	httpserve.WriteJSON(w, http.StatusOK, s.Status(r.Context()))
}

func (s *server) peers(w http.ResponseWriter, r *http.Request) {
	if s.Peers == nil {
		httpserve.WriteJSON(w, http.StatusOK, api.PeerPage{Peers: []api.Peer{s.Status(r.Context()).Peer}})
		return
	}
	peers, err := s.Peers.Peers(r.Context())
	if err != nil {
		httpserve.WriteError(w, r, fmt.Errorf("ask the registry: %w", err))
		return
	}
	httpserve.WriteJSON(w, http.StatusOK, api.PeerPage{Peers: peers})
}

func (s *server) samples(ctx context.Context) []metrics.Sample {
	st, n := s.Status(ctx), s.Queue.Counts()
	out := []metrics.Sample{
		{Name: "burrow_jobs", Help: "Jobs at hand by state.", Labels: map[string]string{"state": "queued"}, Value: float64(n.Queued)},
		{Name: "burrow_jobs", Help: "Jobs at hand by state.", Labels: map[string]string{"state": "running"}, Value: float64(n.Running)},
		{Name: "burrow_jobs_kept", Help: "Finished jobs that retention keeps.", Value: float64(n.Finished)},
		{Name: "burrow_slots", Help: "Jobs that can run at once.", Value: float64(st.Peer.Slots)},
		{Name: "burrow_job_cpu_seconds_total", Help: "CPU time of ended jobs.", Counter: true, Value: st.Totals.CPU.Std().Seconds()},
		{Name: "burrow_uptime_seconds", Help: "Time since the daemon's start.", Value: st.Uptime.Std().Seconds()},
	}
	for _, state := range api.JobStates() {
		if state.Final() {
			out = append(out, metrics.Sample{
				Name: "burrow_jobs_ended_total", Help: "Ended jobs by state since the data folder was made.",
				Counter: true, Labels: map[string]string{"state": string(state)}, Value: float64(st.Totals.States[state]),
			})
		}
	}
	return out
}

// writeTimeout bounds one write to a client: a reader that stalls longer is
// dropped.
const writeTimeout = 30 * time.Second
