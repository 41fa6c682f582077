package queue

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"burrow/api"
	"burrow/internal/kv"
)

// maxIdemKey bounds an Idempotency-Key, in bytes.
const maxIdemKey = 128

// Enqueue puts a job on disk and returns it. When Enqueue has returned, the
// job survives kill -9. A key that was used before returns the job of then
// and created false; with another spec it is an api.ErrConflict. Errors: a
// api.FieldError for a bad spec, api.ErrQueueFull beyond Config.MaxQueued.
func (q *Queue) Enqueue(ctx context.Context, spec api.JobSpec, key string) (job api.Job, created bool, err error) {
	if err := spec.Validate(); err != nil {
		return api.Job{}, false, err
	}
	if len(key) > maxIdemKey {
		return api.Job{}, false, api.Invalid("Idempotency-Key", "is longer than %d bytes", maxIdemKey)
	}
	spec = spec.WithDefaults()
	specJSON, err := json.Marshal(spec)
	if err != nil {
		return api.Job{}, false, fmt.Errorf("encode spec: %w", err)
	}
	hash := sha256.Sum256(specJSON)

	r := &record{Retries: *spec.Retries, IdemKey: key, Job: api.Job{
		ID: newID(), Name: spec.Name, State: api.StateQueued, Origin: q.cfg.Peer,
		Runtime: spec.Runtime, Limits: spec.Limits, Labels: spec.Labels, CreatedAt: time.Now().UTC(),
	}}
	var earlier *record
	c := &change{
		run: func(tx kv.Tx) error {
			var err error
			if earlier, err = findIdem(tx, key, hash[:]); err != nil || earlier != nil {
				return err
			}
			if r.Seq, err = q.reserveSeq(); err != nil {
				return err
			}
			errs := []error{
				tx.Set(specKey(r.Job.ID), specJSON),
				setJSON(tx, jobKey(r.Job.ID), r),
				tx.Set(seqKey(r.Seq), []byte(r.Job.ID)),
				tx.Set(liveKey(r.Seq), []byte(r.Job.ID)),
			}
			if key != "" {
				errs = append(errs, setJSON(tx, idemKey(key), idemEntry{ID: r.Job.ID, Hash: hash[:]}))
			}
			return written(errs...)
		},
		committed: func() {
			if earlier == nil {
				q.mu.Lock()
				q.pushWaiting(r.item())
				q.mu.Unlock()
			}
		},
	}
	if err := q.apply(ctx, c); err != nil {
		return api.Job{}, false, fmt.Errorf("enqueue job: %w", err)
	}
	if earlier != nil {
		return earlier.Job, false, nil
	}
	return r.Job, true, nil
}

// reserveSeq returns the next place in line. A place whose commit failed stays
// empty; order is all that matters.
func (q *Queue) reserveSeq() (uint64, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.queued) >= q.cfg.MaxQueued {
		return 0, fmt.Errorf("%d jobs wait already; try again when some have run: %w", len(q.queued), api.ErrQueueFull)
	}
	seq := q.nextSeq
	q.nextSeq++
	return seq, nil
}

// findIdem returns the job that key stands for, or nil.
func findIdem(tx kv.Tx, key string, hash []byte) (*record, error) {
	if key == "" {
		return nil, nil
	}
	var e idemEntry
	switch err := getJSON(tx, idemKey(key), &e); {
	case errors.Is(err, kv.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	case !bytes.Equal(e.Hash, hash):
		return nil, fmt.Errorf("Idempotency-Key was used for another job (%s); use a new key: %w", e.ID, api.ErrConflict)
	}
	var r record
	if err := getJSON(tx, jobKey(e.ID), &r); err != nil {
		return nil, err
	}
	return &r, nil
}

// newID returns a job id: "j" and 80 random bits in lower-case base32.
func newID() string { return "j" + strings.ToLower(rand.Text()[:16]) }
