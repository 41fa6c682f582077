package httpserve

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"burrow/api"
)

// requestHeader carries the request id from daemon to daemon.
const requestHeader = "X-Request-Id"

type requestKey struct{}

// RequestID returns the id that [Wrap] gave to the request of ctx, or "".
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestKey{}).(string)
	return id
}

// Wrap puts around h what every daemon's door needs, outermost first:
//
//   - a request id: X-Request-Id when it has 1-64 of A-Z a-z 0-9 . _ -, else a
//     new one; echoed, in the context ([RequestID]) and in the context's logger;
//   - an access log line, debug, or info for answers of 500 and over but 503,
//     which is a state and not a fault;
//   - recovery from panics, as a 500 problem;
//   - security headers, and Cache-Control: no-store unless h sets another;
//   - the Host check, against pages that rebind their name to this machine:
//     hosts gets the name in lower case without port and brackets; nil accepts
//     loopback addresses and localhost;
//   - the Sec-Fetch-Site check on every method, and
//     [http.CrossOriginProtection], against other sites' pages.
func Wrap(h http.Handler, log zerolog.Logger, hosts func(host string) bool) http.Handler {
	if hosts == nil {
		hosts = loopback
	}
	cross := http.NewCrossOriginProtection()
	cross.SetDenyHandler(refuse(errCrossSite()))
	guarded := guard(cross.Handler(h), hosts)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start, id := time.Now(), r.Header.Get(requestHeader)
		if !saneID(id) {
			id = rand.Text()
		}
		logger := log.With().Str("request", id).Logger()
		ctx := context.WithValue(logger.WithContext(r.Context()), requestKey{}, id)
		r = r.WithContext(ctx)
		rec := &recorder{ResponseWriter: w}
		rec.Header().Set(requestHeader, id)
		defer func() {
			// No query: cursors and search words are the user's.
			level := zerolog.DebugLevel
			if rec.status >= http.StatusInternalServerError && rec.status != http.StatusServiceUnavailable {
				level = zerolog.InfoLevel
			}
			logger.WithLevel(level).Str("method", r.Method).Str("path", r.URL.Path).Int("status", rec.status).
				Int64("bytes", rec.bytes).Dur("took", time.Since(start)).Msg("request")
		}()
		defer rescue(rec, r)
		guarded.ServeHTTP(rec, r)
	})
}

// rescue turns a panic into a 500, or into a broken connection when the answer
// has begun: a cut answer must not look like a whole one.
func rescue(rec *recorder, r *http.Request) {
	v := recover()
	if v == nil {
		return
	}
	if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(http.ErrAbortHandler)
	}
	zerolog.Ctx(r.Context()).Error().Str("panic", fmt.Sprint(v)).Bytes("stack", debug.Stack()).Msg("handler panicked")
	if rec.status != 0 {
		panic(http.ErrAbortHandler)
	}
	p := api.NewProblem(errors.New("panic"))
	p.RequestID = RequestID(r.Context())
	write(rec, p.Status, api.ProblemType, p)
}

func guard(h http.Handler, hosts func(string) bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		setHeaders(w.Header())
		switch {
		case !hosts(hostName(r.Host)):
			// Before anything else: Go's cross-origin check passes a rebound
			// page, whose Origin equals its Host.
			WriteError(w, r, fmt.Errorf("host %.80q: %w", r.Host, api.ErrMisdirected))
		case !sameSite(r):
			WriteError(w, r, errCrossSite())
		default:
			h.ServeHTTP(w, r)
		}
	})
}

func setHeaders(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Cache-Control", "no-store")
}

func errCrossSite() error { return fmt.Errorf("request of another site: %w", api.ErrForbidden) }

// sameSite refuses what a browser sends for another site's page, on every
// method: a GET that only reads can be timed and included. A link to the front
// page is the one exception. Programs that are no browsers send no header.
func sameSite(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "none", "same-origin":
		return true
	}
	return r.Method == http.MethodGet && r.URL.Path == "/" &&
		r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
}

func hostName(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"))
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || (err == nil && ip.Unmap().IsLoopback())
}

func saneID(id string) bool {
	if id == "" || len(id) > 64 {
		return false
	}
	return !strings.ContainsFunc(id, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && !strings.ContainsRune("._-", r)
	})
}

// recorder remembers what was answered. Unwrap lets http.ResponseController
// reach the connection: streams flush through it.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && status >= http.StatusOK { // 1xx are not the answer
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(p)
	r.bytes += int64(n)
	return n, err
}
