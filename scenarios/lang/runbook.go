package lang

import (
	"math"

	"github.com/ratel-sim/ratel/scenarios/plan"
	"github.com/ratel-sim/ratel/system"
	"go.starlark.net/starlark"
)

// runbook is what people do to a pipeline that runs, as opposed to what happens to it.
func runbook() []*Builtin {
	first := Arg{"first", "whole number", nil, "the first partition, from 0"}
	to := Arg{"to", "whole number", nil, "up to this partition, which is not one of them: `40, 56` are the partitions 40 to 55"}
	topic := Arg{"topic", "string", str(system.EventsTopic), "the topic's name. What another name does is not checked before the run: `ratel lint` names it"}
	at := Arg{"at", "duration", str("0s"), "not before this, after the phase begins; a step also waits for the one before it"}
	step := func(kind plan.StepKind, positional int, doc string, args ...Arg) *Builtin {
		return &Builtin{Name: string(kind), Group: groupRunbook, Doc: doc, Positional: positional, Args: append(args, at), run: func(c *call) (starlark.Value, error) {
			s := plan.Step{Kind: kind, To: int32(c.small("to", math.MaxInt32)), At: c.duration("at"), Pos: c.pos}
			if _, has := c.values["first"]; has {
				s.First = int32(c.small("first", math.MaxInt32))
			}
			if _, has := c.values["topic"]; has {
				s.Topic = c.str("topic")
			}
			if len(c.wrong) == 0 {
				c.problems(s.Problems())
			}
			return &opaque{"runbook step", s}, nil
		}}
	}
	return []*Builtin{
		step(
			plan.StepAddPartitions, 1, "Gives the topic more partitions. They are empty, and nothing is sent to them before they are opened. A topic never shrinks.",
			Arg{"to", "whole number", nil, "how many it has then, in all"}, topic,
		),
		step(
			plan.StepProvisionProgress, 2, "Makes the rows of progress from which beagle workers count the partitions. They need them if their `missing_progress` is `wait`.",
			first, to, topic,
		),
		step(plan.StepStartRetrievers, 2, "Starts the retrievers of partitions, and waits until each has claimed its own.", first, to),
		step(plan.StepOpenPartitions, 2, "Adds partitions to every dataset's set, so that events go there. Shepherds learn of it as their caches of the catalog age.", first, to),
	}
}
