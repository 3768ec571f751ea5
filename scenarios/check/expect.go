package check

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/scenarios/plan"
)

// point is what an expectation's metric was over a stretch of a phase: one sample, or one second of what clients saw.
type point struct {
	from, to time.Duration // equal for a sample
	value    float64
}

// binLength is the stretch over which what clients saw is summed up where an expectation looks at moments.
const binLength = time.Second

// judgeExpectation evaluates one expectation on what was measured in its phase. Without data it is inconclusive.
func (r *run) judgeExpectation(index int, x *plan.Expectation) Result {
	ph := &r.phases[index]
	res := Result{}
	if !ph.ran {
		res.Summary = "no data: the phase did not run"
		if r.stop.why != "" {
			res.Summary += ", for " + r.stop.why
		}
		return res
	}
	m, known := plan.MetricByName(x.Metric)
	if !known {
		res.Summary = fmt.Sprintf("no data: this build measures no %s", x.Metric)
		return res
	}
	from, to := ph.begin, ph.end
	if x.When == "after" {
		from += time.Duration(x.D)
	}
	if from >= to {
		res.Summary = fmt.Sprintf("no data: nothing of the phase lies after its first %s", x.D)
		return res
	}
	var f finding
	switch {
	case !m.Sampled && isQueryMetric(x.Metric) && (x.When == "" || x.When == "after"):
		value, ok := r.queryValue(x.Metric, from, to)
		f = over(x, m, value, ok)
	case !m.Sampled && isQueryMetric(x.Metric):
		points, hole := r.queryPoints(x.Metric, from, to)
		f = moments(x, m, points, from, to, hole)
	case !m.Sampled && x.When == "":
		p := &r.stats.phases[index]
		value, ok := ackValue(x.Metric, p.Counts, p.Latency, to-from)
		f = over(x, m, value, ok)
	case !m.Sampled && x.When == "after":
		value, ok := r.ackOver(x.Metric, from, to)
		f = over(x, m, value, ok)
	case !m.Sampled:
		f = moments(x, m, r.ackPoints(x.Metric, from, to), from, to, gapMax)
	default:
		f = moments(x, m, r.sampledPoints(x.Metric, from, to), from, to, gapMax)
	}
	if ph.cut && !f.proven(x, m, from) {
		f.verdict, f.say = Inconclusive, r.cutShort()+" in the phase; until then: "+f.say
	}
	if f.measured {
		res.Numbers = append(res.Numbers, Number{x.Metric, f.value, unitOf(m)})
	}
	res.Verdict, res.Summary = f.verdict, f.say
	if f.verdict == Fail {
		at := f.at
		if at == None {
			at = from
		}
		title := Finding{Verdict: Fail, Title: fmt.Sprintf("%s does not hold in %s: %s", x.Source, ph.Name, f.say), At: at, Count: 1}
		r.place(&title)
		if r.faultAt(at).how == "before" {
			title.Fault, title.FaultID = "", "" // what went wrong before any fault was not its doing
		}
		title.Phase = ph.Name
		title.Pos = &x.Pos
		res.Findings = append(res.Findings, title)
	}
	return res
}

// finding is what became of an expectation.
type finding struct {
	verdict  Verdict
	say      string
	at       time.Duration // the moment that decided
	measured bool
	value    float64 // the figure that decided
}

// proven says whether a finding stands although the phase was cut short: a sample that breaks what had to hold at every
// moment, or that comes after the time allowed. What clients saw does not count, as the last requests had no time to be answered.
func (f finding) proven(x *plan.Expectation, m plan.Metric, from time.Duration) bool {
	if f.verdict != Fail || !m.Sampled {
		return false
	}
	switch x.When {
	case "for":
		return false
	case "within":
		return f.at >= from+time.Duration(x.D)
	}
	return true
}

func unitOf(m plan.Metric) string {
	switch m.Unit {
	case plan.UnitDuration:
		return "s"
	case plan.UnitRate:
		return "events/s"
	case plan.UnitCount, plan.UnitRatio:
	}
	return string(m.Unit)
}

// text writes a value in its unit.
func text(m plan.Metric, v float64) string {
	switch m.Unit {
	case plan.UnitDuration:
		return short(time.Duration(math.Round(v * float64(time.Second))))
	case plan.UnitRatio:
		return percent(v)
	case plan.UnitRate:
		return fmt.Sprintf("%.1f/s", v)
	case plan.UnitCount:
	}
	return figure(v)
}

