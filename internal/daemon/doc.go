// Package daemon holds what the four programs share at their start: flags from
// the environment ([BindEnv]), the logger ([NewLogger]), signals
// ([SignalContext]), the data folder ([DataDir], [WriteFile]), the listening
// socket ([Listen]) and the last line before the exit ([Fail]).
//
// It imports nothing of Burrow, so that no service's idea leaks into another.
package daemon
