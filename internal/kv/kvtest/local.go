package kvtest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"burrow/internal/kv"
)

// RunLocal checks a [kv.Local]. open returns a new, empty store; RunLocal
// closes it.
func RunLocal(t *testing.T, open func(testing.TB) kv.Local) {
	for _, c := range []struct {
		name string
		test func(*testing.T, kv.Local)
	}{
		{"an update is all or nothing", testAtomic},
		{"a transaction reads its own writes", testOwnWrites},
		{"scans in both directions", testScan},
		{"a view does not see later updates", testSnapshot},
		{"an ended context stops a scan", testScanContext},
		{"concurrent updates are all counted", testLocalConcurrent},
		{"calls after close fail", testLocalClosed},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			db := open(t)
			t.Cleanup(func() { _ = db.Close() })
			c.test(t, db)
		})
	}
}

// Set writes keys, each with itself as the value.
func Set(tb testing.TB, db kv.Local, keys ...string) {
	tb.Helper()
	err := db.Update(tb.Context(), func(tx kv.Tx) error {
		for _, k := range keys {
			if err := tx.Set(k, []byte(k)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		tb.Fatalf("set %q: %v", keys, err)
	}
}

func lookup(tb testing.TB, db kv.Local, key string) (value string, err error) {
	tb.Helper()
	err = db.View(tb.Context(), func(tx kv.Tx) error {
		v, err := tx.Get(key)
		value = string(v)
		return err
	})
	return value, err
}

func testAtomic(t *testing.T, db kv.Local) {
	Set(t, db, "kept")
	boom := errors.New("boom")
	err := db.Update(t.Context(), func(tx kv.Tx) error {
		if err := errors.Join(tx.Set("new", []byte("1")), tx.Delete("kept")); err != nil {
			return err
		}
		return boom
	})
	if !errors.Is(err, boom) {
		t.Errorf("Update: got %v, want the function's error", err)
	}
	if _, err := lookup(t, db, "new"); !errors.Is(err, kv.ErrNotFound) {
		t.Errorf("Get(new): got %v, want ErrNotFound", err)
	}
	if v, err := lookup(t, db, "kept"); v != "kept" || err != nil {
		t.Errorf("Get(kept): got %q, %v", v, err)
	}
}

func testOwnWrites(t *testing.T, db kv.Local) {
	Set(t, db, "a", "b")
	value := []byte("first")
	err := db.Update(t.Context(), func(tx kv.Tx) error {
		if err := errors.Join(tx.Set("c", value), tx.Delete("a")); err != nil {
			return err
		}
		copy(value, "XXXXX") // the caller may reuse its slice
		var keys []string
		err := tx.Scan("", "", func(k string, v []byte) bool { keys = append(keys, k+"="+string(v)); return true })
		if want := []string{"b=b", "c=first"}; !cmp.Equal(keys, want) {
			t.Errorf("scan of own writes: got %v, want %v", keys, want)
		}
		if _, gone := tx.Get("a"); !errors.Is(gone, kv.ErrNotFound) {
			t.Errorf("Get of own delete: got %v, want ErrNotFound", gone)
		}
		return err
	})
	if err != nil {
		t.Fatalf("Update: %v", err)
	}
	if v, err := lookup(t, db, "c"); v != "first" || err != nil {
		t.Errorf("Get(c): got %q, %v", v, err)
	}
	if err := db.View(t.Context(), func(tx kv.Tx) error { return tx.Set("x", nil) }); err == nil {
		t.Error("Set in a view: got nil, want an error")
	}
}

func testScan(t *testing.T, db kv.Local) {
	Set(t, db, "o", "p/1", "p/2", "p/3", "p0", "\xff", "\xff\xff", "\xff\xffa")
	for _, c := range []struct {
		prefix, start string
		reverse       bool
		most          int
		want          []string
	}{
		{"p/", "", false, 9, []string{"p/1", "p/2", "p/3"}},
		{"p/", "p/2", false, 9, []string{"p/2", "p/3"}},
		{"p/", "p/11", false, 1, []string{"p/2"}},
		{"p/", "a", false, 1, []string{"p/1"}},
		{"p/", "z", false, 9, nil},
		{"p/", "", true, 9, []string{"p/3", "p/2", "p/1"}},
		{"p/", "p/2", true, 9, []string{"p/2", "p/1"}},
		{"p/", "p/29", true, 1, []string{"p/2"}},
		{"p/", "z", true, 1, []string{"p/3"}},
		{"p/", "a", true, 9, nil},
		{"\xff\xff", "", true, 9, []string{"\xff\xffa", "\xff\xff"}},
		{"\xff", "", false, 9, []string{"\xff", "\xff\xff", "\xff\xffa"}},
		{"", "", true, 1, []string{"\xff\xffa"}},
		{"q", "", true, 9, nil},
	} {
		t.Run(fmt.Sprintf("prefix %q start %q reverse %t", c.prefix, c.start, c.reverse), func(t *testing.T) {
			var got []string
			err := db.View(t.Context(), func(tx kv.Tx) error {
				scan := tx.Scan
				if c.reverse {
					scan = tx.ScanReverse
				}
				return scan(c.prefix, c.start, func(k string, _ []byte) bool {
					got = append(got, k)
					return len(got) < c.most
				})
			})
			if err != nil || !cmp.Equal(got, c.want) {
				t.Errorf("got %q, %v; want %q", got, err, c.want)
			}
		})
	}
}

func testSnapshot(t *testing.T, db kv.Local) {
	Set(t, db, "a")
	err := db.View(t.Context(), func(tx kv.Tx) error {
		Set(t, db, "b")
		if _, err := tx.Get("b"); !errors.Is(err, kv.ErrNotFound) {
			t.Errorf("Get of a later write: got %v, want ErrNotFound", err)
		}
		return nil
	})
	if err != nil {
		t.Errorf("View: %v", err)
	}
}

func testScanContext(t *testing.T, db kv.Local) {
	for i := range 5 {
		keys := make([]string, 100)
		for j := range keys {
			keys[j] = fmt.Sprintf("%d/%03d", i, j)
		}
		Set(t, db, keys...)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen := 0
	err := db.View(ctx, func(tx kv.Tx) error {
		return tx.Scan("", "", func(string, []byte) bool { seen++; cancel(); return true })
	})
	if !errors.Is(err, context.Canceled) || seen >= 500 {
		t.Errorf("scan: got %v after %d keys, want context.Canceled before the end", err, seen)
	}
	if err := db.Update(ctx, func(kv.Tx) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("Update: got %v, want context.Canceled", err)
	}
}

func testLocalConcurrent(t *testing.T, db kv.Local) {
	const workers, each = 8, 25
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range each {
				if err := db.Update(t.Context(), increment); err != nil {
					t.Errorf("Update: %v", err)
				}
			}
		})
	}
	wg.Wait()
	if v, err := lookup(t, db, "n"); v != strconv.Itoa(workers*each) || err != nil {
		t.Errorf("counter: got %q, %v; want %d", v, err, workers*each)
	}
}

func increment(tx kv.Tx) error {
	v, err := tx.Get("n")
	if err != nil && !errors.Is(err, kv.ErrNotFound) {
		return err
	}
	n, _ := strconv.Atoi("0" + string(v))
	return tx.Set("n", []byte(strconv.Itoa(n+1)))
}

func testLocalClosed(t *testing.T, db kv.Local) {
	if err := errors.Join(db.Close(), db.Close()); err != nil {
		t.Fatalf("Close twice: %v", err)
	}
	if err := db.View(t.Context(), func(kv.Tx) error { return nil }); err == nil {
		t.Error("View after Close: got nil, want an error")
	}
	if err := db.Update(t.Context(), increment); err == nil {
		t.Error("Update after Close: got nil, want an error")
	}
}
