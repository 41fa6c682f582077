package directory

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"burrow/api"
	"burrow/internal/kv"
)

const (
	sessionIdle = 30 * 24 * time.Hour // a session unused for this long is over
	// sessionTouch is how stale the stored time of last use may get: a peer's
	// heartbeats must not each write to the disk.
	sessionTouch = time.Hour
	tokenBytes   = 32
)

type accountRecord struct {
	User    string    `json:"user"`
	Admin   bool      `json:"admin,omitempty"`
	Hash    string    `json:"hash"` // argon2id with its parameters
	Created time.Time `json:"created"`
}

type sessionRecord struct {
	User string    `json:"user"`
	Last time.Time `json:"last"` // last use, at most sessionTouch old
}

// SignUp creates an account. The first one is the administrator. It answers
// [api.ErrForbidden] where the network takes no new accounts, [api.ErrConflict]
// where the name is taken, a [api.FieldError] for a bad name or password. The
// check for a taken name costs no hashing, so a client that does not know
// whether its account exists signs up first and then logs in.
func (d *Directory) SignUp(ctx context.Context, c api.Credentials) (api.Account, error) {
	if err := c.Validate(); err != nil {
		return api.Account{}, err
	}
	if d.cfg.Closed {
		return api.Account{}, fmt.Errorf("this network takes no new accounts, ask its administrator: %w", api.ErrForbidden)
	}
	acct, err := read[accountRecord](ctx, d.store, accountKey(c.User))
	if err != nil {
		return api.Account{}, err
	}
	if acct.found() {
		return api.Account{}, nameTaken(c.User)
	}
	if err := d.hasher.enter(ctx); err != nil {
		return api.Account{}, err
	}
	hash := hashPassword(c.Password)
	d.hasher.leave()
	acct.value = accountRecord{User: c.User, Hash: hash, Created: time.Now().UTC()}
	return d.createAccount(ctx, acct)
}

func (d *Directory) createAccount(ctx context.Context, acct record[accountRecord]) (api.Account, error) {
	for range maxTries {
		admin, err := read[string](ctx, d.store, adminKey)
		if err != nil {
			return api.Account{}, err
		}
		acct.value.Admin = !admin.found()
		write, err := acct.write()
		if err != nil {
			return api.Account{}, err
		}
		conds, ops := []kv.Cond{acct.unchanged()}, []kv.Op{write}
		if acct.value.Admin {
			admin.value = acct.value.User
			first, err := admin.write()
			if err != nil {
				return api.Account{}, err
			}
			conds, ops = append(conds, admin.unchanged()), append(ops, first)
		}
		_, err = d.store.Txn(ctx, conds, ops)
		if err == nil {
			return acct.value.public(), nil
		}
		if !errors.Is(err, kv.ErrConflict) {
			return api.Account{}, fmt.Errorf("create account: %w", err)
		}
		// Either somebody else became the administrator, or the name is gone.
		now, err := read[accountRecord](ctx, d.store, acct.key)
		if err != nil {
			return api.Account{}, err
		}
		if now.found() {
			return api.Account{}, nameTaken(acct.value.User)
		}
	}
	return api.Account{}, fmt.Errorf("create account: the registry is busy, try again: %w", api.ErrUnavailable)
}

// LogIn returns a new session. address is where the request came from: it and
// the account wait ([api.ErrRateLimited], a [RateLimitError]) after 10 failures
// in a minute. A wrong password and an unknown user are the same
// [api.ErrUnauthorized] after the same time.
func (d *Directory) LogIn(ctx context.Context, c api.Credentials, address string) (api.Session, error) {
	if err := c.Validate(); err != nil {
		return api.Session{}, err
	}
	if err := d.limiter.check(time.Now(), c.User, address); err != nil {
		return api.Session{}, err
	}
	acct, err := read[accountRecord](ctx, d.store, accountKey(c.User))
	if err != nil {
		return api.Session{}, err
	}
	if err := d.verify(ctx, acct, c, address); err != nil {
		return api.Session{}, err
	}
	token, hash := newToken()
	sess := record[sessionRecord]{key: sessionKey(hash), value: sessionRecord{User: c.User, Last: time.Now().UTC()}}
	write, err := sess.write()
	if err != nil {
		return api.Session{}, err
	}
	if _, err := d.store.Txn(ctx, nil, []kv.Op{write}); err != nil {
		return api.Session{}, fmt.Errorf("create session: %w", err)
	}
	return api.Session{Token: token, Account: acct.value.public()}, nil
}

