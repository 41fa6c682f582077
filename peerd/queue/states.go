package queue

import (
	"fmt"
	"time"

	"burrow/api"
)

// This file is the state machine of a job (docs/job-states.md): pure functions
// on a record. Each checks first and changes then, so an error leaves the
// record as it was.

// lease starts the next attempt: queued -> running.
func (r *record) lease(now time.Time, peer string) error {
	if r.Job.State != api.StateQueued {
		return fmt.Errorf("lease job %s: it is %s: %w", r.Job.ID, r.Job.State, api.ErrConflict)
	}
	r.Token++
	r.Job.State, r.Job.Peer, r.Job.StartedAt = api.StateRunning, peer, now
	r.Job.Attempts = append(r.Job.Attempts, api.Attempt{Token: r.Token, Peer: peer, StartedAt: now})
	return nil
}

// holds reports whether token is that of the attempt that runs now; any other
// token is fenced off.
func (r *record) holds(token int64) error {
	if r.Job.State != api.StateRunning || r.Token != token {
		return fmt.Errorf("job %s, attempt %d: %w", r.Job.ID, token, api.ErrLeaseLost)
	}
	return nil
}

// finish records the one result: running -> a final state.
func (r *record) finish(now time.Time, token int64, o api.Outcome) error {
	if err := r.holds(token); err != nil {
		return err
	}
	if !o.State.Final() {
		return fmt.Errorf("finish job %s as %q: %w", r.Job.ID, o.State, api.ErrInvalid)
	}
	r.endAttempt(now, string(o.State), "")
	r.end(now, o)
	return nil
}

// lose ends an attempt whose executor or peer vanished: running -> queued, or
// -> lost when more than Retries attempts were lost.
func (r *record) lose(now time.Time, token int64, reason string) error {
	if err := r.holds(token); err != nil {
		return err
	}
	r.endAttempt(now, string(api.StateLost), reason)
	lost := 0
	for _, a := range r.Job.Attempts {
		if a.End == string(api.StateLost) {
			lost++
		}
	}
	if lost > r.Retries {
		r.end(now, api.Outcome{
			State: api.StateLost, ExitCode: -1,
			Message: fmt.Sprintf("%d attempts were lost, the last because %s; submit it again if the machine is well", lost, reason),
		})
		return nil
	}
	r.Job.State, r.Job.Peer = api.StateQueued, ""
	return nil
}

// giveBack ends an attempt that its peer did not want to end, such as at a
// clean shutdown: running -> queued. It does not count as lost.
func (r *record) giveBack(now time.Time, token int64, reason string) error {
	if err := r.holds(token); err != nil {
		return err
	}
	r.endAttempt(now, "returned", reason)
	r.Job.State, r.Job.Peer = api.StateQueued, ""
	return nil
}

// cancel ends the job by a user's wish: queued or running -> cancelled. The
// attempt that runs is fenced off from here on.
func (r *record) cancel(now time.Time) error {
	if r.Job.State.Final() {
		return fmt.Errorf("cancel job %s: it has already ended as %s: %w", r.Job.ID, r.Job.State, api.ErrConflict)
	}
	if r.Job.State == api.StateRunning {
		r.endAttempt(now, string(api.StateCancelled), "")
	}
	r.end(now, api.Outcome{State: api.StateCancelled, ExitCode: -1, Message: "cancelled by its user"})
	return nil
}

func (r *record) endAttempt(now time.Time, end, reason string) {
	a := &r.Job.Attempts[len(r.Job.Attempts)-1]
	a.EndedAt, a.End, a.Reason = now, end, reason
}

func (r *record) end(now time.Time, o api.Outcome) {
	r.Job.State, r.Job.FinishedAt, r.Job.Outcome = o.State, now, &o
}
