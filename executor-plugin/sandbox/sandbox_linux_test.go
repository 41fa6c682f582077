package sandbox_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"burrow/executor-plugin/sandbox"
)

const shell = "/bin/sh"

// isolation skips where the kernel refuses namespaces, unless CI insists.
func isolation(t testing.TB) sandbox.Isolation {
	t.Helper()
	iso := sandbox.Probe(t.Context(), shell, "sh", "-c", ":")
	if !iso.Namespaces {
		if os.Getenv("BURROW_REQUIRE_SANDBOX") == "1" {
			t.Fatal(iso.Reason)
		}
		t.Skip(iso.Reason)
	}
	return iso
}

// sh is a recipe for a shell script with collected stdout.
func sh(script string, out *bytes.Buffer) sandbox.Cmd {
	return sandbox.Cmd{
		Path: shell, Args: []string{"sh", "-c", script},
		Files: []sandbox.File{{}, {Sink: func(b []byte) error { out.Write(b); return nil }}, {Capture: 1000}},
	}
}

func TestEnds(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, script string
		limits       sandbox.Limits
		exit         int
		signal       string
		limit        string
	}{
		{name: "success", script: "exit 0"},
		{name: "exit code", script: "exit 7", exit: 7},
		{name: "signal", script: "kill -TERM $$", exit: 143, signal: "SIGTERM"},
		{name: "wall", script: "sleep 100", limits: sandbox.Limits{Wall: 100 * time.Millisecond}, exit: 137, signal: "SIGKILL", limit: sandbox.LimitWall},
		{name: "wall reaches children", script: "sleep 100 & sleep 100 & wait", limits: sandbox.Limits{Wall: 100 * time.Millisecond}, exit: 137, signal: "SIGKILL", limit: sandbox.LimitWall},
		{name: "cpu", script: "while :; do :; done", limits: sandbox.Limits{CPU: 100 * time.Millisecond, Wall: time.Minute}, exit: 137, signal: "SIGKILL", limit: sandbox.LimitCPU},
		{name: "memory", script: "a=x; while :; do a=$a$a; done", limits: sandbox.Limits{Memory: 32 << 20, AddressSlack: 1 << 30, Wall: time.Minute}, exit: 137, signal: "SIGKILL", limit: sandbox.LimitMemory},
		{name: "output", script: "while :; do echo 0123456789; done", limits: sandbox.Limits{Output: 1000, Wall: time.Minute}, exit: 137, signal: "SIGKILL", limit: sandbox.LimitOutput},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			cmd := sh(tc.script, &out)
			cmd.Limits = tc.limits
			res, err := sandbox.Run(t.Context(), cmd)
			if err != nil {
				t.Fatal(err)
			}
			if res.ExitCode != tc.exit || res.Signal != tc.signal || res.Limit != tc.limit {
				t.Errorf("got %+v, want exit %d, signal %q, limit %q", res, tc.exit, tc.signal, tc.limit)
			}
			if tc.limit == sandbox.LimitOutput && (out.Len() != 1000 || res.Output != 1000) {
				t.Errorf("delivered %d bytes, reported %d; want 1000", out.Len(), res.Output)
			}
		})
	}
}

func TestChildSeesOnlyItsOwn(t *testing.T) {
	t.Parallel()
	secret, err := os.Open("/etc/passwd") // something that must not leak
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = secret.Close() })
	var out bytes.Buffer
	// What a careless parent left open without close-on-exec must not leak either.
	leak, err := syscall.Dup(int(secret.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(leak) })
	// ls sees 0, 1, 2 and, as 3, the directory that it reads.
	cmd := sh("ls /proc/self/fd; pwd; env; ulimit -c", &out)
	cmd.Env = []string{"A=b"}
	if _, err := sandbox.Run(t.Context(), cmd); err != nil {
		t.Fatal(err)
	}
	lines := strings.Fields(out.String())
	if !strings.HasPrefix(strings.Join(lines, " "), "0 1 2 3 / ") {
		t.Errorf("child sees %q, want descriptors 0 1 2 and directory /", lines)
	}
	if !strings.Contains(out.String(), "A=b") || strings.Contains(out.String(), "HOME=") {
		t.Errorf("environment leaked: %q", out.String())
	}
	if !strings.HasSuffix(out.String(), "\n0\n") {
		t.Errorf("core dumps are allowed: %q", out.String())
	}
}

func TestInputsAndRlimits(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	cmd := sh("cat; cat <&3; ulimit -n; ulimit -f; grep NoNewPrivs /proc/self/status", &out)
	cmd.Files[0].Input = strings.NewReader("zero ")
	cmd.Files = append(cmd.Files, sandbox.File{Input: strings.NewReader("three\n")})
	cmd.Limits = sandbox.Limits{OpenFiles: 32, FileSize: -1}
	if _, err := sandbox.Run(t.Context(), cmd); err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), "zero three\n32\n0\nNoNewPrivs:\t1\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestNamespaces(t *testing.T) {
	t.Parallel()
	iso := isolation(t)
	var out bytes.Buffer
	cmd := sh("echo $$; id -u; cat /proc/net/dev | tail -n +3 | cut -d: -f1; (setsid sleep 1000 </dev/null >/dev/null 2>&1 &)", &out)
	cmd.Isolation = iso
	started := time.Now()
	res, err := sandbox.Run(t.Context(), cmd)
	if err != nil || res.ExitCode != 0 {
		t.Fatalf("%+v, %v", res, err)
	}
	if got := strings.Fields(out.String()); len(got) != 3 || got[0] != "1" || got[1] != "65534" || got[2] != "lo" {
		t.Errorf("got %q, want pid 1, uid 65534 and only lo", got)
	}
	if time.Since(started) > 30*time.Second {
		t.Error("a daemon of the job held the run up")
	}
}

