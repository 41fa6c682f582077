package e2e

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"burrow/api"
)

// do sends one HTTP request with the peer's token, as curl would, and returns
// status and body.
func (p *Peer) do(t *testing.T, method, path, contentType, body string) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+p.Address()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+p.file("token"))
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: read the answer: %v", method, path, err)
	}
	return resp.StatusCode, resp.Header, string(data)
}

func TestCurlRunsAProgram(t *testing.T) {
	t.Parallel()
	p := StartPeer(t, "solo", "--slots", "2")

	// What `curl --data-binary @hello.py URL` sends.
	const form = "application/x-www-form-urlencoded"
	source := "import sys\nprint('hello', sys.argv[1])\nprint('to you', file=sys.stderr)\n"
	for _, contentType := range []string{form, "text/x-python"} {
		status, header, body := p.do(t, "POST", "/v1/jobs?wait=30s&name=hello.py&arg=Ada", contentType, source)
		if status != http.StatusOK {
			t.Fatalf("%s: status %d, body %s; want 200", contentType, status, body)
		}
		for _, want := range []string{`"succeeded"`, `"hello Ada\n"`, `"to you\n"`, `"hello.py"`} {
			if !strings.Contains(body, want) {
				t.Errorf("%s: the answer lacks %s: %s", contentType, want, body)
			}
		}
		if got := header.Get("Content-Type"); !strings.HasPrefix(got, "application/json") {
			t.Errorf("Content-Type = %q; want application/json", got)
		}
	}

	status, header, body := p.do(t, "POST", "/v1/jobs", "application/json", `{"source": "print(1)"}`)
	if status != http.StatusCreated || !strings.HasPrefix(header.Get("Location"), "/v1/jobs/") {
		t.Errorf("without wait: status %d, Location %q, body %s; want 201 and the job's place", status, header.Get("Location"), body)
	}
}

func TestOnlyTheTokenOpensThePeer(t *testing.T) {
	t.Parallel()
	p := StartPeer(t, "solo")
	for _, header := range []string{"", "Bearer", "Bearer wrong", "Basic d3Jvbmc6d3Jvbmc="} {
		req, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+p.Address()+"/v1/jobs?wait=1s", strings.NewReader("print(1)"))
		if err != nil {
			t.Fatal(err)
		}
		if header != "" {
			req.Header.Set("Authorization", header)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("Authorization %q: status %d; want 401", header, resp.StatusCode)
		}
	}
	if page, err := p.Jobs(t.Context(), jobFilter("", "")); err != nil || len(page.Jobs) != 0 {
		t.Errorf("jobs after refused posts: %d, %v; want none", len(page.Jobs), err)
	}
}

