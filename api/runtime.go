package api

// Runtime names the interpreter that a job asks for or got.
type Runtime string

const (
	// RuntimeAuto lets the executor choose; the result names the choice.
	RuntimeAuto Runtime = "auto"
	// RuntimeGpython is github.com/go-python/gpython, a subset of Python 3.4.
	RuntimeGpython Runtime = "gpython"
	// RuntimeCPython is the reference interpreter.
	RuntimeCPython Runtime = "cpython"
)

// RuntimeInfo describes a runtime that an executor offers.
type RuntimeInfo struct {
	Name    Runtime `json:"name"`
	Version string  `json:"version"`
}

// Layer is one sandbox mechanism and whether it protects the jobs here.
type Layer struct {
	Name   string `json:"name"`             // such as "seccomp"
	Active bool   `json:"active"`           // true: every job runs behind it
	Reason string `json:"reason,omitempty"` // why it is not active and how to get it, or what it enforces
}
