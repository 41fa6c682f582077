package queue_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"burrow/api"
	"burrow/internal/kv/badgerkv"
	"burrow/peerd/queue"
)

func memory(tb testing.TB) *badgerkv.DB {
	tb.Helper()
	db, err := badgerkv.OpenMemory()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Error(err)
		}
	})
	return db
}

func open(tb testing.TB, db *badgerkv.DB, cfg queue.Config) *queue.Queue {
	tb.Helper()
	if cfg.Peer == "" {
		cfg.Peer = "alice"
	}
	q, err := queue.Open(context.Background(), db, cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(q.Close)
	return q
}

func enqueue(tb testing.TB, q *queue.Queue, source string) api.Job {
	tb.Helper()
	job, created, err := q.Enqueue(context.Background(), api.JobSpec{Source: source}, "")
	if err != nil || !created {
		tb.Fatalf("Enqueue(%q) = created %v, %v", source, created, err)
	}
	return job
}

func lease(tb testing.TB, q *queue.Queue) queue.Lease {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	l, err := q.Lease(ctx)
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

func get(tb testing.TB, q *queue.Queue, id string) api.Job {
	tb.Helper()
	job, err := q.Get(context.Background(), id)
	if err != nil {
		tb.Fatal(err)
	}
	return job
}

func succeeded() api.Outcome { return api.Outcome{State: api.StateSucceeded} }

// Ensure a job walks from submission to its result, and the output with it.
func TestAJobsWalk(t *testing.T) {
	t.Parallel()
	q := open(t, memory(t), queue.Config{})
	job := enqueue(t, q, "print(1)")
	l := lease(t, q)
	if l.ID != job.ID || l.Token != 1 || l.Spec.Source != "print(1)" {
		t.Fatalf("Lease = %+v", l)
	}
	if got := get(t, q, job.ID); got.State != api.StateRunning || got.Peer != "alice" {
		t.Fatalf("leased job = %+v", got)
	}
	if err := q.Append(t.Context(), l, []queue.Chunk{{Stream: api.Stdout, Data: []byte("a")}, {Stream: api.Stderr, Data: []byte("b")}}); err != nil {
		t.Fatal(err)
	}
	if err := q.Finish(t.Context(), l, succeeded(), []queue.Chunk{{Stream: api.Stdout, Data: []byte("c")}}); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	state, err := q.Follow(t.Context(), job.ID, true, func(attempt int64, c *queue.Chunk) error {
		if c != nil {
			fmt.Fprintf(&out, "%d%s%s ", attempt, c.Stream, c.Data)
		}
		return nil
	})
	if err != nil || state != api.StateSucceeded {
		t.Fatalf("Follow = %s, %v", state, err)
	}
	if want := "1stdouta 1stderrb 1stdoutc "; out.String() != want {
		t.Errorf("output = %q, want %q", out.String(), want)
	}
	if got := q.Totals().States[api.StateSucceeded]; got != 1 {
		t.Errorf("totals count %d", got)
	}
	if got := q.Counts(); got != (queue.Counts{Finished: 1}) {
		t.Errorf("Counts = %+v", got)
	}
}

// Ensure that jobs leave in order of submission, and a lost one keeps its place.
func TestOrder(t *testing.T) {
	t.Parallel()
	q := open(t, memory(t), queue.Config{})
	var ids []string
	for i := range 5 {
		ids = append(ids, enqueue(t, q, fmt.Sprint(i)).ID)
	}
	first := lease(t, q)
	if err := q.Lose(t.Context(), first, "test"); err != nil {
		t.Fatal(err)
	}
	for i, id := range ids {
		if l := lease(t, q); l.ID != id {
			t.Fatalf("lease %d = %s, want %s", i, l.ID, id)
		}
	}
}

// Ensure that only the newest token may write or finish.
func TestFencing(t *testing.T) {
	t.Parallel()
	q := open(t, memory(t), queue.Config{})
	job := enqueue(t, q, "x")
	old := lease(t, q)
	if err := q.Append(t.Context(), old, []queue.Chunk{{Stream: api.Stdout, Data: []byte("old")}}); err != nil {
		t.Fatal(err)
	}
	if err := q.Lose(t.Context(), old, "test"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-old.Cancelled:
	default:
		t.Error("the lost lease was not cancelled")
	}
	now := lease(t, q)
	if now.Token != 2 {
		t.Fatalf("token = %d, want 2", now.Token)
	}
	for name, err := range map[string]error{
		"Append":   q.Append(t.Context(), old, []queue.Chunk{{Data: []byte("late")}}),
		"Finish":   q.Finish(t.Context(), old, succeeded(), nil),
		"Lose":     q.Lose(t.Context(), old, "x"),
		"GiveBack": q.GiveBack(t.Context(), old, "x"),
	} {
		if !errors.Is(err, api.ErrLeaseLost) {
			t.Errorf("%s with an old token = %v, want ErrLeaseLost", name, err)
		}
	}
	if err := q.Finish(t.Context(), now, api.Outcome{State: api.StateFailed, ExitCode: 3}, nil); err != nil {
		t.Fatal(err)
	}
	if err := q.Finish(t.Context(), now, succeeded(), nil); !errors.Is(err, api.ErrLeaseLost) {
		t.Errorf("second Finish = %v, want ErrLeaseLost", err)
	}
	p, err := q.Output(t.Context(), job.ID, 0, "")
	if err != nil || len(p.Chunks) != 0 {
		t.Errorf("output of the lost attempt is still there: %v, %v", p.Chunks, err)
	}
}

// Ensure that a job ends as lost after its retries, and not before.
func TestLostAfterRetries(t *testing.T) {
	t.Parallel()
	q := open(t, memory(t), queue.Config{})
	retries := 1
	job, _, err := q.Enqueue(t.Context(), api.JobSpec{Source: "x", Retries: &retries}, "")
	if err != nil {
		t.Fatal(err)
	}
	for range 3 { // returned attempts do not count
		if err := q.GiveBack(t.Context(), lease(t, q), "shutdown"); err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range []api.JobState{api.StateQueued, api.StateLost} {
		if err := q.Lose(t.Context(), lease(t, q), "the executor died"); err != nil {
			t.Fatal(err)
		}
		if got := get(t, q, job.ID); got.State != want {
			t.Fatalf("after %d lost attempts: %s, want %s", i+1, got.State, want)
		}
	}
	if got := get(t, q, job.ID).Outcome.Message; !strings.Contains(got, "the executor died") {
		t.Errorf("message = %q", got)
	}
}

// Ensure that cancelling works in every state, once.
func TestCancel(t *testing.T) {
	t.Parallel()
	q := open(t, memory(t), queue.Config{})
	running := enqueue(t, q, "running")
	l := lease(t, q)
	waiting := enqueue(t, q, "waiting")
	for _, id := range []string{running.ID, waiting.ID} {
		if job, err := q.Cancel(t.Context(), id); err != nil || job.State != api.StateCancelled {
			t.Fatalf("Cancel = %s, %v", job.State, err)
		}
		if _, err := q.Cancel(t.Context(), id); !errors.Is(err, api.ErrConflict) {
			t.Errorf("second Cancel = %v, want ErrConflict", err)
		}
	}
	<-l.Cancelled
	if err := q.Finish(t.Context(), l, succeeded(), nil); !errors.Is(err, api.ErrLeaseLost) {
		t.Errorf("Finish after Cancel = %v", err)
	}
	if _, err := q.Cancel(t.Context(), "jnone"); !errors.Is(err, api.ErrNotFound) {
		t.Errorf("Cancel of an unknown job = %v", err)
	}
	next := enqueue(t, q, "next")
	if l := lease(t, q); l.ID != next.ID {
		t.Errorf("leased %s, want the job behind the cancelled one", l.ID)
	}
}

// Ensure that a repeated key gives the first job, also after a restart.
func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	db := memory(t)
	q := open(t, db, queue.Config{})
	first, _, err := q.Enqueue(t.Context(), api.JobSpec{Source: "x"}, "k")
	if err != nil {
		t.Fatal(err)
	}
	q.Close()
	q = open(t, db, queue.Config{})
	again, created, err := q.Enqueue(t.Context(), api.JobSpec{Source: "x"}, "k")
	if err != nil || created || again.ID != first.ID {
		t.Errorf("again = %s, created %v, %v; want %s", again.ID, created, err, first.ID)
	}
	if _, _, err := q.Enqueue(t.Context(), api.JobSpec{Source: "y"}, "k"); !errors.Is(err, api.ErrConflict) {
		t.Errorf("other spec under the key = %v, want ErrConflict", err)
	}
	if n := q.Counts().Queued; n != 1 {
		t.Errorf("%d jobs wait, want 1", n)
	}
}

// Ensure that the same key from many submitters at once makes one job.
func TestIdempotencyKeyAtOnce(t *testing.T) {
	t.Parallel()
	q := open(t, memory(t), queue.Config{})
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, _, err := q.Enqueue(context.Background(), api.JobSpec{Source: "x"}, "k"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := q.Counts().Queued; n != 1 {
		t.Errorf("%d jobs wait, want 1", n)
	}
}

// Ensure that who is shutting down gets no job.
func TestLeaseEndsWithItsContext(t *testing.T) {
	t.Parallel()
	q := open(t, memory(t), queue.Config{})
	enqueue(t, q, "x")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if l, err := q.Lease(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Lease = %+v, %v", l, err)
	}
	if n := q.Counts().Queued; n != 1 {
		t.Errorf("%d jobs wait, want 1", n)
	}
}

func TestQueueFull(t *testing.T) {
	t.Parallel()
	q := open(t, memory(t), queue.Config{MaxQueued: 2})
	enqueue(t, q, "1")
	enqueue(t, q, "2")
	if _, _, err := q.Enqueue(t.Context(), api.JobSpec{Source: "3"}, ""); !errors.Is(err, api.ErrQueueFull) {
		t.Errorf("Enqueue = %v, want ErrQueueFull", err)
	}
}

// Ensure that a restart loses nothing: what ran waits again, what ended stays.
func TestRestart(t *testing.T) {
	t.Parallel()
	db := memory(t)
	q := open(t, db, queue.Config{})
	done := enqueue(t, q, "done")
	if err := q.Finish(t.Context(), lease(t, q), succeeded(), nil); err != nil {
		t.Fatal(err)
	}
	ran := enqueue(t, q, "ran")
	old := lease(t, q)
	waits := enqueue(t, q, "waits")
	q.Close()

	q = open(t, db, queue.Config{})
	if got := get(t, q, done.ID).State; got != api.StateSucceeded {
		t.Errorf("ended job is %s", got)
	}
	if l := lease(t, q); l.ID != ran.ID || l.Token != old.Token+1 {
		t.Errorf("first lease = %s token %d, want %s token %d", l.ID, l.Token, ran.ID, old.Token+1)
	}
	if l := lease(t, q); l.ID != waits.ID {
		t.Errorf("second lease = %s, want %s", l.ID, waits.ID)
	}
	if n := q.Totals().States[api.StateSucceeded]; n != 1 {
		t.Errorf("totals forgot: %d", n)
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	q := open(t, memory(t), queue.Config{})
	var want []string
	for i := range 7 {
		want = append([]string{enqueue(t, q, fmt.Sprint(i)).ID}, want...)
	}
	var got []string
	for cursor := ""; ; {
		jobs, next, err := q.List(t.Context(), "", cursor, 3)
		if err != nil {
			t.Fatal(err)
		}
		for _, j := range jobs {
			got = append(got, j.ID)
		}
		if cursor = next; next == "" {
			break
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	lease(t, q)
	jobs, _, err := q.List(t.Context(), api.StateRunning, "", 10)
	if err != nil || len(jobs) != 1 || jobs[0].ID != want[6] {
		t.Errorf("running = %v, %v", jobs, err)
	}
	if _, _, err := q.List(t.Context(), "", "zzz", 3); !errors.Is(err, api.ErrInvalid) {
		t.Errorf("bad cursor = %v", err)
	}
}

// Ensure that retention drops the oldest by count and by age, with everything
// that belongs to them.
func TestRetention(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db, err := badgerkv.OpenMemory()
		if err != nil {
			t.Fatal(err)
		}
		q := open(t, db, queue.Config{MaxFinished: 2, KeepFor: time.Hour})
		finish := func(source string) string {
			job, _, err := q.Enqueue(t.Context(), api.JobSpec{Source: source}, "key-"+source)
			if err != nil {
				t.Fatal(err)
			}
			if err := q.Finish(t.Context(), lease(t, q), succeeded(), []queue.Chunk{{Data: []byte("out")}}); err != nil {
				t.Fatal(err)
			}
			return job.ID
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- q.Reap(ctx) }()
		a := finish("a")
		time.Sleep(time.Second)
		b, c := finish("b"), finish("c")
		time.Sleep(2 * time.Minute)
		if _, err := q.Get(t.Context(), a); !errors.Is(err, api.ErrNotFound) {
			t.Errorf("the oldest is still there: %v", err)
		}
		get(t, q, b)
		time.Sleep(2 * time.Hour)
		for _, id := range []string{b, c} {
			if _, err := q.Get(t.Context(), id); !errors.Is(err, api.ErrNotFound) {
				t.Errorf("job %s is still there: %v", id, err)
			}
		}
		if jobs, _, err := q.List(t.Context(), "", "", 10); err != nil || len(jobs) != 0 {
			t.Errorf("List = %v, %v", jobs, err)
		}
		if _, created, err := q.Enqueue(t.Context(), api.JobSpec{Source: "a"}, "key-a"); err != nil || !created {
			t.Errorf("the key outlived its job: %v, %v", created, err)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		q.Close()
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestEnqueueRefusesABadSpec(t *testing.T) {
	t.Parallel()
	q := open(t, memory(t), queue.Config{})
	_, _, err := q.Enqueue(t.Context(), api.JobSpec{Source: "a\x00"}, "")
	var field *api.FieldError
	if !errors.As(err, &field) || field.Field != "source" {
		t.Errorf("Enqueue = %v", err)
	}
}

func BenchmarkEnqueueLeaseFinish(b *testing.B) {
	q := open(b, memory(b), queue.Config{})
	for b.Loop() {
		enqueue(b, q, "print(1)")
		if err := q.Finish(context.Background(), lease(b, q), succeeded(), nil); err != nil {
			b.Fatal(err)
		}
	}
}
