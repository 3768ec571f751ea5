package check

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"time"

	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/scenarios/plan"
)

const (
	// freshEnough is how long after its acceptance an event has to be visible, where the plan does not say it.
	freshEnough = 10 * time.Second
	// minQueries is the least number of judged answers from which anything is said.
	minQueries = 5
)

// outcomeOfQuery is what became of a query.
type outcomeOfQuery uint8

const (
	unanswered outcomeOfQuery = iota // no answer, or never sent
	failed                           // an answer without a result
	early                            // 404 while nothing of its dataset had to be visible: neither good nor bad
	unjudged                         // a result that could not be compared
	complete                         // says that it is complete, and is right
	partial                          // says what it lacks, and is right
	wrong                            // complete or partial, and not what was sent
)

// answers is what became of all queries.
type answers struct {
	questions []*asking // by query; nil where the specification cannot be judged
	outcomes  []outcomeOfQuery
	phases    []int32
	misfits   [][]misfit
	truth     *truth
	broken    string // why nothing could be compared; "" if it could
	within    time.Duration
	judged    int64 // answers compared
	old       int64 // of these, with old data that had to be counted
	skipped   string
	ages      []age
	covers    []cover
	covering  []int                       // queries that ask for everything, whatever was answered
	lanes     map[string]map[uint32]*lane // by dataset and producer
	lastCover map[string]time.Duration    // by dataset: when everything was asked for last, and answered
	lastAsked map[string]time.Duration    // likewise, whatever was answered
}

// age is how old the oldest accepted event was that an answer did not count.
type age struct {
	at      time.Duration // when it was asked
	age     time.Duration
	dataset string
	phase   int32
}

// followQueries judges every answer.
func (r *run) followQueries() {
	a := &r.ask
	n := len(r.e.Queries)
	a.questions, a.outcomes, a.misfits, a.phases = make([]*asking, n), make([]outcomeOfQuery, n), make([][]misfit, n), make([]int32, n)
	a.within = freshEnough
	for i := range r.plan.Checks {
		if c := &r.plan.Checks[i]; c.Name == CheckQueries && c.Args.Within > 0 {
			a.within = time.Duration(c.Args.Within)
		}
	}
	for i := range r.e.Queries {
		q := &r.e.Queries[i]
		a.phases[i] = int32(r.phaseAt(q.Intended))
		if q.Sent < 0 || len(q.Spec) == 0 {
			continue
		}
		question, err := readAsking(q.Spec)
		if err != nil {
			a.skipped = err.Error()
			continue
		}
		a.questions[i] = question
	}
	var err error
	if n > 0 {
		if a.truth, err = r.buildTruth(a.questions); err != nil {
			a.broken = err.Error()
		}
	}
	for i := range r.e.Queries {
		a.outcomes[i] = r.followQuery(i)
	}
	if a.broken == "" {
		r.measureFreshness()
	}
}

func (r *run) followQuery(i int) outcomeOfQuery {
	a, q := &r.ask, &r.e.Queries[i]
	switch {
	case q.Code == 0 || q.Done < 0 || q.Sent < 0:
		return unanswered
	case q.Code == http.StatusNotFound && a.broken == "" && !a.truth.mustExist(q, a.within):
		return early
	case q.Code != http.StatusOK || q.Result == nil:
		return failed
	case a.broken != "" || a.questions[i] == nil || a.truth.sets[q.Dataset] == nil:
		return unjudged
	}
	within := a.within
	if r.drained && q.Sent >= r.drainedAt {
		within = 0 // the retrievers held the whole log by then
	}
	misfits, counted, ok := a.truth.fits(q, a.questions[i], within)
	if !ok {
		a.skipped = "it has too many groups"
		return unjudged
	}
	a.judged++
	if counted && q.Shape == plan.QueryOld {
		a.old++
	}
	a.misfits[i] = misfits
	switch {
	case len(misfits) > 0:
		return wrong
	case q.Complete:
		return complete
	}
	return partial
}

// mustExist says whether any event of the query's dataset had been accepted so long ago that its dataset had to be known.
func (t *truth) mustExist(q *evidence.Query, within time.Duration) bool {
	set := t.sets[q.Dataset]
	if set == nil {
		return false
	}
	v := evaluation{set: set, q: q, within: within}
	return slices.ContainsFunc(set.runs, func(x truthRun) bool { return v.standingOf(&x) == must })
}

func (c *QueryCounts) add(o outcomeOfQuery) {
	c.Asked++
	switch o {
	case unanswered:
		c.Unanswered++
	case failed:
		c.Failed++
	case early:
		c.Early++
	case unjudged:
		c.Unjudged++
	case complete:
		c.Complete++
	case partial:
		c.Partial++
	case wrong:
		c.Wrong++
	}
}

// Answered is how many got a result.
func (c QueryCounts) Answered() int64 { return c.Complete + c.Partial + c.Wrong + c.Unjudged }

