package directory

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"burrow/api"
	"burrow/internal/kv"
)

// DefaultWidth and DefaultBuckets are the history that [Directory.Stats] gives
// when nothing else is asked for: the last hour, minute by minute.
const (
	DefaultWidth   = "1m"
	DefaultBuckets = 60
)

// width is one resolution of the history.
type width struct {
	name  string
	width time.Duration
	keep  time.Duration // how far back it goes
}

func widths() []width {
	const day = 24 * time.Hour
	return []width{
		{"1s", time.Second, time.Hour},
		{"1m", time.Minute, 7 * day},
		{"1h", time.Hour, 365 * day},
	}
}

// Stats is the state of the network with the last limit buckets of the width
// ("1s", "1m" or "1h"; "" and 0 mean the defaults), oldest first and without
// gaps; the last one is still growing. Buckets go back an hour, a week and a
// year; a limit beyond that is a [api.FieldError].
func (d *Directory) Stats(ctx context.Context, name string, limit int) (api.NetworkStats, error) {
	w, limit, err := window(name, limit)
	if err != nil {
		return api.NetworkStats{}, err
	}
	sum, err := read[sumRecord](ctx, d.store, sumKey)
	if err != nil {
		return api.NetworkStats{}, err
	}
	stats := api.NetworkStats{States: states(sum.value.States), CPU: sum.value.CPU}
	for _, p := range d.GetClients() {
		stats.Peers++
		stats.Slots += p.Slots
		stats.Running += p.Running
		stats.Queued += p.Queued
	}
	stats.Buckets, err = d.buckets(ctx, w, limit, time.Now())
	return stats, err
}

func window(name string, limit int) (width, int, error) {
	if name == "" {
		name = DefaultWidth
	}
	for _, w := range widths() {
		if w.name != name {
			continue
		}
		most := int(w.keep / w.width)
		if limit < 0 || limit > most {
			return width{}, 0, api.Invalid("limit", "is %d; accepted is 1 to %d for width %s", limit, most, name)
		}
		if limit == 0 {
			limit = min(DefaultBuckets, most)
		}
		return w, limit, nil
	}
	return width{}, 0, api.Invalid("width", "is %.16q; accepted are 1s, 1m and 1h", name)
}

func (d *Directory) buckets(ctx context.Context, w width, limit int, now time.Time) ([]api.Bucket, error) {
	first := now.Truncate(w.width).Add(-time.Duration(limit-1) * w.width)
	list := make([]api.Bucket, limit)
	for i := range list {
		list[i] = api.Bucket{Start: first.Add(time.Duration(i) * w.width).UTC(), Width: api.Duration(w.width), States: states(nil)}
	}
	var bad error
	after := bucketKey(w.name, first.Unix()-1)
	err := walk(ctx, d.store, bucketPrefix(w.name), after, func(e kv.Entry) bool {
		var sum sumRecord
		start, err := bucketStart(e.Key)
		if err == nil {
			err = json.Unmarshal(e.Value, &sum)
		}
		if err != nil {
			bad = fmt.Errorf("read %s: %w", e.Key, err)
			return false
		}
		// A clock that was set back leaves buckets in the future.
		if i := int(start.Sub(first) / w.width); i >= 0 && i < limit {
			list[i].States, list[i].CPU = states(sum.States), sum.CPU
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	return list, bad
}

// pruneBuckets deletes history that is over its time.
func (d *Directory) pruneBuckets(ctx context.Context, now time.Time) error {
	for _, w := range widths() {
		cutoff := bucketKey(w.name, now.Add(-w.keep).Truncate(w.width).Unix())
		err := prune(ctx, d.store, bucketPrefix(w.name), func(e kv.Entry) (bool, bool) {
			return e.Key < cutoff, e.Key < cutoff
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func bucketStart(key string) (time.Time, error) {
	var sec int64
	_, err := fmt.Sscanf(key[strings.LastIndexByte(key, '/')+1:], "%d", &sec)
	return time.Unix(sec, 0), err
}

// states is never nil: JSON shows {} and not null.
func states(m map[api.JobState]int64) map[api.JobState]int64 {
	if m == nil {
		m = map[api.JobState]int64{}
	}
	return m
}
