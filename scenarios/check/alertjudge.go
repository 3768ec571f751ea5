package check

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/scenarios/plan"
)

// alertJudge gathers what is wrong with alerts, what is wrong alike in one finding.
type alertJudge struct {
	r                *run
	within, takeover time.Duration
	findings         []Finding
	kinds            map[string]int // by what is wrong: its finding, plus 1
	open             int64          // windows whose time was not up when the evaluations were read back
	due, evaluated   int64
	faulty, stale    int64 // windows during faults, and those of them that are stale
	fired, delivered int64
	worst            time.Duration // latency of a delivery
}

func (r *run) alertJudge(within time.Duration) *alertJudge {
	return &alertJudge{r: r, within: within, takeover: r.takeover(), kinds: map[string]int{}}
}

func (j *alertJudge) deadline(end time.Duration) time.Duration {
	return j.r.alerts.deadline(end, j.within+clockSlack, j.takeover)
}

// windows is how many windows of an alert had to be evaluated by the time the evaluations were read back, and how many were not.
func (j *alertJudge) windows(s *alertState) (due, missed int64) {
	there := map[time.Duration]bool{}
	for _, v := range s.evaluations {
		there[v.Window] = true
	}
	for _, end := range s.ends {
		switch {
		case there[end]:
			due++
		case j.r.alerts.looked > j.deadline(end):
			due++
			missed++
		}
	}
	return due, missed
}

// found notes one thing. Its title is a count of the kind and what is wrong: "3 windows " + what.
func (j *alertJudge) found(kind, what string, at time.Duration, format string, args ...any) {
	line := fmt.Sprintf("seed %d, ", j.r.e.Run.Seed) + fmt.Sprintf(format, args...)
	k := j.kinds[kind+what]
	if k == 0 {
		j.findings = append(j.findings, Finding{Verdict: Fail, At: at})
		k = len(j.findings)
		j.kinds[kind+what] = k
		j.r.place(&j.findings[k-1])
	}
	f := &j.findings[k-1]
	if f.Count++; len(f.Evidence) < MaxExamples {
		f.Evidence = append(f.Evidence, line)
	}
	f.Title = plural(f.Count, kind) + " " + what
}

func (j *alertJudge) name(s *alertState, end time.Duration) string {
	return fmt.Sprintf("alert %s of dataset %s (%d), window that ends at %s", s.def.Name, s.def.Dataset, s.def.ID, moment(end))
}

// judgeAlerts: each window of each alert is evaluated once, in time and rightly; what fires is delivered, and nothing else.
func (r *run) judgeAlerts(args plan.CheckArgs) Result {
	var res Result
	a := &r.alerts
	within := time.Duration(args.Within)
	if within == 0 {
		within = deliveredWithin
	}
	j := r.alertJudge(within)
	unjudged := ""
	gone := 0
	for _, s := range a.states {
		switch {
		case s.gone:
			gone++
			continue
		case s.unjudged != "" && unjudged == "":
			unjudged = fmt.Sprintf("alert %s of %s cannot be judged: %s", s.def.Name, s.def.Dataset, s.unjudged)
		}
		if !r.e.Run.Epoch.IsZero() {
			j.once(s)
			j.right(s)
			j.sent(s)
		}
	}
	if a.missing == "" && r.e.Run.Ended == "" {
		j.invented()
		j.staleness()
	}
	res.Findings = j.findings
	res.Numbers = []Number{
		{"alerts", float64(len(a.states)), "alerts"}, {"windows due", float64(j.due), "windows"}, {"evaluated", float64(j.evaluated), "windows"}, {"not due yet", float64(j.open), "windows"},
		{"compared", float64(a.compared), "windows"}, {"stale during faults", float64(j.stale), "windows"}, {"fired or resolved", float64(j.fired), "notices"}, {"delivered", float64(j.delivered), "notices"},
		{"slowest delivery", j.worst.Seconds(), "s"},
	}
	undefined := r.undefinedAlert()
	doubt := ""
	switch {
	case len(a.states) == 0:
		doubt = "no alert was defined, so nothing was evaluated"
	case a.missing != "":
		doubt = "the evaluations are not known: " + a.missing
	case r.e.Run.Epoch.IsZero():
		doubt = "when the run began on the clock of the events is not known"
	case r.e.Run.Ended != "":
		doubt = "the run was cut short: " + r.e.Run.Ended
	case r.opsMissing != "":
		doubt = "the history is not whole: " + r.opsMissing
	}
	switch {
	case doubt != "":
		res.Summary = doubt
		for i := range res.Findings {
			res.Findings[i].Verdict = Inconclusive
		}
	case len(res.Findings) > 0:
		res.Verdict, res.Summary = Fail, res.Findings[0].Title
		if more := int64(len(res.Findings)) - 1; more > 0 {
			res.Summary += fmt.Sprintf(" (and %s)", plural(more, "more finding"))
		}
	case undefined != "":
		res.Summary = undefined
	case a.broken != "":
		res.Summary = a.broken
	case unjudged != "":
		res.Summary = unjudged
	case gone == len(a.states):
		res.Summary = "the datasets of all alerts were recreated, and their evaluations went with them"
	case j.due == 0:
		res.Summary = fmt.Sprintf("no window had to be evaluated: from %s after its definition to the load's end none of an alert ended and was due", short(r.startGrace()))
	case a.compared == 0:
		res.Summary = fmt.Sprintf("of %s none could be compared with what was sent", plural(j.evaluated, "evaluation"))
	default:
		res.Verdict = Pass
		res.Summary = fmt.Sprintf("%s had to be evaluated; %s, once each and rightly (%s certain), %s stale during faults; %s delivered, %s after its window's end at the latest", plural(j.due, "window"), plural(j.evaluated, "evaluation"), number(a.compared), number(j.stale), plural(j.delivered, "notice"), short(j.worst))
	}
	return res
}

