package directory_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/rs/zerolog"

	"burrow/api"
	"burrow/internal/kv"
	"burrow/internal/kv/badgerkv"
	"burrow/registry/directory"
)

const password = "correct horse"

// memory returns an empty store.
func memory(tb testing.TB) kv.Store {
	tb.Helper()
	db, err := badgerkv.OpenMemory()
	if err != nil {
		tb.Fatal(err)
	}
	return store(tb, db)
}

// onDisk opens the store in dir.
func onDisk(tb testing.TB, dir string) kv.Store {
	tb.Helper()
	db, err := badgerkv.Open(dir, zerolog.Nop())
	if err != nil {
		tb.Fatal(err)
	}
	return store(tb, db)
}

func store(tb testing.TB, db *badgerkv.DB) kv.Store {
	tb.Helper()
	s, err := badgerkv.NewStore(db)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.Close() })
	return s
}

// crash copies a store's folder while it is open: what kill -9 leaves.
func crash(tb testing.TB, dir string) kv.Store {
	tb.Helper()
	to := filepath.Join(tb.TempDir(), "crashed")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		tb.Fatal(err)
	}
	return onDisk(tb, to)
}

func open(tb testing.TB, s kv.Store) *directory.Directory {
	tb.Helper()
	d, err := directory.New(tb.Context(), s, directory.Config{})
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

func creds(user string) api.Credentials { return api.Credentials{User: user, Password: password} }

func signUp(tb testing.TB, d *directory.Directory, user string) api.Account {
	tb.Helper()
	a, err := d.SignUp(tb.Context(), creds(user))
	if err != nil {
		tb.Fatalf("sign up %s: %v", user, err)
	}
	return a
}

func peerID(n int) string { return fmt.Sprintf("PEER%022d", n) }

func beat(n int, name string) api.Heartbeat {
	return api.Heartbeat{Peer: api.Peer{ID: peerID(n), Name: name, Address: fmt.Sprintf("127.0.0.1:%d", 9000+n), Slots: 2}}
}

func register(tb testing.TB, d *directory.Directory, who api.Account, hb api.Heartbeat) api.HeartbeatReply {
	tb.Helper()
	reply, err := d.RegisterClient(tb.Context(), who, hb)
	if err != nil {
		tb.Fatalf("register %s: %v", hb.Peer.Name, err)
	}
	return reply
}

func names(d *directory.Directory) []string {
	list := []string{}
	for _, p := range d.GetClients() {
		list = append(list, p.Name)
	}
	return list
}
