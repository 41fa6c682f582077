// Package kvtest is the conformance suite of package kv: what every
// [kv.Store] ([Run]) and every [kv.Local] ([RunLocal]) must do. A store's own
// tests only say how to open one.
package kvtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"burrow/internal/kv"
)

// Run checks a [kv.Store]. open returns a new, empty store; Run closes it.
func Run(t *testing.T, open func(testing.TB) kv.Store) {
	for _, c := range []struct {
		name string
		test func(*testing.T, kv.Store)
	}{
		{"a missing key is not found", testMissing},
		{"revisions increase over the whole store", testRevisions},
		{"conditions hold or nothing happens", testConditions},
		{"list is ordered, bounded and pages on", testList},
		{"bounds are refused", testBounds},
		{"keys and values may have any bytes", testBytes},
		{"an ended context stops every call", testContext},
		{"concurrent increments are all counted", testConcurrent},
		{"calls after close fail", testClosed},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			t.Cleanup(func() { _ = s.Close() })
			c.test(t, s)
		})
	}
}

// Put writes key without conditions and returns the revision.
func Put(tb testing.TB, s kv.Store, key, value string) int64 {
	tb.Helper()
	rev, err := s.Txn(tb.Context(), nil, []kv.Op{{Key: key, Value: []byte(value)}})
	if err != nil {
		tb.Fatalf("put %q: %v", key, err)
	}
	return rev
}

func testMissing(t *testing.T, s kv.Store) {
	if _, err := s.Get(t.Context(), "none"); !errors.Is(err, kv.ErrNotFound) {
		t.Errorf("Get of a missing key: got %v, want ErrNotFound", err)
	}
	list, err := s.List(t.Context(), "none", "", 0)
	if err != nil || len(list) != 0 {
		t.Errorf("List of nothing: got %v, %v", list, err)
	}
	if _, err := s.Txn(t.Context(), nil, []kv.Op{{Key: "none", Delete: true}}); err != nil {
		t.Errorf("Delete of a missing key: got %v, want nil", err)
	}
}

func testRevisions(t *testing.T, s kv.Store) {
	first := Put(t, s, "a", "1")
	second := Put(t, s, "b", "2")
	if first <= 0 || second <= first {
		t.Errorf("revisions: got %d then %d, want them to increase from above 0", first, second)
	}
	got, err := s.Get(t.Context(), "a")
	if want := (kv.Entry{Key: "a", Value: []byte("1"), Rev: first}); err != nil || !cmp.Equal(got, want) {
		t.Errorf("Get: %v, diff %s", err, cmp.Diff(want, got))
	}
	third, err := s.Txn(t.Context(), nil, []kv.Op{{Key: "a", Value: []byte("3")}, {Key: "c", Value: nil}, {Key: "b", Delete: true}})
	if err != nil || third <= second {
		t.Fatalf("Txn: got revision %d, %v; want above %d", third, err, second)
	}
	list, err := s.List(t.Context(), "", "", 0)
	want := []kv.Entry{{Key: "a", Value: []byte("3"), Rev: third}, {Key: "c", Value: []byte{}, Rev: third}}
	if err != nil || !cmp.Equal(list, want) {
		t.Errorf("List after Txn: %v, diff %s", err, cmp.Diff(want, list))
	}
	if rev := Put(t, s, "b", "again"); rev <= third {
		t.Errorf("revision of a key written anew: got %d, want above %d", rev, third)
	}
}

func testConditions(t *testing.T, s kv.Store) {
	rev := Put(t, s, "a", "1")
	for _, c := range []struct {
		name  string
		conds []kv.Cond
		want  error
	}{
		{"key that must be absent exists", []kv.Cond{{Key: "a"}}, kv.ErrConflict},
		{"key that must exist is absent", []kv.Cond{{Key: "x", Rev: rev}}, kv.ErrConflict},
		{"old revision", []kv.Cond{{Key: "a", Rev: rev - 1}}, kv.ErrConflict},
		{"one of two fails", []kv.Cond{{Key: "a", Rev: rev}, {Key: "a2", Rev: 7}}, kv.ErrConflict},
		{"both hold", []kv.Cond{{Key: "a", Rev: rev}, {Key: "x"}}, nil},
	} {
		got, err := s.Txn(t.Context(), c.conds, []kv.Op{{Key: "effect", Value: []byte(c.name)}})
		if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
		_, err = s.Get(t.Context(), "effect")
		if c.want != nil && (!errors.Is(err, kv.ErrNotFound) || got != 0) {
			t.Errorf("%s: a refused transaction left its mark: revision %d, Get %v", c.name, got, err)
		}
	}
	if _, err := s.Txn(t.Context(), []kv.Cond{{Key: "a", Rev: rev}}, nil); err != nil {
		t.Errorf("conditions alone: got %v, want nil", err)
	}
}

