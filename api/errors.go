package api

import (
	"errors"
	"fmt"
)

// Sentinels that hold across the wire: the HTTP edge maps them to a problem
// code and api/client maps the code back, so errors.Is works on both sides.
var (
	ErrNotFound         = errors.New("not found")
	ErrConflict         = errors.New("conflict")
	ErrInvalid          = errors.New("invalid request")
	ErrUnauthorized     = errors.New("not logged in")
	ErrForbidden        = errors.New("not allowed")
	ErrTooLarge         = errors.New("too large")
	ErrUnsupportedMedia = errors.New("unsupported media type")
	ErrMethod           = errors.New("method not allowed")
	ErrRateLimited      = errors.New("too many requests")
	ErrUnavailable      = errors.New("not available now")
	ErrMisdirected      = errors.New("unknown host name")
	// ErrLeaseLost answers a message that carries an old fencing token: the
	// attempt no longer holds the job and its result is not recorded.
	ErrLeaseLost = errors.New("lease lost")
	// ErrQueueFull answers a submission beyond the queue's limit.
	ErrQueueFull = errors.New("queue is full")
	// ErrExecutorLost means that the executor died while it ran the job: the
	// attempt is lost, the job is not.
	ErrExecutorLost = errors.New("executor lost")
)

// FieldError names the field of a request that is wrong and the way out. It
// is an [ErrInvalid].
type FieldError struct {
	Field  string // JSON path as the user wrote it, such as "limits.memory"
	Detail string // what is wrong and what is accepted
}

// Invalid returns a [FieldError] for field.
func Invalid(field, format string, args ...any) error {
	return &FieldError{Field: field, Detail: fmt.Sprintf(format, args...)}
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Detail }

// Is reports that every FieldError is an ErrInvalid.
func (e *FieldError) Is(target error) bool { return target == ErrInvalid }
