package process

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	metricspb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	"google.golang.org/protobuf/proto"

	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
	"github.com/ratel-sim/ratel/system/telemetry"
)

// ticking is a recorder of a role that says everything that the catalogue has.
func ticking(t *testing.T, role string) *telemetry.Recorder {
	t.Helper()
	n := node{Wall: rt.NewWall(1), name: role + "1"}
	t.Cleanup(n.Kill)
	r := recorder(n, Config{Node: role + "1", Role: system.Role(role), Zone: "a"}, nil)
	say := func(kind string, f []telemetry.Field) []telemetry.Field {
		for _, k := range telemetry.Catalogue() {
			for _, m := range k.Fields {
				switch {
				case k.Name != kind || m.Role != role || kind == telemetry.KindTick && m.Role == "":
				case m.Type == telemetry.State:
					f = append(f, telemetry.Bool(m.Name, true))
				case strings.HasSuffix(m.Name, "_ms"):
					f = append(f, telemetry.Millis(m.Name, 1500*time.Millisecond))
				default:
					f = append(f, telemetry.Int(m.Name, 7))
				}
			}
		}
		return f
	}
	r.OnTick(func(f []telemetry.Field) []telemetry.Field { return say(telemetry.KindTick, f) })
	if role == "beagle" {
		r.OnLoops(func(tell func(...telemetry.Field)) { tell(say(telemetry.KindLoop, nil)...) })
	}
	r.End(t.Context()) // says how it is
	return r
}

func scrape(t *testing.T, r *telemetry.Recorder) string {
	t.Helper()
	h := withMetrics(r, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/other", nil))
	if rec.Code != http.StatusTeapot {
		t.Errorf("another path was answered %d", rec.Code)
	}
	rec = httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, pathMetrics, nil))
	body, err := io.ReadAll(rec.Body)
	if err != nil || rec.Code != http.StatusOK {
		t.Fatalf("GET %s: %d, %v: %s", pathMetrics, rec.Code, err, body)
	}
	return string(body)
}

// exposed are the names of all metrics of all roles.
func exposed(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, role := range telemetry.Roles() {
		for _, line := range strings.Split(scrape(t, ticking(t, role)), "\n") {
			if name, _, ok := strings.Cut(line, "{"); ok && !strings.HasPrefix(line, "#") {
				names[name] = true
			}
		}
	}
	return names
}

func TestMetricsAreAsPrometheusWantsThem(t *testing.T) {
	t.Parallel()
	for _, role := range telemetry.Roles() {
		text := scrape(t, ticking(t, role))
		problems, err := promlint.New(strings.NewReader(text)).Lint()
		if err != nil {
			t.Fatalf("%s: %v\n%s", role, err, text)
		}
		for _, p := range problems {
			if strings.HasPrefix(p.Metric, "ratel_") {
				t.Errorf("%s: %s: %s", role, p.Metric, p.Text)
			}
		}
		all := metricsOf(role, telemetry.KindTick)
		for field, m := range metricsOf(role, telemetry.KindLoop) {
			all["loop "+field] = m
		}
		for field, m := range all {
			if !strings.Contains(text, "\n"+m.name+"{") {
				t.Errorf("%s: %s is not exposed as %s", role, field, m.name)
			}
		}
	}
	if text := scrape(t, ticking(t, "shepherd")); !strings.Contains(text, `ratel_kafka_max_seconds{node="shepherd1",role="shepherd",zone="a"} 1.5`) ||
		!strings.Contains(text, `ratel_draining{node="shepherd1",role="shepherd",zone="a"} 1`) {
		t.Errorf("durations are not seconds, or states not 0 and 1:\n%s", text)
	}
}

