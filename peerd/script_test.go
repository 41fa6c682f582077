package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"peerd": main})
}

// plugin builds the real executor-plugin once for all scripts.
var plugin = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "burrow-script-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "executor-plugin")
	out, err := exec.Command("go", "build", "-o", path, "burrow/executor-plugin").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, out)
	}
	return path, err
})

// TestScripts runs the command line as a user does. A script finds the plugin
// by BURROW_EXECUTOR and waits for a daemon with "ready DIR".
func TestScripts(t *testing.T) {
	t.Parallel()
	path, err := plugin()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(filepath.Dir(path)) })
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: os.Getenv("UPDATE") != "",
		Setup: func(env *testscript.Env) error {
			env.Setenv("BURROW_EXECUTOR", path)
			env.Setenv("XDG_STATE_HOME", filepath.Join(env.WorkDir, "state"))
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){"ready": awaitDaemon},
	})
}

// awaitDaemon waits until the daemon with the data folder args[0] answers.
func awaitDaemon(ts *testscript.TestScript, _ bool, args []string) {
	deadline := time.Now().Add(30 * time.Second)
	for {
		err := ts.Exec("peerd", "status", "--data", ts.MkAbs(args[0]))
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("daemon not ready: %v", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
