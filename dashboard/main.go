// Command dashboard shows the state of a Burrow network in a browser: the
// active peers and what became of the jobs, as its registry tells. It only
// reads, and serves this machine only.
package main

import (
	"context"
	"io"
	"os"

	"github.com/spf13/cobra"

	"burrow/internal/daemon"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

// run is main without the process: it returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	ctx, stop := daemon.SignalContext(ctx)
	defer stop()
	if err := command(stdout, stderr, args).ExecuteContext(ctx); err != nil {
		return daemon.Fail(stderr, "dashboard", err)
	}
	return 0
}

func command(stdout, stderr io.Writer, args []string) *cobra.Command {
	var cfg config
	cmd := &cobra.Command{
		Use:   "dashboard --registry LINK",
		Short: "Show a Burrow network in the browser",
		Long: "dashboard shows the peers and jobs of a Burrow network in the browser.\n" +
			"Each flag is also an environment variable: --log-format is BURROW_LOG_FORMAT.",
		Example:       "  dashboard --registry http://127.0.0.1:8070",
		Version:       daemon.Version(),
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := daemon.BindEnv(cmd.Flags()); err != nil {
				return err
			}
			return serve(cmd.Context(), cfg, stdout, stderr)
		},
	}
	f := cmd.Flags()
	f.StringVar(&cfg.listen, "listen", "127.0.0.1:8080", "serve on this `ADDR`ess, a loopback one; port 0 chooses one")
	f.StringVar(&cfg.data, "data", "", "keep the address file in `DIR` (default: under the user's state folder)")
	f.StringVar(&cfg.registry, "registry", "", "`LINK` of the registry, such as http://127.0.0.1:8070 (required)")
	f.StringVar(&cfg.user, "user", "", "log in to the registry as `NAME`")
	f.StringVar(&cfg.passwordFile, "password-file", "", "`FILE` with the password of --user")
	f.StringVar(&cfg.logFormat, "log-format", "", "json or console (default: console on a terminal)")
	cmd.SetArgs(args)
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	return cmd
}
