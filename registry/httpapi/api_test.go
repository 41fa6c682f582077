package httpapi_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"burrow/api"
	"burrow/internal/httpserve"
	"burrow/internal/kv/badgerkv"
	"burrow/registry/directory"
	"burrow/registry/httpapi"
)

const (
	ada  = `{"user":"ada","password":"correct horse"}`
	id   = "PEER0000000000000000000001"
	peer = `{"peer":{"id":"` + id + `","name":"burrow","address":"127.0.0.1:9001","slots":2,"running":1},
		"stats":{"boot":"b","states":{"succeeded":3},"cpu":"1.5s","wall":2}}`
)

// server is a registry on a loopback port.
type server struct {
	testing.TB
	url string
}

func serve(tb testing.TB) server {
	tb.Helper()
	db, err := badgerkv.OpenMemory()
	if err != nil {
		tb.Fatal(err)
	}
	store, err := badgerkv.NewStore(db)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = store.Close() })
	dir, err := directory.New(tb.Context(), store, directory.Config{})
	if err != nil {
		tb.Fatal(err)
	}
	srv := httptest.NewServer(httpserve.Wrap(httpapi.New(dir), zerolog.Nop(), nil))
	tb.Cleanup(srv.Close)
	return server{tb, srv.URL}
}

type answer struct {
	*http.Response
	body string
}

func (s server) do(method, path, token, body string) answer {
	s.Helper()
	req, err := http.NewRequestWithContext(s.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		s.Fatal(err)
	}
	return answer{resp, string(raw)}
}

// want does a request, checks the status and reads the answer into v, if any.
func (s server) want(status int, v any, method, path, token, body string) {
	s.Helper()
	got := s.do(method, path, token, body)
	if got.StatusCode != status {
		s.Fatalf("%s %s: got %d, want %d: %s", method, path, got.StatusCode, status, got.body)
	}
	if v == nil {
		return
	}
	if err := json.Unmarshal([]byte(got.body), v); err != nil {
		s.Fatalf("%s %s: %v in %s", method, path, err, got.body)
	}
}

func (s server) login() string {
	s.Helper()
	var session api.Session
	s.want(201, nil, "POST", "/v1/accounts", "", ada)
	s.want(201, &session, "POST", "/v1/sessions", "", ada)
	return session.Token
}

// Ensure that a peer's life works from its account to its leave.
func TestLifeOfAPeer(t *testing.T) {
	t.Parallel()
	s := serve(t)
	token := s.login()
	var reply api.HeartbeatReply
	s.want(201, &reply, "POST", "/v1/peers", token, peer)
	s.want(200, &reply, "PUT", "/v1/peers/"+id, token, peer)
	if reply.Period.String() != "2s" {
		t.Errorf("period: got %v, want 2s", reply.Period)
	}
	var page api.PeerPage
	s.want(200, &page, "GET", "/v1/peers", "", "")
	if len(page.Peers) != 1 || page.Peers[0].Account != "ada" || page.Peers[0].SeenAt.IsZero() {
		t.Errorf("peers: got %+v", page.Peers)
	}
	var stats api.NetworkStats
	s.want(200, &stats, "GET", "/v1/stats?width=1s&limit=5", "", "")
	if stats.Peers != 1 || stats.Slots != 2 || stats.Running != 1 || stats.States[api.StateSucceeded] != 3 || stats.CPU.String() != "1.5s" || len(stats.Buckets) != 5 {
		t.Errorf("stats: got %+v", stats)
	}
	metrics := s.do("GET", "/metrics", "", "")
	for _, want := range []string{"burrow_peers 1", `burrow_jobs_ended_total{state="succeeded"} 3`, "burrow_job_cpu_seconds_total 1.5"} {
		if !strings.Contains(metrics.body, "\n"+want+"\n") {
			t.Errorf("metrics: no line %s", want)
		}
	}
	s.want(204, nil, "DELETE", "/v1/peers/"+id, token, "")
	s.want(200, &page, "GET", "/v1/peers", "", "")
	if len(page.Peers) != 0 {
		t.Errorf("peers after leaving: got %+v", page.Peers)
	}
	if got := s.do("GET", "/v1/peers", "", ""); got.body != "{\"peers\":[]}\n" {
		t.Errorf("no peers: got %s", got.body)
	}
	s.want(204, nil, "DELETE", "/v1/sessions", token, "")
	s.want(401, nil, "POST", "/v1/peers", token, peer)
}

