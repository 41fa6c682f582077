// Command executor-plugin runs Python jobs for peerd, each in a fresh and
// limited process. peerd starts it; by hand only doctor and --version are of
// use. The first argument is the door:
//
//	(none)          serve peerd over go-plugin
//	gpython-child   be the process of one job
//	doctor [--json] say what protects jobs here
//	--version       print the version
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"text/tabwriter"

	"burrow/api/executor"
	"burrow/executor-plugin/interp"
	"burrow/executor-plugin/sandbox"
	"burrow/executor-plugin/service"
)

// selfPath is this program even when its file was moved or replaced.
const selfPath = "/proc/self/exe"

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	door := ""
	if len(args) > 0 {
		door = args[0]
	}
	switch door {
	case "", "plugin":
		err := executor.Serve(newService(ctx), stderr)
		if errors.Is(err, executor.ErrNoHost) {
			fmt.Fprint(stderr, "executor-plugin runs Python jobs for peerd and is started by it:\n\n"+
				"    peerd --executor /path/to/executor-plugin\n\n"+
				"By hand you can run: executor-plugin doctor   (what protects jobs on this machine)\n")
			return 2
		}
		if err != nil {
			fmt.Fprintln(stderr, "executor-plugin:", err)
			return 1
		}
		return 0
	case interp.GpythonDoor:
		return interp.GpythonChild()
	case "doctor":
		return doctor(ctx, slices.Contains(args[1:], "--json"), stdout, stderr)
	case "--version", "version":
		fmt.Fprintln(stdout, "executor-plugin", version())
		return 0
	default:
		fmt.Fprintf(stderr, "executor-plugin: unknown argument %q; known are doctor, --version\n", door)
		return 2
	}
}

func newService(ctx context.Context) *service.Service {
	self := executable()
	return service.New(service.Config{
		Version:   version(),
		Isolation: sandbox.Probe(ctx, self, "executor-plugin", "--version"),
	}, interp.NewGpython(self))
}

func executable() string {
	if _, err := os.Stat(selfPath); err == nil {
		return selfPath
	}
	path, err := os.Executable()
	if err != nil {
		return os.Args[0]
	}
	return path
}

// doctor prints what the executor would tell peerd.
func doctor(ctx context.Context, asJSON bool, stdout, stderr io.Writer) int {
	d, err := newService(ctx).Describe(ctx)
	if err != nil {
		fmt.Fprintln(stderr, "executor-plugin:", err)
		return 1
	}
	if asJSON {
		enc := json.NewEncoder(stdout)
		enc.SetIndent("", "  ")
		if err := enc.Encode(map[string]any{"version": d.Version, "runtimes": d.Runtimes, "limits": d.Limits, "layers": d.Layers}); err != nil {
			return 1
		}
		return 0
	}
	w := tabwriter.NewWriter(stdout, 0, 8, 2, ' ', 0)
	for _, r := range d.Runtimes {
		fmt.Fprintf(w, "runtime\t%s\t%s\n", r.Name, r.Version)
	}
	for _, l := range d.Layers {
		state := "off"
		if l.Active {
			state = "on"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", l.Name, state, l.Reason)
	}
	if w.Flush() != nil {
		return 1
	}
	return 0
}

func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	return cmp.Or(info.Main.Version, "(devel)")
}
