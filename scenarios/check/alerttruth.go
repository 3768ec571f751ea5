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
	field "github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/query/exec"
)

const (
	// alertVisible is how long before its evaluation an event has to have been accepted at the least, so that the evaluation
	// must count it. It must have been accepted before the window's end, too: what comes later may be in or not.
	alertVisible = 5 * time.Second
	// defaultRange is how far back a trigger's query looks where it does not say it.
	defaultRange = 2 * time.Hour
	longestRange = 7 * 24 * time.Hour
	// roundingError is how much figures may differ by rounding, relatively.
	roundingError = 1e-9
)

// trith is a truth value of which not all is known.
type trith int8

const (
	no trith = iota - 1
	perhaps
	yes
)

func (t trith) String() string {
	switch t {
	case yes:
		return "holds"
	case no:
		return "does not hold"
	case perhaps:
	}
	return "may hold or not"
}

// compareRange says whether a comparison holds for a value that lies somewhere in [low, high].
func compareRange(op string, low, high, threshold float64) trith {
	holds := func(v float64) bool {
		switch op {
		case ">":
			return v > threshold
		case ">=":
			return v >= threshold
		case "<":
			return v < threshold
		}
		return v <= threshold
	}
	switch a, b := holds(low), holds(high); {
	case a && b:
		return yes
	case a || b:
		return perhaps
	}
	return no
}

// verdictOfWindow is what a trigger's condition has to come out as over one window.
type verdictOfWindow struct {
	holds trith
	// low and high bound the value that is compared, of the most offending group; NaN where nothing can be said of it.
	low, high float64
	ok        bool
}

// readTrigger reads a trigger's query. An error says why it cannot be judged.
func readTrigger(def *evidence.Alert) (*asking, error) {
	t := &def.Trigger
	a, err := readCalculations(t.Query)
	switch {
	case err != nil:
		return nil, err
	case a.Start != nil || a.End != nil:
		return nil, fmt.Errorf("its query has a fixed window")
	case len(a.Calculations) != 1:
		return nil, fmt.Errorf("its query has %d calculations, and a trigger compares one", len(a.Calculations))
	case a.Calculations[0].Op == "HEATMAP":
		return nil, fmt.Errorf("a heatmap cannot be compared with a threshold")
	case a.TimeRange < 0 || a.TimeRange > int64(longestRange/time.Second):
		return nil, fmt.Errorf("its time range is %d s", a.TimeRange)
	case t.Frequency <= 0:
		return nil, fmt.Errorf("its frequency is %d s", t.Frequency)
	case !slices.Contains([]string{">", ">=", "<", "<="}, t.Threshold.Op):
		return nil, fmt.Errorf("there is no comparison %q", t.Threshold.Op)
	}
	if a.TimeRange == 0 {
		a.TimeRange = int64(defaultRange / time.Second)
	}
	return a, nil
}

// alertTruth gathers the events that triggers look at, in order of time.
func (r *run) alertTruth(states []*alertState) (*truth, error) {
	t, err := r.emptyTruth()
	if err != nil {
		return nil, err
	}
	for _, s := range states {
		if s.ask != nil {
			t.want(r, s.def.Dataset, s.ask)
		}
	}
	r.fill(t)
	for _, set := range t.sets {
		slices.SortStableFunc(set.runs, func(a, b truthRun) int { return cmp.Compare(set.at[a.from], set.at[b.from]) })
	}
	return t, nil
}

// longestBatch is how far apart the events of one batch can be.
const longestBatch = int64(plan.MaxBatchEvents) * int64(time.Microsecond)

// window judges a trigger's condition over the window that ends at a moment and was evaluated at another.
func (t *truth) window(s *alertState, end, at time.Duration) verdictOfWindow {
	set := t.sets[s.def.Dataset]
	stop := t.epoch.Add(end).Unix()
	start := stop - s.ask.TimeRange
	ask := *s.ask
	ask.Start, ask.End = &start, &stop
	// What was accepted by then must be counted; what was sent at all may be.
	must := evidence.Query{Sent: min(end, at-alertVisible), Done: max(end, at), Complete: true}
	from := sort.Search(len(set.runs), func(i int) bool { return set.at[set.runs[i].from] > start*int64(time.Second)-longestBatch })
	to := sort.Search(len(set.runs), func(i int) bool { return set.at[set.runs[i].from] >= stop*int64(time.Second) })
	part := *set
	part.runs = set.runs[from:max(from, to)]
	v := evaluation{set: &part, ask: &ask, q: &must, dims: []int{1}}
	if !v.layout() {
		return verdictOfWindow{}
	}
	threshold := s.def.Trigger.Threshold
	cell := exec.Cell{Value: field.FloatValue(threshold.Value)}
	for i := range v.accs {
		c := &v.accs[i]
		c.expect(ask.Calculations[0], &cell)
		// The answer errs by so much to either side of what is exact.
		slack := 2 * percentileError * math.Abs(threshold.Value)
		c.lowest, c.uppermost = threshold.Value-slack, threshold.Value+slack
	}
	v.pass()
	return v.condition(threshold.Op, threshold.Value)
}

