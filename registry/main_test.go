package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// start runs the registry until the test ends, or until stop is called, which
// returns the exit code. It returns when the registry is ready.
func start(t *testing.T, args ...string) (address string, stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, append(args, "--listen", "127.0.0.1:0", "--log-format", "json"), io.Discard, w)
		_ = w.Close()
	}()
	ready := make(chan string, 1)
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		lines := bufio.NewScanner(r)
		for lines.Scan() {
			var entry struct{ Message, Address string }
			if json.Unmarshal(lines.Bytes(), &entry) == nil && entry.Message == "registry ready" {
				ready <- entry.Address
			}
			t.Log(lines.Text())
		}
		close(ready)
	}()
	stop = func() int { cancel(); <-drained; return <-code }
	address = <-ready
	if address == "" {
		t.Fatalf("the registry is not ready: exit code %d", stop())
	}
	return address, stop
}

func post(t *testing.T, url, body string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// Ensure that a registry announces itself, ends with 0, and finds its accounts
// again at the second start.
func TestServe(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "new", "data")
	address, stop := start(t, "--data", data)
	for name, want := range map[string]string{addressFile: address + "\n", joinFile: "http://" + address + "\n"} {
		if got, err := os.ReadFile(filepath.Join(data, name)); string(got) != want {
			t.Errorf("%s: got %q, %v; want %q", name, got, err, want)
		}
	}
	const ada = `{"user":"ada","password":"correct horse"}`
	if got := post(t, "http://"+address+"/v1/accounts", ada); got != http.StatusCreated {
		t.Errorf("sign up: got %d, want 201", got)
	}
	var stderr bytes.Buffer
	if code := run(t.Context(), []string{"--data", data, "--listen", "127.0.0.1:0", "--log-format", "json"}, io.Discard, &stderr); code != 1 || !strings.Contains(stderr.String(), "in use by another process") {
		t.Errorf("second registry in one folder: exit %d, %s", code, &stderr)
	}
	if code := stop(); code != 0 {
		t.Errorf("exit code: got %d, want 0", code)
	}
	address, stop = start(t, "--data", data, "--signup", "closed")
	if got := post(t, "http://"+address+"/v1/sessions", ada); got != http.StatusCreated {
		t.Errorf("log in after a restart: got %d, want 201", got)
	}
	if got := post(t, "http://"+address+"/v1/accounts", strings.Replace(ada, "ada", "bob", 1)); got != http.StatusForbidden {
		t.Errorf("sign up at a closed registry: got %d, want 403", got)
	}
	if code := stop(); code != 0 {
		t.Errorf("exit code: got %d, want 0", code)
	}
}

// Ensure that every refusal is one line with the way out.
func TestRefusals(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	for _, c := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"unknown flag", []string{"--nope"}, 2, "unknown flag: --nope"},
		{"unknown command", []string{"shell"}, 2, `unknown command "shell"`},
		{"invitations", []string{"--signup", "invite"}, 2, "use open or closed"},
		{"unknown sign-up", []string{"--signup", "x"}, 2, "use open or closed"},
		{"etcd", []string{"--store", "etcd://h:1"}, 2, "use badger:DIR"},
		{"unknown store", []string{"--store", "x"}, 2, "use badger:DIR"},
		{"unknown log format", []string{"--log-format", "x"}, 2, "json"},
		{"every interface", []string{"--listen", "0.0.0.0:0"}, 1, "127.0.0.1"},
		{"taken port", []string{"--listen", ln.Addr().String()}, 1, "--listen"},
		{"no folder", []string{"--data", "/dev/null/x"}, 1, "--data"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			args := append([]string{"--data", t.TempDir(), "--log-format", "json"}, c.args...)
			code := run(t.Context(), args, &stdout, &stderr)
			got := stderr.String()
			if code != c.code || !strings.HasPrefix(got, "registry: ") || !strings.Contains(got, c.want) || strings.Count(got, "\n") != 1 {
				t.Errorf("got exit %d and %q; want %d and one line with %q", code, got, c.code, c.want)
			}
			if stdout.Len() > 0 {
				t.Errorf("stdout: got %q, want nothing", &stdout)
			}
		})
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	var stdout bytes.Buffer
	if code := run(t.Context(), []string{"--version"}, &stdout, io.Discard); code != 0 || !strings.HasPrefix(stdout.String(), "registry version ") {
		t.Errorf("got exit %d, %q", code, &stdout)
	}
}
