package shepherd

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// oneKind keeps what one test defines.
type oneKind struct {
	port.Definitions // what is not faked

	mu   sync.Mutex
	defs []port.Definition
}

func (d *oneKind) DefinitionsOf(context.Context, int64, ...port.DefinitionKind) ([]port.Definition, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.defs, nil
}

func (d *oneKind) Define(_ context.Context, def port.Definition) (port.Definition, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	def.ID = int64(len(d.defs)) + 1
	d.defs = append(d.defs, def)
	return def, nil
}

// TestManagementIsMounted: what teams define is served to those whose key is known, and only where there is a store for it.
func TestManagementIsMounted(t *testing.T) {
	t.Parallel()
	r := rt.NewWall(1)
	t.Cleanup(func() { r.Kill(); r.Wait() })
	ask := func(s *Shepherd, method, path, key, body string) (int, string) {
		req := httptest.NewRequest(method, path, strings.NewReader(body))
		req.Header.Set(headerTeam, key)
		w := httptest.NewRecorder()
		Handler(s).ServeHTTP(w, req)
		return w.Code, w.Body.String()
	}
	shepherd := func(d port.Definitions) *Shepherd {
		store := newMemCatalog()
		if _, _, err := store.CreateDataset(t.Context(), port.NewDataset{Team: 1, Name: "Web", Spread: 1, Of: 1}); err != nil {
			t.Fatal(err)
		}
		s, err := New(r, port.Ports{Log: newFakeLog(r, 1), Catalog: store, Definitions: d}, DefaultConfig(), 1, "shepherd1", planted.Set{})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	const column = `{"alias":"ok","expression":"$status < 500"}`
	with, without := shepherd(&oneKind{}), shepherd(nil)
	for _, c := range []struct {
		s                       *Shepherd
		method, path, key, body string
		status                  int
		text                    string
	}{
		{with, "POST", "/1/derived_columns/web", "key", column, http.StatusCreated, `"alias":"ok"`},
		{with, "GET", "/1/derived_columns/WEB", "key", "", http.StatusOK, `"expression":"$status < 500"`},
		{with, "GET", "/1/derived_columns/web", "wrong", "", http.StatusUnauthorized, "unknown API key"},
		{with, "GET", "/1/derived_columns/web", "key2", "", http.StatusNotFound, "not found"},
		{with, "GET", pathAuth, "key", "", http.StatusOK, `"triggers":true`},
		{with, "GET", "/1/trigger/web", "key", "", http.StatusNotFound, "/1/triggers"},
		{without, "GET", "/1/derived_columns/web", "key", "", http.StatusNotFound, "unknown path"},
		{without, "GET", pathAuth, "key", "", http.StatusOK, `"triggers":false`},
	} {
		if status, reply := ask(c.s, c.method, c.path, c.key, c.body); status != c.status || !strings.Contains(reply, c.text) {
			t.Errorf("%s %s by %s: %d %s, expected %d and %q", c.method, c.path, c.key, status, reply, c.status, c.text)
		}
	}
}
