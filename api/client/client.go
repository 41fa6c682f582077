// Package client is Burrow's HTTP client in Go: [Registry] for the registry's
// API and [Peer] for a peer's. Errors of the far side keep their meaning:
// errors.Is(err, api.ErrNotFound) holds across the wire. A daemon that cannot
// be reached is an [api.ErrUnavailable].
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"burrow/api"
)

// maxAnswer bounds a JSON answer, in bytes: a hostile or broken server must
// not fill our memory.
const maxAnswer = 64 << 20

// conn is what both clients share: a base URL, a token and a transport.
type conn struct {
	base  *url.URL
	token string
	http  *http.Client
}

// newConn accepts only plain http to a loopback address until TLS arrives.
func newConn(base, token string) (*conn, error) {
	u, err := url.Parse(strings.TrimSpace(base))
	if err != nil || u.Scheme != "http" || u.Host == "" || (u.Path != "" && u.Path != "/") {
		return nil, api.Invalid("address", "%q is no address; write it like http://127.0.0.1:9001", base)
	}
	if ip := net.ParseIP(u.Hostname()); u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, api.Invalid("address", "%q is not a loopback address; other machines need TLS, which is not there yet", base)
	}
	dial := &net.Dialer{Timeout: 3 * time.Second}
	return &conn{base: u, token: token, http: &http.Client{
		Transport: &http.Transport{
			DialContext: dial.DialContext, MaxIdleConnsPerHost: 64,
			IdleConnTimeout: 30 * time.Second, ResponseHeaderTimeout: 11 * time.Minute,
		},
		// No daemon of ours redirects: following one would carry the token away.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// request sends one call; the caller closes the body. A status of 400 or more
// becomes the error that the problem body stands for.
func (c *conn) request(ctx context.Context, method, path string, header http.Header, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.base.String(), "/")+path, body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	maps.Copy(req.Header, header)
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if urlErr, ok := errors.AsType[*url.Error](err); ok {
			err = urlErr.Err
		}
		return nil, fmt.Errorf("reach %s: %w: %w", c.base.Host, api.ErrUnavailable, err)
	}
	if resp.StatusCode >= 400 {
		defer resp.Body.Close()
		return nil, api.ReadProblem(resp.StatusCode, resp.Body)
	}
	return resp, nil
}

// call sends in as JSON (nil sends nothing) and reads the answer into out (nil
// drops it).
func (c *conn) call(ctx context.Context, method, path string, in, out any) error {
	header, body := http.Header{}, io.Reader(nil)
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("encode request: %w", err)
		}
		body = bytes.NewReader(data)
		header.Set("Content-Type", "application/json")
	}
	resp, err := c.request(ctx, method, path, header, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return decode(resp.Body, out)
}

func decode(body io.Reader, out any) error {
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(io.LimitReader(body, maxAnswer)).Decode(out); err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	return nil
}
