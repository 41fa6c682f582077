package sandbox

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"time"
)

// Run runs cmd to its end. The end of the program, however violent, is a
// Result; an error means that it could not be started, that ctx ended (then
// it is ctx's error) or that a sink failed (then it is the sink's).
func Run(ctx context.Context, cmd Cmd) (Result, error) {
	if err := ctx.Err(); err != nil {
		return Result{}, err
	}
	pipes, err := openStreams(cmd.Files)
	if err != nil {
		return Result{}, fmt.Errorf("open pipes: %w", err)
	}
	child, err := start(cmd, pipes.child)
	if err != nil {
		pipes.abandon()
		return Result{}, err
	}
	pipes.closeChild()

	sup := &supervisor{child: child}
	pipes.limit, pipes.stop, pipes.over = cmd.Limits.Output, sup.stop, sup.failed
	stopCtx := context.AfterFunc(ctx, func() { sup.stop("", ctx.Err()) })
	if cmd.Limits.Wall > 0 {
		wall := time.AfterFunc(cmd.Limits.Wall-time.Since(child.started), func() { sup.stop(LimitWall, nil) })
		defer wall.Stop()
	}
	// Limits come before the first byte of input, see File.Input.
	if err := limitProcess(child.pid(), cmd); err != nil {
		sup.stop("", fmt.Errorf("set limits: %w", err))
	}
	watch := startWatchdog(child.pid(), cmd.Limits, sup.stop)
	pipes.start()

	<-child.ended
	wall := time.Since(child.started)
	stopCtx()
	sup.close()
	peak := watch.close()
	child.reap()
	pipes.finish()

	res := child.result()
	res.Wall, res.Output, res.Captured = wall, pipes.written, pipes.captured
	res.Memory = truePeak(peak, res.Memory)
	limit, err := sup.verdict()
	if err != nil {
		return res, err
	}
	res.Limit = limit
	// What the watchdog was too late to see is still over the limit: the
	// verdict must not depend on the moment of a look.
	if limit == "" {
		switch {
		case cmd.Limits.CPU > 0 && res.CPU > cmd.Limits.CPU:
			res.Limit = LimitCPU
		case cmd.Limits.Memory > 0 && res.Memory > cmd.Limits.Memory:
			res.Limit = LimitMemory
		}
	}
	return res, nil
}

// supervisor decides once why a run was stopped. The first reason wins.
type supervisor struct {
	child *process

	mu     sync.Mutex // guards all below
	closed bool       // the child ended: it must not be signalled any more
	set    bool
	limit  string
	err    error
}

func (s *supervisor) stop(limit string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.set && !s.closed {
		s.set, s.limit, s.err = true, limit, err
	}
	// A sink that fails on the last bytes of a program that already ended.
	if s.closed && err != nil && s.err == nil {
		s.err = err
	}
	// Output can pass its limit in the pipe after the child's end.
	if s.closed && limit != "" && !s.set {
		s.set, s.limit = true, limit
	}
	if !s.closed {
		s.child.kill()
	}
}

func (s *supervisor) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
}

func (s *supervisor) failed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err != nil
}

func (s *supervisor) verdict() (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.limit, s.err
}

// process is a started child and the thread that owns it.
type process struct {
	cmd     *exec.Cmd
	started time.Time
	ended   chan struct{} // closed when the child is a zombie
	release chan struct{}
	reaped  chan struct{}
}

// start starts the child on a thread of its own: the kernel sends Pdeathsig
// when the thread that forked ends, so that thread must live as long as the
// child; and the child inherits no_new_privs from it, which must not stick to
// a thread that goes on to run other code.
func start(c Cmd, files []*os.File) (*process, error) {
	p := &process{
		cmd:   &exec.Cmd{Path: c.Path, Args: c.Args, Env: c.Env, Dir: "/"},
		ended: make(chan struct{}), release: make(chan struct{}), reaped: make(chan struct{}),
	}
	if c.Env == nil {
		p.cmd.Env = []string{} // nil would inherit ours
	}
	if len(files) > 0 {
		p.cmd.Stdin = files[0]
	}
	if len(files) > 1 {
		p.cmd.Stdout = files[1]
	}
	if len(files) > 2 {
		p.cmd.Stderr = files[2]
		p.cmd.ExtraFiles = files[3:]
	}
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
		err := hardenThread()
		if err == nil {
			configure(p.cmd, c.Isolation)
			p.started = time.Now()
			err = p.cmd.Start()
		}
		result <- err
		if err != nil {
			return
		}
		awaitEnd(p.cmd)
		// Whatever the child left in its group dies before the pid can be
		// given to somebody else.
		p.kill()
		close(p.ended)
		<-p.release
		_ = p.cmd.Wait() // its error repeats ProcessState
		close(p.reaped)
	}()
	if err := <-result; err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Path, err)
	}
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) reap() {
	close(p.release)
	<-p.reaped
}
