package shepherd

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/port"
)

// maxAnswer bounds the answer that a client reads.
const maxAnswer = 32 << 20

// Client is a shepherd over HTTP. It implements [Ingest]. It drives a RoundTripper directly, without http.Client, whose
// timers are real ones: deadlines are the context's alone, nothing is retried and nothing redirected.
type Client struct {
	base      string
	transport http.RoundTripper
	encoding  string
}

var _ Ingest = (*Client)(nil)

// ClientOption configures [NewClient].
type ClientOption func(*Client)

// Compressed makes a client compress bodies with "gzip" or "zstd"; "" sends them as they are.
func Compressed(encoding string) ClientOption { return func(c *Client) { c.encoding = encoding } }

// NewClient makes a client of the shepherd at base, such as "http://127.0.0.1:8080".
func NewClient(base string, transport http.RoundTripper, opts ...ClientOption) *Client {
	c := &Client{base: strings.TrimRight(base, "/"), transport: transport}
	for _, opt := range opts {
		opt(c)
	}
	return c
}

// Send implements [Ingest].
func (c *Client) Send(ctx context.Context, req Request) (Answer, error) {
	body, err := c.compress(event.AppendBatchJSON(nil, req.Events))
	if err != nil {
		return Answer{}, fmt.Errorf("encode a batch: %w: %w", port.ErrRefused, err)
	}
	target := c.base + pathBatch + url.PathEscape(req.Dataset)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return Answer{}, fmt.Errorf("POST %s: %w: %w", target, port.ErrRefused, err)
	}
	r.Header.Set("Content-Type", typeJSON)
	if c.encoding != "" {
		r.Header.Set("Content-Encoding", c.encoding)
	}
	r.Header.Set(headerTeam, req.Team)
	if req.Receipts {
		r.Header.Set(headerReceipts, receiptsKafka)
	}
	resp, err := c.transport.RoundTrip(r)
	if err != nil {
		return Answer{}, fmt.Errorf("POST %s: %w", target, classify(err))
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return Answer{}, fmt.Errorf("POST %s: read the answer: %w", target, err)
	}
	return parseAnswer(resp.StatusCode, text, len(req.Events))
}

// classify marks errors that came before the request can have left: no connection was made.
func classify(err error) error {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" && !errors.Is(err, port.ErrRefused) {
		return fmt.Errorf("%w: %w", port.ErrRefused, err)
	}
	return err
}

func (c *Client) compress(body []byte) ([]byte, error) {
	switch c.encoding {
	case "":
		return body, nil
	case "gzip":
		var out bytes.Buffer
		z := gzip.NewWriter(&out)
		if _, err := z.Write(body); err != nil {
			return nil, err
		}
		err := z.Close()
		return out.Bytes(), err
	case "zstd":
		z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
		if err != nil {
			return nil, err
		}
		out := z.EncodeAll(body, nil)
		return out, z.Close()
	}
	return nil, fmt.Errorf("unknown encoding %q: expected gzip, zstd or none", c.encoding)
}

// wireStatus is a status as it is written in an answer.
type wireStatus struct {
	Status    int    `json:"status"`
	Error     string `json:"error"`
	Partition *int32 `json:"partition"`
	Offset    *int64 `json:"offset"`
}

// parseAnswer reads an HTTP answer. An answer that cannot be read leaves the outcome of all events unknown.
func parseAnswer(code int, text []byte, events int) (Answer, error) {
	if code != http.StatusOK {
		a := Answer{Code: code}
		var e struct {
			Error string `json:"error"`
		}
		if json.Unmarshal(text, &e) == nil {
			a.Error = e.Error
		}
		if a.Error == "" {
			a.Error = http.StatusText(code)
		}
		return a, nil
	}
	var statuses []wireStatus
	if err := json.Unmarshal(text, &statuses); err != nil {
		return Answer{}, fmt.Errorf("the shepherd's answer cannot be read: %w: %w", port.ErrUnknown, err)
	}
	if len(statuses) != events {
		return Answer{}, fmt.Errorf("the shepherd answered with %d statuses for %d events: %w", len(statuses), events, port.ErrUnknown)
	}
	a := Answer{Code: code, Statuses: make([]Status, len(statuses))}
	for i, s := range statuses {
		st := Status{Code: s.Status, Error: s.Error, Partition: -1, Offset: -1}
		if s.Partition != nil && s.Offset != nil {
			st.Partition, st.Offset = *s.Partition, *s.Offset
		}
		a.Statuses[i] = st
	}
	return a, nil
}
