package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"burrow/api"
)

// Ensure that what the registry knows outlives a kill -9, that peers work on
// without it, and that they come back to it by themselves.
func TestTheRegistrySurvivesAKill(t *testing.T) {
	t.Parallel()
	n := Start(t, "alice", "bob")
	alice, bob := n.Peers[0], n.Peers[1]
	good := api.JobSpec{Source: "print(1)"}
	bad := api.JobSpec{Source: "print(1 // 0)"}
	for _, p := range n.Peers {
		for _, spec := range []api.JobSpec{good, good, bad} {
			p.Run(t, spec)
		}
	}
	awaitStats(t, n, 4, 2)
	awaitBoth(t, n)

	if _, err := n.Registry.Client().SignUp(t.Context(), api.Credentials{User: "carol", Password: Password}); err != nil {
		t.Fatalf("sign up: %v", err)
	}
	address := n.Registry.Address()
	n.Registry.Kill()
	requireBadger(t, n.Registry.Data)

	if job := alice.Run(t, good); job.State != api.StateSucceeded {
		t.Errorf("without a registry a job is %s; want it to succeed", job.State)
	}
	Eventually(t, "bob notices that the registry is away", func() error {
		s, err := bob.Status(t.Context())
		if err == nil && s.Registry == "connected" {
			err = errors.New("it says connected")
		}
		return err
	})

	n.Registry.Restart(address)
	c := n.Registry.Client()
	for _, user := range []string{"carol", "alice", "bob"} {
		s, err := c.Login(t.Context(), api.Credentials{User: user, Password: Password})
		if err != nil || s.Token == "" || s.Account.User != user {
			t.Errorf("log in as %s after the restart: %+v, %v", user, s.Account, err)
		}
	}
	if _, err := c.Login(t.Context(), api.Credentials{User: "carol", Password: "a wrong one"}); !errors.Is(err, api.ErrUnauthorized) {
		t.Errorf("log in with a wrong password: %v; want unauthorized", err)
	}
	for _, p := range n.Peers {
		p.AwaitConnected()
	}
	awaitBoth(t, n)
	awaitStats(t, n, 5, 2) // the six of before and the one without a registry

	// A peer that dies and returns is the same peer: nothing counts twice.
	bob.Kill()
	bob.Restart()
	bob.AwaitConnected()
	if job := bob.Run(t, good); job.State != api.StateSucceeded {
		t.Errorf("job after the peer's restart is %s", job.State)
	}
	awaitStats(t, n, 6, 2)
	awaitBoth(t, n)

	// One that leaves is gone at once.
	bob.Stop()
	Eventually(t, "bob is off the list", func() error {
		peers, err := c.Peers(t.Context())
		if err == nil && len(peers) != 1 {
			err = fmt.Errorf("%d peers are listed", len(peers))
		}
		return err
	})
}

// awaitStats waits until the registry counts exactly so many ended jobs.
func awaitStats(t *testing.T, n *Network, succeeded, failed int64) {
	t.Helper()
	Eventually(t, "the registry counts the ended jobs", func() error {
		s, err := n.Registry.Client().Stats(t.Context(), "1s", 10)
		if err == nil && (s.States[api.StateSucceeded] != succeeded || s.States[api.StateFailed] != failed) {
			err = fmt.Errorf("it counts %v; want %d succeeded, %d failed", s.States, succeeded, failed)
		}
		return err
	})
}

// awaitBoth waits until the registry and each peer list alice and bob.
func awaitBoth(t *testing.T, n *Network) {
	t.Helper()
	names := func(peers []api.Peer, err error) error {
		var got []string
		for _, p := range peers {
			got = append(got, p.Name)
		}
		if slices.Sort(got); err == nil && !slices.Equal(got, []string{"alice", "bob"}) {
			err = fmt.Errorf("listed are %v", got)
		}
		return err
	}
	Eventually(t, "the registry lists both peers", func() error { return names(n.Registry.Client().Peers(t.Context())) })
	for _, p := range n.Peers {
		Eventually(t, p.Name+" lists both peers", func() error { return names(p.Peers(t.Context())) })
	}
}

// requireBadger checks that the folder holds a Badger store.
func requireBadger(t *testing.T, data string) {
	t.Helper()
	manifest, tables := false, false
	err := filepath.WalkDir(data, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		manifest = manifest || name == "MANIFEST"
		tables = tables || strings.HasSuffix(name, ".vlog") || strings.HasSuffix(name, ".sst")
		return nil
	})
	if err != nil || !manifest || !tables {
		t.Errorf("the data folder holds no Badger store: MANIFEST %v, *.vlog or *.sst %v, %v", manifest, tables, err)
	}
}

func TestAHostNameBelongsToOnePeer(t *testing.T) {
	t.Parallel()
	n := Start(t, "alice")
	second := Launch(t, "second", "peerd", filepath.Join(t.TempDir(), "second"),
		append([]string{"--port", "0", "--name", "alice"}, Join(t, n.Registry.Link(), "mallory", Password)...)...)
	// It may end with an error or go on alone, but it must not take the place.
	Eventually(t, "the second alice is told", func() error {
		if !second.Alive() || strings.Contains(second.Log(), "alice") {
			return nil
		}
		return errors.New("nothing in its log")
	})
	peers, err := n.Registry.Client().Peers(t.Context())
	if err != nil || len(peers) != 1 || peers[0].Account != "alice" {
		t.Errorf("peers %+v, %v; want alice's own", peers, err)
	}
}

func TestTheDashboardServesItsPage(t *testing.T) {
	t.Parallel()
	n := Start(t, "alice")
	d := Launch(t, "dashboard", "dashboard", filepath.Join(t.TempDir(), "dashboard"),
		"--listen", "127.0.0.1:0", "--registry", n.Registry.Link())
	d.AwaitReady()
	status, header, body := fetch(t, "http://"+d.Address()+"/")
	if status != 200 || !strings.HasPrefix(header.Get("Content-Type"), "text/html") || !strings.Contains(body, "Burrow") {
		t.Errorf("GET /: status %d, %s, %.200q; want the page", status, header.Get("Content-Type"), body)
	}
	if header.Get("Content-Security-Policy") == "" {
		t.Error("the page has no Content-Security-Policy")
	}
}
