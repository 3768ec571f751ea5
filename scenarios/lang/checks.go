package lang

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/ratel-sim/ratel/scenarios/plan"
	"github.com/ratel-sim/ratel/system/nearest"
	"go.starlark.net/starlark"
)

func checks() []*Builtin {
	simple := func(name, check, doc string) *Builtin {
		return &Builtin{Name: name, Group: groupChecks, Doc: doc, run: func(c *call) (starlark.Value, error) {
			return &opaque{"check", plan.Check{Name: check, Pos: c.pos}}, nil
		}}
	}
	return []*Builtin{
		simple("durability", plan.CheckDurability, "No event that was answered as accepted is lost on its way from the answer through Kafka to the retrievers. The four checks that follow are judged with it; there is no need to ask for them too."),
		simple("no_duplicates", plan.CheckDuplicates, "No event is held twice."),
		simple("no_phantoms", plan.CheckPhantoms, "Nothing is stored that was never sent, or was refused."),
		simple("no_corruption", plan.CheckCorruption, "What is stored is what was sent."),
		simple("agreement", plan.CheckAgreement, "The answers' receipts, Kafka's log and the retrievers tell the same."),
		simple("log_once", plan.CheckLogOnce, "No record is in Kafka's log twice because a producer has sent it again. A request that a client repeats is another record."),
		simple("log_order", plan.CheckLogOrder, "What a shepherd has sent to a partition is in Kafka's log in the order in which it was sent, whatever had to be sent again."),
		simple("pairs", plan.CheckPairs, "Both retrievers of every partition have stored the same, byte for byte, over the same offsets."),
		simple("committed", plan.CheckCommitted, "No manifest is ahead of what is durable: all that it names is there, and nothing below its offset is missing."),
		simple("zones", plan.CheckZones, "The two retrievers of a partition are never in one zone."),
		simple("memory", plan.CheckMemory, "Every role stays within its configured memory bounds, also at its worst moment."),
		within("queries", plan.CheckQueries, false, "Every answer that says it is complete equals the ground truth; every partial one says honestly what is missing.",
			"accepted events must be counted this long after their answer. Left out: 10s"),
		within("freshness", plan.CheckFreshness, true, "Accepted events are visible to queries in time.", "the time allowed, from an event's answer to the first query that counts it"),
		simple("slo_counts", plan.CheckSLOCounts, "What beagle workers counted for every objective and minute of event time is what was sent and is held."),
		within("progress", plan.CheckProgress, false, "Counting has reached the end of every partition, also of empty ones and of those without objectives, and has only ever gone forward.",
			"how long before the run's end each partition's progress must have been marked. Left out: 60s"),
		within("alerts", plan.CheckAlerts, false, "Every alert is evaluated once per window, rightly; what fires is delivered, and nothing else is.",
			"from a window's end to its evaluation, and to the delivery. Left out: 30s"),
		simple("coverage", plan.CheckCoverage, "Partitions that the runbook added are followed by all their retrievers in the end, and events went to each."),
		simple("fencing", plan.CheckFencing, "At any moment at most one trigger worker leads in effect: what is recorded carries epochs that never go down."),
		simple("honest_telemetry", plan.CheckTelemetry, "What roles say about themselves is what the harness knows, nothing of it is missing without being counted, and every fault shows in it."),
		{
			Name: "recovers", Group: groupChecks, run: recoversCheck,
			Doc:  "After the last heal the system is whole again in time. The plan must have a fault that heals.",
			Args: []Arg{{"within", "duration", nil, "the time allowed, from the last heal; more than 0"}},
		},
		{
			Name: "slo", Group: groupChecks, Positional: 1, run: sloCheck,
			Doc: "A service level: enough events are good.",
			Args: []Arg{
				{"name", "string", nil, "`ingest`: an event is good if it is answered as accepted and is stored. `freshness`: an accepted event is good if it is visible to queries within the bound. `query`: a query is good if its answer is complete and right, within the bound"},
				{"target", "number or string", nil, "the part that must be good: 0.9999 or `\"99.99%\"`; more than 0, at most 1"},
				{"within", "duration", none, "the bound: for ingest, an event's answer this soon after it was to be sent (left out: however late); for freshness and query, 10s if left out"},
				{"stage", "string", none, "the stage that must meet the target: `before`, `during` or `after`. Left out: each that has phases"},
				{"traffic", "string", none, "the load that is judged, such as one tenant's. Left out: all together"},
				{"reader", "string", none, "for query: the readers that are judged. Left out: all together"},
			},
		},
	}
}

// within makes a check with a bound.
func within(name, check string, needed bool, doc, arg string) *Builtin {
	otherwise := starlark.Value(none)
	if needed {
		otherwise = nil
	}
	return &Builtin{
		Name: name, Group: groupChecks, Doc: doc, Args: []Arg{{"within", "duration", otherwise, arg}},
		run: func(c *call) (starlark.Value, error) {
			k := plan.Check{Name: check, Pos: c.pos}
			if needed || c.values["within"] != starlark.None {
				k.Args.Within = c.duration("within")
			}
			if len(c.wrong) == 0 {
				c.problems(k.Problems())
			}
			return &opaque{"check", k}, nil
		},
	}
}

func recoversCheck(c *call) (starlark.Value, error) {
	k := plan.Check{Name: plan.CheckRecovers, Args: plan.CheckArgs{Within: c.duration("within")}, Pos: c.pos}
	if len(c.wrong) == 0 {
		c.problems(k.Problems())
	}
	return &opaque{"check", k}, nil
}

