// Package status is the HTTP interface of a role whose work comes from elsewhere: it says how it is, and nothing more.
package status

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
)

const (
	pathStatus  = "/status"
	pathHealthz = "/healthz"
	typeJSON    = "application/json"
)

// Handler serves GET /status (the status as JSON) and GET /healthz (200, or 503 with the reason if of says that the role
// is not well). of is called for each request.
func Handler(of func() (status any, well bool, reason string)) http.Handler { return handler{of} }

type handler struct {
	of func() (any, bool, string)
}

// ServeHTTP implements http.Handler.
func (h handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
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
	st, well, reason := h.of()
	switch {
	case path == pathStatus:
		w.Header().Set("Content-Type", typeJSON)
		// The client has gone if this fails.
		_ = json.NewEncoder(w).Encode(st)
	case !well:
		fail(w, http.StatusServiceUnavailable, strings.TrimSpace(reason))
	default:
		_, _ = io.WriteString(w, "ok\n")
	}
}

func fail(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", typeJSON)
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(struct {
		Status int    `json:"status"`
		Error  string `json:"error"`
	}{code, text})
}
