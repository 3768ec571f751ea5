package lang

import (
	"errors"
	"strconv"

	"github.com/ratel-sim/ratel/scenarios/plan"
	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/beagle"
	"github.com/ratel-sim/ratel/system/observer"
	"github.com/ratel-sim/ratel/system/query"
	"github.com/ratel-sim/ratel/system/retriever"
	"github.com/ratel-sim/ratel/system/shepherd"
	"github.com/ratel-sim/ratel/system/telemetry"
	"github.com/ratel-sim/ratel/system/trigger"
	"go.starlark.net/starlark"
)

func steps() []*Builtin {
	return []*Builtin{
		{
			Name: "system", Method: true, Group: groupSteps, run: systemStep,
			Doc: "Says which nodes run and how they are set up. At most once; without it, the defaults run: in 3 zones, 3 ZooKeeper nodes, 3 brokers, 2 shepherds, a pair of retrievers for each of 6 partitions, 1 query node, MySQL and S3.",
			Args: []Arg{
				{"kafka", "kafka()", none, "the brokers and the events topic"},
				{"zookeeper", "zookeeper()", none, "the ensemble"},
				{"shepherds", "whole number", integer(2), "how many shepherds, from 1 to 50"},
				{"shepherd", "shepherd()", none, "how each shepherd is set up"},
				{"retriever", "retriever()", none, "how each retriever is set up"},
				{"replicas", "whole number", integer(2), "retrievers for each partition: 2, in different zones, or 1"},
				{"queries", "whole number", integer(1), "how many query nodes, from 1 to 50"},
				{"query", "query()", none, "how each query node is set up"},
				{"beagles", "whole number", integer(0), "how many beagle workers, which count SLOs, up to 50"},
				{"beagle", "beagle()", none, "how each beagle worker is set up"},
				{"triggers", "whole number", integer(0), "how many trigger workers, which evaluate alerts, up to 10; one of them leads"},
				{"trigger", "trigger()", none, "how each trigger worker is set up"},
				{"telemetry", "telemetry()", none, "what roles say about themselves. Left out: nothing"},
				{"observer", "observer()", none, "how much the observer of telemetry takes. Left out: with telemetry, more than there is; without, there is no observer"},
				{"zones", "whole number", integer(3), "availability zones that the nodes are spread over, from 1 to 26; they are named a, b, …. MySQL and S3 are in none"},
				{"teams", "list of teams", empty(), "the tenants, made by `team()`. Left out: one team, `load`, without limits"},
			},
		},
		{
			Name: "traffic", Method: true, Group: groupSteps, Positional: 1, run: trafficStep,
			Doc: "Adds a load that runs through all phases. When an event is sent never depends on earlier answers (open model), so a slow pipeline is not spared.",
			Args: []Arg{
				{"name", "string", nil, "its name in reports; each load has its own"},
				{"shape", "string", str("steady"), "`steady`; `ramp`, from `events_per_second` to `to_per_second` over the run; `wave`, a sine around the mean as a day has: up by half, down by half, once over the run; `burst`, steady with bursts of `to_per_second`"},
				{"events_per_second", "number", nil, "the mean of a steady load or a wave, the start of a ramp; more than 0"},
				{"to_per_second", "number", none, "the end of a ramp, or the rate in a burst"},
				{"burst_every", "duration", none, "burst: from one burst's beginning to the next; at least 1s"},
				{"burst_length", "duration", none, "burst: how long each lasts"},
				{"team", "string", none, "whose events they are. Left out: the first team's"},
				{"events", "string", str(plan.EventsSmall), "`small`, eight fields of a web request; `wide`, thirty columns of skewed cardinality, some absent, some of mixed type, some sampled; `traces`, wide events that are the spans of traces"},
				{"replay", "string", none, "events to send again and again instead of made ones: NDJSON text, an object a line, such as `read(\"//events.ndjson\")` gives"},
				{"events_per_batch", "whole number", integer(10), "events in one request, from 1 to 10000"},
				{"event_bytes", "whole number", integer(200), "approximate size of an event as JSON, at most 60000; its identity and few fields alone are 190"},
				{"datasets", "whole number", integer(5), "datasets that the events are spread over"},
				{"clients", "whole number", integer(20), "clients that send, each with its own connection and sequence of events"},
				{"timeout", "duration", str("15s"), "how long a client waits for an answer; without one, the events' outcome is unknown"},
			},
		},
		{
			Name: "readers", Method: true, Group: groupSteps, Positional: 1, run: readersStep,
			Doc: "Adds readers that query a load's datasets all through the run, by the open model: each sends its next query when its time has come, whatever became of the last.",
			Args: []Arg{
				{"name", "string", nil, "their name in reports"},
				{"traffic", "string", none, "whose datasets they query. Left out: the first load's"},
				{"every", "duration", str("2s"), "from one query to the next; from 10ms to 1h"},
				{"shapes", "list of strings", starlark.NewList([]starlark.Value{str(plan.QueryFresh), str(plan.QueryRecent), str(plan.QueryOld), str(plan.QueryAll), str(plan.QueryCover)}), "what is asked, in turn; see *Query shapes*"},
				{"timeout", "duration", str("12s"), "how long a reader waits for an answer; the pipeline's own deadline is 10s"},
			},
		},
		{
			Name: "guard", Method: true, Group: groupSteps, Positional: 1, run: guardStep,
			Doc: "Guards the experiment by a service level, while it goes on. **Gate**: without enough of the error budget left after the phases of stage before, no fault is injected and the run ends, inconclusive. **Abort**: once the budget burns faster than the limit, all faults are healed, the load goes on until the system has recovered, and the run ends, failed. The burn rate is the share of bad events over 1 − target: at 1 the budget is used up exactly. Several guards may be given.",
			Args: []Arg{
				{"level", "string", nil, "`ingest`: an event is good if it is answered as accepted within the bound. `query`: a query is good if it is answered completely within the bound"},
				{"target", "number or string", nil, "the part that must be good: 0.999 or `\"99.9%\"`; more than 0, less than 1"},
				{"within", "duration", str("5s"), "the bound, from the moment it was to be sent; without an answer it is bad once that has passed"},
				{"gate", "number or string", starlark.Float(0.5), "the part of the steady state's error budget that must be left when the first fault would begin: 0.5 or `\"50%\"`"},
				{"burn", "number", integer(10), "the burn rate beyond which the run stops; more than 0, and less than a total outage's, 1/(1 − target)"},
				{"window", "duration", str("10s"), "over which it is measured; in the last twelfth of it, too, the burn must be beyond the limit, so that what is over stops nothing"},
				{"traffic", "string", none, "the load whose events or queries count. Left out: all together"},
				{"at_least", "whole number", none, "how many events or queries a burn rate needs; fewer keep the gate closed, and stop nothing. Left out: 100 events, 10 queries"},
			},
		},
		{
			Name: "objective", Method: true, Group: groupSteps, Positional: 2, run: objectiveStep,
			Doc: "Defines an SLO for each dataset of a load, before the load begins. Beagle workers count it, each event as many as its sample rate says that it stands for; check `slo_counts` compares the counts with what was sent.",
			Args: []Arg{
				{"name", "string", nil, "its name"},
				{"sli", "string", nil, "a derived-column expression: true is a good event, false a bad one, null one that does not count. See [expressions](expressions.md)"},
				{"target", "number or string", nil, "the part that must be good: 0.999 or `\"99.9%\"`; more than 0, less than 1"},
				{"traffic", "string", none, "the load. Left out: the first"},
				{"period", "duration", str("720h"), "over how long the target holds: whole days, from 24h to 2160h"},
			},
		},
		{
			Name: "alert", Method: true, Group: groupSteps, Positional: 1, run: alertStep,
			Doc: "Defines a trigger for each dataset of a load, before the load begins. Trigger workers evaluate it once per window and send webhooks to the harness; check `alerts` compares both with what was sent.",
			Args: []Arg{
				{"name", "string", nil, "its name"},
				{"query", "string", nil, "the query's specification as JSON, with a `time_range` in seconds and without start and end"},
				{"op", "string", str(">"), "`>`, `>=`, `<` or `<=`"},
				{"value", "number", nil, "the threshold"},
				{"every", "duration", str("1m"), "how often it is evaluated: whole seconds. Honeycomb's own least is a minute; shorter is for short runs"},
				{"type", "string", str("on_change"), "`on_change`: an alert when it begins to hold, and another when it no longer does; `on_true`: one in every window in which it holds"},
				{"traffic", "string", none, "the load. Left out: the first"},
			},
		},
		{
			Name: "phase", Method: true, Group: groupSteps, Positional: 2, run: phaseStep,
			Doc: "Adds a stretch of the run. Phases follow one another in the order of the script.",
			Args: []Arg{
				{"name", "string", nil, "its name in reports; each phase has its own"},
				{"length", "duration", nil, "how long it lasts; more than 0"},
				{"faults", "list of faults", empty(), "what is done to the system; a fault heals when its phase ends unless it says otherwise"},
				{"expect", "list of strings", empty(), "conditions on what is measured in this phase; see *Expectations*"},
				{"runbook", "list of steps", empty(), "what is done to the system on purpose, one step after the other; see *Runbook*"},
				{"stage", "string", none, "what the phase is to the service levels: `warmup` (not judged), `before`, `during` or `after`. Left out: `during` if it has faults or a runbook, `before` if no earlier phase had, else `after`"},
			},
		},
		{
			Name: "check", Method: true, Group: groupSteps, Variadic: "checks", run: checkStep,
			Doc: "Adds checks to judge the run by. Always judged as well, without being asked for: the expectations of phases, that every fault was observed to take effect and heal, and that the evidence is whole and the traffic enough to mean anything.",
		},
		{
			Name: "note", Method: true, Group: groupSteps, Positional: 1, run: noteStep,
			Doc:  "Keeps a remark for readers of the plan and the report. It does not change what the plan does, nor its hash.",
			Args: []Arg{{"text", "string", nil, "the remark"}},
		},
	}
}

