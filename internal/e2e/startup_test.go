package e2e

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"burrow/api"
)

// refusal starts peerd, which must end with an error, and returns the error.
func refusal(t *testing.T, data string, args ...string) string {
	t.Helper()
	p := Launch(t, "refused", "peerd", data, args...)
	code := p.ExitCode()
	log := strings.TrimSpace(p.Log())
	if code == 0 {
		t.Errorf("peerd %q ended with exit code 0; want an error", args)
	}
	if strings.Contains(log, "goroutine ") || strings.Contains(log, "panic") {
		t.Errorf("peerd %q fell over:\n%s", args, log)
	}
	lines := strings.Split(log, "\n")
	last := lines[len(lines)-1]
	if !strings.HasPrefix(last, "peerd: ") {
		t.Errorf("peerd %q: the last line is %q; want one that begins with \"peerd: \"", args, last)
	}
	if strings.Contains(log, "Usage:") {
		t.Errorf("peerd %q buries its error under the usage:\n%s", args, log)
	}
	return last
}

func TestPeerdSaysWhyItDoesNotStart(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	_, port, err := net.SplitHostPort(taken.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	busy := StartPeer(t, "busy")
	file := write(t, "file", "")
	network := Start(t, "alice")

	for _, c := range []struct {
		name, data string
		args       []string
		want       []string // each must stand in the error
	}{
		{name: "port in use", args: []string{"--port", port}, want: []string{port, "in use", "--port"}},
		{name: "data folder in use", data: busy.Data, args: []string{"--port", "0"}, want: []string{busy.Data}},
		{name: "data folder below a file", data: filepath.Join(file, "data"), args: []string{"--port", "0"}, want: []string{file, "--data"}},
		{name: "data folder not writable", data: "/proc/burrow", args: []string{"--port", "0"}, want: []string{"/proc/burrow", "--data"}},
		{name: "address of every network", args: []string{"--port", "0", "--listen", "0.0.0.0:0"}, want: []string{"loopback"}},
		{
			name: "wrong password",
			args: append([]string{"--port", "0", "--name", "second"}, Join(t, network.Registry.Link(), "alice", "not her password")...),
			want: []string{"password"},
		},
		{name: "no executor", args: []string{"--port", "0", "--executor", filepath.Join(t.TempDir(), "nothing")}, want: []string{"nothing"}},
		{name: "unknown flag", args: []string{"--prot", "0"}, want: []string{"--prot"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.data == "" {
				c.data = filepath.Join(t.TempDir(), "data")
			}
			got := refusal(t, c.data, c.args...)
			for _, want := range c.want {
				if !strings.Contains(got, want) {
					t.Errorf("error %q; want %q in it", got, want)
				}
			}
		})
	}
	if job := busy.Run(t, api.JobSpec{Source: "print(1)"}); job.State != api.StateSucceeded {
		t.Errorf("a job on the peer whose folder was asked for is %s; want it to succeed", job.State)
	}
}

// Ensure that a peer works while its registry is away and joins when it comes.
func TestAPeerStartsBeforeItsRegistry(t *testing.T) {
	t.Parallel()
	address := unusedAddress(t)
	p := StartPeer(t, "early", Join(t, "http://"+address, "early", Password)...)
	if job := p.Run(t, api.JobSpec{Source: "print(1)"}); job.State != api.StateSucceeded {
		t.Errorf("a job without the registry is %s; want it to succeed", job.State)
	}
	s, err := p.Status(t.Context())
	if err != nil || s.Registry == "connected" || s.Registry == "none" || s.Registry == "" {
		t.Errorf("status says of the registry %q (%v); want why it is not connected", s.Registry, err)
	}
	StartRegistry(t, filepath.Join(t.TempDir(), "registry"), address)
	p.AwaitConnected()
}

// Ensure that tokens and passwords are for their owner's eyes.
func TestSecretsAreForTheirOwnerOnly(t *testing.T) {
	t.Parallel()
	n := Start(t, "alice")
	p := n.Peers[0]
	for path, want := range map[string]os.FileMode{p.Data: 0o700, filepath.Join(p.Data, "token"): 0o600, n.Registry.Data: 0o700} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %s; want %s", path, strconv.FormatUint(uint64(got), 8), strconv.FormatUint(uint64(want), 8))
		}
	}
	if strings.Contains(p.Log()+n.Registry.Log(), Password) {
		t.Error("a password stands in a log")
	}
}
