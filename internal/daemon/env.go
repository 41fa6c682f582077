package daemon

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"
)

// BindEnv sets every flag of fs that the command line left alone from its
// environment variable: --foo-bar from BURROW_FOO_BAR. An empty variable counts
// as not set; --help and --version are never read. A value that the flag does
// not take is an error that names the variable.
func BindEnv(fs *pflag.FlagSet) error {
	var first error
	fs.VisitAll(func(f *pflag.Flag) {
		if first != nil || f.Changed || f.Name == "help" || f.Name == "version" {
			return
		}
		name := envName(f.Name)
		value := os.Getenv(name)
		if value == "" {
			return
		}
		if err := fs.Set(f.Name, value); err != nil {
			first = fmt.Errorf("environment variable %s: %w", name, err)
		}
	})
	return first
}

func envName(flag string) string {
	return "BURROW_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}
