package httpserve

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"burrow/api"
)

type waitError struct{ wait time.Duration }

func (waitError) Error() string               { return "slow down" }
func (waitError) Is(target error) bool        { return target == api.ErrRateLimited }
func (e waitError) RetryAfter() time.Duration { return e.wait }
func answer(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func local(method, path string) *http.Request {
	return httptest.NewRequest(method, "http://127.0.0.1:9001"+path, nil)
}

func problem(t *testing.T, w *httptest.ResponseRecorder) api.Problem {
	t.Helper()
	var p api.Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Fatalf("body %q: %v", w.Body, err)
	}
	if got := w.Header().Get("Content-Type"); got != api.ProblemType {
		t.Errorf("content type %q", got)
	}
	return p
}

func TestWriteErrorMapsAndSetsHeaders(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		err         error
		status      int
		code        string
		retry, auth string
		logged      bool
	}{
		"a field":                       {api.Invalid("limits.memory", "is bad"), 400, "invalid", "", "", false},
		"no login":                      {fmt.Errorf("token: %w", api.ErrUnauthorized), 401, "unauthorized", "", "Bearer", false},
		"wait, rounded up":              {fmt.Errorf("x: %w", waitError{1200 * time.Millisecond}), 429, "rate_limited", "2", "", false},
		"wait of whole seconds":         {waitError{3 * time.Second}, 429, "rate_limited", "3", "", false},
		"a negative wait":               {waitError{-time.Second}, 429, "rate_limited", "0", "", false},
		"unavailable is logged":         {api.ErrUnavailable, 503, "unavailable", "", "", true},
		"internals are logged not sent": {errors.New("disk sda1 is on fire"), 500, "internal", "", "", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			h := Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { WriteError(w, r, tt.err) }),
				zerolog.New(&log).Level(zerolog.WarnLevel), nil)
			r := local(http.MethodGet, "/")
			r.Header.Set("X-Request-Id", "abc-1")
			w := answer(h, r)
			p := problem(t, w)
			if w.Code != tt.status || p.Status != tt.status || p.Code != tt.code || p.RequestID != "abc-1" {
				t.Errorf("status %d, problem %+v", w.Code, p)
			}
			if got := w.Header().Get("Retry-After"); got != tt.retry {
				t.Errorf("Retry-After %q, want %q", got, tt.retry)
			}
			if got := w.Header().Get("WWW-Authenticate"); got != tt.auth {
				t.Errorf("WWW-Authenticate %q, want %q", got, tt.auth)
			}
			if strings.Contains(w.Body.String(), "sda1") {
				t.Error("the answer shows internals")
			}
			if got := strings.Contains(log.String(), `"request":"abc-1"`) && strings.Contains(log.String(), tt.err.Error()); got != tt.logged {
				t.Errorf("logged %v, want %v: %s", got, tt.logged, &log)
			}
		})
	}
}

func TestWriteJSONOfWhatCannotBeEncodedIsAProblem(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	WriteJSON(w, http.StatusOK, make(chan int))
	if p := problem(t, w); w.Code != 500 || p.Code != "internal" {
		t.Errorf("status %d, %+v", w.Code, p)
	}
}

func TestBearer(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]string{
		"Bearer abc": "abc", "bearer  abc ": "abc", "Basic abc": "", "Bearer": "", "": "", "Bearerabc": "",
	} {
		r := local(http.MethodGet, "/")
		r.Header.Set("Authorization", header)
		if got := Bearer(r); got != want {
			t.Errorf("%q: got %q, want %q", header, got, want)
		}
	}
}

func TestWrapChecksTheHost(t *testing.T) {
	t.Parallel()
	ok := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { WriteJSON(w, 200, "in") })
	byDefault := Wrap(ok, zerolog.Nop(), nil)
	listed := Wrap(ok, zerolog.Nop(), func(host string) bool { return host == "mole.lan" || host == "::2" })
	for _, tt := range []struct {
		h    http.Handler
		host string
		want int
	}{
		{byDefault, "127.0.0.1:9001", 200},
		{byDefault, "127.9.9.9", 200},
		{byDefault, "localhost:1", 200},
		{byDefault, "LOCALHOST", 200},
		{byDefault, "[::1]:9001", 200},
		{byDefault, "[::1]", 200},
		{byDefault, "evil.test", 421},
		{byDefault, "localhost.evil.test:9001", 421},
		{byDefault, "127.0.0.1.evil.test", 421},
		{byDefault, "192.0.2.1:9001", 421},
		{byDefault, "", 421},
		{listed, "Mole.LAN:443", 200},
		{listed, "[::2]:443", 200},
		{listed, "127.0.0.1", 421},
	} {
		r := local(http.MethodGet, "/")
		r.Host = tt.host
		w := answer(tt.h, r)
		if w.Code != tt.want {
			t.Errorf("host %q: status %d, want %d", tt.host, w.Code, tt.want)
		}
		if w.Code == 421 && problem(t, w).Code != "misdirected" {
			t.Errorf("host %q: %s", tt.host, w.Body)
		}
	}
}

