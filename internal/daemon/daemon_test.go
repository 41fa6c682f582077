package daemon

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

func TestBindEnv(t *testing.T) {
	t.Setenv("BURROW_FOO_BAR", "from-env")
	t.Setenv("BURROW_GIVEN", "from-env")
	t.Setenv("BURROW_EMPTY", "")
	t.Setenv("BURROW_PORT", "9001")
	t.Setenv("BURROW_HELP", "true")
	fs := pflag.NewFlagSet("x", pflag.ContinueOnError)
	foo, given, empty := fs.String("foo-bar", "def", ""), fs.String("given", "def", ""), fs.String("empty", "def", "")
	port, help := fs.Int("port", 0, ""), fs.Bool("help", false, "")
	if err := fs.Parse([]string{"--given=flag"}); err != nil {
		t.Fatal(err)
	}
	if err := BindEnv(fs); err != nil {
		t.Fatal(err)
	}
	got := []any{*foo, *given, *empty, *port, *help}
	if diff := cmp.Diff([]any{"from-env", "flag", "def", 9001, false}, got); diff != "" {
		t.Errorf("flags (-want +got):\n%s", diff)
	}
}

func TestBindEnvNamesTheVariableWithABadValue(t *testing.T) {
	t.Setenv("BURROW_MAX_JOBS", "many")
	fs := pflag.NewFlagSet("x", pflag.ContinueOnError)
	fs.Int("max-jobs", 0, "")
	err := BindEnv(fs)
	if err == nil || !strings.Contains(err.Error(), "BURROW_MAX_JOBS") {
		t.Errorf("got %v, want an error that names BURROW_MAX_JOBS", err)
	}
}

func TestNewLogger(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"", "json"} {
		var buf bytes.Buffer
		log, err := NewLogger(&buf, format)
		if err != nil {
			t.Fatal(err)
		}
		log.Info().Str("job", "j1").Msg("job leased")
		var line struct{ Level, Message, Job, Time string }
		if err := json.Unmarshal(buf.Bytes(), &line); err != nil {
			t.Fatalf("format %q: %v in %q", format, err, buf.String())
		}
		if _, err := time.Parse(logTime, line.Time); err != nil {
			t.Errorf("time: %v", err)
		}
		if line.Message != "job leased" || line.Job != "j1" || line.Level != "info" {
			t.Errorf("got %+v", line)
		}
	}
	var buf bytes.Buffer
	log, err := NewLogger(&buf, "console")
	if err != nil {
		t.Fatal(err)
	}
	log.Info().Str("job", "j1").Msg("job leased")
	if got := buf.String(); !strings.Contains(got, "INF job leased job=j1") || strings.Contains(got, "\x1b") {
		t.Errorf("console line %q, want it plain", got)
	}
	if _, err := NewLogger(&buf, "xml"); err == nil || !strings.Contains(err.Error(), "--log-format") {
		t.Errorf("got %v, want an error that names --log-format", err)
	}
}

