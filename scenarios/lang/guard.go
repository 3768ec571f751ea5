package lang

import (
	"github.com/ratel-sim/ratel/scenarios/plan"
	"go.starlark.net/starlark"
)

// How many events or queries a guard's burn rate needs if the script does not say it: of fewer, one bad one says too much.
const (
	guardEvents  = 100
	guardQueries = 10
)

func guardStep(c *call) (starlark.Value, error) {
	b := c.inScenario()
	if b == nil || !c.room(len(b.plan.Guards), plan.MaxGuards, "guards") {
		return nil, nil
	}
	g := plan.Guard{
		Level: c.str("level"), Traffic: c.text("traffic"), Target: c.ratio("target"), Within: c.duration("within"), Gate: c.ratio("gate"),
		Burn: c.number("burn"), Window: c.duration("window"), AtLeast: guardEvents, Pos: c.pos,
	}
	if g.Level == plan.GuardQuery {
		g.AtLeast = guardQueries
	}
	if c.values["at_least"] != starlark.None {
		g.AtLeast = c.integer("at_least")
	}
	if len(c.wrong) == 0 {
		c.problems(g.Problems())
	}
	b.plan.Guards = append(b.plan.Guards, g)
	return starlark.None, nil
}
