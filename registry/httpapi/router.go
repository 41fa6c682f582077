// Package httpapi is the registry's HTTP API, as api/openapi/registry.yaml
// describes it. [New] gives the router; the caller wraps it with
// [httpserve.Wrap] and serves it.
package httpapi

import (
	"net"
	"net/http"

	"github.com/gorilla/mux"

	"burrow/api"
	"burrow/api/openapi"
	"burrow/internal/httpserve"
	"burrow/registry/directory"
)

// Bounds of request bodies, in bytes.
const (
	maxCredentials = 16 << 10 // a password of 1 KiB may be escaped in JSON
	maxHeartbeat   = 64 << 10
)

// handler answers from the directory.
type handler struct{ dir *directory.Directory }

// New returns the router over dir. What changes the directory needs
// Authorization: Bearer with a session's token, but for signing up and logging
// in. Reads are open: until TLS arrives the registry listens on loopback only.
func New(dir *directory.Directory) *mux.Router {
	h := &handler{dir: dir}
	// Paths are taken as they are: a redirect to a cleaned one would answer a
	// POST with a page for browsers.
	r := mux.NewRouter().SkipClean(true)
	r.NotFoundHandler = httpserve.NotFound()
	r.MethodNotAllowedHandler = httpserve.MethodNotAllowed()
	h.accountRoutes(r)
	h.peerRoutes(r)
	h.statsRoutes(r)
	healthz, readyz := httpserve.Health(dir.Ready)
	r.Handle("/healthz", healthz).Methods(http.MethodGet)
	r.Handle("/readyz", readyz).Methods(http.MethodGet)
	r.HandleFunc("/openapi.yaml", contract).Methods(http.MethodGet)
	return r
}

func contract(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/yaml")
	_, _ = w.Write(openapi.Registry) // a client that left is no one to tell
}

// answer writes v, or err where there is one.
func answer(w http.ResponseWriter, r *http.Request, status int, v any, err error) {
	if err != nil {
		httpserve.WriteError(w, r, err)
		return
	}
	if status == http.StatusNoContent {
		w.WriteHeader(status)
		return
	}
	httpserve.WriteJSON(w, status, v)
}

// authed passes a request on with the account of its session.
func (h *handler) authed(next func(http.ResponseWriter, *http.Request, api.Account)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		who, err := h.dir.Authenticate(r.Context(), httpserve.Bearer(r))
		if err != nil {
			httpserve.WriteError(w, r, err)
			return
		}
		next(w, r, who)
	}
}

// remote is the address that failed logins are counted against.
func remote(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
