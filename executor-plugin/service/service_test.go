package service_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"burrow/api"
	"burrow/api/executor"
	"burrow/executor-plugin/interp"
	"burrow/executor-plugin/sandbox"
	"burrow/executor-plugin/service"
)

// plugin is the real binary, built once and without the race detector: its
// shadow memory would not fit any memory limit.
var plugin = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "burrow-test-")
	if err != nil {
		return "", err
	}
	// The sandbox runs it as nobody.
	if err := os.Chmod(dir, 0o755); err != nil {
		return "", err
	}
	path := filepath.Join(dir, "executor-plugin")
	out, err := exec.Command("go", "build", "-o", path, "burrow/executor-plugin").CombinedOutput()
	if err != nil {
		return "", errors.New(string(out))
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := plugin(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

func newService(tb testing.TB, config service.Config) *service.Service {
	tb.Helper()
	path, err := plugin()
	if err != nil {
		tb.Fatal(err)
	}
	config.Isolation = sandbox.Probe(tb.Context(), path, "executor-plugin", "--version")
	if config.MaxRuns == 0 {
		config.MaxRuns = 64
	}
	return service.New(config, interp.NewGpython(path))
}

// run runs spec and returns what it wrote.
func run(tb testing.TB, s *service.Service, spec api.JobSpec) (outcome api.Outcome, stdout, stderr string) {
	tb.Helper()
	var out, errOut strings.Builder
	outcome, err := s.Run(tb.Context(), executor.Request{Job: "test", Attempt: 1, Spec: spec}, func(stream api.Stream, data []byte) error {
		if stream == api.Stdout {
			out.Write(data)
		} else {
			errOut.Write(data)
		}
		return nil
	})
	if err != nil {
		tb.Fatalf("Run: %v", err)
	}
	return outcome, out.String(), errOut.String()
}

// anyExit: the kernel's refusal and the watchdog race for the same verdict.
const anyExit = -1

func TestPrograms(t *testing.T) {
	t.Parallel()
	s := newService(t, service.Config{})
	second := api.Duration(time.Second)
	for _, tc := range []struct {
		name     string
		spec     api.JobSpec
		state    api.JobState
		exit     int
		limit    string
		stdout   string // exact
		stderr   string // exact
		message  string // part of it
		anyTexts bool   // stdout and stderr are not looked at
	}{
		{name: "hello", spec: api.JobSpec{Source: `print("hello")`}, state: api.StateSucceeded, stdout: "hello\n"},
		{name: "hello within the smallest memory limit", spec: api.JobSpec{Source: `print("hello")`, Limits: api.Limits{Memory: 16 * api.MiB}}, state: api.StateSucceeded, stdout: "hello\n"},
		{name: "a byte order mark is skipped", spec: api.JobSpec{Source: "\uFEFFprint(1)"}, state: api.StateSucceeded, stdout: "1\n"},
		{name: "arguments", spec: api.JobSpec{Source: "import sys\nprint(sys.argv)", Name: "a.py", Args: []string{"x", "ü z"}}, state: api.StateSucceeded, stdout: "['a.py', 'x', 'ü z']\n"},
		{name: "input reads stdin", spec: api.JobSpec{Source: "a = input('? ')\nb = input()\nprint(b, a)", Stdin: "one\r\ntwo"}, state: api.StateSucceeded, stdout: "? two one\n"},
		{name: "stdin is iterable", spec: api.JobSpec{Source: "import sys\nfirst = sys.stdin.readline()\nfor l in sys.stdin:\n    print(repr(l))\nprint(repr(sys.stdin.read()))", Stdin: "a\nb\nc"}, state: api.StateSucceeded, stdout: "'b\\n'\n'c'\n''\n"},
		{name: "a big stdin arrives whole", spec: api.JobSpec{Source: "import sys\nprint(len(sys.stdin.read()))", Stdin: strings.Repeat("x", api.MaxStdin)}, state: api.StateSucceeded, stdout: "4194304\n"},
		{
			name: "the end of stdin is an EOFError", spec: api.JobSpec{Source: "input()"}, state: api.StateFailed, exit: 1, message: "EOFError: EOF when reading a line",
			stderr: "Traceback (most recent call last):\n  File \"job.py\", line 1, in <module>\n    input()\nEOFError: EOF when reading a line\n",
		},
		{name: "exit code 3", spec: api.JobSpec{Source: "import sys\nsys.exit(3)"}, state: api.StateFailed, exit: 3, message: "exit code 3"},
		{name: "exit code 256 is 0", spec: api.JobSpec{Source: "import sys\nsys.exit(256)"}, state: api.StateSucceeded},
		{name: "exit without a code", spec: api.JobSpec{Source: "import sys\nprint(1)\nsys.exit()"}, state: api.StateSucceeded, stdout: "1\n"},
		{name: "exit None", spec: api.JobSpec{Source: "import sys\nsys.exit(None)"}, state: api.StateSucceeded},
		{name: "exit with a message", spec: api.JobSpec{Source: "import sys\nsys.exit('no luck')"}, state: api.StateFailed, exit: 1, stderr: "no luck\n", message: "no luck"},
		{name: "streams stay apart", spec: api.JobSpec{Source: "import sys\nprint('o')\nprint('e', file=sys.stderr)\nsys.stderr.write('E')\nsys.stdout.write('O')"}, state: api.StateSucceeded, stdout: "o\nO", stderr: "e\nE"},
		{name: "sleep", spec: api.JobSpec{Source: "import time\ntime.sleep(0.01)\nprint('up')"}, state: api.StateSucceeded, stdout: "up\n"},
		{
			name: "traceback", spec: api.JobSpec{Name: "t.py", Source: "def f(x):\n    if x:\n        raise ValueError('bad ' + x)\n\ndef g():\n    f('luck')\n    return 1\n\ng()\nprint('never')\n"},
			state: api.StateFailed, exit: 1, message: "ValueError: bad luck",
			stderr: "Traceback (most recent call last):\n  File \"t.py\", line 9, in <module>\n    g()\n  File \"t.py\", line 6, in g\n    f('luck')\n  File \"t.py\", line 3, in f\n    raise ValueError('bad ' + x)\nValueError: bad luck\n",
		},
		{name: "KeyError shows its key quoted", spec: api.JobSpec{Source: "{}['k']"}, state: api.StateFailed, exit: 1, message: "KeyError: 'k'", anyTexts: true},
		{
			name: "exception without text", spec: api.JobSpec{Source: "raise RuntimeError"}, state: api.StateFailed, exit: 1, message: "RuntimeError",
			stderr: "Traceback (most recent call last):\n  File \"job.py\", line 1, in <module>\n    raise RuntimeError\nRuntimeError\n",
		},
		{
			name: "syntax error", spec: api.JobSpec{Source: "x = 1\nif x\n    print(1)\n"}, state: api.StateFailed, exit: 1, message: "SyntaxError: invalid syntax",
			stderr: "  File \"job.py\", line 2\n    if x\n        ^\nSyntaxError: invalid syntax\n",
		},
		{name: "open is no name", spec: api.JobSpec{Source: "open('/etc/passwd')"}, state: api.StateFailed, exit: 1, message: "NameError: name 'open' is not defined", anyTexts: true},
		{name: "os cannot be imported", spec: api.JobSpec{Source: "import os"}, state: api.StateFailed, exit: 1, message: "ModuleNotFoundError: No module named 'os'", anyTexts: true},
		{name: "os.path cannot be imported", spec: api.JobSpec{Source: "try:\n    import os.path\nexcept ImportError as e:\n    print('none')"}, state: api.StateSucceeded, stdout: "none\n"},
		{name: "recursion is an exception", spec: api.JobSpec{Source: "def f():\n    return f()\nf()"}, state: api.StateFailed, exit: 1, message: "RecursionError: maximum recursion depth exceeded", anyTexts: true},
		{name: "recursion can be caught", spec: api.JobSpec{Source: "def f():\n    return f()\ntry:\n    f()\nexcept RecursionError as e:\n    print('deep')\ntry:\n    f()\nexcept Exception:\n    print('again')"}, state: api.StateSucceeded, stdout: "deep\nagain\n"},
		{name: "recursion in Go code is told readably", spec: api.JobSpec{Source: "a = []\na.append(a)\nprint(a)"}, state: api.StateFailed, exit: 1, message: "RecursionError", anyTexts: true},
		{name: "deep nesting is refused", spec: api.JobSpec{Source: strings.Repeat("(", 300) + "1" + strings.Repeat(")", 300)}, state: api.StateUnsupported, exit: 70, message: "nested over 200"},
		{name: "a Go panic is unsupported", spec: api.JobSpec{Source: "'abc'.find('a', -5)"}, state: api.StateUnsupported, exit: 70, message: "gpython cannot run"},
		{name: "cpython is not here", spec: api.JobSpec{Source: "1", Runtime: api.RuntimeCPython}, state: api.StateUnsupported, message: "this peer has no CPython runtime"},
		{name: "wall limit", spec: api.JobSpec{Source: "while True: pass", Limits: api.Limits{Wall: api.Duration(300 * time.Millisecond)}}, state: api.StateTimedOut, exit: 137, limit: api.LimitWall, message: "over its wall limit of 300ms"},
		{name: "wall limit while asleep", spec: api.JobSpec{Source: "import time\ntime.sleep(100)", Limits: api.Limits{Wall: api.Duration(200 * time.Millisecond)}}, state: api.StateTimedOut, exit: 137, limit: api.LimitWall},
		{name: "cpu limit", spec: api.JobSpec{Source: "while True: pass", Limits: api.Limits{Wall: 60 * second, CPU: api.Duration(200 * time.Millisecond)}}, state: api.StateTimedOut, exit: 137, limit: api.LimitCPU, message: "over its cpu limit of 200ms"},
		{name: "memory limit", spec: api.JobSpec{Source: "a = []\nwhile True: a.append('x' * 1000000)", Limits: api.Limits{Memory: 64 * api.MiB}}, state: api.StateKilled, exit: 137, limit: api.LimitMemory, message: "over its memory limit of 64MiB", anyTexts: true},
		{name: "one huge allocation", spec: api.JobSpec{Source: "print('before')\n'a' * 10**10", Limits: api.Limits{Memory: 64 * api.MiB}}, state: api.StateKilled, exit: anyExit, limit: api.LimitMemory, stdout: "before\n"},
		{name: "output limit", spec: api.JobSpec{Source: "while True: print('0123456789')", Limits: api.Limits{Output: 100_000}}, state: api.StateKilled, exit: 137, limit: api.LimitOutput, message: "over its output limit of 100000B", anyTexts: true},
		{name: "output of exactly the limit", spec: api.JobSpec{Source: "print('123456789')", Limits: api.Limits{Output: 10}}, state: api.StateSucceeded, stdout: "123456789\n"},
		{name: "for loops pass errors on", spec: api.JobSpec{Source: "for x in map(int, ['1', 'z']): print(x)"}, state: api.StateFailed, exit: 1, message: "ValueError", anyTexts: true},
		{name: "generators in for loops", spec: api.JobSpec{Source: "def g():\n    yield 1\n    yield 2\nprint([x for x in g()])\nfor a, b in zip('ab', [1, 2]):\n    print(a, b)\nelse:\n    print('done')"}, state: api.StateSucceeded, stdout: "[1, 2]\na 1\nb 2\ndone\n"},
		{name: "isinstance knows subclasses", spec: api.JobSpec{Source: "class A: pass\nclass B(A): pass\nprint(isinstance(B(), A), isinstance(True, int), isinstance(1, object), isinstance(2**100, int), isinstance(1, (str, int)), isinstance('', int))"}, state: api.StateSucceeded, stdout: "True True True True True False\n"},
		{name: "round as CPython", spec: api.JobSpec{Source: "print(round(2.567, 2), round(2.5), round(3.7), round(25, -1), round(-2.5), round(1234.5, -2), round(2.675, 2), round(1e20) == 10**20, round(5))"}, state: api.StateSucceeded, stdout: "2.57 2 4 20 -2 1200.0 2.67 True 5\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			outcome, stdout, stderr := run(t, s, tc.spec)
			if outcome.State != tc.state || (tc.exit != anyExit && outcome.ExitCode != tc.exit) || outcome.Limit != tc.limit {
				t.Errorf("got state %s, exit %d, limit %q; want %s, %d, %q\noutcome %+v\nstdout %.500q\nstderr %.500q",
					outcome.State, outcome.ExitCode, outcome.Limit, tc.state, tc.exit, tc.limit, outcome, stdout, stderr)
			}
			if !strings.Contains(outcome.Message, tc.message) {
				t.Errorf("message = %q, want it to say %q", outcome.Message, tc.message)
			}
			if !tc.anyTexts && (stdout != tc.stdout || stderr != tc.stderr) {
				t.Errorf("stdout %.1000q\n  want %q\nstderr %.1000q\n  want %q", stdout, tc.stdout, stderr, tc.stderr)
			}
			if want := tc.spec.Limits.Output; tc.limit == api.LimitOutput && api.Size(len(stdout)) != want {
				t.Errorf("delivered %d bytes, want exactly %d", len(stdout), want)
			}
		})
	}
}

// The first line must arrive while the program still runs: the program never
// ends, and what ends it is that its line was seen.
func TestOutputIsLiveAndCancelWorks(t *testing.T) {
	t.Parallel()
	s := newService(t, service.Config{})
	for _, source := range []string{"print('first')\nwhile True: pass", "print('fir', end='')\nprint('st', end='')\nwhile True: pass"} {
		ctx, cancel := context.WithCancel(t.Context())
		var got strings.Builder
		outcome, err := s.Run(ctx, executor.Request{Spec: api.JobSpec{Source: source}}, func(_ api.Stream, data []byte) error {
			got.Write(data)
			if strings.Contains(got.String(), "first") {
				cancel()
			}
			return nil
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%q: got %+v, %v; want context.Canceled", source, outcome, err)
		}
		cancel()
	}
}

func TestErrorOfOutputStopsTheProgram(t *testing.T) {
	t.Parallel()
	broken := errors.New("disk full")
	_, err := newService(t, service.Config{}).Run(t.Context(), executor.Request{Spec: api.JobSpec{Source: "while True: print(1)"}},
		func(api.Stream, []byte) error { return broken })
	if !errors.Is(err, broken) {
		t.Errorf("got %v, want the error of out", err)
	}
}

func TestAdmission(t *testing.T) {
	t.Parallel()
	s := newService(t, service.Config{MaxRuns: 1})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	running := make(chan struct{})
	done := make(chan error)
	go func() {
		_, err := s.Run(ctx, executor.Request{Spec: api.JobSpec{Source: "print(1)\nwhile True: pass"}}, func(api.Stream, []byte) error {
			close(running)
			return nil
		})
		done <- err
	}()
	<-running
	nothing := func(api.Stream, []byte) error { return nil }
	if _, err := s.Run(t.Context(), executor.Request{Spec: api.JobSpec{Source: "1"}}, nothing); !errors.Is(err, api.ErrUnavailable) {
		t.Errorf("second job: got %v, want ErrUnavailable", err)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("first job: %v", err)
	}
	if _, err := s.Run(t.Context(), executor.Request{Spec: api.JobSpec{Source: "1"}}, nothing); err != nil {
		t.Errorf("the place was not given back: %v", err)
	}
	if _, err := s.Run(t.Context(), executor.Request{Spec: api.JobSpec{Source: ""}}, nothing); !errors.Is(err, api.ErrInvalid) {
		t.Errorf("empty source: got %v, want ErrInvalid", err)
	}
}

func TestUsageIsMeasured(t *testing.T) {
	t.Parallel()
	o, stdout, _ := run(t, newService(t, service.Config{}), api.JobSpec{Source: "a = 'x' * 30000000\nn = 0\nwhile n < 200000: n += 1\nprint(n)"})
	u := o.Usage
	if u.Memory < 30*api.MiB/2 || u.Memory > 200*api.MiB || u.CPU <= 0 || u.Wall <= 0 || u.Output != api.Size(len(stdout)) {
		t.Errorf("implausible usage %+v", u)
	}
	if o.Runtime != api.RuntimeGpython {
		t.Errorf("runtime = %q", o.Runtime)
	}
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	d, err := newService(t, service.Config{Version: "v1"}).Describe(t.Context())
	if err != nil || d.Version != "v1" || len(d.Runtimes) != 1 || d.Runtimes[0].Name != api.RuntimeGpython || len(d.Layers) == 0 {
		t.Errorf("got %+v, %v", d, err)
	}
}

// BenchmarkJob is the whole life of a trivial job.
func BenchmarkJob(b *testing.B) {
	s := newService(b, service.Config{})
	for b.Loop() {
		if o, _, _ := run(b, s, api.JobSpec{Source: "print(1)"}); o.State != api.StateSucceeded {
			b.Fatalf("%+v", o)
		}
	}
}
