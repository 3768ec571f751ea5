package plan

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/ratel-sim/ratel/loadgen"
	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/duration"
)

// Problems says what is wrong with a load, by itself.
func (t Traffic) Problems() Problems {
	f := &found{pos: t.Pos, step: fmt.Sprintf("traffic %q", t.Name)}
	if !namePattern.MatchString(t.Name) {
		f.add("name", nameHint, "its name is not usable")
	}
	lowest := float64(max(1, t.EventsPerBatch)) / slowestBatch.Seconds()
	f.rate("events_per_second", t.EventsPerSecond, lowest)
	switch t.Shape {
	case Steady, Wave:
		if t.ToPerSecond != 0 {
			f.add("to_per_second", `write shape = "ramp" or shape = "burst", or leave to_per_second out`, "only a ramp and bursts have to_per_second")
		}
	case Burst:
		if t.ToPerSecond <= t.EventsPerSecond {
			f.add("to_per_second", "write such as to_per_second = 5000", "bursts need to_per_second, the rate in a burst, above events_per_second")
			break
		}
		f.rate("to_per_second", t.ToPerSecond, lowest)
		f.span("burst_every", time.Duration(t.BurstEvery), time.Second, MaxLength)
		f.span("burst_length", time.Duration(t.BurstLength), 100*time.Millisecond, time.Duration(t.BurstEvery))
	case Ramp:
		if t.ToPerSecond == 0 {
			f.add("to_per_second", "write such as to_per_second = 5000", "a ramp needs to_per_second, the rate at its end")
			break
		}
		f.rate("to_per_second", t.ToPerSecond, lowest)
	default:
		f.add("shape", oneOf(string(t.Shape), []string{string(Steady), string(Ramp), string(Wave), string(Burst)}), "there is no shape %q", t.Shape)
	}
	if t.Shape != Burst && (t.BurstEvery != 0 || t.BurstLength != 0) {
		f.add("burst_every", `write shape = "burst"`, "only bursts have burst_every and burst_length")
	}
	if !slices.Contains(EventKinds(), t.Events) {
		f.add("events", oneOf(t.Events, EventKinds()), "there are no events of kind %q", t.Events)
	}
	if len(t.Replay) > MaxReplayBytes {
		f.add("replay", "take a part of it", "the replayed events have %d bytes, more than %d", len(t.Replay), MaxReplayBytes)
	} else if t.Replay != "" {
		if _, err := loadgen.ParseReplay("replay", []byte(t.Replay)); err != nil {
			f.add("replay", `write an object a line, such as {"status": 200}`, "%v", err)
		}
	}
	f.between("events_per_batch", t.EventsPerBatch, 1, MaxBatchEvents)
	f.between("event_bytes", t.EventBytes, 1, MaxEventBytes)
	f.between("datasets", t.Datasets, 1, MaxDatasets)
	f.between("clients", t.Clients, 1, MaxClients)
	f.span("timeout", time.Duration(t.Timeout), 10*time.Millisecond, time.Hour)
	return f.list
}

// EventKinds lists the kinds of events.
func EventKinds() []string { return []string{EventsSmall, EventsWide, EventsTraces, EventsSprawl} }

// Problems says what is wrong with a reader, by itself.
func (r Reader) Problems() Problems {
	f := &found{pos: r.Pos, step: fmt.Sprintf("readers %q", r.Name)}
	if !namePattern.MatchString(r.Name) {
		f.add("name", nameHint, "its name is not usable")
	}
	f.span("every", time.Duration(r.Every), 10*time.Millisecond, time.Hour)
	f.span("timeout", time.Duration(r.Timeout), 10*time.Millisecond, time.Hour)
	if len(r.Shapes) == 0 || len(r.Shapes) > len(QueryShapes()) {
		f.add("shapes", `write shapes = ["fresh", "old"]`, "%d shapes, expected 1 to %d", len(r.Shapes), len(QueryShapes()))
	}
	for _, s := range r.Shapes {
		if !slices.Contains(QueryShapes(), s) {
			f.add("shapes", oneOf(s, QueryShapes()), "there is no query shape %q", s)
		}
	}
	return f.list
}