func testList(t *testing.T, s kv.Store) {
	for _, i := range []int{3, 1, 4, 0, 2} {
		Put(t, s, fmt.Sprintf("p/%d", i), "v")
	}
	Put(t, s, "o", "below")
	Put(t, s, "p0", "above")
	keys := func(prefix, after string, limit int) []string {
		list, err := s.List(t.Context(), prefix, after, limit)
		if err != nil {
			t.Fatalf("List(%q, %q, %d): %v", prefix, after, limit, err)
		}
		out := []string{}
		for _, e := range list {
			out = append(out, e.Key)
		}
		return out
	}
	for _, c := range []struct {
		prefix, after string
		limit         int
		want          []string
	}{
		{"p/", "", 0, []string{"p/0", "p/1", "p/2", "p/3", "p/4"}},
		{"p/", "", 2, []string{"p/0", "p/1"}},
		{"p/", "p/1", 2, []string{"p/2", "p/3"}},
		{"p/", "p/11", 1, []string{"p/2"}},
		{"p/", "p/4", 2, []string{}},
		{"p/", "a", 1, []string{"p/0"}},
		{"p/", "z", 1, []string{}},
		{"", "", 1, []string{"o"}},
	} {
		if got := keys(c.prefix, c.after, c.limit); !cmp.Equal(got, c.want) {
			t.Errorf("List(%q, %q, %d): got %v, want %v", c.prefix, c.after, c.limit, got, c.want)
		}
	}
}

func testBounds(t *testing.T, s kv.Store) {
	ops := make([]kv.Op, kv.MaxOps)
	for i := range ops {
		ops[i] = kv.Op{Key: fmt.Sprint(i), Value: []byte("v")}
	}
	if _, err := s.Txn(t.Context(), nil, ops); err != nil {
		t.Errorf("%d operations: %v", len(ops), err)
	}
	if _, err := s.Txn(t.Context(), []kv.Cond{{Key: "x"}}, ops); !errors.Is(err, kv.ErrTooLarge) {
		t.Errorf("one over MaxOps: got %v, want ErrTooLarge", err)
	}
	big := kv.Op{Key: "big", Value: bytes.Repeat([]byte("x"), kv.MaxBytes-100)}
	if _, err := s.Txn(t.Context(), nil, []kv.Op{big}); err != nil {
		t.Errorf("value of %d bytes: %v", len(big.Value), err)
	}
	if _, err := s.Txn(t.Context(), nil, []kv.Op{big, {Key: "b", Value: make([]byte, 100)}}); !errors.Is(err, kv.ErrTooLarge) {
		t.Errorf("over MaxBytes: got %v, want ErrTooLarge", err)
	}
	for name, ops := range map[string][]kv.Op{
		"an empty key":      {{Value: []byte("v")}},
		"a key given twice": {{Key: "k"}, {Key: "k", Delete: true}},
	} {
		if _, err := s.Txn(t.Context(), nil, ops); err == nil {
			t.Errorf("%s: got nil, want an error", name)
		}
	}
}

func testBytes(t *testing.T, s kv.Store) {
	value := "\x00\xff\n\x80"
	for _, key := range []string{"\x00", "a\x00b", "ä/ö", "\xff\xff", "a\xff"} {
		Put(t, s, key, value)
		if e, err := s.Get(t.Context(), key); err != nil || string(e.Value) != value || e.Key != key {
			t.Errorf("Get(%q): got %q, %v", key, e.Value, err)
		}
	}
	list, err := s.List(t.Context(), "\xff", "", 0)
	if err != nil || len(list) != 1 || list[0].Key != "\xff\xff" {
		t.Errorf("List(0xff): got %v, %v", list, err)
	}
	if list, err = s.List(t.Context(), "a", "a\x00b", 0); err != nil || len(list) != 1 || list[0].Key != "a\xff" {
		t.Errorf("List(a) after a NUL key: got %v, %v", list, err)
	}
}

func testContext(t *testing.T, s kv.Store) {
	Put(t, s, "a", "1")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Get(ctx, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("Get: got %v, want context.Canceled", err)
	}
	if _, err := s.List(ctx, "", "", 0); !errors.Is(err, context.Canceled) {
		t.Errorf("List: got %v, want context.Canceled", err)
	}
	if _, err := s.Txn(ctx, nil, []kv.Op{{Key: "b"}}); !errors.Is(err, context.Canceled) {
		t.Errorf("Txn: got %v, want context.Canceled", err)
	}
	if _, err := s.Get(t.Context(), "b"); !errors.Is(err, kv.ErrNotFound) {
		t.Errorf("a cancelled Txn left its mark: %v", err)
	}
}

func testConcurrent(t *testing.T, s kv.Store) {
	const workers, each = 8, 10
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for done := 0; done < each; {
				e, err := s.Get(t.Context(), "n")
				if err != nil && !errors.Is(err, kv.ErrNotFound) {
					t.Errorf("Get: %v", err)
					return
				}
				_, err = s.Txn(t.Context(), []kv.Cond{{Key: "n", Rev: e.Rev}}, []kv.Op{{Key: "n", Value: append(e.Value, '+')}})
				switch {
				case err == nil:
					done++
				case !errors.Is(err, kv.ErrConflict):
					t.Errorf("Txn: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	if e, err := s.Get(t.Context(), "n"); err != nil || len(e.Value) != workers*each {
		t.Errorf("got %d increments, %v; want %d", len(e.Value), err, workers*each)
	}
}

func testClosed(t *testing.T, s kv.Store) {
	if err := s.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	if _, err := s.Get(t.Context(), "a"); err == nil {
		t.Error("Get after Close: got nil, want an error")
	}
	if _, err := s.Txn(t.Context(), nil, []kv.Op{{Key: "a"}}); err == nil {
		t.Error("Txn after Close: got nil, want an error")
	}
}
