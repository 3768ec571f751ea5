// Package evidence is what a run leaves behind and what the checks judge: what every client sent and was told, what Kafka
// and the retrievers hold in the end, what was measured meanwhile, and what was done to the system. It is saved before it
// is judged, and can be judged again.
//
// All times are nanoseconds since the start of the run on one clock, virtual or wall.
package evidence

import (
	"encoding/json"
	"time"

	"github.com/ratel-sim/ratel/scenarios/plan"
	"github.com/ratel-sim/ratel/system/query"
	"github.com/ratel-sim/ratel/system/query/exec"
)

// Version is the version of the saved format that this build writes. It reads this one, version 4, which had no records,
// version 3, which had no telemetry,
// version 2, which had nothing of counting and alerting, and version 1, which had no queries, commits, pairs and places either.
const Version = 5

// Evidence is everything about one run.
type Evidence struct {
	Run      Run
	Plan     *plan.Plan
	Ops      []Op
	Log      []LogMark
	Records  []Record   // of the log, by partition and offset
	Held     []HeldMark // by retriever, then offset; what S3 holds has the retriever StoreS3
	Queries  []Query
	Commits  []Commit
	Pairs    []PairRange
	Places   []Place
	Samples  []Sample
	Timeline []Entry
	// What counting and alerting had to do, and what they did.
	SLOs        []SLO
	Counts      []SLOCount
	Progress    []Progress
	Alerts      []Alert
	Evaluations []Evaluation
	Deliveries  []Delivery
	// Telemetry is what roles said about themselves, in the order in which the observer took it.
	Telemetry []Telemetry
	// Gaps are pieces of evidence that could not be gathered. A check that needs one answers inconclusive.
	Gaps []Gap
}

// Run says what was run.
type Run struct {
	Version   int           `json:"version"`
	Scenario  string        `json:"scenario"`
	World     string        `json:"world"`
	Seed      uint64        `json:"seed"`
	Build     string        `json:"build"`             // version and commit of Ratel
	Planted   []string      `json:"planted,omitempty"` // planted bugs that were on
	PlanHash  string        `json:"plan_hash"`
	Length    time.Duration `json:"length"`               // of the run on its own clock, collection included
	TraceHash string        `json:"trace_hash,omitempty"` // simulation only
	Steps     uint64        `json:"steps,omitempty"`      // simulation only
	// Epoch is the moment that all durations of the evidence count from, on the clock that events carry their times by.
	// The ground truth of queries follows from it; zero if it is not known.
	Epoch time.Time `json:"epoch,omitzero"`
	// Ended says how the run ended: "" as planned, else why not (interrupted, world failed).
	Ended string `json:"ended,omitempty"`
}

// Op is one request of a client: a batch of events with dense sequence numbers FirstSeq … FirstSeq+Count-1 of Producer.
type Op struct {
	Traffic  int    `json:"traffic"` // index in the plan
	Producer uint32 `json:"producer"`
	FirstSeq uint64 `json:"first_seq"` // the first event's sequence is 0
	Count    int    `json:"count"`
	Dataset  string `json:"dataset"`
	Target   string `json:"target"` // the shepherd
	// Intended is when the open model wanted it sent; latency counts from here. Sent is when it was. Done is when the
	// answer came or was given up, -1 if the run ended first.
	Intended time.Duration `json:"intended"`
	Sent     time.Duration `json:"sent"`
	Done     time.Duration `json:"done"`
	Code     int           `json:"code"` // HTTP status; 0 when no answer came
	Error    string        `json:"error,omitempty"`
	// NotSent: no answer came and the request certainly never reached a shepherd. Else, without an answer, every event's outcome is unknown.
	NotSent bool   `json:"not_sent,omitempty"`
	Parts   []Part `json:"parts,omitempty"` // covers the batch in order when Code is 200
}

// Part is a run of consecutive events of a batch that were answered alike.
type Part struct {
	Count     int    `json:"count"`
	Code      int    `json:"code"` // a shepherd status code
	Error     string `json:"error,omitempty"`
	Partition int32  `json:"partition"` // receipt; with Offset -1: none
	Offset    int64  `json:"offset"`
}

// MarkState says what a stored event turned out to be.
type MarkState uint8

// States of stored events.
const (
	Intact     MarkState = iota // its checksum matches what was sent
	Corrupt                     // it has an identity but its checksum does not match
	Foreign                     // it has no identity of the load generator
	Unreadable                  // the record could not be decoded at all
)

// LogMark is one event in the final Kafka log, read back from the log's start to its high watermark.
type LogMark struct {
	Offset    int64
	Seq       uint64
	Producer  uint32
	Partition int32
	State     MarkState
}

// HeldMark is one event that a retriever holds durably in the end.
type HeldMark struct {
	Retriever string
	Offset    int64
	Seq       uint64
	Producer  uint32
	Partition int32
	State     MarkState
}

// StoreS3 is the name under which [HeldMark] says what the object store holds.
const StoreS3 = "s3"

