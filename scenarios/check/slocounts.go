package check

import (
	"fmt"
	"slices"
	"time"

	"github.com/ratel-sim/ratel/loadgen"
	"github.com/ratel-sim/ratel/scenarios/evidence"
)

// ObjectiveStats is one SLO of one dataset over the whole run: what was counted, and what had to be. Events are counted by weight:
// one with sample rate n is n.
type ObjectiveStats struct {
	SLO     int64   `json:"slo"`
	Name    string  `json:"name"`
	Dataset string  `json:"dataset"`
	Target  float64 `json:"target"` // share of relevant events that must be good
	// Good and Total are what was counted.
	Good  int64 `json:"good"`
	Total int64 `json:"total"`
	// The least and the most that they had to be, by what was sent.
	GoodLow   int64 `json:"good_low"`
	GoodHigh  int64 `json:"good_high"`
	TotalLow  int64 `json:"total_low"`
	TotalHigh int64 `json:"total_high"`
	Minutes   int64 `json:"minutes"` // with anything sent or counted
	Wrong     int64 `json:"wrong"`   // minutes that are not what was sent
	// Compliance is Good/Total, 0 without events. BudgetLeft is the share of the error budget (1-Target) that the counted
	// events leave, of what the run's own events allow: all of it without events, below 0 it is overspent.
	Compliance float64 `json:"compliance"`
	BudgetLeft float64 `json:"budget_left"`
	Judged     bool    `json:"judged"` // false: nothing could be compared
}

// objectiveStats sums up each SLO; nil if there is none.
func (r *run) objectiveStats() []ObjectiveStats {
	var list []ObjectiveStats
	c := &r.slos
	for _, o := range c.objectives {
		s := ObjectiveStats{
			SLO: o.def.ID, Name: o.def.Name, Dataset: o.def.Dataset, Target: float64(o.def.TargetPerMillion) / 1e6,
			Wrong: int64(len(o.wrong)), Judged: c.broken == "" && c.counts == "" && o.broken == "" && !o.gone,
		}
		for _, minute := range o.minutes() {
			s.Minutes++
			row := o.counted[minute]
			total, good, _ := o.expected(minute, 0)
			s.Good, s.Total = s.Good+row.Good, s.Total+row.Total
			s.GoodLow, s.GoodHigh, s.TotalLow, s.TotalHigh = s.GoodLow+good.low, s.GoodHigh+good.high, s.TotalLow+total.low, s.TotalHigh+total.high
		}
		s.BudgetLeft = 1
		if s.Total > 0 {
			s.Compliance = float64(s.Good) / float64(s.Total)
			if bad := 1 - s.Compliance; bad > 0 && s.Target < 1 {
				s.BudgetLeft = 1 - bad/(1-s.Target)
			} else if bad > 0 {
				s.BudgetLeft = -1
			}
		}
		list = append(list, s)
	}
	return list
}

