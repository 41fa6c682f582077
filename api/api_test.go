package api_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"burrow/api"
)

func TestParseSize(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]api.Size{
		"0": 0, "4096": 4096, "1B": 1, "64KiB": 64 << 10, "512MiB": 512 << 20, "1.5GiB": 3 << 29,
		"1kb": 1000, "2 MB": 2e6, "64k": 64 << 10, "3g": 3 << 30, " 7 ": 7,
	} {
		if got, err := api.ParseSize(text); err != nil || got != want {
			t.Errorf("ParseSize(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "-1", "-1MiB", "much", "1e400", "NaN", "inf", "0x10", "9999999999TiB", "1 2", "MiB"} {
		if got, err := api.ParseSize(text); err == nil {
			t.Errorf("ParseSize(%q) = %d, want an error", text, got)
		}
	}
}

func TestParseDuration(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"90s": 90 * time.Second, "1m30s": 90 * time.Second, "1.5": 1500 * time.Millisecond, "2": 2 * time.Second, "5ms": 5 * time.Millisecond,
	} {
		if got, err := api.ParseDuration(text); err != nil || got.Std() != want {
			t.Errorf("ParseDuration(%q) = %s, %v; want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "-1s", "-3", "soon", "1e99", "NaN", "Inf", "0x1p3"} {
		if got, err := api.ParseDuration(text); err == nil {
			t.Errorf("ParseDuration(%q) = %s, want an error", text, got)
		}
	}
}

// Ensure that limits are written as they are read.
func TestLimitsRoundTrip(t *testing.T) {
	t.Parallel()
	want := api.DefaultLimits()
	data, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got api.Limits
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s\n%s", data, diff)
	}
	if err := json.Unmarshal([]byte(`{"memory": 67108864, "wall": 1.5}`), &got); err != nil || got.Memory != 64*api.MiB || got.Wall.Std() != 1500*time.Millisecond {
		t.Errorf("numbers: %+v, %v", got, err)
	}
}

func TestLimitsDefaults(t *testing.T) {
	t.Parallel()
	got := api.Limits{Wall: api.Duration(time.Hour)}.WithDefaults()
	if got.CPU.Std() != time.Hour || got.Memory != 256*api.MiB {
		t.Errorf("WithDefaults = %+v", got)
	}
	if got := (api.Limits{}).WithDefaults(); got != api.DefaultLimits() {
		t.Errorf("WithDefaults = %+v", got)
	}
}

func TestSpecValidate(t *testing.T) {
	t.Parallel()
	retries := -1
	for field, spec := range map[string]api.JobSpec{
		"source":           {Source: "\t\n"},
		"args[1]":          {Source: "x", Args: []string{"a", "\x00"}},
		"stdin":            {Source: "x", Stdin: "\xff"},
		"":                 {Source: "x", Stdin: strings.Repeat("x", api.MaxStdin+1)},
		"name":             {Source: "x", Name: "a\nb"},
		"env":              {Source: "x", Env: map[string]string{"A=B": "c"}},
		"env.A":            {Source: "x", Env: map[string]string{"A": "\x00"}},
		"labels":           {Source: "x", Labels: map[string]string{"a": "\x1b[31m"}},
		"retries":          {Source: "x", Retries: &retries},
		"runtime":          {Source: "x", Runtime: "perl"},
		"limits.output":    {Source: "x", Limits: api.Limits{Output: math.MaxInt64}},
		"limits.processes": {Source: "x", Limits: api.Limits{Processes: -1}},
	} {
		err := spec.Validate()
		var fe *api.FieldError
		switch {
		case field == "" && !errors.Is(err, api.ErrTooLarge):
			t.Errorf("Validate = %v, want ErrTooLarge", err)
		case field != "" && (!errors.As(err, &fe) || fe.Field != field || !errors.Is(err, api.ErrInvalid)):
			t.Errorf("field %s: Validate = %v", field, err)
		}
	}
	if err := (api.JobSpec{Source: "print('ü')"}).WithDefaults().Validate(); err != nil {
		t.Errorf("a good spec: %v", err)
	}
}

// Ensure that an error keeps its meaning on its way through a problem body.
func TestProblemRoundTrip(t *testing.T) {
	t.Parallel()
	for _, want := range []error{
		api.ErrNotFound, api.ErrConflict, api.ErrInvalid, api.ErrUnauthorized, api.ErrForbidden, api.ErrTooLarge, api.ErrUnsupportedMedia,
		api.ErrMethod, api.ErrRateLimited, api.ErrUnavailable, api.ErrMisdirected, api.ErrLeaseLost, api.ErrQueueFull, api.ErrExecutorLost,
	} {
		p := api.NewProblem(want)
		data, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		if got := api.ReadProblem(p.Status, bytes.NewReader(data)); !errors.Is(got, want) || got.Error() != want.Error() {
			t.Errorf("%v came back as %v", want, got)
		}
	}
	got := api.NewProblem(api.Invalid("limits.wall", "is odd")).Err()
	var fe *api.FieldError
	if !errors.As(got, &fe) || fe.Field != "limits.wall" || fe.Detail != "is odd" {
		t.Errorf("field error came back as %#v", got)
	}
	if p := api.NewProblem(errors.New("secret path")); p.Status != 500 || strings.Contains(p.Detail, "secret") {
		t.Errorf("an internal error shows its text: %+v", p)
	}
}

// FuzzProblem reads foreign problem bodies: always an error, never a panic.
func FuzzProblem(f *testing.F) {
	f.Add(400, []byte(`{"code":"invalid","field":"a","detail":"a: b"}`))
	f.Add(502, []byte(`<html>`))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		err := api.ReadProblem(status, bytes.NewReader(body))
		if err == nil {
			t.Fatal("no error")
		}
		_ = err.Error()
		p := api.NewProblem(err)
		if p.Status < 400 || p.Code == "" {
			t.Fatalf("%v became %+v", err, p)
		}
	})
}

// FuzzJobSpec reads foreign specs: what validates keeps validating after a
// round trip, with the same content.
func FuzzJobSpec(f *testing.F) {
	f.Add([]byte(`{"source":"print(1)","limits":{"wall":"1m","memory":1e9},"retries":0,"labels":{"a":"b"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var spec api.JobSpec
		if json.Unmarshal(data, &spec) != nil || spec.Validate() != nil {
			return
		}
		spec = spec.WithDefaults()
		if err := spec.Validate(); err != nil {
			t.Fatalf("with defaults: %v", err)
		}
		out, err := json.Marshal(spec)
		if err != nil {
			t.Fatal(err)
		}
		var again api.JobSpec
		if err := json.Unmarshal(out, &again); err != nil {
			t.Fatal(err)
		}
		first, err := json.Marshal(again)
		if err != nil || !bytes.Equal(first, out) {
			t.Fatalf("%s became %s, %v", out, first, err)
		}
	})
}
