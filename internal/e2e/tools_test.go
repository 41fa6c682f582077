package e2e

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"burrow/api"
	"burrow/api/client"
)

func jobFilter(state api.JobState, cursor string) client.JobFilter {
	return client.JobFilter{State: state, Cursor: cursor, Limit: 500}
}

// allJobs pages through the whole list.
func allJobs(t *testing.T, p *Peer) []api.Job {
	t.Helper()
	var all []api.Job
	for cursor := ""; ; {
		page, err := p.Jobs(t.Context(), jobFilter("", cursor))
		if err != nil {
			t.Fatalf("list the jobs of %s: %v", p.Name, err)
		}
		all = append(all, page.Jobs...)
		if page.Next == "" {
			return all
		}
		cursor = page.Next
	}
}

// command runs a program to its end.
func command(t *testing.T, program, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = cleanEnv(t)
	var out, errOut bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errOut
	if err := cmd.Run(); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) || ctx.Err() != nil {
			t.Fatalf("%s %q: %v\n%s", filepath.Base(program), args, err, errOut.String())
		}
	}
	return cmd.ProcessState.ExitCode(), out.String(), errOut.String()
}

func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// unusedAddress is a loopback address that was free a moment ago.
func unusedAddress(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	return ln.Addr().String()
}

// fetch is a plain GET without a token.
func fetch(t *testing.T, url string) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("GET %s: %v", url, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("GET %s: %v", url, err)
	}
	return resp.StatusCode, resp.Header, string(body)
}
