package query_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/query"
	"github.com/ratel-sim/ratel/system/query/querytest"
)

// inProcess gives requests to a handler without a network.
type inProcess struct {
	h     http.Handler
	calls int
}

func (t *inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	t.calls++
	w := httptest.NewRecorder()
	t.h.ServeHTTP(w, r)
	return w.Result(), nil
}

func do(h http.Handler, method, path, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("X-Honeycomb-Team", querytest.Key)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func read[T any](t *testing.T, w *httptest.ResponseRecorder) (v T) {
	t.Helper()
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		t.Fatalf("%v: %s", err, w.Body)
	}
	return v
}

// TestClientGivesTheSame: what a client reads over HTTP is what the node answered, value for value.
func TestClientGivesTheSame(t *testing.T) {
	t.Parallel()
	inBubble(t, planted.Set{}, nil, func(t *testing.T, b *bench) {
		transport := &inProcess{h: query.Handler(b.Server)}
		c := query.NewClient("http://query1/", transport, query.SleepOn(b.wall))
		for _, body := range []string{
			"", byService, `,"calculations":[{"op":"HEATMAP","column":"duration_ms"},{"op":"MIN","column":"partition"},{"op":"SUM","column":"nothing"},{"op":"RATE_SUM","column":"partition"}],"breakdowns":["nothing","partition"]`,
			`,"filters":[{"column":"nothing","op":"exists"}]`,
		} {
			for _, tableOnly := range []bool{false, true} {
				req := ask(body)
				req.DisableSeries = tableOnly
				want, err := b.Query(context.Background(), req)
				if err != nil {
					t.Fatal(err)
				}
				got, err := c.Query(context.Background(), req)
				if err != nil {
					t.Fatal(err)
				}
				want.Stats, got.Stats = query.Stats{}, query.Stats{}
				if !reflect.DeepEqual(got, want) {
					t.Errorf("%s\ngot  %+v\nwant %+v", body, got, want)
				}
			}
		}
		b.Set(func() {
			for _, name := range b.Retrievers(0) {
				b.Nodes[name].Err = port.ErrRefused
			}
		})
		req := ask(byService)
		req.Limit = 2
		got, err := c.Query(context.Background(), req)
		if err != nil || got.Complete || len(got.Missing) != 1 || got.Missing[0].Partition != 0 || len(got.Result.Rows) != 2 || got.Stats.RowsScanned == 0 {
			t.Errorf("%v: %+v", err, got)
		}
		for _, c2 := range []struct {
			change func(r *query.Request)
			code   int
		}{
			{func(r *query.Request) { r.Team = "other" }, 401}, {func(r *query.Request) { r.Dataset = "x/y" }, 404}, {func(r *query.Request) { r.Spec = []byte(`[`) }, 400},
			{func(r *query.Request) { r.Spec = []byte(`{"limit":"x"}`) }, 422}, {func(r *query.Request) { r.Limit = 1001 }, 422},
		} {
			req := ask("")
			c2.change(&req)
			if a, err := c.Query(context.Background(), req); err != nil || a.Code != c2.code || a.Error == "" {
				t.Errorf("%v: %d %q, expected %d", err, a.Code, a.Error, c2.code)
			}
		}
	})
}

