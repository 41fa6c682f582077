package badgerkv

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"burrow/internal/kv"
)

const (
	dataPrefix  = "k/"  // + the user's key; the value is 8 bytes of revision + bytes
	revisionKey = "rev" // 8 bytes: the last revision that was given out
	defaultList = 1000
)

// Store is a [kv.Store] over a [DB].
type Store struct {
	db *DB
	// commit lets one transaction at a time read the counter, check its
	// conditions and commit: all of them write the counter, so they would only
	// fail each other.
	commit sync.Mutex
}

var _ kv.Store = (*Store)(nil)

// NewStore returns a store that keeps its keys and its revision counter in db.
// Closing it closes db.
func NewStore(db *DB) (kv.Store, error) {
	s := &Store{db: db}
	err := db.View(context.Background(), func(t kv.Tx) error {
		_, err := lastRevision(t)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read revision of store: %w", err)
	}
	return s, nil
}

// Get implements [kv.Store].
func (s *Store) Get(ctx context.Context, key string) (kv.Entry, error) {
	var e kv.Entry
	err := s.db.View(ctx, func(t kv.Tx) error {
		var err error
		e, err = get(t, key)
		return err
	})
	return e, err
}

// List implements [kv.Store].
func (s *Store) List(ctx context.Context, prefix, after string, limit int) ([]kv.Entry, error) {
	if limit <= 0 {
		limit = defaultList
	}
	start := ""
	if after != "" {
		start = dataPrefix + after + "\x00"
	}
	var list []kv.Entry
	err := s.db.View(ctx, func(t kv.Tx) error {
		var bad error
		err := t.Scan(dataPrefix+prefix, start, func(key string, raw []byte) bool {
			var e kv.Entry
			if e, bad = decode(key[len(dataPrefix):], raw); bad != nil {
				return false
			}
			list = append(list, e)
			return len(list) < limit
		})
		return errors.Join(err, bad)
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// Txn implements [kv.Store].
func (s *Store) Txn(ctx context.Context, conds []kv.Cond, ops []kv.Op) (int64, error) {
	if err := check(conds, ops); err != nil {
		return 0, err
	}
	s.commit.Lock()
	defer s.commit.Unlock()
	var rev int64
	err := s.db.Update(ctx, func(t kv.Tx) error {
		for _, c := range conds {
			e, err := get(t, c.Key)
			if err != nil && !errors.Is(err, kv.ErrNotFound) {
				return err
			}
			if e.Rev != c.Rev {
				return fmt.Errorf("key %q is at revision %d, not %d: %w", c.Key, e.Rev, c.Rev, kv.ErrConflict)
			}
		}
		// Read from the store, never from memory: after a commit that failed with
		// an I/O error nobody knows whether its revision is used.
		last, err := lastRevision(t)
		if err != nil {
			return err
		}
		rev = last + 1
		if err := t.Set(revisionKey, binary.BigEndian.AppendUint64(nil, uint64(rev))); err != nil {
			return err
		}
		return apply(t, rev, ops)
	})
	if err != nil {
		return 0, err
	}
	return rev, nil
}

// Close closes the database below.
func (s *Store) Close() error { return s.db.Close() }

func apply(t kv.Tx, rev int64, ops []kv.Op) error {
	for _, op := range ops {
		var err error
		if op.Delete {
			err = t.Delete(dataPrefix + op.Key)
		} else {
			err = t.Set(dataPrefix+op.Key, append(binary.BigEndian.AppendUint64(nil, uint64(rev)), op.Value...))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// check refuses what another store (etcd) would refuse too.
func check(conds []kv.Cond, ops []kv.Op) error {
	if n := len(conds) + len(ops); n > kv.MaxOps {
		return fmt.Errorf("%d conditions and operations, at most %d: %w", n, kv.MaxOps, kv.ErrTooLarge)
	}
	size, seen := 0, make(map[string]bool, len(ops))
	for _, c := range conds {
		size += len(c.Key)
	}
	for _, op := range ops {
		size += len(op.Key) + len(op.Value)
		switch {
		case op.Key == "":
			return errors.New("operation without a key")
		case seen[op.Key]:
			return fmt.Errorf("two operations on key %q", op.Key)
		}
		seen[op.Key] = true
	}
	if size > kv.MaxBytes {
		return fmt.Errorf("%d bytes, at most %d: %w", size, kv.MaxBytes, kv.ErrTooLarge)
	}
	return nil
}

func get(t kv.Tx, key string) (kv.Entry, error) {
	raw, err := t.Get(dataPrefix + key)
	if err != nil {
		return kv.Entry{}, err
	}
	return decode(key, raw)
}

func decode(key string, raw []byte) (kv.Entry, error) {
	if len(raw) < 8 {
		return kv.Entry{}, fmt.Errorf("value of key %q has no revision; the data folder is not of this program", key)
	}
	return kv.Entry{Key: key, Value: raw[8:], Rev: int64(binary.BigEndian.Uint64(raw))}, nil
}

func lastRevision(t kv.Tx) (int64, error) {
	raw, err := t.Get(revisionKey)
	switch {
	case errors.Is(err, kv.ErrNotFound):
		return 0, nil
	case err != nil:
		return 0, err
	case len(raw) != 8:
		return 0, errors.New("revision counter is damaged; the data folder is not of this program")
	}
	return int64(binary.BigEndian.Uint64(raw)), nil
}
