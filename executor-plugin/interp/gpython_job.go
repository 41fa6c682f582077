package interp

import (
	"encoding/json"
	"fmt"
	"io"
)

// gpythonJob is what the host hands to the child. Env travels along for
// interpreters to come: gpython has no os module to show it in.
type gpythonJob struct {
	Source   string            `json:"source"`
	Filename string            `json:"filename"`
	Args     []string          `json:"args,omitempty"`
	Env      map[string]string `json:"env,omitempty"`
	Memory   int64             `json:"memory,omitempty"` // limit in bytes, to tune the GC
}

// maxJob bounds the child's reading; JSON may need six bytes for one.
const maxJob = 512 << 20

func decodeJob(r io.Reader) (gpythonJob, error) {
	var job gpythonJob
	if err := json.NewDecoder(io.LimitReader(r, maxJob)).Decode(&job); err != nil {
		return gpythonJob{}, fmt.Errorf("read job: %w", err)
	}
	if job.Filename == "" {
		job.Filename = "job.py"
	}
	return job, nil
}

// Kinds of report.
const (
	reportExit        = "exit"      // the program ended or called sys.exit
	reportException   = "exception" // uncaught; SyntaxError too
	reportUnsupported = "unsupported"
)

// gpythonReport is the child's last word. A child without one did not get to
// its end.
type gpythonReport struct {
	Kind    string `json:"kind"`
	Message string `json:"message,omitempty"`
	Memory  int64  `json:"memory,omitempty"` // peak resident bytes
}

// decodeReport returns the zero report for anything malformed.
func decodeReport(data []byte) gpythonReport {
	var r gpythonReport
	if json.Unmarshal(data, &r) != nil {
		return gpythonReport{}
	}
	return r
}
