package api

// Limit names, as they stand in an [Outcome].
const (
	LimitWall      = "wall"
	LimitCPU       = "cpu"
	LimitMemory    = "memory"
	LimitOutput    = "output"
	LimitDisk      = "disk"
	LimitProcesses = "processes"
)

// Outcome is how a program ended. It is a fact about the user's program, not
// an error of Burrow.
type Outcome struct {
	State    JobState `json:"state"`             // a final state
	ExitCode int      `json:"exit_code"`         // as the process left it; 128+signal when a signal ended it
	Signal   string   `json:"signal,omitempty"`  // such as "SIGKILL"
	Limit    string   `json:"limit,omitempty"`   // the limit that ended it, see LimitWall
	Message  string   `json:"message,omitempty"` // one line for people: "over its memory limit of 256MiB"
	Runtime  Runtime  `json:"runtime,omitempty"` // which runtime ran it
	Sandbox  string   `json:"sandbox,omitempty"` // "weak" when mandatory layers were off
	Usage    Usage    `json:"usage,omitzero"`
}

// Usage is what an attempt consumed, measured by the kernel where it can be.
type Usage struct {
	Wall   Duration `json:"wall"`
	CPU    Duration `json:"cpu"`    // user + system
	Memory Size     `json:"memory"` // peak resident
	Output Size     `json:"output"` // stdout and stderr that were kept
}
