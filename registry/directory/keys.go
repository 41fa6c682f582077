package directory

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"burrow/internal/kv"
)

// The layout of the store. Values are JSON.
//
//	account/<user>                 accountRecord
//	admin                          name of the first account
//	session/<sha256 of token>      sessionRecord; the token itself is nowhere
//	peer/<id>                      peerRecord
//	peername/<lower-case name>     id of the peer that holds the name
//	stats/sum                      sumRecord, since the registry's first start
//	stats/boot/<peer id>/<boot>    bootRecord, what was counted already
//	stats/bucket/<width>/<start>   bucketRecord; start in Unix seconds, 12 digits
const (
	adminKey      = "admin"
	sumKey        = "stats/sum"
	accountPrefix = "account/"
	sessionPrefix = "session/"
	peerPrefix    = "peer/"
	bootPrefix    = "stats/boot/"
)

func accountKey(user string) string      { return accountPrefix + user }
func sessionKey(hash string) string      { return sessionPrefix + hash }
func peerKey(id string) string           { return peerPrefix + id }
func nameKey(name string) string         { return "peername/" + strings.ToLower(name) }
func bootKey(peer, boot string) string   { return bootPrefix + peer + "/" + boot }
func bucketPrefix(width string) string   { return "stats/bucket/" + width + "/" }
func bucketKey(w string, s int64) string { return fmt.Sprintf("%s%012d", bucketPrefix(w), s) }

// maxTries bounds how often a transaction is decided anew after it lost
// against another replica or request.
const maxTries = 20

// page is how many entries a walk reads at once.
const page = 500

// record is the value of one key with the revision to condition a write on; a
// missing key has revision 0 and the zero value.
type record[T any] struct {
	key   string
	rev   int64
	value T
}

func read[T any](ctx context.Context, s kv.Store, key string) (record[T], error) {
	r := record[T]{key: key}
	e, err := s.Get(ctx, key)
	if errors.Is(err, kv.ErrNotFound) {
		return r, nil
	}
	if err != nil {
		return r, fmt.Errorf("read %s: %w", key, err)
	}
	r.rev = e.Rev
	if err := json.Unmarshal(e.Value, &r.value); err != nil {
		return r, fmt.Errorf("read %s: %w", key, err)
	}
	return r, nil
}

// found reports whether the key existed.
func (r record[T]) found() bool { return r.rev != 0 }

// unchanged is the condition that nobody wrote the key since it was read.
func (r record[T]) unchanged() kv.Cond { return kv.Cond{Key: r.key, Rev: r.rev} }

// write is the operation that stores the value.
func (r record[T]) write() (kv.Op, error) {
	value, err := json.Marshal(r.value)
	if err != nil {
		return kv.Op{}, fmt.Errorf("encode %s: %w", r.key, err)
	}
	return kv.Op{Key: r.key, Value: value}, nil
}

// walk calls fn for each key with the prefix, in order, until fn returns false.
func walk(ctx context.Context, s kv.Store, prefix, after string, fn func(kv.Entry) bool) error {
	for {
		list, err := s.List(ctx, prefix, after, page)
		if err != nil {
			return fmt.Errorf("list %s: %w", prefix, err)
		}
		for _, e := range list {
			if !fn(e) {
				return nil
			}
		}
		if len(list) < page {
			return nil
		}
		after = list[len(list)-1].Key
	}
}

// prune deletes the keys with the prefix for which old answers delete; it
// stops where more is false.
func prune(ctx context.Context, s kv.Store, prefix string, old func(kv.Entry) (del, more bool)) error {
	var dead []kv.Entry
	err := walk(ctx, s, prefix, "", func(e kv.Entry) bool {
		del, more := old(e)
		if del {
			dead = append(dead, e)
		}
		return more
	})
	if err != nil {
		return err
	}
	const batch = kv.MaxOps / 2
	for len(dead) > 0 {
		n := min(batch, len(dead))
		conds, ops := make([]kv.Cond, n), make([]kv.Op, n)
		for i, e := range dead[:n] {
			conds[i], ops[i] = kv.Cond{Key: e.Key, Rev: e.Rev}, kv.Op{Key: e.Key, Delete: true}
		}
		// A conflict means that one of them was just used: the next round looks again.
		if _, err := s.Txn(ctx, conds, ops); err != nil && !errors.Is(err, kv.ErrConflict) {
			return fmt.Errorf("prune %s: %w", prefix, err)
		}
		dead = dead[n:]
	}
	return nil
}

// olderThan reports whether the time at the key "last" of an entry's JSON
// value is before the cutoff. What cannot be read is kept.
func olderThan(e kv.Entry, cutoff time.Time) bool {
	var v struct {
		Last time.Time `json:"last"`
	}
	return json.Unmarshal(e.Value, &v) == nil && !v.Last.IsZero() && v.Last.Before(cutoff)
}
