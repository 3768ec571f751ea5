package query

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/ratel-sim/ratel/system/document"
	"github.com/ratel-sim/ratel/system/query/spec"
)

// Names of the API.
const (
	pathQueries   = "/1/queries/"
	pathResults   = "/1/query_results/"
	pathHealthz   = "/healthz"
	pathStatus    = "/status"
	headerTeam    = "X-Honeycomb-Team"
	headerTeamOld = "X-Hny-Team"
	typeJSON      = "application/json"
	typeProblem   = "application/problem+json"
)

// flushBytes is how much of a result is written before it is sent.
const flushBytes = 64 << 10

// handler is the HTTP face of a query node.
type handler struct{ s *Server }

// Handler serves, as Honeycomb's API does: POST /1/queries/{dataset} (stores a specification), GET /1/queries/{dataset}/{id},
// POST /1/query_results/{dataset} (runs it: 201, Location) and GET /1/query_results/{dataset}/{id}, to be polled until it
// is complete; beside those GET /healthz and GET /status (JSON, [Status]). Errors are RFC 7807 problems. A result says
// also whether it is "partial" and what is "missing", up to when it is fresh ("fresh_to"), and has "stats".
func Handler(s *Server) http.Handler { return &handler{s} }

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.EscapedPath()
	switch {
	case path == pathHealthz:
		if allow(w, r, http.MethodGet) {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			_, _ = io.WriteString(w, "ok\n")
		}
	case path == pathStatus:
		if allow(w, r, http.MethodGet) {
			writeJSON(w, http.StatusOK, h.s.Status())
		}
	case strings.HasPrefix(path, pathQueries):
		h.route(w, r, path[len(pathQueries):], h.createQuery, h.getQuery)
	case strings.HasPrefix(path, pathResults):
		h.route(w, r, path[len(pathResults):], h.createResult, h.getResult)
	default:
		fail(w, refusal(http.StatusNotFound, "unknown path: there are POST /1/queries/{dataset}, POST /1/query_results/{dataset}, GET /1/query_results/{dataset}/{id}, GET /healthz and GET /status"), nil)
	}
}

// call is a request about a dataset, by a team that exists.
type call struct {
	w       http.ResponseWriter
	ctx     context.Context
	key     string
	team    int64
	dataset string
	id      string
	body    []byte
}

// route splits {dataset} and {dataset}/{id}, and checks key and dataset.
func (h *handler) route(w http.ResponseWriter, r *http.Request, rest string, create, get func(*call)) {
	rawDataset, id, hasID := strings.Cut(rest, "/")
	method := http.MethodPost
	if hasID {
		method = http.MethodGet
	}
	if !allow(w, r, method) {
		return
	}
	dataset, err := url.PathUnescape(rawDataset)
	if err != nil || dataset == "" || len(dataset) > 1024 {
		fail(w, refusal(http.StatusBadRequest, "the dataset's name is missing, too long or not escaped as a URL demands"), nil)
		return
	}
	c := &call{w: w, ctx: r.Context(), key: r.Header.Get(headerTeam), dataset: dataset, id: id}
	if c.key == "" {
		c.key = r.Header.Get(headerTeamOld)
	}
	team, _, refused := h.s.resolve(c.ctx, &Request{Team: c.key, Dataset: dataset})
	if refused != nil {
		fail(w, refused, nil)
		return
	}
	c.team = team.ID
	if hasID {
		get(c)
		return
	}
	if c.body, err = io.ReadAll(io.LimitReader(r.Body, spec.MaxBytes+1)); err != nil {
		fail(w, refusal(http.StatusBadRequest, "the request body cannot be read: %v", err), nil)
		return
	}
	create(c)
}

func (h *handler) createQuery(c *call) {
	now := h.s.r.Now()
	if _, err := spec.Parse(c.body, now); err != nil {
		failSpec(c.w, err)
		return
	}
	var compact bytes.Buffer
	_ = json.Compact(&compact, c.body) // it was parsed
	id, ok := h.s.shelf.putQuery(storedQuery{team: c.team, dataset: c.dataset, spec: compact.Bytes()}, now)
	if !ok {
		h.full(c.w)
		return
	}
	writeJSON(c.w, http.StatusOK, map[string]any{"id": id, "query": json.RawMessage(compact.Bytes())})
}

func (h *handler) getQuery(c *call) {
	q, ok := h.s.shelf.query(c.id)
	if !ok || q.team != c.team || !strings.EqualFold(q.dataset, c.dataset) {
		fail(c.w, refusal(http.StatusNotFound, "there is no query %q of this dataset", c.id), nil)
		return
	}
	writeJSON(c.w, http.StatusOK, map[string]any{"id": c.id, "query": json.RawMessage(q.spec)})
}

// runRequest is the body that runs a query.
type runRequest struct {
	QueryID       string `json:"query_id"`
	DisableSeries bool   `json:"disable_series"`
	Limit         *int   `json:"limit"`
}

