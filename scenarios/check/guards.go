package check

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sort"
	"time"

	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/scenarios/plan"
)

// Why phases of the plan did not run although nothing cut the run short.
const (
	notStarted = "the experiment was not started"
	aborted    = "the experiment was aborted"
)

// stop is when a guard ended the experiment. Without a reason, none did.
type stop struct {
	why string
	at  time.Duration
}

// cuts says whether the stop kept a phase from running to its end. It is asked before ends that are missing are filled in.
func (s stop) cuts(p *phase) bool {
	switch s.why {
	case notStarted:
		return !p.ran
	case aborted:
		return !p.ran || p.begin <= s.at && (p.end == None || p.end >= s.at)
	}
	return false
}

// cutShort says what ended phases before their time.
func (r *run) cutShort() string {
	if r.stop.why != "" {
		return r.stop.why
	}
	return "the run was cut short"
}

// Bounds of judging guards. What the engine saw and the evidence says may differ by what was on its way just then.
const (
	lookEvery = 250 * time.Millisecond // as often as the engine looks
	// After so long beyond its limit a burn must have stopped the run, in the simulation and on real servers, whose engine
	// may have to wait for the CPU.
	stopsSim, stopsReal = time.Second, 5 * time.Second
	// After so long what was injected must have been told to heal, and nothing more be injected: an injection that was in
	// progress is finished first.
	healsSim, healsReal = 2 * time.Second, 35 * time.Second
	// What was decided so shortly before the gate need not have been known to it.
	gateSim, gateReal = time.Duration(0), time.Second
)

// decided is what became of one request or query by a guard's measure: decided at a moment, with so many good and bad.
type decided struct {
	at, intended time.Duration
	good, bad    int64
}

// decisions are in order of time, with the sums before each.
type decisions struct {
	list      []decided
	good, bad []int64
}

// within sums up what was decided in (from, to].
func (f *decisions) within(from, to time.Duration) (good, bad int64) {
	first := sort.Search(len(f.list), func(i int) bool { return f.list[i].at > from })
	last := sort.Search(len(f.list), func(i int) bool { return f.list[i].at > to })
	return f.good[last] - f.good[first], f.bad[last] - f.bad[first]
}

// decide decides every event or query by the guard: by its answer if that came within the bound, else as bad when the bound
// had passed.
func (r *run) decide(g *plan.Guard) *decisions {
	f := &decisions{}
	if g.Level == plan.GuardQuery {
		f.list = r.decidedOfQueries(g)
	} else {
		f.list = r.decidedOfEvents(g)
	}
	slices.SortStableFunc(f.list, func(a, b decided) int { return cmp.Compare(a.at, b.at) })
	f.good, f.bad = make([]int64, len(f.list)+1), make([]int64, len(f.list)+1)
	for i, x := range f.list {
		f.good[i+1], f.bad[i+1] = f.good[i]+x.good, f.bad[i]+x.bad
	}
	return f
}

func (r *run) decidedOfEvents(g *plan.Guard) []decided {
	var list []decided
	for i := range r.e.Ops {
		o := &r.e.Ops[i]
		if o.Count <= 0 || g.Traffic != "" && (o.Traffic < 0 || o.Traffic >= len(r.plan.Traffic) || r.plan.Traffic[o.Traffic].Name != g.Traffic) {
			continue
		}
		due := o.Intended + time.Duration(g.Within)
		x := decided{at: o.Done, intended: o.Intended}
		if o.Done < 0 || o.Done > due {
			x.at, x.bad = due, int64(o.Count)
		} else {
			eachPart(o, func(_, n uint64, out outcome, _ *evidence.Part) {
				if out == wasAccepted {
					x.good += int64(n)
				} else {
					x.bad += int64(n)
				}
			})
		}
		list = append(list, x)
	}
	return list
}

