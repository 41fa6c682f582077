package e2e

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"burrow/api"
)

// Ensure that no acknowledged job is lost and none has two results when the
// daemon is killed in the middle of many: the posting, the running and the
// writing down.
func TestEveryJobHasOneResultAfterThePeerIsKilled(t *testing.T) {
	t.Parallel()
	const jobs = 1000
	p := StartPeer(t, "solo", "--slots", "2")

	ids := make([]string, jobs) // acknowledged by the peer
	submit := func(i int) error {
		job, err := p.Submit(t.Context(), api.JobSpec{
			Source: "import sys\nprint(sys.argv[1])\n", Args: []string{strconv.Itoa(i)}, Name: "tiny.py",
		}, "tiny-"+strconv.Itoa(i))
		if err != nil {
			return err
		}
		if ids[i] != "" && ids[i] != job.ID {
			return fmt.Errorf("job %d was %s, its second post gives %s", i, ids[i], job.ID)
		}
		ids[i] = job.ID
		return nil
	}
	postAll := func() (failed int64, firstErr error) {
		var wg sync.WaitGroup
		var next, bad atomic.Int64
		var once sync.Once
		for range 16 {
			wg.Go(func() {
				for i := int(next.Add(1)) - 1; i < jobs; i = int(next.Add(1)) - 1 {
					if err := submit(i); err != nil {
						bad.Add(1)
						once.Do(func() { firstErr = err })
					}
				}
			})
		}
		wg.Wait()
		return bad.Load(), firstErr
	}

	posted := make(chan struct{})
	go func() {
		defer close(posted)
		_, _ = postAll() // posts that the kill cuts off are repeated below
	}()
	Eventually(t, "some jobs have ended", func() error {
		s, err := p.Status(t.Context())
		if err == nil && s.Completed < 20 {
			err = fmt.Errorf("%d have", s.Completed)
		}
		return err
	})
	before := p.Descendants("")
	p.Kill()
	<-posted
	AwaitGone(t, before)

	acknowledged := 0
	for _, id := range ids {
		if id != "" {
			acknowledged++
		}
	}
	p.Restart()
	if failed, err := postAll(); failed > 0 {
		t.Fatalf("post the jobs again: %d refused, such as: %v", failed, err)
	}
	EventuallyIn(t, 2*time.Minute, "all jobs have ended", func() error {
		s, err := p.Status(t.Context())
		if err == nil && s.Ongoing > 0 {
			err = fmt.Errorf("%d are ongoing", s.Ongoing)
		}
		return err
	})

	listed := map[string]api.Job{}
	repeated := 0
	for _, job := range allJobs(t, p) {
		if _, twice := listed[job.ID]; twice {
			t.Errorf("job %s is listed twice", job.ID)
		}
		listed[job.ID] = job
		if len(job.Attempts) > 1 {
			repeated++
		}
	}
	t.Logf("%d of %d jobs were acknowledged before the kill, %d needed a second attempt", acknowledged, jobs, repeated)
	if len(listed) != jobs {
		t.Errorf("%d jobs are listed; want %d", len(listed), jobs)
	}
	for i, id := range ids {
		job, ok := listed[id]
		if !ok {
			t.Fatalf("job %d (%s) is not listed", i, id)
		}
		if job.State != api.StateSucceeded || job.Outcome == nil || job.Outcome.State != api.StateSucceeded || job.Outcome.ExitCode != 0 {
			t.Fatalf("job %d (%s) is %s, outcome %+v; want it to succeed", i, id, job.State, job.Outcome)
		}
		results := 0
		for n, a := range job.Attempts {
			if a.End != "lost" {
				results++
			}
			if n > 0 && a.Token <= job.Attempts[n-1].Token {
				t.Errorf("job %d: tokens %d, then %d; want them to grow", i, job.Attempts[n-1].Token, a.Token)
			}
		}
		if results != 1 {
			t.Errorf("job %d has %d results in %+v; want 1", i, results, job.Attempts)
		}
		full, err := p.Job(t.Context(), id)
		if err != nil || full.Stdout != strconv.Itoa(i)+"\n" || full.Stderr != "" {
			t.Errorf("job %d printed %q and %q (%v); want its own number once", i, full.Stdout, full.Stderr, err)
		}
	}
	s, err := p.Status(t.Context())
	if err != nil || s.Completed != jobs || s.Failed != 0 || s.Totals.Ended() != jobs {
		t.Errorf("status: %d completed, %d failed, %d in the totals (%v); want %d, 0, %d", s.Completed, s.Failed, s.Totals.Ended(), err, jobs, jobs)
	}
}