// rate wants events per second that make a batch at least every slowestBatch.
func (f *found) rate(field string, v, lowest float64) {
	switch {
	case math.IsNaN(v) || v <= 0 || v > MaxRate:
		f.add(field, "write a number of events such as 1000", "%s must be more than 0 and at most %d, not %v", field, MaxRate, v)
	case v < lowest:
		f.add(field, "write more, or a smaller events_per_batch", "%s of %v would send a batch less often than every %s", field, v, Duration(slowestBatch))
	}
}

// Problems says what is wrong with a phase, by itself; whether the faults' targets exist is known with the topology only.
func (ph Phase) Problems() Problems {
	f := &found{pos: ph.Pos, step: fmt.Sprintf("phase %q", ph.Name)}
	if !namePattern.MatchString(ph.Name) {
		f.add("name", nameHint, "its name is not usable")
	}
	if ph.Length <= 0 {
		f.add("length", duration.Forms, "its length must be positive, not %s", ph.Length)
	}
	if !slices.Contains([]Stage{Warmup, Before, During, After}, ph.Stage) {
		f.add("stage", oneOf(string(ph.Stage), []string{string(Warmup), string(Before), string(During), string(After)}), "there is no stage %q", ph.Stage)
	}
	if len(ph.Faults) > MaxFaults {
		f.add("faults", "", "%d faults are more than %d", len(ph.Faults), MaxFaults)
	}
	if len(ph.Expect) > MaxExpects {
		f.add("expect", "", "%d expectations are more than %d", len(ph.Expect), MaxExpects)
	}
	ph.steps(f)
	for i, ft := range ph.Faults {
		own := ft.Problems()
		if len(own) == 0 {
			own = ft.fits(ph, i)
		}
		f.list = append(f.list, own...)
	}
	for _, e := range ph.Expect {
		f.list = append(f.list, e.fits(ph)...)
	}
	return f.list
}

// fits says what of an expectation is wrong in a phase.
func (e Expectation) fits(ph Phase) Problems {
	f := &found{pos: e.Pos, step: fmt.Sprintf("phase %q", ph.Name)}
	parsed, err := ParseExpectation(e.Source)
	switch {
	case err != nil:
		f.add("expect", "", "%v", err)
	case !parsed.same(e):
		f.add("expect", fmt.Sprintf("its fields mean %q", e.Canonical()), "expectation %q does not say what its fields say", e.Source)
	case e.When == "after" && e.D >= ph.Length:
		f.add("expect", "", "expectation %q leaves out the first %s of a phase of %s: nothing is left to judge", e.Source, e.D, ph.Length)
	case e.D > ph.Length:
		f.add("expect", "", "expectation %q speaks of %s, and the phase lasts %s", e.Source, e.D, ph.Length)
	}
	return f.list
}

// Names of the checks that a plan asks for. durability asks for the four that follow it too.
const (
	CheckDurability = "durability"
	CheckPairs      = "pairs"     // both of a pair have stored the same
	CheckCommitted  = "committed" // no manifest is ahead of what is durable
	CheckZones      = "zones"     // never both of a pair in one zone
	CheckQueries    = "queries"   // answers equal the ground truth, partial ones are honest
	CheckFreshness  = "freshness" // accepted events become visible within a bound
	CheckMemory     = "memory"    // every role stays within its configured bound
	CheckSLOFresh   = "slo.freshness"
	CheckSLOQuery   = "slo.query"
	CheckDuplicates = "duplicates"
	CheckPhantoms   = "phantoms"
	CheckCorruption = "corruption"
	CheckAgreement  = "agreement"
	CheckLogOnce    = "log_once"  // what a producer has sent again is in the log once
	CheckLogOrder   = "log_order" // records of a shepherd and partition are in the order in which they were sent
	CheckRecovers   = "recovers"
	CheckSLOIngest  = "slo.ingest"
	CheckSLOCounts  = "slo_counts" // what was counted for each SLO and minute is what was sent
	CheckProgress   = "progress"   // counting has reached the end of every partition, and only went forward
	CheckAlerts     = "alerts"     // each window evaluated once, rightly and in time, and what fires delivered
	CheckCoverage   = "coverage"   // partitions that were added are followed by all their retrievers, and used
	CheckFencing    = "fencing"    // one effective leader at a time, by its epoch
	CheckTelemetry  = "telemetry"  // what roles say about themselves is true, and every fault shows in it
)

