package queue

import (
	"context"
	"strings"

	"burrow/api"
	"burrow/internal/kv"
)

// List returns up to limit jobs, newest first, of one state ("" for all), from
// cursor on ("" for the newest; else the next that an earlier call returned).
func (q *Queue) List(ctx context.Context, state api.JobState, cursor string, limit int) (jobs []api.Job, next string, err error) {
	if strings.Trim(cursor, "0123456789abcdef") != "" || (cursor != "" && len(cursor) != 16) {
		return nil, "", api.Invalid("cursor", "is not one that an earlier page gave as next")
	}
	start := ""
	if cursor != "" {
		start = seqPrefix + cursor
	}
	err = q.db.View(ctx, func(tx kv.Tx) error {
		var inner error
		err := tx.ScanReverse(seqPrefix, start, func(key string, id []byte) bool {
			if inner = ctx.Err(); inner != nil {
				return false
			}
			var r record
			if inner = getJob(tx, string(id), &r); inner != nil {
				return false
			}
			if state != "" && r.Job.State != state {
				return true
			}
			if len(jobs) == limit {
				next = strings.TrimPrefix(key, seqPrefix)
				return false
			}
			jobs = append(jobs, r.Job)
			return true
		})
		if inner != nil {
			return inner
		}
		return err
	})
	return jobs, next, err
}
