// Package api holds the words that every part of Burrow shares: jobs, their
// limits and outcomes, peers, accounts, statistics and errors. It imports only
// the standard library, so that anything may import it.
//
// For jobs start at [JobSpec] (what a user asks for) and [Job] (what became of
// it); for the HTTP error contract at [Problem]; for sizes and durations as
// people write them at [Size] and [Duration].
package api
