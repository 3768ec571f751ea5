package retriever

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// Names of the API.
const (
	pathStatus   = "/status"
	pathHealthz  = "/healthz"
	pathHoldings = "/1/holdings"
	pathRanges   = "/1/ranges"
	typeJSON     = "application/json"
	typePage     = "application/vnd.ratel.holdings-v1"
	defaultLimit = 1000
)

// maxReply bounds what a client reads: a page and the one record that may exceed its bound.
const maxReply = maxPageBytes + maxFrame + 1<<20

// Handler serves GET /status (JSON, [Status]), GET /healthz (200 while the claim is held, else 503), GET /1/ranges (JSON,
// a list of [Range]) and GET /1/holdings?cursor=0&limit=1000 (a binary page; see page.go).
func Handler(re *Retriever) http.Handler { return &handler{re} }

type handler struct{ re *Retriever }

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	if path != pathStatus && path != pathHealthz && path != pathHoldings && path != pathRanges {
		fail(w, http.StatusNotFound, "unknown path: there are GET /status, GET /healthz, GET /1/ranges and GET /1/holdings")
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", http.MethodGet)
		fail(w, http.StatusMethodNotAllowed, "method "+r.Method+" is not allowed here: use GET")
		return
	}
	switch path {
	case pathHoldings:
		h.holdings(w, r)
		return
	case pathRanges:
		h.ranges(w, r)
		return
	}
	st, err := h.re.Status(r.Context())
	switch {
	case err != nil:
		fail(w, http.StatusInternalServerError, err.Error())
	case path == pathStatus:
		w.Header().Set("Content-Type", typeJSON)
		// The client has gone if this fails.
		_ = json.NewEncoder(w).Encode(st)
	case !st.Claimed:
		fail(w, http.StatusServiceUnavailable, "the partition's claim is not held")
	default:
		_, _ = io.WriteString(w, "ok\n")
	}
}

func (h *handler) holdings(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	cursor, err := number(query, "cursor", 0)
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	limit, err := number(query, "limit", defaultLimit)
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	held, err := h.re.HeldRecords(r.Context(), cursor, int(min(limit, maxPageEvents)))
	switch {
	case errors.Is(err, ErrCursor):
		fail(w, http.StatusBadRequest, err.Error())
	case err != nil:
		fail(w, http.StatusInternalServerError, err.Error())
	default:
		page := []byte(pageMagic)
		for _, record := range held.Records {
			page = appendPageRecord(page, record)
		}
		w.Header().Set("Content-Type", typePage)
		_, _ = w.Write(appendPageEnd(page, held.Cursor, held.Done))
	}
}

func (h *handler) ranges(w http.ResponseWriter, r *http.Request) {
	ranges, err := h.re.Ranges(r.Context())
	if err != nil {
		fail(w, http.StatusInternalServerError, err.Error())
		return
	}
	w.Header().Set("Content-Type", typeJSON)
	_ = json.NewEncoder(w).Encode(ranges)
}

func number(query url.Values, name string, otherwise int64) (int64, error) {
	text := query.Get(name)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%s is %q, expected a whole number that is not negative", name, text)
	}
	return n, nil
}

func fail(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", typeJSON)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(struct {
		Status int    `json:"status"`
		Error  string `json:"error"`
	}{status, text})
}

// Client is a retriever over HTTP. It implements [Holder]. Deadlines are the context's.
type Client struct {
	base      string
	transport http.RoundTripper
}

var _ Holder = (*Client)(nil)

// NewClient makes a client of the retriever at base, such as "http://127.0.0.1:8081".
func NewClient(base string, transport http.RoundTripper) *Client {
	return &Client{base: strings.TrimRight(base, "/"), transport: transport}
}

// Status implements [Holder].
func (c *Client) Status(ctx context.Context) (Status, error) {
	body, err := c.get(ctx, pathStatus)
	if err != nil {
		return Status{}, err
	}
	var st Status
	if err := json.Unmarshal(body, &st); err != nil {
		return Status{}, fmt.Errorf("GET %s%s: %w", c.base, pathStatus, err)
	}
	return st, nil
}

// Ranges implements [Holder].
func (c *Client) Ranges(ctx context.Context) ([]Range, error) {
	body, err := c.get(ctx, pathRanges)
	if err != nil {
		return nil, err
	}
	var ranges []Range
	if err := json.Unmarshal(body, &ranges); err != nil {
		return nil, fmt.Errorf("GET %s%s: %w", c.base, pathRanges, err)
	}
	return ranges, nil
}

// Holdings implements [Holder].
func (c *Client) Holdings(ctx context.Context, cursor int64, limit int) (Page, error) {
	path := fmt.Sprintf("%s?cursor=%d&limit=%d", pathHoldings, cursor, max(limit, 1))
	body, err := c.get(ctx, path)
	if err != nil {
		return Page{}, err
	}
	page, err := parsePage(body)
	if err != nil {
		return Page{}, fmt.Errorf("GET %s%s: %w", c.base, path, err)
	}
	return page, nil
}

func (c *Client) get(ctx context.Context, path string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path, nil)
	if err != nil {
		return nil, fmt.Errorf("GET %s%s: %w", c.base, path, err)
	}
	resp, err := c.transport.RoundTrip(r)
	if err != nil {
		return nil, fmt.Errorf("GET %s%s: %w", c.base, path, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxReply))
	if err != nil {
		return nil, fmt.Errorf("GET %s%s: read the answer: %w", c.base, path, err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("GET %s%s: answered %d: %s", c.base, path, resp.StatusCode, strings.TrimSpace(string(body[:min(len(body), 500)])))
	}
	return body, nil
}
