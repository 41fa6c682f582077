package queue

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"time"

	"burrow/api"
	"burrow/internal/kv"
)

// Lease is the right to run a job: whoever holds it may append output and
// finish. Token fences off everyone else.
type Lease struct {
	ID    string
	Token int64
	Spec  api.JobSpec
	// Cancelled is closed when the lease no longer holds, such as after
	// [Queue.Cancel]: stop the program.
	Cancelled <-chan struct{}
}

var errNoneWaits = errors.New("no job waits")

// Lease waits for a job and starts its next attempt, durably, before it
// returns. It ends with ctx's error.
func (q *Queue) Lease(ctx context.Context) (Lease, error) {
	for {
		// A slot that shuts down must not take back what it has just given back.
		if err := ctx.Err(); err != nil {
			q.poke()
			return Lease{}, err
		}
		l, err := q.tryLease(ctx)
		if !errors.Is(err, errNoneWaits) {
			q.poke() // wake the next waiter: there may be more jobs
			return l, err
		}
		select {
		case <-q.ready:
		case <-ctx.Done():
			return Lease{}, ctx.Err()
		case <-q.closed:
			return Lease{}, errClosed
		}
	}
}

func (q *Queue) tryLease(ctx context.Context) (Lease, error) {
	q.mu.Lock()
	n := len(q.queued)
	q.mu.Unlock()
	if n == 0 {
		return Lease{}, errNoneWaits
	}
	var (
		l      Lease
		popped []waitItem
		stop   = make(chan struct{})
	)
	pushBack := func() {
		q.mu.Lock()
		for _, item := range popped {
			q.pushWaiting(item)
		}
		q.mu.Unlock()
		popped = nil
	}
	c := &change{
		run: func(tx kv.Tx) error {
			pushBack() // the store may run a change again
			for {
				item, ok := q.popWaiting()
				if !ok {
					return errNoneWaits
				}
				popped = append(popped, item)
				var r record
				if err := getJSON(tx, jobKey(item.id), &r); err != nil {
					return &storeFault{err: err}
				}
				// A cancel in the same batch is not yet in memory.
				if err := r.lease(time.Now().UTC(), q.cfg.Peer); err != nil {
					continue
				}
				l = Lease{ID: item.id, Token: r.Token, Cancelled: stop}
				if err := getJSON(tx, specKey(item.id), &l.Spec); err != nil {
					return &storeFault{err: err}
				}
				return written(setJSON(tx, jobKey(item.id), r))
			}
		},
		committed: func() {
			q.mu.Lock()
			q.running[l.ID] = &run{token: l.Token, cancelled: stop}
			q.changed(l.ID)
			q.mu.Unlock()
		},
		undone: pushBack,
	}
	if err := q.apply(ctx, c); err != nil {
		return Lease{}, fmt.Errorf("lease: %w", err)
	}
	return l, nil
}

// popWaiting takes the first job that still waits.
func (q *Queue) popWaiting() (waitItem, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.waiting.Len() > 0 {
		item := heap.Pop(&q.waiting).(waitItem)
		if _, ok := q.queued[item.id]; ok {
			delete(q.queued, item.id)
			return item, true
		}
	}
	return waitItem{}, false
}