func TestPolling(t *testing.T) {
	t.Parallel()
	inBubble(t, planted.Set{}, nil, func(t *testing.T, b *bench) {
		h := query.Handler(b.Server)
		b.Set(func() {
			for _, n := range b.Nodes {
				n.Delay = time.Second
			}
		})
		w := do(h, "POST", "/1/queries/first", string(ask(byService).Spec))
		created := read[struct{ ID string }](t, w)
		if w.Code != 200 || len(created.ID) != 11 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		if w := do(h, "GET", "/1/queries/first/"+created.ID, ""); w.Code != 200 || !strings.Contains(w.Body.String(), "P95") {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		w = do(h, "POST", "/1/query_results/first", fmt.Sprintf(`{"query_id":%q,"disable_series":true,"limit":3}`, created.ID))
		run := read[struct {
			ID       string
			Complete bool
		}](t, w)
		if w.Code != 201 || run.Complete || w.Header().Get("Location") != "/1/query_results/first/"+run.ID {
			t.Fatalf("%d %s %v", w.Code, w.Body, w.Header())
		}
		polls := 0
		for ; !run.Complete; polls++ {
			time.Sleep(200 * time.Millisecond)
			w = do(h, "GET", "/1/query_results/first/"+run.ID, "")
			if err := json.Unmarshal(w.Body.Bytes(), &run); err != nil || w.Code != 200 {
				t.Fatalf("%v: %d %s", err, w.Code, w.Body)
			}
		}
		result := read[struct {
			Data struct {
				Series  []any
				Results []struct{ Data map[string]any }
			}
			Links struct {
				QueryURL string `json:"query_url"`
			}
			Partial bool
			Stats   map[string]float64
		}](t, w)
		if polls < 3 || result.Partial || len(result.Data.Series) != 0 || len(result.Data.Results) != 3 || result.Data.Results[0].Data["service.name"] != "s0" ||
			result.Links.QueryURL != "/1/queries/first/"+created.ID || result.Stats["rows_scanned"] == 0 {
			t.Errorf("after %d polls: %s", polls, w.Body)
		}
		if st := b.Status(); st.StoredQueries != 1 || st.StoredResults != 1 || st.Running != 0 || st.Totals.Queries != 1 {
			t.Errorf("%+v", st)
		}
	})
}

func TestHTTPRefuses(t *testing.T) {
	t.Parallel()
	inBubble(t, planted.Set{}, func(c *query.Config) { c.MaxStored = 2 }, func(t *testing.T, b *bench) {
		h := query.Handler(b.Server)
		id := read[struct{ ID string }](t, do(h, "POST", "/1/queries/first", `{}`)).ID
		for name, c := range map[string]struct {
			w    *httptest.ResponseRecorder
			code int
			text string
		}{
			"unknown path":     {do(h, "GET", "/1/markers", ""), 404, "unknown path"},
			"no key":           {do(h, "POST", "/1/queries/first", `{}`, "X-Honeycomb-Team", ""), 401, "X-Honeycomb-Team"},
			"wrong key":        {do(h, "POST", "/1/queries/first", `{}`, "X-Honeycomb-Team", "x"), 401, "unknown API key"},
			"no dataset":       {do(h, "POST", "/1/queries/", `{}`), 400, "dataset"},
			"unknown dataset":  {do(h, "POST", "/1/queries/none", `{}`), 404, "none"},
			"GET to create":    {do(h, "GET", "/1/queries/first", ""), 405, "POST"},
			"POST to poll":     {do(h, "POST", "/1/query_results/first/x", `{}`), 405, "GET"},
			"not JSON":         {do(h, "POST", "/1/queries/first", `{`), 400, "JSON"},
			"unknown key":      {do(h, "POST", "/1/queries/first", `{"breakdown":[]}`), 422, `did you mean \"breakdowns\"?`},
			"too large":        {do(h, "POST", "/1/queries/first", strings.Repeat(" ", 300<<10)), 400, "at most"},
			"run nothing":      {do(h, "POST", "/1/query_results/first", `{}`), 422, "query_id"},
			"run unknown":      {do(h, "POST", "/1/query_results/first", `{"query_id":"x"}`), 404, "there is no query"},
			"run other's":      {do(h, "POST", "/1/query_results/second", fmt.Sprintf(`{"query_id":%q}`, id)), 404, "of this dataset"},
			"run unknown key":  {do(h, "POST", "/1/query_results/first", fmt.Sprintf(`{"query_id":%q,"x":1}`, id)), 400, "unknown field"},
			"run limit 0":      {do(h, "POST", "/1/query_results/first", fmt.Sprintf(`{"query_id":%q,"limit":0}`, id)), 422, "limit"},
			"run limit 1001":   {do(h, "POST", "/1/query_results/first", fmt.Sprintf(`{"query_id":%q,"limit":1001}`, id)), 422, "limit"},
			"poll unknown":     {do(h, "GET", "/1/query_results/first/x", ""), 404, "no query result"},
			"get unknown":      {do(h, "GET", "/1/queries/first/x", ""), 404, "there is no query"},
			"escaped slash":    {do(h, "POST", "/1/queries/a%2Fb", `{}`), 404, "a/b"},
			"several problems": {do(h, "POST", "/1/queries/first", `{"limit":0,"granularity":"x"}`), 422, `"field":"granularity"`},
		} {
			var p struct {
				Status             int
				Type, Title, Error string
			}
			if err := json.Unmarshal(c.w.Body.Bytes(), &p); err != nil || p.Status != c.code || p.Title == "" || p.Type == "" || p.Error == "" || c.w.Header().Get("Content-Type") != "application/problem+json" {
				t.Errorf("%s: not a problem of RFC 7807: %v: %s", name, err, c.w.Body)
			}
			if c.w.Code != c.code || !strings.Contains(c.w.Body.String(), c.text) {
				t.Errorf("%s: %d %s, expected %d about %q", name, c.w.Code, c.w.Body, c.code, c.text)
			}
		}
		for range 2 {
			do(h, "POST", "/1/queries/first", `{}`)
		}
		if w := do(h, "POST", "/1/queries/first", `{}`); w.Code != 429 || w.Header().Get("Retry-After") == "" {
			t.Errorf("more queries than are stored: %d %s", w.Code, w.Body)
		}
		for range 2 {
			if w := do(h, "POST", "/1/query_results/first", fmt.Sprintf(`{"query_id":%q}`, id)); w.Code != 201 {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		}
		if w := do(h, "POST", "/1/query_results/first", fmt.Sprintf(`{"query_id":%q}`, id)); w.Code != 429 {
			t.Errorf("more results than are stored: %d %s", w.Code, w.Body)
		}
		time.Sleep(2 * time.Hour) // what is old makes room
		id = read[struct{ ID string }](t, do(h, "POST", "/1/queries/first", `{}`)).ID
		if w := do(h, "POST", "/1/query_results/first", fmt.Sprintf(`{"query_id":%q}`, id)); w.Code != 201 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		if w := do(h, "GET", "/healthz", ""); w.Code != 200 || w.Body.String() != "ok\n" {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		if w := do(h, "GET", "/status", ""); w.Code != 200 || read[query.Status](t, w).StoredResults == 0 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}

// answers is a server that says the same to everything.
type answers struct {
	code int
	body string
	err  error
}

func (a answers) RoundTrip(*http.Request) (*http.Response, error) {
	if a.err != nil {
		return nil, a.err
	}
	return &http.Response{StatusCode: a.code, Body: io.NopCloser(strings.NewReader(a.body)), Header: http.Header{}}, nil
}

func TestClientAndBadServers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		answers
		code int
		err  string
	}{
		{answers{err: errors.New("broken")}, 0, "broken"},
		{answers{code: 502, body: "<html>"}, 502, ""},
		{answers{code: 200, body: "<html>"}, 0, "cannot be read"},
		{answers{code: 200, body: `{"id":"x","complete":true,"columns":["COUNT"],"breakdowns":2}`}, 0, "2 breakdowns of 1"},
		{answers{code: 200, body: `{"id":"x","complete":true,"columns":["COUNT"],"data":{"results":[{"data":{"COUNT":{}}}]}}`}, 0, "not a value"},
	} {
		a, err := query.NewClient("http://x", c.answers).Query(context.Background(), query.Request{Dataset: "d"})
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) || a.Code != c.code {
			t.Errorf("%+v: %+v, %v", c.answers, a, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := query.NewClient("http://x", answers{code: 200, body: `{"id":"x"}`}).Query(ctx, query.Request{}); !errors.Is(err, context.Canceled) {
		t.Errorf("a poll went on after its context: %v", err)
	}
}
