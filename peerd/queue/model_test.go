package queue_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"

	"burrow/api"
	"burrow/peerd/queue"
)

// FuzzModel drives a queue with random submissions, leases, results, losses,
// cancels and crashes (a new queue on the same store, the old one's leases
// still in somebody's hands) and holds it against a map. Invariants: no job is
// lost, tokens only grow, only the newest lease may finish, a final state never
// changes, and the totals count each end once.
func FuzzModel(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		m := &model{t: t, rnd: rand.New(rand.NewPCG(seed, 1)), jobs: map[string]*modelJob{}}
		db := memory(t)
		m.q = open(t, db, queue.Config{})
		for range 150 {
			if m.rnd.IntN(25) == 0 {
				m.q.Close()
				m.q = open(t, db, queue.Config{})
				m.crashed()
			}
			m.step()
			m.check()
		}
	})
}

type modelJob struct {
	state api.JobState
	token int64
	lost  int
}

type model struct {
	t      *testing.T
	rnd    *rand.Rand
	q      *queue.Queue
	jobs   map[string]*modelJob
	leases []queue.Lease // all that were ever given, most of them stale
	ended  int64
}

func (m *model) end(j *modelJob, s api.JobState) { j.state = s; m.ended++ }

func (m *model) lose(j *modelJob) {
	if j.lost++; j.lost > api.DefaultRetries {
		m.end(j, api.StateLost)
	} else {
		j.state = api.StateQueued
	}
}

func (m *model) crashed() {
	for _, j := range m.jobs {
		if j.state == api.StateRunning {
			m.lose(j)
		}
	}
}

func (m *model) step() {
	ctx := context.Background()
	switch m.rnd.IntN(6) {
	case 0, 1:
		job := enqueue(m.t, m.q, "x")
		m.jobs[job.ID] = &modelJob{state: api.StateQueued}
	case 2:
		if m.q.Counts().Queued == 0 {
			return
		}
		l := lease(m.t, m.q)
		j := m.jobs[l.ID]
		if j.state != api.StateQueued || l.Token <= j.token {
			m.t.Fatalf("lease %s token %d: job is %s, last token %d", l.ID, l.Token, j.state, j.token)
		}
		j.state, j.token = api.StateRunning, l.Token
		m.leases = append(m.leases, l)
	case 3:
		for id, j := range m.jobs { // any one
			_, err := m.q.Cancel(ctx, id)
			if j.state.Final() != errors.Is(err, api.ErrConflict) {
				m.t.Fatalf("cancel of a %s job = %v", j.state, err)
			}
			if err == nil {
				m.end(j, api.StateCancelled)
			}
			break
		}
	default:
		m.useLease()
	}
}

// useLease uses any lease, live or stale.
func (m *model) useLease() {
	if len(m.leases) == 0 {
		return
	}
	ctx, l := context.Background(), m.leases[m.rnd.IntN(len(m.leases))]
	j := m.jobs[l.ID]
	live := j.state == api.StateRunning && j.token == l.Token
	var err error
	var then func()
	switch m.rnd.IntN(4) {
	case 0:
		err = m.q.Append(ctx, l, []queue.Chunk{{Data: []byte("x")}})
		then = func() {}
	case 1:
		err, then = m.q.Lose(ctx, l, "test"), func() { m.lose(j) }
	case 2:
		err, then = m.q.GiveBack(ctx, l, "test"), func() { j.state = api.StateQueued }
	case 3:
		err, then = m.q.Finish(ctx, l, succeeded(), nil), func() { m.end(j, api.StateSucceeded) }
	}
	if live != (err == nil) || (!live && !errors.Is(err, api.ErrLeaseLost)) {
		m.t.Fatalf("lease %s token %d (live %v) = %v", l.ID, l.Token, live, err)
	}
	if live {
		then()
	}
}

func (m *model) check() {
	var want queue.Counts
	for id, j := range m.jobs {
		if got := get(m.t, m.q, id).State; got != j.state {
			m.t.Fatalf("job %s is %s, want %s", id, got, j.state)
		}
		switch {
		case j.state.Final():
			want.Finished++
		case j.state == api.StateRunning:
			want.Running++
		default:
			want.Queued++
		}
	}
	if got := m.q.Counts(); got != want {
		m.t.Fatalf("Counts = %+v, want %+v", got, want)
	}
	totals := m.q.Totals()
	if totals.Ended() != m.ended {
		m.t.Fatalf("totals count %d ends, want %d", totals.Ended(), m.ended)
	}
}
