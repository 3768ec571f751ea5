package lang

import (
	"encoding/json"

	"github.com/ratel-sim/ratel/scenarios/plan"
	"github.com/ratel-sim/ratel/system/definition"
	"go.starlark.net/starlark"
)

func objectiveStep(c *call) (starlark.Value, error) {
	b := c.inScenario()
	if b == nil || !c.room(len(b.plan.Objectives), plan.MaxObjectives, "objectives") {
		return nil, nil
	}
	o := plan.Objective{Name: c.str("name"), Traffic: c.trafficOr(b), SLI: c.str("sli"), Target: c.ratio("target"), Period: c.duration("period"), Pos: c.pos}
	if len(c.wrong) == 0 {
		c.problems(o.Problems())
	}
	b.plan.Objectives = append(b.plan.Objectives, o)
	return starlark.None, nil
}

func alertStep(c *call) (starlark.Value, error) {
	b := c.inScenario()
	if b == nil || !c.room(len(b.plan.Alerts), plan.MaxAlerts, "alerts") {
		return nil, nil
	}
	a := plan.Alert{
		Name: c.str("name"), Traffic: c.trafficOr(b), Op: c.str("op"), Value: c.number("value"), Every: c.duration("every"),
		Type: definition.AlertType(c.str("type")), Pos: c.pos,
	}
	if text := c.str("query"); json.Valid([]byte(text)) {
		a.Query = json.RawMessage(text)
	} else {
		c.fail("query", `write such as '{"calculations": [{"op": "COUNT"}], "time_range": 60}'`, "alert: query is not JSON")
	}
	if len(c.wrong) == 0 {
		c.problems(a.Problems())
	}
	b.plan.Alerts = append(b.plan.Alerts, a)
	return starlark.None, nil
}

// trafficOr is the load that the argument names, or the first.
func (c *call) trafficOr(b *build) string {
	if name := c.text("traffic"); name != "" || len(b.plan.Traffic) == 0 {
		return name
	}
	return b.plan.Traffic[0].Name
}