func holds(x *plan.Expectation, v float64) bool {
	switch x.Op {
	case "<":
		return v < x.Value
	case "<=":
		return v <= x.Value
	case ">":
		return v > x.Value
	case ">=":
		return v >= x.Value
	case "==":
		return v == x.Value
	case "!=":
		return v != x.Value
	}
	panic(fmt.Sprintf("expectation %q: %q is not a comparison", x.Source, x.Op))
}

// over judges one figure for the whole stretch.
func over(x *plan.Expectation, m plan.Metric, value float64, ok bool) finding {
	if !ok {
		of := "event"
		if strings.HasPrefix(x.Metric, "query.") {
			of = "query"
		}
		return finding{say: "no data: no " + of + " bears on it", at: None}
	}
	f := finding{verdict: Pass, say: fmt.Sprintf("%s was %s", x.Metric, text(m, value)), at: None, measured: true, value: value}
	if !holds(x, value) {
		f.verdict = Fail
	}
	return f
}

// ackOver is a metric of what clients saw over the events that were to be sent in [from, to).
func (r *run) ackOver(metric string, from, to time.Duration) (float64, bool) {
	var a ackBin
	for i := range r.e.Ops {
		if o := &r.e.Ops[i]; o.Count > 0 && o.Intended >= from && o.Intended < to {
			a.add(o)
		}
	}
	return a.value(metric, to-from)
}

// ackBin is what clients saw of the events of some stretch.
type ackBin struct {
	counts    Counts
	latencies []uint64
}

func (a *ackBin) add(o *evidence.Op) {
	eachPart(o, func(_, n uint64, out outcome, _ *evidence.Part) {
		a.counts.add(out, int64(n))
		if out == wasAccepted {
			a.latencies = append(a.latencies, pack(o.Done-o.Intended, int64(n)))
		}
	})
}

func (a *ackBin) value(metric string, length time.Duration) (float64, bool) {
	return ackValue(metric, a.counts, distribution(a.latencies), length)
}

// ackValue is a metric of what clients saw; false if no event bears on it.
func ackValue(metric string, c Counts, l Latency, length time.Duration) (float64, bool) {
	var d time.Duration
	switch metric {
	case "ack.rate":
		return float64(c.Accepted) / length.Seconds(), true
	case "ack.errors":
		return float64(c.Offered - c.Accepted), c.Offered > 0
	case "ack.error_rate":
		return float64(c.Offered-c.Accepted) / float64(max(1, c.Offered)), c.Offered > 0
	case "ack.p50":
		d = l.P50
	case "ack.p90":
		d = l.P90
	case "ack.p95":
		d = l.P95
	case "ack.p99":
		d = l.P99
	case "ack.p999":
		d = l.P999
	case "ack.max":
		d = l.Max
	default:
		return 0, false
	}
	return d.Seconds(), l.Events > 0
}

// ackPoints cuts a stretch into seconds, the last one longer if less than half a second would be left.
func (r *run) ackPoints(metric string, from, to time.Duration) []point {
	n := max(1, int((to-from+binLength/2)/binLength))
	n = min(n, 1<<20)
	bins := make([]ackBin, n)
	for i := range r.e.Ops {
		if o := &r.e.Ops[i]; o.Count > 0 && o.Intended >= from && o.Intended < to {
			bins[min(int((o.Intended-from)/binLength), n-1)].add(o)
		}
	}
	var points []point
	for i := range bins {
		p := point{from: from + time.Duration(i)*binLength, to: from + time.Duration(i+1)*binLength}
		if i == n-1 {
			p.to = to
		}
		v, ok := bins[i].value(metric, p.to-p.from)
		if p.value = v; ok {
			points = append(points, p)
		}
	}
	return points
}

// sampledPoints are the samples of a metric in a stretch.
func (r *run) sampledPoints(metric string, from, to time.Duration) []point {
	var points []point
	for _, s := range r.samples {
		if v, ok := s.Values[metric]; ok && s.At >= from && s.At <= to {
			points = append(points, point{s.At, s.At, v})
		}
	}
	return points
}

