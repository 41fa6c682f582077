// Package pluginhost keeps an executor plugin alive for peerd: it starts the
// process, restarts it when it dies, and is itself an [executor.Executor] that
// waits for the plugin while there is none. A job that was in a plugin when it
// died ends with api.ErrExecutorLost: the attempt is lost, the job is not.
package pluginhost

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	plugin "github.com/hashicorp/go-plugin"
	"github.com/rs/zerolog"

	"burrow/api"
	"burrow/api/executor"
)

// Config says which plugin to run and how patient to be.
type Config struct {
	Path string   // of the plugin's binary; required
	Args []string // for it
	// TempDir holds the socket, in a directory of its own with mode 0700.
	// "" is the system's. A path too long for a socket also means the system's.
	TempDir string
	// SHA256 of the binary; nil trusts the file. It guards against a broken
	// installation, not against somebody who can write to it.
	SHA256 []byte

	StartTimeout time.Duration // default 15s
	StopTimeout  time.Duration // from asking politely to SIGKILL; default 3s
	MinBackoff   time.Duration // before the first restart; default 100ms
	MaxBackoff   time.Duration // default 10s
	Healthy      time.Duration // a plugin this old restarts the backoff; default 1m
}

// Host is a plugin that may come and go.
type Host struct {
	config Config
	log    zerolog.Logger

	mu      sync.Mutex        // guards all below
	plugin  executor.Executor // nil while there is none
	kill    func()            // ends plugin's process
	state   string
	changed chan struct{} // closed and replaced at every change
}

// New returns a host; [Host.Keep] brings it to life.
func New(config Config, log zerolog.Logger) *Host {
	config.StartTimeout = cmp.Or(config.StartTimeout, 15*time.Second)
	config.StopTimeout = cmp.Or(config.StopTimeout, 3*time.Second)
	config.MinBackoff = cmp.Or(config.MinBackoff, 100*time.Millisecond)
	config.MaxBackoff = cmp.Or(config.MaxBackoff, 10*time.Second)
	config.Healthy = cmp.Or(config.Healthy, time.Minute)
	return &Host{config: config, log: log, state: "not started", changed: make(chan struct{})}
}

// State is "ready", or why the executor is not.
func (h *Host) State() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.state
}

// Changed is closed when the state changes next.
func (h *Host) Changed() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.changed
}

func (h *Host) set(state string, p executor.Executor, kill func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.setLocked(state, p, kill)
}

func (h *Host) setLocked(state string, p executor.Executor, kill func()) {
	h.state, h.plugin, h.kill = state, p, kill
	close(h.changed)
	h.changed = make(chan struct{})
}

