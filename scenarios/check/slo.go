package check

import (
	"fmt"
	"time"

	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/scenarios/plan"
)

// sloName tells several service levels of one plan apart.
func sloName(a plan.CheckArgs) string {
	name := CheckSLOIngest + "(" + percent(a.Target)
	if a.Within > 0 {
		name += " within " + a.Within.String()
	}
	if a.Stage != "" {
		name += ", " + string(a.Stage)
	}
	return name + ")"
}

// judgeSLO: in each stage asked for, at least the target's share of the events was good: accepted within the bound,
// counted from the moment each was to be sent, and stored. It adds what it found to the judgement's stages.
func (r *run) judgeSLO(j *Judgement, name string, a plan.CheckArgs) Result {
	var res Result
	var verdicts []Verdict
	for i := range j.Stages {
		st := &j.Stages[i]
		slo, undecided := r.sloOf(st.Stage, a)
		slo.Name = name
		slo.Judged = a.Stage == "" || a.Stage == st.Stage
		best := 0.0
		if slo.Events > 0 {
			best = float64(slo.Good+undecided) / float64(slo.Events)
		}
		doubt := ""
		switch {
		case slo.Events == 0:
			doubt = "no event was offered"
		case r.stageCut(st.Stage):
			doubt = fmt.Sprintf("the run was cut short in it; until then %s of %s events were good", number(slo.Good), number(slo.Events))
		case best < slo.Target: // even if all that is undecided were good
			slo.Verdict = Fail
		case slo.Fraction < slo.Target:
			doubt = fmt.Sprintf("whether %s stored cannot be said", plural(undecided, "accepted event is", "accepted events are"))
		case r.opsMissing != "":
			doubt = "the history is not whole: " + r.opsMissing
		case r.heldMissing != "":
			doubt = "what is stored is not known: " + r.heldMissing
		default:
			slo.Verdict = Pass
		}
		st.SLOs = append(st.SLOs, slo)
		res.Numbers = append(res.Numbers, Number{string(st.Stage) + ".good", slo.Fraction, "ratio"}, Number{string(st.Stage) + ".budget_used", slo.Budget, "ratio"})
		if !slo.Judged {
			continue
		}
		verdicts = append(verdicts, slo.Verdict)
		line := fmt.Sprintf("%s: %s of %s events were good (%s)", st.Stage, number(slo.Good), number(slo.Events), percent(slo.Fraction))
		if doubt != "" {
			line = fmt.Sprintf("%s: %s", st.Stage, doubt)
		}
		if slo.Verdict != Pass {
			f := Finding{Verdict: slo.Verdict, Title: line + fmt.Sprintf(", target %s", percent(slo.Target)), At: None, Count: slo.Events - slo.Good, Evidence: slo.Bad.lines(slo.Within)}
			f.At = r.firstOfStage(st.Stage)
			if p := r.phaseAt(f.At); f.At != None && p >= 0 {
				f.Phase, f.Pos = r.phases[p].Name, &r.phases[p].Pos
			}
			res.Findings = append(res.Findings, f)
		}
		if res.Summary != "" {
			res.Summary += "; "
		}
		res.Summary += line
	}
	if len(verdicts) == 0 {
		res.Summary = "the plan has no such stage"
		if a.Stage != "" {
			res.Summary = fmt.Sprintf("the plan has no phase of stage %q", a.Stage)
		}
		return res
	}
	res.Verdict = Merge(verdicts...)
	res.Summary += fmt.Sprintf("; target %s", percent(a.Target))
	return res
}

// stageCut says whether the run was cut short before the stage's phases had all ended: what the missing events would have
// been, nobody knows.
func (r *run) stageCut(stage plan.Stage) bool {
	for i := range r.phases {
		if r.phases[i].Stage == stage && r.phases[i].cut {
			return true
		}
	}
	return false
}

func (r *run) firstOfStage(stage plan.Stage) time.Duration {
	for i := range r.phases {
		if r.phases[i].Stage == stage && r.phases[i].ran {
			return r.phases[i].begin
		}
	}
	return None
}

// sloOf counts the good and bad events of a stage, and those of the bad that may yet have been good.
func (r *run) sloOf(stage plan.Stage, a plan.CheckArgs) (s SLO, undecided int64) {
	s = SLO{Target: a.Target, Within: time.Duration(a.Within)}
	anyLost := len(r.losses) > 0
	for i := range r.e.Ops {
		o := &r.e.Ops[i]
		ph := r.opPhase[i]
		if ph < 0 || r.phases[ph].Stage != stage || o.Count <= 0 {
			continue
		}
		late := s.Within > 0 && o.Done-o.Intended > s.Within
		p, ok := r.prods.find(o.Producer)
		eachPart(o, func(first, n uint64, out outcome, _ *evidence.Part) {
			count := int64(n)
			s.Events += count
			switch out {
			case wasAccepted:
				if anyLost && ok {
					lost := int64(r.lost.Producer(p).LenRange(first, n))
					s.Bad.Lost += lost
					count -= lost
				}
				if late {
					s.Bad.Late += count
					return
				}
				if anyLost && ok {
					open := int64(r.pending.Producer(p).LenRange(first, n))
					undecided += open
					count -= open
				}
				s.Good += count
			case wasThrottled:
				s.Bad.Throttled += count
			case wasRefused:
				s.Bad.Refused += count
			case wasMalformed:
				s.Bad.Malformed += count
			case wasNotSent:
				s.Bad.NotSent += count
			case wasUnknown:
				s.Bad.Unknown += count
			}
		})
	}
	if s.Events == 0 {
		return s, 0
	}
	s.Fraction = float64(s.Good) / float64(s.Events)
	bad := s.Events - s.Good
	switch budget := (1 - s.Target) * float64(s.Events); {
	case bad == 0:
	case budget < 1e-9:
		s.Budget = -1
	default:
		s.Budget = float64(bad) / budget
	}
	return s, undecided
}

// lines says why events were not good, the most frequent reasons being for the reader to find.
func (b BadEvents) lines(within time.Duration) []string {
	var list []string
	for _, reason := range []struct {
		n    int64
		what string
	}{
		{b.Lost, "accepted and lost"}, {b.Late, "accepted later than " + within.String()}, {b.Refused, "refused"}, {b.Throttled, "throttled (429)"},
		{b.Malformed, "answered as malformed"}, {b.Unknown, "without a certain answer (504, timeout, lost connection)"}, {b.NotSent, "never sent: no shepherd could be reached"},
	} {
		if reason.n > 0 {
			list = append(list, number(reason.n)+" "+reason.what)
		}
	}
	return list
}
