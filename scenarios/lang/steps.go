package lang

import (
	"errors"
	"strconv"

	"github.com/ratel-sim/ratel/scenarios/plan"
	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/retriever"
	"github.com/ratel-sim/ratel/system/shepherd"
	"go.starlark.net/starlark"
)

func steps() []*Builtin {
	return []*Builtin{
		{
			Name: "system", Method: true, Group: groupSteps, run: systemStep,
			Doc: "Says which nodes run and how they are set up. At most once; without it, the defaults run: 3 ZooKeeper nodes, 3 brokers, 2 shepherds, and a retriever for each of 6 partitions.",
			Args: []Arg{
				{"kafka", "kafka()", none, "the brokers and the events topic"},
				{"zookeeper", "zookeeper()", none, "the ensemble"},
				{"shepherds", "whole number", integer(2), "how many shepherds, from 1 to 50"},
				{"shepherd", "shepherd()", none, "how each shepherd is set up"},
				{"retriever", "retriever()", none, "how each retriever is set up; there is one for each partition"},
			},
		},
		{
			Name: "traffic", Method: true, Group: groupSteps, Positional: 1, run: trafficStep,
			Doc: "Adds a load that runs through all phases. When an event is sent never depends on earlier answers (open model), so a slow pipeline is not spared.",
			Args: []Arg{
				{"name", "string", nil, "its name in reports; each load has its own"},
				{"shape", "string", str("steady"), "`steady`; `ramp`, from `events_per_second` to `to_per_second` over the run; `wave`, a sine around the mean as a day has: up by half, down by half, once over the run"},
				{"events_per_second", "number", nil, "the mean of a steady load or a wave, the start of a ramp; more than 0"},
				{"to_per_second", "number", none, "the end of a ramp"},
				{"events_per_batch", "whole number", integer(10), "events in one request, from 1 to 10000"},
				{"event_bytes", "whole number", integer(200), "approximate size of an event as JSON, at most 60000; its identity and few fields alone are 190"},
				{"datasets", "whole number", integer(5), "datasets that the events are spread over"},
				{"clients", "whole number", integer(20), "clients that send, each with its own connection and sequence of events"},
				{"timeout", "duration", str("15s"), "how long a client waits for an answer; without one, the events' outcome is unknown"},
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
				{"stage", "string", none, "what the phase is to the service levels: `warmup` (not judged), `before`, `during` or `after`. Left out: `during` if it has faults, `before` if no earlier phase had, else `after`"},
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
	t.Shepherds = c.integer("shepherds")
	if len(c.wrong) == 0 {
		c.problems(plan.TopologyProblems(t))
	}
	b.system, b.plan.System = c.pos, t
	return starlark.None, nil
}

// part takes a part of the system from an argument, unless it is left out.
func part[T system.Kafka | system.ZooKeeper | shepherd.Config | retriever.Config](c *call, arg string, into *T) {
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

func phaseStep(c *call) (starlark.Value, error) {
	b := c.inScenario()
	if b == nil || !c.room(len(b.plan.Phases), plan.MaxPhases, "phases") {
		return nil, nil
	}
	ph := plan.Phase{Name: c.str("name"), Stage: plan.Stage(c.text("stage")), Pos: c.pos}
	ph.Length = c.duration("length")
	for i, v := range c.list("faults", `write faults = [kill(leader_of("events", 0))]`) {
		o, ok := v.(*opaque)
		f, isFault := plan.Fault{}, false
		if ok {
			f, isFault = o.v.(plan.Fault)
		}
		if !isFault {
			c.failElement("faults", i, `write such as kill(leader_of("events", 0))`, "phase: faults[%d] must be a fault, not %s", i, named(v))
			continue
		}
		ph.Faults = append(ph.Faults, f)
	}
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
