package worker_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"burrow/api"
	"burrow/api/executor"
	"burrow/internal/kv/badgerkv"
	"burrow/peerd/queue"
	"burrow/peerd/worker"
)

// scripted is an executor whose programs are Go functions, chosen by the
// job's source; the real one has its own tests and internal/e2e.
type scripted struct {
	run   func(ctx context.Context, req executor.Request, out executor.OutputFunc) (api.Outcome, error)
	calls atomic.Int64
}

func (s *scripted) Describe(context.Context) (executor.Description, error) {
	return executor.Description{}, nil
}

func (s *scripted) Run(ctx context.Context, req executor.Request, out executor.OutputFunc) (api.Outcome, error) {
	s.calls.Add(1)
	return s.run(ctx, req, out)
}

// start runs a worker on a fresh queue; stop ends it and waits.
func start(t *testing.T, slots int, s *scripted) (q *queue.Queue, stop func()) {
	t.Helper()
	db, err := badgerkv.OpenMemory()
	if err != nil {
		t.Fatal(err)
	}
	q, err = queue.Open(t.Context(), db, queue.Config{Peer: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- worker.New(q, s, slots).Run(ctx) }()
	stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
		done <- nil
	}
	t.Cleanup(func() {
		stop()
		q.Close()
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return q, stop
}

func submit(t *testing.T, q *queue.Queue, source string) string {
	t.Helper()
	job, _, err := q.Enqueue(t.Context(), api.JobSpec{Source: source}, "")
	if err != nil {
		t.Fatal(err)
	}
	return job.ID
}

func wait(t *testing.T, q *queue.Queue, id string) api.Job {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	job, err := q.Wait(ctx, id)
	if err != nil || !job.State.Final() {
		t.Fatalf("job %s is %s, %v", id, job.State, err)
	}
	return job
}

func output(t *testing.T, q *queue.Queue, id string) string {
	t.Helper()
	var b strings.Builder
	_, err := q.Follow(t.Context(), id, false, func(_ int64, c *queue.Chunk) error {
		if c != nil {
			b.Write(c.Data)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Ensure that every byte of the output is there, in order, however it comes.
func TestOutputIsComplete(t *testing.T) {
	t.Parallel()
	var want strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&want, "line %d %s\n", i, strings.Repeat("x", i%200))
	}
	s := &scripted{run: func(_ context.Context, _ executor.Request, out executor.OutputFunc) (api.Outcome, error) {
		text := want.String()
		for n := 1; len(text) > 0; n = n*7%100_003 + 1 {
			n := min(n, len(text))
			if err := out(api.Stdout, []byte(text[:n])); err != nil {
				return api.Outcome{}, err
			}
			text = text[n:]
		}
		return api.Outcome{State: api.StateSucceeded}, nil
	}}
	q, _ := start(t, 1, s)
	id := submit(t, q, "x")
	if job := wait(t, q, id); job.State != api.StateSucceeded {
		t.Fatalf("job = %+v", job)
	}
	if got := output(t, q, id); got != want.String() {
		t.Errorf("output has %d bytes, want %d", len(got), want.Len())
	}
}

// Ensure that a job whose executor died runs again, and only its last
// attempt's output counts.
func TestLostAttemptRunsAgain(t *testing.T) {
	t.Parallel()
	s := &scripted{run: func(_ context.Context, req executor.Request, out executor.OutputFunc) (api.Outcome, error) {
		if err := out(api.Stdout, fmt.Appendf(nil, "attempt %d", req.Attempt)); err != nil {
			return api.Outcome{}, err
		}
		if req.Attempt == 1 {
			return api.Outcome{}, fmt.Errorf("gone: %w", api.ErrExecutorLost)
		}
		return api.Outcome{State: api.StateFailed, ExitCode: 7}, nil
	}}
	q, _ := start(t, 1, s)
	id := submit(t, q, "x")
	job := wait(t, q, id)
	if job.State != api.StateFailed || job.Outcome.ExitCode != 7 || len(job.Attempts) != 2 || job.Attempts[0].End != "lost" {
		t.Errorf("job = %+v", job)
	}
	if got := output(t, q, id); got != "attempt 2" {
		t.Errorf("output = %q", got)
	}
	if n := s.calls.Load(); n != 2 {
		t.Errorf("ran %d times; a program that failed must not run again", n)
	}
}

// Ensure that cancelling stops the program, and that the slot takes the next job.
func TestCancelStopsTheProgram(t *testing.T) {
	t.Parallel()
	started := make(chan string, 1)
	s := &scripted{run: func(ctx context.Context, req executor.Request, _ executor.OutputFunc) (api.Outcome, error) {
		if req.Spec.Source == "next" {
			return api.Outcome{State: api.StateSucceeded}, nil
		}
		started <- req.Job
		<-ctx.Done()
		return api.Outcome{}, ctx.Err()
	}}
	q, _ := start(t, 1, s)
	id := submit(t, q, "forever")
	<-started
	if _, err := q.Cancel(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if job := wait(t, q, submit(t, q, "next")); job.State != api.StateSucceeded {
		t.Errorf("next job = %+v", job)
	}
	if job := wait(t, q, id); job.State != api.StateCancelled {
		t.Errorf("cancelled job = %+v", job)
	}
}

// Ensure that a clean shutdown gives running jobs back, uncounted.
func TestShutdownGivesBack(t *testing.T) {
	t.Parallel()
	started := make(chan struct{}, 100)
	s := &scripted{run: func(ctx context.Context, _ executor.Request, _ executor.OutputFunc) (api.Outcome, error) {
		started <- struct{}{}
		<-ctx.Done()
		return api.Outcome{}, ctx.Err()
	}}
	q, stop := start(t, 2, s)
	ids := []string{submit(t, q, "a"), submit(t, q, "b")}
	<-started
	<-started
	stop()
	for _, id := range ids {
		job, err := q.Get(t.Context(), id)
		if err != nil || job.State != api.StateQueued || job.Attempts[0].End != "returned" {
			t.Errorf("job = %+v, %v", job, err)
		}
		if n := len(job.Attempts); n != 1 {
			t.Errorf("%d attempts: a slot took the job again while it shut down", n)
		}
	}
}

// Ensure that slots bound what runs at once.
func TestSlots(t *testing.T) {
	t.Parallel()
	var now, most atomic.Int64
	s := &scripted{run: func(context.Context, executor.Request, executor.OutputFunc) (api.Outcome, error) {
		n := now.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		now.Add(-1)
		return api.Outcome{State: api.StateSucceeded}, nil
	}}
	q, _ := start(t, 3, s)
	var ids []string
	for range 200 {
		ids = append(ids, submit(t, q, "x"))
	}
	for _, id := range ids {
		wait(t, q, id)
	}
	if most.Load() > 3 || s.calls.Load() != 200 {
		t.Errorf("%d ran at once on 3 slots, %d calls for 200 jobs", most.Load(), s.calls.Load())
	}
}

// Ensure that an executor's odd error loses the attempt, bounded by retries.
func TestErrorsAreBounded(t *testing.T) {
	t.Parallel()
	s := &scripted{run: func(context.Context, executor.Request, executor.OutputFunc) (api.Outcome, error) {
		return api.Outcome{}, errors.New("boom")
	}}
	q, _ := start(t, 1, s)
	job := wait(t, q, submit(t, q, "x"))
	if job.State != api.StateLost || !strings.Contains(job.Outcome.Message, "boom") || s.calls.Load() != api.DefaultRetries+1 {
		t.Errorf("job = %+v after %d calls", job.Outcome, s.calls.Load())
	}
}
