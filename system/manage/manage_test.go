package manage

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system/document"
	"github.com/ratel-sim/ratel/system/port"
)

// bench is an API over a store in memory.
type bench struct {
	*testing.T
	store *store
	api   *API
	team  int64
}

func newBench(t *testing.T) *bench {
	s := newStore()
	return &bench{t, s, New(s, s, s, Options{Now: func() time.Time { return time.Unix(1_700_000_000, 0) }}), 1}
}

// do makes a request and returns its status and reply.
func (b *bench) do(method, path, body string) (int, string) {
	b.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	b.api.Serve(r.Context(), w, r, port.Team{ID: b.team, Name: "team"})
	return w.Code, strings.TrimSpace(w.Body.String())
}

// expect makes a request whose status is known, and whose reply holds all of the texts.
func (b *bench) expect(status int, method, path, body string, texts ...string) string {
	b.Helper()
	got, reply := b.do(method, path, body)
	if got != status {
		b.Fatalf("%s %s %s: %d %s, expected %d", method, path, document.Short(body), got, reply, status)
	}
	for _, text := range texts {
		if !strings.Contains(reply, text) {
			b.Errorf("%s %s %s: %s, expected %s in it", method, path, document.Short(body), reply, text)
		}
	}
	return reply
}

// create makes a definition and returns its ID.
func (b *bench) create(path, body string) string {
	b.Helper()
	var made struct{ ID string }
	if err := json.Unmarshal([]byte(b.expect(201, "POST", path, body)), &made); err != nil || made.ID == "" {
		b.Fatalf("%s: no id: %v", path, err)
	}
	return made.ID
}

const (
	column  = `{"alias":"fast","expression":"IF(EXISTS($duration_ms), $duration_ms < 250)"}`
	slo     = `{"name":"fast enough","sli":{"alias":"fast"},"time_period_days":30,"target_per_million":999000}`
	trigger = `{"name":"slow","query":{"calculations":[{"op":"P99","column":"duration_ms"}]},"threshold":{"op":">","value":1000},"frequency":60}`
	hook    = `{"type":"webhook","details":{"webhook_name":"pager","webhook_url":"http://hooks/a"}}`
)

func burn(slo string) string {
	return `{"slo":{"id":"` + slo + `"},"exhaustion_minutes":240}`
}

func TestLifeOfEachKind(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.create("/1/derived_columns/Web", column)
	sloID := b.create("/1/slos/web", slo)
	for _, c := range []struct{ path, first, second, shown string }{
		{"/1/derived_columns/web", `{"alias":"ok","expression":"$status < 500"}`, `{"alias":"ok","expression":"$status < 400"}`, `"expression":"$status < 400"`},
		{"/1/slos/web", `{"name":"a","sli":{"alias":"fast"},"time_period_days":30,"target_per_million":999000}`, `{"name":"b","sli":{"alias":"fast"},"time_period_days":7,"target_per_million":990000,"dataset_slugs":["web"]}`, `"dataset_slugs":["web"]`},
		{"/1/burn_alerts/web", burn(sloID), `{"slo":{"id":"` + sloID + `"},"alert_type":"budget_rate","budget_rate_window_minutes":60,"budget_rate_decrease_threshold_per_million":10000}`, `"triggered":false`},
		{"/1/triggers/web", trigger, strings.Replace(trigger, "1000", "2000", 1), `"value":2000`},
		{"/1/markers/web", `{"message":"deploy"}`, `{"message":"deployed","start_time":5}`, `"start_time":5`},
		{"/1/markers/__all__", `{"message":"deploy"}`, `{"message":"deployed","start_time":5}`, `"start_time":5`},
		{"/1/recipients", hook, strings.Replace(hook, "/a", "/b", 1), `"webhook_url":"http://hooks/b"`},
	} {
		id := b.create(c.path, c.first)
		if again := b.create(c.path, c.first); again != id {
			t.Errorf("%s: the same again is %s, not %s", c.path, again, id)
		}
		one := c.path + "/" + id
		b.expect(200, "GET", one, "", `"id":"`+id+`"`, `"created_at":"2023-11-14T22:`, `"updated_at":"2023-`)
		b.expect(200, "PUT", one, c.second, `"id":"`+id+`"`, c.shown)
		b.expect(200, "GET", one, "", c.shown)
		// What is replied can be sent back.
		b.expect(200, "PUT", one, b.expect(200, "GET", one, ""), c.shown)
		b.expect(200, "GET", c.path, "", `"id":"`+id+`"`)
		b.expect(200, "HEAD", c.path, "")
		if status, reply := b.do("DELETE", one, ""); status != 204 || reply != "" {
			t.Errorf("DELETE %s: %d %s", one, status, reply)
		}
		b.expect(404, "GET", one, "", "not found", `"type":"https://api.honeycomb.io/problems/not-found"`)
		b.expect(404, "PUT", one, c.first)
		b.expect(404, "DELETE", one, "")
	}
	if list := b.expect(200, "GET", "/1/triggers/web", ""); list != "[]" {
		t.Error(list)
	}
}

