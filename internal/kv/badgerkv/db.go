// Package badgerkv keeps state in an embedded Badger database. It is the only
// package that imports Badger.
//
// [Open] gives a [DB], which is a [kv.Local]; [NewStore] puts the narrower
// [kv.Store] with revisions over it. Use one of the two views of a database,
// not both: they do not keep their keys apart.
package badgerkv

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/rs/zerolog"

	"burrow/internal/kv"
)

// ErrClosed answers every call after [DB.Close].
var ErrClosed = errors.New("store is closed")

// ErrNoSpace answers an update while the disk of the data folder is all but
// full. Badger writes through memory maps, and the kernel answers a full disk
// there with SIGBUS: the daemon must stop writing before that.
var ErrNoSpace = errors.New("disk of the data folder is full")

const (
	// optimistic is how often an update races others before it runs alone.
	optimistic = 4
	// attempts bounds an update's runs altogether. The runs from optimistic on
	// exclude every other update, so the bound is never met in practice.
	attempts = optimistic + 2
	// maxPause bounds the wait between two optimistic runs.
	maxPause = 4 * time.Millisecond
)

// DB is a Badger database as a [kv.Local]. All methods are safe for concurrent
// use.
//
// Get inside an update protects the keys read until the commit; a Scan
// protects the keys it met, but not the gaps between them.
type DB struct {
	badger *badger.DB
	dir    string // "" in memory
	log    zerolog.Logger

	// turn is held for reading by optimistic updates and for writing by one
	// that lost too often, so that a busy key cannot starve anyone.
	turn sync.RWMutex

	mu     sync.Mutex // guards closed and the start of users
	closed bool
	users  sync.WaitGroup // running View and Update calls

	stop context.CancelFunc // ends the value log's collector
	gc   sync.WaitGroup
}

var _ kv.Local = (*DB)(nil)

// View implements [kv.Local].
func (db *DB) View(ctx context.Context, fn func(kv.Tx) error) error {
	if err := db.enter(ctx); err != nil {
		return err
	}
	defer db.users.Done()
	txn := db.badger.NewTransaction(false)
	defer txn.Discard()
	return fn(&tx{ctx: ctx, txn: txn})
}

// Update implements [kv.Local]. fn must not call Update of the same DB. After
// too many lost races the error is [kv.ErrConflict]; over about 2 MiB of keys
// and small values it is [kv.ErrTooLarge] (values from 4 KiB on do not count);
// on a full disk [ErrNoSpace].
func (db *DB) Update(ctx context.Context, fn func(kv.Tx) error) error {
	if err := db.enter(ctx); err != nil {
		return err
	}
	defer db.users.Done()
	if err := db.checkSpace(); err != nil {
		return err
	}
	for n := range attempts {
		err := db.update(ctx, fn, n >= optimistic)
		if !errors.Is(err, badger.ErrConflict) {
			return err
		}
		if err := pause(ctx, n); err != nil {
			return err
		}
	}
	return kv.ErrConflict
}

func (db *DB) update(ctx context.Context, fn func(kv.Tx) error, alone bool) error {
	if alone {
		db.turn.Lock()
		defer db.turn.Unlock()
	} else {
		db.turn.RLock()
		defer db.turn.RUnlock()
	}
	txn := db.badger.NewTransaction(true)
	defer txn.Discard()
	if err := fn(&tx{ctx: ctx, txn: txn}); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := txn.Commit(); err != nil {
		return fmt.Errorf("commit: %w", translate(err))
	}
	return nil
}

// Close waits for running calls, writes what is in memory to disk and releases
// the folder. A second Close does nothing. It must not be called inside View
// or Update.
func (db *DB) Close() error {
	db.mu.Lock()
	if db.closed {
		db.mu.Unlock()
		return nil
	}
	db.closed = true
	db.mu.Unlock()

	db.stop()
	db.gc.Wait()
	db.users.Wait()
	if err := db.badger.Close(); err != nil {
		return fmt.Errorf("close store %s: %w", db.dir, err)
	}
	return nil
}

// enter counts a call in, or refuses it: Badger unmaps its files on close, so
// a late reader would crash the process.
func (db *DB) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.closed {
		return ErrClosed
	}
	db.users.Add(1)
	return nil
}

// pause spreads the losers of a race.
func pause(ctx context.Context, n int) error {
	timer := time.NewTimer(rand.N(min(maxPause, time.Millisecond<<n))) //nolint:gosec // jitter, no secret
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// translate maps Badger's errors to those of package kv.
func translate(err error) error {
	switch {
	case errors.Is(err, badger.ErrKeyNotFound):
		return kv.ErrNotFound
	case errors.Is(err, badger.ErrTxnTooBig):
		return kv.ErrTooLarge
	case errors.Is(err, badger.ErrDBClosed), errors.Is(err, badger.ErrBlockedWrites):
		return ErrClosed
	default:
		return err
	}
}
