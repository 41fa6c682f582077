package e2e

import (
	"fmt"
	"os"
	"testing"
)

// TestMain gives the programs a folder and removes it in the end.
func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "burrow-e2e-")
	if err == nil {
		defer func() { _ = os.RemoveAll(dir) }() // a leftover harms nobody
		err = os.Setenv(binVariable, dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	return m.Run()
}
