package kvtest

import (
	"fmt"
	"testing"

	"burrow/internal/kv"
)

// Bench measures a [kv.Store]: a read, a page of 100 and a conditional write.
func Bench(b *testing.B, open func(testing.TB) kv.Store) {
	s := open(b)
	b.Cleanup(func() { _ = s.Close() })
	for i := range 100 {
		Put(b, s, fmt.Sprintf("p/%03d", i), "a value of a usual length, some tens of bytes")
	}
	b.Run("get", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.Get(b.Context(), "p/050"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("list 100", func(b *testing.B) {
		for b.Loop() {
			if list, err := s.List(b.Context(), "p/", "", 0); err != nil || len(list) != 100 {
				b.Fatal(len(list), err)
			}
		}
	})
	b.Run("conditional txn", func(b *testing.B) {
		rev := Put(b, s, "n", "0")
		for b.Loop() {
			var err error
			if rev, err = s.Txn(b.Context(), []kv.Cond{{Key: "n", Rev: rev}}, []kv.Op{{Key: "n", Value: []byte("1")}}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
