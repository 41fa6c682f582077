package httpserve

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"burrow/api"
)

// WriteJSON answers with status and v as JSON. A value that cannot be encoded
// is a 500 problem: nothing of it was sent yet.
func WriteJSON(w http.ResponseWriter, status int, v any) {
	write(w, status, "application/json", v)
}

func write(w http.ResponseWriter, status int, mediaType string, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		// A problem holds strings and a number only: this ends here.
		write(w, http.StatusInternalServerError, api.ProblemType, api.NewProblem(err))
		return
	}
	h := w.Header()
	h.Set("Content-Type", mediaType)
	h.Set("Content-Length", strconv.Itoa(len(body)+1))
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // a client that left is no one to tell
}

// WriteError answers with the problem that err maps to, see [api.NewProblem].
// Answers of 500 and over are logged with the error's full text; the client of
// an internal error sees only the request id. An error with a method
// RetryAfter() time.Duration sets Retry-After, in whole seconds rounded up.
func WriteError(w http.ResponseWriter, r *http.Request, err error) {
	p := api.NewProblem(err)
	p.RequestID = RequestID(r.Context())
	if wait, ok := errors.AsType[retryAfter](err); ok {
		w.Header().Set("Retry-After", strconv.FormatInt(seconds(wait.RetryAfter()), 10))
	}
	if errors.Is(err, api.ErrUnauthorized) {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	if p.Status >= http.StatusInternalServerError {
		level := zerolog.WarnLevel
		switch {
		case errors.Is(err, context.Canceled) && r.Context().Err() != nil:
			level = zerolog.DebugLevel // the client went away
		case p.Status == http.StatusInternalServerError:
			level = zerolog.ErrorLevel
		}
		zerolog.Ctx(r.Context()).WithLevel(level).Err(err).Int("status", p.Status).Msg("request failed")
	}
	write(w, p.Status, api.ProblemType, p)
}

type retryAfter interface {
	error
	RetryAfter() time.Duration
}

func seconds(d time.Duration) int64 { return max(0, int64(math.Ceil(d.Seconds()))) }

// Bearer returns the token of the Authorization header, or "" when there is
// none or it has another scheme.
func Bearer(r *http.Request) string {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// NotFound answers every request with the 404 problem; for the router.
func NotFound() http.Handler { return refuse(api.ErrNotFound) }

// MethodNotAllowed answers every request with the 405 problem; for the router.
func MethodNotAllowed() http.Handler { return refuse(api.ErrMethod) }

func refuse(err error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { WriteError(w, r, err) })
}

// readyTimeout bounds one readiness check.
const readyTimeout = 5 * time.Second

// Health returns the handlers of /healthz (the process answers) and /readyz
// (it can work). ready is given 5 s; its error is the detail of the 503
// problem, so it must be fit for strangers. A nil ready is always ready.
func Health(ready func(context.Context) error) (healthz, readyz http.Handler) {
	healthy := func(w http.ResponseWriter) { WriteJSON(w, http.StatusOK, map[string]string{"status": "ok"}) }
	healthz = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { healthy(w) })
	readyz = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ready != nil {
			ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
			defer cancel()
			if err := ready(ctx); err != nil {
				// Not WriteError: whatever the reason is, the answer is 503,
				// and a prober asks too often to log each.
				p := api.NewProblem(api.ErrUnavailable)
				p.Detail, p.RequestID = err.Error(), RequestID(r.Context())
				write(w, p.Status, api.ProblemType, p)
				return
			}
		}
		healthy(w)
	})
	return healthz, readyz
}