func TestReferences(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.expect(422, "POST", "/1/slos/web", slo, `"field":"sli.alias"`, "has no derived column", "create it first")
	columnID := b.create("/1/derived_columns/web", column)
	b.expect(422, "POST", "/1/slos/web", strings.Replace(slo, `"fast"`, `"fst"`, 1), "did you mean fast?")
	b.expect(422, "POST", "/1/slos/api", slo, "has no derived column") // another dataset
	number := b.create("/1/derived_columns/web", `{"alias":"number","expression":"$status + 1"}`)
	b.expect(422, "POST", "/1/slos/web", strings.Replace(slo, `"fast"`, `"number"`, 1), "is a number, and an SLI must be a boolean")
	b.expect(422, "POST", "/1/slos/web", strings.Replace(slo, `}`, `},"dataset_slugs":["web","api"]`, 1), `"field":"dataset_slugs"`, `"code":"unsupported"`)
	sloID := b.create("/1/slos/web", slo)

	b.expect(409, "DELETE", "/1/derived_columns/web/"+columnID, "", "SLO \\\"fast enough\\\" is made of", "problems/conflict")
	b.expect(409, "PUT", "/1/derived_columns/web/"+columnID, `{"alias":"faster","expression":"$duration_ms < 1"}`, "cannot be renamed")
	b.expect(409, "PUT", "/1/derived_columns/web/"+columnID, `{"alias":"fast","expression":"$duration_ms"}`, "must stay a boolean")
	b.expect(200, "PUT", "/1/derived_columns/web/"+columnID, `{"alias":"fast","expression":"$duration_ms < 100"}`)
	b.expect(422, "POST", "/1/derived_columns/web", `{"alias":"x","expression":"NOT($fast)"}`, "which others cannot be made of", "$duration_ms < 100")
	b.expect(409, "POST", "/1/derived_columns/web", `{"alias":"status","expression":"1"}`, "has a column")
	b.expect(204, "DELETE", "/1/derived_columns/web/"+number, "")

	for _, query := range []string{`{"calculations":[{"op":"P99","column":"fast"}]}`, `{"breakdowns":["fast"]}`, `{"filters":[{"column":"fast","op":"=","value":false}]}`,
		`{"calculations":[{"op":"COUNT","filters":[{"column":"fast","op":"exists"}]}]}`} {
		b.expect(422, "POST", "/1/triggers/web", `{"name":"t","threshold":{"op":">","value":1},"query":`+query+`}`, `"field":"query"`, "queries do not calculate here")
	}
	b.expect(201, "POST", "/1/triggers/api", `{"name":"t","threshold":{"op":">","value":1},"query":{"breakdowns":["fast"]}}`) // another dataset

	b.expect(422, "POST", "/1/burn_alerts/web", burn("999"), `"field":"slo.id"`, "has no SLO 999")
	b.expect(422, "POST", "/1/burn_alerts/api", burn(sloID), "has no SLO")
	rate := `{"slo":{"id":"` + sloID + `"},"alert_type":"budget_rate","budget_rate_window_minutes":%d,"budget_rate_decrease_threshold_per_million":10000}`
	b.expect(422, "POST", "/1/burn_alerts/web", fmt.Sprintf(rate, 43201), "longer than the SLO's 30 days")
	alert := b.create("/1/burn_alerts/web", fmt.Sprintf(rate, 43200))
	b.expect(409, "PUT", "/1/slos/web/"+sloID, strings.Replace(slo, "30", "29", 1), "change it first")
	b.expect(409, "DELETE", "/1/slos/web/"+sloID, "", "burn alert "+alert)
	b.expect(200, "GET", "/1/burn_alerts/web?slo_id="+sloID, "", `"id":"`+alert+`"`)
	if list := b.expect(200, "GET", "/1/burn_alerts/web?slo_id=7777", ""); list != "[]" {
		t.Error(list)
	}
	b.expect(204, "DELETE", "/1/burn_alerts/web/"+alert, "")
	b.expect(204, "DELETE", "/1/slos/web/"+sloID, "")
	b.expect(204, "DELETE", "/1/derived_columns/web/"+columnID, "")
}