func TestWrapRefusesOtherSites(t *testing.T) {
	t.Parallel()
	h := Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { WriteJSON(w, 200, "in") }), zerolog.Nop(), nil)
	for _, tt := range []struct {
		method, path string
		header       map[string]string
		want         int
	}{
		{"GET", "/v1/jobs", nil, 200},
		{"POST", "/v1/jobs", nil, 200},
		{"GET", "/v1/jobs", map[string]string{"Sec-Fetch-Site": "same-origin"}, 200},
		{"GET", "/v1/jobs", map[string]string{"Sec-Fetch-Site": "none"}, 200},
		{"GET", "/v1/jobs", map[string]string{"Sec-Fetch-Site": "same-site"}, 403},
		{"GET", "/v1/jobs", map[string]string{"Sec-Fetch-Site": "cross-site"}, 403},
		{"DELETE", "/v1/jobs", map[string]string{"Sec-Fetch-Site": "cross-site"}, 403},
		{"GET", "/", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, 200},
		{"GET", "/", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}, 403},
		{"GET", "/", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, 403},
		{"POST", "/", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, 403},
		{"GET", "/v1/jobs", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, 403},
		{"POST", "/v1/jobs", map[string]string{"Origin": "http://evil.test"}, 403},
		{"POST", "/v1/jobs", map[string]string{"Origin": "null"}, 403},
		{"POST", "/v1/jobs", map[string]string{"Origin": "http://127.0.0.1:9001"}, 200},
	} {
		r := local(tt.method, tt.path)
		for k, v := range tt.header {
			r.Header.Set(k, v)
		}
		w := answer(h, r)
		if w.Code != tt.want {
			t.Errorf("%s %s %v: status %d, want %d", tt.method, tt.path, tt.header, w.Code, tt.want)
		}
		if w.Code == 403 && problem(t, w).Code != "forbidden" {
			t.Errorf("%s %s %v: %s", tt.method, tt.path, tt.header, w.Body)
		}
	}
}

func TestWrapSetsHeadersAndRequestID(t *testing.T) {
	t.Parallel()
	var seen string
	h := Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = RequestID(r.Context())
		w.Header().Set("Cache-Control", "max-age=60")
	}), zerolog.Nop(), nil)
	for sent, kept := range map[string]bool{
		"abc.D-1_2": true, "": false, "a b": false, "a\nb": false, "é": false, strings.Repeat("x", 64): true, strings.Repeat("x", 65): false,
	} {
		r := local(http.MethodGet, "/")
		r.Header["X-Request-Id"] = []string{sent}
		w := answer(h, r)
		if got := w.Header().Get("X-Request-Id"); got != seen || (got == sent) != kept || !saneID(got) {
			t.Errorf("sent %q: echoed %q, handler saw %q", sent, got, seen)
		}
	}
	got := answer(h, local(http.MethodGet, "/")).Header()
	got.Del("X-Request-Id")
	want := http.Header{
		"X-Content-Type-Options": {"nosniff"}, "X-Frame-Options": {"DENY"}, "Referrer-Policy": {"no-referrer"},
		"Cross-Origin-Opener-Policy": {"same-origin"}, "Cross-Origin-Resource-Policy": {"same-origin"},
		"Content-Security-Policy": {"default-src 'none'; frame-ancestors 'none'"}, "Cache-Control": {"max-age=60"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
}

func TestWrapRecoversFromPanics(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	h := Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/late" {
			_, _ = io.WriteString(w, "half")
		}
		panic("out of cheese")
	}), zerolog.New(zerolog.SyncWriter(&log)), nil)
	srv := httptest.NewServer(h)
	res, err := srv.Client().Get(srv.URL + "/early")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if res.StatusCode != 500 || strings.Contains(string(body), "cheese") || !strings.Contains(string(body), `"code":"internal"`) {
		t.Errorf("early: status %d, body %s", res.StatusCode, body)
	}
	if res, err := srv.Client().Get(srv.URL + "/late"); err == nil {
		_, err = io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err == nil {
			t.Error("late: the cut answer looked whole")
		}
	}
	srv.Close()
	if !strings.Contains(log.String(), "out of cheese") || !strings.Contains(log.String(), `"level":"info"`) {
		t.Errorf("log: %s", &log)
	}
}

