// Package sandbox runs one untrusted program in a fresh, limited process and
// reports how it ended and what it used. It knows no Python and no jobs: a
// [Cmd] is a plain recipe. [Run] returns only when nothing of the program is
// left: its process group and pid namespace are killed, its pipes drained.
//
// Each mechanism has a file of its own: namespaces_linux.go, rlimit_linux.go,
// watchdog_linux.go, stream.go. docs/sandbox.md says what they do not cover.
package sandbox

import (
	"io"
	"time"
)

// Names of limits in [Result.Limit].
const (
	LimitWall   = "wall"
	LimitCPU    = "cpu"
	LimitMemory = "memory"
	LimitOutput = "output"
)

// Cmd is the recipe of one run.
type Cmd struct {
	Path string
	Args []string // argv, with the program's name first
	Env  []string // the whole environment; nil means empty
	// Files are the child's descriptors by number, from 0. The zero File is
	// /dev/null. The child gets no other descriptor.
	Files     []File
	Limits    Limits
	Isolation Isolation // from [Probe]; the zero value isolates nothing
}

// File is one descriptor of the child. At most one field is set.
type File struct {
	// Input is read to its end and fed to the child. Should it block, make it
	// an io.Closer: it is closed when the child is gone.
	//
	// No byte of it is fed before all limits are in force, so a program that
	// the child reads from an Input never runs without limits.
	Input io.Reader
	// Sink takes what the child writes; it counts against Limits.Output. Sinks
	// are never called concurrently and must not keep the slice. A slow sink
	// slows the child down. An error kills the child and is returned by Run.
	Sink func([]byte) error
	// Capture keeps the first Capture bytes that the child writes and throws
	// the rest away; it does not count as output.
	Capture int
}

// Limits bound a run. Zero means no limit.
type Limits struct {
	Wall   time.Duration
	CPU    time.Duration // user + system
	Memory int64         // resident bytes
	Output int64         // bytes of all sinks together
	// AddressSlack is how much private memory over Memory the kernel grants
	// before it refuses (RLIMIT_DATA): the backstop for a huge allocation
	// between two looks of the watchdog. Zero leaves the backstop out.
	AddressSlack int64
	OpenFiles    uint64
	Processes    uint64 // processes and threads; only with a user namespace
	FileSize     int64  // bytes of any file written; negative forbids writing
}

// Result is how the program ended.
type Result struct {
	ExitCode int    // 128+signal when a signal ended it
	Signal   string // such as "SIGKILL"
	Limit    string // the limit that ended it, see LimitWall
	Wall     time.Duration
	CPU      time.Duration
	Memory   int64 // peak resident bytes, as far as it was seen
	Output   int64 // bytes passed to sinks
	// Captured is by descriptor, as Files.
	Captured [][]byte
}

// Layer is one mechanism and whether it protects here.
type Layer struct {
	Name   string
	Active bool
	Reason string
}
