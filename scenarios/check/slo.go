package check

import (
	"fmt"
	"time"

	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/scenarios/plan"
)

// sloName tells several service levels of one plan apart.
func sloName(check string, a plan.CheckArgs) string {
	name := check + "(" + percent(a.Target)
	if a.Within > 0 {
		name += " within " + a.Within.String()
	}
	if a.Stage != "" {
		name += ", " + string(a.Stage)
	}
	if a.Traffic != "" {
		name += ", " + a.Traffic
	}
	if a.Reader != "" {
		name += ", " + a.Reader
	}
	return name + ")"
}

// level is what a service level counts.
type level struct {
	many, none string // of what is counted; none says that there was nothing to count
	one, good  string // one of what may be undecided, and what it would have to be
	unit       string
	of         func(stage plan.Stage) (s SLO, undecided int64)
	doubt      string // why nothing can be said in favour; "" if something can
}

// levelOf is the service level of a check: of ingest, good is what was accepted within the bound, counted from the moment
// each event was to be sent, and stored; of freshness, what was visible to queries within the bound of its acceptance; of
// queries, what was answered within the bound, completely and rightly.
func (r *run) levelOf(check string, a plan.CheckArgs) level {
	switch check {
	case CheckSLOFresh:
		l := level{many: "events", none: "no accepted event was looked for", one: "accepted event", good: "visible in time", doubt: r.freshnessDoubt(int64(len(r.ask.ages)))}
		if a.Within == 0 {
			a.Within = plan.Duration(freshEnough)
		}
		stages := map[plan.Stage]*visibility{}
		if r.ask.broken == "" {
			stages = r.lateEvents(time.Duration(a.Within))
		}
		l.of = func(stage plan.Stage) (SLO, int64) {
			s := SLO{Target: a.Target, Within: time.Duration(a.Within)}
			n := stages[stage]
			if n == nil {
				return s, 0
			}
			s.Bad.Stale = n.late + n.unknown
			s.Events, s.Good = n.all, n.all-s.Bad.Stale
			return s, n.unknown
		}
		return l
	case CheckSLOQuery:
		l := level{many: "queries", none: "no query was asked", one: "answer", good: "right", unit: "queries", doubt: r.ask.broken}
		if a.Within == 0 {
			a.Within = plan.Duration(slowestAnswer)
		}
		if l.doubt == "" && r.opsMissing != "" {
			l.doubt = "the history is not whole: " + r.opsMissing
		}
		l.of = func(stage plan.Stage) (SLO, int64) { return r.sloOfQueries(stage, a) }
		return l
	}
	l := level{many: "events", none: "no event was offered", one: "accepted event", good: "stored"}
	switch {
	case r.opsMissing != "":
		l.doubt = "the history is not whole: " + r.opsMissing
	case r.heldMissing != "":
		l.doubt = "what is stored is not known: " + r.heldMissing
	}
	l.of = func(stage plan.Stage) (SLO, int64) { return r.sloOf(stage, a) }
	return l
}

// slowestAnswer is how long an answer may take where the plan does not say it.
const slowestAnswer = 10 * time.Second

// sloOfQueries counts the good and bad queries of a stage, and those of the bad that may yet have been good.
func (r *run) sloOfQueries(stage plan.Stage, a plan.CheckArgs) (s SLO, undecided int64) {
	s = SLO{Target: a.Target, Within: time.Duration(a.Within)}
	for i, o := range r.ask.outcomes {
		ph := r.ask.phases[i]
		if ph < 0 || r.phases[ph].Stage != stage || o == early {
			continue
		}
		q := &r.e.Queries[i]
		if a.Traffic != "" && (q.Reader < 0 || q.Reader >= len(r.plan.Readers) || r.plan.Readers[q.Reader].Traffic != a.Traffic) {
			continue
		}
		if a.Reader != "" && (q.Reader < 0 || q.Reader >= len(r.plan.Readers) || r.plan.Readers[q.Reader].Name != a.Reader) {
			continue
		}
		s.Events++
		switch late := q.Done-q.Intended > s.Within; {
		case o == unanswered:
			s.Bad.Unanswered++
		case o == failed:
			s.Bad.Failed++
		case o == wrong:
			s.Bad.Wrong++
		case o == partial:
			s.Bad.Partial++
		case late:
			s.Bad.Late++
		case o == unjudged:
			undecided++
		default:
			s.Good++
		}
	}
	return s, undecided
}

