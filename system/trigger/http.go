package trigger

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

const (
	pathStatus  = "/status"
	pathHealthz = "/healthz"
	typeJSON    = "application/json"
	// maxReply bounds what a client reads.
	maxReply = 1 << 20
)

// Status is what a worker says about itself.
type Status struct {
	Node    string
	Leading bool
	Epoch   int64 // while it leads
	// Alerts are evaluated, Invalid ones cannot be, because their definitions cannot be read.
	Alerts, Invalid int
	// Behind is how many windows are due and not recorded; Undelivered how many alerts are on their way.
	Behind      int64
	Undelivered int
	Totals      Totals
}

// Totals count since the worker's start.
type Totals struct {
	Terms     int64 // times that it has led
	Evaluated int64 // windows recorded, of which Stale ones without a decision
	Stale     int64
	Fired     int64
	Resolved  int64
	Delivered int64
	Overtaken int64 // windows that turned out to be recorded by somebody else
	Troubles  int64 // operations that failed and were tried again
	Trouble   string
}

// Status describes the worker at this moment.
func (w *Worker) Status() Status {
	w.mu.Lock()
	st, t := Status{Node: w.name, Totals: w.totals}, w.term
	w.mu.Unlock()
	if t == nil {
		return st
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over {
		return st
	}
	st.Leading, st.Epoch, st.Invalid, st.Undelivered = true, t.held.Epoch, t.invalid, len(t.deliveries)
	due := w.r.Now().Add(-w.cfg.Settle)
	for _, a := range t.alerts { // order: they are only added up
		if a.disabled {
			continue
		}
		st.Alerts++
		if late := due.Sub(time.Unix(0, a.next)); a.next > 0 && late >= 0 {
			st.Behind += 1 + int64(late/a.frequency)
		}
	}
	return st
}

// Handler serves GET /status (JSON, [Status]) and GET /healthz (200: whoever does not lead is as well as the one that does).
func Handler(w *Worker) http.Handler { return &handler{w} }

type handler struct{ w *Worker }

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	switch {
	case path != pathStatus && path != pathHealthz:
		fail(w, http.StatusNotFound, "unknown path: there are GET /status and GET /healthz")
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", http.MethodGet)
		fail(w, http.StatusMethodNotAllowed, "method "+r.Method+" is not allowed here: use GET")
	case path == pathStatus:
		w.Header().Set("Content-Type", typeJSON)
		// The client has gone if this fails.
		_ = json.NewEncoder(w).Encode(h.w.Status())
	default:
		_, _ = io.WriteString(w, "ok\n")
	}
}

func fail(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", typeJSON)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(struct {
		Status int    `json:"status"`
		Error  string `json:"error"`
	}{status, text})
}

// Client is a worker over HTTP. Deadlines are the context's.
type Client struct {
	base      string
	transport http.RoundTripper
}

// NewClient makes a client of the worker at base, such as "http://127.0.0.1:8084".
func NewClient(base string, transport http.RoundTripper) *Client {
	return &Client{base: strings.TrimRight(base, "/"), transport: transport}
}

// Status asks the worker.
func (c *Client) Status(ctx context.Context) (Status, error) {
	target := c.base + pathStatus
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return Status{}, fmt.Errorf("GET %s: %w", target, err)
	}
	resp, err := c.transport.RoundTrip(r)
	if err != nil {
		return Status{}, fmt.Errorf("GET %s: %w", target, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxReply))
	if err != nil {
		return Status{}, fmt.Errorf("GET %s: read the answer: %w", target, err)
	}
	if resp.StatusCode != http.StatusOK {
		return Status{}, fmt.Errorf("GET %s: answered %d: %s", target, resp.StatusCode, strings.TrimSpace(string(body[:min(len(body), 500)])))
	}
	var st Status
	if err := json.Unmarshal(body, &st); err != nil {
		return Status{}, fmt.Errorf("GET %s: %w", target, err)
	}
	return st, nil
}
