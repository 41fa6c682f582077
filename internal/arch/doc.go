// Package arch holds the tests of the layout itself: who may import whom, which
// package holds which third-party module, that every package says what it is
// for, and that files stay short. It has no code to import.
package arch