// decidedOfQueries leaves out the 404 of datasets that nobody had been answered about yet.
func (r *run) decidedOfQueries(g *plan.Guard) []decided {
	type asked struct {
		decided
		q *evidence.Query
	}
	var all []asked
	for i := range r.e.Queries {
		q := &r.e.Queries[i]
		if r.loadEnded != None && q.Intended >= r.loadEnded || q.Reader < 0 || q.Reader >= len(r.plan.Readers) {
			continue // asked when everything had settled
		}
		if g.Traffic != "" && r.plan.Readers[q.Reader].Traffic != g.Traffic {
			continue
		}
		due := q.Intended + time.Duration(g.Within)
		x := asked{decided{at: q.Done, intended: q.Intended, bad: 1}, q}
		switch {
		case q.Done < 0 || q.Done > due:
			x.at = due
		case q.Code == 200 && q.Complete:
			x.good, x.bad = 1, 0
		}
		all = append(all, x)
	}
	slices.SortStableFunc(all, func(a, b asked) int { return cmp.Compare(a.at, b.at) })
	known := map[string]bool{}
	var list []decided
	for _, x := range all {
		if x.good > 0 {
			known[x.q.Dataset] = true
		}
		if x.q.Code == 404 && x.at == x.q.Done && !known[x.q.Dataset] {
			continue
		}
		list = append(list, x.decided)
	}
	return list
}

// guarded is one guard while it is judged.
type guarded struct {
	r         *run
	g         *plan.Guard
	index     int // from 1
	decisions *decisions
	gate      *evidence.Entry // what the engine said; nil: nothing
	began     bool            // the first phase with faults
	from      time.Duration   // when the steady state began; None: never
	at        time.Duration   // when the gate was looked at, or had to be; None: never
	until     time.Duration   // how long the guard had to watch
	stats     GuardStats
	found     []Finding
}

// judgeGuard: the experiment began only with enough of the error budget left; the burn passed its limit nowhere; and if it
// did, the run stopped and healed. Gate and burn are computed anew from the history.
func (r *run) judgeGuard(j *Judgement, index int) Result {
	g := &r.plan.Guards[index]
	d := &guarded{r: r, g: g, index: index + 1, from: None, at: None, stats: GuardStats{
		Name: g.Name(), Target: g.Target, Gate: g.Gate, Limit: g.Burn, Window: time.Duration(g.Window), MaxAt: None, StoppedAt: None, Pos: &g.Pos,
	}}
	d.decisions = r.decide(g)
	d.read()
	d.judgeGate()
	if d.began && r.stop.why != notStarted {
		d.judgeBurn()
	}
	if r.opsMissing != "" {
		d.note(Inconclusive, None, "the history is not whole: "+r.opsMissing)
	}
	if r.e.Run.Ended != "" {
		d.note(Inconclusive, r.e.Run.Length, "the run was cut short: "+r.e.Run.Ended)
	}
	d.column(&j.Series)
	j.Guards = append(j.Guards, d.stats)
	res := Result{Findings: d.found, Verdict: Pass, Numbers: []Number{
		{"gate.budget_left", d.stats.Left, "ratio"}, {"gate.counted", float64(d.stats.Counted), d.unit()}, {"burn.max", d.stats.MaxBurn, "×"},
	}}
	res.Summary = fmt.Sprintf("the gate was open with %s of the budget left; then it burned at most %s times too fast over %s, the limit is %s", percent(d.stats.Left), rate(d.stats.MaxBurn), g.Window, rate(g.Burn))
	if len(d.found) > 0 {
		verdicts := make([]Verdict, len(d.found))
		for i := range d.found {
			verdicts[i] = d.found[i].Verdict
		}
		res.Verdict = Merge(verdicts...)
		for i := range d.found {
			if d.found[i].Verdict == res.Verdict {
				res.Summary = d.found[i].Title
				break
			}
		}
	}
	return res
}

// rate writes a burn rate.
func rate(v float64) string { return fmt.Sprintf("%.3g", v) }

func (d *guarded) unit() string { return cond(d.g.Level == plan.GuardQuery, "queries", "events") }

func (d *guarded) note(v Verdict, at time.Duration, title string, lines ...string) {
	f := Finding{Verdict: v, Title: title, Evidence: lines, At: at, Count: 1, Pos: &d.g.Pos}
	d.r.place(&f)
	d.found = append(d.found, f)
}

// read finds what the engine said of the guard, and the stretches that it is about.
func (d *guarded) read() {
	r := d.r
	first, last, permanent, ok := r.plan.Experiment()
	if !ok {
		return
	}
	for i := first - 1; i >= 0; i-- {
		if p := &r.phases[i]; p.Stage == plan.Before && p.ran {
			d.from = p.begin
		}
	}
	d.began = r.phases[first].ran
	if d.began {
		d.at = r.phases[first].begin
	}
	for i := range r.e.Timeline {
		e := &r.e.Timeline[i]
		if d.gate == nil && e.Guard == d.index && (e.Kind == evidence.GateOpened || e.Kind == evidence.GateClosed) {
			d.gate, d.at = e, e.At
		}
	}
	d.until = r.loadEnd()
	if p := &r.phases[last]; !permanent && p.ran {
		d.until = min(d.until, p.end)
	}
}

