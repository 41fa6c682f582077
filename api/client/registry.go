package client

import (
	"context"
	"fmt"
	"net/url"

	"burrow/api"
)

// Registry talks to a registry.
type Registry struct{ c *conn }

// NewRegistry returns a client for the registry at link (http://host:port). An
// empty token allows the open reads, [Registry.SignUp] and [Registry.Login].
func NewRegistry(link, token string) (*Registry, error) {
	c, err := newConn(link, token)
	if err != nil {
		return nil, err
	}
	return &Registry{c: c}, nil
}

// WithToken returns a client that sends token, over the same connections.
func (r *Registry) WithToken(token string) *Registry {
	c := *r.c
	c.token = token
	return &Registry{c: &c}
}

// SignUp creates an account: api.ErrConflict if the name is taken,
// api.ErrForbidden if the registry does not allow it.
func (r *Registry) SignUp(ctx context.Context, cred api.Credentials) (api.Account, error) {
	var a api.Account
	err := r.c.call(ctx, "POST", "/v1/accounts", cred, &a)
	return a, err
}

// Login opens a session: api.ErrUnauthorized for an unknown user or a wrong
// password, api.ErrRateLimited after too many of them.
func (r *Registry) Login(ctx context.Context, cred api.Credentials) (api.Session, error) {
	var s api.Session
	err := r.c.call(ctx, "POST", "/v1/sessions", cred, &s)
	return s, err
}

// Register announces a peer: api.ErrConflict if another one has its name.
func (r *Registry) Register(ctx context.Context, hb api.Heartbeat) (api.HeartbeatReply, error) {
	var reply api.HeartbeatReply
	err := r.c.call(ctx, "POST", "/v1/peers", hb, &reply)
	return reply, err
}

// Heartbeat keeps a registered peer listed and reports its totals:
// api.ErrNotFound means that the registry does not know it (register again).
func (r *Registry) Heartbeat(ctx context.Context, hb api.Heartbeat) (api.HeartbeatReply, error) {
	var reply api.HeartbeatReply
	err := r.c.call(ctx, "PUT", "/v1/peers/"+url.PathEscape(hb.Peer.ID), hb, &reply)
	return reply, err
}

// Leave takes a peer off the list at once.
func (r *Registry) Leave(ctx context.Context, id string) error {
	return r.c.call(ctx, "DELETE", "/v1/peers/"+url.PathEscape(id), nil, nil)
}

// Peers lists the active peers by name.
func (r *Registry) Peers(ctx context.Context) ([]api.Peer, error) {
	var page api.PeerPage
	err := r.c.call(ctx, "GET", "/v1/peers", nil, &page)
	return page.Peers, err
}

// Stats returns the network's statistics with up to limit buckets of width
// "1s", "1m" or "1h".
func (r *Registry) Stats(ctx context.Context, width string, limit int) (api.NetworkStats, error) {
	var s api.NetworkStats
	err := r.c.call(ctx, "GET", fmt.Sprintf("/v1/stats?width=%s&limit=%d", url.QueryEscape(width), limit), nil, &s)
	return s, err
}
