package plan

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/ratel-sim/ratel/system/beagle"
	"github.com/ratel-sim/ratel/system/definition"
	"github.com/ratel-sim/ratel/system/expr"
	"github.com/ratel-sim/ratel/system/group"
	"github.com/ratel-sim/ratel/system/trigger"
)

// Objective is an SLO that is defined for each dataset of a load before the load begins.
type Objective struct {
	Name    string   `json:"name"`
	Traffic string   `json:"traffic"`
	SLI     string   `json:"sli"` // a derived-column expression: true is good, false is bad, null does not count
	Target  float64  `json:"target"`
	Period  Duration `json:"period"` // whole days
	Pos     Pos      `json:"pos"`
}

// Alert is a trigger that is defined for each dataset of a load before the load begins.
type Alert struct {
	Name    string          `json:"name"`
	Traffic string          `json:"traffic"`
	Query   json.RawMessage `json:"query"` // without start and end: time_range is what is looked at
	Op      string          `json:"op"`
	Value   float64         `json:"value"`
	// Every is how often it is evaluated: whole seconds. Honeycomb's own least is a minute.
	Every Duration             `json:"every"`
	Type  definition.AlertType `json:"type"`
	Pos   Pos                  `json:"pos"`
}

const day = 24 * time.Hour

// Problems says what is wrong with an objective, by itself.
func (o Objective) Problems() Problems {
	f := &found{pos: o.Pos, step: fmt.Sprintf("objective %q", o.Name)}
	if !namePattern.MatchString(o.Name) {
		f.add("name", nameHint, "its name is not usable")
	}
	if e, err := expr.Parse(o.SLI); err != nil {
		f.add("sli", `write such as "LT($duration_ms, 1000)"`, "the expression cannot be read: %v", err)
	} else if t := e.Type(); t != expr.Bool && t != expr.Any && t != expr.Null {
		f.add("sli", `write such as "LT($duration_ms, 1000)"`, "the expression gives %v, expected true, false or null", t)
	}
	if math.IsNaN(o.Target) || o.Target <= 0 || o.Target >= 1 {
		f.add("target", `write such as 0.999 or "99.9%"`, "target must be more than 0 and less than 1, not %v", o.Target)
	}
	f.span("period", time.Duration(o.Period), day, 90*day)
	if time.Duration(o.Period)%day != 0 {
		f.add("period", `write such as "168h"`, "the period must be whole days, not %s", o.Period)
	}
	return f.list
}

// Problems says what is wrong with an alert, by itself.
func (a Alert) Problems() Problems {
	f := &found{pos: a.Pos, step: fmt.Sprintf("alert %q", a.Name)}
	if !namePattern.MatchString(a.Name) {
		f.add("name", nameHint, "its name is not usable")
	}
	f.span("every", time.Duration(a.Every), time.Second, 24*time.Hour)
	if time.Duration(a.Every)%time.Second != 0 {
		f.add("every", "", "every must be whole seconds, not %s", a.Every)
	}
	if ops := []string{">", ">=", "<", "<="}; !slices.Contains(ops, a.Op) {
		f.add("op", oneOf(a.Op, ops), "there is no comparison %q", a.Op)
	}
	if math.IsNaN(a.Value) || math.IsInf(a.Value, 0) {
		f.add("value", "", "the threshold must be a number")
	}
	if types := []string{string(definition.OnChange), string(definition.OnTrue)}; !slices.Contains(types, string(a.Type)) {
		f.add("type", oneOf(string(a.Type), types), "there is no alert type %q", a.Type)
	}
	if len(f.list) > 0 {
		return f.list
	}
	body, err := json.Marshal(a.Trigger(""))
	if err == nil {
		_, err = definition.ParseTrigger(body, definition.Options{MinFrequency: 1})
	}
	if err != nil {
		f.add("query", `write such as {"calculations": [{"op": "COUNT"}], "time_range": 60}`, "it is no trigger: %v", err)
	}
	return f.list
}

// Trigger is what is defined for each dataset, with the URL that is told.
func (a Alert) Trigger(url string) definition.Trigger {
	if url == "" {
		url = "http://localhost/" // there has to be somebody
	}
	return definition.Trigger{
		Name: a.Name, Query: a.Query, Threshold: definition.Threshold{Op: a.Op, Value: a.Value},
		Frequency: int(time.Duration(a.Every) / time.Second), AlertType: a.Type,
		Recipients: []definition.Recipient{{Type: "webhook", Target: url}},
	}
}

