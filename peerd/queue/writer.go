package queue

import (
	"context"
	"errors"
	"fmt"

	"burrow/api"
	"burrow/internal/kv"
)

// maxBatch is how many changes share one commit. A change writes a few small
// records (larger values lie outside Badger's tree), so a batch stays well
// below what one transaction holds.
const maxBatch = 24

// change is one write. All changes pass through one goroutine, which commits
// what is waiting as one transaction: a disk sync is the dearest part, and a
// hundred submitters share it (group commit).
type change struct {
	// run reads, decides and writes. It must check before it writes: an error
	// must leave nothing behind in tx, because other changes share it.
	run func(tx kv.Tx) error
	// committed runs after the change is on disk, in order; undone runs when
	// the commit failed. Both run on the writer, so they may touch the queue's
	// memory under its mutex. Both may be nil.
	committed func()
	undone    func()

	err  error
	done chan struct{}
}

// apply hands c to the writer and waits for the commit, which is short. ctx
// bounds only the way into the line: what the writer took is carried out.
func (q *Queue) apply(ctx context.Context, c *change) error {
	c.done = make(chan struct{})
	select {
	case q.changes <- c:
	case <-ctx.Done():
		return ctx.Err()
	case <-q.closed:
		return errClosed
	}
	select {
	case <-c.done:
		return c.err
	case <-q.stopped:
		// The writer drains before it stops, so done is closed if c was taken.
		select {
		case <-c.done:
			return c.err
		default:
			return errClosed
		}
	}
}

var errClosed = fmt.Errorf("the peer is shutting down: %w", api.ErrUnavailable)

func (q *Queue) writeLoop() {
	defer close(q.stopped)
	for {
		select {
		case c := <-q.changes:
			q.commit(q.gather(c))
		case <-q.closed:
			for {
				select {
				case c := <-q.changes:
					q.commit(q.gather(c))
				default:
					return
				}
			}
		}
	}
}

// gather takes the changes that are already waiting.
func (q *Queue) gather(first *change) []*change {
	batch := []*change{first}
	for len(batch) < maxBatch {
		select {
		case c := <-q.changes:
			batch = append(batch, c)
		default:
			return batch
		}
	}
	return batch
}

func (q *Queue) commit(batch []*change) {
	err := q.db.Update(context.Background(), func(tx kv.Tx) error {
		for _, c := range batch {
			c.err = c.run(tx)
			if c.err != nil && isStoreFault(c.err) {
				return c.err
			}
		}
		return nil
	})
	for _, c := range batch {
		switch {
		case err != nil:
			c.err = fmt.Errorf("write to the data folder: %w: %w", api.ErrUnavailable, err)
			if c.undone != nil {
				c.undone()
			}
		case c.err == nil && c.committed != nil:
			c.committed()
		}
		close(c.done)
	}
}

// storeFault marks an error of the store in the middle of a change: the whole
// batch is given up, since part of the change may be in the transaction.
type storeFault struct{ err error }

func (e *storeFault) Error() string { return e.err.Error() }
func (e *storeFault) Unwrap() error { return e.err }

func isStoreFault(err error) bool {
	var f *storeFault
	return errors.As(err, &f)
}

// written joins the errors of a change's writes into a store fault.
func written(errs ...error) error {
	if err := errors.Join(errs...); err != nil {
		return &storeFault{err: err}
	}
	return nil
}
