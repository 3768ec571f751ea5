package check_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/ratel-sim/ratel/scenarios/check"
	"github.com/ratel-sim/ratel/scenarios/engine"
	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/scenarios/library"
	"github.com/ratel-sim/ratel/sim"
)

// TestLiesOfTelemetryAreTold: what an honest run said passes; each lie that is told into it is found, and named.
func TestLiesOfTelemetryAreTold(t *testing.T) {
	t.Parallel()
	script, err := library.Find("dogfood-overload")
	if err != nil {
		t.Fatal(err)
	}
	p, err := script.Plan(nil, 7)
	if err != nil {
		t.Fatal(err)
	}
	ev, err := engine.Run(context.Background(), sim.New(sim.Options{Seed: 7}), p, engine.Options{Seed: 7})
	if err != nil {
		t.Fatal(err)
	}
	honest := ev.Telemetry
	// each gives every event that lie chooses other fields; nil drops it.
	each := func(lie func(data map[string]any) map[string]any) func() {
		return func() {
			ev.Telemetry = nil
			for _, e := range honest {
				var data map[string]any
				if err := json.Unmarshal(e.Data, &data); err != nil {
					t.Fatal(err)
				}
				if data = lie(data); data == nil {
					continue
				}
				if e.Data, err = json.Marshal(data); err != nil {
					t.Fatal(err)
				}
				ev.Telemetry = append(ev.Telemetry, e)
			}
		}
	}
	tick := func(node string, change func(data map[string]any)) func() {
		return each(func(data map[string]any) map[string]any {
			if data["meta.kind"] == "tick" && (node == "" || data["node"] == node) {
				change(data)
			}
			return data
		})
	}
	set := func(node, field string, value any) func() {
		return tick(node, func(data map[string]any) { data[field] = value })
	}
	for _, row := range []struct {
		name    string
		lie     func()
		verdict check.Verdict
		says    string
	}{
		{"nothing", func() { ev.Telemetry = honest }, check.Pass, ""},
		{"too many accepted", set("shepherd1", "events.accepted", 1e9), check.Fail, "is not what clients were answered"},
		{"too few accepted", set("shepherd2", "events.accepted", 0), check.Fail, "is not what clients were answered"},
		{"losses not counted", tick("retriever1", func(d map[string]any) { d["telemetry.dropped"], d["telemetry.failed"] = 0, 0 }), check.Fail, "does not say how much"},
		{"sent too much", set("retriever2", "telemetry.sent", 1e9), check.Fail, "has taken what it has not"},
		{"more waits than may", set("retriever2", "telemetry.waiting", 1e9), check.Fail, "more telemetry than it may"},
		{"another lag", tick("retriever1", func(d map[string]any) { d["log.end"] = d["offset.next"].(float64) + 5; d["lag.records"] = 0 }), check.Fail, "another lag"},
		{"beyond the log", tick("retriever1", func(d map[string]any) { d["log.end"], d["lag.records"] = 1e9, 1e9-d["offset.next"].(float64) }), check.Fail, "longer than it is"},
		{"durable before it is read", tick("retriever1", func(d map[string]any) {
			d["offset.durable"] = max(d["offset.next"].(float64), d["snapshot.next"].(float64)) + 1
		}), check.Fail, "has not read"},
		{"not fresh", tick("retriever1", func(d map[string]any) {
			d["offset.next"], d["log.end"], d["lag.records"], d["offset.durable"], d["fresh.age_ms"] = 0, 0, 0, 0, 0
		}), check.Fail, "not as fresh"},
		{"fewer queries", set("query1", "queries", 1), check.Fail, "more queries than it says"},
		{"a counter falls", tick("shepherd1", func(d map[string]any) { d["requests"] = -d["requests"].(float64) }), check.Fail, "only counts"},
		{"errors swallowed", tick("", func(d map[string]any) {
			for field := range d {
				for _, end := range []string{".errors", ".unknown", ".given_up", ".max_ms", ".oldest_ms", ".failing_ms"} {
					if strings.HasSuffix(field, end) {
						d[field] = 0
					}
				}
			}
		}), check.Fail, "kill kafka"},
		{"one says nothing", each(func(d map[string]any) map[string]any {
			if d["node"] == "query1" {
				return nil
			}
			return d
		}), check.Fail, "says nothing about itself"},
		{"one never ticks", each(func(d map[string]any) map[string]any {
			if d["node"] == "query1" && d["meta.kind"] == "tick" {
				return nil
			}
			return d
		}), check.Fail, "says nothing although it is well"},
		{"somebody else", set("query1", "node", "query9"), check.Fail, "not there"},
		{"none at all", func() { ev.Telemetry = nil }, check.Inconclusive, "taken nothing"},
		{"not all kept", func() {
			ev.Telemetry = honest
			ev.Gaps = append(ev.Gaps, evidence.Gap{What: "telemetry", Why: "too much"})
		}, check.Inconclusive, "too much"},
	} {
		row.lie()
		for _, res := range check.Judge(ev).Results {
			if res.Check != check.CheckTelemetry {
				continue
			}
			text := res.Summary
			for _, f := range res.Findings {
				text += "\n" + f.Title
			}
			if res.Verdict != row.verdict || !strings.Contains(text, row.says) {
				t.Errorf("%s: %v, %s", row.name, res.Verdict, text)
			}
		}
	}
}
