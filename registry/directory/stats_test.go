package directory_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"burrow/api"
	"burrow/registry/directory"
)

func totals(boot string, states map[api.JobState]int64) api.Totals {
	return api.Totals{Boot: boot, States: states, CPU: api.Duration(time.Duration(states[api.StateSucceeded]) * time.Second)}
}

// tell reports n succeeded jobs of a boot.
func tell(tb testing.TB, d *directory.Directory, peer int, boot string, n int64) {
	tb.Helper()
	hb := beat(peer, fmt.Sprint("peer", peer))
	hb.Stats = totals(boot, map[api.JobState]int64{api.StateSucceeded: n, api.StateFailed: n / 2})
	if _, err := d.RegisterClient(tb.Context(), api.Account{User: "ada"}, hb); err != nil {
		tb.Errorf("report: %v", err)
	}
}

func stats(tb testing.TB, d *directory.Directory, width string, limit int) api.NetworkStats {
	tb.Helper()
	s, err := d.Stats(tb.Context(), width, limit)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func assertSum(tb testing.TB, d *directory.Directory, succeeded int64) {
	tb.Helper()
	if s := stats(tb, d, "", 0); s.States[api.StateSucceeded] != succeeded || s.CPU.Std() != time.Duration(succeeded)*time.Second {
		tb.Errorf("succeeded: got %d with %v CPU, want %d", s.States[api.StateSucceeded], s.CPU, succeeded)
	}
}

// Ensure that repeats and reordering never count twice, also across boots and
// a kill -9 of the registry.
func TestReportsCountOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := open(t, onDisk(t, dir))
	steps := []struct {
		boot string
		n    int64
		sum  int64
	}{
		{"a", 3, 3},
		{"a", 3, 3},
		{"a", 5, 5},
		{"a", 4, 5},
		{"a", 5, 5},
		{"b", 0, 5},
		{"b", 2, 7},
		{"a", 6, 8},
		{"a", 3, 8},
		{"b", 2, 8},
	}
	for i, s := range steps {
		tell(t, d, 1, s.boot, s.n)
		assertSum(t, d, s.sum)
		if i == len(steps)/2 {
			d = open(t, crash(t, dir))
			tell(t, d, 1, s.boot, s.n) // the answer was lost: the peer repeats
			assertSum(t, d, s.sum)
		}
	}
}

// Ensure that many peers at once, each in a random order with repeats, add up.
func TestConcurrentReports(t *testing.T) {
	t.Parallel()
	d := open(t, memory(t))
	const peers, each = 60, 12
	var wg sync.WaitGroup
	for p := range peers {
		wg.Go(func() {
			for _, n := range append(rand.Perm(each), rand.Perm(each)...) {
				tell(t, d, p, "boot", int64(n+1))
			}
		})
	}
	wg.Wait()
	assertSum(t, d, peers*each)
	var inBuckets int64
	for _, b := range stats(t, d, "1m", 10).Buckets {
		inBuckets += b.States[api.StateSucceeded]
	}
	if inBuckets != peers*each {
		t.Errorf("buckets: got %d, want %d", inBuckets, peers*each)
	}
}

func TestBuckets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := open(t, memory(t))
		time.Sleep(30 * time.Minute) // off the hour
		tell(t, d, 1, "boot", 2)
		time.Sleep(2 * time.Second)
		tell(t, d, 1, "boot", 5)
		time.Sleep(500 * time.Millisecond)

		got := []int64{}
		list := stats(t, d, "1s", 4).Buckets
		for _, b := range list {
			got = append(got, b.States[api.StateSucceeded])
		}
		if want := []int64{0, 2, 0, 3}; !cmp.Equal(got, want) {
			t.Errorf("seconds: got %v, want %v", got, want)
		}
		if last := list[3]; !last.Start.Equal(time.Now().Truncate(time.Second)) || last.Width.Std() != time.Second || last.CPU.Std() != 3*time.Second {
			t.Errorf("last bucket: got %+v", last)
		}
		for _, width := range []string{"1m", "1h"} {
			if b := stats(t, d, width, 1).Buckets; len(b) != 1 || b[0].States[api.StateSucceeded] != 5 {
				t.Errorf("%s: got %+v", width, b)
			}
		}
		if n := len(stats(t, d, "", 0).Buckets); n != directory.DefaultBuckets {
			t.Errorf("default: got %d buckets, want %d", n, directory.DefaultBuckets)
		}
		for _, c := range []struct {
			width string
			limit int
		}{{"2s", 1}, {"1s", 3601}, {"1h", -1}} {
			if _, err := d.Stats(t.Context(), c.width, c.limit); !errors.Is(err, api.ErrInvalid) {
				t.Errorf("width %s limit %d: got %v, want ErrInvalid", c.width, c.limit, err)
			}
		}
	})
}

// Ensure that the housekeeping takes what is over its time and nothing else.
func TestPrune(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := memory(t)
		d := open(t, s)
		signUp(t, d, "ada")
		if _, err := d.LogIn(t.Context(), creds("ada"), "here"); err != nil {
			t.Fatal(err)
		}
		for n := range 150 {
			tell(t, d, 1, "boot", int64(n+1))
			time.Sleep(time.Second)
		}
		count := func(prefix string) int {
			list, err := s.List(t.Context(), prefix, "", 0)
			if err != nil {
				t.Fatal(err)
			}
			return len(list)
		}
		if got := count("stats/bucket/1s/"); got != 150 {
			t.Errorf("seconds at first: got %d, want 150", got)
		}
		for _, c := range []struct {
			after                                     time.Duration
			seconds, minutes, hours, sessions, others int
		}{
			{time.Hour + time.Minute, 0, 3, 1, 1, 2},
			{8 * 24 * time.Hour, 0, 0, 1, 1, 2},
			{31 * 24 * time.Hour, 0, 0, 1, 0, 1}, // the peer is forgotten too
			{366 * 24 * time.Hour, 0, 0, 0, 0, 0},
		} {
			if err := d.Prune(t.Context(), time.Now().Add(c.after), true); err != nil {
				t.Fatal(err)
			}
			got := []int{count("stats/bucket/1s/"), count("stats/bucket/1m/"), count("stats/bucket/1h/"), count("session/"), count("peer/") + count("stats/boot/")}
			if want := []int{c.seconds, c.minutes, c.hours, c.sessions, c.others}; !cmp.Equal(got, want) {
				t.Errorf("after %v: got %v, want %v", c.after, got, want)
			}
		}
		assertSum(t, d, 150)
		if count("account/") != 1 {
			t.Error("the account is gone")
		}
	})
}