func (p *Plan) alerting(f *found) {
	if len(p.Objectives) > MaxObjectives {
		f.add("objectives", "", "%d objectives are more than %d", len(p.Objectives), MaxObjectives)
	}
	if len(p.Alerts) > MaxAlerts {
		f.add("alerts", "", "%d alerts are more than %d", len(p.Alerts), MaxAlerts)
	}
	loads := make([]string, len(p.Traffic))
	for i := range p.Traffic {
		loads[i] = p.Traffic[i].Name
	}
	seen := map[string]bool{}
	one := func(what, name, traffic string, pos Pos, own Problems) {
		f.list = append(f.list, own...)
		if seen[what+name] {
			f.list = append(f.list, Problem{Pos: pos, Field: "name", What: fmt.Sprintf("%s %q is there twice", what, name), Hint: "give each its own name"})
		}
		seen[what+name] = true
		if !slices.Contains(loads, traffic) {
			f.list = append(f.list, Problem{Pos: pos, Field: "traffic", What: fmt.Sprintf("%s %q: there is no traffic %q", what, name, traffic), Hint: oneOf(traffic, loads)})
		}
	}
	for _, o := range p.Objectives {
		one("objective", o.Name, o.Traffic, o.Pos, o.Problems())
		if p.System.Beagles == 0 {
			f.list = append(f.list, Problem{Pos: o.Pos, What: fmt.Sprintf("objective %q: nobody counts it", o.Name), Hint: "write s.system(beagles = 2)"})
		}
	}
	for _, a := range p.Alerts {
		one("alert", a.Name, a.Traffic, a.Pos, a.Problems())
		if p.System.Triggers == 0 {
			f.list = append(f.list, Problem{Pos: a.Pos, What: fmt.Sprintf("alert %q: nobody evaluates it", a.Name), Hint: "write s.system(triggers = 2)"})
		}
	}
}

// BeagleProblems says what is wrong with the set-up of beagle workers.
func BeagleProblems(c beagle.Config) Problems {
	f := &found{step: "beagle"}
	if !slices.Contains(assignors(), c.Assignor) {
		f.add("assignor", oneOf(c.Assignor, assignors()), "there is no assignor %q", c.Assignor)
	}
	f.span("session_timeout", c.SessionTimeout, time.Second, time.Hour)
	f.span("heartbeat_every", c.HeartbeatEvery, 10*time.Millisecond, c.SessionTimeout/2)
	f.span("rebalance_timeout", c.RebalanceTimeout, time.Second, time.Hour)
	f.span("commit_every", c.CommitEvery, 10*time.Millisecond, time.Hour)
	f.between("commit_events", c.CommitEvents, 1, 1<<24)
	f.span("refresh_every", c.RefreshEvery, 10*time.Millisecond, time.Hour)
	f.span("miss_for", c.MissFor, 10*time.Millisecond, time.Hour)
	f.between("cache_size", c.CacheSize, 1, 1<<24)
	f.between("dedup_records", c.DedupRecords, 1, 1<<26)
	if c.FetchWait != 0 {
		f.span("fetch_wait", c.FetchWait, time.Millisecond, 2*time.Second)
	}
	if c.FetchBytes != 0 {
		f.atLeast("fetch_bytes", int64(c.FetchBytes), 1<<10)
	}
	if c.MissingProgress != "" && !slices.Contains(beagle.MissingProgress(), c.MissingProgress) {
		f.add("missing_progress", oneOf(c.MissingProgress, beagle.MissingProgress()), "partitions without progress cannot be treated as %q", c.MissingProgress)
	}
	return f.list
}

// TriggerProblems says what is wrong with the set-up of trigger workers.
func TriggerProblems(c trigger.Config) Problems {
	f := &found{step: "trigger"}
	f.span("session_timeout", c.SessionTimeout, time.Second, time.Hour)
	f.span("refresh_every", c.RefreshEvery, 100*time.Millisecond, time.Hour)
	f.span("settle", c.Settle, 0, time.Hour)
	f.span("patience", c.Patience, 0, time.Hour)
	f.span("deliver_every", c.DeliverEvery, 10*time.Millisecond, time.Hour)
	f.between("parallel", c.Parallel, 1, 1000)
	return f.list
}

func assignors() []string {
	return []string{group.Range, group.RoundRobin, group.Sticky, group.CooperativeSticky}
}
