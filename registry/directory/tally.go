package directory

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"burrow/api"
	"burrow/internal/kv"
)

// bootKept is how long the counted totals of a boot that reports no more are
// kept. A report repeated after that would count again; no outbox is that old.
const (
	bootKept  = 90 * 24 * time.Hour
	bootTouch = 24 * time.Hour
)

// maxReports bounds the reports in one transaction: each takes a condition and
// an operation, and the sum and the three buckets do too.
const maxReports = (kv.MaxOps - 8) / 2

// bootRecord is what was counted of one peer's boot.
type bootRecord struct {
	api.Totals
	Last time.Time `json:"last"`
}

// sumRecord counts all that ended in the network, ever or in one bucket.
type sumRecord struct {
	States map[api.JobState]int64 `json:"states"`
	CPU    api.Duration           `json:"cpu"`
	Wall   api.Duration           `json:"wall"`
}

// report is one waiting call of tally.report.
type report struct {
	peer   string
	totals api.Totals
	done   chan error
}

// tally counts reports. Every one touches the network's sum, so those that
// come while a transaction is on its way to the disk share the next one.
type tally struct {
	store   kv.Store
	mu      sync.Mutex // guards waiting
	waiting []*report
	commit  sync.Mutex // held by the one that writes
}

// report counts what is new in a peer's totals, durably. Totals are monotonic
// in a boot, so that repeated and reordered reports count once.
func (t *tally) report(ctx context.Context, peer string, totals api.Totals) error {
	if totals.Boot == "" {
		return nil
	}
	// Most heartbeats bring nothing new; they need no turn.
	old, err := read[bootRecord](ctx, t.store, bootKey(peer, totals.Boot))
	if err != nil {
		return err
	}
	if _, due := old.value.advance(totals, time.Now()); !due {
		return nil
	}
	mine := &report{peer: peer, totals: totals, done: make(chan error, 1)}
	t.mu.Lock()
	t.waiting = append(t.waiting, mine)
	t.mu.Unlock()
	t.flush(ctx, mine)
	return <-mine.done
}

// flush writes batches until mine was in one: by the time that it gets its
// turn, another call may have written it.
func (t *tally) flush(ctx context.Context, mine *report) {
	t.commit.Lock()
	defer t.commit.Unlock()
	for len(mine.done) == 0 {
		t.mu.Lock()
		n := min(maxReports, len(t.waiting))
		batch := t.waiting[:n:n]
		t.waiting = t.waiting[n:]
		t.mu.Unlock()
		// The batch has other peers' reports too: one caller's end must not fail them.
		err := t.write(context.WithoutCancel(ctx), batch, time.Now())
		for _, r := range batch {
			r.done <- err
		}
	}
}

// write counts a batch in one conditional transaction.
func (t *tally) write(ctx context.Context, batch []*report, now time.Time) error {
	for range maxTries {
		conds, ops, err := t.plan(ctx, batch, now)
		if err != nil || len(ops) == 0 {
			return err
		}
		_, err = t.store.Txn(ctx, conds, ops)
		if err == nil {
			return nil
		}
		if !errors.Is(err, kv.ErrConflict) {
			return fmt.Errorf("count statistics: %w", err)
		}
	}
	return busy("count statistics")
}

func (t *tally) plan(ctx context.Context, batch []*report, now time.Time) ([]kv.Cond, []kv.Op, error) {
	boots := make(map[string]record[bootRecord], len(batch))
	delta := sumRecord{States: map[api.JobState]int64{}}
	for _, r := range batch {
		key := bootKey(r.peer, r.totals.Boot)
		old, ok := boots[key]
		if !ok {
			var err error
			if old, err = read[bootRecord](ctx, t.store, key); err != nil {
				return nil, nil, err
			}
		}
		d, due := old.value.advance(r.totals, now)
		if !due {
			continue
		}
		delta.add(d)
		old.value = bootRecord{Totals: merge(old.value.Totals, r.totals), Last: now.UTC()}
		boots[key] = old
	}
	if len(boots) == 0 {
		return nil, nil, nil
	}
	var p plan
	for _, b := range boots {
		add(&p, b)
	}
	sums := []string{sumKey}
	for _, w := range widths() {
		sums = append(sums, bucketKey(w.name, now.Truncate(w.width).Unix()))
	}
	for _, key := range sums {
		sum, err := read[sumRecord](ctx, t.store, key)
		if err != nil {
			return nil, nil, err
		}
		sum.value.add(delta)
		add(&p, sum)
	}
	return p.conds, p.ops, p.err
}

// plan collects a transaction.
type plan struct {
	conds []kv.Cond
	ops   []kv.Op
	err   error
}

func add[T any](p *plan, r record[T]) {
	op, err := r.write()
	p.err = errors.Join(p.err, err)
	p.conds, p.ops = append(p.conds, r.unchanged()), append(p.ops, op)
}

func (s *sumRecord) add(d sumRecord) {
	if s.States == nil {
		s.States = make(map[api.JobState]int64, len(d.States))
	}
	for state, n := range d.States {
		s.States[state] += n
	}
	s.CPU += d.CPU
	s.Wall += d.Wall
}

// advance is what totals count beyond the record, and whether a write is due:
// there is something to count, or the record of a boot that still lives would
// get old and be pruned. Fields that are behind were overtaken by a later report.
func (old bootRecord) advance(totals api.Totals, now time.Time) (d sumRecord, due bool) {
	d = sumRecord{States: map[api.JobState]int64{}, CPU: max(0, totals.CPU-old.CPU), Wall: max(0, totals.Wall-old.Wall)}
	for state, n := range totals.States {
		if more := n - old.States[state]; more > 0 {
			d.States[state] = more
		}
	}
	due = len(d.States) > 0 || d.CPU > 0 || d.Wall > 0
	return d, due || old.Boot != "" && now.Sub(old.Last) > bootTouch
}

// merge is the greatest of both, field by field.
func merge(old, totals api.Totals) api.Totals {
	m := api.Totals{Boot: totals.Boot, CPU: max(old.CPU, totals.CPU), Wall: max(old.Wall, totals.Wall), States: map[api.JobState]int64{}}
	maps.Copy(m.States, old.States)
	for state, n := range totals.States {
		m.States[state] = max(m.States[state], n)
	}
	return m
}