// Query is one query of a reader and what it was answered.
type Query struct {
	Reader   int             `json:"reader"` // index in the plan
	Shape    string          `json:"shape"`
	Team     string          `json:"team"` // name in the plan
	Dataset  string          `json:"dataset"`
	Spec     json.RawMessage `json:"spec"`
	Target   string          `json:"target"` // the query node
	Intended time.Duration   `json:"intended"`
	Sent     time.Duration   `json:"sent"`
	Done     time.Duration   `json:"done"` // -1 if the run ended first
	Code     int             `json:"code"` // HTTP status; 0 when no answer came
	Error    string          `json:"error,omitempty"`
	Complete bool            `json:"complete"`
	Missing  []query.Missing `json:"missing,omitempty"`
	Result   *exec.Result    `json:"result,omitempty"`
}

// Commit is one manifest as it was seen: while it was current, the engine looked for every object that it names.
type Commit struct {
	At         time.Duration `json:"at"`
	Partition  int32         `json:"partition"`
	Generation int64         `json:"generation"`
	Next       int64         `json:"next"`
	Writer     string        `json:"writer"`
	// Absent are objects that it names and that were not there, or not as it says.
	Absent []string `json:"absent,omitempty"`
	// Durable is what the writer said just then to hold durably; -1 if it did not answer.
	Durable int64 `json:"durable"`
	// Final: it is the manifest whose segments were read back in the end, as the marks of StoreS3.
	Final bool `json:"final,omitempty"`
}

// PairRange is a range of offsets as one retriever has stored it in the end.
type PairRange struct {
	Retriever string `json:"retriever"`
	Partition int32  `json:"partition"`
	First     int64  `json:"first"`
	Next      int64  `json:"next"`
	Rows      int64  `json:"rows"`
	Sum       uint64 `json:"sum"`
}

// Place is where a retriever runs, as itself says.
type Place struct {
	At        time.Duration `json:"at"`
	Retriever string        `json:"retriever"`
	Partition int32         `json:"partition"`
	Zone      string        `json:"zone"`
	Claimed   bool          `json:"claimed"`
}

// Sample is what was measured at one moment. Values is keyed by metric name; names are listed in metrics.go of this package.
type Sample struct {
	At     time.Duration      `json:"at"`
	Values map[string]float64 `json:"values"`
}

// EntryKind is what a timeline entry tells.
type EntryKind string

// Kinds of entries.
const (
	PhaseBegan    EntryKind = "phase.began"
	PhaseEnded    EntryKind = "phase.ended"
	FaultInjected EntryKind = "fault.injected"
	FaultObserved EntryKind = "fault.observed" // its effect was seen: Detail says how
	FaultUnseen   EntryKind = "fault.unseen"   // its effect was not seen within the deadline
	FaultHealed   EntryKind = "fault.healed"   // healing was asked for
	HealObserved  EntryKind = "heal.observed"  // the node was seen to be back
	HealUnseen    EntryKind = "heal.unseen"
	GateOpened    EntryKind = "gate.opened"        // a guard let the experiment start: Burn is of the steady state
	GateClosed    EntryKind = "gate.closed"        // a guard did not: no fault is injected, and no phase begins any more
	Aborted       EntryKind = "experiment.aborted" // the burn passed a guard's limit: everything heals, and no phase begins any more
	LoadBegan     EntryKind = "load.began"
	LoadEnded     EntryKind = "load.ended"
	Drained       EntryKind = "drained" // retrievers have reached the end of the log
	NotDrained    EntryKind = "drain.timeout"
	Announced     EntryKind = "announced" // a port.Event: Event is its kind
	Poisoned      EntryKind = "poisoned"  // the harness's own bad record is at Offset of Topic's partition Part
	// LogEnded: Topic's partition Part ends before Offset, and its last records have no events, which leave no other trace in the evidence.
	LogEnded EntryKind = "log.ended"
	// A step of the runbook, by its ID in Fault; Event is its kind, and Part, where Topic is given, how many partitions there are.
	StepBegan  EntryKind = "step.began"
	StepDone   EntryKind = "step.done"   // its effect was seen: Detail says how
	StepFailed EntryKind = "step.failed" // Detail says why
)

// Entry is one thing that happened.
type Entry struct {
	At     time.Duration `json:"at"`
	Kind   EntryKind     `json:"kind"`
	Phase  string        `json:"phase,omitempty"`
	Fault  string        `json:"fault,omitempty"` // fault ID: phase name / index, such as outage/0
	Node   string        `json:"node,omitempty"`
	Event  string        `json:"event,omitempty"`
	Topic  string        `json:"topic,omitempty"` // with Part, where an announcement is about one partition
	Part   int32         `json:"part,omitempty"`
	Offset int64         `json:"offset,omitempty"` // poisoned, log.ended
	Detail string        `json:"detail,omitempty"`
	Guard  int           `json:"guard,omitempty"` // of the plan's guards the first is 1
	Burn   float64       `json:"burn,omitempty"`  // the burn rate that the guard saw
	Pos    *plan.Pos     `json:"pos,omitempty"`   // the step in the script
}

// Gap is a piece of evidence that is missing.
type Gap struct {
	What string `json:"what"` // "log", "held", "samples", …
	Why  string `json:"why"`
}
