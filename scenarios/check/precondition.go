package check

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/ratel-sim/ratel/scenarios/plan"
	"github.com/ratel-sim/ratel/system"
)

// judgeEvidence: the evidence is whole and consistent.
func (r *run) judgeEvidence() Result {
	res := Result{Findings: slices.Clone(r.problems), Numbers: []Number{
		{"operations", float64(len(r.e.Ops)), "requests"}, {"log", float64(len(r.e.Log)), "events"}, {"held", float64(len(r.e.Held)), "events"},
		{"samples", float64(len(r.e.Samples)), "samples"}, {"timeline", float64(len(r.e.Timeline)), "entries"},
	}}
	for _, g := range r.e.Gaps {
		res.Findings = append(res.Findings, Finding{Verdict: Inconclusive, Title: "missing: " + g.What, Evidence: []string{g.Why}, At: None, Count: 1})
	}
	if r.e.Run.Ended != "" {
		res.Findings = append(res.Findings, Finding{Verdict: Inconclusive, Title: "the run was cut short", Evidence: []string{r.e.Run.Ended}, At: r.e.Run.Length, Count: 1})
	} else if !r.drained {
		why := r.drainNote
		if why == "" {
			why = "the timeline does not say that they had"
		}
		res.Findings = append(res.Findings, Finding{Verdict: Inconclusive, Title: "the retrievers did not reach the end of the log", Evidence: []string{why}, At: None, Count: 1})
	}
	if len(res.Findings) == 0 {
		res.Verdict, res.Summary = Pass, fmt.Sprintf("whole and consistent: %s, %s in the log, %s held", plural(int64(len(r.e.Ops)), "request"), plural(int64(len(r.e.Log)), "event"), plural(int64(len(r.e.Held)), "event"))
		return res
	}
	res.Summary = res.Findings[0].Title
	if len(res.Findings[0].Evidence) > 0 {
		res.Summary += ": " + res.Findings[0].Evidence[0]
	}
	return res
}

// Bounds of the traffic check.
const (
	// minEvents is the least number of events in a stage from which a share or a loss can be told from chance at all.
	minEvents = 10
	// enough is the share of the planned events that must have been offered, and of the offered before any fault that must have been accepted.
	enough = 0.5
)

// planned is how many events the plan means a load to offer between two moments.
func (r *run) planned(t *plan.Traffic, from, to time.Duration) float64 {
	length := 0.0
	for i := range r.plan.Phases {
		length += time.Duration(r.plan.Phases[i].Length).Seconds()
	}
	a, b := from.Seconds(), to.Seconds()
	rate, more := t.EventsPerSecond, t.ToPerSecond-t.EventsPerSecond
	every, burst := time.Duration(t.BurstEvery).Seconds(), time.Duration(t.BurstLength).Seconds()
	switch {
	case length <= 0:
	case t.Shape == plan.Ramp:
		return (rate + more*(a+b)/2/length) * (b - a)
	case t.Shape == plan.Wave: // as loadgen has it: half of the mean to either side, once in all phases
		turn := 2 * math.Pi / length
		return rate * (b - a + (math.Cos(turn*a)-math.Cos(turn*b))/2/turn)
	case t.Shape == plan.Burst && every > 0:
		bursts := func(until float64) float64 { // seconds of bursts; the first period has none
			n := math.Floor(until / every)
			return max(0, n-1)*burst + min(until-n*every, burst)*min(n, 1)
		}
		return rate*(b-a) + more*(bursts(b)-bursts(a))
	}
	return rate * (b - a)
}