func TestOutputArrivesWhileTheJobRuns(t *testing.T) {
	t.Parallel()
	p := StartPeer(t, "solo")
	job, err := p.Submit(t.Context(), api.JobSpec{
		Source: "import sys, time\nprint('first')\nprint('aside', file=sys.stderr)\ntime.sleep(45)\nprint('last')\n",
	}, "")
	if err != nil {
		t.Fatal(err)
	}

	// The program waits until it is cancelled, and it is cancelled only when
	// both lines are here: they cannot have come after its end.
	out := map[api.Stream]string{}
	var last api.OutputFrame
	cancelled := false
	err = p.Output(t.Context(), job.ID, true, func(f api.OutputFrame) error {
		out[f.Stream] += string(f.Data)
		last = f
		if !cancelled && out[api.Stdout] != "" && out[api.Stderr] != "" {
			cancelled = true
			now, err := p.Job(t.Context(), job.ID)
			if err == nil && now.State != api.StateRunning {
				err = fmt.Errorf("job is %s with its output here; want running", now.State)
			}
			if err == nil {
				_, err = p.Cancel(t.Context(), job.ID)
			}
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatalf("follow the output: %v", err)
	}
	if out[api.Stdout] != "first\n" || out[api.Stderr] != "aside\n" {
		t.Errorf("stdout %q, stderr %q; want %q and %q", out[api.Stdout], out[api.Stderr], "first\n", "aside\n")
	}
	if last.State != api.StateCancelled {
		t.Errorf("last frame %+v; want the state cancelled", last)
	}
	for stream, want := range map[string]string{"stdout": "first\n", "stderr": "aside\n"} {
		if status, _, body := p.do(t, "GET", "/v1/jobs/"+job.ID+"/output?stream="+stream, "", ""); status != 200 || body != want {
			t.Errorf("output?stream=%s: status %d, %q; want 200, %q", stream, status, body, want)
		}
	}
	if _, err := p.Cancel(t.Context(), job.ID); !errors.Is(err, api.ErrConflict) {
		t.Errorf("cancel a cancelled job: %v; want a conflict", err)
	}
	p.AwaitNoChildren()
}

func TestHostileProgramsEndAndTheNextJobRuns(t *testing.T) {
	t.Parallel()
	p := StartPeer(t, "solo", "--slots", "2")
	for _, c := range []struct {
		name, source string
		limits       api.Limits
		states       []api.JobState
		limit        string
	}{
		{
			name: "an endless loop meets the wall limit", source: "print('begun')\nwhile True:\n    pass\n",
			limits: api.Limits{Wall: api.Duration(time.Second)},
			states: []api.JobState{api.StateTimedOut}, limit: api.LimitWall,
		},
		{
			name: "an endless loop meets the CPU limit", source: "while True:\n    pass\n",
			limits: api.Limits{Wall: api.Duration(20 * time.Second), CPU: api.Duration(time.Second)},
			states: []api.JobState{api.StateTimedOut}, limit: api.LimitCPU,
		},
		{
			name: "a sleeper meets the wall limit", source: "import time\ntime.sleep(50)\n",
			limits: api.Limits{Wall: api.Duration(500 * time.Millisecond)},
			states: []api.JobState{api.StateTimedOut}, limit: api.LimitWall,
		},
		{
			name: "a hoarder meets the memory limit", source: "a = []\nwhile True:\n    a.append('x' * 1000000)\n",
			limits: api.Limits{Memory: 64 * api.MiB},
			states: []api.JobState{api.StateKilled}, limit: api.LimitMemory,
		},
		{
			name: "one huge string meets the memory limit", source: "a = 'x' * 10000000000\nprint(len(a))\n",
			limits: api.Limits{Memory: 64 * api.MiB},
			states: []api.JobState{api.StateKilled}, limit: api.LimitMemory,
		},
		{
			name: "a flood meets the output limit", source: "while True:\n    print('x' * 1000)\n",
			limits: api.Limits{Output: 64 * api.KiB},
			states: []api.JobState{api.StateKilled}, limit: api.LimitOutput,
		},
		{
			name: "endless recursion ends", source: "def f(n):\n    return f(n + 1)\nf(0)\n",
			states: []api.JobState{api.StateFailed, api.StateKilled, api.StateUnsupported},
		},
		{
			name: "an uncaught error fails", source: "print(1 // 0)\n",
			states: []api.JobState{api.StateFailed},
		},
		{
			name: "no Python at all fails", source: "this is ) not python\n",
			states: []api.JobState{api.StateFailed, api.StateUnsupported},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			job := p.Run(t, api.JobSpec{Source: c.source, Limits: c.limits, Name: "hostile.py"})
			ok := false
			for _, s := range c.states {
				ok = ok || job.State == s
			}
			if !ok || job.Outcome == nil || job.Outcome.State != job.State {
				t.Fatalf("job is %s, outcome %+v; want one of %v", job.State, job.Outcome, c.states)
			}
			if job.Outcome.Limit != c.limit {
				t.Errorf("ended by the limit %q (%s); want %q", job.Outcome.Limit, job.Outcome.Message, c.limit)
			}
			if len(job.Attempts) != 1 {
				t.Errorf("%d attempts %+v; want 1, for a program's own failure is final", len(job.Attempts), job.Attempts)
			}
			if c.limit == api.LimitOutput && int64(len(job.Stdout)) > int64(c.limits.Output) {
				t.Errorf("%d bytes of output kept; the limit is %v", len(job.Stdout), c.limits.Output)
			}
			p.AwaitNoChildren()

			next := p.Run(t, api.JobSpec{Source: "print('still here')"})
			if next.State != api.StateSucceeded || next.Stdout != "still here\n" {
				t.Errorf("the next job is %s with %q; want it to succeed", next.State, next.Stdout)
			}
		})
	}
}

func TestASecondPostWithTheSameKeyIsTheFirstJob(t *testing.T) {
	t.Parallel()
	p := StartPeer(t, "solo")
	first, err := p.Submit(t.Context(), api.JobSpec{Source: "print(1)"}, "key-1")
	if err != nil {
		t.Fatal(err)
	}
	second, err := p.Submit(t.Context(), api.JobSpec{Source: "print(1)"}, "key-1")
	if err != nil || second.ID != first.ID {
		t.Errorf("second post: job %q, %v; want %q", second.ID, err, first.ID)
	}
}

func TestTheCommandLineRunsAProgram(t *testing.T) {
	t.Parallel()
	p := StartPeer(t, "solo")
	run := func(wantCode int, args ...string) string {
		t.Helper()
		code, stdout, stderr := command(t, Program(t, "peerd"), "", args...)
		if code != wantCode {
			t.Fatalf("peerd %q: exit code %d, stdout %q, stderr %q; want %d", args, code, stdout, stderr, wantCode)
		}
		return stdout
	}
	file := write(t, "args.py", "import sys\nprint(sys.argv[1:])\nprint('aside', file=sys.stderr)\n")
	if got := run(0, "run", "--data", p.Data, file, "a", "--b", "c d"); got != "['a', '--b', 'c d']\n" {
		t.Errorf("run printed %q; want the program's own output and nothing else", got)
	}
	run(3, "run", "--data", p.Data, write(t, "exit.py", "import sys\nsys.exit(3)\n"))
	run(124, "run", "--data", p.Data, "--wall", "1s", write(t, "loop.py", "while True:\n    pass\n"))
	run(137, "run", "--data", p.Data, "--output", "1KiB", write(t, "flood.py", "while True:\n    print('x')\n"))
	run(125, "run", "--data", p.Data, "no-such-file.py")
	run(125, "run", "--peer", "http://"+unusedAddress(t), "--token-file", p.Data+"/token", file)

	code, stdout, _ := command(t, Program(t, "peerd"), "print(6 * 7)\n", "run", "--data", p.Data, "-")
	if code != 0 || stdout != "42\n" {
		t.Errorf("run - : exit code %d, %q; want 0 and 42", code, stdout)
	}
	for _, args := range [][]string{{"jobs"}, {"status"}, {"peers"}, {"jobs", "--json"}, {"status", "--json"}} {
		if got := run(0, append(args, "--data", p.Data)...); args[0] != "peers" && strings.TrimSpace(got) == "" {
			t.Errorf("peerd %q prints nothing", args)
		}
	}
	page, err := p.Jobs(t.Context(), jobFilter(api.StateSucceeded, ""))
	if err != nil || len(page.Jobs) == 0 {
		t.Fatalf("list the jobs: %d, %v", len(page.Jobs), err)
	}
	id := page.Jobs[len(page.Jobs)-1].ID // the oldest is the first one above
	if got := run(0, "logs", "--data", p.Data, id); got != "['a', '--b', 'c d']\n" {
		t.Errorf("logs printed %q", got)
	}
	if got := run(0, "show", "--data", p.Data, id); !strings.Contains(got, id) || !strings.Contains(got, "succeeded") {
		t.Errorf("show printed %q; want id and state", got)
	}
}

func TestThePeerDescribesItself(t *testing.T) {
	t.Parallel()
	p := StartPeer(t, "solo")
	for path, want := range map[string]string{
		"/healthz": "", "/readyz": "", "/openapi.yaml": "openapi:", "/metrics": "burrow_",
		"/v1/status": `"executor"`, "/v1/peers": `"solo"`, "/v1/jobs?limit=1": `"jobs"`,
	} {
		if status, _, body := p.do(t, "GET", path, "", ""); status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("GET %s: status %d, body %.200q; want 200 with %q", path, status, body, want)
		}
	}
	status, header, body := p.do(t, "GET", "/v1/jobs/"+url.PathEscape("no such job"), "", "")
	if status != http.StatusNotFound || header.Get("Content-Type") != api.ProblemType || !strings.Contains(body, `"not_found"`) {
		t.Errorf("unknown job: status %d, %s, %s; want a problem with 404", status, header.Get("Content-Type"), body)
	}
}