// condition says whether the threshold is exceeded by any group.
func (v *evaluation) condition(op string, threshold float64) verdictOfWindow {
	calc := v.ask.Calculations[0]
	_, percentile := percentiles[calc.Op]
	out := verdictOfWindow{holds: no, ok: true}
	upwards := op == ">" || op == ">="
	groups := 0
	sure := false // some group certainly has a value
	low, high := math.Inf(1), math.Inf(1)
	if upwards {
		low, high = math.Inf(-1), math.Inf(-1)
	}
	for g := range v.accs {
		if v.mayRows[g] == 0 && len(v.ask.Breakdowns) > 0 {
			continue
		}
		groups++
		c := &v.accs[g]
		least, most, some, all := c.bounds(calc)
		if !some {
			continue // null, whatever is counted: it is compared with nothing
		}
		certain := all && (v.mustRows[g] > 0 || len(v.ask.Breakdowns) == 0)
		holds := compareRange(op, least, most, threshold)
		if percentile {
			holds = c.percentileHolds(percentiles[calc.Op], upwards)
		}
		if holds == yes && !certain {
			holds = perhaps
		}
		out.holds = max(out.holds, holds)
		// Of several groups the one that is furthest out is compared.
		sure = sure || certain
		if upwards {
			high = max(high, most)
			if certain {
				low = max(low, least)
			}
		} else {
			low = min(low, least)
			if certain {
				high = min(high, most)
			}
		}
	}
	out.low, out.high = low, high
	if !sure || percentile {
		out.low, out.high = math.NaN(), math.NaN()
	}
	if v.ask.Limit > 0 && groups > v.ask.Limit || v.ask.Limit == 0 && groups > specLimit {
		// What exceeds may have been cut off.
		if out.holds == yes {
			out.holds = perhaps
		}
		out.low, out.high = math.NaN(), math.NaN()
	}
	return out
}

// specLimit is how many groups an answer has at most where the query does not say it.
const specLimit = 1000

// bounds is what a calculation lies between, whichever of the events that may be counted are. some says that it may be a
// number at all, all that it certainly is one.
func (c *acc) bounds(calc calculation) (low, high float64, some, all bool) {
	around := func(low, high, size float64) (float64, float64, bool, bool) {
		slack := roundingError * size
		return low - slack, high + slack, c.anyMust || c.anyMay, c.anyMust
	}
	switch calc.Op {
	case "COUNT":
		return c.count, c.count + c.mayCount, true, true
	case "COUNT_DISTINCT":
		low, high := float64(ones(c.seen)), float64(ones(c.maySeen))
		if high > distinctExact {
			low, high = low*(1-distinctError), high*(1+distinctError)
		}
		return low, high, true, true
	case "SUM":
		return around(c.sum+c.low, c.sum+c.high, math.Abs(c.sum)+c.high-c.low)
	case "MIN":
		return around(c.minAll, cond2(c.anyMust, c.minMust, c.maxAll), 0)
	case "MAX":
		return around(cond2(c.anyMust, c.maxMust, c.minAll), c.maxAll, 0)
	case "AVG":
		low, high := c.minAll, c.maxAll
		if c.anyMust {
			low, high = c.means()
		}
		return around(low, high, max(math.Abs(low), math.Abs(high)))
	}
	return c.minAll, c.maxAll, c.anyMust || c.anyMay, c.anyMust
}

func cond2(yes bool, a, b float64) float64 {
	if yes {
		return a
	}
	return b
}

// means are the lowest and the highest mean that any choice of what may be counted gives.
func (c *acc) means() (low, high float64) {
	all := c.count + c.mayCount
	mean := c.sum / c.count
	return (c.sum + c.mayCount*min(c.minAll, mean)) / all, (c.sum + c.mayCount*max(c.maxAll, mean)) / all
}

// percentileHolds says whether a percentile lies above (else below) the threshold that the weights were gathered around. They
// keep the answer's own error away from it.
func (c *acc) percentileHolds(share float64, above bool) trith {
	isAbove := perhaps
	switch {
	case c.below+c.mayBelow < share*(c.count+c.mayBelow)*(1-roundingError):
		isAbove = yes // also if all that may lie below is counted, less than its share does
	case c.under >= share*(c.count+c.mayOver)*(1+roundingError) && c.under > 0:
		isAbove = no
	}
	if !above {
		return -isAbove
	}
	return isAbove
}
