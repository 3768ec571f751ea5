// Package check judges a run by its evidence: what was lost, duplicated, invented or damaged on the way, whether the
// service levels held, and whether the system recovered. docs/checks.md defines every check. Judging is a pure function, so
// saved evidence can be judged again with the same result.
package check

import "github.com/ratel-sim/ratel/scenarios/plan"

// Names of checks.
const (
	CheckEvidence   = "evidence"           // the evidence is whole and consistent; always judged
	CheckTraffic    = "traffic"            // there was enough traffic to mean anything; always judged
	CheckFaults     = "faults.observed"    // every planned fault took effect and was healed; judged if faults are planned
	CheckDurability = plan.CheckDurability // what was accepted is held; asks for the four that follow too
	CheckDuplicates = plan.CheckDuplicates // nothing is held twice
	CheckPhantoms   = plan.CheckPhantoms   // nothing is stored that was never sent or was refused
	CheckCorruption = plan.CheckCorruption // what is stored is what was sent
	CheckAgreement  = plan.CheckAgreement  // receipts, Kafka's log and the retrievers tell the same
	CheckSkips      = "skips"              // who passes over a record that cannot be decoded says so; judged with durability if such records are planned
	CheckLogOnce    = plan.CheckLogOnce    // what a producer has sent again is in the log once
	CheckLogOrder   = plan.CheckLogOrder   // the log is in the order of first sending
	CheckRecovers   = plan.CheckRecovers   // after the last healing everything is well again within a bound
	CheckSLOIngest  = plan.CheckSLOIngest  // the share of good events in each stage
	CheckPairs      = plan.CheckPairs      // both of each pair have stored the same
	CheckCommitted  = plan.CheckCommitted  // no manifest is ahead of what is durable
	CheckZones      = plan.CheckZones      // the retrievers of a pair are in different zones
	CheckMemory     = plan.CheckMemory     // every role stays within its memory bound
	CheckQueries    = plan.CheckQueries    // what queries answer is what the load sent
	CheckFreshness  = plan.CheckFreshness  // accepted events become visible within a bound
	CheckSLOFresh   = plan.CheckSLOFresh   // the share of accepted events that became visible in time
	CheckSLOQuery   = plan.CheckSLOQuery   // the share of queries that were answered completely, rightly and in time
	CheckSLOCounts  = plan.CheckSLOCounts  // what was counted for SLOs is what was sent
	CheckProgress   = plan.CheckProgress   // counting reached the end of every partition and only went forward
	CheckAlerts     = plan.CheckAlerts     // each window is evaluated once, rightly and in time; what fires is delivered
	CheckFencing    = plan.CheckFencing    // one effective leader at a time
	CheckGuard      = plan.CheckGuard      // a guard kept its gate, and stopped and healed the run when it had to; for each guard
	CheckTelemetry  = plan.CheckTelemetry  // what roles say about themselves is true, and every fault shows in it
	CheckExpect     = "expectations"       // an expectation of a phase
	CheckPlan       = "checks"             // the plan asks for something that can be judged; only present when it does not
)
