package main

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"burrow/api"
)

// config is the daemon's command line. Every flag is also an environment
// variable BURROW_<FLAG>.
type config struct {
	port         int
	listen       string
	data         string
	name         string
	registry     string
	user         string
	passwordFile string
	slots        int
	executor     string
	logFormat    string
	keepFor      string
	maxFinished  int
	maxQueued    int
}

func (c *config) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.IntVar(&c.port, "port", 9001, "port to serve on; 0 takes a free one")
	f.StringVar(&c.listen, "listen", "", "address to serve on, host:port; goes before --port")
	f.StringVar(&c.data, "data", "", "data `folder` (default: under the user's state folder)")
	f.StringVar(&c.name, "name", "", "name of this peer, unique in the network (default: the host name)")
	f.StringVar(&c.registry, "registry", "", "join `link` of the registry; without it the peer works alone")
	f.StringVar(&c.user, "user", "", "account to log in with; signed up if the registry allows it")
	f.StringVar(&c.passwordFile, "password-file", "", "`file` with the account's password")
	f.IntVar(&c.slots, "slots", 0, "jobs that run at once (default: the number of cores)")
	f.StringVar(&c.executor, "executor", "", "`path` of the executor plugin (default: executor-plugin beside peerd)")
	f.StringVar(&c.logFormat, "log-format", "", "json or console (default: console on a terminal)")
	f.StringVar(&c.keepFor, "keep-for", "168h", "finished jobs are kept for this `duration`, at most")
	f.IntVar(&c.maxFinished, "keep-jobs", 10_000, "finished jobs that are kept, at most")
	f.IntVar(&c.maxQueued, "max-queued", 100_000, "jobs that may wait; more are refused")
}

var peerName = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$`)

// complete checks the configuration and fills in what was left out.
func (c *config) complete() (keepFor time.Duration, err error) {
	if c.port < 0 || c.port > 65535 {
		return 0, api.Invalid("--port", "%d is no port; use 0 to 65535", c.port)
	}
	c.listen = cmp.Or(c.listen, net.JoinHostPort("127.0.0.1", strconv.Itoa(c.port)))
	c.slots = cmp.Or(c.slots, runtime.NumCPU())
	if c.slots < 1 || c.slots > 1024 {
		return 0, api.Invalid("--slots", "%d is out of range; use 1 to 1024", c.slots)
	}
	if c.maxFinished < 1 || c.maxQueued < 1 {
		return 0, api.Invalid("--keep-jobs, --max-queued", "must be at least 1")
	}
	d, err := api.ParseDuration(c.keepFor)
	if err != nil || d <= 0 {
		return 0, api.Invalid("--keep-for", "%q is no duration above 0; write it like 168h", c.keepFor)
	}
	if err := c.completeName(); err != nil {
		return 0, err
	}
	if c.registry != "" && (c.user == "" || c.passwordFile == "") {
		return 0, api.Invalid("--registry", "needs --user NAME and --password-file FILE as well")
	}
	return d.Std(), c.completeExecutor()
}

func (c *config) completeName() error {
	if c.name == "" {
		host, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("find the host name: %w; give one with --name", err)
		}
		c.name = strings.Trim(regexp.MustCompile(`[^a-z0-9.-]+`).ReplaceAllString(strings.ToLower(host), "-"), "-.")
	}
	if !peerName.MatchString(c.name) {
		return api.Invalid("--name", "%q is no host name; use 1-63 of a-z 0-9 - .", c.name)
	}
	return nil
}

func (c *config) completeExecutor() error {
	if c.executor == "" {
		self, err := os.Executable()
		if err != nil {
			return fmt.Errorf("find executor-plugin: %w; give its path with --executor", err)
		}
		c.executor = filepath.Join(filepath.Dir(self), "executor-plugin")
	}
	if info, err := os.Stat(c.executor); err != nil || info.IsDir() || info.Mode()&0o111 == 0 {
		return api.Invalid("--executor", "%s is no program; build it with make, or give the path of another one", c.executor)
	}
	return nil
}

// password reads the password file; only its owner may be able to read it.
func (c *config) password() (string, error) {
	info, err := os.Stat(c.passwordFile)
	if err != nil {
		return "", fmt.Errorf("--password-file: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("--password-file: others can read %s; run chmod 600 on it: %w", c.passwordFile, api.ErrForbidden)
	}
	data, err := os.ReadFile(c.passwordFile)
	if err != nil {
		return "", fmt.Errorf("--password-file: %w", err)
	}
	pass := strings.TrimRight(string(data), "\r\n")
	if pass == "" {
		return "", errors.New("--password-file: " + c.passwordFile + " is empty")
	}
	return pass, nil
}