// undefinedAlert names one that the plan wants and of whose definition the evidence knows nothing; "" if there is none.
func (r *run) undefinedAlert() string {
	for i := range r.plan.Alerts {
		a := &r.plan.Alerts[i]
		dataset, missing := r.undefined(a.Traffic, func(traffic int, dataset string) bool {
			return slices.ContainsFunc(r.e.Alerts, func(x evidence.Alert) bool { return x.Name == a.Name && x.Traffic == traffic && x.Dataset == dataset })
		})
		if missing {
			return fmt.Sprintf("the evidence has no definition of alert %s for dataset %s, so what became of it is not known", a.Name, dataset)
		}
	}
	return ""
}

// once: each window was evaluated once, not too early and not too late.
func (j *alertJudge) once(s *alertState) {
	r := j.r
	every := int64(s.def.Trigger.Frequency) * int64(time.Second)
	there := map[time.Duration]*evidence.Evaluation{}
	expected := map[time.Duration]bool{}
	for _, end := range s.ends {
		expected[end] = true
	}
	for _, v := range s.evaluations {
		j.evaluated++
		if before := there[v.Window]; before != nil {
			j.found("window", "evaluated twice", v.At, "%s: by %s at %s as epoch %d, and by %s at %s as epoch %d", j.name(s, v.Window), before.By, moment(before.At), before.Epoch, v.By, moment(v.At), v.Epoch)
			continue
		}
		there[v.Window] = v
		switch {
		case s.def.Trigger.Disabled:
			j.found("evaluation", "of a disabled alert", v.At, "%s: evaluated by %s at %s", j.name(s, v.Window), v.By, moment(v.At))
		case every > 0 && mod(r.e.Run.Epoch.UnixNano()+int64(v.Window), every) != 0:
			j.found("evaluation", "of a window that is none", v.At, "%s: it is no multiple of %s", j.name(s, v.Window), time.Duration(every))
		case v.At < v.Window-clockSlack:
			j.found("window", "evaluated before its end", v.At, "%s: evaluated by %s at %s", j.name(s, v.Window), v.By, moment(v.At))
		case expected[v.Window] && v.At > j.deadline(v.Window):
			j.found("window", "evaluated too late", v.Window, "%s: evaluated by %s at %s, %s after its end, bound %s%s", j.name(s, v.Window), v.By, moment(v.At), short(v.At-v.Window), short(j.deadline(v.Window)-v.Window), j.bearing(v.Window))
		}
	}
	for _, end := range s.ends {
		switch {
		case there[end] != nil:
			j.due++
		case r.alerts.looked <= j.deadline(end):
			j.open++
		default:
			j.due++
			j.found("window", "never evaluated", end, "%s: there is no evaluation of it, %s after its end%s", j.name(s, end), short(r.alerts.looked-end), j.bearing(end))
		}
	}
}

