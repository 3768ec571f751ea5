package shepherd

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/port"
)

func TestOneEventOverHTTP(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		call
		code int
		text string // of the error; "" for none
		want string // time and sample rate of what is stored
	}{
		"plain":           {call{body: `{"a":1}`}, 200, "", ""},
		"gzip":            {call{body: gzipped(`{"a":1}`), header: map[string]string{"Content-Encoding": "gzip"}}, 200, "", ""},
		"time and rate":   {call{body: `{"a":1}`, header: map[string]string{"X-Honeycomb-Event-Time": "2020-01-02T03:04:05Z", "X-Honeycomb-Samplerate": "7"}}, 200, "", "2020-01-02T03:04:05Z 7"},
		"bad time":        {call{body: `{"a":1}`, header: map[string]string{"X-Honeycomb-Event-Time": "noon"}}, 400, "noon", ""},
		"bad rate":        {call{body: `{"a":1}`, header: map[string]string{"X-Honeycomb-Samplerate": "-2"}}, 400, "samplerate", ""},
		"NaN":             {call{body: `{"a":NaN}`}, 400, "NaN", ""},
		"empty":           {call{}, 400, event.TextEmpty, ""},
		"an array":        {call{body: goodBody}, 400, "Expected an object", ""},
		"unknown key":     {call{body: `{"a":1}`, header: map[string]string{"X-Honeycomb-Team": "who"}}, 401, "unknown API key", ""},
		"Kafka refuses":   {call{body: `{"a":"refuse"}`}, 503, "not stored", ""},
		"Kafka is silent": {call{body: `{"a":"silent"}`}, 504, "may duplicate", ""},
	} {
		b := newBench(t, 1, nil)
		switch {
		case strings.Contains(c.body, "refuse"):
			b.log.on(func(int32) error { return errRefused })
		case strings.Contains(c.body, "silent"):
			b.log.on(func(int32) error { return errUnknown })
		}
		c.path = "/1/events/data"
		w := c.do(Handler(b.Shepherd))
		if w.Code != c.code || c.text == "" && w.Body.Len() != 0 || !strings.Contains(w.Body.String(), c.text) {
			t.Errorf("%s: %d %q, want %d about %q", name, w.Code, w.Body, c.code, c.text)
		}
		events := b.log.storedEvents(t)
		if (w.Code == 200) != (len(events) == 1) {
			t.Errorf("%s: %d stored", name, len(events))
		}
		if c.want != "" {
			if got := fmt.Sprint(events[0].Time.Format(time.RFC3339), " ", events[0].SampleRate); got != c.want {
				t.Errorf("%s: %s", name, got)
			}
		}
		if h := b.Health(); h.InFlightBytes != 0 || h.Requests != 0 {
			t.Errorf("%s: left behind %+v", name, h)
		}
	}
}

func TestRateLimitHeaders(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, nil)
	b.dir.on(func(d *fakeDirectory) {
		d.teams["key"] = port.Team{ID: 1, Name: "one", Limits: port.Limits{EventsPerSecond: 1e-3, Burst: 3}}
	})
	h := Handler(b.Shepherd)
	w := call{body: goodBody}.do(h)
	if w.Code != 200 || w.Header().Get("RateLimit") != "limit=3,remaining=1,reset=2000" || w.Header().Get("RateLimit-Policy") != "3;w=3000" || w.Header().Get("Retry-After") != "" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	w = call{body: goodBody}.do(h) // the first event of two
	var got []wireStatus
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || len(got) != 2 || got[0].Status != 202 || got[1].Status != 429 || !strings.Contains(got[1].Error, `team "one"`) {
		t.Errorf("%v %s", err, w.Body)
	}
	if w.Header().Get("Retry-After") != "1000" {
		t.Errorf("%v", w.Header())
	}
	// Nothing is left: the body is not even read.
	for _, path := range []string{"/1/batch/data", "/1/events/data"} {
		w = call{path: path, body: "["}.do(h)
		if w.Code != 429 || w.Header().Get("RateLimit") != "limit=3,remaining=0,reset=3000" || !strings.Contains(w.Body.String(), `"type":"https://api.honeycomb.io/problems/rate-limited"`) {
			t.Errorf("%s: %d %v %s", path, w.Code, w.Header(), w.Body)
		}
	}
	if w := (call{body: goodBody, header: map[string]string{"X-Honeycomb-Team": "key2"}}).do(h); w.Code != 200 || w.Header().Get("RateLimit") != "" {
		t.Errorf("another team: %d %v", w.Code, w.Header())
	}
}

