package check

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/scenarios/plan"
)

// phase is a phase of the plan and when it ran.
type phase struct {
	*plan.Phase
	ran        bool
	cut        bool // the run was cut short before the phase had ended
	begin, end time.Duration
}

// findMissing says which parts of the evidence are not whole, and why.
func (r *run) findMissing() {
	for _, g := range r.e.Gaps {
		var why *string
		switch g.What {
		case "ops", "history":
			why = &r.opsMissing
		case "log":
			why = &r.logMissing
		case "held":
			why = &r.heldMissing
		case "samples", "metrics":
			why = &r.samplesMissing
		default:
			continue // told by the evidence check
		}
		if *why == "" {
			*why = g.Why
		}
	}
	if r.e.Run.Ended != "" {
		// The log and the holdings are read at the very end: a run that was cut short has only what came before, if anything.
		for _, why := range []*string{&r.logMissing, &r.heldMissing} {
			if *why == "" {
				*why = "the run was cut short: " + r.e.Run.Ended
			}
		}
	}
}

// readTimeline finds the phases, the faults and whether the log was drained.
func (r *run) readTimeline() {
	r.phases = make([]phase, len(r.plan.Phases))
	for i := range r.plan.Phases {
		r.phases[i] = phase{Phase: &r.plan.Phases[i], begin: None, end: None}
	}
	r.loadEnded = None
	next := 0 // the phase that has to begin next
	last := time.Duration(0)
	sorted := true
	for i := range r.e.Timeline {
		e := &r.e.Timeline[i]
		sorted, last = sorted && e.At >= last, e.At
		switch e.Kind {
		case evidence.PhaseBegan:
			if next >= len(r.phases) || r.phases[next].Name != e.Phase {
				r.problem("phases", "the timeline has a phase that the plan does not have there: %q at %v", e.Phase, e.At)
				continue
			}
			r.phases[next].ran, r.phases[next].begin = true, e.At
			next++
		case evidence.PhaseEnded:
			if next == 0 || r.phases[next-1].Name != e.Phase || r.phases[next-1].end != None {
				r.problem("phases", "the timeline ends a phase that had not begun: %q at %v", e.Phase, e.At)
				continue
			}
			r.phases[next-1].end = e.At
		case evidence.GateClosed, evidence.Aborted:
			if r.stop.why == "" {
				r.stop = stop{why: cond(e.Kind == evidence.GateClosed, notStarted, aborted), at: e.At}
			}
		case evidence.LoadEnded:
			r.loadEnded = e.At
		case evidence.Poisoned:
			if r.poisoned == nil {
				r.poisoned = map[offsetOf]bool{}
			}
			r.poisoned[offsetOf{e.Part, e.Offset}] = true
		case evidence.LogEnded:
			if r.logEnds == nil {
				r.logEnds = map[int32]int64{}
			}
			r.logEnds[e.Part] = e.Offset
		case evidence.Drained:
			r.drained, r.drainNote, r.drainedAt = true, e.Detail, e.At
		case evidence.NotDrained:
			r.drained, r.drainNote = false, e.Detail
		}
	}
	for i := range r.phases {
		p := &r.phases[i]
		p.cut = r.e.Run.Ended != "" && p.end == None || r.stop.cuts(p)
		if p.ran && p.end == None {
			p.end = r.e.Run.Length
		}
	}
	r.cutByOpenRequests()
	if !sorted {
		r.problem("timeline", "the timeline is not in order of time")
	}
	if r.e.Run.Ended == "" && r.stop.why == "" && next < len(r.phases) {
		r.problem("phases", "the timeline has %d of the plan's %d phases, and the run is said to have ended as planned", next, len(r.phases))
	}
	r.readFaults()
}

// cutByOpenRequests has a phase cut short that had ended, if requests of it had no time to be answered when the run was cut short: their clients had not
// given them up.
func (r *run) cutByOpenRequests() {
	if r.e.Run.Ended == "" {
		return
	}
	for i := range r.e.Ops {
		if o := &r.e.Ops[i]; o.Done < 0 && o.Code == 0 && o.Count > 0 {
			if p := r.phaseAt(o.Intended); p >= 0 {
				r.phases[p].cut = true
			}
		}
	}
}

