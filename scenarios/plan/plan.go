// Package plan is what a scenario script builds and what the engine runs: one versioned JSON document, hashed, stored,
// compared and replayed. It contains no code and no values that only a run can know.
package plan

import (
	"fmt"
	"time"

	"github.com/ratel-sim/ratel/system"
)

// Version is the version of the plan format that this build writes. It reads this one and those before.
const Version = 4

// Pos is where in a script something was said.
type Pos struct {
	File string `json:"file"`
	Line int    `json:"line"`
	Col  int    `json:"col"`
}

// String is file:line:col.
func (p Pos) String() string { return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col) }

// Duration is a time.Duration written as a string such as "1m30s" in JSON.
type Duration time.Duration

// Plan is a whole scenario with its parameters filled in.
type Plan struct {
	Version  int             `json:"version"`
	Scenario string          `json:"scenario"`          // the script's name, such as broker-loss
	Doc      string          `json:"doc"`               // its docstring: the hypothesis
	Params   []Param         `json:"params"`            // in the order of declaration
	Choices  []Choice        `json:"choices,omitempty"` // what choose drew from the seed
	Notes    []string        `json:"notes,omitempty"`   // for readers of the plan and the report
	Worlds   []string        `json:"worlds"`            // in which it can run: "sim", "containers"
	System   system.Topology `json:"system"`
	Traffic  []Traffic       `json:"traffic"`
	Readers  []Reader        `json:"readers,omitempty"`
	// Objectives and Alerts are what is defined for the loads' datasets.
	Objectives []Objective `json:"objectives,omitempty"`
	Alerts     []Alert     `json:"alerts,omitempty"`
	// Guards keep the experiment from starting, or stop it, when too much of a service level's error budget is gone.
	Guards []Guard `json:"guards,omitempty"`
	Phases []Phase `json:"phases"`
	Checks []Check `json:"checks"`
	Pos    Pos     `json:"pos"`
}

// Param is one parameter of the scenario: a keyword default of its function, or what --set gave.
type Param struct {
	Name    string `json:"name"`
	Default string `json:"default"`
	Value   string `json:"value"`
}

// Choice is one value that the script drew from the run's seed.
type Choice struct {
	Name  string `json:"name"`
	Value string `json:"value"` // as the script would write it
	Pos   Pos    `json:"pos"`
}

// Traffic is a load by the open model: when an event is sent does not depend on earlier answers.
type Traffic struct {
	Name            string   `json:"name"`
	Team            string   `json:"team"`   // of the topology's
	Events          string   `json:"events"` // what the events are like: one of EventKinds
	Shape           Shape    `json:"shape"`
	EventsPerSecond float64  `json:"events_per_second"`       // the mean over a steady load; the start of a ramp
	ToPerSecond     float64  `json:"to_per_second,omitempty"` // ramp: the end
	EventsPerBatch  int      `json:"events_per_batch"`
	EventBytes      int      `json:"event_bytes"` // approximate size of an event's own payload
	Datasets        int      `json:"datasets"`
	Clients         int      `json:"clients"`
	Timeout         Duration `json:"timeout"` // how long a client waits for an answer
	BurstEvery      Duration `json:"burst_every,omitempty"`
	BurstLength     Duration `json:"burst_length,omitempty"`
	// Replay is NDJSON text whose events are sent again and again instead of made ones; empty: they are made.
	Replay string `json:"replay,omitempty"`
	Pos    Pos    `json:"pos"`
}

// Shape is how a load's rate goes over time.
type Shape string

// Shapes.
const (
	Steady Shape = "steady"
	Ramp   Shape = "ramp"
	Wave   Shape = "wave" // a sine around the mean, as a day has
	// Burst is steady, with bursts of ToPerSecond for BurstLength every BurstEvery.
	Burst Shape = "burst"
)

// Kinds of events.
const (
	EventsSmall  = "small"  // eight fields of a web request
	EventsWide   = "wide"   // thirty columns of skewed cardinality, sometimes absent, sampled
	EventsTraces = "traces" // wide, as the spans of traces
	EventsSprawl = "sprawl" // small, each with columns of its own: the schema grows without end
)

// Reader queries a traffic's datasets all through the run, by the open model.
type Reader struct {
	Name    string   `json:"name"`
	Traffic string   `json:"traffic"` // whose datasets
	Every   Duration `json:"every"`
	Shapes  []string `json:"shapes"`  // in turn; see QueryShapes
	Timeout Duration `json:"timeout"` // how long it waits for an answer
	Pos     Pos      `json:"pos"`
}

// Shapes of queries, in event time before the moment of asking. The load generator makes the specification of each.
const (
	QueryFresh   = "fresh"   // COUNT by service over the last 10 s: what an on-call engineer looks at
	QueryRecent  = "recent"  // COUNT, AVG and P95 of the duration by route over the last minute
	QueryOld     = "old"     // the same from the run's beginning until a minute ago
	QueryAll     = "all"     // COUNT by service, and the series, over the whole run
	QueryErrors  = "errors"  // COUNT where the status is 500 or above, by service and route
	QueryHeatmap = "heatmap" // HEATMAP of the duration over the last minute
	QueryUnique  = "unique"  // COUNT_DISTINCT, MIN, MAX and SUM over the whole run
	QueryCover   = "cover"   // COUNT and MAX of the sequence by producer over the whole run: what freshness is judged by
)

