package faultproxy

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Client tells a proxy what to do.
type Client struct {
	base      string
	transport http.RoundTripper
}

// NewClient returns a client of the control interface at base, such as "http://127.0.0.1:8081".
func NewClient(base string, transport http.RoundTripper) *Client {
	return &Client{base: strings.TrimRight(base, "/"), transport: transport}
}

// Set replaces what the proxy does to requests from now on.
func (c *Client) Set(ctx context.Context, f Faults) error {
	body, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("faults: %w", err)
	}
	return c.call(ctx, http.MethodPut, pathFaults, body, nil)
}

// Counts reads what the proxy has done since its start.
func (c *Client) Counts(ctx context.Context) (Counts, error) {
	var counts Counts
	err := c.call(ctx, http.MethodGet, pathCounts, nil, &counts)
	return counts, err
}

// Healthy asks whether the proxy runs.
func (c *Client) Healthy(ctx context.Context) error {
	return c.call(ctx, http.MethodGet, pathHealth, nil, nil)
}

func (c *Client) call(ctx context.Context, method, path string, body []byte, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("fault proxy: %w", err)
	}
	res, err := c.transport.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("fault proxy: %s %s: %w", method, path, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	if err != nil {
		return fmt.Errorf("fault proxy: %s %s: %w", method, path, err)
	}
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("fault proxy: %s %s: HTTP %s: %s", method, path, res.Status, strings.TrimSpace(string(text)))
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("fault proxy: %s %s: %w", method, path, err)
	}
	return nil
}
