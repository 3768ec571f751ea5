package lang

import (
	"math"
	"slices"

	"github.com/ratel-sim/ratel/scenarios/plan"
	"github.com/ratel-sim/ratel/system"
	"go.starlark.net/starlark"
)

const roleType = "role: `zk`, `kafka`, `mysql`, `s3`, `shepherd`, `retriever`, `query`, `beagle`, `trigger` or `observer`"

func selectors() []*Builtin {
	selector := func(name, doc string, positional int, args []Arg, s func(c *call) plan.Selector) *Builtin {
		return &Builtin{Name: name, Group: groupSelectors, Doc: doc, Positional: positional, Args: args, run: func(c *call) (starlark.Value, error) {
			sel := s(c)
			sel.Pos = c.pos
			return &opaque{"selector", sel}, nil
		}}
	}
	return []*Builtin{
		selector("node", "The node of that name.", 1, []Arg{{"name", "string", nil, "such as kafka2, zk1, shepherd1, retriever3, query1, mysql, s3 or observer"}}, func(c *call) plan.Selector {
			return plan.Selector{Kind: plan.SelectNode, Node: c.str("name")}
		}),
		selector("any_of", "Some nodes of a role, drawn from the run's seed.", 2, []Arg{
			{"role", roleType, nil, ""}, {"n", "whole number", integer(1), "how many, at most as many as there are"},
		}, func(c *call) plan.Selector {
			return plan.Selector{Kind: plan.SelectAny, Role: c.role(), N: c.integer("n")}
		}),
		selector("all_of", "Every node of a role.", 1, []Arg{{"role", roleType, nil, ""}}, func(c *call) plan.Selector {
			return plan.Selector{Kind: plan.SelectAll, Role: c.role()}
		}),
		selector("leader_of", "The broker that leads a partition at that moment.", 2, []Arg{
			{"topic", "string", str(system.EventsTopic), "the one topic there is"}, {"partition", "whole number", integer(0), "from 0"},
		}, func(c *call) plan.Selector {
			return plan.Selector{Kind: plan.SelectLeader, Topic: c.str("topic"), Partition: int32(c.small("partition", math.MaxInt32))}
		}),
		selector("zk_leader", "The ZooKeeper node that leads the ensemble at that moment.", 0, nil, func(*call) plan.Selector {
			return plan.Selector{Kind: plan.SelectZK}
		}),
		selector("others", "Every node of a role but the fault's target; only in `from_` of isolate.", 1, []Arg{{"role", roleType, nil, ""}}, func(c *call) plan.Selector {
			return plan.Selector{Kind: plan.SelectPeers, Role: c.role()}
		}),
		selector("pair_of", "Every retriever of a partition.", 1, []Arg{{"partition", "whole number", nil, "from 0"}}, func(c *call) plan.Selector {
			return plan.Selector{Kind: plan.SelectPair, Partition: int32(c.small("partition", math.MaxInt32))}
		}),
		selector("one_of", "One of a partition's retrievers, drawn from the run's seed.", 1, []Arg{{"partition", "whole number", nil, "from 0"}}, func(c *call) plan.Selector {
			return plan.Selector{Kind: plan.SelectOneOf, Partition: int32(c.small("partition", math.MaxInt32))}
		}),
		selector("zone", "Every node of an availability zone.", 1, []Arg{{"name", "string", nil, "such as a"}}, func(c *call) plan.Selector {
			return plan.Selector{Kind: plan.SelectZone, Zone: c.str("name")}
		}),
		selector("any_zone", "Every node of an availability zone that is drawn from the run's seed.", 0, nil, func(*call) plan.Selector {
			return plan.Selector{Kind: plan.SelectAnyZone}
		}),
		selector("subject", "The node that the event is about at which the fault is aimed; only with `on`.", 0, nil, func(*call) plan.Selector {
			return plan.Selector{Kind: plan.SelectSubject}
		}),
	}
}

// role reads the argument role; that it exists is checked here so that the error is at the argument.
func (c *call) role() system.Role {
	r := system.Role(c.str("role"))
	if len(c.wrong) == 0 && !slices.Contains(plan.Roles(), r) {
		var names []string
		for _, known := range plan.Roles() {
			names = append(names, string(known))
		}
		c.fail("role", unknownRole(string(r), names), "%s: there is no role %q", c.b.Name, r)
	}
	return r
}

// faultArgs are the arguments of every fault but its target.
func faultArgs() []Arg {
	return []Arg{
		{"at", "duration", str("0s"), "when it strikes, after its phase begins; less than the phase's length"},
		{"for_", "duration", none, "how long until it heals, within its phase. Left out: until the phase ends"},
		{"permanent", "True or False", starlark.False, "never heal it"},
		{"on", "string", none, "aim it: wait, from `at` on, for a protocol event; see *Aimed faults*. Simulation only"},
		{"within", "duration", str("10ms"), "aimed: strike at most this long after the event, at a moment drawn from the seed; at most 1m"},
		{"skip", "whole number", integer(0), "aimed: events to let pass first"},
	}
}