// Keep keeps the plugin running until ctx ends, then stops it and returns nil.
// (Run is taken: it runs a job.)
func (h *Host) Keep(ctx context.Context) error {
	for failures := 0; ; failures++ {
		started := time.Now()
		err := h.runOnce(ctx)
		if ctx.Err() != nil {
			h.set("stopped", nil, nil)
			return nil
		}
		if time.Since(started) >= h.config.Healthy {
			failures = 0
		}
		wait := h.backoff(failures)
		h.log.Warn().Err(err).Dur("wait", wait).Msg("executor plugin is down, restarting")
		h.set("restarting: "+err.Error(), nil, nil)
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}

// backoff doubles with every failure; the jitter keeps many peers on one
// machine from starting in step.
func (h *Host) backoff(failures int) time.Duration {
	d := h.config.MinBackoff
	for range failures {
		if d *= 2; d >= h.config.MaxBackoff {
			d = h.config.MaxBackoff
			break
		}
	}
	return d/2 + rand.N(d/2+1) //nolint:gosec // jitter, no secret
}

// runOnce is one life of the plugin.
func (h *Host) runOnce(ctx context.Context) error {
	dir, err := socketDir(h.config.TempDir)
	if err != nil {
		return err
	}
	proc := newProcess(h.config)
	client := plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  executor.Handshake(),
		Plugins:          executor.Plugins(nil),
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		AutoMTLS:         true,
		// The daemon's environment may hold secrets.
		SkipHostEnv:      true,
		StartTimeout:     h.config.StartTimeout,
		UnixSocketConfig: &plugin.UnixSocketConfig{TempDir: dir},
		Logger:           newLogger(h.log),
		RunnerFunc:       proc.runner,
	})
	stopped := make(chan struct{})
	stopWatch := context.AfterFunc(ctx, func() {
		// Kill below asks politely and without a bound of its own, and a start
		// is not interruptible at all: this is the bound of both.
		timer := time.NewTimer(h.config.StopTimeout)
		defer timer.Stop()
		select {
		case <-stopped:
		case <-timer.C:
			_ = proc.Kill(ctx)
		}
	})
	defer stopWatch()
	defer close(stopped)
	defer func() {
		if ctx.Err() == nil {
			_ = proc.Kill(ctx) // already dead or useless: no need to be polite
		}
		client.Kill()
	}()

	rpc, err := client.Client()
	if err != nil {
		return fmt.Errorf("start %s: %w", h.config.Path, err)
	}
	raw, err := rpc.Dispense(executor.PluginName)
	if err != nil {
		return fmt.Errorf("dispense: %w", err)
	}
	impl, ok := raw.(executor.Executor)
	if !ok {
		return fmt.Errorf("plugin is a %T, no executor", raw)
	}
	d, err := describe(ctx, impl, h.config.StartTimeout)
	if err != nil {
		return fmt.Errorf("describe: %w", err)
	}
	h.log.Info().Str("version", d.Version).Int("pid", proc.pid()).Msg("executor plugin is ready")
	h.set("ready", impl, func() { _ = proc.Kill(context.WithoutCancel(ctx)) })
	defer h.set("stopping", nil, nil)
	select {
	case <-proc.exited:
		return errors.New("plugin exited")
	case <-ctx.Done():
		return ctx.Err()
	}
}

// describe is the proof that the plugin answers.
func describe(ctx context.Context, e executor.Executor, timeout time.Duration) (executor.Description, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return e.Describe(ctx)
}

// await returns the plugin as soon as there is one.
func (h *Host) await(ctx context.Context) (executor.Executor, error) {
	for {
		h.mu.Lock()
		p, state, changed := h.plugin, h.state, h.changed
		h.mu.Unlock()
		if p != nil {
			return p, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("executor is not ready (%s): %w", state, ctx.Err())
		}
	}
}

// Describe implements [executor.Executor]. It waits for the plugin.
func (h *Host) Describe(ctx context.Context) (executor.Description, error) {
	p, err := h.await(ctx)
	if err != nil {
		return executor.Description{}, err
	}
	return p.Describe(ctx)
}

// Run implements [executor.Executor]. It waits for the plugin.
func (h *Host) Run(ctx context.Context, req executor.Request, out executor.OutputFunc) (api.Outcome, error) {
	p, err := h.await(ctx)
	if err != nil {
		return api.Outcome{}, err
	}
	outcome, err := p.Run(ctx, req, out)
	if errors.Is(err, api.ErrExecutorLost) {
		h.retire(ctx, p)
	}
	return outcome, err
}

// retireTimeout is how long a plugin that lost a job may take to answer.
const retireTimeout = 2 * time.Second

// retire takes a plugin that no longer answers out of use before the caller
// hears of its lost job, so that the next job does not meet it again: the
// connection breaks a little earlier than the process is seen to be gone.
func (h *Host) retire(ctx context.Context, p executor.Executor) {
	if ctx.Err() != nil {
		return
	}
	if _, err := describe(ctx, p, retireTimeout); err == nil || ctx.Err() != nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.plugin == p { // not yet a new one
		h.kill()
		h.setLocked("the plugin does not answer", nil, nil)
	}
}

// maxSocketPath is what fits into sockaddr_un, less the names that go-plugin
// appends: "/plugin-dir" and "/plugin" with a random uint32 each.
const maxSocketPath = 107 - 38

// socketDir returns a directory for go-plugin to make its own in.
func socketDir(dir string) (string, error) {
	if dir == "" {
		return os.TempDir(), nil
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if len(abs) > maxSocketPath {
		return os.TempDir(), nil // go-plugin's directory in it has mode 0700
	}
	if err := os.MkdirAll(abs, 0o700); err != nil {
		return "", fmt.Errorf("make socket directory: %w", err)
	}
	return abs, nil
}

var _ executor.Executor = (*Host)(nil)
