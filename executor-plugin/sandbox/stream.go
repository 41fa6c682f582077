package sandbox

import (
	"errors"
	"io"
	"os"
	"sync"
	"time"
)

// chunk is the size of one read from the child. Nothing else of its output is
// held in memory: what the sink does not take stays in the pipe.
const chunk = 32 << 10

// orphanPatience is how long a pipe is read after the child's end when
// somebody else still holds it. Only a process that left both process group
// and pid namespace can do that.
const orphanPatience = 200 * time.Millisecond

// streams are the parent's ends of the child's descriptors.
type streams struct {
	child   []*os.File // closed after the start
	inputs  []input
	outputs []output
	wg      sync.WaitGroup
	// limit and stop are set by the supervisor.
	limit int64
	stop  func(limit string, err error)
	over  func() bool // whether the run was cancelled: sinks are called no more

	mu       sync.Mutex // serialises the sinks; guards written
	written  int64
	captured [][]byte
}

type input struct {
	from io.Reader
	to   *os.File
}

type output struct {
	fd   int
	from *os.File
	file File
}

// openStreams makes a pipe for every descriptor that is not /dev/null.
func openStreams(files []File) (*streams, error) {
	s := &streams{captured: make([][]byte, len(files))}
	for fd, f := range files {
		if f.Input == nil && f.Sink == nil && f.Capture == 0 {
			null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
			if err != nil {
				s.abandon()
				return nil, err
			}
			s.child = append(s.child, null)
			continue
		}
		r, w, err := os.Pipe()
		if err != nil {
			s.abandon()
			return nil, err
		}
		if f.Input != nil {
			s.child = append(s.child, r)
			s.inputs = append(s.inputs, input{f.Input, w})
		} else {
			s.child = append(s.child, w)
			s.outputs = append(s.outputs, output{fd, r, f})
		}
	}
	return s, nil
}

// closeChild closes the child's ends in this process, without which no pipe
// would ever end.
func (s *streams) closeChild() {
	for _, f := range s.child {
		_ = f.Close()
	}
	s.child = nil
}

// abandon closes everything when the child did not start.
func (s *streams) abandon() {
	s.closeChild()
	for _, in := range s.inputs {
		_ = in.to.Close()
	}
	for _, out := range s.outputs {
		_ = out.from.Close()
	}
}

// start feeds and drains until the child is gone.
func (s *streams) start() {
	for _, in := range s.inputs {
		s.wg.Go(func() {
			// An error means that the child does not read any more: its business.
			_, _ = io.Copy(in.to, in.from)
			_ = in.to.Close()
		})
	}
	for _, out := range s.outputs {
		s.wg.Go(func() { s.drain(out) })
	}
}

// finish is called when the child is dead: it unblocks the feeders, lets the
// drains reach the end of their pipes and waits for all of them.
func (s *streams) finish() {
	for _, in := range s.inputs {
		_ = in.to.Close()
		if c, ok := in.from.(io.Closer); ok {
			_ = c.Close()
		}
	}
	for _, out := range s.outputs {
		_ = out.from.SetReadDeadline(time.Now().Add(orphanPatience))
	}
	s.wg.Wait()
}

func (s *streams) drain(out output) {
	defer func() { _ = out.from.Close() }()
	buf := make([]byte, chunk)
	expired := false
	for {
		n, err := out.from.Read(buf)
		if n > 0 {
			expired = false
			s.take(out, buf[:n])
		}
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded) && !expired:
			// A slow sink may have used the deadline up: what is in the pipe is
			// still to be had.
			expired = true
			_ = out.from.SetReadDeadline(time.Now().Add(orphanPatience))
		default:
			return
		}
	}
}

// take delivers what is within the limit and stops the run at the first byte
// beyond it.
func (s *streams) take(out output, data []byte) {
	if out.file.Sink == nil {
		kept := s.captured[out.fd] // one goroutine per descriptor
		s.captured[out.fd] = append(kept, data[:min(len(data), out.file.Capture-len(kept))]...)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over() {
		return
	}
	excess := s.limit > 0 && s.written+int64(len(data)) > s.limit
	if excess {
		data = data[:s.limit-s.written]
	}
	s.written += int64(len(data))
	if excess {
		s.stop(LimitOutput, nil)
	}
	if len(data) > 0 {
		if err := out.file.Sink(data); err != nil {
			s.stop("", err)
		}
	}
}
