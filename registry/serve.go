package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"

	"github.com/rs/zerolog"

	"burrow/internal/daemon"
	"burrow/internal/httpserve"
	"burrow/internal/kv"
	"burrow/internal/kv/badgerkv"
	"burrow/registry/directory"
	"burrow/registry/httpapi"
)

const (
	addressFile = "address"   // host:port
	joinFile    = "join-link" // what a peer's --registry takes
)

// serve runs the registry until ctx ends; a clean end is nil.
func serve(ctx context.Context, cfg config) (err error) {
	log := zerolog.Ctx(ctx)
	data, err := daemon.DataDir(cfg.data, "registry")
	if err != nil {
		return err
	}
	store, err := openStore(cfg.storeDir(data), *log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	// The files of an earlier run would send readers to its port.
	if err := forget(data, addressFile, joinFile); err != nil {
		return err
	}
	dir, err := directory.New(ctx, store, directory.Config{Closed: cfg.signup == "closed"})
	if err != nil {
		return fmt.Errorf("read the directory in %s: %w", cfg.storeDir(data), err)
	}
	if err := warnClosed(ctx, dir, cfg); err != nil {
		return err
	}
	ln, err := daemon.Listen(ctx, cfg.listen)
	if err != nil {
		return err
	}
	if err := announce(data, ln); err != nil {
		return errors.Join(err, ln.Close())
	}

	var loops sync.WaitGroup
	defer loops.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	loops.Go(func() {
		dir.Run(ctx, func(err error) { log.Error().Err(err).Msg("housekeeping failed") })
	})
	log.Info().Str("address", ln.Addr().String()).Str("data", data).Str("version", daemon.Version()).Msg("registry ready")
	err = httpserve.Serve(ctx, ln, httpserve.Wrap(httpapi.New(dir), *log, nil))
	log.Info().Msg("registry stopped")
	return err
}

func openStore(dir string, log zerolog.Logger) (kv.Store, error) {
	db, err := badgerkv.Open(dir, log)
	if err != nil {
		return nil, err
	}
	store, err := badgerkv.NewStore(db)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return store, nil
}

// warnClosed speaks up where nobody can ever get in.
func warnClosed(ctx context.Context, dir *directory.Directory, cfg config) error {
	exist, err := dir.HasAccounts(ctx)
	if err == nil && !exist && cfg.signup == "closed" {
		zerolog.Ctx(ctx).Warn().Msg("no accounts exist and signing up is closed: start once with --signup open and create the administrator")
	}
	return err
}

// announce tells scripts and peers where the registry is. The join link gets
// the fingerprint of the registry's CA when there is one.
func announce(data string, ln net.Listener) error {
	addr := ln.Addr().String()
	return errors.Join(
		daemon.WriteFile(data, addressFile, addr+"\n"),
		daemon.WriteFile(data, joinFile, "http://"+addr+"\n"),
	)
}

func forget(data string, names ...string) error {
	for _, name := range names {
		if err := os.Remove(filepath.Join(data, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove old %s: %w", name, err)
		}
	}
	return nil
}