// Names of checks that are judged whether a plan lists them or not: evidence always, faults.observed if there are
// faults, runbook if there are steps, expectations if a phase has some.
const (
	CheckEvidence       = "evidence"
	CheckRunbook        = "runbook" // every step of the plan's runbook was done, and seen to take effect
	CheckFaultsObserved = "faults.observed"
	CheckExpectations   = "expectations"
	CheckGuard          = "guard" // for each guard
)

// CheckNames lists all checks that a plan may have.
func CheckNames() []string {
	return []string{
		CheckDurability, CheckDuplicates, CheckPhantoms, CheckCorruption, CheckAgreement, CheckLogOnce, CheckLogOrder, CheckPairs, CheckCommitted, CheckZones,
		CheckQueries, CheckFreshness, CheckMemory, CheckRecovers, CheckSLOIngest, CheckSLOFresh, CheckSLOQuery,
		CheckSLOCounts, CheckProgress, CheckAlerts, CheckFencing, CheckTelemetry, CheckCoverage,
		CheckEvidence, CheckRunbook, CheckFaultsObserved, CheckExpectations,
	}
}

// Problems says what is wrong with a check, by itself.
func (c Check) Problems() Problems {
	f := &found{pos: c.Pos, step: fmt.Sprintf("check %q", c.Name)}
	if !slices.Contains(CheckNames(), c.Name) {
		f.add("name", oneOf(c.Name, CheckNames()), "there is no such check")
		return f.list
	}
	allowed := CheckArgs{}
	switch c.Name {
	case CheckRecovers, CheckFreshness:
		allowed.Within = c.Args.Within
		if c.Args.Within <= 0 {
			f.add("within", duration.Forms, "within must be positive, not %s", c.Args.Within)
		}
	case CheckQueries, CheckProgress, CheckAlerts: // within: of visibility, of the last mark, of delivery; 0 is the default
		allowed.Within = c.Args.Within
		if c.Args.Within < 0 {
			f.add("within", duration.Forms, "within must not be negative")
		}
	case CheckSLOIngest, CheckSLOFresh, CheckSLOQuery:
		allowed = c.Args
		if c.Name == CheckSLOFresh && c.Args.Traffic != "" {
			f.add("traffic", "leave traffic out", "freshness is judged over all loads together")
		}
		if c.Name != CheckSLOQuery && c.Args.Reader != "" {
			f.add("reader", "leave reader out", "only the service level of queries is judged by reader")
		}
		if math.IsNaN(c.Args.Target) || c.Args.Target <= 0 || c.Args.Target > 1 {
			f.add("target", `write such as 0.9999 or "99.99%"`, "target must be more than 0 and at most 1, not %v", c.Args.Target)
		}
		if c.Args.Within < 0 {
			f.add("within", duration.Forms, "within must not be negative")
		}
		if !slices.Contains([]Stage{"", Before, During, After}, c.Args.Stage) {
			f.add("stage", oneOf(string(c.Args.Stage), []string{string(Before), string(During), string(After)}), "there is no stage %q that a service level is judged in", c.Args.Stage)
		}
	}
	if c.Args != allowed {
		f.add("args", "", "it has arguments that it does not take")
	}
	return f.list
}

// role is the role that a selector's nodes have, as far as it says; "" otherwise.
func (s Selector) role(t system.Topology) system.Role {
	switch s.Kind {
	case SelectAny, SelectAll, SelectPeers:
		return s.Role
	case SelectPair, SelectOneOf:
		return system.RoleRetriever
	case SelectZone, SelectAnyZone:
		return ""
	case SelectLeader:
		return system.RoleKafka
	case SelectZK:
		return system.RoleZooKeeper
	case SelectNode:
		n, _ := t.Node(s.Node)
		return n.Role
	case SelectSubject:
	}
	return ""
}
