package check

import (
	"time"

	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/scenarios/plan"
)

// Version is the version of a judgement's JSON form (verdict.json).
const Version = 1

// None is the moment of something that has none.
const None = time.Duration(-1)

// Judgement is what the checks make of one run's evidence. It is a function of the evidence and of nothing else. All
// moments are nanoseconds since the start of the run on the run's own clock; all counts are of events unless they say otherwise.
type Judgement struct {
	Version int     `json:"version"`
	Verdict Verdict `json:"verdict"` // the merge of all Results
	Reason  string  `json:"reason"`  // why, in one line
	// Run is repeated from the evidence, so that a verdict can be read on its own.
	Run     evidence.Run `json:"run"`
	Results []Result     `json:"results"` // preconditions first, then the plan's checks in its order, then expectations
	Ledger  Ledger       `json:"ledger"`
	Stages  []StageStats `json:"stages"`            // before, during, after; those that the run had
	Phases  []PhaseStats `json:"phases"`            // in the plan's order
	Faults  []FaultSpan  `json:"faults"`            // in order of injection, one for each node struck; then those that were never injected
	Queries *QueryStats  `json:"queries,omitempty"` // if the plan has readers
	// Objectives are the SLOs and Alerts the triggers that the run defined, in the order in which it did.
	Objectives []ObjectiveStats `json:"objectives,omitempty"`
	Alerts     []AlertStats     `json:"alerts,omitempty"`
	Guards     []GuardStats     `json:"guards,omitempty"` // in the plan's order
	Series     Series           `json:"series"`
}

// QueryCounts are queries by what became of them.
type QueryCounts struct {
	Asked      int64 `json:"asked"`      // the sum of the rest
	Complete   int64 `json:"complete"`   // answered as complete, and what was sent
	Partial    int64 `json:"partial"`    // answered as partial, and what was sent but for what the answer names
	Wrong      int64 `json:"wrong"`      // answered, and not what was sent
	Unjudged   int64 `json:"unjudged"`   // answered, and could not be compared with what was sent
	Failed     int64 `json:"failed"`     // answered without a result
	Unanswered int64 `json:"unanswered"` // not in time, not at all, or not sent
	Early      int64 `json:"early"`      // 404 before anything of the dataset had to be visible; counts for nothing
}

// QueryStats are the readers' queries. Latency is from the moment each was to be sent to its answer, of those that had a
// result; Freshness is how old the oldest accepted event was that an answer which covers everything did not count, at the
// least. Their Events are queries.
type QueryStats struct {
	Total     QueryCounts  `json:"total"`
	Latency   Latency      `json:"latency"`
	Freshness Latency      `json:"freshness"`
	Shapes    []ShapeStats `json:"shapes"` // those that were asked
	Phases    []QueryPhase `json:"phases"` // in the plan's order
}

// ShapeStats are the queries of one shape.
type ShapeStats struct {
	Shape   string      `json:"shape"`
	Counts  QueryCounts `json:"counts"`
	Latency Latency     `json:"latency"`
}

// QueryPhase are the queries that were to be sent in one phase.
type QueryPhase struct {
	Phase     string      `json:"phase"`
	Stage     plan.Stage  `json:"stage"`
	Counts    QueryCounts `json:"counts"`
	Latency   Latency     `json:"latency"`
	Freshness Latency     `json:"freshness"`
}

// Result is what one check found.
type Result struct {
	Name     string    `json:"name"`  // unique in a judgement: "durability", "recovers(30s)", "expect outage: ack.p99 < 2s"
	Check    string    `json:"check"` // which check: one of the Check… names
	Verdict  Verdict   `json:"verdict"`
	Summary  string    `json:"summary"` // one sentence with the figures that matter
	Findings []Finding `json:"findings,omitempty"`
	Numbers  []Number  `json:"numbers,omitempty"`
	Pos      *plan.Pos `json:"pos,omitempty"` // where the script asked for it
}

