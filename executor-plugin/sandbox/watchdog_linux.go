package sandbox

import (
	"bytes"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// watchPeriod is the time between two looks. At 10 ms a program that fills
// memory at 2 GB/s overshoots by 20 MB; a look costs about 10 us.
const watchPeriod = 10 * time.Millisecond

// watchdog looks at the child's CPU time and memory and stops the run when one
// is over its limit. It must be closed before the child is reaped: until then
// the pid cannot mean another process.
type watchdog struct {
	pid  int
	done chan struct{}
	peak chan int64
}

func startWatchdog(pid int, limits Limits, stop func(string, error)) *watchdog {
	w := &watchdog{pid: pid, done: make(chan struct{}), peak: make(chan int64)}
	go w.run(limits, stop)
	return w
}

// close ends the watching and returns the largest resident size seen.
func (w *watchdog) close() int64 {
	close(w.done)
	return <-w.peak
}

func (w *watchdog) run(limits Limits, stop func(string, error)) {
	var peak int64
	statm, err := os.Open("/proc/" + strconv.Itoa(w.pid) + "/statm")
	if err == nil {
		defer func() { _ = statm.Close() }()
	}
	tick := time.NewTicker(watchPeriod)
	defer tick.Stop()
	for {
		if statm != nil {
			rss := resident(statm)
			peak = max(peak, rss)
			if limits.Memory > 0 && rss > limits.Memory {
				stop(LimitMemory, nil)
			}
		}
		if limits.CPU > 0 && cpuTime(w.pid) > limits.CPU {
			stop(LimitCPU, nil)
		}
		select {
		case <-w.done:
			w.peak <- peak
			return
		case <-tick.C:
		}
	}
}

// resident reads the second field of statm, in pages. A zombie has none.
func resident(statm *os.File) int64 {
	var buf [128]byte
	n, _ := statm.ReadAt(buf[:], 0)
	fields := bytes.Fields(buf[:n])
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

// cpuTime reads the process's CPU clock: all its threads, to the nanosecond.
// The id is what clock_getcpuclockid(3) computes.
func cpuTime(pid int) time.Duration {
	const cpuclockSched = 2
	var ts unix.Timespec
	if unix.ClockGettime(int32(^pid)<<3|cpuclockSched, &ts) != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}