// bearing says which faults bear on a window.
func (j *alertJudge) bearing(end time.Duration) string {
	list := j.r.overlapping(end-j.takeover, end+j.within)
	if len(list) == 0 {
		return "; no fault was active"
	}
	return "; active or recovering: " + join(list)
}

// right: what an evaluation says follows from what was sent.
func (j *alertJudge) right(s *alertState) {
	t := &s.def.Trigger
	var before *evidence.Evaluation
	for i, v := range s.evaluations {
		if v.Stale {
			fault, outage := j.r.alerts.excused(v.Window, v.At, j.takeover)
			switch {
			case v.Fires || v.Resolves:
				j.found("stale window", "decided nothing and sent a notice all the same", v.At, "%s: evaluated by %s at %s as stale", j.name(s, v.Window), v.By, moment(v.At))
			case outage:
			case fault:
				j.faulty++
				j.stale++
			case v.Window >= s.def.Defined+j.r.startGrace():
				j.found("window", "stale while no fault was active", v.Window, "%s: %s gave up at %s", j.name(s, v.Window), v.By, moment(v.At))
			}
		} else {
			if fault, outage := j.r.alerts.excused(v.Window, v.At, j.takeover); fault && !outage {
				j.faulty++
			}
			if i < len(s.truths) {
				j.agrees(s, v, s.required(i), s.truths[i])
			}
		}
		j.changes(s, before, v, t.Frequency)
		before = v
	}
}

// required is whether an alert has to be triggered in its i-th evaluation: with a limit of several windows in a row, all of
// them count.
func (s *alertState) required(i int) trith {
	if !s.truths[i].ok {
		return perhaps
	}
	holds := s.truths[i].holds
	every := time.Duration(s.def.Trigger.Frequency) * time.Second
	for k := 1; k < s.def.Trigger.Threshold.ExceededLimit && holds != no; k++ {
		if i < k {
			return no // there were not so many windows yet
		}
		if s.evaluations[i-k].Window != s.evaluations[i].Window-time.Duration(k)*every || s.evaluations[i-k].Stale || !s.truths[i-k].ok {
			return perhaps
		}
		holds = min(holds, s.truths[i-k].holds)
	}
	return holds
}

// agrees compares one evaluation with the truth.
func (j *alertJudge) agrees(s *alertState, v *evidence.Evaluation, required trith, truth verdictOfWindow) {
	if !truth.ok {
		return
	}
	condition := fmt.Sprintf("%s %s %s", s.ask.Calculations[0].name(), s.def.Trigger.Threshold.Op, showNumber(s.def.Trigger.Threshold.Value))
	value := "its value is not certain"
	if !math.IsNaN(truth.low) {
		value = "its value has to be " + between(truth.low, truth.high)
	}
	line := fmt.Sprintf("%s: evaluated by %s at %s as epoch %d, value %s; %s, so %s %s", j.name(s, v.Window), v.By, moment(v.At), v.Epoch, showNumber(v.Value), value, condition, required)
	switch {
	case required == yes && !v.Triggered:
		j.found("window", "did not trigger, though the condition holds by what was sent", v.Window, "%s", line)
	case required == no && v.Triggered:
		j.found("window", "triggered, though the condition does not hold by what was sent", v.Window, "%s", line)
	case !math.IsNaN(truth.low) && !withinRange(v.Value, truth.low, truth.high):
		j.found("evaluation", "compared a value that does not follow from what was sent", v.Window, "%s", line)
	}
}

// withinRange says whether a value lies in a range, but for rounding.
func withinRange(v, low, high float64) bool {
	slack := roundingError * max(math.Abs(low), math.Abs(high))
	return v >= low-slack && v <= high+slack
}