// Ensure that everything wrong gets a problem with a stable code.
func TestBadRequests(t *testing.T) {
	t.Parallel()
	s := serve(t)
	token := s.login()
	s.want(201, nil, "POST", "/v1/accounts", "", strings.Replace(ada, "ada", "eve", 1))
	var eve api.Session
	s.want(201, &eve, "POST", "/v1/sessions", "", strings.Replace(ada, "ada", "eve", 1))
	s.want(201, nil, "POST", "/v1/peers", token, peer)
	for _, c := range []struct {
		name, method, path, token, body string
		status                          int
		code, field                     string
	}{
		{"malformed JSON", "POST", "/v1/accounts", "", `{"user":`, 400, "invalid", "body"},
		{"no JSON object", "POST", "/v1/accounts", "", `[]`, 400, "invalid", "body"},
		{"trailing data", "POST", "/v1/accounts", "", ada + "{}", 400, "invalid", "body"},
		{"unknown field", "POST", "/v1/accounts", "", `{"user":"bob","password":"correct horse","admin":true}`, 400, "invalid", "admin"},
		{"wrong type", "POST", "/v1/sessions", "", `{"user":7,"password":"correct horse"}`, 400, "invalid", "user"},
		{"bad user name", "POST", "/v1/accounts", "", `{"user":"A B","password":"correct horse"}`, 400, "invalid", "user"},
		{"short password", "POST", "/v1/accounts", "", `{"user":"bob","password":"x"}`, 400, "invalid", "password"},
		{"huge body", "POST", "/v1/sessions", "", `{"user":"` + strings.Repeat("a", 1<<20) + `"}`, 413, "too_large", ""},
		{"huge heartbeat", "POST", "/v1/peers", token, `{"peer":{"name":"` + strings.Repeat("a", 1<<20) + `"}}`, 413, "too_large", ""},
		{"no body", "POST", "/v1/accounts", "", "", 415, "unsupported_media_type", ""},
		{"taken name", "POST", "/v1/accounts", "", ada, 409, "conflict", ""},
		{"wrong password", "POST", "/v1/sessions", "", `{"user":"ada","password":"wrong horse"}`, 401, "unauthorized", ""},
		{"unknown user", "POST", "/v1/sessions", "", `{"user":"nobody","password":"wrong horse"}`, 401, "unauthorized", ""},
		{"no token", "POST", "/v1/peers", "", peer, 401, "unauthorized", ""},
		{"wrong token", "PUT", "/v1/peers/" + id, "nonsense", peer, 401, "unauthorized", ""},
		{"log out without a token", "DELETE", "/v1/sessions", "", "", 401, "unauthorized", ""},
		{"leave without a token", "DELETE", "/v1/peers/" + id, "", "", 401, "unauthorized", ""},
		{"foreign heartbeat", "PUT", "/v1/peers/" + id, eve.Token, peer, 403, "forbidden", ""},
		{"foreign leave", "DELETE", "/v1/peers/" + id, eve.Token, "", 403, "forbidden", ""},
		{"unknown peer", "PUT", "/v1/peers/" + strings.Replace(id, "1", "2", 1), token, strings.Replace(peer, id, strings.Replace(id, "1", "2", 1), 1), 404, "not_found", ""},
		{"other id in the body", "PUT", "/v1/peers/other", token, peer, 400, "invalid", "peer.id"},
		{"taken peer name", "POST", "/v1/peers", eve.Token, strings.Replace(peer, id, strings.Replace(id, "1", "2", 1), 1), 409, "conflict", ""},
		{"negative duration", "POST", "/v1/peers", token, `{"peer":{},"stats":{"boot":"b","cpu":-1}}`, 400, "invalid", "stats.cpu"},
		{"unknown state", "PUT", "/v1/peers/" + id, token, strings.Replace(peer, "succeeded", "exploded", 1), 400, "invalid", "stats.states"},
		{"unknown width", "GET", "/v1/stats?width=2m", "", "", 400, "invalid", "width"},
		{"limit too large", "GET", "/v1/stats?width=1s&limit=9999", "", "", 400, "invalid", "limit"},
		{"limit of 0", "GET", "/v1/stats?limit=0", "", "", 400, "invalid", "limit"},
		{"unknown parameter", "GET", "/v1/stats?last=5", "", "", 400, "invalid", "last"},
		{"unknown route", "GET", "/v2/peers", "", "", 404, "not_found", ""},
		{"path that is not clean", "POST", "//v1//peers", token, peer, 404, "not_found", ""},
		{"unknown method", "PATCH", "/v1/peers", token, "", 405, "method_not_allowed", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := server{t, s.url}.do(c.method, c.path, c.token, c.body)
			var p api.Problem
			err := json.Unmarshal([]byte(got.body), &p)
			if err != nil || got.StatusCode != c.status || p.Status != c.status || p.Code != c.code || p.Field != c.field || p.Detail == "" {
				t.Errorf("got %d %s, want %d %s %s", got.StatusCode, got.body, c.status, c.code, c.field)
			}
			if media := got.Header.Get("Content-Type"); media != api.ProblemType {
				t.Errorf("content type: got %s", media)
			}
		})
	}
}

func TestRateLimitSaysWhen(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for range 10 {
		s.want(401, nil, "POST", "/v1/sessions", "", ada)
	}
	got := s.do("POST", "/v1/sessions", "", ada)
	if after := got.Header.Get("Retry-After"); got.StatusCode != 429 || after == "" || after == "0" {
		t.Errorf("got %d with Retry-After %q, want 429 with seconds", got.StatusCode, after)
	}
}