// TestTeamWideColumns: an SLI may be a derived column of the whole team, unless the dataset has one of that alias.
func TestTeamWideColumns(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	wide := b.create("/1/derived_columns/__all__", column)
	b.expect(200, "GET", "/1/derived_columns/__all__", "", `"alias":"fast"`)
	b.expect(422, "POST", "/1/derived_columns/web", `{"alias":"x","expression":"NOT($fast)"}`, "which others cannot be made of")
	asks := func(column string) string {
		return `{"name":"t","threshold":{"op":">","value":1},"query":{"calculations":[{"op":"MAX","column":"` + column + `"}]}}`
	}
	b.expect(422, "POST", "/1/triggers/web", asks("fast"), `"field":"query"`, "queries do not calculate here")
	own := b.create("/1/triggers/web", asks("duration_ms"))
	b.expect(422, "PUT", "/1/triggers/web/"+own, asks("fast"), `"field":"query"`, "queries do not calculate here")
	b.create("/1/derived_columns/__all__", `{"alias":"status","expression":"$a"}`)
	b.expect(201, "POST", "/1/triggers/web", strings.Replace(asks("status"), `"t"`, `"u"`, 1)) // events have such a column
	sloID := b.create("/1/slos/web", slo)
	b.expect(409, "DELETE", "/1/derived_columns/__all__/"+wide, "", `SLO \"fast enough\" is made of`)
	b.expect(409, "PUT", "/1/derived_columns/__all__/"+wide, `{"alias":"fast","expression":"$duration_ms"}`, "must stay a boolean")
	b.expect(409, "POST", "/1/derived_columns/web", `{"alias":"fast","expression":"$duration_ms"}`, "instead of the team's")
	own = b.create("/1/derived_columns/web", column)
	b.expect(409, "DELETE", "/1/derived_columns/web/"+own, "", `SLO \"fast enough\" is made of`)
	b.expect(204, "DELETE", "/1/derived_columns/__all__/"+wide, "")
	b.expect(204, "DELETE", "/1/slos/web/"+sloID, "")
	b.expect(204, "DELETE", "/1/derived_columns/web/"+own, "")
	wide = b.create("/1/derived_columns/__all__", column)
	b.team = 2
	b.expect(422, "POST", "/1/slos/web", slo, "has no derived column")
	b.expect(404, "DELETE", "/1/derived_columns/__all__/"+wide, "")
}

func TestMissingColumnsAreWarnedOf(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.expect(201, "POST", "/1/derived_columns/web", `{"alias":"fast","expression":"$duration_m < 250"}`, `"warnings":["no event of dataset \"Web\" has had column \"duration_m\" so far`, `did you mean \"duration_ms\"?`)
	b.expect(201, "POST", "/1/slos/web", slo, `"warnings":[`)
	b.expect(201, "POST", "/1/triggers/web", `{"name":"t","threshold":{"op":">","value":1},"query":{"calculations":[{"op":"MAX","column":"duration_mz"}],"filters":[{"column":"status","op":">","value":499}]}}`,
		`"warnings":["no event of dataset \"Web\" has had column \"duration_mz\" so far: it is null until one has; did you mean \"duration_ms\"?"]`)
	if reply := b.expect(200, "GET", "/1/slos/web", ""); strings.Contains(reply, "warnings") {
		t.Error(reply)
	}
}

