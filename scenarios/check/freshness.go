package check

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/ratel-sim/ratel/loadgen"
	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/scenarios/plan"
	field "github.com/ratel-sim/ratel/system/event"
)

// lane is one producer's accepted events in one dataset, in the order in which they were accepted.
type lane struct {
	done  []time.Duration
	total []float64 // weight up to and including this one
	op    []int32
	late  []bool // it was not counted yet when it had to be
	seen  int    // so many have been counted by some answer
}

// noted is how much later than it strikes an injection may be noted outside of the simulation.
const noted = 5 * time.Second

// lanesOf makes the lanes of a dataset.
func (t *truth) lanesOf(dataset string) map[uint32]*lane {
	set := t.sets[dataset]
	lanes := map[uint32]*lane{}
	runs := slices.Clone(set.runs)
	slices.SortStableFunc(runs, func(a, b truthRun) int { return cmp.Compare(a.done, b.done) })
	for i := range runs {
		x := &runs[i]
		if !x.accepted || x.done < 0 {
			continue
		}
		l := lanes[x.producer]
		if l == nil {
			l = &lane{}
			lanes[x.producer] = l
		}
		sum := 0.0
		if n := len(l.total); n > 0 {
			sum = l.total[n-1]
		}
		for row := x.from; row < x.to; row++ {
			sum += set.rate[row]
			l.done, l.total, l.op = append(l.done, x.done), append(l.total, sum), append(l.op, x.op)
		}
	}
	for _, l := range lanes {
		l.late = make([]bool, len(l.done))
	}
	return lanes
}

// acceptedBy is how many of the lane's events had been accepted at a moment.
func (l *lane) acceptedBy(at time.Duration) int {
	n, _ := slices.BinarySearchFunc(l.done, at+1, func(d, at time.Duration) int { return cmp.Compare(d, at) })
	return n
}

// count notes that an answer counts so much of what was accepted after a moment, and returns the first event that was not
// counted yet.
func (l *lane) count(after time.Duration, counted float64) int {
	first := l.acceptedBy(after)
	if first > 0 {
		counted += l.total[first-1]
	}
	n, _ := slices.BinarySearchFunc(l.total[first:], counted, func(t, want float64) int {
		if t > want+1e-6 {
			return 1
		}
		return -1
	})
	l.seen = max(l.seen, first+n)
	return l.seen
}

// cover is an answer that counts whole datasets by producer.
type cover struct {
	query  int
	counts map[uint32]float64
}

// covers says whether a query asked for all events by producer, of a dataset that had to be known.
func (r *run) covers(i int) bool {
	a := r.ask.questions[i]
	return r.e.Queries[i].Shape == plan.QueryCover && a != nil && r.ask.outcomes[i] != early && r.ask.truth.sets[r.e.Queries[i].Dataset] != nil && len(a.Breakdowns) == 1 && a.Breakdowns[0] == loadgen.FieldProducer && len(a.Filters) == 0
}

// whole says whether a query was answered, and the answer says that it lacks nothing.
func whole(q *evidence.Query) bool {
	return q.Code == http.StatusOK && q.Result != nil && q.Complete
}

// coverOf reads what was answered to a query that counts all events by producer; nil if the answer does not say that it is complete. A partial
// answer does not say which events it lacks, so it says nothing of freshness; the service level of queries counts it.
func (r *run) coverOf(i int) *cover {
	q, a := &r.e.Queries[i], r.ask.questions[i]
	if !whole(q) {
		return nil
	}
	at := slices.IndexFunc(a.Calculations, func(c calculation) bool { return c.Op == "COUNT" })
	if at < 0 || a.Limit > 0 && len(q.Result.Rows) >= a.Limit {
		return nil
	}
	epoch := r.e.Run.Epoch
	if *a.Start > epoch.Unix() || *a.End <= epoch.Add(q.Sent).Unix() {
		return nil // it does not look at everything
	}
	c := &cover{i, map[uint32]float64{}}
	for _, row := range q.Result.Rows {
		if len(row.Group) != 1 || len(row.Values) <= at {
			return nil
		}
		if kind := row.Group[0].Kind(); kind == field.Int || kind == field.Float {
			c.counts[uint32(row.Group[0].Float())] += row.Values[at].Value.Float()
		}
	}
	return c
}

