package query_test

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/query"
	"github.com/ratel-sim/ratel/system/query/querytest"
)

// fresh sets up to when the retrievers know everything, by partition.
func (b *bench) fresh(to ...int64) {
	b.Set(func() {
		for p := range int32(partitions) {
			for _, name := range b.Retrievers(p) {
				b.Nodes[name].FreshTo = to[p]
			}
		}
	})
}

// TestFreshTo: an answer is as fresh as its least fresh partition, and of unknown freshness if one has no retriever.
func TestFreshTo(t *testing.T) {
	t.Parallel()
	inBubble(t, planted.Set{}, nil, func(t *testing.T, b *bench) {
		now := time.Now().UnixNano()
		b.fresh(now, now-5_000_000_001, now-7)
		c := query.NewClient("http://query1/", &inProcess{h: query.Handler(b.Server)}, query.SleepOn(b.wall))
		both := func(want int64) {
			t.Helper()
			a, err := b.Query(context.Background(), ask(byService))
			if err != nil || a.FreshTo != want {
				t.Errorf("%v: fresh to %d, expected %d", err, a.FreshTo, want)
			}
			if a, err = c.Query(context.Background(), ask(byService)); err != nil || a.FreshTo != want {
				t.Errorf("over HTTP: %v: fresh to %d, expected %d", err, a.FreshTo, want)
			}
		}
		both(now - 5_000_000_001)
		b.fresh(now, 0, now)
		both(0) // one that does not know
		b.fresh(now, now, now)
		both(now)
		b.Set(func() {
			for _, name := range b.Retrievers(1) {
				b.Nodes[name].Err = port.ErrRefused
			}
		})
		both(0)
	})
}

// TestRunAmongPeers: a peer's answer is the node's own, value for value, also by IDs instead of a key and a name.
func TestRunAmongPeers(t *testing.T) {
	t.Parallel()
	inBubble(t, planted.Set{}, nil, func(t *testing.T, b *bench) {
		b.fresh(3, 2, 1)
		run := func(req query.Request) query.Answer {
			t.Helper()
			body, err := query.EncodeRun(req)
			if err != nil {
				t.Fatal(err)
			}
			reply, err := b.ServePeer(context.Background(), query.ServiceRun, body)
			if err != nil {
				t.Fatal(err)
			}
			a, err := query.DecodeAnswer(reply)
			if err != nil {
				t.Fatal(err)
			}
			a.Stats = query.Stats{}
			return a
		}
		for _, body := range []string{byService, "", `,"breakdowns":["nothing"],"filters":[{"column":"nothing","op":"exists"}]`} {
			for _, tableOnly := range []bool{false, true} {
				req := ask(body)
				req.DisableSeries = tableOnly
				want := b.expect(t, req)
				want.Stats = query.Stats{}
				if got := run(req); !reflect.DeepEqual(got, want) {
					t.Errorf("%s\ngot  %+v\nwant %+v", body, got, want)
				}
				byID := req
				byID.Team, byID.Dataset, byID.TeamID, byID.DatasetID = "", "", 1, 1
				if got := run(byID); !reflect.DeepEqual(got, want) {
					t.Errorf("by ID: %s\ngot  %+v\nwant %+v", body, got, want)
				}
				byID.DatasetID, req.Dataset = 0, query.AllDatasets
				want = b.expect(t, req)
				want.Stats = query.Stats{}
				if got := run(byID); !reflect.DeepEqual(got, want) {
					t.Errorf("of the team: %s\ngot  %+v\nwant %+v", body, got, want)
				}
			}
		}
		limited := ask(byService)
		limited.Limit = 1
		if a := run(limited); len(a.Result.Rows) != 1 {
			t.Errorf("%d rows", len(a.Result.Rows))
		}
		for _, c := range []struct {
			change func(r *query.Request)
			code   int
		}{
			{func(r *query.Request) { r.Team, r.TeamID, r.DatasetID = "", 2, 1 }, 404}, {func(r *query.Request) { r.Team, r.TeamID, r.DatasetID = "", 1, 99 }, 404},
			{func(r *query.Request) { r.Team = "" }, 401}, {func(r *query.Request) { r.Team, r.DatasetID = "", 1 }, 401},
			{func(r *query.Request) { r.Team = "other" }, 401}, {func(r *query.Request) { r.Limit = -1 }, 422},
			{func(r *query.Request) { r.Spec = json.RawMessage(`{"limit":"x"}`) }, 422},
		} {
			req := ask("")
			c.change(&req)
			if a := run(req); a.Code != c.code || a.Error == "" || a.Result != nil {
				t.Errorf("%+v: expected %d", a, c.code)
			}
		}
		b.Catalog.SetAway(true)
		req := ask("")
		req.Team, req.TeamID, req.DatasetID = "", 1, 1
		if a := run(req); a.Code != 503 {
			t.Errorf("%+v", a)
		}
		for service, body := range map[string]string{"query": "{}", query.ServiceRun: "["} {
			if _, err := b.ServePeer(context.Background(), service, []byte(body)); err == nil {
				t.Errorf("%s %s: no error", service, body)
			}
		}
		for _, bad := range []string{"", "{}", `{"code":200}`, `{"code":200,"result":{"breakdowns":5}}`, "["} {
			if a, err := query.DecodeAnswer([]byte(bad)); err == nil {
				t.Errorf("%s: %+v", bad, a)
			}
		}
		if _, err := query.EncodeRun(query.Request{Spec: json.RawMessage("{")}); err == nil {
			t.Error("a specification that is no JSON was written")
		}
	})
}

// TestNoIDsOverTheAPI: what peers may say, clients may not.
func TestNoIDsOverTheAPI(t *testing.T) {
	t.Parallel()
	inBubble(t, planted.Set{}, nil, func(t *testing.T, b *bench) {
		h := query.Handler(b.Server)
		id := read[map[string]any](t, do(h, http.MethodPost, "/1/queries/first", string(ask("").Spec)))["id"].(string)
		w := do(h, http.MethodPost, "/1/query_results/first", `{"query_id":"`+id+`","team_id":1,"dataset_id":2}`)
		if w.Code != 400 || !strings.Contains(w.Body.String(), "team_id") {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		if w := do(h, http.MethodPost, "/peer/run", `{"team_id":1,"dataset_id":1,"spec":{}}`); w.Code != 404 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		if w := do(h, http.MethodPost, "/1/queries/first", string(ask("").Spec), "X-Honeycomb-Team", querytest.Key+"x"); w.Code != 401 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}
