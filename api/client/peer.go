package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"burrow/api"
)

// Peer talks to a peer as its user.
type Peer struct{ c *conn }

// NewPeer returns a client for the peer at address (http://host:port) with the
// token of its data folder.
func NewPeer(address, token string) (*Peer, error) {
	c, err := newConn(address, token)
	if err != nil {
		return nil, err
	}
	return &Peer{c: c}, nil
}

// Submit puts a job on the peer's disk. With a key, a repeated Submit returns
// the first job instead of another one.
func (p *Peer) Submit(ctx context.Context, spec api.JobSpec, key string) (api.Job, error) {
	return p.submit(ctx, spec, key, "/v1/jobs")
}

// Run submits and waits up to wait for the end; the job may then still be
// unfinished, which [api.JobState.Final] tells.
func (p *Peer) Run(ctx context.Context, spec api.JobSpec, key string, wait time.Duration) (api.Job, error) {
	return p.submit(ctx, spec, key, "/v1/jobs?wait="+url.QueryEscape(wait.String()))
}

func (p *Peer) submit(ctx context.Context, spec api.JobSpec, key, path string) (api.Job, error) {
	var job api.Job
	data, err := json.Marshal(spec)
	if err != nil {
		return job, fmt.Errorf("encode job: %w", err)
	}
	header := http.Header{"Content-Type": {"application/json"}}
	if key != "" {
		header.Set("Idempotency-Key", key)
	}
	resp, err := p.c.request(ctx, "POST", path, header, bytes.NewReader(data))
	if err != nil {
		return job, err
	}
	defer resp.Body.Close()
	return job, decode(resp.Body, &job)
}

// Job returns one job with its spec and output: api.ErrNotFound if there is
// none with this id.
func (p *Peer) Job(ctx context.Context, id string) (api.Job, error) {
	var job api.Job
	err := p.c.call(ctx, "GET", "/v1/jobs/"+url.PathEscape(id), nil, &job)
	return job, err
}

// JobFilter narrows [Peer.Jobs]; zero fields do not.
type JobFilter struct {
	State  api.JobState
	Cursor string // JobPage.Next of the page before
	Limit  int    // 1 to 1,000; 0 means 100
}

// Jobs lists jobs, newest first.
func (p *Peer) Jobs(ctx context.Context, f JobFilter) (api.JobPage, error) {
	q := url.Values{}
	if f.State != "" {
		q.Set("state", string(f.State))
	}
	if f.Cursor != "" {
		q.Set("cursor", f.Cursor)
	}
	if f.Limit != 0 {
		q.Set("limit", strconv.Itoa(f.Limit))
	}
	var page api.JobPage
	err := p.c.call(ctx, "GET", "/v1/jobs?"+q.Encode(), nil, &page)
	return page, err
}

// Cancel ends a waiting or running job: api.ErrConflict if it has ended.
func (p *Peer) Cancel(ctx context.Context, id string) (api.Job, error) {
	var job api.Job
	err := p.c.call(ctx, "POST", "/v1/jobs/"+url.PathEscape(id)+"/cancel", nil, &job)
	return job, err
}

// Output passes the job's output to fn frame by frame. With follow it goes on
// until the job ends; the last frame carries the final state. A frame with a
// greater Attempt than the one before starts the output anew: the earlier
// attempt was lost. A connection that breaks is an error: call again.
func (p *Peer) Output(ctx context.Context, id string, follow bool, fn func(api.OutputFrame) error) error {
	path := "/v1/jobs/" + url.PathEscape(id) + "/output"
	if follow {
		path += "?follow=1"
	}
	resp, err := p.c.request(ctx, "GET", path, http.Header{"Accept": {"application/x-ndjson"}}, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	dec := json.NewDecoder(resp.Body)
	for {
		var f api.OutputFrame
		switch err := dec.Decode(&f); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("follow output of job %s: %w: %w", id, api.ErrUnavailable, err)
		}
		if err := fn(f); err != nil {
			return err
		}
	}
}

// Status returns what the peer says of itself.
func (p *Peer) Status(ctx context.Context) (api.PeerStatus, error) {
	var s api.PeerStatus
	err := p.c.call(ctx, "GET", "/v1/status", nil, &s)
	return s, err
}

// Peers lists the network's active peers as this peer knows them.
func (p *Peer) Peers(ctx context.Context) ([]api.Peer, error) {
	var page api.PeerPage
	err := p.c.call(ctx, "GET", "/v1/peers", nil, &page)
	return page.Peers, err
}
