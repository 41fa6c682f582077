package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"burrow/api"
)

// fuzzRequest is one generated request. Its Want is 2xx for a valid one and
// "refused" for one that must be answered with a problem of status 4xx.
type fuzzRequest struct {
	Method, Path, ContentType, Body string
	Header                          map[string]string
	NoToken                         bool
	Valid                           bool
	Raw                             string // sent as it is over TCP instead of all the above
}

// Ensure that no request, however broken, makes the peer answer 5xx or die,
// and that valid ones among them are served.
func TestBrokenRequestsAreRefusedAndValidOnesServed(t *testing.T) {
	t.Parallel()
	seed := uint64(20261121)
	if s := os.Getenv("BURROW_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("BURROW_SEED: %v", err)
		}
		seed = n
	}
	t.Logf("seed %d; set BURROW_SEED to try another", seed)
	p := StartPeer(t, "solo", "--slots", "2")
	job := p.Run(t, api.JobSpec{Source: "print('here')"})

	const requests, senders = 1200, 4
	var wg sync.WaitGroup
	var mu sync.Mutex // guards the three below
	valid, refused, problems := 0, 0, map[string]int{}
	for sender := range uint64(senders) {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(seed, sender))
			for range requests / senders {
				r := generate(rng, job.ID)
				status, code, err := send(t, p, r)
				mu.Lock()
				switch {
				case err != nil:
					t.Errorf("%s: %v", r, err)
				case status >= 500 && (r.Raw == "" || status != http.StatusHTTPVersionNotSupported):
					t.Errorf("%s: status %d, code %s", r, status, code)
				case r.Valid && status >= 300:
					t.Errorf("%s: status %d, code %s; want it served", r, status, code)
				case !r.Valid && r.Raw == "" && (status < 400 || code == ""):
					t.Errorf("%s: status %d, code %q; want a problem", r, status, code)
				}
				if r.Valid {
					valid++
				} else {
					refused++
					problems[code]++
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	t.Logf("%d valid, %d broken; refused by code: %v", valid, refused, problems)
	if refused*5 < valid+refused {
		t.Errorf("only %d of %d requests were broken; want a fifth", refused, valid+refused)
	}
	if !p.Alive() {
		t.Fatalf("peerd has ended with exit code %d", p.ExitCode())
	}
	p.AwaitReady()
	if next := p.Run(t, api.JobSpec{Source: "print('there')"}); next.Stdout != "there\n" {
		t.Errorf("the job after the storm is %s with %q", next.State, next.Stdout)
	}
}

func (r fuzzRequest) String() string {
	if r.Raw != "" {
		return fmt.Sprintf("raw %.60q", r.Raw)
	}
	return fmt.Sprintf("%s %.80q %q %v %.80q", r.Method, r.Path, r.ContentType, r.Header, r.Body)
}

// send returns the status and, for a problem, its code.
func send(t *testing.T, p *Peer, r fuzzRequest) (int, string, error) {
	if r.Raw != "" {
		return sendRaw(p.Address(), r.Raw)
	}
	req, err := http.NewRequestWithContext(t.Context(), r.Method, "http://"+p.Address()+r.Path, strings.NewReader(r.Body))
	if err != nil {
		return 0, "", err
	}
	if !r.NoToken {
		req.Header.Set("Authorization", "Bearer "+p.file("token"))
	}
	if r.ContentType != "" {
		req.Header.Set("Content-Type", r.ContentType)
	}
	for k, v := range r.Header {
		if req.Header.Set(k, v); k == "Host" {
			req.Host = v
		}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, "", fmt.Errorf("read the answer: %w", err)
	}
	var problem api.Problem
	if resp.StatusCode >= 400 && resp.Header.Get("Content-Type") == api.ProblemType && json.Unmarshal(body, &problem) == nil {
		return resp.StatusCode, problem.Code, nil
	}
	return resp.StatusCode, "", nil
}

// sendRaw writes bytes that need not be HTTP. A closed connection is as good an
// answer as a refusal.
func sendRaw(address, raw string) (int, string, error) {
	conn, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = conn.Close() }() // it may be closed by the far side
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return 0, "", err
	}
	if _, err := io.WriteString(conn, raw); err != nil {
		return 0, "closed", nil
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.CloseWrite() // the far side may have closed first
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, "closed", nil
	}
	defer resp.Body.Close()
	return resp.StatusCode, "raw", nil
}