// changes: an alert on change fires when its condition begins to hold and resolves when it no longer does; one on true fires
// in each window in which it holds.
func (j *alertJudge) changes(s *alertState, before, v *evidence.Evaluation, frequency int) {
	told := func(what string) {
		j.found("window", what, v.Window, "%s: evaluated by %s at %s: triggered %t, fires %t, resolves %t; %s", j.name(s, v.Window), v.By, moment(v.At), v.Triggered, v.Fires, v.Resolves, s.def.Trigger.AlertType)
	}
	switch {
	case v.Fires && v.Resolves:
		told("both fired and resolved")
		return
	case v.Fires && !v.Triggered && !v.Stale:
		told("fired without being triggered")
		return
	case v.Resolves && v.Triggered:
		told("resolved while being triggered")
		return
	case !s.onChange():
		if v.Triggered && !v.Stale && !v.Fires {
			told("did not fire, though it triggered")
		}
		return
	case before != nil && (v.Window-before.Window != time.Duration(frequency)*time.Second || before.At > v.At):
		return // what it was compared with is not known
	}
	was := before != nil && before.Triggered // nothing is triggered that was never evaluated
	switch {
	case v.Stale && v.Triggered != was:
		told("changed its state, though it was stale")
	case v.Stale:
	case v.Triggered && !was && !v.Fires:
		told("did not fire, though it began to be triggered")
	case v.Fires && was:
		told("fired again, though it was triggered before")
	case !v.Triggered && was && !v.Resolves:
		told("did not resolve, though it is no longer triggered")
	case v.Resolves && !was:
		told("resolved what was not triggered before")
	}
}

// sent: what fires was delivered, in time, and as it was recorded.
func (j *alertJudge) sent(s *alertState) {
	r := j.r
	for _, v := range s.evaluations {
		for _, kind := range noticesOf(v) {
			j.fired++
			got := r.alerts.notices[noticeKey{v.Alert, v.Window, kind}]
			due := j.deadline(max(v.Window, min(v.At, j.deadline(v.Window))-j.within))
			if len(got) == 0 {
				switch {
				case v.Delivered >= 0:
					j.found("notice", "marked as delivered and never received", v.Window, "%s: %s by %s, marked as delivered at %s", j.name(s, v.Window), kind, v.By, moment(v.Delivered))
				case r.alerts.looked > due:
					j.found("notice", "never delivered", v.Window, "%s: %s by %s at %s, and was not delivered by %s%s", j.name(s, v.Window), kind, v.By, moment(v.At), moment(r.alerts.looked), j.bearing(v.Window))
				}
				continue
			}
			j.delivered++
			first := r.firstOf(got)
			j.worst = max(j.worst, first-v.Window)
			if first > due {
				j.found("notice", "delivered too late", v.Window, "%s: %s, delivered at %s, %s after the window's end, bound %s%s", j.name(s, v.Window), kind, moment(first), short(first-v.Window), short(due-v.Window), j.bearing(v.Window))
			}
			for _, i := range got {
				if d := &r.e.Deliveries[i]; len(v.Notice) > 0 && !sameJSON(v.Notice, d.Body) {
					j.found("notice", "delivered with another body than was recorded", d.At, "%s: recorded %.200s, delivered %.200s", j.name(s, v.Window), v.Notice, d.Body)
					break
				}
			}
		}
	}
}

// invented: nothing was delivered that did not fire.
func (j *alertJudge) invented() {
	r := j.r
	fires := map[noticeKey]bool{}
	for i := range r.e.Evaluations {
		v := &r.e.Evaluations[i]
		for _, kind := range noticesOf(v) {
			fires[noticeKey{v.Alert, v.Window, kind}] = true
		}
	}
	for i := range r.e.Deliveries {
		d := &r.e.Deliveries[i]
		key, ok := r.noticeOf(d.Key)
		if !ok {
			continue
		}
		s := r.alerts.byID[key.alert]
		if s != nil && s.gone || fires[key] || s != nil && d.At > r.alerts.looked {
			continue // workers go on: what was sent after the evaluations had been read back is in none of them
		}
		j.found("notice", "delivered that no effective evaluation sent", d.At, "%s: delivered at %s: %.200s", key, moment(d.At), d.Body)
	}
	for _, i := range r.alerts.odd {
		d := &r.e.Deliveries[i]
		j.found("notice", "delivered with a key of another form", d.At, "%.100q at %s", d.Key, moment(d.At))
	}
}

// staleness: during faults that alerting has to survive, most windows are still evaluated over fresh data.
func (j *alertJudge) staleness() {
	if j.stale > 1 && float64(j.stale) > staleShare*float64(j.faulty) {
		j.found("share", "of stale windows is too large", None, "%s of %s during faults that left enough alive are stale, at most %s may be", number(j.stale), plural(j.faulty, "window"), percent(staleShare))
	}
}
