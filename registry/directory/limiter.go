package directory

import (
	"fmt"
	"sync"
	"time"

	"burrow/api"
)

const (
	maxFailures   = 10          // failed logins per window, per account and per address
	failureWindow = time.Minute //
	maxTracked    = 10_000      // accounts and addresses with failures that are remembered
)

// RateLimitError answers a login that has to wait. It is an
// [api.ErrRateLimited].
type RateLimitError struct {
	What string        // what there was too much of
	Wait time.Duration // until the next try can be answered
}

func (e *RateLimitError) Error() string {
	return fmt.Sprintf("too many %s; try again in %s", e.What, e.RetryAfter())
}

// Is reports that it is an [api.ErrRateLimited].
func (e *RateLimitError) Is(target error) bool { return target == api.ErrRateLimited }

// RetryAfter is the wait in whole seconds, at least one.
func (e *RateLimitError) RetryAfter() time.Duration {
	return max(time.Second, (e.Wait + time.Second - 1).Truncate(time.Second))
}

// failure is one failed login. It is kept under its account and its address.
type failure struct {
	at   time.Time
	user string
}

// limiter remembers failed logins of the last minute, in memory.
type limiter struct {
	mu       sync.Mutex // guards failures
	failures map[string][]failure
}

func newLimiter() *limiter { return &limiter{failures: make(map[string][]failure)} }

// check returns a [RateLimitError] while user or address have to wait. An
// account that does not exist waits like one that does.
func (l *limiter) check(now time.Time, user, address string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, key := range []string{"user " + user, "addr " + address} {
		recent := l.recent(key, now)
		if n := len(recent); n >= maxFailures {
			return &RateLimitError{What: "failed logins", Wait: recent[n-maxFailures].at.Add(failureWindow).Sub(now)}
		}
	}
	return nil
}

// failed counts a failed login.
func (l *limiter) failed(now time.Time, user, address string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.failures) >= maxTracked {
		l.shrink(now)
	}
	for _, key := range []string{"user " + user, "addr " + address} {
		l.failures[key] = append(l.recent(key, now), failure{now, user})
	}
}

// succeeded forgives what this address got wrong about this user, and nothing
// else: who owns one account must not use it to go on guessing at others.
func (l *limiter) succeeded(user, address string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.failures, "user "+user)
	key := "addr " + address
	var left []failure
	for _, f := range l.failures[key] {
		if f.user != user {
			left = append(left, f)
		}
	}
	l.set(key, left)
}

// recent drops what is over the window.
func (l *limiter) recent(key string, now time.Time) []failure {
	list := l.failures[key]
	for len(list) > 0 && now.Sub(list[0].at) >= failureWindow {
		list = list[1:]
	}
	l.set(key, list)
	return list
}

func (l *limiter) set(key string, list []failure) {
	if len(list) == 0 {
		delete(l.failures, key)
		return
	}
	l.failures[key] = list
}

// shrink makes room: first what is over, then anything; a flood from that many
// addresses is not stopped by counting.
func (l *limiter) shrink(now time.Time) {
	for key := range l.failures {
		l.recent(key, now)
	}
	for key := range l.failures {
		if len(l.failures) < maxTracked {
			return
		}
		delete(l.failures, key)
	}
}
