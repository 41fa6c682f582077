// Package httpserve is the HTTP edge that all daemons share: [Wrap] puts the
// guards around a router, [Decode] reads a request strictly, [WriteJSON] and
// [WriteError] answer, and [Serve] runs the server until its context ends.
// It is the one place where an error becomes a status (RFC 9457 problem).
package httpserve