func (h *handler) createResult(c *call) {
	var run runRequest
	d := json.NewDecoder(bytes.NewReader(c.body))
	d.DisallowUnknownFields()
	if err := d.Decode(&run); err != nil {
		fail(c.w, refusal(http.StatusBadRequest, "the request cannot be read: %v: expected {\"query_id\", \"disable_series\", \"limit\"}", err), nil)
		return
	}
	if run.QueryID == "" {
		fail(c.w, refusal(http.StatusUnprocessableEntity, "query_id is missing"), []document.Problem{{Field: "query_id", Code: document.CodeMissing, Text: "create a query first, and say its id"}})
		return
	}
	q, ok := h.s.shelf.query(run.QueryID)
	if !ok || q.team != c.team || !strings.EqualFold(q.dataset, c.dataset) {
		fail(c.w, refusal(http.StatusNotFound, "there is no query %q of this dataset", run.QueryID), nil)
		return
	}
	req := Request{Team: c.key, Dataset: c.dataset, Spec: q.spec, DisableSeries: run.DisableSeries}
	if run.Limit != nil {
		if req.Limit = *run.Limit; req.Limit == 0 {
			req.Limit = -1 // said, and wrong
		}
	}
	now := h.s.r.Now()
	parsed, refused := parse(&req, now)
	if refused != nil {
		fail(c.w, refused, []document.Problem{{Field: "limit", Code: document.CodeInvalid, Text: refused.Error}})
		return
	}
	id, ok := h.s.shelf.putResult(storedResult{team: c.team, dataset: c.dataset, query: run.QueryID, columns: len(parsed.Breakdowns)}, now)
	if !ok {
		h.full(c.w)
		return
	}
	h.s.r.Go("run query "+id, func(ctx context.Context) {
		a, err := h.s.Query(ctx, req)
		if err != nil {
			a = *refusal(http.StatusServiceUnavailable, "the query was cut off: %v", err)
		}
		h.s.shelf.finish(id, &a, h.s.r.Now())
	})
	c.w.Header().Set("Location", resultPath(c.dataset, id))
	writeJSON(c.w, http.StatusCreated, map[string]any{"id": id, "complete": false, "links": map[string]string{"query_url": queryPath(c.dataset, run.QueryID)}})
}

func resultPath(dataset, id string) string { return pathResults + url.PathEscape(dataset) + "/" + id }
func queryPath(dataset, id string) string  { return pathQueries + url.PathEscape(dataset) + "/" + id }

func (h *handler) getResult(c *call) {
	r, ok := h.s.shelf.result(c.id)
	switch {
	case !ok || r.team != c.team || !strings.EqualFold(r.dataset, c.dataset):
		fail(c.w, refusal(http.StatusNotFound, "there is no query result %q of this dataset, or it is too old", c.id), nil)
	case r.answer == nil:
		writeJSON(c.w, http.StatusOK, map[string]any{"id": c.id, "complete": false})
	case r.answer.Code != http.StatusOK:
		fail(c.w, r.answer, nil)
	default:
		c.w.Header().Set("Content-Type", typeJSON)
		// A large result goes out in pieces, so that polls for it do not need its size each.
		body, err := appendResult(nil, c.id, queryPath(c.dataset, r.query), r.columns, r.answer, func(b []byte) []byte {
			if len(b) < flushBytes {
				return b
			}
			_, _ = c.w.Write(b)
			return b[:0]
		})
		if err != nil { // before anything was written
			fail(c.w, refusal(http.StatusInternalServerError, "the result cannot be written: %v", err), nil)
			return
		}
		_, _ = c.w.Write(body)
	}
}

// full refuses because too much is stored.
func (h *handler) full(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "10")
	w.Header().Set("RateLimit", "limit="+strconv.Itoa(h.s.cfg.MaxStored)+",remaining=0,reset=10")
	fail(w, refusal(http.StatusTooManyRequests, "%d queries or results are stored already: try again later", h.s.cfg.MaxStored), nil)
}

func allow(w http.ResponseWriter, r *http.Request, method string) bool {
	if r.Method == method || method == http.MethodGet && r.Method == http.MethodHead {
		return true
	}
	w.Header().Set("Allow", method)
	fail(w, refusal(http.StatusMethodNotAllowed, "method %s is not allowed here: use %s", r.Method, method), nil)
	return false
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", typeJSON)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client has gone if this fails
}

// wireProblem is an RFC 7807 problem as the API writes it.
type wireProblem struct {
	Status     int          `json:"status"`
	Type       string       `json:"type"`
	Title      string       `json:"title"`
	Error      string       `json:"error"`
	TypeDetail []wireDetail `json:"type_detail,omitempty"`
}

type wireDetail struct {
	Code        string `json:"code"`
	Field       string `json:"field"`
	Description string `json:"description"`
}

// problemTypes name the kinds of problems.
func problemType(status int) string {
	name := map[int]string{
		http.StatusBadRequest: "unparseable", http.StatusUnauthorized: "unauthorized", http.StatusNotFound: "not-found",
		http.StatusUnprocessableEntity: "validation-failed", http.StatusTooManyRequests: "rate-limited",
	}[status]
	if name == "" {
		return "about:blank"
	}
	return "urn:ratel:problems:" + name
}

func fail(w http.ResponseWriter, a *Answer, problems []document.Problem) {
	p := wireProblem{Status: a.Code, Type: problemType(a.Code), Title: http.StatusText(a.Code), Error: a.Error}
	for _, x := range problems {
		p.TypeDetail = append(p.TypeDetail, wireDetail{x.Code, x.Field, x.Text})
	}
	w.Header().Set("Content-Type", typeProblem)
	w.WriteHeader(a.Code)
	_ = json.NewEncoder(w).Encode(p)
}

// failSpec tells everything that is wrong with a specification.
func failSpec(w http.ResponseWriter, err error) {
	var e *document.Error
	if !errors.As(err, &e) {
		fail(w, refusal(http.StatusBadRequest, "%v", err), nil)
		return
	}
	code := http.StatusUnprocessableEntity
	if e.Problems[0].Field == "" {
		code = http.StatusBadRequest
	}
	fail(w, refusal(code, "%v", err), e.Problems)
}