// queryStats sums up what became of the queries; nil if there were none and the plan has no readers.
func (r *run) queryStats() *QueryStats {
	if len(r.e.Queries) == 0 && len(r.plan.Readers) == 0 {
		return nil
	}
	s := &QueryStats{Shapes: []ShapeStats{}, Phases: []QueryPhase{}}
	latencies := make([][]uint64, 1+len(plan.QueryShapes())+len(r.phases))
	shapes := plan.QueryShapes()
	for _, shape := range shapes {
		s.Shapes = append(s.Shapes, ShapeStats{Shape: shape})
	}
	for i := range r.phases {
		s.Phases = append(s.Phases, QueryPhase{Phase: r.phases[i].Name, Stage: r.phases[i].Stage, Freshness: freshnessOf(r.ask.ages, func(a age) bool { return a.phase == int32(i) })})
	}
	s.Freshness = freshnessOf(r.ask.ages, func(age) bool { return true })
	for i := range r.e.Queries {
		q, o := &r.e.Queries[i], r.ask.outcomes[i]
		at := []int{0}
		s.Total.add(o)
		if k := slices.Index(shapes, q.Shape); k >= 0 {
			s.Shapes[k].Counts.add(o)
			at = append(at, 1+k)
		}
		if k := int(r.ask.phases[i]); k >= 0 {
			s.Phases[k].Counts.add(o)
			at = append(at, 1+len(shapes)+k)
		}
		if o >= unjudged {
			for _, k := range at {
				latencies[k] = append(latencies[k], pack(q.Done-q.Intended, 1))
			}
		}
	}
	s.Latency = distribution(latencies[0])
	for k := range s.Shapes {
		s.Shapes[k].Latency = distribution(latencies[1+k])
	}
	for k := range s.Phases {
		s.Phases[k].Latency = distribution(latencies[1+len(shapes)+k])
	}
	s.Shapes = slices.DeleteFunc(s.Shapes, func(x ShapeStats) bool { return x.Counts.Asked == 0 })
	return s
}

// judgeQueries: every answer is what was sent. What was accepted long enough before has to be counted, unless the answer says
// that it lacks that partition and hour; what was not sent, or refused, must not be.
func (r *run) judgeQueries() Result {
	var res Result
	a := &r.ask
	var counts QueryCounts
	for _, o := range a.outcomes {
		counts.add(o)
	}
	res.Numbers = []Number{
		{"asked", float64(counts.Asked), "queries"}, {"judged", float64(a.judged), "answers"}, {"complete", float64(counts.Complete), "answers"}, {"partial and honest", float64(counts.Partial), "answers"},
		{"wrong", float64(counts.Wrong), "answers"}, {"of old data", float64(a.old), "answers"}, {"failed or unanswered", float64(counts.Failed + counts.Unanswered), "queries"},
	}
	res.Findings = r.queryFindings()
	wantsOld := slices.ContainsFunc(r.plan.Readers, func(x plan.Reader) bool { return slices.Contains(x.Shapes, plan.QueryOld) })
	switch {
	case a.broken != "":
		res.Summary = a.broken
	case r.opsMissing != "":
		res.Summary = "the history is not whole: " + r.opsMissing
	case counts.Wrong > 0:
		res.Verdict, res.Summary = Fail, fmt.Sprintf("%s of %s judged %s not what was sent", number(counts.Wrong), plural(a.judged, "answer"), cond(counts.Wrong == 1, "is", "are"))
		if len(res.Findings) > 0 {
			res.Summary += ": " + res.Findings[0].Title
		}
	case counts.Asked == 0:
		res.Summary = "no query was asked"
	case counts.Unjudged > 0:
		res.Summary = fmt.Sprintf("%s could not be judged: %s", plural(counts.Unjudged, "answer"), a.skipped)
	case a.judged < minQueries:
		res.Summary = fmt.Sprintf("%s could be judged, and at least %d are needed; %s failed or were not answered", plural(a.judged, "answer"), minQueries, number(counts.Failed+counts.Unanswered))
	case wantsOld && a.old == 0:
		res.Summary = "the plan asks for old data, and no answer had to count any"
	case r.e.Run.Ended != "":
		res.Summary = "the run was cut short: " + r.e.Run.Ended
	default:
		res.Verdict = Pass
		res.Summary = fmt.Sprintf("%s agree with what was sent: %s complete, %s partial and honest; %s with old data", plural(a.judged, "answer"), number(counts.Complete), number(counts.Partial), number(a.old))
	}
	if a.broken != "" || r.opsMissing != "" {
		for i := range res.Findings {
			res.Findings[i].Verdict = Inconclusive
		}
	}
	return res
}

