package check

import (
	"fmt"

	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/scenarios/plan"
	"github.com/ratel-sim/ratel/system"
)

// grown is the plan with the system as it was in the end: what a runbook was seen to add is judged like what was there.
func grown(e *evidence.Evidence) *plan.Plan {
	steps := map[string]plan.TimedStep{}
	for _, s := range e.Plan.Steps() {
		steps[s.ID()] = s
	}
	p := *e.Plan
	for i := range e.Timeline {
		entry := &e.Timeline[i]
		if s, ok := steps[entry.Fault]; ok && entry.Kind == evidence.StepDone && s.Kind == plan.StepAddPartitions && s.Topic == system.EventsTopic {
			p.System = p.System.Grown(s.To)
		}
	}
	return &p
}

// judgeRunbook: every step was done, and seen to take effect. What was not done tells nothing about how it goes.
func (r *run) judgeRunbook() Result {
	var res Result
	ended := map[string]*evidence.Entry{}
	for i := range r.e.Timeline {
		switch e := &r.e.Timeline[i]; e.Kind {
		case evidence.StepDone, evidence.StepFailed:
			ended[e.Fault] = e
		}
	}
	steps := r.plan.Steps()
	done := 0
	for i := range steps {
		s := &steps[i]
		e := ended[s.ID()]
		if e != nil && e.Kind == evidence.StepDone {
			done++
			continue
		}
		f := Finding{Verdict: Inconclusive, Title: fmt.Sprintf("step %s was not done", s.String()), At: None, Phase: s.Phase, Pos: &s.Pos, Count: 1}
		if e != nil {
			f.At, f.Evidence = e.At, []string{e.Detail}
		}
		res.Findings = append(res.Findings, f)
	}
	res.Numbers = []Number{{"done", float64(done), "steps"}}
	if len(res.Findings) > 0 {
		res.Summary = res.Findings[0].Title
		if lines := res.Findings[0].Evidence; len(lines) > 0 {
			res.Summary += ": " + lines[0]
		}
		return res
	}
	res.Verdict, res.Summary = Pass, plural(int64(done), "step")+" of the runbook done, and seen to take effect"
	return res
}

// judgeCoverage: each partition that was added is followed by all its retrievers, and was used.
func (r *run) judgeCoverage() Result {
	var res Result
	first, t := r.e.Plan.System.Kafka.Partitions, &r.plan.System
	if t.Kafka.Partitions <= first {
		res.Summary = "no partition was seen to be added"
		return res
	}
	last := map[string]bool{} // whether a retriever had its partition when it was last asked
	for _, x := range r.e.Places {
		last[x.Retriever] = x.Claimed
	}
	stored := map[int32]int64{}
	for i := range r.e.Log {
		stored[r.e.Log[i].Partition]++
	}
	idle := 0
	for p := first; p < t.Kafka.Partitions; p++ {
		if stored[p] == 0 {
			idle++
		}
		for _, name := range t.Retrievers(p) {
			claimed, seen := last[name]
			if claimed {
				continue
			}
			f := Finding{Verdict: Fail, Title: fmt.Sprintf("partition %d was added, and %s does not follow it", p, name), At: None, Count: 1}
			f.Evidence = []string{fmt.Sprintf("%s never answered", name)}
			if seen {
				f.Evidence[0] = name + " answers, and has not claimed the partition"
			}
			f.Evidence = append(f.Evidence, fmt.Sprintf("the log has %s there", plural(stored[p], "event")))
			res.Findings = append(res.Findings, f)
		}
	}
	added := int64(t.Kafka.Partitions - first)
	res.Numbers = []Number{{"added", float64(added), "partitions"}, {"without events", float64(idle), "partitions"}}
	switch {
	case r.e.Run.Ended != "":
		res.Findings, res.Summary = nil, "the run was cut short, so the runbook may have been under way"
	case len(r.e.Places) == 0:
		res.Findings, res.Summary = nil, "which partitions the retrievers have claimed was not asked"
	case len(res.Findings) > 0:
		res.Verdict, res.Summary = Fail, res.Findings[0].Title
		if more := len(res.Findings) - 1; more > 0 {
			res.Summary += fmt.Sprintf(" (and %s)", plural(int64(more), "more retriever"))
		}
	case r.logMissing != "":
		res.Summary = "whether the new partitions were used is not known: " + r.logMissing
	case idle > 0:
		res.Summary = fmt.Sprintf("%s of %d that were added never had an event", plural(int64(idle), "partition"), added)
	default:
		res.Verdict, res.Summary = Pass, fmt.Sprintf("each of %s that were added is followed by all its retrievers, and was used", plural(added, "partition"))
	}
	return res
}
