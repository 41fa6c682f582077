// Package executor is the contract between peerd and the executor plugin: the
// interface, its gRPC form and the go-plugin glue. Whoever wants to run jobs in
// another way implements [Executor] and calls [Serve] (docs/executor-plugin.md).
package executor

import (
	"context"

	"burrow/api"
)

// Executor runs jobs, each in a fresh interpreter process.
type Executor interface {
	// Describe says what the executor can run and how it protects the host.
	Describe(ctx context.Context) (Description, error)
	// Run runs one attempt to its end and passes its output to out while it
	// runs. A program that fails, is killed or runs out of time is an Outcome;
	// an error means that Burrow could not find out (api.ErrExecutorLost when
	// the executor died). When ctx ends the program is killed and ctx's error
	// is returned. An error from out also kills the program and is returned.
	Run(ctx context.Context, req Request, out OutputFunc) (api.Outcome, error)
}

// Request is one attempt of a job.
type Request struct {
	Job     string // id, for logs
	Attempt int64  // fencing token
	// Spec has its defaults filled in and is valid.
	Spec api.JobSpec
}

// OutputFunc takes the next bytes of one stream. It is never called
// concurrently and must not keep data.
type OutputFunc func(stream api.Stream, data []byte) error

// Description is what an executor says of itself.
type Description struct {
	Version  string
	Runtimes []api.RuntimeInfo
	Limits   []string // names of the limits it enforces, see api.LimitWall
	Layers   []api.Layer
}
