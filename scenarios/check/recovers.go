package check

import (
	"fmt"
	"time"

	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/scenarios/plan"
)

// gapMax is the longest time without a sample over which nothing is said. Samples are taken once a second.
const gapMax = 5 * time.Second

// judgeRecovers: from some moment within the bound after the last healing, and from then on to the end of the run, all
// partitions have a leader and full in-sync replicas, the retrievers keep up, and all events are accepted.
func (r *run) judgeRecovers(a plan.CheckArgs) Result {
	var res Result
	heal := None
	var healed *FaultSpan
	for i := range r.faults {
		if f := &r.faults[i]; f.Healed > heal {
			heal, healed = f.Healed, f
		}
	}
	if heal == None {
		res.Summary = "nothing was healed, so there was nothing to recover from"
		return res
	}
	bound := heal + time.Duration(a.Within)
	smallLag := r.smallLag()
	conditions := []struct {
		name string
		span trend
	}{
		{"no partition under-replicated", r.trendOf(evidence.UnderReplicated, heal, func(v float64) bool { return v == 0 })},
		{"no partition without a leader", r.trendOf(evidence.Offline, heal, func(v float64) bool { return v == 0 })},
		{fmt.Sprintf("retrievers at most %.0f records behind", smallLag), r.trendOf(evidence.RetrieverLag, heal, func(v float64) bool { return v <= smallLag })},
		{"all events accepted", r.acceptance(heal)},
	}
	var verdicts []Verdict
	latest := heal
	for _, c := range conditions {
		v, why := c.span.within(heal, bound)
		verdicts = append(verdicts, v)
		if v == Pass {
			latest = max(latest, c.span.reached)
			res.Numbers = append(res.Numbers, Number{c.name, max(0, c.span.reached-heal).Seconds(), "s after healing"})
			continue
		}
		f := Finding{Verdict: v, Title: fmt.Sprintf("not shown: %s within %s of healing", c.name, a.Within), Evidence: []string{why}, At: heal, Count: 1}
		if v == Fail {
			f.Title = fmt.Sprintf("not so within %s of healing: %s", a.Within, c.name)
			f.At = max(heal, c.span.bad)
		}
		r.place(&f)
		f.Fault, f.FaultID = "healed: "+healed.label(), healed.ID
		if healed.Pos != nil {
			f.Pos = healed.Pos
		}
		res.Findings = append(res.Findings, f)
	}
	res.Verdict = Merge(verdicts...)
	if res.Verdict == Pass {
		res.Summary = fmt.Sprintf("recovered %s after the last healing, bound %s", short(latest-heal), a.Within)
		return res
	}
	for _, f := range res.Findings {
		if f.Verdict == res.Verdict {
			res.Summary = f.Title + ": " + f.Evidence[0]
			break
		}
	}
	return res
}

// smallLag is how many records retrievers may be behind while all is well: what arrives in two seconds by plan, or twice
// the worst before any fault, and at least 20.
func (r *run) smallLag() float64 {
	records := 0.0
	for i := range r.plan.Traffic {
		t := &r.plan.Traffic[i]
		perRecord := max(1, min(t.EventsPerBatch, r.plan.System.Shepherd.ChunkEvents))
		records += max(t.EventsPerSecond, t.ToPerSecond) / float64(perRecord)
	}
	small := max(20, 2*records)
	first := None
	for i := range r.faults {
		if at := r.faults[i].Injected; at != None && (first == None || at < first) {
			first = at
		}
	}
	for _, s := range r.samples {
		if lag, ok := s.Values[evidence.RetrieverLag]; ok && s.At < first {
			small = max(small, 2*lag)
		}
	}
	return small
}

// trend is when a condition was last seen to be false, and from when on it was only seen to be true.
type trend struct {
	what    string        // that was looked at
	bad     time.Duration // the last moment at which it was false; None if never
	badSay  string        // what was seen then
	reached time.Duration // the first moment after bad at which it was true; None if never
	last    time.Duration // the last moment at which anything was seen; None if never
	end     time.Duration // until when something had to be seen
	gap     time.Duration // the longest time without seeing anything from reached to end
	gapAt   time.Duration
}

