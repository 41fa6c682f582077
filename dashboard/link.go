package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"burrow/api"
	"burrow/api/client"
)

// link reads the registry, logged in when there are credentials. Sessions end
// (the registry restarted, a day passed): it logs in again when one did.
type link struct {
	open *client.Registry
	cred *api.Credentials // nil: what is open must do

	mu     sync.Mutex // guards authed and makes one login of many
	authed *client.Registry
}

func newLink(address string, cred *api.Credentials) (*link, error) {
	open, err := client.NewRegistry(address, "")
	if err != nil {
		return nil, err
	}
	return &link{open: open, cred: cred}, nil
}

// Peers implements httpapi.Registry.
func (l *link) Peers(ctx context.Context) (peers []api.Peer, err error) {
	err = l.do(ctx, func(r *client.Registry) error {
		peers, err = r.Peers(ctx)
		return err
	})
	return peers, err
}

// Stats implements httpapi.Registry.
func (l *link) Stats(ctx context.Context, width string, limit int) (stats api.NetworkStats, err error) {
	err = l.do(ctx, func(r *client.Registry) error {
		stats, err = r.Stats(ctx, width, limit)
		return err
	})
	return stats, err
}

func (l *link) do(ctx context.Context, call func(*client.Registry) error) error {
	if l.cred == nil {
		return call(l.open)
	}
	r, err := l.login(ctx, nil)
	if err != nil {
		return err
	}
	if err = call(r); !errors.Is(err, api.ErrUnauthorized) {
		return err
	}
	if r, err = l.login(ctx, r); err != nil {
		return err
	}
	return call(r)
}

// login returns the session's client; stale is the one that was refused.
func (l *link) login(ctx context.Context, stale *client.Registry) (*client.Registry, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.authed != nil && l.authed != stale {
		return l.authed, nil
	}
	session, err := l.open.Login(ctx, *l.cred)
	if err != nil {
		return nil, fmt.Errorf("log in as %s: %w", l.cred.User, err)
	}
	l.authed = l.open.WithToken(session.Token)
	return l.authed, nil
}
