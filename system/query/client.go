package query

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

const (
	// pollEvery is how long a client waits before it asks again, as Honeycomb's do.
	pollEvery = 200 * time.Millisecond
	// maxAnswer bounds the answer that a client reads.
	maxAnswer = 512 << 20
)

// Client is a query node over HTTP. It implements [Querier]: it creates a query, runs it, and polls until it is complete.
// It drives a RoundTripper directly: deadlines are the context's alone, nothing is retried and nothing redirected.
type Client struct {
	base      string
	transport http.RoundTripper
	sleep     func(ctx context.Context, d time.Duration) error
}

var _ Querier = (*Client)(nil)

// ClientOption configures [NewClient].
type ClientOption func(*Client)

// SleepOn makes a client wait between polls on a runtime's clock; without it, on the wall clock.
func SleepOn(r rt.Runtime) ClientOption { return func(c *Client) { c.sleep = r.Sleep } }

// NewClient makes a client of the query node at base, such as "http://127.0.0.1:8082".
func NewClient(base string, transport http.RoundTripper, opts ...ClientOption) *Client {
	c := &Client{base: strings.TrimRight(base, "/"), transport: transport}
	for _, opt := range opts {
		opt(c)
	}
	if c.sleep == nil {
		c.sleep = rt.NewWall(0).Sleep
	}
	return c
}

// Query implements [Querier].
func (c *Client) Query(ctx context.Context, req Request) (Answer, error) {
	dataset := url.PathEscape(req.Dataset)
	var created struct {
		ID string `json:"id"`
	}
	body := req.Spec
	if len(body) == 0 {
		body = json.RawMessage("{}")
	}
	refused, err := c.do(ctx, http.MethodPost, pathQueries+dataset, req.Team, body, &created)
	if err != nil || refused != nil {
		return orZero(refused), err
	}
	run := runRequest{QueryID: created.ID, DisableSeries: req.DisableSeries}
	if req.Limit != 0 {
		run.Limit = &req.Limit
	}
	body, err = json.Marshal(run)
	if err != nil {
		return Answer{}, err
	}
	if refused, err = c.do(ctx, http.MethodPost, pathResults+dataset, req.Team, body, &created); err != nil || refused != nil {
		return orZero(refused), err
	}
	for {
		var w wireResult
		if refused, err = c.do(ctx, http.MethodGet, pathResults+dataset+"/"+url.PathEscape(created.ID), req.Team, nil, &w); err != nil || refused != nil {
			return orZero(refused), err
		}
		if w.Complete {
			a, err := w.answer()
			if err != nil {
				return Answer{}, fmt.Errorf("the query node's result cannot be read: %w: %w", port.ErrUnknown, err)
			}
			return a, nil
		}
		if err := c.sleep(ctx, pollEvery); err != nil {
			return Answer{}, err
		}
	}
}

func orZero(a *Answer) Answer {
	if a == nil {
		return Answer{}
	}
	return *a
}

// do sends one request and reads its JSON answer, or what was refused.
func (c *Client) do(ctx context.Context, method, path, team string, body []byte, into any) (refused *Answer, err error) {
	target := c.base + path
	r, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w: %w", method, target, port.ErrRefused, err)
	}
	r.Header.Set(headerTeam, team)
	if body != nil {
		r.Header.Set("Content-Type", typeJSON)
	}
	resp, err := c.transport.RoundTrip(r)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, target, classify(err))
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("%s %s: read the answer: %w", method, target, err)
	}
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusCreated {
		var p wireProblem
		if json.Unmarshal(text, &p) != nil || p.Error == "" {
			p.Error = http.StatusText(resp.StatusCode)
		}
		return &Answer{Code: resp.StatusCode, Error: p.Error}, nil
	}
	if err := json.Unmarshal(text, into); err != nil {
		return nil, fmt.Errorf("%s %s: the answer cannot be read: %w: %w", method, target, port.ErrUnknown, err)
	}
	return nil, nil
}

// classify marks errors that came before the request can have left: no connection was made.
func classify(err error) error {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" && !errors.Is(err, port.ErrRefused) {
		return fmt.Errorf("%w: %w", port.ErrRefused, err)
	}
	return err
}
