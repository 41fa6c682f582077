package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"burrow/api"
	"burrow/api/client"
	"burrow/dashboard/web"
)

// fakeRegistry answers like a registry with one peer; down makes it refuse.
type fakeRegistry struct {
	*httptest.Server
	down  atomic.Bool
	calls atomic.Int64
}

func newFakeRegistry(t *testing.T) *fakeRegistry {
	t.Helper()
	f := &fakeRegistry{}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.calls.Add(1)
		switch {
		case f.down.Load():
			w.Header().Set("Content-Type", api.ProblemType)
			w.WriteHeader(http.StatusServiceUnavailable)
			_ = json.NewEncoder(w).Encode(api.NewProblem(api.ErrUnavailable))
		case r.URL.Path == "/v1/peers":
			_ = json.NewEncoder(w).Encode(api.PeerPage{Peers: []api.Peer{{Name: "mole", Address: "127.0.0.1:9001", Slots: 2}}})
		case r.URL.Path == "/v1/stats" && r.URL.Query().Get("width") == "1m":
			_ = json.NewEncoder(w).Encode(api.NetworkStats{Peers: 1, Slots: 2, States: map[api.JobState]int64{api.StateSucceeded: 5}})
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(f.Close)
	return f
}

func newDashboard(t *testing.T, registry string) *httptest.Server {
	t.Helper()
	reg, err := client.NewRegistry(registry, "")
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(New(reg, zerolog.Nop(), Config{CacheFor: time.Nanosecond}))
	t.Cleanup(srv.Close)
	return srv
}

type answer struct {
	status int
	header http.Header
}

func get(t *testing.T, address string) (answer, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header}, string(body)
}

func overview(t *testing.T, dashboard string) Overview {
	t.Helper()
	res, body := get(t, dashboard+"/api/overview")
	var o Overview
	if err := json.Unmarshal([]byte(body), &o); err != nil || res.status != 200 {
		t.Fatalf("status %d, body %s: %v", res.status, body, err)
	}
	return o
}

func TestOverviewKeepsTheDataOfAnUnreachableRegistry(t *testing.T) {
	t.Parallel()
	reg := newFakeRegistry(t)
	dash := newDashboard(t, reg.URL)

	first := overview(t, dash.URL)
	if !first.Registry.OK || first.Registry.Error != "" || first.At.IsZero() || len(first.Peers) != 1 || first.Stats.States[api.StateSucceeded] != 5 {
		t.Fatalf("reachable: %+v", first)
	}
	reg.down.Store(true)
	second := overview(t, dash.URL)
	if second.Registry.OK || second.Registry.Error == "" || second.Registry.Since.Before(first.At) {
		t.Errorf("refusing: %+v", second.Registry)
	}
	reg.Close()
	third := overview(t, dash.URL)
	if third.Registry.OK || !third.Registry.Since.Equal(second.Registry.Since) {
		t.Errorf("closed: %+v, want since %v", third.Registry, second.Registry.Since)
	}
	third.Registry = first.Registry
	if diff := cmp.Diff(first, third); diff != "" {
		t.Errorf("the data changed (-before +after):\n%s", diff)
	}
}

func TestOverviewRecovers(t *testing.T) {
	t.Parallel()
	reg := newFakeRegistry(t)
	reg.down.Store(true)
	dash := newDashboard(t, reg.URL)
	if o := overview(t, dash.URL); o.Registry.OK || !o.At.IsZero() || o.Peers == nil {
		t.Errorf("never reached: %+v", o)
	}
	if _, body := get(t, dash.URL+"/metrics"); !strings.Contains(body, "\nburrow_dashboard_registry_up 0\n") {
		t.Error("metrics do not tell that the registry is away")
	}
	reg.down.Store(false)
	if o := overview(t, dash.URL); !o.Registry.OK || o.At.IsZero() || len(o.Peers) != 1 {
		t.Errorf("reached again: %+v", o)
	}
	if _, body := get(t, dash.URL+"/metrics"); !strings.Contains(body, "\nburrow_dashboard_registry_up 1\n") {
		t.Error("metrics do not tell that the registry is back")
	}
}

type countingRegistry struct {
	calls atomic.Int64
	err   error
}

func (c *countingRegistry) Peers(context.Context) ([]api.Peer, error) {
	c.calls.Add(1)
	return nil, c.err
}

func (c *countingRegistry) Stats(context.Context, string, int) (api.NetworkStats, error) {
	return api.NetworkStats{}, nil
}

func TestOneQuestionASecondServesAllBrowsers(t *testing.T) {
	t.Parallel()
	for name, reg := range map[string]*countingRegistry{
		"the registry answers": {}, "the registry is away": {err: errors.New(strings.Repeat("long ", 999))},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				src := newSource(reg, Config{})
				for range 3 {
					for range 10 {
						if o := src.overview(t.Context()); len(o.Registry.Error) > maxError {
							t.Errorf("error of %d bytes", len(o.Registry.Error))
						}
					}
					time.Sleep(time.Second)
				}
				if got := reg.calls.Load(); got != 3 {
					t.Errorf("%d questions in 3 s, want 3", got)
				}
			})
		})
	}
}

func TestABrowserThatLeavesDoesNotFailTheQuestion(t *testing.T) {
	t.Parallel()
	reg := newFakeRegistry(t)
	c, err := client.NewRegistry(reg.URL, "")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if o := newSource(c, Config{}).overview(ctx); !o.Registry.OK {
		t.Errorf("got %+v", o.Registry)
	}
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	dash := newDashboard(t, newFakeRegistry(t).URL)
	for path, want := range map[string]struct {
		status int
		mime   string
	}{
		"/":                  {200, "text/html; charset=utf-8"},
		"/app.css":           {200, "text/css; charset=utf-8"},
		"/app.js":            {200, "text/javascript; charset=utf-8"},
		"/healthz":           {200, "application/json"},
		"/readyz":            {200, "application/json"},
		"/api/overview":      {200, "application/json"},
		"/index.html":        {404, api.ProblemType},
		"/web.go":            {404, api.ProblemType},
		"/%2e%2e/go.mod":     {404, api.ProblemType},
		"/api/overview/more": {404, api.ProblemType},
	} {
		res, body := get(t, dash.URL+path)
		if res.status != want.status || res.header.Get("Content-Type") != want.mime {
			t.Errorf("%s: %d %s %.80q", path, res.status, res.header.Get("Content-Type"), body)
		}
		if strings.HasPrefix(want.mime, "text/") {
			if got := res.header.Get("Content-Security-Policy"); got != web.Policy {
				t.Errorf("%s: policy %q", path, got)
			}
		}
	}
	res, err := http.Post(dash.URL+"/api/overview", "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: status %d, want 405", res.StatusCode)
	}
}