// Number is a figure of a result.
type Number struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"` // "events", "s", "ratio", "records", …
}

// Finding is one thing that a check found, with its evidence. What was found many times in the same way is one finding
// with a Count and a few examples.
type Finding struct {
	Check   string  `json:"check"`
	Verdict Verdict `json:"verdict"` // what this finding alone makes of the run; Pass is a remark
	Title   string  `json:"title"`
	// Evidence are lines for people: what was seen, where, and what was expected.
	Evidence []string `json:"evidence,omitempty"`
	// At is the moment it concerns (for a group the first), None if there is none.
	At    time.Duration `json:"at"`
	Phase string        `json:"phase,omitempty"` // in which At lies
	// Stage of the pipeline where events vanished, for lost events.
	Stage LossStage `json:"stage,omitempty"`
	// Fault is the fault then active, or else the one the system was recovering from, or else the next one, for people:
	// "during kill kafka2 (outage/0)". FaultID is its ID alone.
	Fault    string    `json:"fault,omitempty"`
	FaultID  string    `json:"fault_id,omitempty"`
	Pos      *plan.Pos `json:"pos,omitempty"` // the step of the script: the fault's, else the phase's, else the check's
	Count    int64     `json:"count"`
	Examples []Example `json:"examples,omitempty"` // at most MaxExamples
}

// MaxExamples bounds the examples of one finding.
const MaxExamples = 10

// Example is one event that a finding is about.
type Example struct {
	Producer uint32        `json:"producer"`
	Seq      uint64        `json:"seq"`
	At       time.Duration `json:"at"`        // when it was answered; None if it never was
	Answer   int           `json:"answer"`    // its status code, 0 if it has none
	Target   string        `json:"target"`    // the shepherd that was asked
	Dataset  string        `json:"dataset"`   //
	Where    string        `json:"where"`     // what is known of its whereabouts
	Receipt  bool          `json:"receipt"`   // the answer named a Kafka offset:
	Part     int32         `json:"partition"` // of the receipt or of where it is; -1 if unknown
	Offset   int64         `json:"offset"`    // likewise
}

// LossStage says where on its way an accepted event vanished.
type LossStage string

// Stages of loss, in the order of the way.
const (
	LostBeforeKafka   LossStage = "before-kafka"     // answered 202 without a receipt, and not in Kafka's final log
	LostInKafka       LossStage = "in-kafka"         // Kafka acknowledged it at an offset, and it is not in the final log
	LostBeforeStorage LossStage = "before-retriever" // in Kafka's final log, held by no retriever
	LostAtRetriever   LossStage = "at-retriever"     // in Kafka's final log, held somewhere, but not by every retriever that has to
	LostBeforeStore   LossStage = "before-s3"        // no longer held locally, or below the manifest's next offset, and not in S3
	LostBeforeQuery   LossStage = "before-query"     // stored, and not counted by queries that say they are complete
	LostSomewhere     LossStage = "unknown"          // not held, and the log could not be read back
)

// Counts are events by how they were answered.
type Counts struct {
	Offered   int64 `json:"offered"`   // by the load's schedule; the sum of the rest
	Accepted  int64 `json:"accepted"`  // 202
	Throttled int64 `json:"throttled"` // 429
	Refused   int64 `json:"refused"`   // 503 and other answers that say "certainly not stored"
	Malformed int64 `json:"malformed"` // 400
	Unknown   int64 `json:"unknown"`   // 504, no answer in time, or none at all: stored or not
	NotSent   int64 `json:"not_sent"`  // the request never reached a shepherd
}

// Sent is how many reached a shepherd, or may have.
func (c Counts) Sent() int64 { return c.Offered - c.NotSent }

