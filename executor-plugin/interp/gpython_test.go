package interp

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/go-python/gpython/py"

	"burrow/api"
	"burrow/executor-plugin/sandbox"
)

func TestClassify(t *testing.T) {
	t.Parallel()
	spec := api.JobSpec{Source: "1"}.WithDefaults()
	for _, tc := range []struct {
		name        string
		res         sandbox.Result
		report      gpythonReport
		diagnostics string
		want        api.Outcome // without Runtime and Usage
	}{
		{name: "success", report: gpythonReport{Kind: reportExit}, want: api.Outcome{State: api.StateSucceeded}},
		{name: "no report is no success", want: api.Outcome{State: api.StateUnsupported, Message: "gpython broke down on this program: no report, exit code 0"}},
		{
			name: "limit beats report", res: sandbox.Result{Limit: sandbox.LimitWall, ExitCode: 137, Signal: "SIGKILL"}, report: gpythonReport{Kind: reportExit},
			want: api.Outcome{State: api.StateTimedOut, Limit: api.LimitWall, ExitCode: 137, Signal: "SIGKILL", Message: "over its wall limit of 1m0s"},
		},
		{
			name: "a peak that only the child saw", report: gpythonReport{Kind: reportExit, Memory: 1 << 30},
			want: api.Outcome{State: api.StateKilled, Limit: api.LimitMemory, Message: "over its memory limit of 256MiB"},
		},
		{name: "signal", res: sandbox.Result{ExitCode: 139, Signal: "SIGSEGV"}, want: api.Outcome{State: api.StateKilled, ExitCode: 139, Signal: "SIGSEGV", Message: "ended by SIGSEGV"}},
		{
			name: "out of memory", res: sandbox.Result{ExitCode: 2}, diagnostics: "runtime: out of memory: cannot allocate 10000000000-byte block\nfatal error: out of memory\n",
			want: api.Outcome{State: api.StateKilled, Limit: api.LimitMemory, ExitCode: 2, Message: "over its memory limit of 256MiB"},
		},
		{
			name: "stack overflow", res: sandbox.Result{ExitCode: 2}, diagnostics: "runtime: goroutine stack exceeds 67108864-byte limit\nfatal error: stack overflow\n",
			want: api.Outcome{State: api.StateFailed, ExitCode: 1, Message: "RecursionError: too deep for gpython's stack, as in the repr of an object that holds itself"},
		},
		{
			name: "fatal error", res: sandbox.Result{ExitCode: 2}, diagnostics: "fatal error: concurrent map writes\n",
			want: api.Outcome{State: api.StateUnsupported, ExitCode: 2, Message: "gpython broke down on this program: concurrent map writes"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			tc.res.Captured = make([][]byte, fdCount)
			if tc.report.Kind != "" {
				tc.res.Captured[fdReport], _ = json.Marshal(tc.report)
			}
			tc.res.Captured[fdDiagnostics] = []byte(tc.diagnostics)
			got := NewGpython("x").Classify(spec, tc.res)
			got.Runtime, got.Usage = "", api.Usage{}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestTracebackShortensRuns(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	writeFrames(&b, []string{"a\n", "b\n", "b\n", "b\n", "b\n", "c\n", "c\n"})
	if got, want := b.String(), "a\nb\nb\nb\n  [Previous line repeated 1 more time]\nc\nc\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTextWriterCollectsPieces(t *testing.T) {
	t.Parallel()
	var calls int
	w := newTextWriter(writerFunc(func(p []byte) (int, error) { calls++; return len(p), nil }), true)
	for range 100_000 {
		w.writeString("x")
	}
	w.flush()
	if calls > 1000 {
		t.Errorf("%d writes for 100,000 pieces", calls)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// The job comes from our own host, but the report from a process that ran a
// hostile program.
func FuzzReport(f *testing.F) {
	f.Add([]byte(`{"kind":"exit","message":"x","memory":1}`), "fatal error: x")
	f.Add([]byte(`{"kind":1}`), "")
	spec := api.JobSpec{Source: "1"}.WithDefaults()
	f.Fuzz(func(t *testing.T, report []byte, diagnostics string) {
		res := sandbox.Result{Captured: make([][]byte, fdCount)}
		res.Captured[fdReport], res.Captured[fdDiagnostics] = report, []byte(diagnostics)
		if o := NewGpython("x").Classify(spec, res); !o.State.Final() {
			t.Errorf("state %q is not final", o.State)
		}
	})
}

func FuzzJob(f *testing.F) {
	f.Add([]byte(`{"source":"print(1)","args":["a"],"env":{"A":"b"},"memory":5}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		job, err := decodeJob(bytes.NewReader(data))
		if err == nil && job.Filename == "" {
			t.Error("a job without a file name")
		}
	})
}

// A traceback is written for whatever position gpython claims.
func FuzzSyntaxErrorText(f *testing.F) {
	f.Add("if x\n", "job.py", 1, 3, "if x")
	f.Add("\tü(\n", "<string>", 99, -1, "\tü(\n")
	f.Fuzz(func(t *testing.T, source, name string, line, offset int, text string) {
		exc := py.MakeSyntaxError(py.ExceptionNewf(py.SyntaxError, "invalid syntax"), name, line, offset, text)
		got, last := formatException(exc, source)
		if !strings.HasSuffix(got, last+"\n") || last != "SyntaxError: invalid syntax" {
			t.Errorf("got %q, last line %q", got, last)
		}
	})
}