// TestDashboard holds every query of the dashboard to what roles expose.
func TestDashboard(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../../docs/grafana/ratel.json")
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Title  string `json:"title"`
		Panels []struct {
			Title   string `json:"title"`
			Targets []struct {
				Expr string `json:"expr"`
			} `json:"targets"`
		} `json:"panels"`
	}
	if err := json.Unmarshal(data, &board); err != nil {
		t.Fatal(err)
	}
	names := exposed(t)
	name := regexp.MustCompile(`\b(ratel|go|process)_[a-z0-9_]+`)
	found := 0
	for _, p := range board.Panels {
		if len(p.Targets) == 0 {
			t.Errorf("panel %q asks nothing", p.Title)
		}
		for _, target := range p.Targets {
			queried := name.FindAllString(target.Expr, -1)
			if len(queried) == 0 {
				t.Errorf("panel %q: %q queries no metric", p.Title, target.Expr)
			}
			for _, q := range queried {
				found++
				if !names[q] && !strings.HasPrefix(q, "go_") && !strings.HasPrefix(q, "process_") {
					t.Errorf("panel %q queries %s, which no role exposes", p.Title, q)
				}
			}
		}
	}
	if found < 20 {
		t.Errorf("the dashboard queries %d metrics", found)
	}
}

func TestMetricsAreExportedOverOTLP(t *testing.T) {
	t.Parallel()
	got := make(chan *metricspb.ExportMetricsServiceRequest, 8)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var req metricspb.ExportMetricsServiceRequest
		if err = errors.Join(err, proto.Unmarshal(body, &req)); err != nil || r.URL.Path != "/v1/metrics" || r.Header.Get("X-Key") != "k" {
			t.Errorf("%s: %v, headers %v", r.URL.Path, err, r.Header)
		}
		got <- &req
	}))
	defer server.Close()
	w := rt.NewWall(1)
	defer w.Kill()
	o := OTLP{Endpoint: server.URL, Headers: map[string]string{"X-Key": "k"}}
	if err := o.Check(); err != nil {
		t.Fatal(err)
	}
	stop, err := export(t.Context(), w, o, ticking(t, "beagle"))
	if err != nil {
		t.Fatal(err)
	}
	if err := stop(t.Context()); err != nil { // exports what there is
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, m := range (<-got).ResourceMetrics[0].ScopeMetrics[0].Metrics {
		if sum := m.GetSum(); sum != nil {
			values[m.Name] = sum.DataPoints[0].GetAsDouble()
		} else {
			values[m.Name] = m.GetGauge().DataPoints[0].GetAsDouble()
		}
	}
	if values["ratel.slo.good"] != 7 || values["ratel.loop.lag.records"] != 7 || values["ratel.kafka.max_ms"] != 1500 || values["ratel.group.member"] != 1 {
		t.Errorf("what arrived is %v", values)
	}
}

func TestObserverPostsBatches(t *testing.T) {
	t.Parallel()
	answer := func(w http.ResponseWriter) {}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.URL.Path != "/1/batch/shepherd" || r.Header.Get("X-Honeycomb-Team") != "key" || string(body) != "[]" {
			t.Errorf("%s %v: %s, %v", r.URL.Path, r.Header, body, err)
		}
		answer(w)
	}))
	defer server.Close()
	o := newObserver(Observe{URL: server.URL + "/", Key: "key"})
	defer o.close()
	send := func() error { return o.Observe(t.Context(), "shepherd", []byte("[]")) }
	if err := send(); err != nil {
		t.Error(err)
	}
	answer = func(w http.ResponseWriter) {
		_, _ = io.WriteString(w, `[{"status":202},{"status":429,"error":"slow down"}]`)
	}
	if err := send(); err == nil || !strings.Contains(err.Error(), "1 of 2 events") {
		t.Errorf("a batch that was taken in part: %v", err)
	}
	answer = func(w http.ResponseWriter) { w.WriteHeader(http.StatusUnauthorized) }
	if err := send(); !errors.Is(err, port.ErrRefused) {
		t.Errorf("a key that is not known: %v", err)
	}
	answer = func(w http.ResponseWriter) { w.WriteHeader(http.StatusBadGateway) }
	if err := send(); err == nil || errors.Is(err, port.ErrRefused) {
		t.Errorf("an answer that says nothing: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := o.Observe(ended, "shepherd", []byte("[]")); err == nil {
		t.Error("an observer that was given up has taken a batch")
	}
	for _, bad := range []error{Observe{URL: "host:80"}.Check(), Observe{Key: "k"}.Check(), OTLP{Endpoint: "x"}.Check(), OTLP{Endpoint: "http://x", Seconds: -1}.Check()} {
		if bad == nil {
			t.Error("a configuration that cannot work is not refused")
		}
	}
}