// Ledger follows all events of the run, warm-up included, from the client to the retrievers.
type Ledger struct {
	Counts
	Judged      bool        `json:"judged"`        // false: the evidence did not allow it, and what follows says nothing
	InLog       int64       `json:"in_log"`        // distinct events in Kafka's final log
	LogCopies   int64       `json:"log_copies"`    // further copies of them there; retrievers drop these
	Held        int64       `json:"held"`          // distinct events that retrievers hold
	Lost        int64       `json:"lost"`          // accepted and not held
	LostByStage []StageLoss `json:"lost_by_stage"` // all stages, in order
	Pending     int64       `json:"pending"`       // accepted, not held, but the evidence cannot say that they are lost
	Duplicated  int64       `json:"duplicated"`    // distinct events held more than once
	Phantom     int64       `json:"phantom"`       // distinct marks in the log or held that were never sent
	Resurrected int64       `json:"resurrected"`   // distinct events in the log or held that were certainly refused
	Corrupt     int64       `json:"corrupt"`       // marks in the log or held that are corrupt, foreign or unreadable
	UnknownKept int64       `json:"unknown_kept"`  // held events whose outcome the client never learnt
	// Behind Kafka, where there are pairs or manifests:
	Replicas []ReplicaCount `json:"replicas,omitempty"` // of each partition's retrievers the first, the second, …
	InS3     int64          `json:"in_s3,omitempty"`    // distinct events in the segments that the last manifests name
	// Visible is how many events the last complete answers that cover whole datasets count, each dataset once; Covered is
	// how many events of these datasets were accepted. Both are 0 if no query asked.
	Visible int64 `json:"visible,omitempty"`
	Covered int64 `json:"covered,omitempty"`
}

// ReplicaCount is what the retrievers of one replica hold: distinct events on their disks, and aged to S3 alone.
type ReplicaCount struct {
	Replica int   `json:"replica"` // from 0
	Local   int64 `json:"local"`
	Aged    int64 `json:"aged"`
}

// StageLoss is how many events vanished at one stage.
type StageLoss struct {
	Stage LossStage `json:"stage"`
	Count int64     `json:"count"`
}

// Latency of accepted events, from the moment each was to be sent to its answer. Quantiles are exact: the smallest
// latency that at least that share of the events did not exceed. All are 0 when Events is.
type Latency struct {
	Events int64         `json:"events"`
	Mean   time.Duration `json:"mean"`
	P50    time.Duration `json:"p50"`
	P90    time.Duration `json:"p90"`
	P95    time.Duration `json:"p95"`
	P99    time.Duration `json:"p99"`
	P999   time.Duration `json:"p999"`
	Max    time.Duration `json:"max"`
}

// PhaseStats is one phase as it went. Events belong to the phase in which they were to be sent.
type PhaseStats struct {
	Name    string        `json:"name"`
	Stage   plan.Stage    `json:"stage"`
	Ran     bool          `json:"ran"`   // it began
	Begin   time.Duration `json:"begin"` // None if it did not
	End     time.Duration `json:"end"`   // the run's end if it was cut short
	Counts  Counts        `json:"counts"`
	Latency Latency       `json:"latency"`
	Machine *MachineStats `json:"machine,omitempty"` // on real servers
	Pos     plan.Pos      `json:"pos"`
}

// StageStats sums the phases of one stage and holds the service levels that were asked of it.
type StageStats struct {
	Stage   plan.Stage `json:"stage"`
	Counts  Counts     `json:"counts"`
	Latency Latency    `json:"latency"`
	SLOs    []SLO      `json:"slos"`
}

// SLO is one service level over one stage.
type SLO struct {
	Name     string        `json:"name"`           // of its Result
	Unit     string        `json:"unit,omitempty"` // what is counted below: "" stands for events, else "queries"
	Target   float64       `json:"target"`         // share of good events
	Within   time.Duration `json:"within"`         // latency bound of a good event; 0: none
	Judged   bool          `json:"judged"`         // false: shown, but the check does not ask it of this stage
	Verdict  Verdict       `json:"verdict"`
	Events   int64         `json:"events"`
	Good     int64         `json:"good"`
	Bad      BadEvents     `json:"bad"`
	Fraction float64       `json:"fraction"` // Good/Events; 0 without events
	// Budget is which share of the error budget (1-Target) was used: 1 is all of it, more is too much. With a budget of
	// nothing it is 0 or -1, which stands for beyond measure.
	Budget float64 `json:"budget"`
}