// Ensure that a job survives the death of the plugin that runs it.
func TestJobsRunAgainWhenTheExecutorIsKilled(t *testing.T) {
	t.Parallel()
	const jobs = 4
	p := StartPeer(t, "solo", "--slots", strconv.Itoa(jobs))
	var ids []string
	for i := range jobs {
		job, err := p.Submit(t.Context(), api.JobSpec{
			Source: fmt.Sprintf("import time\nprint('begin %d')\ntime.sleep(3)\nprint('end %d')\n", i, i),
		}, "")
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, job.ID)
	}
	var children []osProcess
	Eventually(t, "every job has its interpreter", func() error {
		if children = p.Descendants(gpythonChild); len(children) != jobs {
			return fmt.Errorf("%d have", len(children))
		}
		return nil
	})
	plugin := p.Plugin()
	killProcess(t, plugin)
	AwaitGone(t, append(children, plugin))

	for i, id := range ids {
		var job api.Job
		Eventually(t, "job "+id+" ends", func() error {
			var err error
			if job, err = p.Job(t.Context(), id); err == nil && !job.State.Final() {
				err = errors.New("it is " + string(job.State))
			}
			return err
		})
		if want := fmt.Sprintf("begin %d\nend %d\n", i, i); job.State != api.StateSucceeded || job.Stdout != want {
			t.Errorf("job %d is %s with %q; want it to succeed with %q", i, job.State, job.Stdout, want)
		}
		if n := len(job.Attempts); n != 2 || job.Attempts[0].End != "lost" || job.Attempts[1].End != string(api.StateSucceeded) {
			t.Errorf("job %d has the attempts %+v; want a lost one, then a good one", i, job.Attempts)
		}
	}
	if p.Plugin().PID == plugin.PID {
		t.Errorf("the plugin is still process %d", plugin.PID)
	}
}

// Ensure that a job that loses every attempt is lost, not run for ever.
func TestAJobWithoutRetriesIsLostWithItsExecutor(t *testing.T) {
	t.Parallel()
	p := StartPeer(t, "solo")
	none := 0
	job, err := p.Submit(t.Context(), api.JobSpec{Source: "import time\ntime.sleep(50)\n", Retries: &none}, "")
	if err != nil {
		t.Fatal(err)
	}
	Eventually(t, "the job has its interpreter", func() error {
		if len(p.Descendants(gpythonChild)) == 0 {
			return errors.New("it has none")
		}
		return nil
	})
	killProcess(t, p.Plugin())
	Eventually(t, "the job is lost", func() error {
		now, err := p.Job(t.Context(), job.ID)
		if err == nil && now.State != api.StateLost {
			err = fmt.Errorf("it is %s, attempts %+v", now.State, now.Attempts)
		}
		return err
	})
	if next := p.Run(t, api.JobSpec{Source: "print('on')"}); next.State != api.StateSucceeded {
		t.Errorf("the next job is %s; want it to succeed", next.State)
	}
}

// Ensure that a peer that is asked to stop gives its running job back, and that
// the job runs to its end after the next start.
func TestAStoppedPeerTakesItsJobUpAgain(t *testing.T) {
	t.Parallel()
	p := StartPeer(t, "solo", "--slots", "1")
	var ids []string
	for range 2 {
		job, err := p.Submit(t.Context(), api.JobSpec{Source: "import time\ntime.sleep(1)\nprint('done')\n"}, "")
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, job.ID)
	}
	Eventually(t, "a job runs", func() error {
		if len(p.Descendants(gpythonChild)) == 0 {
			return errors.New("none does")
		}
		return nil
	})
	family := p.Descendants("")
	p.Stop()
	AwaitGone(t, family)
	p.Restart()
	for _, id := range ids {
		Eventually(t, "job "+id+" succeeds", func() error {
			job, err := p.Job(t.Context(), id)
			if err == nil && (job.State != api.StateSucceeded || job.Stdout != "done\n") {
				err = fmt.Errorf("it is %s with %q, attempts %+v", job.State, job.Stdout, job.Attempts)
			}
			return err
		})
	}
}
