package beagle

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

const (
	pathStatus  = "/status"
	pathHealthz = "/healthz"
	typeJSON    = "application/json"
	// maxReply bounds what a client reads.
	maxReply = 4 << 20
)

// Handler serves GET /status (JSON, [Status]) and GET /healthz (200 while the worker is a member of the group, else 503).
func Handler(b *Beagle) http.Handler { return &handler{b} }

type handler struct{ b *Beagle }

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	if path != pathStatus && path != pathHealthz {
		fail(w, http.StatusNotFound, "unknown path: there are GET /status and GET /healthz")
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", http.MethodGet)
		fail(w, http.StatusMethodNotAllowed, "method "+r.Method+" is not allowed here: use GET")
		return
	}
	st := h.b.Status()
	switch {
	case path == pathStatus:
		w.Header().Set("Content-Type", typeJSON)
		// The client has gone if this fails.
		_ = json.NewEncoder(w).Encode(st)
	case st.Member == "":
		fail(w, http.StatusServiceUnavailable, strings.TrimSpace("not a member of the group. "+st.Trouble))
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

// NewClient makes a client of the worker at base, such as "http://127.0.0.1:8083".
func NewClient(base string, transport http.RoundTripper) *Client {
	return &Client{base: strings.TrimRight(base, "/"), transport: transport}
}

// Status asks the worker how far it is.
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