// judgeSLOCounts: what was counted for each SLO and minute is what was sent.
func (r *run) judgeSLOCounts() Result {
	var res Result
	c := &r.slos
	judged, rows, wrong, gone := int64(0), int64(0), int64(0), 0
	broken := ""
	for _, o := range c.objectives {
		rows += int64(len(o.counted))
		switch {
		case o.broken != "" && broken == "":
			broken = fmt.Sprintf("SLO %s of %s: %s", o.def.Name, o.def.Dataset, o.broken)
		case o.gone:
			gone++
		case o.broken == "":
			judged += int64(len(o.minutes()))
			wrong += int64(len(o.wrong))
		}
	}
	res.Numbers = []Number{
		{"SLOs", float64(len(c.objectives)), "SLOs"}, {"rows", float64(rows), "rows"}, {"compared", float64(judged), "minutes"}, {"wrong", float64(wrong), "minutes"},
		{"events that had to be counted", float64(c.certain), "events"},
		{"by sample rate, they stand for", float64(c.standFor), "events"},
	}
	if c.broken == "" {
		res.Findings = r.countFindings()
	}
	undefined := r.undefinedSLO()
	doubt := ""
	switch {
	case len(c.objectives) == 0:
		doubt = "no SLO was defined, so nothing was counted"
	case c.counts != "":
		doubt = "the counts are not known: " + c.counts
	case c.broken != "":
		doubt = c.broken
	case r.opsMissing != "":
		doubt = "the history is not whole: " + r.opsMissing
	case r.logMissing != "":
		doubt = "the log could not be read back: " + r.logMissing
	case r.e.Run.Ended != "":
		doubt = "the run was cut short: " + r.e.Run.Ended
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
	case broken != "":
		res.Summary = broken
	case gone == len(c.objectives):
		res.Summary = "the datasets of all SLOs were recreated, and their counts went with them"
	case len(c.open) > 0:
		p := c.open[0]
		res.Summary = fmt.Sprintf("counting had not reached the end of %s, so not all had to be there: partition %d ends at offset %d, and %s", plural(int64(len(c.open)), "partition"), p, r.logIndex.end(p), r.finalLook(p))
	case c.certain == 0:
		res.Summary = "no event that an SLO counts was stored, so there was nothing to count"
	default:
		res.Verdict = Pass
		res.Summary = fmt.Sprintf("%s of %s are what was sent: %s", plural(judged, "minute"), plural(int64(len(c.objectives)-gone), "SLO"), plural(c.certain, "event"))
		if c.standFor != c.certain {
			res.Summary += fmt.Sprintf(", which by their sample rates stand for %s", number(c.standFor))
		}
	}
	return res
}

// undefinedSLO names one that the plan wants and of whose definition the evidence knows nothing; "" if there is none.
func (r *run) undefinedSLO() string {
	for i := range r.plan.Objectives {
		o := &r.plan.Objectives[i]
		dataset, missing := r.undefined(o.Traffic, func(traffic int, dataset string) bool {
			return slices.ContainsFunc(r.e.SLOs, func(s evidence.SLO) bool { return s.Name == o.Name && s.Traffic == traffic && s.Dataset == dataset })
		})
		if missing {
			return fmt.Sprintf("the evidence has no definition of SLO %s for dataset %s, so what it counted is not known", o.Name, dataset)
		}
	}
	return ""
}

// undefined is the first dataset of a load for which something that the plan wants was not defined.
func (r *run) undefined(load string, defined func(traffic int, dataset string) bool) (dataset string, missing bool) {
	for i := range r.plan.Traffic {
		if r.plan.Traffic[i].Name != load {
			continue
		}
		for _, dataset := range loadgen.DatasetNames(i, r.plan.Traffic[i].Datasets) {
			if !defined(i, dataset) {
				return dataset, true
			}
		}
	}
	return "", false
}

func (r *run) finalLook(p int32) string {
	if s := r.slos.finalAt[p]; s != "" {
		return s
	}
	return "its progress was not looked at in the end"
}

// countFindings gathers wrong minutes that are wrong alike.
func (r *run) countFindings() []Finding {
	type place struct {
		o *objective
		wrongMinute
	}
	var list []Finding
	for _, kind := range []string{"too little", "too much", "wrong"} {
		var places []place
		datasets := map[string]bool{}
		for _, o := range r.slos.objectives {
			for _, w := range o.wrong {
				if w.kind == kind {
					places = append(places, place{o, w})
					datasets[o.def.Dataset] = true
				}
			}
		}
		n := int64(len(places))
		if n == 0 {
			continue
		}
		f := Finding{Verdict: Fail, Count: n, At: None}
		subject := fmt.Sprintf("%s of %s", plural(n, "minute"), plural(int64(len(datasets)), "dataset"))
		switch kind {
		case "too little":
			f.Title = fmt.Sprintf("%s %s accepted events that an SLO has to count", subject, cond(n == 1, "lacks", "lack"))
		case "too much":
			f.Title = fmt.Sprintf("%s %s more events than were sent", subject, cond(n == 1, "counts", "count"))
		default:
			f.Title = fmt.Sprintf("%s %s the right number of events, and not the right number of good ones", subject, cond(n == 1, "counts", "count"))
		}
		for i, p := range places {
			if i == MaxExamples {
				break
			}
			f.Evidence = append(f.Evidence, r.minuteLine(p.o, p.minute))
			if begin := time.Unix(p.minute, 0).Sub(r.e.Run.Epoch); f.At == None {
				f.At = max(0, begin)
			}
		}
		if kind == "too little" && !slices.ContainsFunc(places, func(p place) bool { return !p.o.unweighed(p.minute) }) {
			f.Evidence = append(f.Evidence, "as many were counted as there are events if each is one: their sample rates were left out")
		}
		if line := r.elsewhere(); line != "" {
			f.Evidence = append(f.Evidence, line)
		}
		f.Examples = r.minuteExamples(places[0].o, places[0].minute, kind)
		r.place(&f)
		list = append(list, f)
	}
	for _, o := range r.slos.objectives {
		if n := int64(len(o.double)); n > 0 {
			list = append(list, Finding{Verdict: Fail, Count: n, At: None, Title: fmt.Sprintf("SLO %s of %s has several rows of one minute", o.def.Name, o.def.Dataset), Evidence: []string{fmt.Sprintf("minute %s", clock(o.double[0]))}})
		}
	}
	return list
}

