package api

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Limits on what a job may bring with it. Over them the answer is a
// [FieldError].
const (
	MaxSource  = 1 << 20 // bytes of source: gpython's compiler needs a bound
	MaxStdin   = 4 << 20 // bytes of stdin
	MaxArgs    = 1000    // count of args
	MaxArgLen  = 64 << 10
	MaxEnv     = 256 // count of variables
	MaxLabels  = 32
	MaxName    = 128
	MaxRetries = 10
	// MaxInlineOutput is how much output an answer with a job carries, in bytes,
	// both streams together.
	MaxInlineOutput = 1 << 20
	// DefaultRetries is how many lost attempts a job survives when it does not say.
	DefaultRetries = 2
)

// JobState is where a job stands; docs/job-states.md has the drawing.
type JobState string

const (
	// StateQueued: on disk, waiting for a slot. Entered by submission and by a
	// lost attempt; left to running or cancelled.
	StateQueued JobState = "queued"
	// StateRunning: an attempt holds the lease. Left to every other state.
	StateRunning JobState = "running"
	// StateSucceeded: the program ended with exit code 0. Final.
	StateSucceeded JobState = "succeeded"
	// StateFailed: the program raised or ended with another exit code. Final.
	StateFailed JobState = "failed"
	// StateTimedOut: the wall or the CPU limit, named in the outcome. Final.
	StateTimedOut JobState = "timed_out"
	// StateKilled: the memory, output, disk or processes limit, or a signal. Final.
	StateKilled JobState = "killed"
	// StateCancelled: a user stopped it, waiting or running. Final.
	StateCancelled JobState = "cancelled"
	// StateLost: every attempt's executor vanished. Final.
	StateLost JobState = "lost"
	// StateUnsupported: the asked-for runtime cannot run this program. Final.
	StateUnsupported JobState = "unsupported"
)

// JobStates lists all states, in the order in which a job can meet them.
func JobStates() []JobState {
	return []JobState{StateQueued, StateRunning, StateSucceeded, StateFailed, StateTimedOut, StateKilled, StateCancelled, StateLost, StateUnsupported}
}

// Final reports whether s is an end: no further change ever comes.
func (s JobState) Final() bool { return s != StateQueued && s != StateRunning && s != "" }

// JobSpec is what a user asks for. Only Source is required.
type JobSpec struct {
	Source  string            `json:"source"`
	Name    string            `json:"name,omitempty"` // shown in lists; default "job.py"
	Args    []string          `json:"args,omitempty"` // sys.argv[1:]
	Stdin   string            `json:"stdin,omitempty"`
	Env     map[string]string `json:"env,omitempty"`
	Runtime Runtime           `json:"runtime,omitempty"` // default auto
	Limits  Limits            `json:"limits,omitzero"`
	// Retries is how many lost attempts (executor or peer died) are made good
	// before the job is lost; nil means DefaultRetries. A program that failed
	// by itself is never run again.
	Retries *int              `json:"retries,omitempty"`
	Labels  map[string]string `json:"labels,omitempty"`
}

// WithDefaults returns the spec with every optional field filled in.
func (s JobSpec) WithDefaults() JobSpec {
	if s.Name == "" {
		s.Name = "job.py"
	}
	if s.Runtime == "" {
		s.Runtime = RuntimeAuto
	}
	if s.Retries == nil {
		n := DefaultRetries
		s.Retries = &n
	}
	s.Limits = s.Limits.WithDefaults()
	return s
}

// Validate reports the first field that is wrong as a [FieldError].
func (s JobSpec) Validate() error {
	switch {
	case strings.TrimSpace(s.Source) == "":
		return Invalid("source", "is empty; put the Python program there")
	case len(s.Source) > MaxSource:
		return fmt.Errorf("source: %d bytes; at most %d are accepted: %w", len(s.Source), MaxSource, ErrTooLarge)
	case len(s.Stdin) > MaxStdin:
		return fmt.Errorf("stdin: %d bytes; at most %d are accepted: %w", len(s.Stdin), MaxStdin, ErrTooLarge)
	case len(s.Args) > MaxArgs:
		return Invalid("args", "has %d items; at most %d are accepted", len(s.Args), MaxArgs)
	case len(s.Env) > MaxEnv:
		return Invalid("env", "has %d variables; at most %d are accepted", len(s.Env), MaxEnv)
	case len(s.Labels) > MaxLabels:
		return Invalid("labels", "has %d labels; at most %d are accepted", len(s.Labels), MaxLabels)
	case s.Retries != nil && (*s.Retries < 0 || *s.Retries > MaxRetries):
		return Invalid("retries", "is %d; accepted is 0 to %d", *s.Retries, MaxRetries)
	}
	switch s.Runtime {
	case "", RuntimeAuto, RuntimeGpython, RuntimeCPython:
	default:
		return Invalid("runtime", "is %q; accepted are auto, gpython and cpython", clip(string(s.Runtime)))
	}
	if err := s.validateText(); err != nil {
		return err
	}
	return s.Limits.Validate()
}

