package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"burrow/api"
)

func TestBadFlagsAreOneLineAndExitOne(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"no registry":          {nil, "--registry LINK"},
		"a foreign registry":   {[]string{"--registry", "ftp://x"}, "--registry"},
		"a user alone":         {[]string{"--registry", "http://127.0.0.1:1", "--user", "mole"}, "go together"},
		"no password file":     {[]string{"--registry", "http://127.0.0.1:1", "--user", "mole", "--password-file", filepath.Join(dir, "no")}, "--password-file"},
		"every address":        {[]string{"--registry", "http://127.0.0.1:1", "--data", dir, "--listen", "0.0.0.0:0"}, "use 127.0.0.1"},
		"a log format":         {[]string{"--registry", "http://127.0.0.1:1", "--log-format", "xml"}, "--log-format"},
		"an unknown flag":      {[]string{"--colour"}, "unknown flag"},
		"an argument too much": {[]string{"serve"}, "serve"},
	} {
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), tt.args, &stdout, &stderr); code != 1 {
			t.Errorf("%s: exit code %d", name, code)
		}
		if got := stderr.String(); !strings.HasPrefix(got, "dashboard: ") || !strings.Contains(got, tt.want) || strings.Count(got, "\n") != 1 || stdout.Len() != 0 {
			t.Errorf("%s: stderr %q, stdout %q", name, got, &stdout)
		}
	}
}

// TestRunServesAndStops walks a whole life, with a login and the address file
// of an earlier run.
func TestRunServesAndStops(t *testing.T) {
	t.Parallel()
	var logins atomic.Int64
	var token atomic.Value
	token.Store("none")
	registry := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/sessions" {
			token.Store("t" + string(rune('0'+logins.Add(1))))
			_ = json.NewEncoder(w).Encode(api.Session{Token: token.Load().(string)})
			return
		}
		if r.Header.Get("Authorization") != "Bearer "+token.Load().(string) {
			w.WriteHeader(http.StatusUnauthorized)
			_ = json.NewEncoder(w).Encode(api.NewProblem(api.ErrUnauthorized))
			return
		}
		_, _ = io.WriteString(w, "{}")
	}))
	defer registry.Close()
	dir := t.TempDir()
	password := filepath.Join(dir, "password")
	if err := os.WriteFile(password, []byte("a long password\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "address"), []byte("127.0.0.1:1"), 0o600); err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stdout, said := io.Pipe()
	ended := make(chan int, 1)
	var stderr bytes.Buffer
	go func() {
		ended <- run(ctx, []string{"--listen", "127.0.0.1:0", "--data", dir, "--registry", registry.URL, "--user", "mole", "--password-file", password, "--log-format", "json"}, said, &stderr)
		_ = said.Close()
	}()
	line := make([]byte, 64)
	n, err := stdout.Read(line)
	if err != nil {
		t.Fatalf("no address: %v; stderr %s", err, &stderr)
	}
	link := strings.TrimSpace(strings.TrimPrefix(string(line[:n]), "Dashboard: "))
	go func() { _, _ = io.Copy(io.Discard, stdout) }()
	address, err := os.ReadFile(filepath.Join(dir, "address"))
	if err != nil || link != "http://"+string(address)+"/" {
		t.Errorf("address file %q, %v; printed %q", address, err, link)
	}
	for path, want := range map[string]string{"readyz": `"ok"`, "": "<h1>", "metrics": "burrow_dashboard_registry_up 1"} {
		res, err := http.Get(link + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if res.StatusCode != 200 || !strings.Contains(string(body), want) {
			t.Errorf("/%s: status %d, no %s", path, res.StatusCode, want)
		}
	}
	cancel()
	if code := <-ended; code != 0 {
		t.Errorf("exit code %d; stderr %s", code, &stderr)
	}
	if strings.Contains(stderr.String(), "a long password") {
		t.Error("the password is in the log")
	}
}

func TestLinkLogsInAgainWhenTheSessionIsGone(t *testing.T) {
	t.Parallel()
	var logins atomic.Int64
	registry := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/v1/sessions":
			logins.Add(1)
			_ = json.NewEncoder(w).Encode(api.Session{Token: map[bool]string{true: "old", false: "new"}[logins.Load() == 1]})
		case r.Header.Get("Authorization") == "Bearer new":
			_ = json.NewEncoder(w).Encode(api.PeerPage{Peers: []api.Peer{{Name: "mole"}}})
		default:
			w.WriteHeader(http.StatusUnauthorized)
			_ = json.NewEncoder(w).Encode(api.NewProblem(api.ErrUnauthorized))
		}
	}))
	defer registry.Close()
	l, err := newLink(registry.URL, &api.Credentials{User: "mole", Password: "a long password"})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if peers, err := l.Peers(t.Context()); err != nil || len(peers) != 1 {
			t.Fatalf("got %v, %v", peers, err)
		}
	}
	if got := logins.Load(); got != 2 {
		t.Errorf("%d logins, want 2", got)
	}
}
