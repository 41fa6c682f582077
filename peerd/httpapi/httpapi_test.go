package httpapi

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/mux"
	"github.com/rs/zerolog"

	"burrow/api"
	"burrow/api/openapi"
	"burrow/internal/kv/badgerkv"
	"burrow/peerd/queue"
)

const token = "0123456789abcdef"

type fixture struct {
	t   *testing.T
	q   *queue.Queue
	srv *httptest.Server
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	db, err := badgerkv.OpenMemory()
	if err != nil {
		t.Fatal(err)
	}
	q, err := queue.Open(t.Context(), db, queue.Config{Peer: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{t: t, q: q}
	f.srv = httptest.NewServer(New(f.config()))
	t.Cleanup(func() {
		f.srv.Close()
		q.Close()
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func (f *fixture) config() Config {
	return Config{
		Queue: f.q, Token: token, Log: zerolog.Nop(),
		Status: func(context.Context) api.PeerStatus {
			return api.PeerStatus{Peer: api.Peer{Name: "alice", Slots: 2}, Executor: "ready", Totals: f.q.Totals()}
		},
		Ready: func(context.Context) error { return nil },
	}
}

// do sends a request with the token and returns the answer and its body.
func (f *fixture) do(method, path, contentType, body string) (*http.Response, string) {
	f.t.Helper()
	req, err := http.NewRequestWithContext(f.t.Context(), method, f.srv.URL+path, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	return f.send(req)
}

func (f *fixture) send(req *http.Request) (*http.Response, string) {
	f.t.Helper()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		f.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return resp, string(data)
}

func (f *fixture) submit(source string) api.Job {
	f.t.Helper()
	resp, body := f.do("POST", "/v1/jobs", "text/x-python", source)
	if resp.StatusCode != http.StatusCreated {
		f.t.Fatalf("submit = %d %s", resp.StatusCode, body)
	}
	return f.job(body)
}

func (f *fixture) job(body string) api.Job {
	f.t.Helper()
	var job api.Job
	if err := json.Unmarshal([]byte(body), &job); err != nil {
		f.t.Fatalf("%v in %s", err, body)
	}
	return job
}

func (f *fixture) lease() queue.Lease {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), 10*time.Second)
	defer cancel()
	l, err := f.q.Lease(ctx)
	if err != nil {
		f.t.Fatal(err)
	}
	return l
}

// Ensure that the router and the contract have the same operations.
func TestRoutesMatchContract(t *testing.T) {
	t.Parallel()
	doc, err := openapi3.NewLoader().LoadFromData(openapi.Peer)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			want = append(want, method+" "+path)
		}
	}
	f := newFixture(t)
	err = newRouter(f.config()).Walk(func(r *mux.Route, _ *mux.Router, _ []*mux.Route) error {
		path, err := r.GetPathTemplate()
		if err != nil {
			return err
		}
		methods, err := r.GetMethods()
		for _, m := range methods {
			got = append(got, m+" "+path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("contract (-) and router (+) differ:\n%s", diff)
	}
}

// Ensure that nothing runs and nothing is told without the token.
func TestEveryCallNeedsTheToken(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, route := range []string{"POST /v1/jobs", "GET /v1/jobs", "GET /v1/jobs/x", "GET /v1/jobs/x/output", "POST /v1/jobs/x/cancel", "GET /v1/status", "GET /v1/peers", "GET /metrics"} {
		method, path, _ := strings.Cut(route, " ")
		for _, auth := range []string{"", "Bearer", "Bearer wrong", "Basic " + token, "Bearer " + token + "x"} {
			req, err := http.NewRequestWithContext(t.Context(), method, f.srv.URL+path, strings.NewReader("print(1)"))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", auth)
			if resp, body := f.send(req); resp.StatusCode != http.StatusUnauthorized {
				t.Errorf("%s with %q = %d %s", route, auth, resp.StatusCode, body)
			}
		}
	}
	if n := f.q.Counts().Queued; n != 0 {
		t.Errorf("%d jobs were queued without a token", n)
	}
}

// Ensure that bad input is named, with its status, and leaves no job behind.
func TestBadInput(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	big := strings.Repeat("#", 8<<20+1)
	const js, py = "application/json", "text/x-python"
	for _, c := range []struct {
		name, route, contentType, body string
		status                         int
		code, field                    string
	}{
		{"malformed JSON", "POST /v1/jobs", js, `{"source":`, 400, "invalid", "body"},
		{"unknown field", "POST /v1/jobs", js, `{"source":"x","sauce":1}`, 400, "invalid", "sauce"},
		{"wrong type", "POST /v1/jobs", js, `{"source":7}`, 400, "invalid", "source"},
		{"negative limit", "POST /v1/jobs", js, `{"source":"x","limits":{"wall":"-5s"}}`, 400, "invalid", "limits.wall"},
		{"absurd limit", "POST /v1/jobs", js, `{"source":"x","limits":{"memory":"9999TiB"}}`, 400, "invalid", "limits.memory"},
		{"limit that is no size", "POST /v1/jobs", js, `{"source":"x","limits":{"memory":"much"}}`, 400, "invalid", "limits.memory"},
		{"negative processes", "POST /v1/jobs", js, `{"source":"x","limits":{"processes":-1}}`, 400, "invalid", "limits.processes"},
		{"retries out of range", "POST /v1/jobs", js, `{"source":"x","retries":99}`, 400, "invalid", "retries"},
		{"unknown runtime", "POST /v1/jobs", js, `{"source":"x","runtime":"pypy"}`, 400, "invalid", "runtime"},
		{"no source", "POST /v1/jobs", js, `{}`, 400, "invalid", "source"},
		{"NUL in source", "POST /v1/jobs", js, `{"source":"a\u0000b"}`, 400, "invalid", "source"},
		{"NUL in bare source", "POST /v1/jobs", py, "a\x00b", 400, "invalid", "source"},
		{"source is not UTF-8", "POST /v1/jobs", py, "print('\xff')", 400, "invalid", "source"},
		{"empty bare source", "POST /v1/jobs", py, " \n", 400, "invalid", "source"},
		{"body too large", "POST /v1/jobs", py, big, 413, "too_large", ""},
		{"JSON body too large", "POST /v1/jobs", js, `{"source":"` + big + `"}`, 413, "too_large", ""},
		{"source too large", "POST /v1/jobs", py, big[:2<<20], 413, "too_large", ""},
		{"unknown media type", "POST /v1/jobs", "image/png", "x", 415, "unsupported_media_type", ""},
		{"multipart", "POST /v1/jobs", "multipart/form-data; boundary=x", "x", 415, "unsupported_media_type", ""},
		{"JSON spec sent as source", "POST /v1/jobs", "application/x-www-form-urlencoded", `{"source":"print(1)"}`, 415, "unsupported_media_type", ""},
		{"unknown parameter", "POST /v1/jobs?walls=3s", py, "x", 400, "invalid", "walls"},
		{"bad parameter", "POST /v1/jobs?wall=soon", py, "x", 400, "invalid", "wall"},
		{"negative parameter", "POST /v1/jobs?memory=-1MiB", py, "x", 400, "invalid", "memory"},
		{"parameter twice", "POST /v1/jobs?wall=1s&wall=2s", py, "x", 400, "invalid", "wall"},
		{"env without =", "POST /v1/jobs?env=A", py, "x", 400, "invalid", "env"},
		{"bad wait", "POST /v1/jobs?wait=long", py, "x", 400, "invalid", "wait"},
		{"wait too long", "POST /v1/jobs?wait=2h", py, "x", 400, "invalid", "wait"},
		{"parameter beside JSON", "POST /v1/jobs?wall=3s", js, `{"source":"x"}`, 400, "invalid", "wall"},
		{"unknown job", "GET /v1/jobs/jnone", "", "", 404, "not_found", ""},
		{"output of an unknown job", "GET /v1/jobs/jnone/output?follow=1", "", "", 404, "not_found", ""},
		{"waiting for an unknown job", "GET /v1/jobs/jnone?wait=1s", "", "", 404, "not_found", ""},
		{"cancel of an unknown job", "POST /v1/jobs/jnone/cancel", "", "", 404, "not_found", ""},
		{"bad stream", "GET /v1/jobs/x/output?stream=log", "", "", 400, "invalid", "stream"},
		{"bad follow", "GET /v1/jobs/x/output?follow=yes", "", "", 400, "invalid", "follow"},
		{"bad state", "GET /v1/jobs?state=done", "", "", 400, "invalid", "state"},
		{"bad state with a good limit", "GET /v1/jobs?state=done&limit=5", "", "", 400, "invalid", "state"},
		{"bad limit", "GET /v1/jobs?limit=0", "", "", 400, "invalid", "limit"},
		{"bad cursor", "GET /v1/jobs?cursor=%00", "", "", 400, "invalid", "cursor"},
		{"unknown route", "GET /v1/nothing", "", "", 404, "not_found", ""},
		{"wrong method", "DELETE /v1/jobs", "", "", 405, "method_not_allowed", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			method, path, _ := strings.Cut(c.route, " ")
			resp, body := f.do(method, path, c.contentType, c.body)
			var p api.Problem
			if err := json.Unmarshal([]byte(body), &p); err != nil {
				t.Fatalf("%d %s: %v", resp.StatusCode, body, err)
			}
			if resp.StatusCode != c.status || p.Status != c.status || p.Code != c.code || p.Field != c.field || p.Detail == "" {
				t.Errorf("got %d %+v, want %d %s field %q", resp.StatusCode, p, c.status, c.code, c.field)
			}
			if got := resp.Header.Get("Content-Type"); !strings.HasPrefix(got, api.ProblemType) {
				t.Errorf("Content-Type = %q", got)
			}
		})
	}
	if n := f.q.Counts().Queued; n != 0 {
		t.Errorf("%d jobs were queued by bad requests", n)
	}
}

// Ensure that ?wait= answers with the output when the job has ended, and with
// 202 when it has not.
func TestWait(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ended := make(chan error, 1)
	go func() {
		l := f.lease()
		ended <- f.q.Finish(f.t.Context(), l, api.Outcome{State: api.StateSucceeded}, []queue.Chunk{
			{Stream: api.Stdout, Data: []byte("out\xff\n")}, {Stream: api.Stderr, Data: []byte("err\n")},
		})
	}()
	resp, body := f.do("POST", "/v1/jobs?wait=30s&name=a.py&arg=x&arg=y&wall=5s&env=A=b", "application/x-www-form-urlencoded", "print(1)")
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	job := f.job(body)
	if resp.StatusCode != http.StatusOK || job.State != api.StateSucceeded || job.Stdout != "out\ufffd\n" || job.Stderr != "err\n" {
		t.Errorf("got %d %s", resp.StatusCode, body)
	}
	_, body = f.do("GET", "/v1/jobs/"+job.ID, "", "")
	if spec := f.job(body).Spec; spec.Name != "a.py" || !slices.Equal(spec.Args, []string{"x", "y"}) || spec.Limits.Wall.Std() != 5*time.Second || spec.Env["A"] != "b" {
		t.Errorf("spec = %+v", spec)
	}
	resp, body = f.do("POST", "/v1/jobs?wait=1ms", "", "print(1)")
	if job := f.job(body); resp.StatusCode != http.StatusAccepted || job.State != api.StateQueued || !strings.Contains(job.Reason, "next in line") {
		t.Errorf("got %d %s", resp.StatusCode, body)
	}
}

// Ensure that an answer carries a bounded part of a large output, and that the
// output resource has all of it.
func TestLargeOutputIsCutInAnswers(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	job := f.submit("x")
	l := f.lease()
	piece := bytes.Repeat([]byte("0123456789abcde\n"), queue.MaxChunk/16)
	for range 48 {
		if err := f.q.Append(t.Context(), l, []queue.Chunk{{Stream: api.Stdout, Data: piece}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.q.Finish(t.Context(), l, api.Outcome{State: api.StateSucceeded}, nil); err != nil {
		t.Fatal(err)
	}
	_, body := f.do("GET", "/v1/jobs/"+job.ID, "", "")
	if got := f.job(body); len(got.Stdout) != api.MaxInlineOutput || !got.OutputTruncated {
		t.Errorf("the answer has %d bytes of stdout, truncated %v", len(got.Stdout), got.OutputTruncated)
	}
	if _, body := f.do("GET", "/v1/jobs/"+job.ID+"/output", "", ""); body != strings.Repeat(string(piece), 48) {
		t.Errorf("the output has %d bytes, want %d", len(body), 48*len(piece))
	}
}

func TestIdempotencyKeyHeader(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var first string
	for i, c := range []struct {
		source string
		status int
	}{{"x", 201}, {"x", 200}, {"y", 409}} {
		req, err := http.NewRequestWithContext(t.Context(), "POST", f.srv.URL+"/v1/jobs", strings.NewReader(c.source))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Idempotency-Key", "k")
		resp, body := f.send(req)
		if resp.StatusCode != c.status {
			t.Fatalf("call %d = %d %s, want %d", i, resp.StatusCode, body, c.status)
		}
		if loc := resp.Header.Get("Location"); i == 0 {
			first = loc
		} else if i == 1 && loc != first {
			t.Errorf("the second call made %s, the first %s", loc, first)
		}
	}
}

// Ensure that a follower sees output while the job runs, both streams apart,
// and the final state last.
func TestFollow(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	job := f.submit("x")
	l := f.lease()
	req, err := http.NewRequestWithContext(t.Context(), "GET", f.srv.URL+"/v1/jobs/"+job.ID+"/output?follow=1", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Accept", "application/x-ndjson")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	next := func() (fr api.OutputFrame) {
		t.Helper()
		if !lines.Scan() {
			t.Fatalf("the stream ended: %v", lines.Err())
		}
		if err := json.Unmarshal(lines.Bytes(), &fr); err != nil {
			t.Fatal(err)
		}
		return fr
	}
	for _, s := range []api.Stream{api.Stdout, api.Stderr} {
		if err := f.q.Append(t.Context(), l, []queue.Chunk{{Stream: s, Data: []byte(s)}}); err != nil {
			t.Fatal(err)
		}
		// Nothing else is written until this frame has arrived.
		if fr := next(); fr.Stream != s || string(fr.Data) != string(s) || fr.Attempt != 1 {
			t.Errorf("frame = %+v", fr)
		}
	}
	if err := f.q.Finish(t.Context(), l, api.Outcome{State: api.StateFailed, ExitCode: 1}, nil); err != nil {
		t.Fatal(err)
	}
	if fr := next(); fr.State != api.StateFailed {
		t.Errorf("last frame = %+v", fr)
	}
	if lines.Scan() {
		t.Errorf("more after the last frame: %s", lines.Text())
	}
	for stream, want := range map[string]string{"stdout": "stdout", "stderr": "stderr", "both": "stdoutstderr"} {
		if _, body := f.do("GET", "/v1/jobs/"+job.ID+"/output?stream="+stream, "", ""); body != want {
			t.Errorf("stream %s = %q, want %q", stream, body, want)
		}
	}
}

func TestCancelAndList(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	job := f.submit("x")
	if resp, body := f.do("POST", "/v1/jobs/"+job.ID+"/cancel", "", ""); resp.StatusCode != 200 || f.job(body).State != api.StateCancelled {
		t.Errorf("cancel = %d %s", resp.StatusCode, body)
	}
	if resp, body := f.do("POST", "/v1/jobs/"+job.ID+"/cancel", "", ""); resp.StatusCode != 409 {
		t.Errorf("second cancel = %d %s", resp.StatusCode, body)
	}
	for state, want := range map[string]int{"": 1, "cancelled": 1, "queued": 0} {
		_, body := f.do("GET", "/v1/jobs?state="+state, "", "")
		var page api.JobPage
		if err := json.Unmarshal([]byte(body), &page); err != nil || len(page.Jobs) != want || page.Jobs == nil {
			t.Errorf("state %q: %s, %v", state, body, err)
		}
	}
	if _, body := f.do("GET", "/metrics", "", ""); !strings.Contains(body, `burrow_jobs_ended_total{state="cancelled"} 1`) {
		t.Errorf("metrics lack the cancelled job:\n%s", body)
	}
}

func TestStreamsAreBounded(t *testing.T) {
	t.Parallel()
	s := &server{streams: make(chan struct{}, 1)}
	release, err := s.stream()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.stream(); err == nil {
		t.Error("a second stream got a place")
	}
	release()
	if _, err := s.stream(); err != nil {
		t.Error(err)
	}
}

// FuzzSubmit posts foreign bytes in every form: never a 5xx, never a panic,
// and whatever is accepted is a valid spec.
func FuzzSubmit(f *testing.F) {
	f.Add("application/json", "", []byte(`{"source":"print(1)","limits":{"wall":"5s","memory":"64MiB"},"args":["a"],"env":{"A":"b"}}`))
	f.Add("application/json", "wait=1ms", []byte(`{"source":"x","limits":null,"retries":null}`))
	f.Add("text/x-python", "wall=1e400&memory=0x10&cpu=NaN&arg=%ff", []byte("print(1)"))
	f.Add("", "env=A=b&label=c=d&retries=-1&processes=9999999999999999999", []byte("\xff\x00"))
	db, err := badgerkv.OpenMemory()
	if err != nil {
		f.Fatal(err)
	}
	q, err := queue.Open(context.Background(), db, queue.Config{Peer: "alice", MaxQueued: 1 << 30})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(q.Close)
	fx := &fixture{q: q}
	h := newRouter(fx.config())
	f.Fuzz(func(t *testing.T, contentType, query string, body []byte) {
		req := httptest.NewRequestWithContext(t.Context(), "POST", "/v1/jobs", bytes.NewReader(body))
		req.URL.RawQuery = query
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header["Content-Type"] = []string{contentType}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond) // bounds ?wait=
		defer cancel()
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req.WithContext(ctx))
		if w.Code >= 500 || w.Code < 200 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		if w.Code < 300 {
			id := strings.TrimPrefix(w.Header().Get("Location"), "/v1/jobs/")
			spec, err := q.Spec(context.Background(), id)
			if err == nil {
				err = spec.Validate()
			}
			if err != nil {
				t.Fatalf("accepted job %s: %v", id, err)
			}
			if _, err := q.Cancel(context.Background(), id); err != nil {
				t.Fatal(fmt.Errorf("cancel: %w", err))
			}
		}
	})
}