// readFaults matches what the timeline says of faults with the plan.
func (r *run) readFaults() {
	r.faults, r.missed = []FaultSpan{}, map[string][]*evidence.Entry{}
	find := func(e *evidence.Entry) *FaultSpan {
		for i := len(r.faults) - 1; i >= 0; i-- {
			if f := &r.faults[i]; f.ID == e.Fault && f.Node == e.Node {
				return f
			}
		}
		return nil
	}
	for i := range r.e.Timeline {
		e := &r.e.Timeline[i]
		switch e.Kind {
		case evidence.FaultInjected:
			r.faults = append(r.faults, FaultSpan{ID: e.Fault, Phase: e.Phase, Node: e.Node, Detail: e.Detail, Pos: e.Pos, Injected: e.At, Observed: None, Healed: None, Back: None, Over: None})
			continue
		case evidence.FaultObserved, evidence.FaultUnseen, evidence.FaultHealed, evidence.HealObserved, evidence.HealUnseen:
		default:
			continue
		}
		f := find(e)
		if f == nil {
			if e.Kind == evidence.FaultUnseen {
				r.missed[e.Fault] = append(r.missed[e.Fault], e)
			} else {
				r.problem("timeline", "%s at %v is of fault %q on %q, which was not injected", e.Kind, e.At, e.Fault, e.Node)
			}
			continue
		}
		switch e.Kind {
		case evidence.FaultObserved:
			f.observe(e)
		case evidence.FaultUnseen:
			f.Effect = e.Detail
		case evidence.FaultHealed:
			f.Healed = e.At
		case evidence.HealObserved:
			f.Back, f.Recovery = e.At, e.Detail
		case evidence.HealUnseen:
			f.Recovery = e.Detail
		}
	}
	for p := range r.plan.Phases {
		ph := &r.plan.Phases[p]
		for i := range ph.Faults {
			id := fmt.Sprintf("%s/%d", ph.Name, i)
			found := false
			for k := range r.faults {
				if f := &r.faults[k]; f.ID == id {
					found, f.Kind, f.Permanent, f.Phase = true, string(ph.Faults[i].Kind), ph.Faults[i].Permanent, ph.Name
					if f.Pos == nil {
						f.Pos = &ph.Faults[i].Pos
					}
				}
			}
			if !found {
				why := cmp.Or(r.stop.why, "the run ended before it")
				if said := r.missed[id]; len(said) > 0 {
					why = cmp.Or(said[len(said)-1].Detail, why)
				}
				r.faults = append(r.faults, FaultSpan{ID: id, Phase: ph.Name, Kind: string(ph.Faults[i].Kind), Permanent: ph.Faults[i].Permanent, Effect: why,
					Pos: &ph.Faults[i].Pos, Injected: None, Observed: None, Healed: None, Back: None, Over: None})
			}
		}
	}
}

// observe adds one observation of the fault's effect. A broker's loss is seen first as refused connections, and then as
// leaders that have moved: the effect began with the first, and all of them are told.
func (f *FaultSpan) observe(e *evidence.Entry) {
	switch {
	case f.Observed == None:
		f.Observed, f.Effect = e.At, e.Detail
	case e.Detail != "" && f.Effect != "":
		f.Effect += fmt.Sprintf("; after %s: %s", short(e.At-f.Injected), e.Detail)
	case e.Detail != "":
		f.Effect = e.Detail
	}
}

// orderSamples makes sure that samples are in order of time, and finds when the system was over each fault.
func (r *run) orderSamples() {
	r.samples = r.e.Samples
	byTime := func(a, b evidence.Sample) int { return cmp.Compare(a.At, b.At) }
	if !slices.IsSortedFunc(r.samples, byTime) {
		r.problem("samples", "the samples are not in order of time")
		r.samples = slices.Clone(r.samples)
		slices.SortStableFunc(r.samples, byTime)
	}
	for i := range r.faults {
		f := &r.faults[i]
		if f.Injected == None {
			continue
		}
		f.Over = max(r.e.Run.Length, f.Injected)
		if f.Healed == None {
			continue
		}
		back := max(f.Healed, f.Back)
		if len(r.samples) == 0 {
			f.Over = back
		}
		for _, s := range r.samples {
			under, okUnder := s.Values[evidence.UnderReplicated]
			offline, okOffline := s.Values[evidence.Offline]
			if s.At >= back && okUnder && okOffline && under == 0 && offline == 0 {
				f.Over = s.At
				break
			}
		}
	}
}