func systemStep(c *call) (starlark.Value, error) {
	b := c.inScenario()
	if b == nil {
		return nil, nil
	}
	if b.system != (plan.Pos{}) {
		c.fail("", "say everything in one call", "the system was set up already, at line %d", b.system.Line)
		return nil, nil
	}
	t := system.Default()
	part(c, "kafka", &t.Kafka)
	part(c, "zookeeper", &t.ZooKeeper)
	part(c, "shepherd", &t.Shepherd)
	part(c, "retriever", &t.Retriever)
	part(c, "query", &t.Query)
	part(c, "beagle", &t.Beagle)
	part(c, "trigger", &t.Trigger)
	part(c, "telemetry", &t.Telemetry)
	if t.Telemetry.Enabled { // somebody listens
		t.Observer = observer.DefaultConfig()
	}
	part(c, "observer", &t.Observer)
	t.Beagles, t.Triggers = c.integer("beagles"), c.integer("triggers")
	t.Shepherds, t.Replicas, t.Queries, t.Zones = c.integer("shepherds"), c.integer("replicas"), c.integer("queries"), c.integer("zones")
	if given := things[system.Team](c, "teams", "a team", `write teams = [team("shop")]`); len(given) > 0 {
		t.Teams = given
	}
	if len(c.wrong) == 0 {
		c.problems(plan.TopologyProblems(t))
	}
	b.system, b.plan.System = c.pos, t
	return starlark.None, nil
}

