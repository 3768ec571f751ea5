package check

import (
	"fmt"
	"sync"
	"time"

	"github.com/ratel-sim/ratel/loadgen"
	"github.com/ratel-sim/ratel/scenarios/check/ledger"
	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/scenarios/plan"
)

// run is what the checks share: the evidence, put in order, and what one pass over each part of it gave.
type run struct {
	e       *evidence.Evidence
	plan    *plan.Plan
	samples []evidence.Sample // in order of time
	phases  []phase
	faults  []FaultSpan
	missed  map[string][]*evidence.Entry // by fault: why it was not injected, or not on all of its nodes
	stop    stop
	// loadEnded is when the load was stopped; None if it was not.
	loadEnded time.Duration

	// Why a part of the evidence is missing; "" if it is whole.
	opsMissing, logMissing, heldMissing, samplesMissing string
	drained                                             bool          // the retrievers reached the end of the log
	drainedAt                                           time.Duration // when
	drainNote                                           string        // what the timeline says of it

	problems []Finding // of the evidence itself

	// recordsMissing says why the log's records are not known; empty if they are. It is found out when a check first asks.
	recordsMissing func() string
	// load makes the events again. It is made when something first asks: a text to replay is read for it.
	load func() (*loadgen.Truth, error)

	poisoned                  map[offsetOf]bool // records of the harness's own
	prods                     producers
	offered, accepted, denied ledger.Ledger // denied: certainly not stored
	allowed                   ledger.Ledger // offered and not denied: may be stored
	total                     Counts
	opPhase                   []int32 // the phase in which each operation was to be sent; -1: none
	stats                     stats
	log, held                 marks
	store                     storage
	ask                       answers
	slos                      counting
	alerts                    alerting
	logIndex                  logIndex
	logEnds                   map[int32]int64 // as the timeline tells them

	lost, pending ledger.Ledger
	losses        []loss // every lost or pending event, by operation
}

// Judge says what the checks of the run's plan make of its evidence. It changes nothing, never panics, and gives equal
// judgements for equal evidence. Evidence without a plan is inconclusive.
func Judge(e *evidence.Evidence) *Judgement {
	j := &Judgement{Version: Version, Results: []Result{}, Stages: []StageStats{}, Phases: []PhaseStats{}, Faults: []FaultSpan{}, Series: Series{Step: time.Second, Columns: []Column{}}}
	if e == nil || e.Plan == nil {
		j.Results = append(j.Results, Result{Name: CheckEvidence, Check: CheckEvidence, Verdict: Inconclusive, Summary: "there is no evidence of a run with a plan"})
		j.conclude()
		return j
	}
	j.Run = e.Run
	r := &run{e: e, plan: grown(e)}
	r.recordsMissing = sync.OnceValue(r.findRecordsMissing)
	r.load = sync.OnceValues(func() (*loadgen.Truth, error) { return loadTruth(r.plan, r.e.Run.Epoch) })
	// What all checks build on comes first. If it breaks down, nothing else can be said.
	if broken := guard(CheckEvidence, func() { r.prepare(j) }); broken != nil {
		j.Results = append(j.Results, *broken)
		j.conclude()
		return j
	}
	for _, c := range r.checks(j) {
		var result Result
		if broken := guard(c.name, func() { result = c.judge() }); broken != nil {
			result = *broken
		}
		result.Name, result.Check = j.unique(c.name), c.check
		for i := range result.Findings {
			result.Findings[i].Check = c.check
		}
		if result.Pos == nil {
			result.Pos = c.pos
		}
		j.Results = append(j.Results, result)
	}
	j.conclude()
	return j
}

// asked is one check to be judged.
type asked struct {
	name, check string
	pos         *plan.Pos
	judge       func() Result
}

