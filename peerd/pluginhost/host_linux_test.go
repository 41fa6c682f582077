package pluginhost_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"burrow/api"
	"burrow/api/executor"
	"burrow/peerd/pluginhost"
)

// plugin is the real binary, built once.
var plugin = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "burrow-host-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "executor-plugin")
	out, err := exec.Command("go", "build", "-o", path, "burrow/executor-plugin").CombinedOutput()
	if err != nil {
		return "", errors.New(string(out))
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := plugin(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// start runs a host until the test ends and fails it if that takes too long.
func start(t *testing.T, config pluginhost.Config) *pluginhost.Host {
	t.Helper()
	path, err := plugin()
	if err != nil {
		t.Fatal(err)
	}
	if config.Path == "" {
		config.Path = path
	}
	config.TempDir = filepath.Join(t.TempDir(), "s")
	h := pluginhost.New(config, zerolog.Nop())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.Keep(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil || h.State() != "stopped" {
				t.Errorf("Keep: %v, state %q", err, h.State())
			}
		case <-time.After(20 * time.Second):
			t.Error("the host does not stop")
		}
	})
	return h
}

// children lists the processes whose parent is pid.
func children(pid int) []int {
	var found []int
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range stats {
		data, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		// After the last ")" come the state and the parent.
		fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
		if len(fields) > 1 && fields[1] == strconv.Itoa(pid) {
			child, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
			found = append(found, child)
		}
	}
	return found
}

// pluginPID finds the plugin of this host by its socket directory.
func pluginPID(t *testing.T, path string) int {
	t.Helper()
	for _, pid := range children(os.Getpid()) {
		if exe, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/exe"); err == nil && exe == path {
			return pid
		}
	}
	t.Fatal("no plugin process found")
	return 0
}

func ignore(api.Stream, []byte) error { return nil }

func job(source string) executor.Request {
	return executor.Request{Job: "j", Attempt: 1, Spec: api.JobSpec{Source: source}.WithDefaults()}
}

// The plugin is killed in the middle of a job: that attempt is lost, no process
// of it is left, and the next job runs. Not parallel: it looks for its plugin
// among this process's children.
func TestKilledPlugin(t *testing.T) {
	h := start(t, pluginhost.Config{})
	path, _ := plugin()
	var orphans []unix.PollFd
	_, err := h.Run(t.Context(), job("print('up')\nwhile True: pass"), func(api.Stream, []byte) error {
		pid := pluginPID(t, path)
		for _, child := range children(pid) {
			fd, err := unix.PidfdOpen(child, 0)
			if err != nil {
				return err
			}
			orphans = append(orphans, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
		}
		return syscall.Kill(pid, syscall.SIGKILL)
	})
	if !errors.Is(err, api.ErrExecutorLost) {
		t.Errorf("got %v, want ErrExecutorLost", err)
	}
	if len(orphans) == 0 {
		t.Error("the job had no process?")
	}
	var out strings.Builder
	outcome, err := h.Run(t.Context(), job("print('again')"), func(_ api.Stream, data []byte) error {
		out.Write(data)
		return nil
	})
	if err != nil || outcome.State != api.StateSucceeded || out.String() != "again\n" {
		t.Errorf("next job: %+v, %v, %q", outcome, err, out.String())
	}
	// A pidfd is readable once its process has ended.
	for i := range orphans {
		if n, err := unix.Poll(orphans[i:i+1], 20_000); n != 1 {
			t.Errorf("a process of the lost job still runs (poll: %d, %v)", n, err)
		}
		_ = unix.Close(int(orphans[i].Fd))
	}
}

func TestDescribeAndState(t *testing.T) {
	h := start(t, pluginhost.Config{})
	d, err := h.Describe(t.Context())
	if err != nil || len(d.Runtimes) == 0 || len(d.Layers) == 0 || h.State() != "ready" {
		t.Errorf("got %+v, %v, state %q", d, err, h.State())
	}
}

func TestUnusablePlugins(t *testing.T) {
	path, err := plugin()
	if err != nil {
		t.Fatal(err)
	}
	wrong := sha256.Sum256([]byte("something else"))
	for name, config := range map[string]pluginhost.Config{
		"no such file":                   {Path: "/nonexistent/plugin"},
		"a program that is no plugin":    {Path: "/bin/true"},
		"a file with the wrong checksum": {Path: path, SHA256: wrong[:]},
	} {
		t.Run(name, func(t *testing.T) {
			h := start(t, config)
			for !strings.HasPrefix(h.State(), "restarting: ") {
				changed := h.Changed()
				if strings.HasPrefix(h.State(), "restarting: ") {
					break
				}
				<-changed
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if _, err := h.Run(ctx, job("1"), ignore); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "not ready") {
				t.Errorf("Run = %v, want a word on the executor's state", err)
			}
		})
	}
}

func TestManyJobsAtOnce(t *testing.T) {
	h := start(t, pluginhost.Config{})
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			var out strings.Builder
			o, err := h.Run(t.Context(), job("print("+strconv.Itoa(i)+")"), func(_ api.Stream, data []byte) error {
				out.Write(data)
				return nil
			})
			if err != nil || o.State != api.StateSucceeded || out.String() != strconv.Itoa(i)+"\n" {
				t.Errorf("job %d: %+v, %v, %q", i, o, err, out.String())
			}
		})
	}
	wg.Wait()
}
