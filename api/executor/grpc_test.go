package executor

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	plugin "github.com/hashicorp/go-plugin"

	"burrow/api"
)

// fake is an executor made of two functions.
type fake struct {
	describe func(context.Context) (Description, error)
	run      func(context.Context, Request, OutputFunc) (api.Outcome, error)
}

func (f fake) Describe(ctx context.Context) (Description, error) { return f.describe(ctx) }

func (f fake) Run(ctx context.Context, req Request, out OutputFunc) (api.Outcome, error) {
	return f.run(ctx, req, out)
}

// connect serves impl over go-plugin's real gRPC and returns the host's side.
// stop is the plugin's sudden end.
func connect(t *testing.T, impl Executor) (host Executor, stop func()) {
	t.Helper()
	client, server := plugin.TestPluginGRPCConn(t, false, Plugins(impl))
	stop = sync.OnceFunc(server.Stop)
	t.Cleanup(func() {
		stop()
		_ = client.Conn.Close()
	})
	raw, err := client.Dispense(PluginName)
	if err != nil {
		t.Fatal(err)
	}
	return raw.(Executor), stop
}

func ignore(api.Stream, []byte) error { return nil }

func TestRunPassesEverything(t *testing.T) {
	t.Parallel()
	want := filled[Request]()
	want.Spec.Stdin = strings.Repeat("stdin ", 500_000) // several chunks
	outcome := filled[api.Outcome]()
	big := bytes.Repeat([]byte("0123456789abcde\n"), 10_000) // over maxChunk
	e, _ := connect(t, fake{run: func(_ context.Context, req Request, out OutputFunc) (api.Outcome, error) {
		if diff := cmp.Diff(want, req); diff != "" {
			t.Errorf("request (-want +got):\n%s", diff)
		}
		if err := out(api.Stderr, []byte{0xff, 0}); err != nil {
			return api.Outcome{}, err
		}
		return outcome, out(api.Stdout, big)
	}})
	var stdout, stderr []byte
	got, err := e.Run(t.Context(), want, func(stream api.Stream, data []byte) error {
		if len(data) > maxChunk {
			t.Errorf("chunk of %d bytes", len(data))
		}
		if stream == api.Stdout {
			stdout = append(stdout, data...)
		} else {
			stderr = append(stderr, data...)
		}
		return nil
	})
	if err != nil || !cmp.Equal(got, outcome) {
		t.Errorf("Run = %+v, %v", got, err)
	}
	if !bytes.Equal(stdout, big) || !bytes.Equal(stderr, []byte{0xff, 0}) {
		t.Errorf("got %d and %d bytes of output", len(stdout), len(stderr))
	}
}

func TestErrorsKeepTheirKind(t *testing.T) {
	t.Parallel()
	for _, want := range []error{api.ErrUnavailable, api.ErrInvalid, api.ErrTooLarge, api.ErrNotFound} {
		e, _ := connect(t, fake{run: func(context.Context, Request, OutputFunc) (api.Outcome, error) {
			return api.Outcome{}, want
		}})
		if _, err := e.Run(t.Context(), Request{}, ignore); !errors.Is(err, want) || errors.Is(err, api.ErrExecutorLost) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
	e, _ := connect(t, fake{run: func(context.Context, Request, OutputFunc) (api.Outcome, error) {
		return api.Outcome{}, api.Invalid("limits.wall", "too long")
	}})
	var field *api.FieldError
	if _, err := e.Run(t.Context(), Request{}, ignore); !errors.As(err, &field) || field.Field != "limits.wall" || field.Detail != "too long" {
		t.Errorf("got %v, want the FieldError", err)
	}
	e, _ = connect(t, fake{run: func(context.Context, Request, OutputFunc) (api.Outcome, error) {
		return api.Outcome{}, errors.New("no fork")
	}})
	if _, err := e.Run(t.Context(), Request{}, ignore); err == nil || err.Error() != "no fork" || errors.Is(err, api.ErrExecutorLost) {
		t.Errorf("got %v, want the executor's own error", err)
	}
}

func TestCancelWaitsForTheProgramsEnd(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{})
	e, _ := connect(t, fake{run: func(ctx context.Context, _ Request, out OutputFunc) (api.Outcome, error) {
		if err := out(api.Stdout, []byte("up")); err != nil {
			return api.Outcome{}, err
		}
		<-ctx.Done()
		close(ended)
		return api.Outcome{}, ctx.Err()
	}})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := e.Run(ctx, Request{}, func(api.Stream, []byte) error {
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	select {
	case <-ended:
	default:
		t.Error("Run returned before the program had ended")
	}
}

func TestErrorOfOutputEndsTheProgram(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{})
	e, _ := connect(t, fake{run: func(ctx context.Context, _ Request, out OutputFunc) (api.Outcome, error) {
		_ = out(api.Stdout, []byte("up"))
		<-ctx.Done()
		close(ended)
		return api.Outcome{}, ctx.Err()
	}})
	full := errors.New("disk full")
	if _, err := e.Run(t.Context(), Request{}, func(api.Stream, []byte) error { return full }); !errors.Is(err, full) {
		t.Errorf("got %v, want the error of out", err)
	}
	<-ended
}

func TestDeadExecutorIsLost(t *testing.T) {
	t.Parallel()
	up := make(chan struct{})
	e, stop := connect(t, fake{run: func(ctx context.Context, _ Request, _ OutputFunc) (api.Outcome, error) {
		close(up)
		<-ctx.Done()
		return api.Outcome{}, ctx.Err()
	}})
	go func() {
		<-up
		stop()
	}()
	if _, err := e.Run(t.Context(), Request{}, ignore); !errors.Is(err, api.ErrExecutorLost) {
		t.Errorf("got %v, want ErrExecutorLost", err)
	}
	if _, err := e.Run(t.Context(), Request{}, ignore); !errors.Is(err, api.ErrExecutorLost) {
		t.Errorf("after its death: got %v, want ErrExecutorLost", err)
	}
}

func TestTooLargeJobIsRefused(t *testing.T) {
	t.Parallel()
	e, _ := connect(t, fake{run: func(context.Context, Request, OutputFunc) (api.Outcome, error) {
		return api.Outcome{}, nil
	}})
	req := Request{Spec: api.JobSpec{Source: strings.Repeat("x", maxMessage)}}
	if _, err := e.Run(t.Context(), req, ignore); !errors.Is(err, api.ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
}

func TestDescribePasses(t *testing.T) {
	t.Parallel()
	want := filled[Description]()
	e, _ := connect(t, fake{describe: func(context.Context) (Description, error) { return want, nil }})
	got, err := e.Describe(t.Context())
	if err != nil || !cmp.Equal(want, got) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestServeNeedsAHost(t *testing.T) {
	t.Parallel()
	if err := Serve(fake{}, nil); !errors.Is(err, ErrNoHost) {
		t.Errorf("got %v, want ErrNoHost", err)
	}
}