// problem notes that the evidence is not what it should be.
func (r *run) problem(what, format string, args ...any) {
	for i := range r.problems {
		if p := &r.problems[i]; p.Title == "inconsistent "+what {
			if p.Count++; len(p.Evidence) < MaxExamples {
				p.Evidence = append(p.Evidence, fmt.Sprintf(format, args...))
			}
			return
		}
	}
	r.problems = append(r.problems, Finding{Verdict: Inconclusive, Title: "inconsistent " + what, Evidence: []string{fmt.Sprintf(format, args...)}, At: None, Count: 1})
}

// phaseAt is the index of the phase in which a moment lies; -1 if it lies behind the last one, or none ran. What lies
// before the first belongs to the first, and between two to the former.
func (r *run) phaseAt(at time.Duration) int {
	found := -1
	for i := range r.phases {
		if p := &r.phases[i]; !p.ran || p.begin > at {
			if found < 0 && p.ran {
				return i
			}
			break
		}
		found = i
	}
	if found >= 0 && at >= r.phases[found].end && (found == len(r.phases)-1 || !r.phases[found+1].ran) {
		return -1
	}
	return found
}

// place fills in a finding's phase, fault and position by its moment.
func (r *run) place(f *Finding) {
	if f.At == None {
		return
	}
	if p := r.phaseAt(f.At); p >= 0 {
		f.Phase = r.phases[p].Name
		f.Pos = &r.phases[p].Pos
	}
	if rel := r.faultAt(f.At); rel.fault != nil {
		f.Fault, f.FaultID = rel.String(), rel.fault.ID
		if rel.fault.Pos != nil {
			f.Pos = rel.fault.Pos
		}
	}
}

// relation is how a moment lies to a fault.
type relation struct {
	how   string // "during", "recovering from", "before", "after"
	fault *FaultSpan
}

func (l relation) String() string {
	if l.fault == nil {
		return ""
	}
	return l.how + " " + l.fault.label()
}

// label names a fault for people.
func (f *FaultSpan) label() string {
	what := f.Detail
	if what == "" {
		what = f.Kind
		if f.Node != "" {
			what += " " + f.Node
		}
	}
	return fmt.Sprintf("%s (%s)", what, f.ID)
}

// until is when a fault's effect ended: its node was back, or else healing was asked for; never, if it was not.
func (f *FaultSpan) until(end time.Duration) time.Duration {
	switch {
	case f.Back != None:
		return f.Back
	case f.Healed != None:
		return f.Healed
	}
	return end
}

// faultAt finds the fault that bears on a moment: the one then active, else the one being recovered from, else the next
// to come, else the last that there was. Of several alike it is the one injected last, and of those to come the first.
func (r *run) faultAt(at time.Duration) relation {
	const forever = time.Duration(1<<63 - 1)
	ranks := [4]relation{{how: "during"}, {how: "recovering from"}, {how: "before"}, {how: "after"}}
	for i := range r.faults {
		f := &r.faults[i]
		switch {
		case f.Injected == None:
		case f.Injected > at:
			if ranks[2].fault == nil || f.Injected < ranks[2].fault.Injected {
				ranks[2].fault = f
			}
		case at < f.until(forever):
			ranks[0].fault = f
		case at < f.Over:
			ranks[1].fault = f
		default:
			ranks[3].fault = f
		}
	}
	for _, rel := range ranks {
		if rel.fault != nil {
			return rel
		}
	}
	return relation{}
}

// overlapping lists the faults that were active or being recovered from at some moment of [from, to].
func (r *run) overlapping(from, to time.Duration) []string {
	var list []string
	for i := range r.faults {
		if f := &r.faults[i]; f.Injected != None && f.Injected <= to && from < f.Over {
			list = append(list, f.label())
		}
	}
	return list
}