// part takes a part of the system from an argument, unless it is left out.
func part[T system.Kafka | system.ZooKeeper | shepherd.Config | retriever.Config | query.Config | beagle.Config | trigger.Config | telemetry.Config | observer.Config](c *call, arg string, into *T) {
	if c.values[arg] != starlark.None {
		*into = thing[T](c, arg, "made by "+arg+"()", "write "+arg+" = "+arg+"(…)")
	}
}

func trafficStep(c *call) (starlark.Value, error) {
	b := c.inScenario()
	if b == nil || !c.room(len(b.plan.Traffic), plan.MaxTraffic, "loads") {
		return nil, nil
	}
	t := plan.Traffic{
		Name: c.str("name"), Shape: plan.Shape(c.str("shape")), EventsPerSecond: c.number("events_per_second"),
		EventsPerBatch: c.integer("events_per_batch"), EventBytes: c.integer("event_bytes"),
		Datasets: c.integer("datasets"), Clients: c.integer("clients"), Timeout: c.duration("timeout"), Pos: c.pos,
		Team: c.text("team"), Events: c.str("events"), Replay: c.text("replay"),
	}
	if given, ok := starlark.AsString(c.values["replay"]); ok && given == "" { // left out it would mean made events
		c.fail("replay", "leave it out for events that are made", "traffic: replay has no events")
	}
	if t.Team == "" {
		t.Team = b.plan.System.Teams[0].Name
	}
	if c.values["burst_every"] != starlark.None {
		t.BurstEvery = c.duration("burst_every")
	}
	if c.values["burst_length"] != starlark.None {
		t.BurstLength = c.duration("burst_length")
	}
	if c.values["to_per_second"] != starlark.None {
		t.ToPerSecond = c.number("to_per_second")
	}
	if len(c.wrong) == 0 {
		c.problems(t.Problems())
	}
	b.plan.Traffic = append(b.plan.Traffic, t)
	return starlark.None, nil
}