// TestDecodingIsHeldByItsTeam: a body on its way in counts for its sender, so that others are not turned away for it.
func TestDecodingIsHeldByItsTeam(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, func(c *Config) { c.MaxInFlightBytes = 1 << 20 })
	large := "[" + strings.Repeat(`{"data":{"a":1}},`, 5_000) + `{"data":{"a":1}}]`
	w := call{body: large}.do(Handler(b.Shepherd))
	if w.Code != 429 || !strings.Contains(w.Body.String(), "too much of this team") || b.seen.count(port.EventTenantShed) != 1 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	h := b.Health()
	if h.InFlightBytes != 0 || h.PeakBytes > h.MaxInFlightBytes/2 || h.PeakBytes < 100_000 || h.Teams[0].Shed != 1 {
		t.Errorf("%+v", h)
	}
	b.reserve(b.enter(port.Team{ID: 9, Name: "nine"}), load{bytes: 500_000})
	if w := (call{body: goodBody}).do(Handler(b.Shepherd)); w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// TestBombsAreBounded: whatever a small body unpacks to, no more is held than the team may.
func TestBombsAreBounded(t *testing.T) {
	t.Parallel()
	zeros := "[" + strings.Repeat(" ", 4_900_000) + goodBody[1:]
	huge := strings.Repeat(" ", 40_000_000)
	for name, c := range map[string]struct {
		call
		code int
	}{
		"gzip to the limit": {call{body: gzipped(zeros), header: map[string]string{"Content-Encoding": "gzip"}}, 200},
		"zstd to the limit": {call{body: zstded(zeros), header: map[string]string{"Content-Encoding": "zstd"}}, 200},
		"gzip far beyond":   {call{body: gzipped(huge), header: map[string]string{"Content-Encoding": "gzip"}}, 413},
		"zstd far beyond":   {call{body: zstdChunks(huge), header: map[string]string{"Content-Encoding": "zstd"}}, 413},
		"zstd that says so": {call{body: zstded(huge), header: map[string]string{"Content-Encoding": "zstd"}}, 413},
		"empty events":      {call{body: gzipped("[" + strings.Repeat("{},", 49_999) + "{}]"), header: map[string]string{"Content-Encoding": "gzip"}}, 200},
	} {
		b := newBench(t, 1, nil)
		w := c.do(Handler(b.Shepherd))
		h := b.Health()
		if w.Code != c.code || h.InFlightBytes != 0 || h.PeakBytes > 32<<20 || c.code == 413 && h.PeakBytes > 16<<20 {
			t.Errorf("%s: %d, %+v", name, w.Code, h)
		}
	}
}

// TestBombsOfTwoTeamsCostAThirdNothing: while two teams do nothing but send bodies that take much memory to decode, each
// event of a third is accepted.
func TestBombsOfTwoTeamsCostAThirdNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t, 2, func(c *Config) { c.MaxInFlightBytes = 8 << 20 })
	h := Handler(b.Shepherd)
	bombs := []call{
		{body: "[" + strings.Repeat("{},", 20_000) + "{}]"},
		{body: gzipped("[" + strings.Repeat(" ", 2_000_000) + goodBody[1:]), header: map[string]string{"Content-Encoding": "gzip"}},
		{body: "[" + strings.Repeat(`{"data":{"a":1,"b":2}},`, 10_000) + "{}]"},
	}
	var done atomic.Bool
	var senders sync.WaitGroup
	for i := range 4 {
		senders.Go(func() {
			for j := i; !done.Load(); j++ {
				c := bombs[j%len(bombs)]
				c.header = map[string]string{"X-Honeycomb-Team": []string{"key", "key2"}[i%2], "Content-Encoding": c.header["Content-Encoding"]}
				c.do(h)
			}
		})
	}
	defer senders.Wait()
	defer done.Store(true)
	body := string(event.AppendBatchJSON(nil, wideBatch(50)))
	want := strings.TrimSuffix(strings.Repeat(`{"status":202},`, 50), ",")
	for range 40 {
		if w := (call{body: body, header: map[string]string{"X-Honeycomb-Team": "key3"}}).do(h); w.Code != 200 || w.Body.String() != "["+want+"]\n" {
			t.Fatalf("%d %.200s", w.Code, w.Body)
		}
	}
	done.Store(true)
	senders.Wait()
	if h := b.Health(); h.InFlightBytes != 0 || h.PeakBytes > h.MaxInFlightBytes {
		t.Errorf("%+v", h)
	}
}

