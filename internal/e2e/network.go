// Package e2e starts Burrow's real programs on loopback and looks at them from
// outside, as a user and as a failing machine would. [Start] gives a network of
// a registry and peers, [StartPeer] a peer that works alone. Everything that a
// test starts ends with it, and its logs are shown if the test failed.
package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"burrow/api"
	"burrow/api/client"
)

// Patience is how long a test waits for something that must happen. It is
// generous: the wait ends as soon as the thing has happened.
const Patience = 30 * time.Second

// Password is the password of every account that the tests make.
const Password = "correct horse battery"

// binVariable names the folder that the programs are built into.
const binVariable = "BURROW_E2E_BIN"

var build = sync.OnceValues(buildPrograms)

// buildPrograms builds the four programs into the folder that TestMain made.
// They are built without the race detector, whose address space no memory limit
// would allow; BURROW_E2E_RACE=1 builds the registry and peerd with it.
func buildPrograms() (string, error) {
	dir := os.Getenv(binVariable)
	if dir == "" {
		return "", fmt.Errorf("%s is not set: call the tests through TestMain", binVariable)
	}
	run := func(args ...string) error {
		cmd := exec.Command("go", append([]string{"build", "-o", dir + string(filepath.Separator)}, args...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", cmd, err, out)
		}
		return nil
	}
	if err := run("burrow/registry", "burrow/peerd", "burrow/executor-plugin", "burrow/dashboard"); err != nil {
		return "", err
	}
	if os.Getenv("BURROW_E2E_RACE") == "1" {
		if err := run("-race", "burrow/registry", "burrow/peerd"); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// Program returns the path of one of Burrow's four programs, built once for
// all tests.
func Program(tb testing.TB, name string) string {
	tb.Helper()
	if testing.Short() {
		tb.Skip("starts real processes; not with -short")
	}
	dir, err := build()
	if err != nil {
		tb.Fatalf("build the programs: %v", err)
	}
	return filepath.Join(dir, name)
}

// Eventually calls check until it returns nil, and fails the test with its
// last error when Patience is over.
func Eventually(tb testing.TB, what string, check func() error) {
	tb.Helper()
	EventuallyIn(tb, Patience, what, check)
}

// EventuallyIn is [Eventually] with a deadline of its own.
func EventuallyIn(tb testing.TB, patience time.Duration, what string, check func() error) {
	tb.Helper()
	deadline := time.Now().Add(patience)
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, 200*time.Millisecond) {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			tb.Fatalf("%s: not within %v: %v", what, patience, err)
		}
		time.Sleep(pause)
	}
}

// Process is one running program of ours.
type Process struct {
	Name string
	Data string // its data folder

	tb      testing.TB
	program string
	args    []string
	log     string
	cmd     *exec.Cmd
	done    chan struct{} // closed when cmd has ended
}

// Launch starts program with args on the data folder data and does not wait
// for its readiness. It is killed at the end of the test.
func Launch(tb testing.TB, name, program, data string, args ...string) *Process {
	tb.Helper()
	p := &Process{
		Name: name, Data: data, tb: tb, program: Program(tb, program),
		args: append([]string{"--data", data}, args...),
		log:  filepath.Join(tb.TempDir(), name+".log"),
	}
	tb.Cleanup(func() {
		p.endFamily()
		if strings.Contains(p.Log(), "DATA RACE") {
			tb.Errorf("%s has a data race", p.Name)
		}
		if tb.Failed() {
			tb.Logf("log of %s:\n%s", p.Name, tail(p.Log(), 40))
		}
	})
	p.start()
	return p
}

func (p *Process) start() {
	p.tb.Helper()
	// A stale address must not pass for the new one.
	if err := os.Remove(filepath.Join(p.Data, "address")); err != nil && !os.IsNotExist(err) && !isNotDir(err) {
		p.tb.Fatalf("start %s: %v", p.Name, err)
	}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		p.tb.Fatalf("start %s: %v", p.Name, err)
	}
	defer func() { _ = log.Close() }() // the child has its own descriptor
	cmd := exec.Command(p.program, p.args...)
	cmd.Env = cleanEnv(p.tb)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		p.tb.Fatalf("start %s: %v", p.Name, err)
	}
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait() // how it ended stands in cmd.ProcessState
		close(done)
	}()
	p.cmd, p.done = cmd, done
}

// cleanEnv is the environment without the caller's own Burrow settings.
func cleanEnv(tb testing.TB) []string {
	env := []string{"HOME=" + tb.TempDir()}
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "BURROW_") && !strings.HasPrefix(kv, "HOME=") && !strings.HasPrefix(kv, "XDG_") {
			env = append(env, kv)
		}
	}
	return env
}

// PID is the process's id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Log is everything that the process has printed so far, over all its starts.
func (p *Process) Log() string {
	data, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// Alive reports whether the process has not ended.
func (p *Process) Alive() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Kill is kill -9: the process gets no chance to tidy up.
func (p *Process) Kill() {
	if p.cmd != nil && p.done != nil {
		_ = p.cmd.Process.Kill() // fails only if it has ended already
		<-p.done
	}
}

// Stop asks the process to end, as Ctrl-C does, and fails the test if it does
// not, or not cleanly.
func (p *Process) Stop() {
	p.tb.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.tb.Fatalf("stop %s: %v", p.Name, err)
	}
	if code := p.ExitCode(); code != 0 {
		p.tb.Errorf("%s ended with exit code %d after SIGTERM; want 0", p.Name, code)
	}
}

