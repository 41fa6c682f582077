// Command peerd is a peer: the daemon that queues and runs jobs, and the
// commands that talk to it. `peerd --port 9001` starts the daemon; `peerd run`,
// jobs, show, logs, cancel, status and peers are its clients.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"burrow/api"
	"burrow/internal/daemon"
)

// Exit codes of `peerd run`, next to the program's own: those of timeout(1)
// and of shells.
const (
	exitTimedOut = 124
	exitBurrow   = 125 // Burrow's own error, not the program's
	exitKilled   = 137
)

func main() {
	ctx, stop := daemon.SignalContext(context.Background())
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// exitError carries the exit code of a command that has said what it had to.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRoot(stdin, stdout, stderr)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	if code, ok := errors.AsType[exitError](err); ok {
		return int(code)
	}
	daemon.Fail(stderr, "peerd", err)
	if cmd != nil && cmd.Name() == "run" {
		return exitBurrow
	}
	if errors.Is(err, errUsage) || errors.Is(err, api.ErrInvalid) {
		return 2
	}
	return 1
}

// errUsage marks a command line that makes no sense.
var errUsage = errors.New("see --help")

func newRoot(stdin io.Reader, stdout, stderr io.Writer) *cobra.Command {
	root := newServe(stderr)
	root.Version = daemon.Version()
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return fmt.Errorf("%w; %w", err, errUsage) })

	c := &clientFlags{}
	for _, sub := range []*cobra.Command{newRun(c), newJobs(c), newShow(c), newLogs(c), newCancel(c), newStatus(c), newPeers(c)} {
		c.register(sub)
		sub.PreRunE = func(cmd *cobra.Command, _ []string) error { return daemon.BindEnv(cmd.Flags()) }
		root.AddCommand(sub)
	}
	return root
}
