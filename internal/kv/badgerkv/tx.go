package badgerkv

import (
	"bytes"
	"context"
	"strings"

	"github.com/dgraph-io/badger/v4"

	"burrow/internal/kv"
)

// checkEvery is how many scanned keys may pass before a look at the context.
const checkEvery = 64

// tx is one transaction. Values are copied out: Badger's own slices point into
// mapped files and end with the item.
type tx struct {
	ctx context.Context // of the View or Update call that it lives in
	txn *badger.Txn
}

var _ kv.Tx = (*tx)(nil)

func (t *tx) Get(key string) ([]byte, error) {
	item, err := t.txn.Get([]byte(key))
	if err != nil {
		return nil, translate(err)
	}
	return item.ValueCopy(nil)
}

func (t *tx) Set(key string, value []byte) error {
	// Badger keeps the slice until the commit; the caller may reuse it.
	return translate(t.txn.Set([]byte(key), bytes.Clone(value)))
}

func (t *tx) Delete(key string) error {
	return translate(t.txn.Delete([]byte(key)))
}

func (t *tx) Scan(prefix, start string, fn func(key string, value []byte) bool) error {
	return t.scan(prefix, max(start, prefix), false, fn)
}

func (t *tx) ScanReverse(prefix, start string, fn func(key string, value []byte) bool) error {
	// The greatest key with the prefix is not above prefix + 0xff…: one 0xff is
	// not enough for keys of any bytes, but the next prefix is a true bound.
	end, open := successor(prefix)
	if start != "" && (open || start < end) {
		if start < prefix {
			return t.ctx.Err()
		}
		end, open = start, false
	}
	if open {
		end = ""
	}
	return t.scan(prefix, end, true, fn)
}

// scan walks from seek ("" from the end where reverse) while keys have the
// prefix. Badger's Prefix option is not used: in reverse it would skip a seek
// key outside of the prefix.
func (t *tx) scan(prefix, seek string, reverse bool, fn func(key string, value []byte) bool) error {
	opts := badger.DefaultIteratorOptions
	opts.Reverse = reverse
	opts.PrefetchValues = false // values can be megabytes and fn may stop at the first
	if !reverse {
		opts.Prefix = []byte(prefix)
	}
	it := t.txn.NewIterator(opts)
	defer it.Close()
	n := 0
	for it.Seek([]byte(seek)); it.Valid(); it.Next() {
		if n++; n%checkEvery == 1 {
			if err := t.ctx.Err(); err != nil {
				return err
			}
		}
		item := it.Item()
		key := string(item.Key())
		if !strings.HasPrefix(key, prefix) {
			if reverse && key > prefix {
				continue // the bound itself: the next prefix's first key
			}
			break
		}
		value, err := item.ValueCopy(nil)
		if err != nil {
			return translate(err)
		}
		if !fn(key, value) {
			return nil
		}
	}
	return t.ctx.Err()
}

// successor returns the least string above every string with the prefix; open
// is true when there is none.
func successor(prefix string) (next string, open bool) {
	b := []byte(prefix)
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] < 0xff {
			b[i]++
			return string(b[:i+1]), false
		}
	}
	return "", true
}
