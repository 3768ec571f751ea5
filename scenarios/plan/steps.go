package plan

import (
	"fmt"
	"math"
	"slices"
	"time"

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
			f.add("to_per_second", `write shape = "ramp", or leave to_per_second out`, "only a ramp has to_per_second")
		}
	case Ramp:
		if t.ToPerSecond == 0 {
			f.add("to_per_second", "write such as to_per_second = 5000", "a ramp needs to_per_second, the rate at its end")
			break
		}
		f.rate("to_per_second", t.ToPerSecond, lowest)
	default:
		f.add("shape", oneOf(string(t.Shape), []string{string(Steady), string(Ramp), string(Wave)}), "there is no shape %q", t.Shape)
	}
	f.between("events_per_batch", t.EventsPerBatch, 1, MaxBatchEvents)
	f.between("event_bytes", t.EventBytes, 1, MaxEventBytes)
	f.between("datasets", t.Datasets, 1, MaxDatasets)
	f.between("clients", t.Clients, 1, MaxClients)
	f.span("timeout", time.Duration(t.Timeout), 10*time.Millisecond, time.Hour)
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
	CheckRecovers   = "recovers"
	CheckSLOIngest  = "slo.ingest"
)

// Names of checks that are judged whether a plan lists them or not: evidence always, faults.observed if there are
// faults, expectations if a phase has some.
const (
	CheckEvidence       = "evidence"
	CheckFaultsObserved = "faults.observed"
	CheckExpectations   = "expectations"
)

// CheckNames lists all checks that a plan may have.
func CheckNames() []string {
	return []string{
		CheckDurability, CheckDuplicates, CheckPhantoms, CheckCorruption, CheckAgreement, CheckRecovers, CheckSLOIngest,
		CheckEvidence, CheckFaultsObserved, CheckExpectations,
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
	case CheckRecovers:
		allowed.Within = c.Args.Within
		if c.Args.Within <= 0 {
			f.add("within", duration.Forms, "within must be positive, not %s", c.Args.Within)
		}
	case CheckSLOIngest:
		allowed = c.Args
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
