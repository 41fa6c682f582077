package directory_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"burrow/api"
	"burrow/registry/directory"
)

func contains(s, sub string) bool { return strings.Contains(s, sub) }

func TestPeersComeAndGo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := open(t, memory(t))
		ada := api.Account{User: "ada"}
		if got := register(t, d, ada, beat(1, "burrow-b")).Period.Std(); got != 2*time.Second {
			t.Errorf("period: got %v, want 2s", got)
		}
		register(t, d, ada, beat(2, "Burrow-a"))
		if got, want := names(d), []string{"Burrow-a", "burrow-b"}; !cmp.Equal(got, want) {
			t.Errorf("list: got %v, want %v", got, want)
		}
		time.Sleep(4 * time.Second)
		hb := beat(1, "burrow-b")
		hb.Peer.Running = 7
		if _, err := d.Heartbeat(t.Context(), ada, hb.Peer.ID, hb); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second) // the other is silent for three periods
		list := d.GetClients()
		if len(list) != 1 || list[0].Name != "burrow-b" || list[0].Running != 7 || list[0].Account != "ada" || !list[0].SeenAt.Equal(time.Now().Add(-2*time.Second)) {
			t.Errorf("list: got %+v", list)
		}
		if err := d.Leave(t.Context(), ada, hb.Peer.ID); err != nil {
			t.Fatal(err)
		}
		if got := names(d); len(got) != 0 {
			t.Errorf("list after leaving: got %v", got)
		}
		if _, err := d.Heartbeat(t.Context(), ada, hb.Peer.ID, hb); !errors.Is(err, api.ErrNotFound) {
			t.Errorf("heartbeat after leaving: got %v, want ErrNotFound", err)
		}
		if err := d.Leave(t.Context(), ada, hb.Peer.ID); !errors.Is(err, api.ErrNotFound) {
			t.Errorf("second leave: got %v, want ErrNotFound", err)
		}
		back := beat(2, "Burrow-a") // silent is not gone for ever
		if _, err := d.Heartbeat(t.Context(), ada, back.Peer.ID, back); err != nil || len(names(d)) != 1 {
			t.Errorf("heartbeat after silence: %v, list %v", err, names(d))
		}
	})
}

func TestNamesAreUnique(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := open(t, memory(t))
		ada, bob := api.Account{User: "ada"}, api.Account{User: "bob"}
		register(t, d, ada, beat(1, "burrow"))
		register(t, d, ada, beat(1, "burrow")) // its own again
		for name, who := range map[string]api.Account{"burrow": ada, "BURROW": bob} {
			_, err := d.RegisterClient(t.Context(), who, beat(2, name))
			if !errors.Is(err, api.ErrConflict) || !contains(err.Error(), "--name") {
				t.Errorf("%s of %s: got %v, want ErrConflict with the way out", name, who.User, err)
			}
		}
		if _, err := d.RegisterClient(t.Context(), bob, beat(1, "other")); !errors.Is(err, api.ErrForbidden) {
			t.Errorf("foreign peer: got %v, want ErrForbidden", err)
		}
		if err := d.Leave(t.Context(), bob, peerID(1)); !errors.Is(err, api.ErrForbidden) {
			t.Errorf("foreign leave: got %v, want ErrForbidden", err)
		}
		if _, err := d.Heartbeat(t.Context(), bob, peerID(1), beat(1, "burrow")); !errors.Is(err, api.ErrForbidden) {
			t.Errorf("foreign heartbeat: got %v, want ErrForbidden", err)
		}
		// A peer that is renamed gives its old name free.
		if _, err := d.Heartbeat(t.Context(), ada, peerID(1), beat(1, "renamed")); err != nil {
			t.Fatal(err)
		}
		register(t, d, bob, beat(2, "burrow"))

		time.Sleep(time.Minute) // both are silent
		if _, err := d.RegisterClient(t.Context(), bob, beat(3, "renamed")); !errors.Is(err, api.ErrConflict) {
			t.Errorf("silent peer's name, other account: got %v, want ErrConflict", err)
		}
		register(t, d, ada, beat(3, "renamed"))
		if _, err := d.Heartbeat(t.Context(), ada, peerID(1), beat(1, "renamed")); !errors.Is(err, api.ErrNotFound) {
			t.Errorf("peer that lost its name: got %v, want ErrNotFound", err)
		}
	})
}

