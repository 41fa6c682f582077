package directory

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/argon2"
)

// Parameters of new hashes: OWASP's first choice for argon2id. Old hashes are
// checked with the parameters that they were made with.
const (
	hashMemory  = 19 * 1024 // KiB
	hashTime    = 2
	hashThreads = 1
	hashLen     = 32 // bytes
	saltLen     = 16 // bytes
)

// maxWaiting bounds the logins that wait for their turn to hash.
const maxWaiting = 256

// hasher makes and checks password hashes, a few at a time: each takes 19 MiB,
// and a flood of logins must not eat the machine.
type hasher struct {
	slots   chan struct{}
	waiting atomic.Int64
	// decoy is checked when the user is unknown, so that it takes as long.
	decoy string
}

func newHasher(parallel int) *hasher {
	h := &hasher{slots: make(chan struct{}, parallel)}
	h.decoy = hashPassword(rand.Text())
	return h
}

// enter waits for a slot; leave gives it back.
func (h *hasher) enter(ctx context.Context) error {
	defer h.waiting.Add(-1)
	if h.waiting.Add(1) > maxWaiting {
		return &RateLimitError{What: "logins at once", Wait: time.Second}
	}
	select {
	case h.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (h *hasher) leave() { <-h.slots }

// hashPassword returns $argon2id$v=19$m=…,t=…,p=…$salt$hash. The caller holds
// a slot.
func hashPassword(password string) string {
	salt := make([]byte, saltLen)
	_, _ = rand.Read(salt) // never fails: the runtime stops the program instead
	hash := argon2.IDKey([]byte(password), salt, hashTime, hashMemory, hashThreads, hashLen)
	enc := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, hashMemory, hashTime, hashThreads,
		enc.EncodeToString(salt), enc.EncodeToString(hash))
}

// checkPassword reports whether encoded was made from password. The caller
// holds a slot.
func checkPassword(encoded, password string) (bool, error) {
	var version int
	var memory, passes uint32
	var threads uint8
	parts := strings.Split(encoded, "$")
	if len(parts) != 6 || parts[1] != "argon2id" {
		return false, fmt.Errorf("password hash of kind %.16q", encoded)
	}
	if _, err := fmt.Sscanf(parts[2], "v=%d", &version); err != nil || version != argon2.Version {
		return false, fmt.Errorf("password hash of argon2 version %q", parts[2])
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &memory, &passes, &threads); err != nil {
		return false, fmt.Errorf("parameters %q of a password hash: %w", parts[3], err)
	}
	salt, err := base64.RawStdEncoding.DecodeString(parts[4])
	if err != nil {
		return false, fmt.Errorf("salt of a password hash: %w", err)
	}
	want, err := base64.RawStdEncoding.DecodeString(parts[5])
	if err != nil {
		return false, fmt.Errorf("password hash: %w", err)
	}
	// argon2 panics on zeros; the upper bound keeps a damaged record from taking the machine.
	if memory == 0 || memory > 1<<20 || passes == 0 || passes > 100 || threads == 0 || len(want) == 0 {
		return false, fmt.Errorf("parameters %q of a password hash are out of range", parts[3])
	}
	got := argon2.IDKey([]byte(password), salt, passes, memory, threads, uint32(len(want)))
	return subtle.ConstantTimeCompare(got, want) == 1, nil
}
