package queue

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"burrow/api"
	"burrow/internal/kv"
)

const (
	reapEvery = time.Minute
	reapJobs  = 50  // jobs a transaction
	reapKeys  = 500 // output keys a transaction
)

// Reap deletes what retention no longer keeps, now and then every minute,
// until ctx ends: finished jobs beyond Config.KeepFor and Config.MaxFinished,
// and the output of attempts that were lost.
func (q *Queue) Reap(ctx context.Context) error {
	tick := time.NewTicker(reapEvery)
	defer tick.Stop()
	for {
		if err := q.reapOnce(ctx); err != nil {
			if ctx.Err() != nil || errors.Is(err, errClosed) {
				return nil
			}
			return fmt.Errorf("retention: %w", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// reapOnce works in small transactions until nothing is left to delete.
func (q *Queue) reapOnce(ctx context.Context) error {
	for {
		dropped, err := q.dropJobs(ctx)
		if err != nil {
			return err
		}
		emptied, err := q.emptyTrash(ctx)
		if err != nil {
			return err
		}
		if dropped+emptied == 0 {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// dropJobs deletes the oldest finished jobs that are over the bounds.
func (q *Queue) dropJobs(ctx context.Context) (n int, err error) {
	oldest := time.Now().Add(-q.cfg.KeepFor).UnixNano()
	err = q.apply(ctx, &change{
		run: func(tx kv.Tx) error {
			surplus := q.Counts().Finished - q.cfg.MaxFinished
			var keys []string
			err := tx.Scan(donePrefix, "", func(key string, _ []byte) bool {
				at, _, _ := strings.Cut(strings.TrimPrefix(key, donePrefix), "/")
				ended, _ := strconv.ParseInt(at, 16, 64)
				if len(keys) == reapJobs || (len(keys) >= surplus && ended >= oldest) {
					return false
				}
				keys = append(keys, key)
				return true
			})
			if err != nil {
				return &storeFault{err: err}
			}
			n = len(keys)
			for _, key := range keys {
				if err := dropJob(tx, key); err != nil {
					return &storeFault{err: err}
				}
			}
			return nil
		},
		committed: func() {
			q.mu.Lock()
			q.finished -= n
			q.mu.Unlock()
		},
	})
	return n, err
}

func dropJob(tx kv.Tx, key string) error {
	_, id, _ := strings.Cut(strings.TrimPrefix(key, donePrefix), "/")
	var r record
	if err := getJob(tx, id, &r); errors.Is(err, api.ErrNotFound) {
		return tx.Delete(key)
	} else if err != nil {
		return err
	}
	errs := []error{
		tx.Delete(key), tx.Delete(jobKey(id)), tx.Delete(specKey(id)), tx.Delete(seqKey(r.Seq)),
		tx.Set(trashKey(outJob(id)), nil),
	}
	if r.IdemKey != "" {
		errs = append(errs, tx.Delete(idemKey(r.IdemKey)))
	}
	return errors.Join(errs...)
}

// emptyTrash deletes a bounded number of keys below the first trashed prefix.
func (q *Queue) emptyTrash(ctx context.Context) (n int, err error) {
	err = q.apply(ctx, &change{run: func(tx kv.Tx) error {
		n = 0
		trash := ""
		if err := tx.Scan(trashPrefix, "", func(key string, _ []byte) bool { trash = key; return false }); err != nil || trash == "" {
			return err
		}
		var keys []string
		err := tx.Scan(strings.TrimPrefix(trash, trashPrefix), "", func(key string, _ []byte) bool {
			keys = append(keys, key)
			return len(keys) < reapKeys
		})
		if err != nil {
			return &storeFault{err: err}
		}
		if len(keys) < reapKeys {
			keys = append(keys, trash)
		}
		for _, key := range keys {
			if err := tx.Delete(key); err != nil {
				return &storeFault{err: err}
			}
		}
		n = len(keys)
		return nil
	}})
	return n, err
}
