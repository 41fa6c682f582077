package sandbox

import (
	"fmt"
	"math"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// hardenThread sets what the child inherits from the thread that forks it.
func hardenThread() error {
	if err := keepDescriptors(); err != nil {
		return fmt.Errorf("mark descriptors close-on-exec: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("set no_new_privs: %w", err)
	}
	return nil
}

// keepDescriptors keeps every descriptor of this process from its children.
// Go opens its own with close-on-exec; those that this process was started
// with (by a shell, an editor, a test runner) are not. The child's own come
// from dup2 after the fork, which clears the mark.
func keepDescriptors() error {
	err := unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
	if err == nil {
		return nil
	}
	entries, err := os.ReadDir("/proc/self/fd") // before Linux 5.11
	if err != nil {
		return err
	}
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
	return nil
}

func configure(cmd *exec.Cmd, iso Isolation) {
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid:    true, // a session and process group of its own, no terminal
		Pdeathsig: syscall.SIGKILL,
	}
	iso.apply(cmd.SysProcAttr)
}

// awaitEnd blocks until the process is a zombie and leaves it one, so that its
// pid stays its own.
func awaitEnd(cmd *exec.Cmd) {
	for {
		err := unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			return
		}
	}
}

// kill ends the child and its process group. The end of a pid namespace's
// first process also ends everything else in it.
func (p *process) kill() {
	_ = unix.Kill(-p.pid(), unix.SIGKILL)
	_ = unix.Kill(p.pid(), unix.SIGKILL)
}

// result is called after reap.
func (p *process) result() Result {
	var res Result
	state := p.cmd.ProcessState
	if state == nil {
		return Result{ExitCode: -1}
	}
	res.ExitCode = state.ExitCode()
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		res.Signal = unix.SignalName(ws.Signal())
		res.ExitCode = 128 + int(ws.Signal())
	}
	if ru, ok := state.SysUsage().(*syscall.Rusage); ok {
		res.CPU = time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
		res.Memory = ru.Maxrss << 10
	}
	return res
}

// truePeak combines the watchdog's peak with the kernel's. ru_maxrss starts at
// the peak of this process, because the child shares our memory between vfork
// and exec; below that it says nothing about the child.
func truePeak(seen, maxrss int64) int64 {
	var own syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &own) == nil && maxrss > own.Maxrss<<10 {
		return max(seen, maxrss)
	}
	return seen
}
