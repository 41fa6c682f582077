package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"
)

// config is the command line.
type config struct {
	listen    string
	data      string
	signup    string
	logFormat string
	store     string
}

func (c *config) bind(fs *pflag.FlagSet) {
	fs.StringVar(&c.listen, "listen", "127.0.0.1:8070", "`address` to serve, on this machine only; port 0 chooses one")
	fs.StringVar(&c.data, "data", "", "`folder` for the registry's files (default burrow/registry in the user's state folder)")
	fs.StringVar(&c.signup, "signup", "open", "who may create accounts: open or closed")
	fs.StringVar(&c.logFormat, "log-format", "", "json or console (default console on a terminal)")
	fs.StringVar(&c.store, "store", "", "where lasting state is kept: badger:`DIR` (default badger:DATA/store)")
}

func (c *config) check() error {
	switch c.signup {
	case "open", "closed":
	case "invite":
		return errors.New("--signup invite is not there yet, invitations come with a later issue; use open or closed")
	default:
		return fmt.Errorf("--signup %.32q is unknown; use open or closed", c.signup)
	}
	kind, dir, _ := strings.Cut(c.store, ":")
	switch {
	case c.store == "", kind == "badger" && dir != "":
		return nil
	case kind == "etcd":
		return errors.New("--store etcd is not there yet, it comes with a later issue; use badger:DIR")
	default:
		return fmt.Errorf("--store %.64q is unknown; use badger:DIR", c.store)
	}
}

// storeDir is the folder of the Badger store.
func (c *config) storeDir(data string) string {
	if _, dir, ok := strings.Cut(c.store, ":"); ok {
		return dir
	}
	return filepath.Join(data, "store")
}