// Ensure that a restarted registry lists nobody it has not heard, takes the
// next heartbeat without a new registration, and keeps names meanwhile.
func TestPeersAfterRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := open(t, onDisk(t, dir))
	ada := api.Account{User: "ada"}
	register(t, d, ada, beat(1, "burrow"))
	joined := d.GetClients()[0].JoinedAt

	d = open(t, crash(t, dir))
	if got := names(d); len(got) != 0 {
		t.Errorf("list before any heartbeat: got %v", got)
	}
	if _, err := d.RegisterClient(t.Context(), ada, beat(2, "burrow")); !errors.Is(err, api.ErrConflict) {
		t.Errorf("name right after the restart: got %v, want ErrConflict", err)
	}
	if _, err := d.Heartbeat(t.Context(), ada, peerID(1), beat(1, "burrow")); err != nil {
		t.Fatalf("first heartbeat after the restart: %v", err)
	}
	if list := d.GetClients(); len(list) != 1 || !list[0].JoinedAt.Equal(joined) {
		t.Errorf("list after the heartbeat: got %+v", list)
	}
}

// Ensure that a heartbeat without news writes nothing.
func TestQuietHeartbeatsDoNotWrite(t *testing.T) {
	t.Parallel()
	s := memory(t)
	d := open(t, s)
	ada := api.Account{User: "ada"}
	register(t, d, ada, beat(1, "burrow"))
	before, err := s.Txn(t.Context(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 5 {
		hb := beat(1, "burrow")
		hb.Peer.Running, hb.Stats.Boot = n, "boot"
		if _, err := d.Heartbeat(t.Context(), ada, peerID(1), hb); err != nil {
			t.Fatal(err)
		}
	}
	if after, err := s.Txn(t.Context(), nil, nil); err != nil || after != before+1 {
		t.Errorf("revision: got %d, %v; want %d", after, err, before+1)
	}
}

func TestPeriodIsStretched(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, err := directory.New(t.Context(), memory(t), directory.Config{MaxRate: 2})
		if err != nil {
			t.Fatal(err)
		}
		ada := api.Account{User: "ada"}
		for n := range 10 {
			register(t, d, ada, beat(n, fmt.Sprint("peer", n)))
		}
		time.Sleep(time.Second) // the number of peers may be that old
		reply, err := d.Heartbeat(t.Context(), ada, peerID(0), beat(0, "peer0"))
		if err != nil || reply.Period.Std() != 5*time.Second {
			t.Errorf("period of 10 peers at 2 per second: got %v, %v; want 5s", reply.Period, err)
		}
		time.Sleep(14 * time.Second)
		if got := names(d); len(got) != 1 {
			t.Errorf("list after 14 s: got %v, want the one that was told 5 s", got)
		}
	})
}

func TestBadPeers(t *testing.T) {
	t.Parallel()
	d := open(t, memory(t))
	for field, edit := range map[string]func(*api.Heartbeat){
		"peer.id":       func(h *api.Heartbeat) { h.Peer.ID = "../x" },
		"peer.name":     func(h *api.Heartbeat) { h.Peer.Name = "a b" },
		"peer.address":  func(h *api.Heartbeat) { h.Peer.Address = "http://x" },
		"peer.slots":    func(h *api.Heartbeat) { h.Peer.Slots = -1 },
		"peer.running":  func(h *api.Heartbeat) { h.Peer.Running = -1 },
		"peer.queued":   func(h *api.Heartbeat) { h.Peer.Queued = -1 },
		"peer.version":  func(h *api.Heartbeat) { h.Peer.Version = "\x1b[31m" },
		"peer.layers":   func(h *api.Heartbeat) { h.Peer.Layers = []api.Layer{{Name: strings.Repeat("x", 999)}} },
		"peer.runtimes": func(h *api.Heartbeat) { h.Peer.Runtimes = make([]api.RuntimeInfo, 99) },
		"stats.boot":    func(h *api.Heartbeat) { h.Stats.CPU = 1 },
		"stats.states":  func(h *api.Heartbeat) { h.Stats = totals("b", map[api.JobState]int64{"running": 1}) },
	} {
		hb := beat(1, "burrow")
		edit(&hb)
		_, err := d.RegisterClient(t.Context(), api.Account{User: "ada"}, hb)
		if got, ok := errors.AsType[*api.FieldError](err); !ok || got.Field != field {
			t.Errorf("%s: got %v", field, err)
		}
	}
	if _, err := d.Heartbeat(t.Context(), api.Account{User: "ada"}, peerID(2), beat(1, "burrow")); !errors.Is(err, api.ErrInvalid) {
		t.Errorf("id of path and body differ: got %v, want ErrInvalid", err)
	}
}