// within says whether the condition became true at most at bound and stayed so.
func (t trend) within(from, bound time.Duration) (Verdict, string) {
	switch {
	case t.last == None:
		return Inconclusive, fmt.Sprintf("no data: %s was not measured after %s", t.what, short(from))
	case t.bad != None && t.bad >= bound:
		return Fail, fmt.Sprintf("%s at %s, %s after healing", t.badSay, short(t.bad), short(t.bad-from))
	case t.reached == None:
		return Inconclusive, fmt.Sprintf("%s at %s, before the bound, and was not looked at after it; the load ended at %s", t.badSay, short(t.bad), short(t.end))
	case t.reached > bound && t.bad != None:
		return Inconclusive, fmt.Sprintf("it was not so at %s (%s), was so at %s, and was not looked at between, where the bound lies", short(t.bad), t.badSay, short(t.reached))
	case t.reached > bound:
		return Inconclusive, fmt.Sprintf("%s was measured at %s first, after the bound", t.what, short(t.reached))
	case t.gap > gapMax:
		return Inconclusive, fmt.Sprintf("%s was not measured for %s from %s on", t.what, short(t.gap), short(t.gapAt))
	}
	return Pass, ""
}

// trendOf follows a sampled metric from a moment on to the last sample, which must not come long before the load's end.
func (r *run) trendOf(metric string, from time.Duration, good func(float64) bool) trend {
	t := trend{what: metric, bad: None, reached: None, last: None, end: r.loadEnd()}
	seen := None
	for _, s := range r.samples {
		v, ok := s.Values[metric]
		if s.At < from || !ok {
			continue
		}
		if good(v) {
			if t.reached == None {
				t.reached = s.At
			} else if s.At-seen > t.gap {
				t.gap, t.gapAt = s.At-seen, seen
			}
		} else {
			t.bad, t.badSay, t.reached, t.gap = s.At, fmt.Sprintf("%s was %s", metric, figure(v)), None, 0
		}
		seen = s.At
	}
	t.last = seen
	t.end = max(t.end, seen)
	if t.reached != None && t.end-seen > t.gap {
		t.gap, t.gapAt = t.end-seen, seen
	}
	return t
}

// acceptance follows whether events were accepted from a moment on; without any event to send nothing is missing.
func (r *run) acceptance(from time.Duration) trend {
	t := trend{what: "whether events are accepted", bad: None, reached: None, last: None, end: r.loadEnd()}
	for i := range r.e.Ops {
		o := &r.e.Ops[i]
		if o.Intended < from || o.Count <= 0 {
			continue
		}
		t.last = max(t.last, o.Intended)
		if r.e.Run.Ended != "" && o.Code == 0 && o.Done < 0 {
			continue // the run was cut short before it could be answered
		}
		if answer, ok := refusal(o); ok && o.Intended >= t.bad {
			t.bad, t.badSay = o.Intended, answer
		}
	}
	for i := range r.e.Ops {
		o := &r.e.Ops[i]
		if o.Count <= 0 || o.Intended < from || o.Intended <= t.bad {
			continue
		}
		if t.reached == None || o.Intended < t.reached {
			t.reached = o.Intended
		}
	}
	return t
}

// refusal says how a batch was answered, if not all of it was accepted.
func refusal(o *evidence.Op) (string, bool) {
	said, ok := "", false
	eachPart(o, func(first, n uint64, out outcome, part *evidence.Part) {
		if out == wasAccepted || ok {
			return
		}
		ok = true
		said = fmt.Sprintf("%s of producer %d from sequence %d on: ", plural(int64(n), "event"), o.Producer, first)
		switch {
		case part != nil:
			said += fmt.Sprintf("answered %d %s", part.Code, part.Error)
		case o.Code != 0:
			said += fmt.Sprintf("answered %d %s", o.Code, o.Error)
		default:
			said += "no answer"
			if o.Error != "" {
				said += ", " + o.Error
			}
		}
	})
	return said, ok
}

// loadBegin is when the load began: the beginning of the first phase that ran.
func (r *run) loadBegin() time.Duration {
	for i := range r.phases {
		if r.phases[i].ran {
			return r.phases[i].begin
		}
	}
	return 0
}

// loadEnd is when the load ended: the end of the last phase that ran.
func (r *run) loadEnd() time.Duration {
	end := time.Duration(0)
	for i := range r.phases {
		if r.phases[i].ran {
			end = max(end, r.phases[i].end)
		}
	}
	if r.stop.why == aborted { // the load went on after the last phase
		end = max(end, r.loadEnded)
	}
	return end
}