// judgeSLO: in each stage asked for, at least the target's share was good. It adds what it found to the judgement's stages.
func (r *run) judgeSLO(j *Judgement, name, check string, a plan.CheckArgs) Result {
	var res Result
	var verdicts []Verdict
	level := r.levelOf(check, a)
	for i := range j.Stages {
		st := &j.Stages[i]
		slo, undecided := level.of(st.Stage)
		slo.share()
		slo.Name, slo.Unit = name, level.unit
		slo.Judged = a.Stage == "" || a.Stage == st.Stage
		best := 0.0
		if slo.Events > 0 {
			best = float64(slo.Good+undecided) / float64(slo.Events)
		}
		doubt := ""
		switch {
		case slo.Events == 0 && r.stop.why != "" && r.stageCut(st.Stage):
			doubt = r.stop.why + ": no phase of the stage began"
		case slo.Events == 0:
			doubt = level.none
		case r.stageCut(st.Stage):
			doubt = fmt.Sprintf("%s in it; until then %s of %s %s were good", r.cutShort(), number(slo.Good), number(slo.Events), level.many)
		case best < slo.Target: // even if all that is undecided were good
			slo.Verdict = Fail
		case slo.Fraction < slo.Target:
			doubt = fmt.Sprintf("whether %s %s cannot be said", plural(undecided, level.one+" is", level.one+"s are"), level.good)
		case level.doubt != "":
			doubt = level.doubt
		default:
			slo.Verdict = Pass
		}
		st.SLOs = append(st.SLOs, slo)
		res.Numbers = append(res.Numbers, Number{string(st.Stage) + ".good", slo.Fraction, "ratio"}, Number{string(st.Stage) + ".budget_used", slo.Budget, "ratio"})
		if !slo.Judged {
			continue
		}
		verdicts = append(verdicts, slo.Verdict)
		line := fmt.Sprintf("%s: %s of %s %s were good (%s)", st.Stage, number(slo.Good), number(slo.Events), level.many, percent(slo.Fraction))
		if doubt != "" {
			line = fmt.Sprintf("%s: %s", st.Stage, doubt)
		}
		if slo.Verdict != Pass {
			f := Finding{Verdict: slo.Verdict, Title: line + fmt.Sprintf(", target %s", percent(slo.Target)), At: None, Count: slo.Events - slo.Good, Evidence: slo.Bad.lines(slo.Within, slo.Unit)}
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
		if a.Traffic != "" && (o.Traffic < 0 || o.Traffic >= len(r.plan.Traffic) || r.plan.Traffic[o.Traffic].Name != a.Traffic) {
			continue
		}
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
	return s, undecided
}

// share fills in what follows from the counts.
func (s *SLO) share() {
	if s.Events == 0 {
		return
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
}

// lines says why events were not good, the most frequent reasons being for the reader to find.
func (b BadEvents) lines(within time.Duration, unit string) []string {
	var list []string
	late := cond(unit == "", "accepted", "answered")
	for _, reason := range []struct {
		n    int64
		what string
	}{
		{b.Lost, "accepted and lost"}, {b.Late, late + " later than " + within.String()}, {b.Refused, "refused"}, {b.Throttled, "throttled (429)"},
		{b.Malformed, "answered as malformed"}, {b.Unknown, "without a certain answer (504, timeout, lost connection)"}, {b.NotSent, "never sent: no shepherd could be reached"},
		{b.Stale, "accepted and not visible to queries " + within.String() + " later"}, {b.Wrong, "answered otherwise than what was sent"}, {b.Partial, "answered in part"},
		{b.Failed, "answered with an error"}, {b.Unanswered, "not answered"},
	} {
		if reason.n > 0 {
			list = append(list, number(reason.n)+" "+reason.what)
		}
	}
	return list
}