// validateText refuses what no interpreter or terminal takes: text that is not
// UTF-8, and NUL bytes.
func (s JobSpec) validateText() error {
	if err := checkText("source", s.Source, MaxSource); err != nil {
		return err
	}
	if err := checkName("name", s.Name); err != nil {
		return err
	}
	// JSON holds text only; anything else would change on its way.
	if !utf8.ValidString(s.Stdin) {
		return Invalid("stdin", "is not UTF-8 (first bad byte at offset %d)", badByte(s.Stdin))
	}
	for i, arg := range s.Args {
		if err := checkText(fmt.Sprintf("args[%d]", i), arg, MaxArgLen); err != nil {
			return err
		}
	}
	for k, v := range s.Env {
		if k == "" || strings.ContainsAny(k, "=\x00") || !utf8.ValidString(k) || len(k) > MaxName {
			return Invalid("env", "%q is no name of a variable", clip(k))
		}
		if err := checkText("env."+k, v, MaxArgLen); err != nil {
			return err
		}
	}
	for k, v := range s.Labels {
		if k == "" {
			return Invalid("labels", "a label has an empty name")
		}
		if err := checkName("labels", k); err != nil {
			return err
		}
		if err := checkName("labels", v); err != nil {
			return err
		}
	}
	return nil
}

func checkName(field, v string) error {
	if len(v) > MaxName {
		return Invalid(field, "is longer than %d bytes", MaxName)
	}
	if strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return Invalid(field, "has control characters")
	}
	return checkText(field, v, MaxName)
}

func checkText(field, v string, most int) error {
	if len(v) > most {
		return Invalid(field, "is longer than %d bytes", most)
	}
	if i := strings.IndexByte(v, 0); i >= 0 {
		return Invalid(field, "has a NUL byte at offset %d; Python text has none", i)
	}
	if !utf8.ValidString(v) {
		return Invalid(field, "is not UTF-8 (first bad byte at offset %d); save it as UTF-8", badByte(v))
	}
	return nil
}

func badByte(v string) int {
	for i, r := range v {
		if r == utf8.RuneError {
			if _, n := utf8.DecodeRuneInString(v[i:]); n == 1 {
				return i
			}
		}
	}
	return len(v)
}

func clip(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}

// Job is a submitted job as users see it.
type Job struct {
	ID         string            `json:"id"`
	Name       string            `json:"name"`
	State      JobState          `json:"state"`
	Reason     string            `json:"reason,omitempty"`     // why it waits, while queued
	Origin     string            `json:"origin"`               // name of the peer that it was posted to
	Peer       string            `json:"peer,omitempty"`       // name of the peer that runs or ran it
	Runtime    Runtime           `json:"runtime"`              // asked for; Outcome.Runtime says which one ran
	Limits     Limits            `json:"limits"`               // with defaults filled in
	CreatedAt  time.Time         `json:"created_at"`           //
	StartedAt  time.Time         `json:"started_at,omitzero"`  // of the last attempt
	FinishedAt time.Time         `json:"finished_at,omitzero"` //
	Attempts   []Attempt         `json:"attempts,omitempty"`   // oldest first
	Outcome    *Outcome          `json:"outcome,omitempty"`    // once final
	Labels     map[string]string `json:"labels,omitempty"`
	// Spec is only in the answer to GET /v1/jobs/{id}.
	Spec *JobSpec `json:"spec,omitempty"`
	// Stdout and Stderr are only in answers that waited for the end (?wait=)
	// and to GET /v1/jobs/{id}; bytes that are not UTF-8 appear as U+FFFD. They
	// hold the first MaxInlineOutput bytes of what was printed, and
	// OutputTruncated says that there is more: the output resource has all of
	// it, exactly.
	Stdout          string `json:"stdout,omitempty"`
	Stderr          string `json:"stderr,omitempty"`
	OutputTruncated bool   `json:"output_truncated,omitempty"`
}

// Attempt is one try to run a job, under one lease.
type Attempt struct {
	Token     int64     `json:"token"` // fencing token: strictly increasing per job, from 1
	Peer      string    `json:"peer"`
	StartedAt time.Time `json:"started_at"`
	EndedAt   time.Time `json:"ended_at,omitzero"`
	// End is a final state, or "lost" with the cause in Reason, or "returned"
	// when the peer shut down and gave the job back.
	End    string `json:"end,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// JobPage is one page of GET /v1/jobs, newest first.
type JobPage struct {
	Jobs []Job  `json:"jobs"`
	Next string `json:"next,omitempty"` // cursor of the next page; empty at the end
}

// OutputFrame is one line of GET /v1/jobs/{id}/output with Accept:
// application/x-ndjson. Data is base64 in JSON: output is bytes.
type OutputFrame struct {
	Attempt int64    `json:"attempt"` // token of the attempt that wrote it
	Stream  Stream   `json:"stream,omitempty"`
	Data    []byte   `json:"data,omitempty"`
	State   JobState `json:"state,omitempty"` // set in the last frame only
}

// Stream names one of a program's two outputs.
type Stream string

const (
	Stdout Stream = "stdout"
	Stderr Stream = "stderr"
)
