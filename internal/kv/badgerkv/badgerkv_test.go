package badgerkv_test

import (
	"testing"

	"github.com/rs/zerolog"

	"burrow/internal/kv"
	"burrow/internal/kv/badgerkv"
	"burrow/internal/kv/kvtest"
)

func TestStore(t *testing.T) {
	t.Parallel()
	t.Run("memory", func(t *testing.T) { t.Parallel(); kvtest.Run(t, memoryStore) })
	t.Run("disk", func(t *testing.T) { t.Parallel(); kvtest.Run(t, diskStore) })
}

func TestLocal(t *testing.T) {
	t.Parallel()
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		kvtest.RunLocal(t, func(tb testing.TB) kv.Local { return memory(tb) })
	})
	t.Run("disk", func(t *testing.T) {
		t.Parallel()
		kvtest.RunLocal(t, func(tb testing.TB) kv.Local { return disk(tb, tb.TempDir()) })
	})
}

func BenchmarkMemory(b *testing.B) { kvtest.Bench(b, memoryStore) }
func BenchmarkDisk(b *testing.B)   { kvtest.Bench(b, diskStore) }

func memoryStore(tb testing.TB) kv.Store { return store(tb, memory(tb)) }
func diskStore(tb testing.TB) kv.Store   { return store(tb, disk(tb, tb.TempDir())) }

func memory(tb testing.TB) *badgerkv.DB {
	tb.Helper()
	db, err := badgerkv.OpenMemory()
	if err != nil {
		tb.Fatal(err)
	}
	return db
}

func disk(tb testing.TB, dir string) *badgerkv.DB {
	tb.Helper()
	db, err := badgerkv.Open(dir, zerolog.New(zerolog.NewTestWriter(tb)).Level(zerolog.ErrorLevel))
	if err != nil {
		tb.Fatal(err)
	}
	return db
}

func store(tb testing.TB, db *badgerkv.DB) kv.Store {
	tb.Helper()
	s, err := badgerkv.NewStore(db)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}
