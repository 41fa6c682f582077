package interp

import (
	"bufio"
	"errors"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/go-python/gpython/py"
)

const (
	// flushSize bounds what waits in a textWriter.
	flushSize = 32 << 10
	// flushDelay is how long written output may wait for more.
	flushDelay = 2 * time.Millisecond
)

// textWriter is sys.stdout and sys.stderr. print writes each piece by itself,
// so pieces are collected; yet output must be seen while the program runs. A
// full line goes out at once unless one just did, all else after flushDelay.
type textWriter struct {
	to       io.Writer
	buffered bool
	typ      *py.Type

	mu    sync.Mutex // guards all below; held while writing, so a slow reader slows Python down
	buf   []byte
	last  time.Time // of the last flush
	timer *time.Timer
}

func newTextWriter(to io.Writer, buffered bool) *textWriter {
	w := &textWriter{to: to, buffered: buffered, typ: py.NewType("TextIOWrapper", "text stream")}
	method := func(name string, f any) { w.typ.Dict[name] = py.MustNewMethod(name, f, 0, "") }
	method("write", func(_, value py.Object) (py.Object, error) {
		text, ok := value.(py.String)
		if !ok {
			return nil, py.ExceptionNewf(py.TypeError, "write() argument must be str, not %s", value.Type().Name)
		}
		w.writeString(string(text))
		return py.Int(len([]rune(string(text)))), nil
	})
	method("writelines", func(_, lines py.Object) (py.Object, error) {
		return py.None, py.Iterate(lines, func(item py.Object) bool {
			if text, ok := item.(py.String); ok {
				w.writeString(string(text))
			}
			return false
		})
	})
	method("flush", func(py.Object) (py.Object, error) {
		w.flush()
		return py.None, nil
	})
	method("isatty", func(py.Object) (py.Object, error) { return py.False, nil })
	method("writable", func(py.Object) (py.Object, error) { return py.True, nil })
	method("readable", func(py.Object) (py.Object, error) { return py.False, nil })
	w.typ.Dict["encoding"] = py.String("utf-8")
	return w
}

// Type implements py.Object.
func (w *textWriter) Type() *py.Type { return w.typ }

func (w *textWriter) writeString(s string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf = append(w.buf, s...)
	switch {
	case !w.buffered, len(w.buf) >= flushSize,
		strings.HasSuffix(s, "\n") && time.Since(w.last) >= flushDelay:
		w.flushLocked()
	case len(w.buf) > 0 && w.timer == nil:
		w.timer = time.AfterFunc(flushDelay, w.flush)
	}
}

func (w *textWriter) flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.flushLocked()
}

func (w *textWriter) flushLocked() {
	if w.timer != nil {
		w.timer.Stop()
		w.timer = nil
	}
	if len(w.buf) > 0 {
		// An error means that the host has stopped us; SIGKILL is on its way.
		_, _ = w.to.Write(w.buf)
		w.buf = w.buf[:0]
		if cap(w.buf) > 4*flushSize {
			w.buf = nil // one huge print must not be paid for until the end
		}
		w.last = time.Now()
	}
}

// textReader is sys.stdin. Reading first shows what was written: a prompt
// without a newline belongs before the answer.
type textReader struct {
	from *bufio.Reader
	out  *textWriter
	typ  *py.Type
}

func newTextReader(from io.Reader, out *textWriter) *textReader {
	r := &textReader{from: bufio.NewReaderSize(from, 64<<10), out: out, typ: py.NewType("TextIOWrapper", "text stream")}
	method := func(name string, f any) { r.typ.Dict[name] = py.MustNewMethod(name, f, 0, "") }
	method("readline", func(_ py.Object, _ py.Tuple) (py.Object, error) {
		line, err := r.readLine()
		return py.String(line), err
	})
	method("read", func(_ py.Object, args py.Tuple) (py.Object, error) { return r.read(args) })
	method("readlines", func(py.Object) (py.Object, error) {
		list := py.NewList()
		for {
			line, err := r.readLine()
			if err != nil || line == "" {
				return list, err
			}
			list.Append(py.String(line))
		}
	})
	method("isatty", func(py.Object) (py.Object, error) { return py.False, nil })
	method("readable", func(py.Object) (py.Object, error) { return py.True, nil })
	r.typ.Dict["encoding"] = py.String("utf-8")
	return r
}

// Type implements py.Object.
func (r *textReader) Type() *py.Type { return r.typ }

// M__iter__ implements `for line in sys.stdin`.
func (r *textReader) M__iter__() (py.Object, error) { return r, nil }

// M__next__ implements `for line in sys.stdin`.
func (r *textReader) M__next__() (py.Object, error) {
	line, err := r.readLine()
	if err != nil {
		return nil, err
	}
	if line == "" {
		return nil, py.StopIteration
	}
	return py.String(line), nil
}

// readLine returns "" at the end. Line ends become \n, as in text mode.
func (r *textReader) readLine() (string, error) {
	r.out.flush()
	line, err := r.from.ReadString('\n')
	if err != nil && err != io.EOF {
		return "", py.ExceptionNewf(py.OSError, "%s", err)
	}
	if head, ok := strings.CutSuffix(line, "\r\n"); ok {
		line = head + "\n"
	}
	return line, nil
}

// read returns size characters, or all that is left.
func (r *textReader) read(args py.Tuple) (py.Object, error) {
	var size py.Object = py.None
	if err := py.UnpackTuple(args, nil, "read", 0, 1, &size); err != nil {
		return nil, err
	}
	r.out.flush()
	n := -1
	if size != py.None {
		var err error
		if n, err = py.MakeGoInt(size); err != nil {
			return nil, err
		}
	}
	var text strings.Builder
	for n != 0 {
		c, _, err := r.from.ReadRune()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, py.ExceptionNewf(py.OSError, "%s", err)
		}
		if c == '\r' {
			if next, err := r.from.Peek(1); err == nil && next[0] == '\n' {
				continue
			}
		}
		text.WriteRune(c)
		n--
	}
	return py.String(text.String()), nil
}
