package api

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
)

// ProblemType is the media type of every error answer (RFC 9457).
const ProblemType = "application/problem+json"

// maxProblem bounds what is read of a foreign problem body, in bytes.
const maxProblem = 64 << 10

// Problem is the body of every HTTP error (RFC 9457). Code is stable and meant
// for programs; Detail is meant for people and may change.
type Problem struct {
	Type      string `json:"type"` // always "about:blank": the code says it all
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Code      string `json:"code"`
	Detail    string `json:"detail,omitempty"`
	Field     string `json:"field,omitempty"` // the wrong field, for code "invalid"
	RequestID string `json:"request_id,omitempty"`
}

// codes is the one table between sentinel, stable code and HTTP status. The
// first match wins in both directions.
func codes() []codeRow {
	return []codeRow{
		{ErrInvalid, "invalid", http.StatusBadRequest},
		{ErrUnauthorized, "unauthorized", http.StatusUnauthorized},
		{ErrForbidden, "forbidden", http.StatusForbidden},
		{ErrNotFound, "not_found", http.StatusNotFound},
		{ErrMethod, "method_not_allowed", http.StatusMethodNotAllowed},
		{ErrLeaseLost, "lease_lost", http.StatusConflict},
		{ErrConflict, "conflict", http.StatusConflict},
		{ErrTooLarge, "too_large", http.StatusRequestEntityTooLarge},
		{ErrUnsupportedMedia, "unsupported_media_type", http.StatusUnsupportedMediaType},
		{ErrMisdirected, "misdirected", http.StatusMisdirectedRequest},
		{ErrRateLimited, "rate_limited", http.StatusTooManyRequests},
		{ErrQueueFull, "queue_full", http.StatusTooManyRequests},
		{ErrExecutorLost, "executor_lost", http.StatusServiceUnavailable},
		{ErrUnavailable, "unavailable", http.StatusServiceUnavailable},
	}
}

type codeRow struct {
	err    error
	code   string
	status int
}

// NewProblem maps err to its problem body. An error that is none of the
// sentinels becomes code "internal" without its text: internals stay inside.
func NewProblem(err error) Problem {
	p := Problem{Type: "about:blank", Status: http.StatusInternalServerError, Code: "internal", Detail: "internal error; the daemon's log has the request id"}
	for _, row := range codes() {
		if errors.Is(err, row.err) {
			p.Status, p.Code, p.Detail = row.status, row.code, err.Error()
			break
		}
	}
	if field, ok := errors.AsType[*FieldError](err); ok {
		p.Field, p.Detail = field.Field, err.Error()
	}
	p.Title = http.StatusText(p.Status)
	return p
}

// Err returns the error that the problem stands for: a sentinel wrapped with
// the detail, or a [FieldError] where a field is named.
func (p Problem) Err() error {
	if p.Code == "invalid" && p.Field != "" {
		return &FieldError{Field: p.Field, Detail: trimField(p.Detail, p.Field)}
	}
	for _, row := range codes() {
		if row.code == p.Code {
			return &remoteError{detail: p.Detail, kind: row.err}
		}
	}
	detail := p.Detail
	if detail == "" {
		detail = p.Title
	}
	return &remoteError{detail: detail}
}

func trimField(detail, field string) string {
	if prefix := field + ": "; len(detail) > len(prefix) && detail[:len(prefix)] == prefix {
		return detail[len(prefix):]
	}
	return detail
}

// remoteError keeps the far side's words and still matches its sentinel.
type remoteError struct {
	detail string
	kind   error
}

func (e *remoteError) Error() string {
	if e.detail == "" && e.kind != nil {
		return e.kind.Error()
	}
	return e.detail
}

func (e *remoteError) Unwrap() error { return e.kind }

// ReadProblem reads the error out of a failed response whose body is r. A body
// that is no problem (a proxy's page) yields an error with the status alone.
// At most 64 KiB are read.
func ReadProblem(status int, r io.Reader) error {
	var p Problem
	body, err := io.ReadAll(io.LimitReader(r, maxProblem))
	if err != nil || json.Unmarshal(body, &p) != nil || p.Code == "" {
		return &remoteError{detail: "unexpected answer: " + http.StatusText(status)}
	}
	return p.Err()
}
