// Package interp knows the Python interpreters: how each is started in the
// sandbox and what its end means. A further interpreter is a type that
// implements [Interpreter] in a file of its own; start reading there, then at
// gpython.go (the host's half) and gpython_child.go (the half that runs inside
// the sandbox).
package interp

import (
	"fmt"
	"time"

	"burrow/api"
	"burrow/api/executor"
	"burrow/executor-plugin/sandbox"
)

// Interpreter runs jobs of one runtime.
type Interpreter interface {
	Name() api.Runtime
	Version() string
	// Command is the recipe for one job. out gets the program's output.
	Command(spec api.JobSpec, iso sandbox.Isolation, out executor.OutputFunc) (sandbox.Cmd, error)
	// Classify says what the end of the process means for the user.
	Classify(spec api.JobSpec, res sandbox.Result) api.Outcome
}

// limitOutcome fills in state and message for a limit that ended the program.
// Every interpreter tells it in the same words.
func limitOutcome(o *api.Outcome, limit string, l api.Limits) {
	o.Limit = limit
	switch limit {
	case api.LimitWall:
		o.State, o.Message = api.StateTimedOut, fmt.Sprintf("over its wall limit of %s", l.Wall)
	case api.LimitCPU:
		o.State, o.Message = api.StateTimedOut, fmt.Sprintf("over its cpu limit of %s", l.CPU)
	case api.LimitMemory:
		o.State, o.Message = api.StateKilled, fmt.Sprintf("over its memory limit of %s", l.Memory)
	case api.LimitOutput:
		o.State, o.Message = api.StateKilled, fmt.Sprintf("over its output limit of %s", l.Output)
	default:
		o.State, o.Message = api.StateKilled, "over its "+limit+" limit"
	}
}

// usage is what the sandbox measured, in the words of the API.
func usage(res sandbox.Result) api.Usage {
	return api.Usage{
		Wall: api.Duration(res.Wall.Round(time.Microsecond)), CPU: api.Duration(res.CPU),
		Memory: api.Size(res.Memory), Output: api.Size(res.Output),
	}
}
