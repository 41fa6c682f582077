package httpapi

import (
	"cmp"
	"context"
	"net/http"
	"sync"
	"time"

	"burrow/api"
	"burrow/internal/httpserve"
)

// Overview is the answer of GET /api/overview: what the registry said last.
type Overview struct {
	Peers    []api.Peer       `json:"peers"`
	Stats    api.NetworkStats `json:"stats"`
	Registry Link             `json:"registry"`
	At       time.Time        `json:"at,omitzero"` // of Peers and Stats; zero before the first answer
}

// Link is how the dashboard stands with the registry.
type Link struct {
	OK    bool      `json:"ok"`
	Since time.Time `json:"since"` // when OK last changed, as the dashboard noticed it
	Error string    `json:"error,omitempty"`
}

// Registry is what the dashboard reads; api/client has it.
type Registry interface {
	Peers(ctx context.Context) ([]api.Peer, error)
	// Stats returns up to limit buckets of width "1s", "1m" or "1h".
	Stats(ctx context.Context, width string, limit int) (api.NetworkStats, error)
}

const (
	fetchTimeout = 5 * time.Second
	maxError     = 300 // bytes of an error's text that the page gets
	minutes      = 60  // buckets of history
)

// Config has the tunables of [New].
type Config struct {
	CacheFor time.Duration // how long an answer of the registry serves all browsers; 0 means 1 s
}

// source reads the registry for all browsers at once and keeps the last answer.
type source struct {
	registry Registry
	cacheFor time.Duration

	mu      sync.Mutex // held while the registry is asked: one question serves all who wait
	checked time.Time
	last    Overview
}

func newSource(registry Registry, cfg Config) *source {
	return &source{
		registry: registry, cacheFor: cmp.Or(cfg.CacheFor, time.Second),
		last: Overview{Peers: []api.Peer{}, Registry: Link{Since: time.Now(), Error: "not asked yet"}},
	}
}

// overview returns what is known. When the registry does not answer it is the
// old data with the reason, never an empty table.
func (s *source) overview(ctx context.Context) Overview {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.checked.IsZero() && time.Since(s.checked) < s.cacheFor {
		return s.last
	}
	// A browser that leaves must not fail the question for the others.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
	defer cancel()
	peers, err := s.registry.Peers(ctx)
	var stats api.NetworkStats
	if err == nil {
		stats, err = s.registry.Stats(ctx, "1m", minutes)
	}
	now := time.Now()
	first := s.checked.IsZero()
	s.checked = now
	if ok := err == nil; first || ok != s.last.Registry.OK {
		s.last.Registry.Since = now
	}
	if err != nil {
		text := err.Error()
		s.last.Registry.OK, s.last.Registry.Error = false, text[:min(len(text), maxError)]
		return s.last
	}
	if peers == nil {
		peers = []api.Peer{} // [] in JSON, not null
	}
	s.last.Peers, s.last.Stats, s.last.At = peers, stats, now
	s.last.Registry.OK, s.last.Registry.Error = true, ""
	return s.last
}

func (s *source) serve(w http.ResponseWriter, r *http.Request) {
	httpserve.WriteJSON(w, http.StatusOK, s.overview(r.Context()))
}