func TestWrapLetsStreamsFlush(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	srv := httptest.NewServer(Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "one\n")
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Errorf("flush: %v", err)
		}
		<-release
	}), zerolog.Nop(), nil))
	defer srv.Close()
	defer close(release)
	res, err := srv.Client().Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	buf := make([]byte, 4)
	if _, err := io.ReadFull(res.Body, buf); err != nil || string(buf) != "one\n" {
		t.Errorf("got %q, %v before the end", buf, err)
	}
}

func TestAccessLogLevels(t *testing.T) {
	t.Parallel()
	for status, level := range map[int]string{200: "debug", 404: "debug", 500: "info", 503: "debug"} {
		var log bytes.Buffer
		h := Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { WriteJSON(w, status, "x") }), zerolog.New(&log), nil)
		answer(h, local(http.MethodGet, "/v1/x?secret=1"))
		var line struct {
			Level, Method, Path, Request string
			Status, Bytes                int
		}
		if err := json.Unmarshal(log.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		if line.Level != level || line.Method != "GET" || line.Path != "/v1/x" || line.Status != status || line.Bytes != 4 || line.Request == "" {
			t.Errorf("status %d: %+v", status, line)
		}
		if strings.Contains(log.String(), "secret") {
			t.Error("the query is in the log")
		}
	}
}

func TestRouterFallbacks(t *testing.T) {
	t.Parallel()
	if w := answer(NotFound(), local("GET", "/x")); w.Code != 404 || problem(t, w).Code != "not_found" {
		t.Errorf("NotFound: %d %s", w.Code, w.Body)
	}
	if w := answer(MethodNotAllowed(), local("PUT", "/x")); w.Code != 405 || problem(t, w).Code != "method_not_allowed" {
		t.Errorf("MethodNotAllowed: %d %s", w.Code, w.Body)
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	var reason error
	healthz, readyz := Health(func(context.Context) error { return reason })
	for _, h := range []http.Handler{healthz, readyz} {
		if w := answer(h, local("GET", "/")); w.Code != 200 || w.Body.String() != "{\"status\":\"ok\"}\n" {
			t.Errorf("healthy: %d %s", w.Code, w.Body)
		}
	}
	reason = fmt.Errorf("executor: %w", api.ErrNotFound)
	w := answer(readyz, local("GET", "/"))
	if p := problem(t, w); w.Code != 503 || p.Code != "unavailable" || p.Detail != "executor: not found" {
		t.Errorf("not ready: %d %+v", w.Code, p)
	}
	if w := answer(healthz, local("GET", "/")); w.Code != 200 {
		t.Errorf("healthz follows readiness: %d", w.Code)
	}
	_, always := Health(nil)
	if w := answer(always, local("GET", "/")); w.Code != 200 {
		t.Errorf("nil check: %d", w.Code)
	}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

func TestServeEndsLongPollsCleanly(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ln, polling := listen(t), make(chan struct{})
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(polling)
		<-r.Context().Done()
		WriteJSON(w, 200, "ended")
	})
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, ln, h) }()
	got := make(chan string, 1)
	go func() {
		res, err := http.Get("http://" + ln.Addr().String())
		if err != nil {
			got <- err.Error()
			return
		}
		body, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		got <- string(body)
	}()
	<-polling
	cancel()
	if body := <-got; body != "\"ended\"\n" {
		t.Errorf("the long poll got %q", body)
	}
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if _, err := new(net.Dialer).DialContext(t.Context(), "tcp", ln.Addr().String()); err == nil {
		t.Error("the listener is still open")
	}
}

func TestServeClosesWhatDoesNotEnd(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ln, running, release := listen(t), make(chan struct{}), make(chan struct{})
	defer close(release)
	h := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { close(running); <-release })
	served := make(chan error, 1)
	go func() { served <- serve(ctx, ln, h, time.Millisecond) }()
	go func() {
		if res, err := http.Get("http://" + ln.Addr().String()); err == nil {
			_ = res.Body.Close()
		}
	}()
	<-running
	cancel()
	if err := <-served; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want DeadlineExceeded", err)
	}
}

func TestServeReportsABrokenListener(t *testing.T) {
	t.Parallel()
	ln := listen(t)
	_ = ln.Close()
	if err := Serve(t.Context(), ln, NotFound()); err == nil {
		t.Error("no error")
	}
}
