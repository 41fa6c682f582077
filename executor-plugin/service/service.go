// Package service is the executor that peerd talks to: it admits jobs, picks
// the interpreter, runs it in the sandbox and words the outcome.
package service

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"slices"

	"burrow/api"
	"burrow/api/executor"
	"burrow/executor-plugin/interp"
	"burrow/executor-plugin/sandbox"
)

// Config tunes a [Service].
type Config struct {
	Version string
	// MaxRuns bounds the jobs at once; 0 means 4 per CPU. It protects the
	// machine from a host that went wrong: the host has its own slots.
	MaxRuns int
	// Isolation comes from [sandbox.Probe].
	Isolation sandbox.Isolation
}

// Service implements [executor.Executor].
type Service struct {
	config Config
	// interpreters in the order in which RuntimeAuto tries them.
	interpreters []interp.Interpreter
	slots        chan struct{}
}

// New returns a service that runs jobs with the given interpreters.
func New(config Config, interpreters ...interp.Interpreter) *Service {
	config.MaxRuns = cmp.Or(config.MaxRuns, 4*runtime.GOMAXPROCS(0))
	return &Service{config: config, interpreters: interpreters, slots: make(chan struct{}, config.MaxRuns)}
}

// Describe implements [executor.Executor].
func (s *Service) Describe(context.Context) (executor.Description, error) {
	d := executor.Description{
		Version: s.config.Version,
		Limits:  []string{api.LimitWall, api.LimitCPU, api.LimitMemory, api.LimitOutput, api.LimitDisk},
	}
	for _, i := range s.interpreters {
		d.Runtimes = append(d.Runtimes, api.RuntimeInfo{Name: i.Name(), Version: i.Version()})
	}
	for _, l := range s.config.Isolation.Layers() {
		d.Layers = append(d.Layers, api.Layer{Name: l.Name, Active: l.Active, Reason: l.Reason})
	}
	return d, nil
}

// Run implements [executor.Executor]. It does not wait for a free place: the
// host chose this executor and can choose again.
func (s *Service) Run(ctx context.Context, req executor.Request, out executor.OutputFunc) (api.Outcome, error) {
	spec := req.Spec.WithDefaults()
	if err := spec.Validate(); err != nil {
		return api.Outcome{}, err
	}
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	default:
		return api.Outcome{}, fmt.Errorf("executor already runs %d jobs: %w", s.config.MaxRuns, api.ErrUnavailable)
	}
	interpreter := s.pick(spec.Runtime)
	if interpreter == nil {
		return api.Outcome{
			State: api.StateUnsupported, Runtime: spec.Runtime, Sandbox: s.sandbox(),
			Message: fmt.Sprintf("this peer has no %s runtime", runtimeName(spec.Runtime)),
		}, nil
	}
	cmd, err := interpreter.Command(spec, s.config.Isolation, out)
	if err != nil {
		return api.Outcome{}, err
	}
	res, err := sandbox.Run(ctx, cmd)
	if err != nil {
		return api.Outcome{}, err
	}
	outcome := interpreter.Classify(spec, res)
	outcome.Sandbox = s.sandbox()
	return outcome, nil
}

func (s *Service) pick(runtime api.Runtime) interp.Interpreter {
	i := slices.IndexFunc(s.interpreters, func(i interp.Interpreter) bool {
		return runtime == api.RuntimeAuto || runtime == i.Name()
	})
	if i < 0 {
		return nil
	}
	return s.interpreters[i]
}

// sandbox is "weak" where a mandatory layer is off.
func (s *Service) sandbox() string {
	if !s.config.Isolation.Namespaces {
		return "weak"
	}
	return ""
}

func runtimeName(r api.Runtime) string {
	if r == api.RuntimeCPython {
		return "CPython"
	}
	return string(r)
}

var _ executor.Executor = (*Service)(nil)