func sloCheck(c *call) (starlark.Value, error) {
	name := c.str("name")
	names := map[string]string{"ingest": plan.CheckSLOIngest, "freshness": plan.CheckSLOFresh, "query": plan.CheckSLOQuery}
	if len(c.wrong) == 0 && names[name] == "" {
		c.fail("name", "write ingest, freshness or query", "slo: there is no service level %q", name)
	}
	k := plan.Check{
		Name: names[name], Pos: c.pos,
		Args: plan.CheckArgs{Target: c.ratio("target"), Within: c.duration("within"), Stage: plan.Stage(c.text("stage")), Traffic: c.text("traffic"), Reader: c.text("reader")},
	}
	if c.values["within"] != starlark.None && k.Args.Within == 0 && len(c.wrong) == 0 {
		c.fail("within", "leave it out if an answer may take any time", "slo: within must be longer than nothing")
	}
	if len(c.wrong) == 0 {
		c.problems(k.Problems())
	}
	return &opaque{"check", k}, nil
}

// ratio reads 0.9999 or "99.99%".
func (c *call) ratio(arg string) float64 {
	s, ok := starlark.AsString(c.values[arg])
	if !ok {
		return c.number(arg)
	}
	percent, ok := strings.CutSuffix(s, "%")
	v, err := strconv.ParseFloat(percent+"e-2", 64) // not divided by 100, which would make 0.9998999999999999 of 99.99
	if !ok || err != nil {
		c.wants(arg, "a ratio", `write 0.9999 or "99.99%"`)
		return 0
	}
	return v
}

func others() []*Builtin {
	return []*Builtin{
		{
			Name: "choose", Group: groupOthers, Positional: 2, run: choose,
			Doc: "One of several values, drawn from the run's seed and the name: the same seed draws the same, and another choice beside it changes nothing. What was drawn is kept in the plan.",
			Args: []Arg{
				{"name", "string", nil, "the choice's name; the same name draws the same value wherever it stands"},
				{"options", "list", nil, "the values to draw from; at least one"},
			},
		},
		{
			Name: "read", Group: groupOthers, Positional: 1, run: readFile,
			Doc:  "The text of a file below the script's folder, such as events to replay.",
			Args: []Arg{{"path", "string", nil, "such as `\"//data/events.ndjson\"`; at most 256 KiB, UTF-8"}},
		},
		{
			Name: "fail", Group: groupOthers, Positional: 1, run: func(c *call) (starlark.Value, error) {
				if msg := c.str("message"); len(c.wrong) == 0 {
					c.fail("", "", "%s", msg)
				}
				return nil, nil
			},
			Doc:  "Ends the evaluation with an error at this place, such as for parameters that do not go together.",
			Args: []Arg{{"message", "string", nil, "what is wrong and what to do"}},
		},
		{
			Name: "print", Group: groupOthers, Variadic: "values", run: func(c *call) (starlark.Value, error) {
				c.fail("", "write s.note(\"…\") to keep a remark in the plan", "a script prints nothing")
				return nil, nil
			},
			Doc: "Is refused: a script has no output but its plan.",
		},
	}
}

func readFile(c *call) (starlark.Value, error) {
	name := c.str("path")
	if len(c.wrong) > 0 {
		return nil, nil
	}
	clean, ok := below(name)
	if !ok {
		c.fail("path", `write such as read("//data/events.ndjson"): a path below the script's folder`, "read: %q cannot be read", name)
		return nil, nil
	}
	if c.read == nil {
		c.fail("path", "", "read: this script can read no files")
		return nil, nil
	}
	text, err := c.read(clean)
	switch {
	case err != nil:
		c.fail("path", "the path is below the script's folder", "read: %q cannot be read: %v", name, err)
	case len(text) > plan.MaxReplayBytes:
		c.fail("path", "take a part of it", "read: %q has more than %d bytes", name, plan.MaxReplayBytes)
	case !utf8.Valid(text):
		c.fail("path", "", "read: %q is not UTF-8", name)
	}
	return starlark.String(text), nil
}

func choose(c *call) (starlark.Value, error) {
	b := c.inScenario()
	name, options := c.str("name"), c.list("options", `write choose("size", [3, 5])`)
	if len(c.wrong) > 0 {
		return nil, nil
	}
	if len(options) == 0 {
		c.fail("options", "", "choose: there is nothing to choose from")
		return nil, nil
	}
	all := c.values["options"].String()
	if have, ok := b.drawn[name]; ok {
		if have.options != all {
			c.fail("name", "give each choice its own name", "choose: %q was drawn already, from other options", name)
		}
		return have.value, nil
	}
	v := b.draw(name, options)
	b.drawn[name] = drawn{all, v}
	if !c.room(len(b.plan.Choices), 1000, "choices") {
		return nil, nil
	}
	b.plan.Choices = append(b.plan.Choices, plan.Choice{Name: name, Value: describe(v), Pos: c.pos})
	return v, nil
}

func unknownRole(name string, roles []string) string {
	switch name { // by which people know them, and which are not near
	case "zookeeper":
		return `write "zk"`
	case "broker", "brokers":
		return `write "kafka"`
	case "ingest", "worker", "workers":
		return `write "shepherd"`
	}
	if near, ok := nearest.Name(name, roles); ok {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return "roles are " + strings.Join(roles, ", ")
}
