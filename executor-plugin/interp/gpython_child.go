package interp

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime/debug"
	"strings"

	"github.com/go-python/gpython/py"
)

const (
	maxStack = 64 << 20 // of Go; the 1,000 frames of maxDepth need about 4 MiB
	maxDepth = 1000     // of Python calls, as CPython's default
	// maxNesting bounds brackets: the recursive compiler needs a bound.
	maxNesting = 200
)

// Exit codes of the child beyond the program's own.
const (
	exitUnsupported = 70
	exitNoJob       = 71
)

// GpythonChild runs the one job that the host hands over and returns the
// process's exit code. It is the whole life of a child process.
func GpythonChild() int {
	debug.SetMaxStack(maxStack)
	job, err := decodeJob(os.NewFile(fdJob, "job"))
	if err != nil {
		fmt.Fprintln(os.Stderr, "panic:", err)
		return exitNoJob
	}
	if job.Memory > 0 {
		// The collector works harder as the limit comes near, before the
		// watchdog sees garbage as the program's memory.
		debug.SetMemoryLimit(job.Memory / 4 * 3)
	}
	out := newTextWriter(os.Stdout, true)
	errOut := newTextWriter(os.NewFile(fdStderr, "stderr"), false)
	code, report := runJob(job, newTextReader(os.Stdin, out), out, errOut)
	out.flush()
	errOut.flush()
	report.Memory = peakMemory()
	report.Message = clip(report.Message, 1000)
	if data, err := json.Marshal(report); err == nil {
		_, _ = os.NewFile(fdReport, "report").Write(data)
	}
	return code
}

// runJob compiles and runs. A Go panic below is a hole in gpython, not an
// error of the program.
func runJob(job gpythonJob, in *textReader, out, errOut *textWriter) (code int, report gpythonReport) {
	defer func() {
		if r := recover(); r != nil {
			code, report = exitUnsupported, gpythonReport{Kind: reportUnsupported, Message: fmt.Sprint(r)}
		}
	}()
	source := strings.TrimPrefix(job.Source, "\uFEFF")
	if deepest(source) > maxNesting {
		return exitUnsupported, gpythonReport{Kind: reportUnsupported, Message: fmt.Sprintf("brackets are nested over %d deep", maxNesting)}
	}
	if !strings.HasSuffix(source, "\n") {
		source += "\n"
	}
	ctx, err := newPyContext(job, in, out, errOut)
	if err != nil {
		return exitUnsupported, gpythonReport{Kind: reportUnsupported, Message: err.Error()}
	}
	compiled, err := py.Compile(source, job.Filename, py.ExecMode, 0, true)
	if err == nil {
		_, err = py.RunCode(ctx, compiled, job.Filename, nil)
	}
	return conclude(err, source, errOut)
}

// conclude maps how the program ended to an exit code, as CPython does, and
// prints what CPython prints.
func conclude(err error, source string, errOut *textWriter) (int, gpythonReport) {
	if err == nil {
		return 0, gpythonReport{Kind: reportExit}
	}
	if py.IsException(py.SystemExit, err) {
		code, text := exitStatus(err)
		if text != "" {
			errOut.writeString(text + "\n")
		}
		return code, gpythonReport{Kind: reportExit, Message: text}
	}
	text, last := formatException(err, source)
	errOut.writeString(text)
	if py.IsException(py.SyntaxError, err) {
		last += " (gpython reads Python 3.4; newer syntax such as f-strings needs cpython)"
	}
	return 1, gpythonReport{Kind: reportException, Message: last}
}

// exitStatus reads the argument of SystemExit.
func exitStatus(err error) (code int, text string) {
	exc := exceptionOf(err)
	if exc == nil {
		return 0, ""
	}
	args, _ := exc.Args.(py.Tuple)
	if len(args) == 0 {
		return 0, ""
	}
	arg := args[0]
	if len(args) > 1 {
		arg = args
	}
	switch v := arg.(type) {
	case py.NoneType:
		return 0, ""
	case py.Int:
		return int(v & 255), ""
	case py.Bool:
		if v {
			return 1, ""
		}
		return 0, ""
	}
	text, strErr := py.StrAsString(arg)
	if strErr != nil {
		text = "?"
	}
	return 1, text
}

// deepest counts open brackets without regard to strings: a cheap upper bound.
func deepest(source string) int {
	depth, most := 0, 0
	for i := range len(source) {
		switch source[i] {
		case '(', '[', '{':
			depth++
			most = max(most, depth)
		case ')', ']', '}':
			depth = max(0, depth-1)
		}
	}
	return most
}

// peakMemory is the kernel's VmHWM: the peak of this program alone, unlike
// ru_maxrss, which starts at the parent's.
func peakMemory() int64 {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(data), "VmHWM:")
	var kib int64
	_, _ = fmt.Sscan(rest, &kib)
	return kib << 10
}
