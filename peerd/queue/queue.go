// Package queue is a peer's durable job queue. What [Queue.Enqueue] has
// acknowledged survives kill -9 and power loss; every job gets exactly one
// result, because a finish must carry the fencing token of the attempt that
// holds the job. docs/job-states.md describes the states.
//
// A worker calls [Queue.Lease], then [Queue.Append] with output, then one of
// [Queue.Finish], [Queue.Lose] and [Queue.GiveBack].
package queue

import (
	"cmp"
	"container/heap"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"
	"time"

	"burrow/api"
	"burrow/internal/kv"
)

// Config tunes a queue; zero values mean the defaults.
type Config struct {
	Peer        string        // this peer's name, written into jobs and attempts
	MaxQueued   int           // waiting jobs; default 100,000; more get api.ErrQueueFull
	KeepFor     time.Duration // finished jobs are kept this long; default 7 days
	MaxFinished int           // finished jobs kept; default 10,000
}

// Queue is safe for concurrent use.
type Queue struct {
	db  kv.Local
	cfg Config

	changes chan *change
	closed  chan struct{} // closed by Close
	stopped chan struct{} // closed when the writer has ended
	once    sync.Once

	ready chan struct{} // poked when a job waits; one waiter wakes and pokes the next

	mu       sync.Mutex
	nextSeq  uint64
	waiting  waitHeap                 // jobs in state queued; may hold ended ones, dropped when met
	queued   map[string]uint64        // id -> seq of jobs in state queued
	running  map[string]*run          // id -> attempt that runs now
	watchers map[string]chan struct{} // id -> closed at the next change of the job or its output
	finished int                      // jobs in a final state that are kept
	totals   api.Totals
}

// run is what memory holds of a running attempt.
type run struct {
	token     int64
	chunks    int           // output chunks on disk
	cancelled chan struct{} // closed when the attempt no longer holds the job
}

// Open reads the queue from db and starts its writer. Attempts that were
// running when the process died are lost attempts: their jobs wait again.
func Open(ctx context.Context, db kv.Local, cfg Config) (*Queue, error) {
	cfg.MaxQueued = cmp.Or(cfg.MaxQueued, 100_000)
	cfg.KeepFor = cmp.Or(cfg.KeepFor, 7*24*time.Hour)
	cfg.MaxFinished = cmp.Or(cfg.MaxFinished, 10_000)
	q := &Queue{
		db: db, cfg: cfg,
		changes: make(chan *change, 256), closed: make(chan struct{}), stopped: make(chan struct{}),
		ready:  make(chan struct{}, 1),
		queued: map[string]uint64{}, running: map[string]*run{}, watchers: map[string]chan struct{}{},
		totals: api.Totals{States: map[api.JobState]int64{}},
	}
	interrupted, err := q.load(ctx)
	if err != nil {
		return nil, fmt.Errorf("open queue: %w", err)
	}
	go q.writeLoop()
	for _, l := range interrupted {
		if err := q.Lose(ctx, l, "the peer stopped while it ran"); err != nil {
			q.Close()
			return nil, fmt.Errorf("open queue: requeue job %s: %w", l.ID, err)
		}
	}
	return q, nil
}

// load fills the memory from disk and returns the attempts that died.
func (q *Queue) load(ctx context.Context) (interrupted []Lease, err error) {
	err = q.db.View(ctx, func(tx kv.Tx) error {
		if err := getJSON(tx, totalsKey, &q.totals); err != nil && !errors.Is(err, kv.ErrNotFound) {
			return err
		}
		err := tx.ScanReverse(seqPrefix, "", func(key string, _ []byte) bool {
			n, _ := strconv.ParseUint(strings.TrimPrefix(key, seqPrefix), 16, 64)
			q.nextSeq = n + 1
			return false
		})
		if err != nil {
			return err
		}
		if err := tx.Scan(donePrefix, "", func(string, []byte) bool { q.finished++; return true }); err != nil {
			return err
		}
		var ids []string
		if err := tx.Scan(livePrefix, "", func(_ string, id []byte) bool { ids = append(ids, string(id)); return true }); err != nil {
			return err
		}
		for _, id := range ids {
			var r record
			if err := getJSON(tx, jobKey(id), &r); err != nil {
				return err
			}
			if r.Job.State == api.StateRunning {
				q.running[id] = &run{token: r.Token, cancelled: make(chan struct{})}
				interrupted = append(interrupted, Lease{ID: id, Token: r.Token})
			} else {
				q.pushWaiting(r.item())
			}
		}
		return nil
	})
	if q.totals.Boot == "" {
		// Totals live as long as the data folder, so this is its id.
		q.totals.Boot = rand.Text()
	}
	return interrupted, err
}

// Close waits for changes under way and stops the writer. The store stays open.
func (q *Queue) Close() {
	q.once.Do(func() { close(q.closed) })
	<-q.stopped
}

// pushWaiting makes a job available to Lease. Caller holds mu or owns q alone.
func (q *Queue) pushWaiting(item waitItem) {
	heap.Push(&q.waiting, item)
	q.queued[item.id] = item.seq
	q.poke()
}

func (q *Queue) poke() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// changed wakes everyone who watches the job. Caller holds mu.
func (q *Queue) changed(id string) {
	if ch, ok := q.watchers[id]; ok {
		close(ch)
		delete(q.watchers, id)
	}
}

// Watch returns a channel that is closed at the next change of the job or its
// output. Take it before reading, then nothing is missed.
func (q *Queue) Watch(id string) <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	ch, ok := q.watchers[id]
	if !ok {
		ch = make(chan struct{})
		q.watchers[id] = ch
	}
	return ch
}

// Counts are the jobs at hand.
type Counts struct{ Queued, Running, Finished int }

// Counts returns how many jobs wait, run and are kept as finished.
func (q *Queue) Counts() Counts {
	q.mu.Lock()
	defer q.mu.Unlock()
	return Counts{Queued: len(q.queued), Running: len(q.running), Finished: q.finished}
}

// Ahead returns how many waiting jobs were submitted before job id, and false
// if it does not wait.
func (q *Queue) Ahead(id string) (int, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	seq, ok := q.queued[id]
	if !ok {
		return 0, false
	}
	n := 0
	for _, other := range q.queued {
		if other < seq {
			n++
		}
	}
	return n, true
}

// Totals are the counts of ended jobs since the data folder was made. They
// are written with each result, so a crash never loses or doubles one.
func (q *Queue) Totals() api.Totals {
	q.mu.Lock()
	defer q.mu.Unlock()
	return cloneTotals(q.totals)
}

func cloneTotals(t api.Totals) api.Totals {
	states := make(map[api.JobState]int64, len(t.States)+1)
	maps.Copy(states, t.States)
	t.States = states
	return t
}

// waitHeap orders waiting jobs by submission. A job that was lost keeps its
// place, so it runs before the ones that came later.
type waitHeap []waitItem

func (r *record) item() waitItem { return waitItem{seq: r.Seq, id: r.Job.ID} }

type waitItem struct {
	seq uint64
	id  string
}

func (h waitHeap) Len() int           { return len(h) }
func (h waitHeap) Less(i, j int) bool { return h[i].seq < h[j].seq }
func (h waitHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *waitHeap) Push(x any) { *h = append(*h, x.(waitItem)) }

// Pop implements heap.Interface.
func (h *waitHeap) Pop() any {
	old := *h
	item := old[len(old)-1]
	*h = old[:len(old)-1]
	return item
}
