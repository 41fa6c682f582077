package pluginhost

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin/runner"
)

// process is go-plugin's runner of one plugin process. The library's own
// inherits our stdin and lets the plugin outlive us; this one does neither.
type process struct {
	config Config
	exited chan struct{} // closed when the process is gone

	once   sync.Once
	cmd    *exec.Cmd
	stdout io.ReadCloser
	stderr io.ReadCloser
	mu     sync.Mutex // guards proc
	proc   *os.Process
}

func newProcess(config Config) *process {
	return &process{config: config, exited: make(chan struct{})}
}

// runner is a plugin.ClientConfig.RunnerFunc; template carries the environment
// that go-plugin chose.
func (p *process) runner(_ hclog.Logger, template *exec.Cmd, _ string) (runner.Runner, error) {
	if err := p.verify(); err != nil {
		return nil, err
	}
	p.cmd = exec.Command(p.config.Path, p.config.Args...) //nolint:noctx // go-plugin ends it, first politely
	p.cmd.Env = template.Env
	p.cmd.Stdin = nil // /dev/null
	confine(p.cmd)
	var err error
	if p.stdout, err = p.cmd.StdoutPipe(); err != nil {
		return nil, err
	}
	if p.stderr, err = p.cmd.StderrPipe(); err != nil {
		return nil, err
	}
	return p, nil
}

func (p *process) verify() error {
	if p.config.SHA256 == nil {
		return nil
	}
	f, err := os.Open(p.config.Path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return fmt.Errorf("checksum: %w", err)
	}
	if !bytes.Equal(sum.Sum(nil), p.config.SHA256) {
		return fmt.Errorf("%s has not the expected SHA-256", p.config.Path)
	}
	return nil
}

// Start implements runner.Runner. The kernel sends Pdeathsig when the thread
// that forked ends, not the process: so that thread is kept until the plugin
// is gone.
func (p *process) Start(context.Context) error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		if err == nil {
			p.mu.Lock()
			p.proc = p.cmd.Process
			p.mu.Unlock()
		}
		started <- err
		if err == nil {
			<-p.exited
		}
	}()
	err := <-started
	if err != nil {
		p.once.Do(func() { close(p.exited) })
	}
	return err
}

// Wait implements runner.AttachedRunner. go-plugin calls it once, when both
// pipes have ended.
func (p *process) Wait(context.Context) error {
	err := p.cmd.Wait()
	p.once.Do(func() { close(p.exited) })
	return err
}

// Kill implements runner.AttachedRunner.
func (p *process) Kill(context.Context) error {
	p.mu.Lock()
	proc := p.proc
	p.mu.Unlock()
	if proc == nil {
		return nil
	}
	if err := proc.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

func (p *process) pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.proc == nil {
		return 0
	}
	return p.proc.Pid
}

// ID implements runner.AttachedRunner.
func (p *process) ID() string { return strconv.Itoa(p.pid()) }

// Name implements runner.Runner.
func (p *process) Name() string { return p.config.Path }

// Stdout implements runner.Runner.
func (p *process) Stdout() io.ReadCloser { return p.stdout }

// Stderr implements runner.Runner.
func (p *process) Stderr() io.ReadCloser { return p.stderr }

// Diagnose implements runner.Runner.
func (p *process) Diagnose(context.Context) string {
	return "is " + p.config.Path + " an executor plugin of this version? docs/executor-plugin.md"
}

// PluginToHost implements runner.AddrTranslator: both share one file system.
func (p *process) PluginToHost(network, addr string) (string, string, error) {
	return network, addr, nil
}

// HostToPlugin implements runner.AddrTranslator.
func (p *process) HostToPlugin(network, addr string) (string, string, error) {
	return network, addr, nil
}

var _ runner.Runner = (*process)(nil)
