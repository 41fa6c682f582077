// Package worker runs a peer's jobs: each slot leases a job from the queue,
// hands it to the executor, stores its output while it runs and records the
// one result.
package worker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"burrow/api"
	"burrow/api/executor"
	"burrow/peerd/queue"
)

// finishTimeout bounds the write of a result while the daemon shuts down.
const finishTimeout = 5 * time.Second

// Worker runs jobs on a fixed number of slots.
type Worker struct {
	queue *queue.Queue
	exec  executor.Executor
	slots int
	busy  atomic.Int64
}

// New returns a worker with the given number of slots (at least 1).
func New(q *queue.Queue, ex executor.Executor, slots int) *Worker {
	return &Worker{queue: q, exec: ex, slots: max(1, slots)}
}

// Slots is the number of jobs that run at once.
func (w *Worker) Slots() int { return w.slots }

// Busy is the number of slots that run a job now.
func (w *Worker) Busy() int { return int(w.busy.Load()) }

// Run works until ctx ends. Jobs that run then are killed and given back to
// the queue, from the start.
func (w *Worker) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var slots sync.WaitGroup
	for range w.slots {
		slots.Go(func() {
			if err := w.runSlot(ctx); err != nil {
				cancel(err)
			}
		})
	}
	slots.Wait()
	if err := context.Cause(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("worker: %w", err)
	}
	return nil
}

func (w *Worker) runSlot(ctx context.Context) error {
	for ctx.Err() == nil {
		// A job is leased only when the executor is there to take it, so that
		// a waiting job says that it waits.
		if _, err := w.exec.Describe(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			zerolog.Ctx(ctx).Warn().Err(err).Msg("executor not ready")
			if !sleep(ctx, time.Second) {
				return nil
			}
			continue
		}
		l, err := w.queue.Lease(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err // the data folder cannot be written: stop, loudly
		}
		w.busy.Add(1)
		err = w.runJob(ctx, l)
		w.busy.Add(-1)
		if err != nil {
			return err
		}
	}
	return nil
}

// runJob runs one attempt. It returns an error only where the queue's store
// is at fault.
func (w *Worker) runJob(ctx context.Context, l queue.Lease) error {
	log := zerolog.Ctx(ctx).With().Str("job", l.ID).Int64("attempt", l.Token).Logger()
	runCtx, cancel := context.WithCancel(log.WithContext(ctx))
	defer cancel()
	go func() {
		select {
		case <-l.Cancelled:
			cancel()
		case <-runCtx.Done():
		}
	}()

	log.Debug().Msg("job started")
	out := newOutput(runCtx, w.queue, l)
	outcome, err := w.exec.Run(runCtx, executor.Request{Job: l.ID, Attempt: l.Token, Spec: l.Spec}, out.write)
	rest, outErr := out.close()

	// The result must reach the disk also while ctx is already ending.
	ctx, cancelWrite := context.WithTimeout(context.WithoutCancel(ctx), finishTimeout)
	defer cancelWrite()
	switch {
	case isClosed(l.Cancelled):
		err = nil // its end is recorded already
	case err == nil && outErr == nil:
		err = w.queue.Finish(ctx, l, outcome, rest)
		log.Debug().Str("state", string(outcome.State)).Err(err).Msg("job finished")
	case runCtx.Err() != nil:
		err = w.queue.GiveBack(ctx, l, "the peer shut down")
	case outErr != nil && !errors.Is(outErr, api.ErrLeaseLost):
		err = outErr
	default:
		log.Warn().Err(err).Msg("attempt lost")
		err = w.queue.Lose(ctx, l, reason(err))
	}
	if errors.Is(err, api.ErrLeaseLost) {
		log.Info().Msg("late result dropped")
		return nil
	}
	return err
}

// reason words an executor's error for the job's timeline.
func reason(err error) string {
	if errors.Is(err, api.ErrExecutorLost) {
		return "the executor died"
	}
	return "the executor answered: " + err.Error()
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// sleep waits for d and reports whether ctx is still alive.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
