// Package kv is how Burrow keeps state: ordered keys with values.
//
// [Store] is what the registry stands on: reads at a revision and conditional
// transactions, which both an embedded store and a replicated one can give.
// [Local] is the wider interface for state that is always on this machine
// (peerd's queue): read-write transactions with scans.
package kv

import (
	"context"
	"errors"
)

// Bounds of one [Store.Txn], the same for every store.
const (
	MaxOps   = 100     // conditions and operations together
	MaxBytes = 1 << 20 // keys and values together
)

var (
	// ErrNotFound: the key does not exist.
	ErrNotFound = errors.New("key not found")
	// ErrConflict: a condition of a transaction did not hold, or a concurrent
	// transaction won. Read again and decide again.
	ErrConflict = errors.New("transaction conflict")
	// ErrTooLarge: a transaction is over MaxOps or MaxBytes.
	ErrTooLarge = errors.New("transaction too large")
)

// Entry is a key with its value and the revision at which it was written.
type Entry struct {
	Key   string
	Value []byte
	Rev   int64 // strictly increasing over the whole store
}

// Cond must hold for a transaction to commit: Key was last written at Rev.
// Rev 0 means that the key does not exist.
type Cond struct {
	Key string
	Rev int64
}

// Op writes Value under Key, or deletes Key when Delete is set.
type Op struct {
	Key    string
	Value  []byte
	Delete bool
}

// Store holds ordered keys with revisions. All methods are safe for concurrent
// use. A committed transaction is on disk.
type Store interface {
	// Get returns the entry of key, or ErrNotFound.
	Get(ctx context.Context, key string) (Entry, error)
	// List returns up to limit entries whose key has the prefix and is greater
	// than after ("" from the start), in key order. limit 0 means 1,000.
	List(ctx context.Context, prefix, after string, limit int) ([]Entry, error)
	// Txn applies ops if every condition holds, all or nothing, and returns the
	// new revision. ErrConflict if one does not hold; ErrTooLarge over the bounds.
	Txn(ctx context.Context, conds []Cond, ops []Op) (int64, error)
	Close() error
}

// Local is a store on this machine with interactive transactions.
type Local interface {
	// View runs fn in a read transaction: a consistent snapshot.
	View(ctx context.Context, fn func(Tx) error) error
	// Update runs fn in a read-write transaction and commits it, durably. fn is
	// run again when a concurrent transaction won, so it must be repeatable.
	Update(ctx context.Context, fn func(Tx) error) error
	Close() error
}

// Tx is one transaction of a [Local]. Values are valid until fn returns.
type Tx interface {
	// Get returns the value of key, or ErrNotFound.
	Get(key string) ([]byte, error)
	Set(key string, value []byte) error
	Delete(key string) error
	// Scan calls fn for each key with the prefix, from the key start on (""
	// from the prefix's first), in order, until fn returns false.
	Scan(prefix, start string, fn func(key string, value []byte) (more bool)) error
	// ScanReverse is Scan from the greatest key that is not above start ("" from
	// the prefix's last) downwards.
	ScanReverse(prefix, start string, fn func(key string, value []byte) (more bool)) error
}