// clock writes a minute of event time.
func clock(minute int64) string { return time.Unix(minute, 0).UTC().Format("2006-01-02T15:04Z") }

func (r *run) minuteLine(o *objective, minute int64) string {
	row, there := o.counted[minute]
	total, good, _ := o.expected(minute, r.slos.strange)
	got := fmt.Sprintf("%s good of %s", number(row.Good), number(row.Total))
	if !there {
		got = "no row"
	}
	return fmt.Sprintf("seed %d, SLO %s of dataset %s, minute %s: expected %s good of %s, got %s", r.e.Run.Seed, o.def.Name, o.def.Dataset, clock(minute), good, total, got)
}

// unweighed says whether a minute has as many as if no event had a sample rate.
func (o *objective) unweighed(minute int64) bool {
	c := o.truth[minute]
	return c != nil && c.events.has(o.counted[minute].Total)
}

// elsewhere says whether the events that are missing in some minutes are too many in others.
func (r *run) elsewhere() string {
	little, much, fits := false, false, true
	for _, o := range r.slos.objectives {
		var sum, low, high int64
		for _, minute := range o.minutes() {
			total, _, _ := o.expected(minute, 0)
			sum, low, high = sum+o.counted[minute].Total, low+total.low, high+total.high
		}
		fits = fits && sum >= low && sum <= high+r.slos.strange
		little = little || slices.ContainsFunc(o.wrong, func(w wrongMinute) bool { return w.kind == "too little" })
		much = much || slices.ContainsFunc(o.wrong, func(w wrongMinute) bool { return w.kind == "too much" })
	}
	if little && much && fits {
		return "over all minutes the totals agree: events were counted in minutes that are not theirs"
	}
	return ""
}

// minuteExamples finds events of a wrong minute: where some are missing, such as had to be counted; else such as may have
// been counted too often, and then any.
func (r *run) minuteExamples(o *objective, minute int64, kind string) []Example {
	var first, rest []spot
	for i := range r.e.Ops {
		op := &r.e.Ops[i]
		begin, end := r.slos.load.Time(op.Sent, 0).Unix(), r.slos.load.Time(op.Sent, op.Count).Unix()
		if op.Dataset != o.def.Dataset || end < minute || begin >= minute+secondsPerMinute {
			continue
		}
		r.countOp(op, func(at *objective, x sliEvent) {
			if at != o || x.minute != minute {
				return
			}
			x.where = cond(x.good, "a good event", "a bad event") + cond(x.weight > 1, " that stands for "+number(x.weight), "") + cond(x.times.low > 0, ", which had to be counted", ", which may have been counted")
			if (kind == "too much") != (x.times.low > 0) {
				first = append(first, x.spot)
			} else if len(rest) < MaxExamples {
				rest = append(rest, x.spot)
			}
		})
		if len(first) >= MaxExamples {
			break
		}
	}
	list := append(first, rest...)
	examples := []Example{}
	for _, s := range list[:min(len(list), MaxExamples)] {
		x := r.example(s)
		x.Where = s.where
		examples = append(examples, x)
	}
	return examples
}
