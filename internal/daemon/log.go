package daemon

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/term"
)

// logTime is RFC 3339 with milliseconds: whole seconds do not order the lines
// of two daemons.
const logTime = "2006-01-02T15:04:05.000Z07:00"

// NewLogger returns the daemon's logger. format is "json", "console" or "" for
// console when w is a terminal and json when it is not. Times are RFC 3339 in
// UTC with milliseconds. Lines below info (each request's) are left out. It sets no
// global of zerolog.
func NewLogger(w io.Writer, format string) (zerolog.Logger, error) {
	tty := isTerminal(w)
	switch format {
	case "":
		if tty {
			return newLogger(console(w, tty)), nil
		}
		return newLogger(w), nil
	case "json":
		return newLogger(w), nil
	case "console":
		return newLogger(console(w, tty)), nil
	}
	return zerolog.Nop(), fmt.Errorf("log format %q is not known; --log-format takes json or console", format)
}

func newLogger(w io.Writer) zerolog.Logger {
	return zerolog.New(zerolog.SyncWriter(w)).Level(zerolog.InfoLevel).Hook(zerolog.HookFunc(func(e *zerolog.Event, _ zerolog.Level, _ string) {
		// Not With().Timestamp(): its layout is a global of zerolog.
		e.Str(zerolog.TimestampFieldName, time.Now().UTC().Format(logTime))
	}))
}

func console(w io.Writer, tty bool) zerolog.ConsoleWriter {
	return zerolog.ConsoleWriter{Out: w, TimeFormat: "15:04:05.000", NoColor: !tty || os.Getenv("NO_COLOR") != ""}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