func TestRecipients(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	id := b.create("/1/recipients", hook)
	withRecipient := func(body, id string) string {
		return strings.TrimSuffix(body, "}") + `,"recipients":[{"id":"` + id + `"}]}`
	}
	b.expect(422, "POST", "/1/triggers/web", withRecipient(trigger, "99"), `"field":"recipients[0].id"`)
	triggerID := b.create("/1/triggers/web", withRecipient(trigger, id))
	b.expect(200, "GET", "/1/triggers/web/"+triggerID, "", `"recipients":[{"id":"`+id+`","type":"webhook","target":"http://hooks/a"}]`)
	b.create("/1/derived_columns/api", column)
	alertID := b.create("/1/burn_alerts/api", withRecipient(burn(b.create("/1/slos/api", slo)), id))
	b.expect(409, "DELETE", "/1/recipients/"+id, "", "2 alerts name recipient")
	b.expect(200, "PUT", "/1/recipients/"+id, strings.Replace(hook, "/a", "/b", 1))
	b.expect(200, "GET", "/1/triggers/web/"+triggerID, "", `"target":"http://hooks/b"`)
	b.expect(200, "GET", "/1/burn_alerts/api/"+alertID, "", `"target":"http://hooks/b"`)
	b.team = 2
	b.expect(404, "GET", "/1/recipients/"+id, "")
	b.expect(422, "POST", "/1/triggers/web", withRecipient(trigger, id), "the team has no recipient")
	if list := b.expect(200, "GET", "/1/recipients", ""); list != "[]" {
		t.Error(list)
	}
}

func TestTriggered(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	id := b.create("/1/triggers/web", trigger)
	b.expect(200, "GET", "/1/triggers/web/"+id, "", `"triggered":false`, `"dataset_slug":"web"`)
	b.store.fired[1] = true
	b.expect(200, "GET", "/1/triggers/web/"+id, "", `"triggered":true`)
	b.expect(200, "GET", "/1/triggers/web", "", `"triggered":true`)
	b.store.fired[1] = false
	b.expect(200, "GET", "/1/triggers/web/"+id, "", `"triggered":false`)
}

func TestTeamsAndDatasetsAreApart(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	id := b.create("/1/triggers/web", trigger)
	marker := b.create("/1/markers/__all__", `{"message":"m"}`)
	b.expect(404, "GET", "/1/triggers/api/"+id, "")
	b.expect(404, "GET", "/1/slos/web/"+id, "")
	b.expect(404, "GET", "/1/markers/web/"+marker, "")
	b.team = 2
	b.expect(404, "GET", "/1/triggers/web/"+id, "")
	b.expect(404, "DELETE", "/1/triggers/web/"+id, "")
	b.expect(404, "GET", "/1/markers/__all__/"+marker, "")
	b.expect(404, "GET", "/1/triggers/api", "", `dataset \"api\" not found`)
	if list := b.expect(200, "GET", "/1/markers/__all__", ""); list != "[]" {
		t.Error(list)
	}
	if other := b.create("/1/triggers/WEB", trigger); other == id {
		t.Error("two teams have one trigger")
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.create("/1/triggers/web", trigger)
	for _, c := range []struct {
		status             int
		method, path, body string
		text               string
	}{
		{409, "POST", "/1/triggers/web", strings.Replace(trigger, "1000", "5", 1), "another trigger"},
		{400, "POST", "/1/triggers/web", `{`, "malformed"}, {400, "POST", "/1/triggers/web", ``, "problems/unparseable"},
		{413, "POST", "/1/triggers/web", `{"name":"` + strings.Repeat("x", 70_000) + `"}`, "at most 65536 bytes"}, {400, "POST", "/1/triggers/web", "{\"name\":\"\xff\"}", "not UTF-8"},
		{422, "POST", "/1/triggers/web", `[]`, "expected an object"}, {422, "POST", "/1/triggers/web", `{"name":"a"}`, `"type_detail":[{"code":"missing","field":"threshold"`},
		{422, "POST", "/1/derived_columns/web", `{"alias":"a","expression":"LTT(1)"}`, `"field":"expression","description":"line 1, column 1: there is no function LTT`},
		{422, "POST", "/1/derived_columns/web", `{"alias":"a","expression":"` + strings.Repeat("(", 10_000) + `"}`, "nested too deeply"},
		{422, "GET", "/1/slos/__all__", ``, "belongs to one dataset"},
		{404, "GET", "/1/triggers", ``, "the dataset is missing"}, {404, "GET", "/1/triggers/", ``, "the dataset is missing"}, {404, "GET", "/1/triggers/nope", ``, `dataset \"nope\" not found`}, {404, "GET", "/1/triggers/web/x", ``, "its ID is a number"},
		{404, "GET", "/1/triggers/web/1/2", ``, "unknown path"}, {404, "GET", "/1/derived_columns/web?alias=x", ``, `derived column \"x\" not found`}, {400, "GET", "/1/triggers/%20", ``, "empty"}, {400, "GET", "/1/triggers/" + strings.Repeat("a", 300), ``, "300 bytes"},
		{405, "PUT", "/1/triggers/web", trigger, "use GET, POST"}, {405, "POST", "/1/triggers/web/1", trigger, "use GET, PUT, DELETE"},
	} {
		b.expect(c.status, c.method, c.path, c.body, c.text, fmt.Sprintf(`"status":%d`, c.status), `"title":"`, `"error":"`)
	}
	w := httptest.NewRecorder()
	Fail(w, http.StatusUnauthorized, "x")
	if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
		t.Error(got)
	}
}