// ExitCode waits for the process's end and returns its exit code.
func (p *Process) ExitCode() int {
	p.tb.Helper()
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(Patience):
		p.tb.Fatalf("%s did not end within %v", p.Name, Patience)
		return -1
	}
}

// Address waits for the host:port that the process serves.
func (p *Process) Address() string {
	p.tb.Helper()
	return p.file("address")
}

// file waits for a file of the data folder and returns its trimmed content.
func (p *Process) file(name string) string {
	p.tb.Helper()
	var text string
	Eventually(p.tb, p.Name+" writes its file "+name, func() error {
		if !p.Alive() {
			p.tb.Fatalf("%s has ended with exit code %d", p.Name, p.ExitCode())
		}
		data, err := os.ReadFile(filepath.Join(p.Data, name))
		if text = strings.TrimSpace(string(data)); err == nil && text == "" {
			err = fmt.Errorf("%s is empty", name)
		}
		return err
	})
	return text
}

// AwaitReady waits until the process's /readyz answers 200.
func (p *Process) AwaitReady() {
	p.tb.Helper()
	url := "http://" + p.Address() + "/readyz"
	Eventually(p.tb, p.Name+" is ready", func() error {
		if !p.Alive() {
			p.tb.Fatalf("%s has ended with exit code %d", p.Name, p.ExitCode())
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10)) // only for the message
			return fmt.Errorf("/readyz: %s: %s", resp.Status, body)
		}
		return nil
	})
}

func tail(text string, lines int) string {
	all := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// Registry is a running registry.
type Registry struct{ *Process }

// StartRegistry starts a registry and waits until it is ready.
func StartRegistry(tb testing.TB, data, listen string) *Registry {
	tb.Helper()
	r := &Registry{Launch(tb, "registry", "registry", data, "--listen", listen, "--signup", "open")}
	r.AwaitReady()
	return r
}

// Link is what a peer joins with.
func (r *Registry) Link() string {
	r.tb.Helper()
	return r.file("join-link")
}

// Client returns a client without a login.
func (r *Registry) Client() *client.Registry {
	r.tb.Helper()
	c, err := client.NewRegistry(r.Link(), "")
	if err != nil {
		r.tb.Fatalf("client of the registry: %v", err)
	}
	return c
}

// Restart starts the killed registry again, on the same address and data.
func (r *Registry) Restart(address string) {
	r.tb.Helper()
	r.args = []string{"--data", r.Data, "--listen", address, "--signup", "open"}
	r.start()
	r.AwaitReady()
}

// Peer is a running peer.
type Peer struct {
	*Process
	*client.Peer
}

// StartPeer starts a peer on a new data folder and waits until it is ready.
func StartPeer(tb testing.TB, name string, args ...string) *Peer {
	tb.Helper()
	data := filepath.Join(tb.TempDir(), name)
	p := &Peer{Process: Launch(tb, name, "peerd", data, append([]string{"--port", "0", "--name", name}, args...)...)}
	p.await()
	return p
}

// Restart starts the killed peer again on the same data; its port changes.
func (p *Peer) Restart() {
	p.tb.Helper()
	p.start()
	p.await()
}

func (p *Peer) await() {
	p.tb.Helper()
	p.AwaitReady()
	c, err := client.NewPeer("http://"+p.Address(), p.file("token"))
	if err != nil {
		p.tb.Fatalf("client of %s: %v", p.Name, err)
	}
	p.Peer = c
}

// Run posts a job and waits for its end.
func (p *Peer) Run(tb testing.TB, spec api.JobSpec) api.Job {
	tb.Helper()
	job, err := p.Peer.Run(tb.Context(), spec, "", Patience)
	if err != nil {
		tb.Fatalf("run a job on %s: %v", p.Name, err)
	}
	if !job.State.Final() {
		tb.Fatalf("job %s is %s (%s) after %v; want a final state", job.ID, job.State, job.Reason, Patience)
	}
	return job
}

// Network is a registry with peers that have joined it.
type Network struct {
	Registry *Registry
	Peers    []*Peer
}

// Start starts a registry and a peer for each name, which is also its user's.
func Start(tb testing.TB, names ...string) *Network {
	tb.Helper()
	n := &Network{Registry: StartRegistry(tb, filepath.Join(tb.TempDir(), "registry"), "127.0.0.1:0")}
	for _, name := range names {
		n.Peers = append(n.Peers, StartPeer(tb, name, Join(tb, n.Registry.Link(), name, Password)...))
	}
	for _, p := range n.Peers {
		p.AwaitConnected()
	}
	return n
}

// Join returns the flags with which a peer joins a registry.
func Join(tb testing.TB, link, user, password string) []string {
	tb.Helper()
	file := filepath.Join(tb.TempDir(), "password")
	if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
		tb.Fatalf("write a password file: %v", err)
	}
	return []string{"--registry", link, "--user", user, "--password-file", file}
}

// AwaitConnected waits until the peer says that its registry knows it.
func (p *Peer) AwaitConnected() {
	p.tb.Helper()
	Eventually(p.tb, p.Name+" is connected to the registry", func() error {
		s, err := p.Status(p.tb.Context())
		if err == nil && s.Registry != "connected" {
			err = fmt.Errorf("it says %q", s.Registry)
		}
		return err
	})
}
