// Package directory is what the registry knows: accounts and their sessions,
// the peers of the network, and statistics of the jobs that ended in it. All
// that must last is in a [kv.Store]; presence of peers is in memory and comes
// back with their next heartbeats.
//
// Start at [New]; [Directory.Run] does the housekeeping.
package directory

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"burrow/api"
	"burrow/internal/kv"
)

// Config holds the tunables of a [Directory]; zero fields mean the defaults.
type Config struct {
	// Closed refuses new accounts.
	Closed bool
	// Period is the heartbeat period in a small network; default 2 s.
	Period time.Duration
	// MaxRate bounds all heartbeats together, per second; default 2,500. Above it
	// the period is stretched.
	MaxRate int
	// Logins bounds password hashes at a time; default 2. Each takes 19 MiB.
	Logins int
}

// Directory is safe for concurrent use.
type Directory struct {
	store   kv.Store
	cfg     Config
	started time.Time
	limiter *limiter
	hasher  *hasher
	tally   tally

	// register lets one change of a peer's lasting record at a time reach the
	// store and then memory, in one order. It is taken before mu.
	register sync.Mutex
	mu       sync.Mutex           // guards what follows
	peers    map[string]*presence // by id; also those that are silent
	// stretched is the period that peers are told, as of counted.
	stretched time.Duration
	counted   time.Time
}

// New returns the directory that lives in store. It reads the peers' records.
func New(ctx context.Context, store kv.Store, cfg Config) (*Directory, error) {
	cfg.Period = cmp.Or(cfg.Period, 2*time.Second)
	cfg.MaxRate = cmp.Or(cfg.MaxRate, 2500)
	cfg.Logins = cmp.Or(cfg.Logins, 2)
	d := &Directory{
		store: store, cfg: cfg, started: time.Now(), hasher: newHasher(cfg.Logins),
		limiter: newLimiter(), peers: make(map[string]*presence),
	}
	d.tally.store = store
	var bad error
	err := walk(ctx, store, peerPrefix, "", func(e kv.Entry) bool {
		var rec peerRecord
		if bad = json.Unmarshal(e.Value, &rec); bad != nil {
			bad = fmt.Errorf("read %s: %w", e.Key, bad)
			return false
		}
		d.peers[rec.ID] = &presence{peerRecord: rec}
		return true
	})
	if err := errors.Join(err, bad); err != nil {
		return nil, err
	}
	return d, nil
}

// HasAccounts reports whether anybody signed up yet.
func (d *Directory) HasAccounts(ctx context.Context) (bool, error) {
	admin, err := read[string](ctx, d.store, adminKey)
	return admin.found(), err
}

// Ready reports whether the store answers; nil means that it does.
func (d *Directory) Ready(ctx context.Context) error {
	if _, err := read[string](ctx, d.store, adminKey); err != nil {
		return fmt.Errorf("store: %w: %w", err, api.ErrUnavailable)
	}
	return nil
}

// Run prunes every minute until ctx ends. report gets the errors; the next
// round tries again.
func (d *Directory) Run(ctx context.Context, report func(error)) {
	ticker := time.NewTicker(time.Minute)
	defer ticker.Stop()
	for n := 0; ; n++ {
		if err := d.Prune(ctx, time.Now(), n%60 == 0); err != nil && ctx.Err() == nil {
			report(fmt.Errorf("prune the store: %w", err))
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// Prune deletes the history that is over its time and, when all is set, what
// takes a longer look: sessions that are over, and records of boots and peers
// that were not heard of for months.
func (d *Directory) Prune(ctx context.Context, now time.Time, all bool) error {
	if err := d.pruneBuckets(ctx, now); err != nil || !all {
		return err
	}
	for prefix, kept := range map[string]time.Duration{sessionPrefix: sessionIdle, bootPrefix: bootKept} {
		err := prune(ctx, d.store, prefix, func(e kv.Entry) (bool, bool) { return olderThan(e, now.Add(-kept)), true })
		if err != nil {
			return err
		}
	}
	return d.forgetSilent(ctx, now)
}
