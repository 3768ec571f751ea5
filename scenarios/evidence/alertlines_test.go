package evidence

import (
	"encoding/json"
	"errors"
	"math"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ratel-sim/ratel/system/definition"
)

// drawAlerting draws what counting and alerting leave behind, sensible or not.
func drawAlerting(t *rapid.T, e *Evidence, text *rapid.Generator[string], moment *rapid.Generator[time.Duration]) {
	id, small := rapid.Int64(), rapid.IntRange(0, 3)
	odd := rapid.SampledFrom([]string{`{"a":1}`, `"x"`, "{", "\x00\xff", "[1, 2 ]", ""})
	raw := func(name string) json.RawMessage {
		if s := odd.Draw(t, name); s != "" {
			return json.RawMessage(s)
		}
		return nil
	}
	for range small.Draw(t, "slos") {
		e.SLOs = append(e.SLOs, SLO{ID: id.Draw(t, "id"), Name: text.Draw(t, "name"), Traffic: small.Draw(t, "traffic"), Dataset: text.Draw(t, "dataset"), Expression: text.Draw(t, "sli"), TargetPerMillion: small.Draw(t, "target")})
	}
	for range small.Draw(t, "counts") {
		e.Counts = append(e.Counts, SLOCount{SLO: id.Draw(t, "slo"), Minute: id.Draw(t, "minute"), Good: id.Draw(t, "good"), Total: id.Draw(t, "total")})
	}
	for range small.Draw(t, "progress") {
		e.Progress = append(e.Progress, Progress{
			At: moment.Draw(t, "at"), Partition: rapid.Int32().Draw(t, "partition"), Next: id.Draw(t, "next"), Marked: moment.Draw(t, "marked"), By: text.Draw(t, "by"),
			End: id.Draw(t, "end"), Final: rapid.Bool().Draw(t, "final"),
		})
	}
	for range small.Draw(t, "alerts") {
		e.Alerts = append(e.Alerts, Alert{
			ID: id.Draw(t, "id"), Name: text.Draw(t, "name"), Dataset: text.Draw(t, "dataset"), Defined: moment.Draw(t, "defined"),
			Trigger: definition.Trigger{Name: text.Draw(t, "name"), Query: raw("query"), Frequency: small.Draw(t, "frequency"), Recipients: []definition.Recipient{{Target: text.Draw(t, "url")}}},
		})
	}
	for range small.Draw(t, "evaluations") {
		e.Evaluations = append(e.Evaluations, Evaluation{
			Alert: id.Draw(t, "alert"), Window: moment.Draw(t, "window"), Epoch: id.Draw(t, "epoch"), By: text.Draw(t, "by"), At: moment.Draw(t, "at"),
			Stale: rapid.Bool().Draw(t, "stale"), Triggered: rapid.Bool().Draw(t, "triggered"), Fires: rapid.Bool().Draw(t, "fires"), Resolves: rapid.Bool().Draw(t, "resolves"),
			Value: rapid.SampledFrom([]float64{0, 1.5, math.Inf(1), math.Inf(-1), math.NaN(), 1e300}).Draw(t, "value"), Delivered: moment.Draw(t, "delivered"), Notice: raw("notice"),
		})
	}
	for range small.Draw(t, "deliveries") {
		e.Deliveries = append(e.Deliveries, Delivery{At: moment.Draw(t, "at"), Key: text.Draw(t, "key"), Body: raw("body")})
	}
	for range small.Draw(t, "records") {
		e.Records = append(e.Records, Record{
			Partition: rapid.Int32().Draw(t, "partition"), Offset: id.Draw(t, "offset"), Source: rapid.Uint64().Draw(t, "source"), First: rapid.Uint64().Draw(t, "first"),
			Count: small.Draw(t, "count"), Number: rapid.Uint64().Draw(t, "number"), At: moment.Draw(t, "at"),
		})
	}
	for range small.Draw(t, "telemetry") {
		e.Telemetry = append(e.Telemetry, Telemetry{At: moment.Draw(t, "at"), Time: moment.Draw(t, "time"), Dataset: text.Draw(t, "dataset"), SampleRate: small.Draw(t, "rate"), Data: json.RawMessage(`{"seq":1}`)})
	}
}

