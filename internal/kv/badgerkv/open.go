package badgerkv

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/rs/zerolog"
)

// Sizes that keep an idle daemon small. Blocks are neither compressed nor
// cached: tables are memory-mapped, so the kernel's page cache does it and
// gives it back under pressure.
const (
	memTable  = 16 << 20 // bytes of one memory table; two at most
	valueLog  = 64 << 20 // bytes of one value log file; twice that as a sparse file
	largeFrom = 4 << 10  // bytes from which a value lies in the value log: job output stays out of compactions, which hold whole tables in memory
)

const (
	gcEvery = 10 * time.Minute
	gcRatio = 0.5 // share of a value log file that must be garbage
)

// Open opens the database in dir, which is created with mode 0700, and locks
// it for this process. What was committed before a crash is there. log gets
// Badger's warnings and errors.
func Open(dir string, log zerolog.Logger) (*DB, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create data folder: %w; choose another with --data", err)
	}
	if err := checkWritable(dir); err != nil {
		return nil, fmt.Errorf("data folder %s is not writable: %w; choose another with --data", dir, err)
	}
	return open(dir, tune(badger.DefaultOptions(dir)).WithSyncWrites(true).
		WithValueThreshold(largeFrom).WithValueLogFileSize(valueLog), log)
}

// OpenMemory opens an empty database that lives in memory, for tests. Values
// are bounded to 1 MiB there; on disk they may have 64 MiB.
func OpenMemory() (*DB, error) {
	return open("", tune(badger.DefaultOptions("")).WithInMemory(true), zerolog.Nop())
}

func open(dir string, opts badger.Options, log zerolog.Logger) (*DB, error) {
	b, err := badger.Open(opts.WithLogger(logger{log}))
	if err != nil {
		// Badger keeps only the text of the causes.
		if strings.Contains(err.Error(), "Another process is using") {
			return nil, fmt.Errorf("data folder %s is in use by another process; stop it or choose another with --data", dir)
		}
		return nil, fmt.Errorf("open store in %s: %w", dir, err)
	}
	ctx, stop := context.WithCancel(context.Background())
	db := &DB{badger: b, dir: dir, log: log, stop: stop}
	if dir != "" {
		db.gc.Go(func() { db.collect(ctx) })
	}
	return db, nil
}

func tune(o badger.Options) badger.Options {
	return o.WithMemTableSize(memTable).WithNumMemtables(2).
		WithNumLevelZeroTables(2).WithNumLevelZeroTablesStall(6).WithNumCompactors(2).
		WithCompression(options.None).WithBlockCacheSize(0).
		WithNumGoroutines(2).WithMetricsEnabled(false)
}

// collect gives the space of deleted large values back until ctx ends.
func (db *DB) collect(ctx context.Context) {
	ticker := time.NewTicker(gcEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		// One call rewrites one file; an error says that there is nothing to gain.
		for ctx.Err() == nil && db.badger.RunValueLogGC(gcRatio) == nil {
			db.log.Debug().Msg("value log file collected")
		}
	}
}

// checkWritable finds a read-only folder before Badger does, whose errors
// speak of its pid file.
func checkWritable(dir string) error {
	f, err := os.CreateTemp(dir, ".writable-*")
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Remove(f.Name())
}

// logger passes on what an operator must know. Badger's information is about
// tables and levels, and it has no way to ask for a level: it is dropped.
type logger struct{ log zerolog.Logger }

func (l logger) Errorf(f string, a ...any)   { l.log.Error().Msg(line(f, a)) }
func (l logger) Warningf(f string, a ...any) { l.log.Warn().Msg(line(f, a)) }
func (l logger) Infof(string, ...any)        {}
func (l logger) Debugf(string, ...any)       {}

func line(f string, a []any) string { return "badger: " + strings.TrimSpace(fmt.Sprintf(f, a...)) }