func readersStep(c *call) (starlark.Value, error) {
	b := c.inScenario()
	if b == nil || !c.room(len(b.plan.Readers), plan.MaxReaders, "readers") {
		return nil, nil
	}
	r := plan.Reader{Name: c.str("name"), Traffic: c.text("traffic"), Every: c.duration("every"), Timeout: c.duration("timeout"), Pos: c.pos}
	if r.Traffic == "" && len(b.plan.Traffic) > 0 {
		r.Traffic = b.plan.Traffic[0].Name
	}
	for i, v := range c.list("shapes", `write shapes = ["fresh", "old"]`) {
		s, ok := starlark.AsString(v)
		if !ok {
			c.failElement("shapes", i, `write such as "fresh"`, "readers: shapes[%d] must be a string, not %s", i, named(v))
			continue
		}
		r.Shapes = append(r.Shapes, s)
	}
	if len(c.wrong) == 0 {
		c.problems(r.Problems())
	}
	b.plan.Readers = append(b.plan.Readers, r)
	return starlark.None, nil
}

// things reads a list of what a builtin makes.
func things[T any](c *call, arg, what, hint string) []T {
	var out []T
	for i, v := range c.list(arg, hint) {
		o, ok := v.(*opaque)
		var t T
		is := false
		if ok {
			t, is = o.v.(T)
		}
		if !is {
			c.failElement(arg, i, hint, "%s: %s[%d] must be %s, not %s", c.b.Name, arg, i, what, named(v))
			continue
		}
		out = append(out, t)
	}
	return out
}

func phaseStep(c *call) (starlark.Value, error) {
	b := c.inScenario()
	if b == nil || !c.room(len(b.plan.Phases), plan.MaxPhases, "phases") {
		return nil, nil
	}
	ph := plan.Phase{Name: c.str("name"), Stage: plan.Stage(c.text("stage")), Pos: c.pos}
	ph.Length = c.duration("length")
	ph.Faults = things[plan.Fault](c, "faults", "a fault", `write faults = [kill(leader_of("events", 0))]`)
	ph.Runbook = things[plan.Step](c, "runbook", "a runbook step", `write runbook = [add_partitions(8), start_retrievers(6, 8), open_partitions(6, 8)]`)
	for i, v := range c.list("expect", `write expect = ["ack.p99 < 150ms"]`) {
		c.expectation(&ph, i, v)
	}
	given := c.values["stage"] != starlark.None
	if len(c.wrong) == 0 {
		judged := ph
		if !given {
			judged.Stage = plan.Before // until all phases are known
		}
		c.problems(judged.Problems())
	}
	b.plan.Phases, b.stages = append(b.plan.Phases, ph), append(b.stages, given)
	return starlark.None, nil
}

// failElement notes that an element of a list is wrong.
func (c *call) failElement(arg string, i int, hint, format string, args ...any) {
	c.fail(arg, hint, format, args...)
	if e := c.element(arg, i); e != nil {
		c.wrong[len(c.wrong)-1].pos = c.at(e)
	}
}

// expectation reads the i-th of a phase's.
func (c *call) expectation(ph *plan.Phase, i int, v starlark.Value) {
	source, ok := starlark.AsString(v)
	if !ok {
		c.failElement("expect", i, `write such as "ack.p99 < 150ms"`, "phase: expect[%d] must be a string, not %s", i, named(v))
		return
	}
	e, err := plan.ParseExpectation(source)
	var wrong *plan.ExpectError
	if errors.As(err, &wrong) {
		what := "expectation " + strconv.Quote(source) + ": " + wrong.What
		at := c.where("expect")
		if el := c.element("expect", i); el != nil {
			at = c.inside(el, wrong.Offset)
		}
		c.wrong = append(c.wrong, mistake{pos: at, what: what, hint: wrong.Hint})
		return
	}
	e.Pos = c.where("expect")
	if el := c.element("expect", i); el != nil {
		e.Pos = c.at(el)
	}
	ph.Expect = append(ph.Expect, e)
}

func checkStep(c *call) (starlark.Value, error) {
	b := c.inScenario()
	if b == nil {
		return nil, nil
	}
	for i, v := range c.rest {
		o, ok := v.(*opaque)
		k, isCheck := plan.Check{}, false
		if ok {
			k, isCheck = o.v.(plan.Check)
		}
		if !isCheck {
			c.fail(strconv.Itoa(i), "write such as s.check(durability())", "check: argument %d must be a check, not %s", i+1, named(v))
			continue
		}
		if c.room(len(b.plan.Checks), plan.MaxChecks, "checks") {
			b.plan.Checks = append(b.plan.Checks, k)
		}
	}
	if len(c.rest) == 0 {
		c.fail("", "write such as s.check(durability())", "check needs at least one check")
	}
	return starlark.None, nil
}

func noteStep(c *call) (starlark.Value, error) {
	b := c.inScenario()
	if b == nil {
		return nil, nil
	}
	b.plan.Notes = append(b.plan.Notes, c.str("text"))
	return starlark.None, nil
}
