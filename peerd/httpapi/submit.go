package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"burrow/api"
	"burrow/internal/httpserve"
)

const (
	maxBody = 8 << 20 // bytes of a submission
	maxWait = 10 * time.Minute
)

// submit takes POST /v1/jobs: a JSON spec, or the bare source with the spec in
// the query. It answers 201, or with ?wait= 200 (ended) or 202 (not yet).
func (s *server) submit(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	wait, err := waitParam(q)
	if err != nil {
		httpserve.WriteError(w, r, err)
		return
	}
	spec, err := readSpec(w, r, q)
	if err != nil {
		httpserve.WriteError(w, r, err)
		return
	}
	if wait > 0 {
		release, err := s.stream()
		if err != nil {
			httpserve.WriteError(w, r, err)
			return
		}
		defer release()
	}
	job, created, err := s.Queue.Enqueue(r.Context(), spec, r.Header.Get("Idempotency-Key"))
	if err != nil {
		httpserve.WriteError(w, r, err)
		return
	}
	w.Header().Set("Location", "/v1/jobs/"+job.ID)
	if wait > 0 {
		s.answerWhenDone(w, r, job.ID, wait)
		return
	}
	code := http.StatusCreated
	if !created {
		code = http.StatusOK
	}
	httpserve.WriteJSON(w, code, s.explain(r.Context(), job))
}

func (s *server) answerWhenDone(w http.ResponseWriter, r *http.Request, id string, wait time.Duration) {
	ctx, cancel := context.WithTimeout(r.Context(), wait)
	defer cancel()
	job, err := s.Queue.Wait(ctx, id)
	if err == nil {
		ctx := context.WithoutCancel(r.Context())
		err = s.addOutput(ctx, &job)
	}
	if err != nil {
		httpserve.WriteError(w, r, err)
		return
	}
	code := http.StatusOK
	if !job.State.Final() {
		code = http.StatusAccepted
	}
	httpserve.WriteJSON(w, code, s.explain(r.Context(), job))
}

// waitParam takes ?wait= out of q.
func waitParam(q url.Values) (time.Duration, error) {
	text := q.Get("wait")
	q.Del("wait")
	if text == "" {
		return 0, nil
	}
	d, err := api.ParseDuration(text)
	if err != nil {
		return 0, api.Invalid("wait", "%v", err)
	}
	if d.Std() > maxWait {
		return 0, api.Invalid("wait", "is over %s; ask again with GET /v1/jobs/{id} for longer jobs", maxWait)
	}
	return d.Std(), nil
}

// readSpec reads the spec by the body's media type. What curl sends with
// --data-binary and no header of its own counts as source.
func readSpec(w http.ResponseWriter, r *http.Request, q url.Values) (api.JobSpec, error) {
	var spec api.JobSpec
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil && r.Header.Get("Content-Type") != "" {
		return spec, fmt.Errorf("Content-Type %.60q cannot be read; send text/x-python or application/json: %w", r.Header.Get("Content-Type"), api.ErrUnsupportedMedia)
	}
	switch media {
	case "application/json":
		for name := range q {
			return spec, api.Invalid(name, "is no query parameter of a JSON submission; put it into the body (only wait goes into the query)")
		}
		err := httpserve.Decode(w, r, maxBody, &spec)
		return spec, err
	case "", "text/x-python", "text/plain", "application/x-python", "application/x-www-form-urlencoded", "application/octet-stream":
	default:
		return spec, fmt.Errorf("Content-Type %.60q; send text/x-python with the source or application/json with a spec: %w", media, api.ErrUnsupportedMedia)
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return spec, fmt.Errorf("body: over %d bytes: %w", maxBody, api.ErrTooLarge)
		}
		return spec, api.Invalid("body", "ended early")
	}
	if looksLikeSpec(body) {
		return spec, fmt.Errorf("the body is a JSON spec; send it with -H 'Content-Type: application/json': %w", api.ErrUnsupportedMedia)
	}
	spec.Source = string(body)
	return spec, specFromQuery(&spec, q)
}

// looksLikeSpec notices a JSON spec that was sent as source: as a Python dict
// display it would run, do nothing and succeed.
func looksLikeSpec(body []byte) bool {
	if !bytes.HasPrefix(bytes.TrimSpace(body), []byte("{")) {
		return false
	}
	var fields map[string]json.RawMessage
	return json.Unmarshal(body, &fields) == nil && fields["source"] != nil
}

// specFromQuery fills the spec from query parameters; arg, env and label may
// be repeated (env=NAME=value).
func specFromQuery(spec *api.JobSpec, q url.Values) error {
	for name, values := range q {
		if len(values) > 1 && name != "arg" && name != "env" && name != "label" {
			return api.Invalid(name, "is given %d times", len(values))
		}
		if err := setParam(spec, name, values); err != nil {
			return err
		}
	}
	return nil
}

func setParam(spec *api.JobSpec, name string, values []string) (err error) {
	v := values[0]
	switch name {
	case "name":
		spec.Name = v
	case "runtime":
		spec.Runtime = api.Runtime(v)
	case "stdin":
		spec.Stdin = v
	case "arg":
		spec.Args = values
	case "env":
		spec.Env, err = pairs(name, values)
	case "label":
		spec.Labels, err = pairs(name, values)
	case "wall":
		spec.Limits.Wall, err = api.ParseDuration(v)
	case "cpu":
		spec.Limits.CPU, err = api.ParseDuration(v)
	case "memory":
		spec.Limits.Memory, err = api.ParseSize(v)
	case "output":
		spec.Limits.Output, err = api.ParseSize(v)
	case "disk":
		spec.Limits.Disk, err = api.ParseSize(v)
	case "processes":
		spec.Limits.Processes, err = positive(v)
	case "retries":
		var n int
		n, err = strconv.Atoi(v)
		spec.Retries = &n
	default:
		return api.Invalid(name, "is no query parameter; there are wait, name, runtime, arg, env, label, stdin, wall, cpu, memory, output, disk, processes, retries")
	}
	var field *api.FieldError
	if err != nil && !errors.As(err, &field) {
		return api.Invalid(name, "%s", strings.TrimPrefix(err.Error(), "strconv.Atoi: "))
	}
	return err
}

func positive(v string) (int, error) {
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%q is not a whole number above 0", v)
	}
	return n, nil
}

func pairs(name string, values []string) (map[string]string, error) {
	m := make(map[string]string, len(values))
	for _, v := range values {
		k, val, ok := strings.Cut(v, "=")
		if !ok {
			return nil, api.Invalid(name, "%q has no =; write NAME=value", v)
		}
		m[k] = val
	}
	return m, nil
}
