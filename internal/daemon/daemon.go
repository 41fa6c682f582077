package daemon

import (
	"context"
	"fmt"
	"io"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"unicode"
)

// SignalContext returns a context that ends at the first SIGINT or SIGTERM, or
// with ctx. The first signal asks for a clean end; from then on signals have
// their default effect again, so that a second one kills at once.
func SignalContext(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// Version returns the module's version, or the first 12 digits of the commit
// that was built ("+dirty" when files had changed), or "dev" when the build has
// neither.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "dev"
	}
	return version(info)
}

func version(info *debug.BuildInfo) string {
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	var revision, dirty string
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value[:min(len(s.Value), 12)]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "+dirty"
		}
	}
	if revision == "" {
		return "dev"
	}
	return revision + dirty
}

// Fail prints "name: err" as one line and returns the exit code 1. Line breaks
// and other control characters in the error become spaces: errors quote text
// that others wrote.
func Fail(stderr io.Writer, name string, err error) int {
	text := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, err.Error())
	// Nothing is left to do when stderr is gone.
	_, _ = fmt.Fprintf(stderr, "%s: %s\n", name, strings.Join(strings.Fields(text), " "))
	return 1
}