// forgotten is the moment up to which a dataset's events need not be visible to a query, as it was recreated.
func forgotten(set *truthSet, q *evidence.Query) time.Duration {
	until := None
	for _, at := range set.recreated {
		if q.Done >= at-around {
			until = max(until, at+around)
		}
	}
	return until
}

// measureFreshness finds how old the oldest accepted event was that no covering answer had counted yet, whenever one came.
// What was counted once and then lacks is no matter of freshness: the answer says so, or is wrong. An answer says how many it
// counts of a producer, not which: the oldest are taken for counted first, so what is found is the least that can be so.
func (r *run) measureFreshness() {
	a := &r.ask
	lanes := map[string]map[uint32]*lane{}
	a.lanes, a.lastCover, a.lastAsked = lanes, map[string]time.Duration{}, map[string]time.Duration{}
	for i := range r.e.Queries {
		if !r.covers(i) {
			continue
		}
		q := &r.e.Queries[i]
		if lanes[q.Dataset] == nil {
			lanes[q.Dataset] = a.truth.lanesOf(q.Dataset)
		}
		a.covering = append(a.covering, i)
		a.lastAsked[q.Dataset] = max(a.lastAsked[q.Dataset], q.Sent)
		if c := r.coverOf(i); c != nil {
			a.covers = append(a.covers, *c)
			a.lastCover[q.Dataset] = max(a.lastCover[q.Dataset], q.Sent)
		}
	}
	slices.SortStableFunc(a.covering, func(x, y int) int { return cmp.Compare(r.e.Queries[x].Sent, r.e.Queries[y].Sent) })
	slices.SortStableFunc(a.covers, func(x, y cover) int { return cmp.Compare(r.e.Queries[x.query].Sent, r.e.Queries[y.query].Sent) })
	for _, c := range a.covers {
		q := &r.e.Queries[c.query]
		oldest := time.Duration(0)
		for producer, l := range lanes[q.Dataset] {
			n := l.count(forgotten(a.truth.sets[q.Dataset], q), c.counts[producer])
			if n < len(l.done) && l.done[n] <= q.Sent {
				oldest = max(oldest, q.Sent-l.done[n])
			}
		}
		a.ages = append(a.ages, age{at: q.Sent, age: oldest, dataset: q.Dataset, phase: int32(r.phaseAt(q.Sent))})
	}
}

// freshnessOf sums ages up.
func freshnessOf(ages []age, in func(age) bool) Latency {
	var list []uint64
	for _, a := range ages {
		if in(a) {
			list = append(list, pack(a.age, 1))
		}
	}
	return distribution(list)
}

// judgeFreshness: whenever everything was asked for, the oldest accepted event that was not counted was younger than the bound.
func (r *run) judgeFreshness(a plan.CheckArgs) Result {
	var res Result
	within := time.Duration(a.Within)
	all := freshnessOf(r.ask.ages, func(age) bool { return true })
	res.Numbers = []Number{{"samples", float64(all.Events), "answers"}, {"p50", all.P50.Seconds(), "s"}, {"p99", all.P99.Seconds(), "s"}, {"max", all.Max.Seconds(), "s"}}
	for i := range r.phases {
		l := freshnessOf(r.ask.ages, func(x age) bool { return x.phase == int32(i) })
		if l.Events > 0 {
			res.Numbers = append(res.Numbers, Number{r.phases[i].Name + ", max", l.Max.Seconds(), "s"})
		}
		if l.Max <= within || r.phases[i].Stage == plan.Warmup {
			continue
		}
		f := Finding{Verdict: Fail, At: None}
		for _, x := range r.ask.ages {
			if x.phase != int32(i) || x.age <= within {
				continue
			}
			if f.Count++; f.At == None {
				f.At = x.at
			}
			if len(f.Evidence) < MaxExamples {
				f.Evidence = append(f.Evidence, fmt.Sprintf("at %s, dataset %s: an event that was accepted %s before was not counted", moment(x.at), x.dataset, short(x.age)))
			}
		}
		f.Title = fmt.Sprintf("in %s accepted events were not visible for up to %s, bound %s", r.phases[i].Name, short(l.Max), a.Within)
		r.place(&f)
		res.Findings = append(res.Findings, f)
	}
	sights := r.sights(within)
	told, judged := int64(0), 0
	for i := range sights {
		if told += sights[i].told; sights[i].judged() {
			judged++
		}
	}
	res.Numbers = append(res.Numbers, Number{"answers where a late event would have shown", float64(told), "answers"}, Number{"datasets judged", float64(judged), "datasets"}, Number{"datasets with accepted events", float64(len(sights)), "datasets"})
	blind := append(r.blindStretches(within), unknownSets(sights)...)
	switch doubt := r.freshnessDoubt(told); {
	case r.ask.broken == "" && r.opsMissing == "" && len(res.Findings) > 0:
		res.Verdict, res.Summary = Fail, res.Findings[0].Title
	case doubt != "":
		res.Summary = doubt
		for i := range res.Findings {
			res.Findings[i].Verdict = Inconclusive
		}
	case len(blind) > 0:
		res.Findings, res.Summary = blind, blind[0].Title
	default:
		res.Verdict = Pass
		res.Summary = fmt.Sprintf("accepted events were visible after %s at the latest (p50 %s, p99 %s of %s), bound %s", short(all.Max), short(all.P50), short(all.P99), plural(all.Events, "answer"), a.Within)
		if unjudged := unjudgedSets(sights); unjudged != "" {
			res.Summary += "; " + unjudged
		}
	}
	return res
}

