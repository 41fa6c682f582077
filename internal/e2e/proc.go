package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// gpythonChild marks the command line of a process that interprets one job.
const gpythonChild = "gpython-child"

// osProcess is a process as the kernel lists it. Started keeps a pid that was
// given to somebody else from passing for the old one.
type osProcess struct {
	PID, Parent int
	Started     string // clock ticks since boot
	Command     string
}

// processes lists every process that is not a zombie.
func processes(tb testing.TB) []osProcess {
	tb.Helper()
	if runtime.GOOS != "linux" {
		tb.Skip("looks at processes through /proc, which only Linux has")
	}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		tb.Fatal(err)
	}
	var all []osProcess
	for _, path := range stats {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended meanwhile
		}
		command, err := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
		if err != nil {
			continue
		}
		// pid (name) state ppid …: the name may hold spaces and brackets.
		text := string(stat)
		open, end := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
		if open < 0 || end < open {
			continue
		}
		fields := strings.Fields(text[end+1:])
		pid, err1 := strconv.Atoi(strings.TrimSpace(text[:open]))
		if err1 != nil || len(fields) < 20 || fields[0] == "Z" {
			continue
		}
		parent, err := strconv.Atoi(fields[1])
		if err != nil {
			continue
		}
		all = append(all, osProcess{
			PID: pid, Parent: parent, Started: fields[19],
			Command: strings.TrimSpace(strings.ReplaceAll(string(command), "\x00", " ")),
		})
	}
	return all
}

// Descendants lists the living children of the process, their children and so
// on, whose command line contains word.
func (p *Process) Descendants(word string) []osProcess {
	p.tb.Helper()
	children := map[int][]osProcess{}
	for _, proc := range processes(p.tb) {
		children[proc.Parent] = append(children[proc.Parent], proc)
	}
	var found []osProcess
	for todo := []int{p.PID()}; len(todo) > 0; todo = todo[1:] {
		for _, c := range children[todo[0]] {
			todo = append(todo, c.PID)
			if strings.Contains(c.Command, word) {
				found = append(found, c)
			}
		}
	}
	return found
}

// endFamily kills the process and sees to it that its children go with it: a
// daemon that dies must not leave strangers' programs running.
func (p *Process) endFamily() {
	if runtime.GOOS != "linux" || !p.Alive() {
		p.Kill()
		return
	}
	family := p.Descendants("")
	p.Kill()
	left := family
	for deadline := time.Now().Add(10 * time.Second); len(left) > 0 && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
		left = living(p.tb, family)
	}
	for _, proc := range left {
		p.tb.Errorf("process %d outlives %s by 10 seconds: %s", proc.PID, p.Name, proc.Command)
		_ = syscall.Kill(proc.PID, syscall.SIGKILL) // it may have ended this moment
	}
}

// living returns those of procs that have not ended.
func living(tb testing.TB, procs []osProcess) []osProcess {
	tb.Helper()
	started := map[int]string{}
	for _, proc := range processes(tb) {
		started[proc.PID] = proc.Started
	}
	var left []osProcess
	for _, proc := range procs {
		if started[proc.PID] == proc.Started {
			left = append(left, proc)
		}
	}
	return left
}

// Plugin returns the peer's executor-plugin process.
func (p *Peer) Plugin() osProcess {
	p.tb.Helper()
	var plugin osProcess
	Eventually(p.tb, p.Name+" has an executor-plugin", func() error {
		for _, c := range p.Descendants("executor-plugin") {
			if c.Parent == p.PID() {
				plugin = c
				return nil
			}
		}
		return errors.New("no such child process")
	})
	return plugin
}

// AwaitGone waits until none of the processes lives any more.
func AwaitGone(tb testing.TB, procs []osProcess) {
	tb.Helper()
	Eventually(tb, "the processes are gone", func() error {
		if left := living(tb, procs); len(left) > 0 {
			return fmt.Errorf("process %d lives: %s", left[0].PID, left[0].Command)
		}
		return nil
	})
}

// AwaitNoChildren waits until no interpreter of a job is left.
func (p *Peer) AwaitNoChildren() {
	p.tb.Helper()
	Eventually(p.tb, "no interpreter is left", func() error {
		if left := p.Descendants(gpythonChild); len(left) > 0 {
			return fmt.Errorf("%d left, such as %+v", len(left), left[0])
		}
		return nil
	})
}

// isNotDir reports that a parent of the path is no folder.
func isNotDir(err error) bool { return errors.Is(err, syscall.ENOTDIR) }

// killProcess is kill -9 for a process that a process of ours started.
func killProcess(tb testing.TB, proc osProcess) {
	tb.Helper()
	if err := syscall.Kill(proc.PID, syscall.SIGKILL); err != nil {
		tb.Fatalf("kill process %d (%s): %v", proc.PID, proc.Command, err)
	}
}
