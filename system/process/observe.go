package process

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
	"github.com/ratel-sim/ratel/system/telemetry"
)

// maxObserverAnswer bounds what is read of an observer's answer: a status for each event of a batch.
const maxObserverAnswer = 4 << 20

// Observe is where a role's telemetry goes: any ingest of the batch API's form, such as another, smaller copy of the pipeline.
type Observe struct {
	// URL is its address, such as "http://shepherd.dogfood:8080"; Key is the team's key there.
	URL string `json:"url"`
	Key string `json:"key,omitempty"`
}

// Check says what is wrong with o. Nowhere is right.
func (o Observe) Check() error {
	if o == (Observe{}) {
		return nil
	}
	u, err := url.Parse(o.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("observe: url is %q, expected such as \"http://host:8080\"", o.URL)
	}
	return nil
}

// observer posts batches. It implements [port.Observer].
type observer struct {
	base, key string
	client    *http.Client
}

func newObserver(o Observe) *observer {
	return &observer{base: strings.TrimRight(o.URL, "/"), key: o.Key, client: &http.Client{
		// Its connections are its own: an observer that hangs holds up nobody else's.
		Transport: &http.Transport{DialContext: (&net.Dialer{Timeout: 2 * time.Second}).DialContext, IdleConnTimeout: 30 * time.Second, MaxConnsPerHost: 2},
	}}
}

// Observe implements [port.Observer].
func (o *observer) Observe(ctx context.Context, dataset string, batch []byte) error {
	target := o.base + "/1/batch/" + url.PathEscape(dataset)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(batch))
	if err != nil {
		return fmt.Errorf("observe: %w: %w", port.ErrRefused, err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Honeycomb-Team", o.key)
	res, err := o.client.Do(req)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) && op.Op == "dial" { // no connection was made, so nothing was sent
			return fmt.Errorf("observe: %w: %w", port.ErrRefused, err)
		}
		return fmt.Errorf("observe: %w", err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxObserverAnswer))
	if err != nil {
		return fmt.Errorf("observe: read the answer: %w", err)
	}
	switch {
	case res.StatusCode >= 400 && res.StatusCode < 500:
		return fmt.Errorf("observe: %w: %s answered %s", port.ErrRefused, o.base, res.Status)
	case res.StatusCode < 200 || res.StatusCode > 299:
		return fmt.Errorf("observe: %s answered %s", o.base, res.Status)
	}
	return taken(body)
}

// taken reads the statuses of a batch's events. An answer of another form says nothing against them.
func taken(body []byte) error {
	var statuses []struct {
		Status int    `json:"status"`
		Error  string `json:"error"`
	}
	if json.Unmarshal(body, &statuses) != nil {
		return nil //nolint:nilerr // it was taken, whatever else was said
	}
	missed, why := 0, ""
	for _, s := range statuses {
		if s.Status < 200 || s.Status > 299 {
			missed, why = missed+1, s.Error
		}
	}
	if missed > 0 {
		return fmt.Errorf("observe: %w", &telemetry.PartlyTakenError{Taken: len(statuses) - missed, Of: len(statuses), Why: why})
	}
	return nil
}

// close lets kept connections go.
func (o *observer) close() { o.client.CloseIdleConnections() }