// checks lists what is to be judged: preconditions, what the plan asks for, expectations.
func (r *run) checks(j *Judgement) []asked {
	list := []asked{{CheckEvidence, CheckEvidence, nil, r.judgeEvidence}}
	for i := range r.plan.Guards {
		g := &r.plan.Guards[i]
		list = append(list, asked{g.Name(), CheckGuard, &g.Pos, func() Result { return r.judgeGuard(j, i) }})
	}
	list = append(list, asked{CheckTraffic, CheckTraffic, nil, r.judgeTraffic})
	if r.plansFaults() {
		list = append(list, asked{CheckFaults, CheckFaults, nil, r.judgeFaults})
	}
	if len(r.plan.Steps()) > 0 {
		list = append(list, asked{plan.CheckRunbook, plan.CheckRunbook, nil, r.judgeRunbook})
	}
	preconditions := len(list)
	ledgers := map[string]func() Result{
		CheckDurability: r.judgeDurability, CheckDuplicates: r.judgeDuplicates, CheckPhantoms: r.judgePhantoms,
		CheckCorruption: r.judgeCorruption, CheckAgreement: r.judgeAgreement,
		CheckSLOCounts: r.judgeSLOCounts, CheckFencing: r.judgeFencing, CheckTelemetry: r.judgeTelemetry, plan.CheckCoverage: r.judgeCoverage, CheckSkips: r.judgeSkips,
		CheckLogOnce: r.judgeLogOnce, CheckLogOrder: r.judgeLogOrder,
		CheckQueries: r.judgeQueries, CheckPairs: r.judgePairs, CheckCommitted: r.judgeCommitted, CheckZones: r.judgeZones, CheckMemory: r.judgeMemory,
	}
	done := map[string]bool{}
	for i := range r.plan.Checks {
		c := &r.plan.Checks[i]
		switch c.Name {
		case CheckDurability, CheckDuplicates, CheckPhantoms, CheckCorruption, CheckAgreement, CheckLogOnce, CheckLogOrder, CheckPairs, CheckCommitted, CheckZones, CheckMemory, CheckQueries, CheckSLOCounts, CheckFencing, CheckTelemetry, plan.CheckCoverage:
			names := []string{c.Name}
			if c.Name == CheckDurability {
				names = []string{CheckDurability, CheckDuplicates, CheckPhantoms, CheckCorruption, CheckAgreement}
				if r.poisons() {
					names = append(names, CheckSkips)
				}
			}
			for _, name := range names {
				if !done[name] {
					done[name] = true
					list = append(list, asked{name, name, &c.Pos, ledgers[name]})
				}
			}
		case CheckRecovers:
			list = append(list, asked{fmt.Sprintf("%s(%s)", c.Name, c.Args.Within), c.Name, &c.Pos, func() Result { return r.judgeRecovers(c.Args) }})
		case CheckProgress:
			list = append(list, asked{withinName(c), c.Name, &c.Pos, func() Result { return r.judgeProgress(c.Args) }})
		case CheckAlerts:
			list = append(list, asked{withinName(c), c.Name, &c.Pos, func() Result { return r.judgeAlerts(c.Args) }})
		case CheckFreshness:
			list = append(list, asked{fmt.Sprintf("%s(%s)", c.Name, c.Args.Within), c.Name, &c.Pos, func() Result { return r.judgeFreshness(c.Args) }})
		case CheckSLOIngest, CheckSLOFresh, CheckSLOQuery:
			name := sloName(c.Name, c.Args)
			list = append(list, asked{name, c.Name, &c.Pos, func() Result { return r.judgeSLO(j, name, c.Name, c.Args) }})
		case CheckEvidence, CheckFaults, CheckExpect: // implied
		default:
			list = append(list, asked{c.Name, c.Name, &c.Pos, func() Result {
				return Result{Verdict: Inconclusive, Summary: fmt.Sprintf("this build has no check %q", c.Name)}
			}})
		}
	}
	for p := range r.plan.Phases {
		ph := &r.plan.Phases[p]
		for i := range ph.Expect {
			x := &ph.Expect[i]
			list = append(list, asked{fmt.Sprintf("expect %s: %s", ph.Name, x.Source), CheckExpect, &x.Pos, func() Result { return r.judgeExpectation(p, x) }})
		}
	}
	if len(list) == preconditions {
		list = append(list, asked{CheckPlan, CheckPlan, nil, func() Result {
			return Result{Verdict: Inconclusive, Summary: "the plan asks for no check and no expectation, so nothing was judged"}
		}})
	}
	return list
}

// withinName is the name of a check with a bound that may be left out.
func withinName(c *plan.Check) string {
	if c.Args.Within == 0 {
		return c.Name
	}
	return fmt.Sprintf("%s(%s)", c.Name, c.Args.Within)
}

// guard runs f; if it panics, the check that it belongs to is inconclusive, and the defect is not hidden.
func guard(name string, f func()) (broken *Result) {
	defer func() {
		if p := recover(); p != nil {
			broken = &Result{Name: name, Check: name, Verdict: Inconclusive, Summary: fmt.Sprintf("the check itself broke down: %v; this is a defect of Ratel", p)}
		}
	}()
	f()
	return nil
}

// unique is name, numbered if a result of that name exists.
func (j *Judgement) unique(name string) string {
	taken := func(name string) bool {
		for i := range j.Results {
			if j.Results[i].Name == name {
				return true
			}
		}
		return false
	}
	candidate := name
	for n := 2; taken(candidate); n++ {
		candidate = fmt.Sprintf("%s #%d", name, n)
	}
	return candidate
}

// conclude merges the results into the verdict and says why.
func (j *Judgement) conclude() {
	verdicts := make([]Verdict, len(j.Results))
	for i := range j.Results {
		verdicts[i] = j.Results[i].Verdict
	}
	j.Verdict = Merge(verdicts...)
	if j.Verdict == Pass {
		j.Reason = fmt.Sprintf("all %d results pass", len(j.Results))
		return
	}
	count := 0
	for i := range j.Results {
		if j.Results[i].Verdict != j.Verdict {
			continue
		}
		if count++; count == 1 {
			j.Reason = fmt.Sprintf("%s: %s", j.Results[i].Name, j.Results[i].Summary)
		}
	}
	if count > 1 {
		j.Reason += fmt.Sprintf(" (and %d more)", count-1)
	}
}

// prepare puts the evidence in order, makes one pass over each part of it, and fills in what the judgement always has.
func (r *run) prepare(j *Judgement) {
	r.findMissing()
	r.readTimeline()
	r.orderSamples()
	r.tally()
	r.openStorage()
	r.followMarks()
	r.findLosses()
	if broken := guard(CheckQueries, r.followQueries); broken != nil {
		r.ask.broken = broken.Summary
	}
	if broken := guard(CheckSLOCounts, r.followObjectives); broken != nil {
		r.slos.broken = broken.Summary
	}
	if broken := guard(CheckAlerts, r.followAlerts); broken != nil {
		r.alerts.broken = broken.Summary
	}
	j.Ledger = r.ledgerCounts()
	j.Phases, j.Stages, j.Series = r.stats.phases, r.stats.stages, r.stats.series
	j.Faults = append(j.Faults, r.faults...)
	if len(r.ask.outcomes) == len(r.e.Queries) {
		j.Queries = r.queryStats()
	}
	j.Objectives, j.Alerts = r.objectiveStats(), r.alertStats()
	if len(j.Series.Columns) > 0 {
		r.queryColumns(&j.Series, len(j.Series.Columns[0].Values))
	}
}
