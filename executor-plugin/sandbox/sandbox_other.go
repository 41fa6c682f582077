//go:build !linux

package sandbox

import (
	"context"
	"os/exec"
)

const reason = "only on Linux"

// Isolation is empty on this system.
type Isolation struct {
	Namespaces bool
	Reason     string
}

// Probe reports that this system has no namespaces.
func Probe(context.Context, string, ...string) Isolation { return Isolation{Reason: reason} }

// Layers describes what protects a run here: little.
func (i Isolation) Layers() []Layer {
	return []Layer{
		{Name: "process", Active: true, Reason: "a fresh process and environment per job"},
		{Name: "namespaces", Reason: reason},
		{Name: "no_new_privs", Reason: reason},
		{Name: "rlimits", Reason: reason},
		{Name: "watchdog", Active: true, Reason: "wall and output limits; cpu and memory are judged at the end"},
		{Name: "filesystem", Reason: reason},
		{Name: "seccomp", Reason: reason},
		{Name: "landlock", Reason: reason},
		{Name: "cgroup", Reason: reason},
	}
}

func hardenThread() error { return nil }

func configure(*exec.Cmd, Isolation) {}

func limitProcess(int, Cmd) error { return nil }

// awaitEnd also reaps: this system has no wait that leaves the zombie.
func awaitEnd(cmd *exec.Cmd) { _ = cmd.Wait() }

func (p *process) kill() { _ = p.cmd.Process.Kill() }

func (p *process) result() Result {
	state := p.cmd.ProcessState
	if state == nil {
		return Result{ExitCode: -1}
	}
	return Result{ExitCode: state.ExitCode(), CPU: state.UserTime() + state.SystemTime()}
}

func truePeak(seen, _ int64) int64 { return seen }

type watchdog struct{}

func startWatchdog(int, Limits, func(string, error)) *watchdog { return &watchdog{} }

func (*watchdog) close() int64 { return 0 }