// moments judges an expectation by the points of a stretch. hole is the longest time without one over which something is said.
func moments(x *plan.Expectation, m plan.Metric, points []point, from, to, hole time.Duration) finding {
	if len(points) == 0 {
		return finding{say: fmt.Sprintf("no data: %s was not measured in the phase", x.Metric), at: None}
	}
	switch x.When {
	case "within":
		return within(x, m, points, from, to, hole)
	case "for":
		return stretch(x, m, points, from, to, hole)
	}
	// "", "after" and "always": at every moment of the stretch.
	worst := points[0]
	for _, p := range points {
		if !holds(x, p.value) {
			return finding{Fail, fmt.Sprintf("%s was %s at %s", x.Metric, text(m, p.value), short(p.from)), p.from, true, p.value}
		}
		if further(x, p.value, worst.value) {
			worst = p
		}
	}
	if at, gap := longestGap(points, from, to); gap > hole {
		return finding{say: fmt.Sprintf("no data for %s from %s on", short(gap), short(at)), at: at}
	}
	return finding{Pass, fmt.Sprintf("%s was %s at the worst of %s", x.Metric, text(m, worst.value), plural(int64(len(points)), "moment")), None, true, worst.value}
}

// further says whether v comes nearer to breaking the expectation than w.
func further(x *plan.Expectation, v, w float64) bool {
	switch x.Op {
	case "<", "<=":
		return v > w
	case ">", ">=":
		return v < w
	}
	return math.Abs(v-x.Value) > math.Abs(w-x.Value)
}

// within: true at some moment and from then on to the end, reached in the first D.
func within(x *plan.Expectation, m plan.Metric, points []point, from, to, hole time.Duration) finding {
	bound := from + time.Duration(x.D)
	bad := -1
	for i := range points {
		if !holds(x, points[i].value) {
			bad = i
		}
	}
	says := func(p point) string { return fmt.Sprintf("%s was %s at %s", x.Metric, text(m, p.value), short(p.from)) }
	if bad >= 0 && (points[bad].from >= bound || bad == len(points)-1 && to-points[bad].to <= hole) {
		p := points[bad]
		return finding{Fail, fmt.Sprintf("%s, %s after the phase began", says(p), short(p.from-from)), p.from, true, p.value}
	}
	if bad == len(points)-1 {
		return finding{say: fmt.Sprintf("no data after %s, when %s", short(points[bad].to), says(points[bad])), at: points[bad].from}
	}
	reached := points[bad+1].from
	if bad >= 0 && points[bad].to > points[bad].from {
		reached = max(reached, points[bad].to) // the whole stretch before did not have it
	}
	if reached > bound {
		if bad >= 0 {
			return finding{say: fmt.Sprintf("%s, and it was not looked at again before %s, after the bound", says(points[bad]), short(reached)), at: points[bad].from}
		}
		return finding{say: fmt.Sprintf("no data before %s, after the bound", short(reached)), at: None}
	}
	if at, gap := longestGap(points[bad+1:], points[bad+1].from, to); gap > hole {
		return finding{say: fmt.Sprintf("no data for %s from %s on", short(gap), short(at)), at: at}
	}
	return finding{Pass, fmt.Sprintf("so from %s after the phase began to its end", short(max(0, reached-from))), None, true, points[len(points)-1].value}
}

// stretch: true for a stretch of at least D.
func stretch(x *plan.Expectation, m plan.Metric, points []point, from, to, hole time.Duration) finding {
	need := time.Duration(x.D)
	longest := time.Duration(-1)
	begin := None
	for i, p := range points {
		switch {
		case !holds(x, p.value):
			begin = None
			continue
		case begin == None || i > 0 && p.from-points[i-1].to > hole:
			begin = p.from
		}
		longest = max(longest, p.to-begin)
	}
	f := finding{at: None, measured: true, value: points[len(points)-1].value}
	longestText := "at no moment"
	if longest >= 0 {
		longestText = "for " + short(longest) + " at the longest"
	}
	if longest >= need {
		f.verdict, f.say = Pass, "so "+longestText
		return f
	}
	if at, gap := longestGap(points, from, to); gap > hole {
		f.say = fmt.Sprintf("so %s, and there is no data for %s from %s on", longestText, short(gap), short(at))
		return f
	}
	f.verdict, f.say = Fail, fmt.Sprintf("so %s, expected %s", longestText, x.D)
	return f
}

// longestGap is the longest time in [from, to] that no point covers.
func longestGap(points []point, from, to time.Duration) (at, gap time.Duration) {
	end := from
	look := func(next time.Duration) {
		if next-end > gap {
			at, gap = end, next-end
		}
	}
	for _, p := range points {
		look(p.from)
		end = max(end, p.to)
	}
	look(to)
	return at, gap
}
