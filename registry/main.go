// Command registry is the directory of a Burrow network: accounts, peers and
// statistics behind an HTTP API (api/openapi/registry.yaml).
//
//	registry --listen 127.0.0.1:8070 --data DIR
//
// It writes DIR/address and DIR/join-link, logs to stderr, and ends cleanly at
// SIGTERM.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"burrow/internal/daemon"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

// exitUsage is the exit code for a command line that cannot be understood.
const exitUsage = 2

// run is the whole program: it returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	ctx, stop := daemon.SignalContext(ctx)
	defer stop()
	cmd := command(stderr)
	cmd.SetArgs(args)
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	err := cmd.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	code := daemon.Fail(stderr, "registry", err)
	if _, ok := errors.AsType[*usageError](err); ok {
		return exitUsage
	}
	return code
}

// usageError is a mistake on the command line or in the environment.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() + "; see registry --help" }
func (e *usageError) Unwrap() error { return e.err }

func command(stderr io.Writer) *cobra.Command {
	var cfg config
	cmd := &cobra.Command{
		Use:   "registry",
		Short: "The directory of a Burrow network: accounts, peers, statistics",
		Long: `The directory of a Burrow network: accounts, peers, statistics.

Every flag is also an environment variable: --log-format is BURROW_LOG_FORMAT.`,
		Example: `  registry --listen 127.0.0.1:8070 --data ./registry-data
  registry --signup closed`,
		Version:       daemon.Version(),
		SilenceUsage:  true,
		SilenceErrors: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return &usageError{fmt.Errorf("unknown command %.40q", args[0])}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := daemon.BindEnv(cmd.Flags()); err != nil {
				return &usageError{err}
			}
			if err := cfg.check(); err != nil {
				return &usageError{err}
			}
			log, err := daemon.NewLogger(stderr, cfg.logFormat)
			if err != nil {
				return &usageError{err}
			}
			return serve(log.WithContext(cmd.Context()), cfg)
		},
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	cfg.bind(cmd.Flags())
	return cmd
}
