package roster_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"burrow/api"
	"burrow/internal/kv/badgerkv"
	"burrow/peerd/roster"
	"burrow/registry/directory"
	"burrow/registry/httpapi"
)

// network is a real registry on loopback that can go away and come back.
type network struct {
	srv  *httptest.Server
	away atomic.Bool
}

func newNetwork(t *testing.T, cfg directory.Config) *network {
	t.Helper()
	db, err := badgerkv.OpenMemory()
	if err != nil {
		t.Fatal(err)
	}
	store, err := badgerkv.NewStore(db)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Period = 50 * time.Millisecond
	dir, err := directory.New(t.Context(), store, cfg)
	if err != nil {
		t.Fatal(err)
	}
	n := &network{}
	h := httpapi.New(dir)
	n.srv = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n.away.Load() {
			panic(http.ErrAbortHandler) // a broken connection, as from a killed process
		}
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		n.srv.Close()
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

func (n *network) config(name, user, password string) roster.Config {
	return roster.Config{Link: n.srv.URL, User: user, Password: password, Self: func() api.Heartbeat {
		return api.Heartbeat{
			Peer:  api.Peer{ID: strings.Repeat(name[:1], 26), Name: name, Address: "127.0.0.1:9001", Slots: 2},
			Stats: api.Totals{Boot: "boot", States: map[api.JobState]int64{api.StateSucceeded: 3}},
		}
	}}
}

func start(t *testing.T, cfg roster.Config) (*roster.Roster, func() error) {
	t.Helper()
	r, err := roster.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	stop := func() error { cancel(); err := <-done; done <- err; return err }
	t.Cleanup(func() { _ = stop() })
	return r, stop
}

// until polls f; the rest of the network works in its own time.
func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

func listed(t *testing.T, r *roster.Roster, want int) func() bool {
	return func() bool {
		peers, err := r.Peers(t.Context())
		return err == nil && len(peers) == want
	}
}

// Ensure that a new user is signed up, listed, and gone at once on leaving.
func TestJoinAndLeave(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, directory.Config{})
	a, _ := start(t, n.config("alice", "ann", "password-of-ann"))
	_, stopB := start(t, n.config("bob", "ben", "password-of-ben"))
	until(t, "two peers listed", listed(t, a, 2))
	if err := stopB(); err != nil {
		t.Fatal(err)
	}
	if !listed(t, a, 1)() {
		t.Error("a peer that left is still listed")
	}
	until(t, "state", func() bool { return a.State() == "connected" })
}

// Ensure that a registry that is away is said and waited for.
func TestRegistryAway(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, directory.Config{})
	n.away.Store(true)
	r, _ := start(t, n.config("alice", "ann", "password-of-ann"))
	until(t, "unreachable", func() bool { return strings.Contains(r.State(), "not connected") })
	n.away.Store(false)
	until(t, "connected", func() bool { return r.State() == "connected" })
	n.away.Store(true)
	until(t, "unreachable again", func() bool { return strings.Contains(r.State(), "not connected") })
	n.away.Store(false)
	until(t, "connected again", func() bool { return r.State() == "connected" })
}

// Ensure that what trying again cannot mend ends the roster with its reason.
func TestFinalErrors(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, directory.Config{})
	first, _ := start(t, n.config("alice", "ann", "password-of-ann"))
	until(t, "first peer", listed(t, first, 1))
	closed := newNetwork(t, directory.Config{Closed: true})
	for name, c := range map[string]struct {
		cfg  roster.Config
		want error
		text string
	}{
		"wrong password": {n.config("bob", "ann", "another-password"), api.ErrUnauthorized, "wrong password"},
		"name taken":     {n.config("alice", "ben", "password-of-ben"), api.ErrConflict, "alice"},
		"closed":         {closed.config("bob", "ben", "password-of-ben"), api.ErrUnauthorized, "takes no new accounts"},
	} {
		cfg := c.cfg
		if name == "name taken" { // another machine
			self := cfg.Self
			cfg.Self = func() api.Heartbeat {
				hb := self()
				hb.Peer.ID = strings.Repeat("z", 26)
				return hb
			}
		}
		r, err := roster.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		err = r.Run(ctx)
		cancel()
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: Run = %v", name, err)
		}
	}
}

func TestNewRefusesBadInput(t *testing.T) {
	t.Parallel()
	for _, cfg := range []roster.Config{
		{Link: "nonsense", User: "ann", Password: "password-of-ann"},
		{Link: "http://127.0.0.1:1", User: "Ann!", Password: "password-of-ann"},
		{Link: "http://127.0.0.1:1", User: "ann", Password: "short"},
		{Link: "http://198.51.100.1:1", User: "ann", Password: "password-of-ann"},
	} {
		if _, err := roster.New(cfg); !errors.Is(err, api.ErrInvalid) {
			t.Errorf("New(%s, %s) = %v", cfg.Link, cfg.User, err)
		}
	}
}