// TestAnyBodySurvives: what is no JSON, and numbers that JSON does not have, are read back as they were.
func TestAnyBodySurvives(t *testing.T) {
	t.Parallel()
	for _, body := range []string{`{"a":1}`, "{", "\x00\xff\xfe", "", "[]"} {
		e := &Evidence{
			Run: Run{Version: Version}, Plan: samplePlan(),
			Deliveries:  []Delivery{{At: 1, Key: "k", Body: json.RawMessage(body)}},
			Evaluations: []Evaluation{{Alert: 1, Notice: json.RawMessage(body), Value: math.Inf(-1), Delivered: -1}},
			Alerts:      []Alert{{ID: 1, Trigger: definition.Trigger{Query: json.RawMessage(body)}}},
		}
		dir := filepath.Join(t.TempDir(), "run")
		if err := Save(dir, e); err != nil {
			t.Fatalf("%q: %v", body, err)
		}
		got, err := Load(dir)
		if err != nil {
			t.Fatalf("%q: %v", body, err)
		}
		if string(got.Deliveries[0].Body) != body || string(got.Evaluations[0].Notice) != body || string(got.Alerts[0].Trigger.Query) != body || !math.IsInf(got.Evaluations[0].Value, -1) || got.Evaluations[0].Delivered != -1 {
			t.Errorf("%q: got %+v %+v %+v", body, got.Deliveries, got.Evaluations, got.Alerts)
		}
	}
}

// TestVersion2IsStillRead: runs that were saved before there was counting and alerting keep their meaning.
func TestVersion2IsStillRead(t *testing.T) {
	t.Parallel()
	e, err := Load(filepath.Join("..", "check", "testdata", "histories", "pipeline"))
	if err != nil {
		t.Fatal(err)
	}
	if e.Run.Version != 2 || len(e.Queries) == 0 || len(e.Pairs) == 0 || e.SLOs != nil || e.Evaluations != nil {
		t.Fatalf("version %d, %d queries, %d pairs", e.Run.Version, len(e.Queries), len(e.Pairs))
	}
	again := filepath.Join(t.TempDir(), "again")
	if err := Save(again, e); err != nil {
		t.Fatal(err)
	}
	got, err := Load(again)
	if err != nil || got.Run.Version != Version || FirstDifference(e, got).Found() || !reflect.DeepEqual(e.Pairs, got.Pairs) {
		t.Fatalf("saved anew it is another: %v, %v", err, FirstDifference(e, got))
	}
}

// TestLimitsHoldForAlerting: many small records are counted against the limit of memory, too.
func TestLimitsHoldForAlerting(t *testing.T) {
	t.Parallel()
	fill := map[string]func(e *Evidence){
		SLOsFile:        func(e *Evidence) { e.SLOs = make([]SLO, 1000) },
		CountsFile:      func(e *Evidence) { e.Counts = make([]SLOCount, 1000) },
		ProgressFile:    func(e *Evidence) { e.Progress = make([]Progress, 1000) },
		AlertsFile:      func(e *Evidence) { e.Alerts = make([]Alert, 1000) },
		EvaluationsFile: func(e *Evidence) { e.Evaluations = make([]Evaluation, 1000) },
		DeliveriesFile:  func(e *Evidence) { e.Deliveries = make([]Delivery, 1000) },
		RecordsFile:     func(e *Evidence) { e.Records = make([]Record, 1000) },
		TelemetryFile:   func(e *Evidence) { e.Telemetry = slices.Repeat([]Telemetry{{Data: json.RawMessage("{}")}}, 1000) },
	}
	for name, f := range fill {
		e := &Evidence{Run: Run{Version: Version}, Plan: samplePlan()}
		f(e)
		dir := filepath.Join(t.TempDir(), "run")
		if err := Save(dir, e); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadLimited(dir, Limits{Memory: 20_000, Line: 1 << 20}); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := Load(dir); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