func TestServes(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]bool{
		"/1/triggers/web": true, "/1/recipients": true, "/1/slos/a/5": true, "/1/columns/web": false, "/1/triggersx": false, "/2/triggers": false, "/": false,
	} {
		if Serves(path) != want {
			t.Errorf("%s: %v", path, !want)
		}
	}
}

func TestTooMany(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.create("/1/derived_columns/web", column)
	for i := range 100 {
		b.create("/1/slos/web", strings.Replace(slo, "fast enough", fmt.Sprint("slo ", i), 1))
	}
	b.expect(422, "POST", "/1/slos/web", slo, "100 SLOs already", `"code":"too many"`)
	b.create("/1/slos/web", strings.Replace(slo, "fast enough", "slo 5", 1)) // it is there
}

// TestUncertainStore: an unknown outcome is asked for once more; what stays unknown is said to be.
func TestUncertainStore(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.store.fail, b.store.failures = port.ErrUnknown, 1
	id := b.create("/1/triggers/web", trigger)
	b.store.failures = 1
	b.expect(200, "PUT", "/1/triggers/web/"+id, strings.Replace(trigger, "1000", "5", 1), `"value":5`)
	b.store.failures = 1
	b.expect(204, "DELETE", "/1/triggers/web/"+id, "")
	b.store.failures = 2
	b.expect(504, "POST", "/1/triggers/web", trigger, "may be done")
	b.store.fail, b.store.failures = port.ErrRefused, 1
	b.expect(503, "POST", "/1/triggers/api", trigger, "nothing was changed")
	b.store.failures = -1
	b.expect(503, "GET", "/1/triggers/api", "")
	b.store.fail = port.ErrUnknown
	b.expect(504, "GET", "/1/triggers/api", "")
}

func TestDamagedDefinition(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	id := b.create("/1/triggers/web", trigger)
	d := b.store.defs[1]
	d.Body = []byte(`{`)
	b.store.defs[1] = d
	b.expect(500, "GET", "/1/triggers/web", "", "trigger "+id+" is damaged")
	b.expect(204, "DELETE", "/1/triggers/web/"+id, "")
}

func FuzzServe(f *testing.F) {
	f.Add("POST", "/1/derived_columns/web", column)
	f.Add("POST", "/1/slos/web", slo)
	f.Add("PUT", "/1/triggers/web/1", trigger)
	f.Add("POST", "/1/burn_alerts/web", burn("1"))
	f.Add("POST", "/1/markers/__all__", `{}`)
	f.Add("DELETE", "/1/recipients/1", "")
	f.Fuzz(func(t *testing.T, method, path, body string) {
		b := newBench(t)
		b.create("/1/derived_columns/web", column)
		b.create("/1/slos/web", slo)
		r, err := http.NewRequest(method, "http://x"+path, strings.NewReader(body))
		if err != nil {
			return
		}
		w := httptest.NewRecorder()
		b.api.Serve(r.Context(), w, r, port.Team{ID: 1})
		if w.Code >= 500 || w.Code != 204 && method != "HEAD" && !json.Valid(w.Body.Bytes()) {
			t.Fatalf("%s %s %s: %d %s", method, path, body, w.Code, w.Body)
		}
	})
}
