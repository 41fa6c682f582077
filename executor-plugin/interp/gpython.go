package interp

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"strings"

	"burrow/api"
	"burrow/api/executor"
	"burrow/executor-plugin/sandbox"
)

// GpythonDoor is the argument that makes our binary the child of [Gpython].
const GpythonDoor = "gpython-child"

const (
	gpythonModule = "github.com/go-python/gpython"
	// dataSlack is what a Go process maps beyond what it uses: arenas come in
	// steps of 64 MiB, and stacks and metadata are extra.
	dataSlack = 512 << 20
	// maxDiagnostics bounds what is kept of the Go runtime's last words.
	maxDiagnostics = 64 << 10
	maxReport      = 64 << 10
)

// Descriptors of the child. Python reaches 0, 1 and 3 only: gpython is linked
// without os, and open is deleted. 2 belongs to the Go runtime, whose words
// are not the program's.
const (
	fdStdin = iota
	fdStdout
	fdDiagnostics
	fdStderr
	fdJob
	fdReport
	fdCount
)

// Gpython runs jobs with github.com/go-python/gpython, each in a process of
// its own: contexts in one process share the builtin types.
type Gpython struct {
	path    string
	version string
}

// NewGpython uses the binary at path, which must call [GpythonChild] when its
// first argument is [GpythonDoor].
func NewGpython(path string) *Gpython {
	return &Gpython{path: path, version: moduleVersion()}
}

// moduleVersion is the version that is linked into this binary.
func moduleVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			if dep.Path == gpythonModule {
				return dep.Version
			}
		}
	}
	return "unknown"
}

// Name implements [Interpreter].
func (g *Gpython) Name() api.Runtime { return api.RuntimeGpython }

// Version implements [Interpreter].
func (g *Gpython) Version() string { return g.version }

// Command implements [Interpreter].
func (g *Gpython) Command(spec api.JobSpec, iso sandbox.Isolation, out executor.OutputFunc) (sandbox.Cmd, error) {
	job, err := json.Marshal(gpythonJob{
		Source: spec.Source, Filename: spec.Name, Args: spec.Args, Env: spec.Env, Memory: int64(spec.Limits.Memory),
	})
	if err != nil {
		return sandbox.Cmd{}, fmt.Errorf("encode job: %w", err)
	}
	sink := func(stream api.Stream) sandbox.File {
		return sandbox.File{Sink: func(data []byte) error { return out(stream, data) }}
	}
	files := make([]sandbox.File, fdCount)
	files[fdStdin].Input = strings.NewReader(spec.Stdin)
	files[fdStdout] = sink(api.Stdout)
	files[fdStderr] = sink(api.Stderr)
	files[fdDiagnostics].Capture = maxDiagnostics
	files[fdJob].Input = bytes.NewReader(job)
	files[fdReport].Capture = maxReport
	return sandbox.Cmd{
		Path: g.path,
		Args: []string{"gpython", GpythonDoor},
		// The user's variables must not get here: GODEBUG and GOMEMLIMIT steer
		// the Go runtime. Without a traceback the runtime's last words stay
		// short; the line that matters is printed all the same.
		Env:       []string{"GOTRACEBACK=none", "GOMAXPROCS=2"},
		Files:     files,
		Isolation: iso,
		Limits: sandbox.Limits{
			Wall: spec.Limits.Wall.Std(), CPU: spec.Limits.CPU.Std(),
			Memory: int64(spec.Limits.Memory), Output: int64(spec.Limits.Output),
			AddressSlack: dataSlack, OpenFiles: 64, FileSize: -1,
			// The threads are those of the Go runtime; gpython can start none.
			Processes: 64,
		},
	}, nil
}

// Classify implements [Interpreter].
func (g *Gpython) Classify(spec api.JobSpec, res sandbox.Result) api.Outcome {
	report := decodeReport(res.Captured[fdReport])
	o := api.Outcome{ExitCode: res.ExitCode, Signal: res.Signal, Runtime: api.RuntimeGpython, Usage: usage(res)}
	o.Usage.Memory = max(o.Usage.Memory, api.Size(report.Memory))
	diagnostics := string(res.Captured[fdDiagnostics])
	limit := res.Limit
	switch {
	case limit != "":
	case report.Memory > int64(spec.Limits.Memory):
		limit = api.LimitMemory // a peak between two looks of the watchdog
	case report.Kind == "" && outOfMemory(diagnostics):
		limit = api.LimitMemory // RLIMIT_DATA refused one huge allocation
	}
	switch {
	case limit != "":
		limitOutcome(&o, limit, spec.Limits)
	case res.Signal != "":
		o.State, o.Message = api.StateKilled, "ended by "+res.Signal
	case report.Kind == reportExit && res.ExitCode == 0:
		o.State = api.StateSucceeded
	case report.Kind == reportExit, report.Kind == reportException:
		o.State, o.Message = api.StateFailed, cmp.Or(report.Message, fmt.Sprintf("exit code %d", res.ExitCode))
	case report.Kind == reportUnsupported:
		o.State, o.Message = api.StateUnsupported, "gpython cannot run this program: "+report.Message
	case strings.Contains(diagnostics, "stack overflow"), strings.Contains(diagnostics, "stack exceeds"):
		o.State, o.ExitCode = api.StateFailed, 1
		o.Message = "RecursionError: too deep for gpython's stack, as in the repr of an object that holds itself"
	default:
		o.State = api.StateUnsupported
		o.Message = "gpython broke down on this program: " + cmp.Or(firstFatal(diagnostics), "no report, exit code "+fmt.Sprint(res.ExitCode))
	}
	return o
}

// outOfMemory recognises the Go runtime's words when the kernel refuses more.
func outOfMemory(diagnostics string) bool {
	for _, words := range []string{"out of memory", "cannot allocate memory", "makeslice: len out of range"} {
		if strings.Contains(diagnostics, words) {
			return true
		}
	}
	return false
}

// firstFatal is the line of diagnostics that says what happened.
func firstFatal(diagnostics string) string {
	for line := range strings.Lines(diagnostics) {
		for _, prefix := range []string{"fatal error: ", "panic: ", "runtime: "} {
			if text, ok := strings.CutPrefix(strings.TrimSpace(line), prefix); ok {
				return clip(text, 200)
			}
		}
	}
	return ""
}

func clip(s string, most int) string {
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

var _ Interpreter = (*Gpython)(nil)
