package api

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Size is a number of bytes. In JSON and text it is read as people write it
// ("512MiB", "1.5GB", "4096") and written with the largest exact binary unit.
type Size int64

// Binary units.
const (
	KiB Size = 1 << 10
	MiB Size = 1 << 20
	GiB Size = 1 << 30
)

type unit struct {
	name  string
	bytes float64
}

// sizeUnits is ordered so that a suffix match finds "MiB" before "B".
func sizeUnits() []unit {
	return []unit{
		{"kib", 1 << 10},
		{"mib", 1 << 20},
		{"gib", 1 << 30},
		{"tib", 1 << 40},
		{"kb", 1e3},
		{"mb", 1e6},
		{"gb", 1e9},
		{"tb", 1e12},
		{"k", 1 << 10},
		{"m", 1 << 20},
		{"g", 1 << 30},
		{"t", 1 << 40},
		{"b", 1},
	}
}

// ParseSize reads a size such as "512MiB", "1.5 GB", "64k" or "4096" (bytes).
// Negative sizes, and those over 8 EiB, are errors.
func ParseSize(s string) (Size, error) {
	text, factor := strings.ToLower(strings.TrimSpace(s)), 1.0
	for _, u := range sizeUnits() {
		if rest, ok := strings.CutSuffix(text, u.name); ok {
			text, factor = strings.TrimSpace(rest), u.bytes
			break
		}
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && factor == 1 {
		if n < 0 {
			return 0, fmt.Errorf("%q is negative", s)
		}
		return Size(n), nil
	}
	f, err := strconv.ParseFloat(text, 64)
	switch {
	case err != nil || math.IsNaN(f) || strings.ContainsAny(text, "xpin"):
		return 0, fmt.Errorf("%q is not a size; write it like 512MiB", s)
	case f < 0:
		return 0, fmt.Errorf("%q is negative", s)
	case f*factor >= math.MaxInt64:
		return 0, fmt.Errorf("%q is too large", s)
	}
	return Size(f * factor), nil
}

func (s Size) String() string {
	for _, u := range []struct {
		n    Size
		name string
	}{{1 << 40, "TiB"}, {GiB, "GiB"}, {MiB, "MiB"}, {KiB, "KiB"}} {
		if s >= u.n && s%u.n == 0 {
			return fmt.Sprintf("%d%s", s/u.n, u.name)
		}
	}
	return fmt.Sprintf("%dB", int64(s))
}

// MarshalText implements encoding.TextMarshaler.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalJSON accepts a string such as "64MiB" or a whole number of bytes.
func (s *Size) UnmarshalJSON(data []byte) error {
	text, err := scalar(data)
	if err != nil {
		return fmt.Errorf("want a size like \"512MiB\" or a number of bytes: %w", err)
	}
	v, err := ParseSize(text)
	if err != nil {
		return err
	}
	*s = v
	return nil
}

// Duration is a time span. In JSON and text it is read as people write it
// ("90s", "2m", "1.5"), a bare number meaning seconds.
type Duration time.Duration

// ParseDuration reads "90s", "1m30s" or "1.5" (seconds). Negative durations
// are errors.
func ParseDuration(s string) (Duration, error) {
	text := strings.TrimSpace(s)
	if f, err := strconv.ParseFloat(text, 64); err == nil && !math.IsNaN(f) && !strings.ContainsAny(text, "xXpPiI") {
		if math.Abs(f) > math.MaxInt64/1e9 {
			return 0, fmt.Errorf("%q is too long", s)
		}
		text = strconv.FormatInt(int64(f*1e9), 10) + "ns"
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%q is not a duration; write it like 90s", s)
	}
	if d < 0 {
		return 0, fmt.Errorf("%q is negative", s)
	}
	return Duration(d), nil
}

func (d Duration) String() string { return time.Duration(d).String() }

// Std returns d as the standard library's type.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalJSON accepts a string such as "90s" or a number of seconds.
func (d *Duration) UnmarshalJSON(data []byte) error {
	text, err := scalar(data)
	if err != nil {
		return fmt.Errorf("want a duration like \"90s\" or a number of seconds: %w", err)
	}
	v, err := ParseDuration(text)
	if err != nil {
		return err
	}
	*d = v
	return nil
}

// scalar returns the text of a JSON string or number.
func scalar(data []byte) (string, error) {
	if len(data) > 0 && data[0] == '"' {
		var s string
		err := json.Unmarshal(data, &s)
		return s, err
	}
	var n json.Number
	if err := json.Unmarshal(data, &n); err != nil || string(data) == "null" {
		return "", fmt.Errorf("got %.40s", data)
	}
	return n.String(), nil
}

// Limits bound one attempt of a job. Zero means the default of
// [DefaultLimits]; each has a floor and a ceiling, see [Limits.Validate]. Which
// of them an executor enforces is in its description: under gpython a program
// can neither write files nor start processes.
type Limits struct {
	Wall      Duration `json:"wall,omitzero"`      // time from start to end; state timed_out
	CPU       Duration `json:"cpu,omitzero"`       // user + system time of the whole process tree; timed_out
	Memory    Size     `json:"memory,omitzero"`    // resident memory of the process tree; killed
	Output    Size     `json:"output,omitzero"`    // stdout and stderr together; killed
	Disk      Size     `json:"disk,omitzero"`      // files that the job writes; killed
	Processes int      `json:"processes,omitzero"` // processes and threads at once
}

// DefaultLimits are the limits of a job that asks for none.
func DefaultLimits() Limits {
	return Limits{
		Wall: Duration(60 * time.Second), CPU: Duration(60 * time.Second),
		Memory: 256 * MiB, Output: MiB, Disk: 64 * MiB, Processes: 32,
	}
}

// WithDefaults returns l with every zero field set from [DefaultLimits]. A
// wall limit given alone also raises the CPU limit to it: who asks for an hour
// does not expect to be stopped after a minute.
func (l Limits) WithDefaults() Limits {
	d := DefaultLimits()
	if l.CPU == 0 {
		l.CPU = max(d.CPU, l.Wall)
	}
	if l.Wall == 0 {
		l.Wall = d.Wall
	}
	if l.Memory == 0 {
		l.Memory = d.Memory
	}
	if l.Output == 0 {
		l.Output = d.Output
	}
	if l.Disk == 0 {
		l.Disk = d.Disk
	}
	if l.Processes == 0 {
		l.Processes = d.Processes
	}
	return l
}

// Validate reports the first limit that is out of its range as a
// [FieldError]. Zero fields pass: they mean the default.
func (l Limits) Validate() error {
	const day = Duration(24 * time.Hour)
	for _, c := range []struct {
		field     string
		v, lo, hi int64
		text      string
	}{
		{"limits.wall", int64(l.Wall), int64(time.Millisecond), int64(day), "1ms to 24h"},
		{"limits.cpu", int64(l.CPU), int64(time.Millisecond), int64(day), "1ms to 24h"},
		{"limits.memory", int64(l.Memory), int64(16 * MiB), int64(1024 * GiB), "16MiB to 1TiB"},
		{"limits.output", int64(l.Output), 1, int64(64 * MiB), "1B to 64MiB"},
		{"limits.disk", int64(l.Disk), 1, int64(64 * GiB), "1B to 64GiB"},
		{"limits.processes", int64(l.Processes), 1, 4096, "1 to 4096"},
	} {
		if c.v != 0 && (c.v < c.lo || c.v > c.hi) {
			return Invalid(c.field, "out of range; accepted is %s", c.text)
		}
	}
	return nil
}