func faults() []*Builtin {
	target := Arg{"target", "selector", nil, "which node or nodes; resolved at the moment of striking"}
	fault := func(kind system.FaultKind, doc string, more ...Arg) *Builtin {
		return &Builtin{
			Name: string(kind), Group: groupFaults, Doc: doc, Positional: 1,
			Args: slices.Concat([]Arg{target}, more, faultArgs()),
			run:  func(c *call) (starlark.Value, error) { return makeFault(c, kind), nil },
		}
	}
	return []*Builtin{
		fault(system.FaultKill, "Ends the process at once (SIGKILL); its disk stays. Healing starts it again."),
		fault(system.FaultStop, "Ends the process cleanly (SIGTERM). Healing starts it again."),
		fault(system.FaultReplace, "Kills the node and destroys its disk. Healing starts a fresh, empty one of the same name and address."),
		fault(system.FaultPause, "Freezes the process (SIGSTOP). Healing lets it go on."),
		fault(
			system.FaultIsolate, "Drops packets between the target and other nodes. Healing lets them through again.",
			Arg{"from_", "list of selectors", nil, "the nodes to cut it off from, such as `[others(\"kafka\"), all_of(\"zk\")]`"},
			Arg{"direction", "string", str(string(system.Both)), "which packets are lost, as seen from the target: `both`, `in` (to it) or `out` (from it)"},
		),
		fault(
			system.FaultErrors, "Makes a share of the requests to MySQL, S3 or the observer fail: half of those are refused, half take effect and lose their answer. Healing ends it.",
			Arg{"rate", "number or string", str("50%"), "the share: 0.5 or `\"50%\"`; more than 0, at most 1"},
		),
		fault(
			system.FaultSlow, "Delays every request to MySQL, S3 or the observer. Healing ends it.",
			Arg{"delay", "duration", str("1s"), "how much longer each takes; from 1ms to 1m"},
		),
		fault(
			system.FaultStarve, "Lets the process run only a share of the time, in turns: it is sick and not dead, keeps its connections and sessions, and does next to no work. Healing lets it go on.",
			Arg{"share", "number or string", str("10%"), "the share of the time for which it runs: 0.1 or `\"10%\"`; from 1% to 90%"},
			Arg{"stall", "duration", str("900ms"), "how long it is frozen at a time; from 200ms to 1m. Longer than its session with ZooKeeper, it is dead to the others"},
		),
		fault(
			system.FaultRecreate, "Deletes a dataset and creates it again under the same name, as a customer's script does. The target is `node(\"mysql\")`, where the catalog is; there is nothing to heal.",
			Arg{"dataset", "string", nil, "a load's dataset: the first load's are load-0-0, load-0-1, …"},
			Arg{"team", "string", str(system.DefaultTeam), "whose dataset"},
		),
		fault(
			system.FaultPoison, "Appends records that are no good to a partition of the events topic, as a broken or hostile client of the cluster would. The target is `leader_of(\"events\", …)`, which names the partition: a record waits for its next leader. There is nothing to heal. See *Poison* in `docs/worlds.md`.",
			Arg{"record", "string", str(string(system.PoisonMixed)), "what is wrong with them: `garbage`, `empty`, `truncated`, `flipped`, `version`, `bomb`, `hostile`, or `mixed`, one of each in turn"},
			Arg{"records", "whole number", integer(7), "how many; at most 1000"},
		),
	}
}

func makeFault(c *call, kind system.FaultKind) starlark.Value {
	f := plan.Fault{
		Kind: kind, Target: thing[plan.Selector](c, "target", "a selector", `write such as leader_of("events", 0) or node("kafka1")`),
		At: c.duration("at"), For: c.duration("for_"), Permanent: c.boolean("permanent"), Pos: c.pos,
	}
	if c.given["for_"] && c.values["for_"] != starlark.None && f.For == 0 && len(c.wrong) == 0 {
		c.fail("for_", "leave it out to heal at the phase's end, or write permanent = True", "%s: for_ must be longer than nothing", kind)
	}
	if kind == system.FaultIsolate {
		f.Direction = system.Direction(c.str("direction"))
		f.From = c.from()
	}
	switch kind {
	case system.FaultErrors:
		f.Rate = c.ratio("rate")
	case system.FaultSlow:
		f.Delay = c.duration("delay")
	case system.FaultStarve:
		f.Rate, f.Delay = c.ratio("share"), c.duration("stall")
	case system.FaultRecreate:
		f.Dataset, f.Team = c.str("dataset"), c.str("team")
	case system.FaultPoison:
		f.Record, f.Records = system.Poison(c.str("record")), c.integer("records")
	case system.FaultKill, system.FaultStop, system.FaultReplace, system.FaultPause, system.FaultIsolate:
	}
	if c.values["on"] != starlark.None {
		f.Aim = &plan.Aim{On: c.str("on"), Within: c.duration("within"), Skip: c.integer("skip")}
	} else {
		for _, arg := range []string{"within", "skip"} {
			if c.given[arg] {
				c.fail(arg, `add on = "leader.elected" or another event`, "%s: %s is only for a fault that is aimed at an event", kind, arg)
			}
		}
	}
	if len(c.wrong) == 0 {
		c.problems(f.Problems())
	}
	return &opaque{"fault", f}
}

// from reads from_ of isolate: one selector or a list of them.
func (c *call) from() []plan.Selector {
	const hint = `write from_ = [others("kafka"), all_of("zk")]`
	values := []starlark.Value{c.values["from_"]}
	if _, single := values[0].(*opaque); !single {
		values = c.list("from_", hint)
	}
	var from []plan.Selector
	for i, v := range values {
		o, ok := v.(*opaque)
		s, isSelector := plan.Selector{}, false
		if ok {
			s, isSelector = o.v.(plan.Selector)
		}
		if !isSelector {
			c.failElement("from_", i, hint, "isolate: from_[%d] must be a selector, not %s", i, named(v))
			continue
		}
		from = append(from, s)
	}
	return from
}