// judgeTraffic: there was enough traffic for the other checks to mean anything.
func (r *run) judgeTraffic() Result {
	late := r.lateP99()
	res := Result{Numbers: []Number{{"offered", float64(r.total.Offered), "events"}, {"accepted", float64(r.total.Accepted), "events"}, {"sent late, p99", late.Seconds(), "s"}}}
	little := func(title string, lines ...string) {
		res.Findings = append(res.Findings, Finding{Verdict: Inconclusive, Title: title, Evidence: lines, At: None, Count: 1})
	}
	counts := map[plan.Stage]Counts{}
	for i := range r.stats.stages {
		counts[r.stats.stages[i].Stage] = r.stats.stages[i].Counts
	}
	any := false
	at := time.Duration(0)
	want, wantOf := map[plan.Stage]float64{}, make([]float64, len(r.plan.Traffic))
	for i := range r.plan.Phases {
		p := &r.plan.Phases[i]
		end := at + time.Duration(p.Length)
		if r.stop.why == "" || r.phases[i].ran && !r.phases[i].cut { // after an abort what was planned is not missed
			for k := range r.plan.Traffic {
				n := r.planned(&r.plan.Traffic[k], at, end)
				want[p.Stage] += n
				wantOf[k] += n
			}
		}
		at = end
	}
	offered := map[int]bool{}
	for i := range r.e.Ops {
		offered[r.e.Ops[i].Traffic] = true
	}
	for _, stage := range []plan.Stage{plan.Before, plan.During, plan.After} {
		if want[stage] <= 0 {
			continue
		}
		any = true
		c := counts[stage]
		res.Numbers = append(res.Numbers, Number{"planned " + string(stage), want[stage], "events"})
		switch {
		case float64(c.Offered) < enough*want[stage]:
			little(fmt.Sprintf("too little traffic %s: %s offered of %s planned", stage, plural(c.Offered, "event"), number(int64(want[stage]))))
		case c.Offered < minEvents:
			little(fmt.Sprintf("too little traffic %s: %s, and at least %d are needed", stage, plural(c.Offered, "event"), minEvents))
		case stage == plan.Before && float64(c.Accepted) < enough*float64(c.Offered):
			little(fmt.Sprintf("no steady state before the faults: %s of %s offered events were accepted", number(c.Accepted), number(c.Offered)))
		}
	}
	if !any {
		little("the plan has no traffic in a phase before, during or after faults")
	}
	for k, n := range wantOf {
		if n >= minEvents && !offered[k] {
			little(fmt.Sprintf("load %q offered nothing of %s planned", r.plan.Traffic[k].Name, number(int64(n))))
		}
	}
	if r.total.Accepted == 0 && any {
		little("no event was accepted in the whole run")
	}
	if late > lateness {
		little(fmt.Sprintf("the load generator itself was late: 1%% of the events were sent more than %s after they should have been", short(late)),
			"latencies count from the intended moment, so they say more about the generator than about the system; give it more CPU or a lower rate")
	}
	if len(res.Findings) > 0 {
		res.Summary = res.Findings[0].Title
		return res
	}
	res.Verdict, res.Summary = Pass, fmt.Sprintf("%s offered, %s accepted", plural(r.total.Offered, "event"), number(r.total.Accepted))
	return res
}

// lateP99 is how late the load generator sent, which it was not to do.
func (r *run) lateP99() time.Duration {
	var list []uint64
	for i := range r.e.Ops {
		if o := &r.e.Ops[i]; o.Count > 0 && o.Count <= plan.MaxBatchEvents && o.Sent > o.Intended {
			list = append(list, pack(o.Sent-o.Intended, int64(o.Count)))
		}
	}
	if late := distribution(list); float64(late.Events) > 0.01*float64(r.total.Offered) {
		slices.Sort(list)
		// Those that were sent in time are not in the list: the share is of all.
		left := rank(0.01, r.total.Offered)
		for i := len(list) - 1; i >= 0; i-- {
			latency, n := unpack(list[i])
			if left -= n; left <= 0 {
				return latency
			}
		}
	}
	return 0
}

func (r *run) plansFaults() bool {
	for i := range r.plan.Phases {
		if len(r.plan.Phases[i].Faults) > 0 {
			return true
		}
	}
	return false
}