func TestAuth(t *testing.T) {
	t.Parallel()
	s := newStored(t, 2, nil)
	h := Handler(s.Shepherd)
	var got struct {
		Team        named
		Environment named
		Access      map[string]bool `json:"api_key_access"`
	}
	w := call{method: "GET", path: "/1/auth"}.do(h)
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 || got.Team != (named{"Team One", "team-one"}) || !got.Access["events"] {
		t.Errorf("%v, %d %s", err, w.Code, w.Body)
	}
	if w := (call{method: "GET", path: "/1/auth", header: map[string]string{"X-Honeycomb-Team": "bad"}}).do(h); w.Code != 401 || !strings.Contains(w.Body.String(), "unknown API key") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestDatasetsAndColumns(t *testing.T) {
	t.Parallel()
	s := newStored(t, 6, func(c *Config) { c.Spread = 2; c.CacheFor = time.Millisecond })
	s.run(t)
	h := Handler(s.Shepherd)
	do := func(method, path, body string) (int, string) {
		w := call{method: method, path: path, body: body}.do(h)
		return w.Code, strings.TrimSpace(w.Body.String())
	}
	const mine = `{"id":1,"name":"My Data","slug":"my-data","created_at":"2023-11-14T22:13:20Z","partitions":[0,1]}`
	for _, c := range []struct {
		method, path, body string
		code               int
		want               string // part of the answer
	}{
		{"GET", "/1/datasets", "", 200, "[]"},
		{"POST", "/1/datasets", `{"name":"My Data"}`, 201, mine},
		{"POST", "/1/datasets", `{"name":"MY DATA"}`, 200, mine},
		{"GET", "/1/datasets/", "", 200, "[" + mine + "]"},
		{"GET", "/1/datasets/my-data", "", 200, mine},
		{"GET", "/1/columns/My%20Data", "", 200, "[]"},
		{"POST", "/1/batch/my%20data", `[{"data":{"b":1,"a":"x"}},{"data":{"b":1.5}}]`, 200, `[{"status":202},{"status":202}]`},
		{"POST", "/1/datasets", `{"name":""}`, 400, "missing"},
		{"POST", "/1/datasets", `{"name":"a/b"}`, 400, "slash"},
		{"POST", "/1/datasets", `{"name"`, 400, "malformed"},
		{"POST", "/1/datasets", `{"name":5}`, 400, "expected {\\\"name\\\": "},
		{"POST", "/1/datasets", `{"name":"x"} {"name":"y"}`, 400, "malformed"},
		{"POST", "/1/datasets", "{\"name\":\"\xff\"}", 400, "not UTF-8"},
		{"POST", "/1/datasets", `{"name":"__all__"}`, 400, "stands for all"},
		{"POST", "/1/datasets", `{"name":"` + strings.Repeat("x", maxManageBody) + `"}`, 413, "too large"},
		{"GET", "/1/datasets/none", "", 404, "not found"},
		{"DELETE", "/1/datasets/none", "", 404, "not found"},
		{"GET", "/1/columns/none", "", 404, "not found"},
		{"GET", "/1/columns/", "", 400, "missing"},
		{"DELETE", "/1/datasets", "", 405, "GET, POST"},
		{"POST", "/1/datasets/my-data", "", 405, "GET, DELETE"},
		{"POST", "/1/columns/my-data", "", 405, "GET"},
	} {
		w := call{method: c.method, path: c.path, body: c.body}.do(h)
		if got := w.Body.String(); w.Code != c.code || !strings.Contains(got, c.want) {
			t.Errorf("%s %s: %d %s, want %d %s", c.method, c.path, w.Code, got, c.code, c.want)
		}
		if problem := strings.HasSuffix(w.Header().Get("Content-Type"), "problem+json") && strings.Contains(w.Body.String(), `"type":"`); problem != (c.code >= 400 && c.code != 405) {
			t.Errorf("%s %s: %d %s", c.method, c.path, w.Code, w.Header().Get("Content-Type"))
		}
	}
	eventually(t, "columns are there", func() bool {
		_, got := do("GET", "/1/columns/my-data", "")
		return got == `[{"id":"1-0","key_name":"a","type":"string","types":["string"],"hidden":false},{"id":"1-1","key_name":"b","type":"float","types":["float","integer"],"hidden":false}]`
	})
	if code, got := do("DELETE", "/1/datasets/my-data", ""); code != 202 || got != "" {
		t.Errorf("%d %s", code, got)
	}
	eventually(t, "the next event makes a new one", func() bool {
		do("POST", "/1/batch/my%20data", goodBody)
		_, got := do("GET", "/1/datasets", "")
		return strings.Contains(got, `"id":2,"name":"my data"`)
	})
	if w := (call{method: "GET", path: "/1/datasets", header: map[string]string{"X-Honeycomb-Team": "key2"}}).do(h); w.Body.String() != "[]\n" {
		t.Errorf("another team sees %s", w.Body)
	}

	s.store.set(fmt.Errorf("away: %w", port.ErrRefused))
	if code, got := do("POST", "/1/datasets", `{"name":"x"}`); code != 503 || !strings.Contains(got, "nothing was changed") {
		t.Errorf("%d %s", code, got)
	}
	s.store.set(fmt.Errorf("gone: %w", port.ErrUnknown))
	if code, got := do("POST", "/1/datasets", `{"name":"x"}`); code != 504 || !strings.Contains(got, "may be done") {
		t.Errorf("%d %s", code, got)
	}
}

// TestBadEventsOverHTTP: each kind of bad event gets its own error, those around it are stored.
func TestBadEventsOverHTTP(t *testing.T) {
	t.Parallel()
	wide := make([]string, 2001)
	for i := range wide {
		wide[i] = fmt.Sprintf(`"f%d":%d`, i, i)
	}
	future := time.Now().Add(48 * time.Hour).UTC().Format(time.RFC3339)
	for name, c := range map[string]struct {
		bad, text string // no text: it is taken
	}{
		"NaN":                   {`{"data":{"a":NaN}}`, "NaN or infinite"},
		"Infinity":              {`{"data":{"a":-Infinity}}`, "NaN or infinite"},
		"huge number":           {`{"data":{"a":1e999}}`, "64 bits"},
		"nested too deep":       {`{"data":{"a":` + strings.Repeat("[", 50_000) + strings.Repeat("]", 50_000) + `}}`, "1000 levels"},
		"2,001 columns":         {`{"data":{` + strings.Join(wide, ",") + `}}`, "Event has too many columns."},
		"65 KB string":          {`{"data":{"a":"` + strings.Repeat("x", 65<<10) + `"}}`, "66560 bytes"},
		"1 MB event":            {`{"data":{"a":[` + strings.Repeat("1,", 500_000) + `1]}}`, "bytes"},
		"not UTF-8":             {"{\"data\":{\"a\":\"\xfe\"}}", "UTF-8"},
		"empty":                 {`{"data":{}}`, "Request body should not be empty."},
		"a number":              {`7`, "must be an object"},
		"before 1970":           {`{"data":{"a":1},"time":"1066-10-14T09:00:00Z"}`, "before 1970"},
		"no time at all":        {`{"data":{"a":1},"time":"yesterday"}`, "yesterday"},
		"sample rate below one": {`{"data":{"a":1},"samplerate":-4}`, "samplerate"},
		"far future":            {`{"data":{"a":1},"time":"` + future + `"}`, ""},
		"nested to any depth":   {`{"data":{"a":{"b":{"c":{"d":{"e":{"f":{"g":1}}}}}}}}`, ""},
		"repeated names":        {`{"data":{"a":1,"a":"x"}}`, ""},
		"four types":            {`{"data":{"a":true,"b":null,"c":1.5,"d":"x"}}`, ""},
	} {
		b := newBench(t, 2, nil)
		w := call{body: `[{"data":{"n":1}},` + c.bad + `,{"data":{"n":2}}]`}.do(Handler(b.Shepherd))
		var got []wireStatus
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 || len(got) != 3 {
			t.Errorf("%s: %v, %d %.200s", name, err, w.Code, w.Body)
			continue
		}
		wantCode, stored := 202, 3
		if c.text != "" {
			wantCode, stored = 400, 2
		}
		if got[0].Status != 202 || got[1].Status != wantCode || !strings.Contains(got[1].Error, c.text) || got[2].Status != 202 || len(b.log.storedEvents(t)) != stored {
			t.Errorf("%s: %.300s", name, w.Body)
		}
		for _, e := range b.log.storedEvents(t) {
			if time.Until(e.Time) > time.Hour {
				t.Errorf("%s: stored with time %v", name, e.Time)
			}
		}
	}
}

func TestStatusTellsAboutTeams(t *testing.T) {
	t.Parallel()
	b := newBench(t, 2, nil)
	for _, key := range []string{"key", "key2"} {
		b.Accept(context.Background(), batchFrom(key, "d-"+key, 1))
	}
	var h Health
	w := call{method: "GET", path: "/status"}.do(Handler(b.Shepherd))
	if err := json.Unmarshal(w.Body.Bytes(), &h); err != nil || w.Code != http.StatusOK {
		t.Fatal(err, w.Code)
	}
	if names := []string{h.Teams[0].Name, h.Teams[1].Name}; !slices.Equal(names, []string{"one", "two"}) || h.PeakEvents != 1 || h.PeakBytes < 20 || h.MaxInFlightBytes != 64<<20 || h.MaxInFlightEvents != 200_000 {
		t.Errorf("%+v", h)
	}
}
