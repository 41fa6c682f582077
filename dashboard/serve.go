package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"burrow/api"
	"burrow/dashboard/httpapi"
	"burrow/internal/daemon"
	"burrow/internal/httpserve"
)

type config struct {
	listen, data       string
	registry           string
	user, passwordFile string
	logFormat          string
}

// credentials returns nil when the dashboard shall not log in.
func (c config) credentials() (*api.Credentials, error) {
	switch {
	case c.user == "" && c.passwordFile == "":
		return nil, nil
	case c.user == "" || c.passwordFile == "":
		return nil, errors.New("--user and --password-file go together")
	}
	password, err := os.ReadFile(c.passwordFile)
	if err != nil {
		return nil, fmt.Errorf("--password-file: %w", err)
	}
	cred := api.Credentials{User: c.user, Password: strings.TrimRight(string(password), "\r\n")}
	return &cred, cred.Validate()
}

// serve runs the dashboard until ctx ends.
func serve(ctx context.Context, cfg config, stdout, stderr io.Writer) error {
	log, err := daemon.NewLogger(stderr, cfg.logFormat)
	if err != nil {
		return err
	}
	ctx = log.WithContext(ctx)
	if cfg.registry == "" {
		return errors.New("which registry? give --registry LINK, such as http://127.0.0.1:8070")
	}
	cred, err := cfg.credentials()
	if err != nil {
		return err
	}
	registry, err := newLink(cfg.registry, cred)
	if err != nil {
		return fmt.Errorf("--registry: %w", err)
	}
	dir, err := daemon.DataDir(cfg.data, "dashboard")
	if err != nil {
		return err
	}
	// The address of an earlier run would send a waiting script elsewhere.
	if err := os.Remove(filepath.Join(dir, "address")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("old address file: %w", err)
	}
	ln, err := daemon.Listen(ctx, cfg.listen)
	if err != nil {
		return err
	}
	defer func() { _ = ln.Close() }() // httpserve closes it before, when it gets that far
	address := ln.Addr().String()
	if err := daemon.WriteFile(dir, "address", address); err != nil {
		return err
	}
	log.Info().Str("address", address).Str("version", daemon.Version()).Msg("dashboard serves")
	if _, err := fmt.Fprintf(stdout, "Dashboard: http://%s/\n", address); err != nil {
		return fmt.Errorf("print the address: %w", err)
	}
	err = httpserve.Serve(ctx, ln, httpapi.New(registry, log, httpapi.Config{}))
	log.Info().Msg("dashboard stopped")
	return err
}
