package sandbox

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// cpuBackstop is added to the CPU limit for RLIMIT_CPU, which counts whole
// seconds and cannot say why it killed: the watchdog comes first.
const cpuBackstop = 2 * time.Second

// limitProcess sets the kernel's limits of a running child. Doing it from
// outside needs no helper program between fork and exec.
func limitProcess(pid int, c Cmd) error {
	type row struct {
		name     string
		resource int
		value    uint64
	}
	rows := []row{{"core", unix.RLIMIT_CORE, 0}, {"memlock", unix.RLIMIT_MEMLOCK, 0}}
	l := c.Limits
	if l.OpenFiles > 0 {
		rows = append(rows, row{"nofile", unix.RLIMIT_NOFILE, l.OpenFiles})
	}
	if l.FileSize != 0 {
		rows = append(rows, row{"fsize", unix.RLIMIT_FSIZE, uint64(max(0, l.FileSize))})
	}
	if l.CPU > 0 {
		rows = append(rows, row{"cpu", unix.RLIMIT_CPU, uint64((l.CPU+cpuBackstop)/time.Second) + 1})
	}
	if l.Memory > 0 && l.AddressSlack > 0 {
		rows = append(rows, row{"data", unix.RLIMIT_DATA, uint64(l.Memory + l.AddressSlack)})
	}
	// Without a user namespace the kernel counts all processes of our user.
	if l.Processes > 0 && c.Isolation.Namespaces {
		rows = append(rows, row{"nproc", unix.RLIMIT_NPROC, l.Processes})
	}
	for _, r := range rows {
		limit := unix.Rlimit{Cur: r.value, Max: r.value}
		err := unix.Prlimit(pid, r.resource, &limit, nil)
		if err == unix.EPERM {
			// The hard limit that we inherited is lower: nothing to tighten.
			var now unix.Rlimit
			if unix.Prlimit(pid, r.resource, nil, &now) == nil && now.Max <= r.value {
				continue
			}
		}
		if err == unix.ESRCH { // already gone
			return nil
		}
		if err != nil {
			return fmt.Errorf("rlimit %s: %w", r.name, err)
		}
	}
	return nil
}