// generate returns a request; about six in ten are broken, each in one way.
func generate(rng *rand.Rand, id string) fuzzRequest {
	pick := func(from ...string) string { return from[rng.IntN(len(from))] }
	post := func(body string) fuzzRequest {
		return fuzzRequest{Method: "POST", Path: "/v1/jobs", ContentType: "application/json", Body: body}
	}
	spec := func(extra string) string { return `{"source": "print(1)"` + extra + `}` }
	switch rng.IntN(20) {
	case 0:
		r := post(spec(pick("", `, "name": "ü.py"`, `, "args": ["a", ""]`, `, "limits": {"wall": "5s", "memory": 67108864}`, `, "labels": {"k": "v"}`, `, "retries": 0`)))
		r.Valid = true
		return r
	case 1:
		return fuzzRequest{Method: "POST", Path: "/v1/jobs?arg=1&arg=&wall=5s&name=x.py", ContentType: pick("text/x-python", "application/x-www-form-urlencoded"), Body: "print(1)", Valid: true}
	case 2, 3:
		return fuzzRequest{Method: "GET", Path: pick("/v1/status", "/v1/peers", "/v1/jobs", "/v1/jobs?limit=3", "/v1/jobs?state=succeeded", "/healthz", "/metrics", "/openapi.yaml"), Valid: true}
	case 4, 5:
		return fuzzRequest{Method: "GET", Path: "/v1/jobs/" + id + pick("", "/output", "/output?stream=stdout", "/output?stream=both&follow=1"), Valid: true}
	case 6: // cut off anywhere
		whole := spec(`, "args": ["a"], "limits": {"wall": "5s"}`)
		return post(whole[:rng.IntN(len(whole))])
	case 7: // fields of the wrong kind
		return post(spec(pick(`, "args": "a"`, `, "args": [1]`, `, "env": []`, `, "limits": 3`, `, "retries": "two"`, `, "stdin": {}`, `, "name": 1`, `, "labels": [1]`, `, "retries": 1e99`)))
	case 8: // values out of range
		return post(spec(pick(`, "retries": -1`, `, "retries": 11`, `, "limits": {"memory": "1B"}`, `, "limits": {"memory": "-1"}`, `, "limits": {"wall": "25h"}`, `, "limits": {"wall": "soon"}`,
			`, "limits": {"output": "999TiB"}`, `, "limits": {"processes": -1}`, `, "limits": {"cpu": null}`, `, "runtime": "ruby"`, `, "name": "a\nb"`, `, "env": {"A=B": "c"}`, `, "args": ["a\u0000b"]`)))
	case 9: // no job in it
		return post(pick(``, `null`, `[]`, `"x"`, `3`, `{}`, `{"source": ""}`, `{"source": "  \n"}`, `{"source": null}`, `{"sauce": "print(1)"}`, `{"source": "print(1)"} {"source": "print(2)"}`, `{"source": "a\u0000"}`))
	case 10: // nested without end
		return post(strings.Repeat(pick(`[`, `{"source":`, `{"limits":`), 20000))
	case 11: // random bytes
		b := make([]byte, 1+rng.IntN(300))
		for i := range b {
			b[i] = byte(rng.IntN(256))
		}
		b[0] = 0xff // neither JSON nor UTF-8
		return fuzzRequest{Method: "POST", Path: "/v1/jobs", ContentType: pick("application/json", "text/x-python"), Body: string(b)}
	case 12: // too large
		return post(spec(`, "stdin": "` + strings.Repeat("x", (4<<20)+1+rng.IntN(1<<10)) + `"`))
	case 13:
		return fuzzRequest{Method: "POST", Path: "/v1/jobs", ContentType: pick("image/png", "multipart/form-data; boundary=x", "application/xml", ";;;"), Body: "print(1)"}
	case 14:
		return fuzzRequest{Method: "GET", Path: "/v1/jobs?" + pick("limit=0", "limit=-1", "limit=x", "limit=99999999999999999999", "state=sleeping", "cursor=%00", "cursor=nonsense")}
	case 15:
		return fuzzRequest{Method: pick("GET", "POST"), Path: "/v1/jobs/" + pick("none", "..%2f..%2fetc", "%00", strings.Repeat("a", 3000), "%ff%fe", id+"x") + pick("/output", "/cancel", "/nothing")}
	case 16:
		return fuzzRequest{Method: "GET", Path: "/v1/jobs/" + id + "/output?" + pick("stream=stdin", "stream=%00", "follow=perhaps")}
	case 17:
		r := fuzzRequest{Method: pick("PUT", "DELETE", "PATCH", "POST"), Path: pick("/v1/status", "/v1/jobs/"+id, "/healthz", "/v1/peers"), Body: "{}"}
		if rng.IntN(3) == 0 {
			r.Method, r.Path = "GET", pick("/v2/jobs", "/v1", "/v1/job", "/.git/config", "/v1/jobs/"+id+"/../../../etc/passwd", "/p2p/v1/claim")
		}
		return r
	case 18:
		r := fuzzRequest{Method: "GET", Path: "/v1/jobs", NoToken: rng.IntN(2) == 0}
		if !r.NoToken {
			r.Header = map[string]string{"Host": pick("evil.example", "evil.example:80", "127.0.0.1.evil.example")}
		}
		return r
	default:
		return fuzzRequest{Raw: pick("\r\n\r\n", "GET\r\n\r\n", "GET /healthz HTTP/9.9\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00", strings.Repeat("A", 100000),
			"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n", "POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999\r\n\r\nshort",
			"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
			"GET /v1/status HTTP/1.1\r\nHost: localhost\r\nX: "+strings.Repeat("y", 2<<20)+"\r\n\r\n")}
	}
}