// TestSecondSignalKills runs this test binary as a daemon that never ends.
func TestSecondSignalKills(t *testing.T) {
	if os.Getenv("DAEMON_TEST_CHILD") == "1" {
		ctx, stop := SignalContext(t.Context())
		defer stop()
		_, _ = os.Stdout.WriteString("ready\n")
		<-ctx.Done()
		_, _ = os.Stdout.WriteString("stopping\n")
		select {}
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, "-test.run=^TestSecondSignalKills$")
	cmd.Env = append(os.Environ(), "DAEMON_TEST_CHILD=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	await := func(want string) {
		t.Helper()
		for lines.Scan() {
			if lines.Text() == want {
				return
			}
		}
		t.Fatalf("child ended before it said %q", want)
	}
	await("ready")
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	await("stopping")
	// Signals stay caught until the context's AfterFunc ran, which may be a
	// moment after "stopping": repeat until the child is dead.
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	for {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case err := <-done:
			exit, ok := errors.AsType[*exec.ExitError](err)
			if !ok {
				t.Fatalf("child ended with %v, want a signal", err)
			}
			if ws, ok := exit.Sys().(syscall.WaitStatus); !ok || ws.Signal() != syscall.SIGTERM {
				t.Errorf("child ended with %v, want killed by SIGTERM", err)
			}
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func TestDataDir(t *testing.T) {
	state := t.TempDir()
	t.Setenv("XDG_STATE_HOME", state)
	t.Setenv("HOME", filepath.Join(state, "home"))
	file := filepath.Join(state, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ dir, want string }{
		"the default is below XDG_STATE_HOME": {"", filepath.Join(state, "burrow", "peerd")},
		"a given folder is made with parents": {filepath.Join(state, "a", "b"), filepath.Join(state, "a", "b")},
	} {
		got, err := DataDir(tt.dir, "peerd")
		if err != nil || got != tt.want {
			t.Errorf("%s: got %q, %v; want %q", name, got, err, tt.want)
			continue
		}
		info, err := os.Stat(got)
		if err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: mode %v, %v; want 0700", name, info.Mode(), err)
		}
		if left, err := os.ReadDir(got); err != nil || len(left) != 0 {
			t.Errorf("%s: left %v, %v behind", name, left, err)
		}
	}
	t.Setenv("XDG_STATE_HOME", "relative")
	if got, err := DataDir("", "x"); err != nil || got != filepath.Join(state, "home", ".local", "state", "burrow", "x") {
		t.Errorf("relative XDG_STATE_HOME: got %q, %v", got, err)
	}
	if _, err := DataDir(filepath.Join(file, "below"), "x"); err == nil || !strings.Contains(err.Error(), "--data") {
		t.Errorf("below a file: got %v, want an error that names --data", err)
	}
}

func TestWriteFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, content := range []string{"first", "second, longer", ""} {
		if err := WriteFile(dir, "address", content); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join(dir, "address"))
		if err != nil || string(got) != content {
			t.Errorf("got %q, %v; want %q", got, err, content)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, "address")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
	for _, name := range []string{"", ".", "..", "a/b", "../x"} {
		if err := WriteFile(dir, name, ""); err == nil {
			t.Errorf("name %q was accepted", name)
		}
	}
	if err := WriteFile(filepath.Join(dir, "missing"), "x", ""); err == nil {
		t.Error("a missing folder was accepted")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("folder has %v, %v; want address alone", left, err)
	}
}

func TestListen(t *testing.T) {
	t.Parallel()
	for _, addr := range []string{"127.0.0.1:0", "localhost:0", "127.0.0.2:0"} {
		ln, err := Listen(t.Context(), addr)
		if err != nil {
			t.Errorf("%s: %v", addr, err)
			continue
		}
		_ = ln.Close()
	}
	for addr, want := range map[string]string{
		"0.0.0.0:0":        "use 127.0.0.1",
		":0":               "use 127.0.0.1",
		"[::]:0":           "use 127.0.0.1",
		"192.0.2.1:0":      "until TLS arrives",
		"burrow.test:0":    "use 127.0.0.1",
		"127.0.0.1":        "not host:port",
		"127.0.0.1:http":   "--port",
		"127.0.0.1:65536":  "--listen",
		"127.0.0.1:-1":     "--port",
		"127.0.0.1:":       "--port",
		"[::ffff:8.8.8.8]": "not host:port",
	} {
		ln, err := Listen(t.Context(), addr)
		if err == nil {
			_ = ln.Close()
			t.Errorf("%s was accepted", addr)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %q, want %q in it", addr, err, want)
		}
	}
	ln, err := Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	if _, err := Listen(t.Context(), ln.Addr().String()); err == nil || !strings.Contains(err.Error(), "is in use; choose another with --port or --listen") {
		t.Errorf("port in use: got %v", err)
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	set := func(kv ...string) *debug.BuildInfo {
		info := &debug.BuildInfo{Main: debug.Module{Version: "(devel)"}}
		for i := 0; i < len(kv); i += 2 {
			info.Settings = append(info.Settings, debug.BuildSetting{Key: kv[i], Value: kv[i+1]})
		}
		return info
	}
	for want, info := range map[string]*debug.BuildInfo{
		"dev":                set(),
		"0123456789ab":       set("vcs.revision", "0123456789abcdef"),
		"0123456789ab+dirty": set("vcs.revision", "0123456789abcdef", "vcs.modified", "true"),
		"v1.2.3":             {Main: debug.Module{Version: "v1.2.3"}},
	} {
		if got := version(info); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if Version() == "" {
		t.Error("Version is empty")
	}
}

func TestFailPrintsOneLine(t *testing.T) {
	t.Parallel()
	var buf bytes.Buffer
	if code := Fail(&buf, "peerd", errors.New("first\n\tsecond\x1b[31m\r\n")); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	if want := "peerd: first second [31m\n"; buf.String() != want {
		t.Errorf("got %q, want %q", buf.String(), want)
	}
}