// judgeGate computes the steady state's budget and compares what is left of it with what the engine made of it.
func (d *guarded) judgeGate() {
	slack := d.slack(gateSim, gateReal)
	var good, bad, least int64
	if d.from != None && d.at != None {
		for _, x := range d.decisions.list {
			if x.intended < d.from || x.at <= d.from || x.at > d.at {
				continue
			}
			good, bad = good+x.good, bad+x.bad
			if x.at <= d.at-slack {
				least += x.bad
			}
		}
	}
	burnt, known := d.g.Rate(good, bad)
	if known {
		d.stats.Left = 1 - burnt
	}
	d.stats.Counted = good + bad
	d.stats.Opened = d.gate != nil && d.gate.Kind == evidence.GateOpened
	best, _ := d.g.Rate(good+bad-least, least)
	lines := []string{fmt.Sprintf("%s of %s %s of the steady state were bad by %s: %s of the budget was left, and the gate wants %s", number(bad), number(good+bad), d.unit(), moment(max(d.at, 0)), percent(d.stats.Left), percent(d.g.Gate))}
	if !known {
		lines = []string{fmt.Sprintf("%s %s of the steady state were decided by %s, and at least %d are needed to tell", number(good+bad), d.unit(), moment(max(d.at, 0)), d.g.AtLeast)}
	}
	switch {
	case d.gate == nil && d.began:
		d.note(Fail, d.at, "the experiment was started, and nobody had looked at the gate", lines...)
	case d.gate == nil:
		d.note(Inconclusive, None, "the run did not come to the gate")
	case d.gate.Kind == evidence.GateClosed:
		if d.began {
			d.note(Fail, d.at, "the gate was closed, and the experiment was started all the same", d.gate.Detail)
		}
		if known && 1-burnt >= d.g.Gate {
			lines = append(lines, "by the history it should have been open")
		}
		d.note(Inconclusive, d.at, notStarted+", because "+d.gate.Detail, lines...)
	case !known || 1-best < d.g.Gate:
		d.note(Fail, d.at, "the experiment was started without enough error budget", append(lines, "the engine said: "+d.gate.Detail)...)
	case d.r.stop.why == notStarted:
		d.note(Inconclusive, d.r.stop.at, notStarted+", because of another guard")
	}
}

func (d *guarded) slack(sim, real time.Duration) time.Duration {
	if d.r.e.Run.World == plan.WorldSim {
		return sim
	}
	return real
}

// burn is the burn rate over the window that ends at a moment, and whether it stops the run.
func (d *guarded) burn(at time.Duration) (rate float64, known, stops bool) {
	good, bad := d.decisions.within(at-time.Duration(d.g.Window), at)
	shortGood, shortBad := d.decisions.within(at-d.g.Short(), at)
	rate, known = d.g.Rate(good, bad)
	return rate, known, d.g.Stops(good, bad, shortGood, shortBad)
}

// judgeBurn follows the burn rate from the gate to the end of what had to be watched.
func (d *guarded) judgeBurn() {
	r := d.r
	stoppedAt, by := None, 0
	var said *evidence.Entry
	for i := range r.e.Timeline {
		if e := &r.e.Timeline[i]; e.Kind == evidence.Aborted && stoppedAt == None {
			stoppedAt, by, said = e.At, e.Guard, e
		}
	}
	until := d.until
	if stoppedAt != None {
		until = min(until, stoppedAt)
	}
	looked, told, beyond := 0, 0, None
	allowed := d.slack(stopsSim, stopsReal)
	for at := d.at; at <= until; at += lookEvery {
		rate, known, stops := d.burn(at)
		looked++
		if known {
			told++
			if d.stats.MaxAt == None || rate > d.stats.MaxBurn {
				d.stats.MaxBurn, d.stats.MaxAt = rate, at
			}
		}
		switch {
		case !stops:
			beyond = None
		case beyond == None:
			beyond = at
		case at-beyond > allowed:
			d.note(Fail, beyond, fmt.Sprintf("the burn passed its limit at %s, and the run did not stop", moment(beyond)), d.say(beyond))
			beyond, until = None, at // told once
		}
	}
	switch {
	case stoppedAt != None && by == d.index:
		d.stats.StoppedAt = stoppedAt
		d.stats.MaxBurn, d.stats.MaxAt = max(d.stats.MaxBurn, said.Burn), cond3(said.Burn >= d.stats.MaxBurn, stoppedAt, d.stats.MaxAt)
		d.note(Fail, stoppedAt, aborted+" at "+moment(stoppedAt)+": "+said.Detail, d.say(stoppedAt))
		if !d.seenAround(stoppedAt, allowed) {
			d.note(Inconclusive, stoppedAt, "the history does not show the burn for which the experiment was aborted", d.say(stoppedAt))
		}
		if r.e.Run.Ended == "" {
			d.judgeStop(stoppedAt)
		}
	case stoppedAt != None:
		d.note(Inconclusive, stoppedAt, aborted+" by another guard at "+moment(stoppedAt))
	case 2*told < looked:
		d.note(Inconclusive, d.at, fmt.Sprintf("too few %s to tell the burn: at %d of %d moments there were fewer than %d in %s", d.unit(), looked-told, looked, d.g.AtLeast, d.g.Window))
	}
}