// verify compares the password in its turn and counts a failure.
func (d *Directory) verify(ctx context.Context, acct record[accountRecord], c api.Credentials, address string) error {
	if err := d.hasher.enter(ctx); err != nil {
		return err
	}
	defer d.hasher.leave()
	// Again, now that this one has its turn: those before it may have failed.
	if err := d.limiter.check(time.Now(), c.User, address); err != nil {
		return err
	}
	hash := d.hasher.decoy
	if acct.found() {
		hash = acct.value.Hash
	}
	ok, err := checkPassword(hash, c.Password)
	if err != nil {
		return fmt.Errorf("account %s: %w", c.User, err)
	}
	if !ok || !acct.found() {
		d.limiter.failed(time.Now(), c.User, address)
		return fmt.Errorf("user or password is wrong: %w", api.ErrUnauthorized)
	}
	d.limiter.succeeded(c.User, address)
	return nil
}

// LogOut ends the session of token. A token that is none is no error.
func (d *Directory) LogOut(ctx context.Context, token string) error {
	_, err := d.store.Txn(ctx, nil, []kv.Op{{Key: sessionKey(hashToken(token)), Delete: true}})
	if err != nil {
		return fmt.Errorf("end session: %w", err)
	}
	return nil
}

// Authenticate returns the account of a session token, and keeps the session
// alive. A token that is unknown or idle for 30 days is [api.ErrUnauthorized].
func (d *Directory) Authenticate(ctx context.Context, token string) (api.Account, error) {
	refused := fmt.Errorf("the session is unknown or over, log in again: %w", api.ErrUnauthorized)
	if token == "" {
		return api.Account{}, fmt.Errorf("log in with POST /v1/sessions and send its token as Authorization: Bearer TOKEN: %w", api.ErrUnauthorized)
	}
	sess, err := read[sessionRecord](ctx, d.store, sessionKey(hashToken(token)))
	if err != nil {
		return api.Account{}, err
	}
	idle := time.Since(sess.value.Last)
	if !sess.found() || idle >= sessionIdle {
		return api.Account{}, refused
	}
	acct, err := read[accountRecord](ctx, d.store, accountKey(sess.value.User))
	if err != nil {
		return api.Account{}, err
	}
	if !acct.found() {
		return api.Account{}, refused
	}
	if idle >= sessionTouch {
		sess.value.Last = time.Now().UTC()
		write, err := sess.write()
		if err != nil {
			return api.Account{}, err
		}
		// A conflict: another request touched it, or it was just logged out.
		if _, err := d.store.Txn(ctx, []kv.Cond{sess.unchanged()}, []kv.Op{write}); err != nil && !errors.Is(err, kv.ErrConflict) {
			return api.Account{}, fmt.Errorf("keep session: %w", err)
		}
	}
	return acct.value.public(), nil
}

func (a accountRecord) public() api.Account { return api.Account{User: a.User, Admin: a.Admin} }

func nameTaken(user string) error {
	return fmt.Errorf("account name %q is taken; choose another, or log in with its password: %w", user, api.ErrConflict)
}

// newToken returns a random token and what is stored of it.
func newToken() (token, hash string) {
	raw := make([]byte, tokenBytes)
	_, _ = rand.Read(raw) // never fails: the runtime stops the program instead
	token = base64.RawURLEncoding.EncodeToString(raw)
	return token, hashToken(token)
}

func hashToken(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}
