package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"burrow/api"
	"burrow/internal/kv"
)

// Finish records the outcome of a job with the last of its output, in one
// transaction. api.ErrLeaseLost if the lease no longer holds: the outcome is
// then dropped, the job has or gets another.
func (q *Queue) Finish(ctx context.Context, l Lease, o api.Outcome, rest []Chunk) error {
	_, err := q.move(ctx, l.ID, rest, func(r *record) error { return r.finish(time.Now().UTC(), l.Token, o) })
	return err
}

// Lose ends an attempt whose executor died. The job waits again, or ends as
// lost when it has no retries left.
func (q *Queue) Lose(ctx context.Context, l Lease, reason string) error {
	_, err := q.move(ctx, l.ID, nil, func(r *record) error { return r.lose(time.Now().UTC(), l.Token, reason) })
	return err
}

// GiveBack returns a job that was not run to its end, such as at a clean
// shutdown, without counting the attempt as lost.
func (q *Queue) GiveBack(ctx context.Context, l Lease, reason string) error {
	_, err := q.move(ctx, l.ID, nil, func(r *record) error { return r.giveBack(time.Now().UTC(), l.Token, reason) })
	return err
}

// Cancel ends a job that waits or runs; a running program is stopped through
// Lease.Cancelled. api.ErrNotFound, or api.ErrConflict if it has ended.
func (q *Queue) Cancel(ctx context.Context, id string) (api.Job, error) {
	r, err := q.move(ctx, id, nil, func(r *record) error { return r.cancel(time.Now().UTC()) })
	if err != nil {
		return api.Job{}, err
	}
	return r.Job, nil
}

// move applies one transition of the state machine, with everything that
// follows from the new state, in one transaction.
func (q *Queue) move(ctx context.Context, id string, rest []Chunk, transition func(*record) error) (*record, error) {
	var r record
	var totals api.Totals
	c := &change{
		run: func(tx kv.Tx) error {
			r = record{}
			if err := getJob(tx, id, &r); err != nil {
				return err
			}
			token, wasRunning := r.Token, r.Job.State == api.StateRunning
			if err := transition(&r); err != nil {
				return err
			}
			errs := []error{setJSON(tx, jobKey(id), r)}
			switch {
			case r.Job.State.Final():
				var err error
				totals, err = q.addTotals(tx, &r)
				errs = append(errs, err)
				errs = append(errs, setJSON(tx, totalsKey, totals), tx.Delete(liveKey(r.Seq)), tx.Set(doneKey(&r), nil))
				errs = append(errs, q.writeChunks(tx, id, token, rest)...)
			case wasRunning:
				// The output of an attempt that does not count goes; the reaper
				// empties the trash in small transactions.
				errs = append(errs, tx.Set(trashKey(outAttempt(id, token)), nil))
			}
			return written(errs...)
		},
		committed: func() { q.moved(&r, totals) },
	}
	if err := q.apply(ctx, c); err != nil {
		return nil, err
	}
	return &r, nil
}

// moved brings the memory up to the committed state.
func (q *Queue) moved(r *record, totals api.Totals) {
	q.mu.Lock()
	defer q.mu.Unlock()
	id := r.Job.ID
	if run, ok := q.running[id]; ok {
		close(run.cancelled)
		delete(q.running, id)
	}
	delete(q.queued, id)
	if r.Job.State.Final() {
		q.totals = totals
		q.finished++
	} else {
		q.pushWaiting(r.item())
	}
	q.changed(id)
}

// addTotals returns the totals with the ended job in them. It reads them from
// tx, because an earlier change of the same batch may have counted there.
func (q *Queue) addTotals(tx kv.Tx, r *record) (api.Totals, error) {
	t := api.Totals{States: map[api.JobState]int64{}}
	switch err := getJSON(tx, totalsKey, &t); {
	case errors.Is(err, kv.ErrNotFound):
		t.Boot = q.Totals().Boot
	case err != nil:
		return t, err
	}
	t.States[r.Job.State]++
	t.CPU += r.Job.Outcome.Usage.CPU
	t.Wall += r.Job.Outcome.Usage.Wall
	return t, nil
}

func getJob(tx kv.Tx, id string, r *record) error {
	err := getJSON(tx, jobKey(id), r)
	if errors.Is(err, kv.ErrNotFound) {
		return fmt.Errorf("job %.40q: %w; GET /v1/jobs lists them", id, api.ErrNotFound)
	}
	return err
}