func cond3(yes bool, a, b time.Duration) time.Duration {
	if yes {
		return a
	}
	return b
}

// say tells the figures of a moment.
func (d *guarded) say(at time.Duration) string {
	good, bad := d.decisions.within(at-time.Duration(d.g.Window), at)
	rateOf, _ := d.g.Rate(good, bad)
	return fmt.Sprintf("by the history %s of %s %s were bad in the %s before %s: the budget burned %s times too fast, the limit is %s", number(bad), number(good+bad), d.unit(), d.g.Window, moment(at), rate(rateOf), rate(d.g.Burn))
}

// seenAround says whether the history has a burn beyond the limit around a moment.
func (d *guarded) seenAround(at, allowed time.Duration) bool {
	for t := at - allowed; t <= at+allowed; t += lookEvery / 5 {
		if _, _, stops := d.burn(t); stops {
			return true
		}
	}
	_, _, stops := d.burn(at)
	return stops
}

// judgeStop: after the abort no phase began and nothing was injected, and everything that was injected healed.
func (d *guarded) judgeStop(at time.Duration) {
	r := d.r
	allowed := d.slack(healsSim, healsReal)
	for i := range r.phases {
		if p := &r.phases[i]; p.ran && p.begin > at {
			d.note(Fail, p.begin, fmt.Sprintf("the abort did not abort: phase %q began %s after it", p.Name, short(p.begin-at)))
			break
		}
	}
	for i := range r.phases { // the one that was aborted goes on no longer
		if p := &r.phases[i]; p.ran && p.begin <= at && p.end > at+allowed {
			d.note(Fail, p.end, fmt.Sprintf("the abort did not abort: phase %q went on for %s", p.Name, short(p.end-at)))
		}
	}
	for i := range r.faults {
		f := &r.faults[i]
		switch {
		case f.Injected == None:
		case f.Injected > at+allowed:
			d.note(Fail, f.Injected, fmt.Sprintf("the abort did not abort: %s was injected %s after it", f.label(), short(f.Injected-at)))
		case f.Healed == None:
			d.note(Fail, at, fmt.Sprintf("the abort did not heal %s", f.label()))
		case f.Healed > at+allowed:
			d.note(Fail, f.Healed, fmt.Sprintf("the abort healed %s only %s after it", f.label(), short(f.Healed-at)))
		case f.Back == None:
			d.note(Fail, f.Healed, fmt.Sprintf("the abort healed %s, and it was not seen to be back", f.label()), f.Recovery)
		}
	}
}

// column adds the burn rate over the run to the charts' series.
func (d *guarded) column(s *Series) {
	if len(s.Columns) == 0 {
		return
	}
	values := make(Values, len(s.Columns[0].Values))
	for i := range values {
		values[i] = math.NaN()
		at := time.Duration(i+1) * s.Step
		if r, known, _ := d.burn(at); known && at <= d.r.loadEnd() {
			values[i] = r
		}
	}
	s.Columns = append(s.Columns, Column{Name: BurnColumn(d.index), Unit: "×", Values: values})
}

// BurnColumn is the name of the series of a guard's burn rate; the first guard is 1.
func BurnColumn(guard int) string { return fmt.Sprintf("guard.%d.burn", guard) }
