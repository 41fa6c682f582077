package badgerkv_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"burrow/internal/kv"
	"burrow/internal/kv/badgerkv"
	"burrow/internal/kv/kvtest"
)

// Ensure that a folder copied under a running process (what kill -9 leaves)
// has every committed transaction, and that revisions go on from there.
func TestCrashKeepsCommitted(t *testing.T) {
	t.Parallel()
	dir, copied := t.TempDir(), filepath.Join(t.TempDir(), "copy")
	s := store(t, disk(t, dir))
	t.Cleanup(func() { _ = s.Close() })
	kvtest.Put(t, s, "a", "1")
	big := strings.Repeat("large value ", 20_000) // lies in the value log
	last := kvtest.Put(t, s, "big", big)
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	kvtest.Put(t, s, "later", "x")

	crashed := store(t, disk(t, copied))
	t.Cleanup(func() { _ = crashed.Close() })
	for key, want := range map[string]string{"a": "1", "big": big} {
		if e, err := crashed.Get(t.Context(), key); err != nil || string(e.Value) != want {
			t.Errorf("Get(%s): got %d bytes, %v; want %d", key, len(e.Value), err, len(want))
		}
	}
	if rev := kvtest.Put(t, crashed, "b", "2"); rev != last+1 {
		t.Errorf("revision after the crash: got %d, want %d", rev, last+1)
	}
}

func TestReopen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := store(t, disk(t, dir))
	rev := kvtest.Put(t, s, "a", "1")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = store(t, disk(t, dir))
	t.Cleanup(func() { _ = s.Close() })
	if e, err := s.Get(t.Context(), "a"); err != nil || string(e.Value) != "1" || e.Rev != rev {
		t.Errorf("after reopening: got %v, %v", e, err)
	}
	if again := kvtest.Put(t, s, "a", "2"); again <= rev {
		t.Errorf("revision after reopening: got %d, want above %d", again, rev)
	}
}

// Ensure that opening says what is wrong and what to do.
func TestOpenErrors(t *testing.T) {
	t.Parallel()
	used := t.TempDir()
	db := disk(t, used)
	t.Cleanup(func() { _ = db.Close() })
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]string{
		used: "in use by another process; stop it or choose another with --data",
		file: "choose another with --data",
	} {
		if _, err := badgerkv.Open(dir, zerolog.Nop()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Open(%s): got %v, want %q in it", dir, err, want)
		}
	}
	if os.Geteuid() != 0 {
		shut := t.TempDir()
		if err := os.Chmod(shut, 0o500); err != nil {
			t.Fatal(err)
		}
		if _, err := badgerkv.Open(shut, zerolog.Nop()); err == nil || !strings.Contains(err.Error(), "is not writable") {
			t.Errorf("Open of a read-only folder: got %v", err)
		}
	}
}

// Ensure that a job's largest parts fit into one update on disk.
func TestLargeUpdate(t *testing.T) {
	t.Parallel()
	db := disk(t, t.TempDir())
	t.Cleanup(func() { _ = db.Close() })
	value := bytes.Repeat([]byte("s"), 6<<20)
	err := db.Update(t.Context(), func(tx kv.Tx) error { return tx.Set("spec", value) })
	if err != nil {
		t.Fatalf("Update: %v", err)
	}
	err = db.View(t.Context(), func(tx kv.Tx) error {
		got, err := tx.Get("spec")
		if !bytes.Equal(got, value) {
			t.Errorf("got %d bytes, want %d", len(got), len(value))
		}
		return err
	})
	if err != nil {
		t.Errorf("View: %v", err)
	}
}