// queryFindings gathers wrong answers that are wrong alike.
func (r *run) queryFindings() []Finding {
	type alike struct {
		kind, shape string
		complete    bool
	}
	var keys []alike
	groups := map[alike][]int{}
	for i, misfits := range r.ask.misfits {
		if len(misfits) == 0 {
			continue
		}
		q := &r.e.Queries[i]
		k := alike{misfits[0].kind, q.Shape, q.Complete}
		if groups[k] == nil {
			keys = append(keys, k)
		}
		groups[k] = append(groups[k], i)
	}
	slices.SortStableFunc(keys, func(x, y alike) int { return len(groups[y]) - len(groups[x]) })
	var list []Finding
	for _, k := range keys {
		n := int64(len(groups[k]))
		says := "partial"
		if k.complete {
			says = "complete"
		}
		f := Finding{Verdict: Fail, At: r.e.Queries[groups[k][0]].Sent, Count: n}
		subject := fmt.Sprintf("%s of shape %q", plural(n, "answer"), k.shape)
		switch k.kind {
		case "too little":
			f.Title = fmt.Sprintf("%s said to be %s %s accepted events", subject, says, cond(n == 1, "lacks", "lack"))
			if r.lost.Len() == 0 {
				f.Stage = LostBeforeQuery
			}
		case "too much":
			f.Title = fmt.Sprintf("%s %s more than was sent", subject, cond(n == 1, "counts", "count"))
		case "no such group":
			f.Title = fmt.Sprintf("%s %s a group that cannot be there", subject, cond(n == 1, "has", "have"))
		case "malformed":
			f.Title = fmt.Sprintf("%s %s not of the form that was asked for", subject, cond(n == 1, "is", "are"))
		default:
			f.Title = fmt.Sprintf("%s %s values that do not follow from what was sent", subject, cond(n == 1, "has", "have"))
		}
		for e, i := range groups[k] {
			if e == 3 {
				break
			}
			f.Evidence = append(f.Evidence, r.misfitLines(i, e == 0)...)
		}
		r.place(&f)
		list = append(list, f)
	}
	return list
}

// misfitLines tells of one wrong answer.
func (r *run) misfitLines(i int, whole bool) []string {
	q, misfits := &r.e.Queries[i], r.ask.misfits[i]
	line := fmt.Sprintf("seed %d, query %d, dataset %s, asked of %s at %s, answered after %s: %s", r.e.Run.Seed, i+1, q.Dataset, q.Target, moment(q.Sent), short(q.Done-q.Sent), misfits[0].String())
	if more := int64(len(misfits)) - 1; more > 0 {
		line += fmt.Sprintf(" (and %s)", plural(more, "more difference"))
	}
	lines := []string{line}
	if !whole {
		return lines
	}
	for _, m := range q.Missing {
		lines = append(lines, fmt.Sprintf("it says that partition %d is missing, hours %d to %d: %s", m.Partition, m.From, m.To, m.Why))
	}
	if misfits[0].kind == "too little" {
		lines = append(lines, r.staleness(i))
	}
	if n := r.lost.Len(); n > 0 {
		lines = append(lines, fmt.Sprintf("%s lost in all, and cannot be counted either", plural(int64(n), "accepted event was", "accepted events were")))
	}
	return append(lines, "specification: "+string(q.Spec))
}

// staleness says how late the data of an answer would have to be for it to be right.
func (r *run) staleness(i int) string {
	q := &r.e.Queries[i]
	for _, within := range []time.Duration{15 * time.Second, 20 * time.Second, 30 * time.Second, 45 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute} {
		if within <= r.ask.within || within > q.Sent {
			continue
		}
		if misfits, _, ok := r.ask.truth.fits(q, r.ask.questions[i], within); ok && len(misfits) == 0 {
			return fmt.Sprintf("it would be right if events had to be visible %s after they were accepted, instead of %s: its data are late", within, r.ask.within)
		}
	}
	return fmt.Sprintf("its data are not late: also events are missing that were accepted long before it was asked (the bound is %s)", r.ask.within)
}

// queryColumns are the columns of the report that tell of queries.
func (r *run) queryColumns(s *Series, bins int) {
	if len(r.e.Queries) == 0 {
		return
	}
	column := func(name, unit string, blank float64) Values {
		values := make(Values, bins)
		for i := range values {
			values[i] = blank
		}
		s.Columns = append(s.Columns, Column{Name: name, Unit: unit, Values: values})
		return values
	}
	perSecond := 1 / s.Step.Seconds()
	names := map[outcomeOfQuery]Values{complete: column("query.complete", "queries/s", 0), partial: column("query.partial", "queries/s", 0), wrong: column("query.wrong", "queries/s", 0)}
	bad := column("query.failed", "queries/s", 0)
	slowest := column("query.latency.max", "s", math.NaN())
	for i := range r.e.Queries {
		q, o := &r.e.Queries[i], r.ask.outcomes[i]
		bin := int(q.Intended / s.Step)
		if q.Intended < 0 || bin >= bins {
			continue
		}
		if values := names[o]; values != nil {
			values[bin] += perSecond
		} else if o == failed || o == unanswered {
			bad[bin] += perSecond
		}
		if l := (q.Done - q.Intended).Seconds(); o >= unjudged && !(slowest[bin] >= l) {
			slowest[bin] = l
		}
	}
	fresh := column("query.freshness", "s", math.NaN())
	for _, a := range r.ask.ages {
		if bin := int(a.at / s.Step); a.at >= 0 && bin < bins && !(fresh[bin] >= a.age.Seconds()) {
			fresh[bin] = a.age.Seconds()
		}
	}
}
