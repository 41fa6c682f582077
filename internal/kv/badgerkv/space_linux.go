package badgerkv

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// reserve is how much of the disk must stay free, in bytes: both memory
// tables, their flush to level 0 and a large value.
const reserve = 64 << 20

// checkSpace costs one statfs, about a microsecond.
func (db *DB) checkSpace() error {
	if db.dir == "" {
		return nil
	}
	var st unix.Statfs_t
	if err := unix.Statfs(db.dir, &st); err != nil {
		return fmt.Errorf("read free space of %s: %w", db.dir, err)
	}
	if free := st.Bavail * uint64(st.Bsize); free < reserve {
		return fmt.Errorf("%s has %d MiB left, at least %d are needed; free some: %w", db.dir, free>>20, reserve>>20, ErrNoSpace)
	}
	return nil
}