// judgeFaults: every planned fault was injected, was seen to take effect, and was healed unless it is permanent.
func (r *run) judgeFaults() Result {
	var res Result
	injected, permanent := 0, 0
	doubt := func(f *FaultSpan, at time.Duration, title string, lines ...string) {
		x := Finding{Verdict: Inconclusive, Title: title, Evidence: lines, At: at, Phase: f.Phase, Fault: f.label(), FaultID: f.ID, Pos: f.Pos, Count: 1}
		res.Findings = append(res.Findings, x)
	}
	skipped := 0
	for i := range r.faults {
		f := &r.faults[i]
		if f.Injected == None && r.stop.why != "" {
			skipped++
			continue
		}
		if f.Injected == None {
			doubt(f, None, f.label()+" was not injected", f.Effect)
			continue
		}
		injected++
		if f.Observed == None {
			why := f.Effect
			if why == "" {
				why = "the timeline does not say that its effect was looked for"
			}
			doubt(f, f.Injected, f.label()+" had no effect that was seen", why)
		}
		switch {
		case f.Permanent:
			permanent++
		case f.Healed == None:
			doubt(f, f.Injected, f.label()+" was not healed", "it is not permanent, so it had to be healed when its phase ended")
		case f.Back == None:
			why := f.Recovery
			if why == "" {
				why = "the timeline does not say that its healing was looked for"
			}
			doubt(f, f.Healed, f.label()+" was healed, and the node was not seen to be back", why)
		}
	}
	for p := range r.plan.Phases {
		ph := &r.plan.Phases[p]
		for i := range ph.Faults {
			id := fmt.Sprintf("%s/%d", ph.Name, i)
			nodes, want := 0, r.nodesOf(&ph.Faults[i])
			for k := range r.faults {
				if r.faults[k].ID == id && r.faults[k].Injected != None {
					nodes++
				}
			}
			if nodes == 0 {
				continue // told above
			}
			span := &FaultSpan{ID: id, Phase: ph.Name, Kind: string(ph.Faults[i].Kind), Pos: &ph.Faults[i].Pos}
			missed := r.missed[id]
			if r.stop.why != "" {
				missed = nil
			}
			for _, e := range missed {
				doubt(span, e.At, fmt.Sprintf("%s was not injected on %s", id, cmp.Or(e.Node, "all of its nodes")), e.Detail)
			}
			if nodes < want && len(missed) == 0 {
				doubt(span, None, fmt.Sprintf("%s struck %d of %d nodes", id, nodes, want))
			}
		}
	}
	if skipped > 0 {
		title := fmt.Sprintf("%s not injected: %s", plural(int64(skipped), "planned fault was", "planned faults were"), r.stop.why)
		res.Findings = append(res.Findings, Finding{Verdict: Inconclusive, Title: title, At: r.stop.at, Count: int64(skipped)})
	}
	res.Numbers = []Number{{"injected", float64(injected), "faults"}}
	if len(res.Findings) > 0 {
		res.Summary = res.Findings[0].Title
		if lines := res.Findings[0].Evidence; len(lines) > 0 && lines[0] != "" {
			res.Summary += ": " + lines[0]
		}
		return res
	}
	res.Verdict, res.Summary = Pass, plural(int64(injected), "fault")+" injected, seen to take effect, "
	switch permanent {
	case 0:
		res.Summary += "healed, and seen to be healed"
	case injected:
		res.Summary += "and permanent"
	default:
		res.Summary += fmt.Sprintf("%d healed and seen to be healed, %d permanent", injected-permanent, permanent)
	}
	return res
}

// nodesOf is how many nodes a fault has to strike.
func (r *run) nodesOf(f *plan.Fault) int {
	switch f.Target.Kind {
	case plan.SelectAny:
		return max(1, f.Target.N)
	case plan.SelectAll:
		switch f.Target.Role {
		case system.RoleZooKeeper:
			return r.plan.System.ZooKeeper.Nodes
		case system.RoleKafka:
			return r.plan.System.Kafka.Brokers
		case system.RoleShepherd:
			return r.plan.System.Shepherds
		case system.RoleRetriever:
			return int(r.e.Plan.System.Kafka.Partitions) // there may be more by then
		case system.RoleQuery:
			return r.plan.System.Queries
		case system.RoleBeagle:
			return r.plan.System.Beagles
		case system.RoleTrigger:
			return r.plan.System.Triggers
		}
	case plan.SelectPair:
		return r.plan.System.Replicas
	case plan.SelectNode, plan.SelectLeader, plan.SelectZK, plan.SelectPeers, plan.SelectSubject:
	}
	return 1
}
