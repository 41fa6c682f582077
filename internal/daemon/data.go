package daemon

import (
	"fmt"
	"os"
	"path/filepath"
)

// DataDir returns the absolute path of a daemon's data folder and makes sure
// that it exists and can be written to. An empty dir means
// $XDG_STATE_HOME/burrow/<name>, or ~/.local/state/burrow/<name>. Folders that
// it makes have mode 0700: tokens and jobs lie there. Every error names --data,
// the way out.
func DataDir(dir, name string) (string, error) {
	if dir == "" {
		state := os.Getenv("XDG_STATE_HOME")
		if !filepath.IsAbs(state) { // the XDG specification: relative paths are ignored
			home, err := os.UserHomeDir()
			if err != nil {
				return "", fmt.Errorf("no home folder to keep data in (%w); choose a folder with --data", err)
			}
			state = filepath.Join(home, ".local", "state")
		}
		dir = filepath.Join(state, "burrow", name)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("data folder: %w; choose another with --data", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("data folder: %w; choose another with --data", err)
	}
	// Mode bits do not tell about read-only and full file systems; a file does.
	probe, err := os.CreateTemp(dir, ".writable-*")
	if err != nil {
		return "", fmt.Errorf("data folder %s is not writable: %w; choose another with --data", dir, err)
	}
	_ = probe.Close()
	if err := os.Remove(probe.Name()); err != nil {
		return "", fmt.Errorf("data folder %s: %w; choose another with --data", dir, err)
	}
	return dir, nil
}

// WriteFile puts content into dir/name with mode 0600, so that a reader sees
// the old file or the whole new one, also after a crash. name is a plain file
// name without folders.
func WriteFile(dir, name, content string) error {
	if name == "" || name == "." || name == ".." || filepath.Base(name) != name {
		return fmt.Errorf("write %q: not a plain file name", name)
	}
	f, err := os.CreateTemp(dir, "."+name+"-*") // CreateTemp makes mode 0600
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	_, err = f.WriteString(content)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, name))
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("write %s: %w", name, err)
	}
	return syncDir(dir)
}

// syncDir makes the rename itself survive a crash.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	defer func() { _ = d.Close() }()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}
