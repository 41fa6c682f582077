// Package roster is a peer's place in the network: it logs in to the registry,
// registers, sends heartbeats with the job totals, and knows the live peers.
// The registry may be away: the peer works on and comes back by itself.
package roster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"burrow/api"
	"burrow/api/client"
)

const (
	callTimeout = 10 * time.Second
	minBackoff  = 200 * time.Millisecond
	maxBackoff  = 10 * time.Second
)

// Config says which registry to join, and as whom.
type Config struct {
	Link     string // http://host:port
	User     string
	Password string
	// Self returns what the next heartbeat says.
	Self func() api.Heartbeat
}

// Roster keeps one peer registered.
type Roster struct {
	cfg   Config
	reg   *client.Registry
	token string // of the session; only Run uses it

	mu    sync.Mutex
	state string
}

// New returns a roster for the registry at cfg.Link, or an api.FieldError for
// a link or credentials that cannot be right.
func New(cfg Config) (*Roster, error) {
	reg, err := client.NewRegistry(cfg.Link, "")
	if err != nil {
		return nil, fmt.Errorf("--registry: %w", err)
	}
	if err := (api.Credentials{User: cfg.User, Password: cfg.Password}).Validate(); err != nil {
		return nil, err
	}
	return &Roster{cfg: cfg, reg: reg, state: "connecting"}, nil
}

// State is "connected", or why the peer is not.
func (r *Roster) State() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state
}

// Peers lists the network's active peers.
func (r *Roster) Peers(ctx context.Context) ([]api.Peer, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return r.reg.Peers(ctx)
}

// Run keeps the peer registered until ctx ends, then signs it off. It returns
// an error only where trying again cannot help: a wrong password, a sign-up
// that is not allowed, a name that another peer has; and only before it was
// connected for the first time. Later nothing that a registry answers ends a
// peer that has jobs.
func (r *Roster) Run(ctx context.Context) error {
	log := zerolog.Ctx(ctx)
	backoff, joined := minBackoff, false
	for {
		period, err := r.beat(ctx)
		switch {
		case ctx.Err() != nil:
			r.leave(ctx)
			return nil
		case err == nil:
			if r.setState("connected") {
				log.Info().Str("registry", r.cfg.Link).Msg("connected to registry")
			}
			backoff, joined = minBackoff, true
		case isFinal(err) && !joined:
			return fmt.Errorf("join registry %s as %s: %w", r.cfg.Link, r.cfg.User, err)
		default:
			if r.setState("not connected, trying again: " + err.Error()) {
				log.Warn().Err(err).Str("registry", r.cfg.Link).Msg("not connected to registry; this peer works alone and keeps trying")
			}
			// Full jitter: peers that lost the registry together must not come
			// back together.
			period = rand.N(backoff) + minBackoff/2 //nolint:gosec // jitter, no secret
			backoff = min(2*backoff, maxBackoff)
		}
		t := time.NewTimer(period)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			r.leave(ctx)
			return nil
		}
	}
}

// setState records the state and reports whether it is of another kind than
// before, so that the log says it once.
func (r *Roster) setState(s string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	news := (r.state == "connected") != (s == "connected") || r.state == "connecting"
	r.state = s
	return news
}

func isFinal(err error) bool {
	return errors.Is(err, api.ErrUnauthorized) || errors.Is(err, api.ErrForbidden) ||
		errors.Is(err, api.ErrConflict) || errors.Is(err, api.ErrInvalid)
}

// beat sends one heartbeat, after logging in and registering where needed.
func (r *Roster) beat(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if r.token == "" {
		token, err := r.login(ctx)
		if err != nil {
			return 0, err
		}
		r.token = token
	}
	reg := r.reg.WithToken(r.token)
	reply, err := reg.Heartbeat(ctx, r.cfg.Self())
	if errors.Is(err, api.ErrNotFound) {
		reply, err = reg.Register(ctx, r.cfg.Self())
	}
	if errors.Is(err, api.ErrUnauthorized) {
		// The session has ended; the next beat logs in again.
		r.token = ""
		return minBackoff, fmt.Errorf("session ended: %w", api.ErrUnavailable)
	}
	return max(reply.Period.Std(), minBackoff), err
}

// login opens a session, signing the user up where there is none yet. It
// signs up first: for a name that is taken that costs the registry nothing,
// whereas a login of an unknown user counts as a failed one for this address.
func (r *Roster) login(ctx context.Context) (string, error) {
	cred := api.Credentials{User: r.cfg.User, Password: r.cfg.Password}
	_, signUp := r.reg.SignUp(ctx, cred)
	if signUp != nil && !errors.Is(signUp, api.ErrConflict) && !errors.Is(signUp, api.ErrForbidden) {
		return "", fmt.Errorf("sign up: %w", signUp)
	}
	s, err := r.reg.Login(ctx, cred)
	switch {
	case !errors.Is(err, api.ErrUnauthorized):
	case errors.Is(signUp, api.ErrForbidden):
		err = fmt.Errorf("unknown user or wrong password, and the registry takes no new accounts: %w", err)
	default:
		err = fmt.Errorf("wrong password; put the right one into the --password-file, or choose another --user: %w", err)
	}
	return s.Token, err
}

// leave signs the peer off, so that it is gone from every list at once.
func (r *Roster) leave(ctx context.Context) {
	if r.token == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := r.reg.WithToken(r.token).Leave(ctx, r.cfg.Self().Peer.ID); err != nil {
		zerolog.Ctx(ctx).Debug().Err(err).Msg("sign off from registry")
	}
}
