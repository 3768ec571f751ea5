package retriever

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

func TestHTTPServesWhatIsHeld(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	g.log.add(chunk(1, 0, 1, 2), chunk(1, 2, 3), []byte("?"), chunk(1, 4))
	g.start()
	g.caughtUp()
	server := httptest.NewServer(Handler(g.re))
	defer server.Close()
	c := NewClient(server.URL+"/", server.Client().Transport)
	st, err := c.Status(context.Background())
	if err != nil || st != g.status() {
		t.Errorf("%v: %+v, want %+v", err, st, g.status())
	}
	for limit := range 6 {
		got := allHoldings(t, c, limit)
		want := g.held(limit)
		same := slices.EqualFunc(got, want, func(a, b Held) bool {
			return a.Offset == b.Offset && a.Dataset == b.Dataset && a.Event.Equal(&b.Event)
		})
		if !same || len(got) != 5 {
			t.Errorf("limit %d: %+v, want %+v", limit, got, want)
		}
	}
	if _, err := c.Holdings(context.Background(), 1<<40, 1); err == nil || !strings.Contains(err.Error(), "400") {
		t.Errorf("%v", err)
	}
}

func TestHTTPBadRequests(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	g.start()
	eventually(t, "claimed", func() bool { return g.status().Claimed })
	h := Handler(g.re)
	for _, c := range []struct {
		method, path string
		code         int
	}{
		{"GET", "/", 404}, {"GET", "/1/holdings/x", 404}, {"POST", "/status", 405}, {"DELETE", "/1/holdings", 405},
		{"GET", "/1/holdings?cursor=x", 400}, {"GET", "/1/holdings?cursor=-1", 400}, {"GET", "/1/holdings?limit=1e3", 400},
		{"GET", "/1/holdings?cursor=99999999999999999999", 400}, {"GET", "/1/holdings?cursor=7", 400},
		{"GET", "/healthz", 200}, {"GET", "/1/holdings", 200}, {"GET", "/1/holdings?limit=0", 200},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(c.method, c.path, nil))
		if w.Code != c.code {
			t.Errorf("%s %s: %d %s", c.method, c.path, w.Code, w.Body)
		}
		var reply struct{ Error string }
		if c.code != http.StatusOK && (json.Unmarshal(w.Body.Bytes(), &reply) != nil || reply.Error == "") {
			t.Errorf("%s %s: %s", c.method, c.path, w.Body)
		}
	}
}

func TestPagesAreChecked(t *testing.T) {
	t.Parallel()
	page := appendPageRecord([]byte(pageMagic), HeldRecord{Offset: 300, Chunk: chunk(1, 5)})
	page = appendPageEnd(page, 77, true)
	got, err := parsePage(page)
	if err != nil || got.Cursor != 77 || !got.Done || len(got.Held) != 1 || got.Held[0].Offset != 300 {
		t.Fatalf("%v, %+v", err, got)
	}
	for i := range page {
		bad := slices.Clone(page)
		bad[i] ^= 4
		if _, err := parsePage(bad); err == nil {
			t.Errorf("a change of byte %d was not noticed", i)
		}
		if _, err := parsePage(page[:i]); err == nil {
			t.Errorf("a cut at byte %d was not noticed", i)
		}
	}
}

func FuzzPage(f *testing.F) {
	f.Add(appendPageEnd(appendPageRecord([]byte(pageMagic), HeldRecord{Offset: 3, Chunk: chunk(1, 5)}), 9, false))
	f.Add([]byte(pageMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = parsePage(b)
		if page, err := parsePage(appendPageEnd(append([]byte(pageMagic), b...), 9, true)); err == nil && len(b) == 0 && (page.Cursor != 9 || !page.Done) {
			t.Fatalf("%+v", page)
		}
	})
}