// Live output, and a program steered through its stdin.
func TestStreams(t *testing.T) {
	t.Parallel()
	r, w := io.Pipe()
	lines := make(chan string, 10)
	cmd := sh("echo ready; read a; echo got $a; sleep 1000", new(bytes.Buffer))
	cmd.Files[0].Input = r
	cmd.Files[1].Sink = func(b []byte) error { lines <- string(b); return nil }
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error)
	go func() {
		_, err := sandbox.Run(ctx, cmd)
		done <- err
	}()
	if got := <-lines; got != "ready\n" {
		t.Errorf("first line %q", got)
	}
	if _, err := io.WriteString(w, "this\n"); err != nil {
		t.Fatal(err)
	}
	if got := <-lines; got != "got this\n" {
		t.Errorf("answer %q", got)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	broken := errors.New("sink is broken")
	cmd := sh("while :; do echo x; done", nil)
	cmd.Files[1].Sink = func([]byte) error { return broken }
	if _, err := sandbox.Run(t.Context(), cmd); !errors.Is(err, broken) {
		t.Errorf("got %v, want the sink's error", err)
	}
	if _, err := sandbox.Run(t.Context(), sandbox.Cmd{Path: "/nonexistent", Args: []string{"x"}}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want ErrNotExist", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := sandbox.Run(ctx, sh(":", new(bytes.Buffer))); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

// A slow sink slows the child down and loses nothing; what it has not taken is
// not held in memory here.
func TestBackpressure(t *testing.T) {
	t.Parallel()
	const total = 8 << 20
	cmd := sh(fmt.Sprintf("head -c %d /dev/zero", total), nil)
	got := 0
	cmd.Files[1].Sink = func(b []byte) error {
		if len(b) > 32<<10 {
			t.Errorf("chunk of %d bytes", len(b))
		}
		runtime.Gosched()
		got += len(b)
		return nil
	}
	res, err := sandbox.Run(t.Context(), cmd)
	if err != nil || got != total || res.Output != total {
		t.Errorf("got %d bytes, %+v, %v", got, res, err)
	}
}

// Nothing is left of a run: no process, no goroutine, no descriptor. Not
// parallel: it counts.
func TestNothingIsLeft(t *testing.T) {
	count := func() (goroutines, files int) {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return runtime.NumGoroutine(), len(entries)
	}
	var pid bytes.Buffer
	one := func() {
		pid.Reset()
		cmd := sh("sleep 1000 & echo $!; kill -KILL $$", &pid)
		if _, err := sandbox.Run(t.Context(), cmd); err != nil {
			t.Fatal(err)
		}
		var left int
		_, _ = fmt.Sscan(pid.String(), &left)
		if data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", left)); err == nil && !strings.Contains(string(data), ") Z ") && syscall.Kill(left, 0) == nil {
			if !dies(left) {
				t.Errorf("process %d is left: %s", left, data)
			}
		}
	}
	one()
	goroutines, files := count()
	for range 10 {
		one()
	}
	if g, f := count(); g > goroutines+1 || f > files+1 {
		t.Errorf("%d goroutines and %d files became %d and %d", goroutines, files, g, f)
	}
}

// dies gives a killed orphan the moment that init needs to reap it.
func dies(pid int) bool {
	for range 1_000_000 {
		if syscall.Kill(pid, 0) != nil {
			return true
		}
		if data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err != nil || strings.Contains(string(data), ") Z ") {
			return true
		}
		runtime.Gosched()
	}
	return false
}

func ExampleRun() {
	res, err := sandbox.Run(context.Background(), sandbox.Cmd{
		Path: "/bin/sh", Args: []string{"sh", "-c", "echo hello; exit 3"},
		Files:  []sandbox.File{{}, {Sink: func(b []byte) error { fmt.Printf("%s", b); return nil }}, {}},
		Limits: sandbox.Limits{Wall: time.Minute, Output: 1 << 20},
	})
	fmt.Println(res.ExitCode, err)
	// Output:
	// hello
	// 3 <nil>
}

func BenchmarkRun(b *testing.B) {
	for _, iso := range []sandbox.Isolation{{}, {Namespaces: true}} {
		b.Run(fmt.Sprintf("namespaces=%v", iso.Namespaces), func(b *testing.B) {
			if iso.Namespaces {
				iso = isolation(b)
			}
			for b.Loop() {
				cmd := sh("exit 0", new(bytes.Buffer))
				cmd.Isolation = iso
				if _, err := sandbox.Run(b.Context(), cmd); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
