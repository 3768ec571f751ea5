package status_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ratel-sim/ratel/system/status"
)

func TestHandler(t *testing.T) {
	t.Parallel()
	well := false
	h := status.Handler(func() (any, bool, string) { return map[string]int{"n": 7}, well, "not yet" })
	for _, c := range []struct {
		method, path string
		well         bool
		code         int
		body         string
	}{
		{"GET", "/status", false, 200, `{"n":7}`},
		{"GET", "/healthz", false, 503, "not yet"},
		{"GET", "/healthz", true, 200, "ok"},
		{"POST", "/status", true, 405, "use GET"},
		{"GET", "/other", true, 404, "GET /status"},
	} {
		well = c.well
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(c.method, c.path, nil))
		if w.Code != c.code || !strings.Contains(w.Body.String(), c.body) {
			t.Errorf("%s %s: %d %s, expected %d %s", c.method, c.path, w.Code, w.Body, c.code, c.body)
		}
	}
}
