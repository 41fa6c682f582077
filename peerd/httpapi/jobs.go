package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/mux"

	"burrow/api"
	"burrow/internal/httpserve"
	"burrow/peerd/queue"
)

const (
	defaultPage = 100
	maxPage     = 1000
)

// explain adds why a waiting job waits.
func (s *server) explain(ctx context.Context, job api.Job) api.Job {
	if job.State != api.StateQueued {
		return job
	}
	st := s.Status(ctx)
	switch ahead, ok := s.Queue.Ahead(job.ID); {
	case st.Executor != "ready":
		job.Reason = "the executor is not ready: " + st.Executor
	case ok && ahead > 0:
		job.Reason = fmt.Sprintf("%d jobs are ahead of it, %d of %d slots are busy", ahead, st.Peer.Running, st.Peer.Slots)
	default:
		job.Reason = fmt.Sprintf("next in line, %d of %d slots are busy", st.Peer.Running, st.Peer.Slots)
	}
	return job
}

// errEnough ends the reading of output that an answer does not carry.
var errEnough = errors.New("enough output")

// addOutput puts what the job printed into its answer, up to a bound.
func (s *server) addOutput(ctx context.Context, job *api.Job) error {
	var stdout, stderr []byte
	_, err := s.Queue.Follow(ctx, job.ID, false, func(_ int64, c *queue.Chunk) error {
		if c == nil {
			stdout, stderr = nil, nil
			return nil
		}
		data := c.Data[:min(len(c.Data), api.MaxInlineOutput-len(stdout)-len(stderr))]
		if c.Stream == api.Stderr {
			stderr = append(stderr, data...)
		} else {
			stdout = append(stdout, data...)
		}
		if len(data) < len(c.Data) {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		job.OutputTruncated, err = true, nil
	}
	job.Stdout, job.Stderr = strings.ToValidUTF8(string(stdout), "\ufffd"), strings.ToValidUTF8(string(stderr), "\ufffd")
	return err
}

func (s *server) getJob(w http.ResponseWriter, r *http.Request) {
	id := mux.Vars(r)["id"]
	q := r.URL.Query()
	wait, err := waitParam(q)
	if err == nil {
		err = noMore(q)
	}
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
		s.answerWhenDone(w, r, id, wait)
		return
	}
	job, err := s.Queue.Get(r.Context(), id)
	if err == nil {
		var spec api.JobSpec
		spec, err = s.Queue.Spec(r.Context(), id)
		job.Spec = &spec
	}
	if err == nil {
		err = s.addOutput(r.Context(), &job)
	}
	if err != nil {
		httpserve.WriteError(w, r, err)
		return
	}
	httpserve.WriteJSON(w, http.StatusOK, s.explain(r.Context(), job))
}

func (s *server) listJobs(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	state, cursor := api.JobState(q.Get("state")), q.Get("cursor")
	limit, err := limitParam(q)
	if err == nil && state != "" && !slices.Contains(api.JobStates(), state) {
		err = api.Invalid("state", "%.40q is none; there are %v", state, api.JobStates())
	}
	q.Del("state")
	q.Del("cursor")
	if err == nil {
		err = noMore(q)
	}
	var jobs []api.Job
	var next string
	if err == nil {
		jobs, next, err = s.Queue.List(r.Context(), state, cursor, limit)
	}
	if err != nil {
		httpserve.WriteError(w, r, err)
		return
	}
	if jobs == nil {
		jobs = []api.Job{}
	}
	httpserve.WriteJSON(w, http.StatusOK, api.JobPage{Jobs: jobs, Next: next})
}

// limitParam takes ?limit= out of q.
func limitParam(q url.Values) (int, error) {
	text := q.Get("limit")
	q.Del("limit")
	if text == "" {
		return defaultPage, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxPage {
		return 0, api.Invalid("limit", "%.40q is not a number from 1 to %d", text, maxPage)
	}
	return n, nil
}

func (s *server) cancel(w http.ResponseWriter, r *http.Request) {
	job, err := s.Queue.Cancel(r.Context(), mux.Vars(r)["id"])
	if err != nil {
		httpserve.WriteError(w, r, err)
		return
	}
	httpserve.WriteJSON(w, http.StatusOK, job)
}

// output sends what a job printed: raw bytes, or with Accept:
// application/x-ndjson a line of JSON for each piece (api.OutputFrame).
func (s *server) output(w http.ResponseWriter, r *http.Request) {
	o, err := outputParams(r)
	if err == nil {
		_, err = s.Queue.Get(r.Context(), o.id)
	}
	if err != nil {
		httpserve.WriteError(w, r, err)
		return
	}
	release, err := s.stream()
	if err != nil {
		httpserve.WriteError(w, r, err)
		return
	}
	defer release()
	o.w, o.ctl = w, http.NewResponseController(w)
	defer o.ctl.SetWriteDeadline(time.Time{}) //nolint:errcheck // a dead connection has no next request
	o.begin()
	state, err := s.Queue.Follow(r.Context(), o.id, o.follow, o.chunk)
	if err == nil {
		err = o.end(state)
	}
	if err != nil {
		// The answer has begun: only a broken connection says that it is not whole.
		panic(http.ErrAbortHandler)
	}
}

// outputWriter sends one job's output to one client.
type outputWriter struct {
	id     string
	stream api.Stream // "" for both
	follow bool
	frames bool
	token  int64 // of the attempt that is sent now
	w      http.ResponseWriter
	ctl    *http.ResponseController
}

func outputParams(r *http.Request) (*outputWriter, error) {
	q := r.URL.Query()
	o := &outputWriter{id: mux.Vars(r)["id"], frames: strings.Contains(r.Header.Get("Accept"), "application/x-ndjson")}
	switch v := q.Get("stream"); v {
	case "", "both":
	case "stdout", "stderr":
		o.stream = api.Stream(v)
	default:
		return nil, api.Invalid("stream", "%.40q is none; there are stdout, stderr and both", v)
	}
	if v := q.Get("follow"); v != "" {
		follow, err := strconv.ParseBool(v)
		if err != nil {
			return nil, api.Invalid("follow", "%.40q is not 0 or 1", v)
		}
		o.follow = follow
	}
	q.Del("stream")
	q.Del("follow")
	return o, noMore(q)
}

func (o *outputWriter) begin() {
	media := "text/plain; charset=utf-8"
	if o.frames {
		media = "application/x-ndjson"
	}
	o.w.Header().Set("Content-Type", media)
	o.w.WriteHeader(http.StatusOK)
	_ = o.ctl.Flush() // a client that has gone is noticed at the first write
}

func (o *outputWriter) chunk(token int64, c *queue.Chunk) error {
	if o.token = token; c == nil {
		return nil
	}
	if o.stream != "" && c.Stream != o.stream {
		return nil
	}
	if o.frames {
		return o.frame(api.OutputFrame{Attempt: token, Stream: c.Stream, Data: c.Data})
	}
	return o.write(c.Data)
}

// end says in the last frame how the job ended.
func (o *outputWriter) end(state api.JobState) error {
	if !o.frames || !state.Final() {
		return nil
	}
	return o.frame(api.OutputFrame{Attempt: o.token, State: state})
}

func (o *outputWriter) frame(f api.OutputFrame) error {
	line, err := json.Marshal(f)
	if err != nil {
		return err
	}
	return o.write(append(line, '\n'))
}

func (o *outputWriter) write(p []byte) error {
	if err := o.ctl.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	if _, err := o.w.Write(p); err != nil {
		return err
	}
	if !o.follow {
		return nil
	}
	return o.ctl.Flush()
}

// noMore refuses what is left in the query.
func noMore(q url.Values) error {
	for name := range q {
		return api.Invalid(name, "is no query parameter here")
	}
	return nil
}