// QueryShapes lists all shapes.
func QueryShapes() []string {
	return []string{QueryFresh, QueryRecent, QueryOld, QueryAll, QueryErrors, QueryHeatmap, QueryUnique, QueryCover}
}

// Stage says what a phase is to the service levels.
type Stage string

// Stages. By default phases before the first with faults are before, those with faults during, later ones after.
const (
	Warmup Stage = "warmup" // traffic flows and is followed for durability, but no service level is judged
	Before Stage = "before"
	During Stage = "during"
	After  Stage = "after"
)

// Phase is a stretch of the run. Its faults begin at their At and heal when it ends unless permanent.
type Phase struct {
	Name   string        `json:"name"`
	Length Duration      `json:"length"`
	Stage  Stage         `json:"stage"`
	Faults []Fault       `json:"faults,omitempty"`
	Expect []Expectation `json:"expect,omitempty"`
	// Runbook is what is done to the system on purpose.
	Runbook []Step `json:"runbook,omitempty"`
	Pos     Pos    `json:"pos"`
}

// Fault is a fault to inject. Its target is resolved at the moment of injection.
type Fault struct {
	Kind      system.FaultKind `json:"kind"`
	Target    Selector         `json:"target"`
	From      []Selector       `json:"from,omitempty"`
	Direction system.Direction `json:"direction,omitempty"`
	Rate      float64          `json:"rate,omitempty"`      // errors
	Delay     Duration         `json:"delay,omitempty"`     // slow
	Team      string           `json:"team,omitempty"`      // recreate
	Dataset   string           `json:"dataset,omitempty"`   // recreate
	Record    system.Poison    `json:"record,omitempty"`    // poison: what is wrong with the records
	Records   int              `json:"records,omitempty"`   // poison: how many
	At        Duration         `json:"at"`                  // after the phase's start
	For       Duration         `json:"for,omitempty"`       // heal after this long; 0 means at the phase's end
	Permanent bool             `json:"permanent,omitempty"` // never heal
	Aim       *Aim             `json:"aim,omitempty"`       // strike when a protocol event is announced (simulation only)
	Pos       Pos              `json:"pos"`
}

// Aim makes a fault wait for a protocol event after At, then strike a seeded delay of at most Within later. The target
// may be SelectSubject: the node which the event is about.
type Aim struct {
	On     string   `json:"on"` // a port.Event kind
	Within Duration `json:"within"`
	Skip   int      `json:"skip,omitempty"` // events to let pass first
}

// SelectorKind says how a selector finds its nodes.
type SelectorKind string

// Kinds of selectors.
const (
	SelectNode    SelectorKind = "node"      // by name
	SelectAny     SelectorKind = "any_of"    // N nodes of a role, drawn from the seed
	SelectAll     SelectorKind = "all_of"    // every node of a role
	SelectLeader  SelectorKind = "leader_of" // the broker that leads a partition
	SelectZK      SelectorKind = "zk_leader" // the ZooKeeper node that leads the ensemble
	SelectPeers   SelectorKind = "others"    // every node of a role but the target (isolate's from)
	SelectSubject SelectorKind = "subject"   // the node that the aimed-at event is about
	SelectPair    SelectorKind = "pair_of"   // both retrievers of a partition
	SelectOneOf   SelectorKind = "one_of"    // one retriever of a partition, drawn from the seed
	SelectZone    SelectorKind = "zone"      // every node of a zone
	SelectAnyZone SelectorKind = "any_zone"  // every node of a zone that is drawn from the seed
)

// Selector names nodes at the moment of use.
type Selector struct {
	Kind      SelectorKind `json:"kind"`
	Node      string       `json:"node,omitempty"`
	Role      system.Role  `json:"role,omitempty"`
	N         int          `json:"n,omitempty"`
	Topic     string       `json:"topic,omitempty"`
	Partition int32        `json:"partition,omitempty"`
	Zone      string       `json:"zone,omitempty"`
	Pos       Pos          `json:"pos"`
}

// Expectation is a condition on what is measured in a phase: "ack.p99 < 150ms", "kafka.under_replicated == 0 within 30s".
// Its grammar is in expect.go; Source is kept as written.
type Expectation struct {
	Source string  `json:"source"`
	Metric string  `json:"metric"` // subject.stat
	Op     string  `json:"op"`     // < <= > >= == !=
	Value  float64 `json:"value"`  // in the metric's unit: seconds, ratio, count, per second
	// When: "" over the whole phase; "within": true at some moment and from then on to the phase's end, reached in the
	// first D; "after": over the phase without its first D; "for": true for a stretch of at least D; "always": every sample.
	When string   `json:"when,omitempty"`
	D    Duration `json:"d,omitempty"`
	Pos  Pos      `json:"pos"`
}

// Check is one check to judge the run by.
type Check struct {
	Name string    `json:"name"`
	Args CheckArgs `json:"args"`
	Pos  Pos       `json:"pos"`
}

// CheckArgs are the arguments of all checks; each uses its own.
type CheckArgs struct {
	Target float64  `json:"target,omitempty"` // slo: fraction of good events, such as 0.9999
	Within Duration `json:"within,omitempty"` // recovers: bound after the heal; slo: latency bound of a good event
	Stage  Stage    `json:"stage,omitempty"`  // slo: the stage that must meet the target; empty means every judged stage
	// Traffic is the load whose events or queries are judged by a service level; empty means all.
	Traffic string `json:"traffic,omitempty"`
	// Reader is the reader whose queries are judged by the service level of queries; empty means all.
	Reader string `json:"reader,omitempty"`
}