// freshnessDoubt says why nothing can be said of freshness, by so many answers over everything; "" if something can.
func (r *run) freshnessDoubt(answers int64) string {
	switch {
	case r.ask.broken != "":
		return r.ask.broken
	case r.opsMissing != "":
		return "the history is not whole: " + r.opsMissing
	case answers < minCovers:
		return fmt.Sprintf("%s counted everything (shape %q) where a late event would have shown, and at least %d are needed", plural(answers, "answer"), plan.QueryCover, minCovers)
	case r.e.Run.Ended != "":
		return "the run was cut short: " + r.e.Run.Ended
	}
	return ""
}

// visibility counts accepted events that were looked for.
type visibility struct {
	all, late int64
	unknown   int64 // nothing was answered in time that would show them, or too little of their dataset at all
}

// lateEvents counts the accepted events of each stage that were looked for, and those that were not visible in time.
func (r *run) lateEvents(within time.Duration) map[plan.Stage]*visibility {
	a := &r.ask
	for _, lanes := range a.lanes {
		for _, l := range lanes {
			clear(l.late)
			l.seen = 0
		}
	}
	for _, c := range a.covers {
		q := &r.e.Queries[c.query]
		for producer, l := range a.lanes[q.Dataset] {
			n := l.count(forgotten(a.truth.sets[q.Dataset], q), c.counts[producer])
			for due := l.acceptedBy(q.Sent - within); n < due; n++ {
				l.late[n] = true
			}
		}
	}
	unknown := map[string]bool{} // datasets that were answered about too seldom to tell
	for _, s := range r.sights(within) {
		unknown[s.dataset] = s.unknown()
	}
	stages := map[plan.Stage]*visibility{}
	for dataset, lanes := range a.lanes {
		for _, l := range lanes {
			shown := l.acceptedBy(a.lastCover[dataset] - within)
			for n := range l.acceptedBy(a.lastAsked[dataset] - within) {
				ph := r.opPhase[l.op[n]]
				if ph < 0 {
					continue
				}
				s := stages[r.phases[ph].Stage]
				if s == nil {
					s = &visibility{}
					stages[r.phases[ph].Stage] = s
				}
				s.all++
				switch {
				case l.late[n]:
					s.late++
				case n >= shown || unknown[dataset]:
					s.unknown++
				}
			}
		}
	}
	return stages
}

// visibleCounts says how much the last complete covering answer of each dataset counts, of what was accepted.
func (r *run) visibleCounts(l *Ledger) {
	a := &r.ask
	last := map[string]int{}
	for k, c := range a.covers {
		last[r.e.Queries[c.query].Dataset] = k
	}
	visible, covered := 0.0, 0.0
	for dataset, k := range last {
		c := a.covers[k]
		q := &r.e.Queries[c.query]
		for producer, lane := range a.lanes[dataset] {
			first, before := lane.acceptedBy(forgotten(a.truth.sets[dataset], q)), 0.0
			if first > 0 {
				before = lane.total[first-1]
			}
			if due := lane.acceptedBy(q.Sent - a.within); due > first {
				covered += lane.total[due-1] - before
				visible += min(c.counts[producer], lane.total[due-1]-before)
			}
		}
	}
	l.Visible, l.Covered = int64(visible+0.5), int64(covered+0.5)
}
