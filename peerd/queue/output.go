package queue

import (
	"context"
	"errors"
	"fmt"

	"burrow/api"
	"burrow/internal/kv"
)

// MaxChunk bounds the data of one [Chunk], in bytes.
const MaxChunk = 32 << 10

// readChunks is how many chunks one [Queue.Output] returns at most.
const readChunks = 64

// Chunk is a piece of a program's output, in order of arrival.
type Chunk struct {
	Stream api.Stream
	Data   []byte
}

// Append stores output of a running attempt, durably. api.ErrLeaseLost if the
// lease no longer holds.
func (q *Queue) Append(ctx context.Context, l Lease, chunks []Chunk) error {
	return q.apply(ctx, &change{
		run: func(tx kv.Tx) error {
			var r record
			if err := getJob(tx, l.ID, &r); err != nil {
				return err
			}
			if err := r.holds(l.Token); err != nil {
				return err
			}
			return written(q.writeChunks(tx, l.ID, l.Token, chunks)...)
		},
		committed: func() {
			q.mu.Lock()
			q.changed(l.ID)
			q.mu.Unlock()
		},
	})
}

// writeChunks numbers the chunks and writes them. A number whose commit failed
// stays unused; readers go by order alone.
func (q *Queue) writeChunks(tx kv.Tx, id string, token int64, chunks []Chunk) (errs []error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	run := q.running[id]
	if run == nil {
		return nil
	}
	for _, c := range chunks {
		errs = append(errs, tx.Set(outKey(id, token, run.chunks), append([]byte{streamByte(c.Stream)}, c.Data...)))
		run.chunks++
	}
	return errs
}

func streamByte(s api.Stream) byte {
	if s == api.Stderr {
		return 2
	}
	return 1
}

// OutputPage is what [Queue.Output] read.
type OutputPage struct {
	Attempt int64 // token of the attempt that wrote Chunks; 0 before the first
	Chunks  []Chunk
	Next    string // where to read on within Attempt
	More    bool   // there is more on disk already
	State   api.JobState
}

// Output reads the output of a job's newest attempt from after on (an
// OutputPage.Next of the same attempt, or ""). When attempt is no longer the
// newest one, it starts from the new attempt's first byte.
func (q *Queue) Output(ctx context.Context, id string, attempt int64, after string) (OutputPage, error) {
	var p OutputPage
	err := q.db.View(ctx, func(tx kv.Tx) error {
		var r record
		if err := getJob(tx, id, &r); err != nil {
			return err
		}
		p.Attempt, p.State, p.Next = r.Token, r.Job.State, after
		if r.Token != attempt {
			p.Next = ""
		}
		if r.Token == 0 || r.Job.State == api.StateQueued {
			return nil // what a lost attempt printed does not count
		}
		start := p.Next
		if start != "" {
			start += "\x00" // the key right behind
		}
		return tx.Scan(outAttempt(id, r.Token), start, func(key string, v []byte) bool {
			if len(p.Chunks) == readChunks {
				p.More = true
				return false
			}
			p.Chunks, p.Next = append(p.Chunks, decodeChunk(v)), key
			return true
		})
	})
	return p, err
}

func decodeChunk(v []byte) Chunk {
	if len(v) == 0 {
		return Chunk{Stream: api.Stdout}
	}
	c := Chunk{Stream: api.Stdout, Data: append([]byte(nil), v[1:]...)}
	if v[0] == 2 {
		c.Stream = api.Stderr
	}
	return c
}

// Follow passes the output of a job to fn, chunk by chunk, and, with wait,
// goes on until the job is final. It returns the state that it saw last.
// Before the output of another attempt, fn is called with that attempt's
// token and no chunk.
func (q *Queue) Follow(ctx context.Context, id string, wait bool, fn func(attempt int64, c *Chunk) error) (api.JobState, error) {
	var p OutputPage
	for {
		changed := q.Watch(id)
		next, err := q.Output(ctx, id, p.Attempt, p.Next)
		if err != nil {
			q.unwatch(id, changed)
			return "", err
		}
		if next.Attempt != p.Attempt {
			if err := fn(next.Attempt, nil); err != nil {
				return next.State, err
			}
		}
		for i := range next.Chunks {
			if err := fn(next.Attempt, &next.Chunks[i]); err != nil {
				return next.State, err
			}
		}
		p = next
		if p.More {
			continue
		}
		if p.State.Final() || !wait {
			q.unwatch(id, changed)
			return p.State, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return p.State, ctx.Err()
		case <-q.closed:
			return p.State, errClosed
		}
	}
}

// Wait blocks until the job is final or ctx ends, and returns it either way.
func (q *Queue) Wait(ctx context.Context, id string) (api.Job, error) {
	for {
		changed := q.Watch(id)
		job, err := q.Get(context.WithoutCancel(ctx), id)
		if err != nil || job.State.Final() {
			q.unwatch(id, changed)
			return job, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return job, nil
		case <-q.closed:
			return job, nil
		}
	}
}

// unwatch forgets a channel that nobody can wake any more, so that asking for
// unknown jobs does not fill the memory.
func (q *Queue) unwatch(id string, ch <-chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	_, queued := q.queued[id]
	if _, running := q.running[id]; !queued && !running && q.watchers[id] == ch {
		q.changed(id)
	}
}

// Get returns a job without spec and output: api.ErrNotFound if there is none.
func (q *Queue) Get(ctx context.Context, id string) (api.Job, error) {
	var r record
	err := q.db.View(ctx, func(tx kv.Tx) error { return getJob(tx, id, &r) })
	return r.Job, err
}

// Spec returns what the job was submitted with, defaults filled in.
func (q *Queue) Spec(ctx context.Context, id string) (api.JobSpec, error) {
	var s api.JobSpec
	err := q.db.View(ctx, func(tx kv.Tx) error { return getJSON(tx, specKey(id), &s) })
	if errors.Is(err, kv.ErrNotFound) {
		return s, fmt.Errorf("job %.40q: %w", id, api.ErrNotFound)
	}
	return s, err
}