// BadEvents are events that were not good, each counted under the first reason that holds.
type BadEvents struct {
	Lost      int64 `json:"lost"`
	Late      int64 `json:"late"` // accepted after the latency bound
	Refused   int64 `json:"refused"`
	Throttled int64 `json:"throttled"`
	Malformed int64 `json:"malformed"`
	Unknown   int64 `json:"unknown"`
	NotSent   int64 `json:"not_sent"`
	// Of freshness and of queries:
	Stale      int64 `json:"stale,omitempty"`      // accepted, and not visible in time
	Wrong      int64 `json:"wrong,omitempty"`      // answers that are not what was sent
	Partial    int64 `json:"partial,omitempty"`    // answers that say what they lack
	Failed     int64 `json:"failed,omitempty"`     // answered without a result
	Unanswered int64 `json:"unanswered,omitempty"` //
}

// FaultSpan is one fault on one node. Moments that did not come are None.
type FaultSpan struct {
	ID        string        `json:"id"`     // phase/index
	Phase     string        `json:"phase"`  //
	Kind      string        `json:"kind"`   // a system.FaultKind
	Node      string        `json:"node"`   // "" if it was never injected
	Detail    string        `json:"detail"` // what was done, for people
	Permanent bool          `json:"permanent"`
	Injected  time.Duration `json:"injected"`
	Observed  time.Duration `json:"observed"`
	Effect    string        `json:"effect"` // how its effect was seen, the first observation first, or why not
	Healed    time.Duration `json:"healed"` // healing was asked for
	Back      time.Duration `json:"back"`   // the node was seen to be back
	Recovery  string        `json:"recovery"`
	// Over is when the system had recovered from it as far as the samples tell; the run's end if it had not.
	Over time.Duration `json:"over"`
	Pos  *plan.Pos     `json:"pos,omitempty"`
}

// GuardStats are what one guard of the experiment had to look at, computed from the history. Moments that did not come are None.
type GuardStats struct {
	Name      string        `json:"name"`       // of its Result
	Target    float64       `json:"target"`     // share of good events or queries
	Gate      float64       `json:"gate"`       // share of the steady state's budget that had to be left
	Left      float64       `json:"left"`       // share that was; below 0 more than all was used
	Counted   int64         `json:"counted"`    // events or queries of the steady state that were decided by then
	Opened    bool          `json:"opened"`     // the engine let the experiment begin
	Limit     float64       `json:"limit"`      // burn rate beyond which it had to stop
	Window    time.Duration `json:"window"`     // over which
	MaxBurn   float64       `json:"max_burn"`   // the highest from the gate to the end of the last phase with faults
	MaxAt     time.Duration `json:"max_at"`     //
	StoppedAt time.Duration `json:"stopped_at"` // when this guard aborted the experiment
	Pos       *plan.Pos     `json:"pos,omitempty"`
}

// Series are rates, latencies and samples over the run, for charts.
type Series struct {
	Step    time.Duration `json:"step"` // bin i covers [i·Step, (i+1)·Step)
	Columns []Column      `json:"columns"`
}

// Column is one line of a chart. The event columns ("offered", "accepted", "throttled", "refused", "unknown", in
// events/s; "latency.p50", "latency.p99", "latency.max" in s) bin by the moment at which an event was to be sent; the others
// are sampled metrics by their names in package evidence, the last sample in each bin.
type Column struct {
	Name   string `json:"name"`
	Unit   string `json:"unit"`
	Values Values `json:"values"`
}
