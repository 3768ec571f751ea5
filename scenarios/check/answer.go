package check

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/ratel-sim/ratel/scenarios/evidence"
	field "github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/query/exec"
)

// Bounds of how exact answers are, as package exec documents them.
const (
	sumError        = 1e-9      // relative: sums are rounded once
	percentileError = 1.0 / 128 // relative
	distinctExact   = 1024      // COUNT_DISTINCT is exact up to here,
	distinctError   = 0.07      // and beyond that six standard errors are allowed
	// around is how long before and after a dataset is recreated its events may be found or not.
	around = 10 * time.Second
)

// must and may say of an event whether a query has to count it.
type standing uint8

const (
	hidden standing = iota // it must not be counted
	may                    // it may be counted or not
	must                   // it must be counted
)

// acc is what is known of one calculation over one group: of the events that must be counted, and of those that may be.
type acc struct {
	count, mayCount   float64 // weight of the rows, or of those with a number
	sum, low, high    float64 // of the must; what the may can take away and add
	minMust, maxMust  float64
	minAll, maxAll    float64
	below, mayBelow   float64 // weight of numbers that are certainly not above the answered percentile
	under, mayOver    float64 // weight of numbers certainly below it; may: not below it
	seen, maySeen     []uint64
	buckets, mayIn    []float64
	outside           float64 // weight of the must that lies in no bucket of the answer
	anyMust, anyMay   bool
	answered          float64 // the percentile that was answered
	answer            *exec.Cell
	inBuckets         []exec.Bucket
	lowest, uppermost float64 // tolerances around a percentile
}

// misfit is one thing in an answer that the ground truth does not bear out.
type misfit struct {
	kind  string // "too little", "too much", "wrong", "no such group", "malformed"
	group string
	calc  string
	want  string
	got   string
}

func (m *misfit) String() string {
	s := m.calc
	if m.group != "" {
		s += " of " + m.group
	}
	return fmt.Sprintf("%s: expected %s, got %s", s, m.want, m.got)
}

// evaluation is one comparison of an answer with the truth.
type evaluation struct {
	set    *truthSet
	ask    *asking
	q      *evidence.Query
	within time.Duration
	// Of a series: the intervals' length and alignment in nanoseconds; 0 for the table.
	step, align int64

	groups   int // number of groups, intervals included
	dims     []int
	byCode   [][]uint32
	firstBin int64
	mustRows []int64
	mayRows  []int64
	accs     []acc // by group, then calculation
	anyMust  bool
}

// maxGroups bounds what one query is judged for.
const maxGroups = 1 << 16

// standingOf says of a run's events whether the query has to count them, the window left aside.
func (v *evaluation) standingOf(x *truthRun) standing {
	q := v.q
	if x.sent > q.Done {
		return hidden
	}
	s := may
	if x.accepted && x.done >= 0 && x.done+v.within <= q.Sent {
		s = must
	}
	for _, at := range v.set.recreated {
		switch {
		case q.Done < at: // asked and answered before
		case x.accepted && x.done < at-around && q.Sent > at+around:
			return hidden // it went with the old dataset
		case !x.accepted || x.done < at+around || q.Sent <= at+around:
			s = may
		}
	}
	if s == must && !q.Complete && x.partition >= 0 {
		first, last := v.set.at[x.from], v.set.at[x.to-1]
		for _, m := range q.Missing {
			if m.Partition == x.partition && last >= m.From*int64(time.Second) && (m.To <= m.From || first < m.To*int64(time.Second)) {
				return may
			}
		}
	}
	return s
}

// run compares an answer's table, or its series, with the truth. ok is false if it cannot be judged.
func (v *evaluation) run() (misfits []misfit, ok bool) {
	rows, why := v.prepare()
	if why != nil {
		return []misfit{*why}, true
	}
	if rows == nil {
		return nil, false
	}
	v.pass()
	return v.compare(rows), true
}

// answerRow is one row of an answer and its group.
type answerRow struct {
	group int
	row   *exec.Row
	label string
}

// prepare finds the groups of the answer.
func (v *evaluation) prepare() ([]answerRow, *misfit) {
	a, res := v.ask, v.q.Result
	points := len(res.Rows)
	start, end := *a.Start*int64(time.Second), *a.End*int64(time.Second)
	if v.step > 0 {
		points = len(res.Series)
		v.firstBin = floorDiv(start-v.align, v.step)
		lastBin := floorDiv(end-1-v.align, v.step)
		v.dims = append(v.dims, int(lastBin-v.firstBin)+1)
	} else {
		v.dims = append(v.dims, 1)
	}
	if !v.layout() {
		return nil, nil
	}
	rows := make([]answerRow, 0, points)
	taken := make([]bool, v.groups)
	for i := range points {
		var row *exec.Row
		bin := int64(0)
		when := ""
		if v.step > 0 {
			row = &res.Series[i].Row
			bin = floorDiv(res.Series[i].Start*int64(time.Second)-v.align, v.step) - v.firstBin
			when = fmt.Sprintf(" at %d s", res.Series[i].Start)
		} else {
			row = &res.Rows[i]
		}
		if len(row.Group) != len(a.Breakdowns) || len(row.Values) != len(a.Calculations) {
			return nil, &misfit{kind: "malformed", calc: "the answer", want: fmt.Sprintf("%d breakdowns and %d calculations in each row", len(a.Breakdowns), len(a.Calculations)), got: fmt.Sprintf("%d and %d", len(row.Group), len(row.Values))}
		}
		label := groupLabel(row.Group) + when
		g, known := int(bin), bin >= 0 && bin < int64(v.dims[0])
		for k, value := range row.Group {
			c := v.set.cols[a.Breakdowns[k]]
			code, ok := c.index[canonical(value)]
			known = known && ok
			g = g*len(c.values) + int(code)
		}
		if !known {
			return nil, &misfit{kind: "no such group", group: label, calc: "the group", want: "only what was sent", got: cells(row)}
		}
		if taken[g] {
			return nil, &misfit{kind: "malformed", group: label, calc: "the group", want: "one row", got: "two"}
		}
		taken[g] = true
		rows = append(rows, answerRow{g, row, label})
		for k := range row.Values {
			v.accs[g*len(a.Calculations)+k].expect(a.Calculations[k], &row.Values[k])
		}
	}
	return rows, nil
}

// layout makes room for every group; false if there are too many. The first dimension is there already.
func (v *evaluation) layout() bool {
	v.groups = v.dims[0]
	for _, b := range v.ask.Breakdowns {
		c := v.set.cols[b]
		v.byCode = append(v.byCode, c.codes)
		v.dims = append(v.dims, len(c.values))
		if v.groups *= len(c.values); v.groups > maxGroups || v.groups <= 0 {
			return false
		}
	}
	v.mustRows, v.mayRows = make([]int64, v.groups), make([]int64, v.groups)
	v.accs = make([]acc, v.groups*len(v.ask.Calculations))
	for i := range v.accs {
		v.accs[i].minMust, v.accs[i].minAll, v.accs[i].maxMust, v.accs[i].maxAll = math.Inf(1), math.Inf(1), math.Inf(-1), math.Inf(-1)
	}
	return true
}

// expect notes what was answered, so that the pass over the rows can be compared with it.
func (c *acc) expect(calc calculation, cell *exec.Cell) {
	c.answer = cell
	if _, ok := percentiles[calc.Op]; ok {
		c.answered = cell.Value.Float()
		slack := math.Abs(c.answered) * percentileError
		c.lowest, c.uppermost = min(c.answered-slack, c.answered), c.answered+slack
	}
	if calc.Op == "HEATMAP" {
		c.inBuckets = cell.Heatmap
		c.buckets, c.mayIn = make([]float64, len(cell.Heatmap)), make([]float64, len(cell.Heatmap))
	}
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

func groupLabel(group []field.Value) string {
	parts := make([]string, len(group))
	for i, v := range group {
		parts[i] = show(v)
	}
	return strings.Join(parts, ", ")
}

func cells(row *exec.Row) string {
	parts := make([]string, len(row.Values))
	for i := range row.Values {
		parts[i] = show(row.Values[i].Value)
		if row.Values[i].Heatmap != nil {
			parts[i] = fmt.Sprintf("a heatmap of %d buckets", len(row.Values[i].Heatmap))
		}
	}
	return strings.Join(parts, ", ")
}

// pass goes over the rows once.
func (v *evaluation) pass() {
	a, set := v.ask, v.set
	start, end := *a.Start*int64(time.Second), *a.End*int64(time.Second)
	passes := make([][]bool, len(a.Filters))
	codes := make([][]uint32, len(a.Filters))
	for i := range a.Filters {
		c := set.cols[a.Filters[i].Column]
		codes[i] = c.codes
		passes[i] = make([]bool, len(c.values))
		for k := range c.values {
			passes[i][k] = a.Filters[i].match(c.values[k])
		}
	}
	columns := make([]*column, len(a.Calculations))
	for i, c := range a.Calculations {
		columns[i] = set.cols[c.Column]
	}
	for i := range set.runs {
		x := &set.runs[i]
		if set.at[x.to-1] < start || set.at[x.from] >= end {
			continue
		}
		s := v.standingOf(x)
		if s == hidden {
			continue
		}
	row:
		for row := x.from; row < x.to; row++ {
			at := set.at[row]
			if at < start || at >= end {
				continue
			}
			for f := range passes {
				if !passes[f][codes[f][row]] {
					continue row
				}
			}
			g := 0
			if v.step > 0 {
				g = int(floorDiv(at-v.align, v.step) - v.firstBin)
			}
			for k, c := range v.byCode {
				g = g*v.dims[k+1] + int(c[row])
			}
			if s == must {
				v.mustRows[g]++
				v.anyMust = true
			}
			v.mayRows[g]++
			accs := v.accs[g*len(columns) : (g+1)*len(columns)]
			for k, c := range columns {
				accs[k].add(a.Calculations[k].Op, c, row, set.rate[row], s == must)
			}
		}
	}
}

// add adds one row.
func (c *acc) add(op string, col *column, row int32, rate float64, certain bool) {
	if col == nil { // COUNT
		if certain {
			c.count += rate
		} else {
			c.mayCount += rate
		}
		return
	}
	if op == "COUNT_DISTINCT" {
		c.see(col, col.codes[row], certain)
		return
	}
	n := col.num[row]
	if n != n {
		return
	}
	c.minAll, c.maxAll = min(c.minAll, n), max(c.maxAll, n)
	if certain {
		c.minMust, c.maxMust = min(c.minMust, n), max(c.maxMust, n)
		c.anyMust = true
		c.count += rate
		c.sum += n * rate
	} else {
		c.anyMay = true
		c.mayCount += rate
		if n < 0 {
			c.low += n * rate
		} else {
			c.high += n * rate
		}
	}
	switch {
	case op == "HEATMAP":
		c.bucket(n, rate, certain)
	case op[0] == 'P' && certain:
		if n <= c.uppermost {
			c.below += rate
		}
		if n < c.lowest {
			c.under += rate
		}
	case op[0] == 'P':
		if n <= c.uppermost {
			c.mayBelow += rate
		}
		if n >= c.lowest {
			c.mayOver += rate
		}
	}
}

func (c *acc) see(col *column, code uint32, certain bool) {
	if code == 0 {
		return // null is no value
	}
	if c.maySeen == nil {
		words := (len(col.values) + 63) / 64
		c.seen, c.maySeen = make([]uint64, words), make([]uint64, words)
	}
	c.maySeen[code/64] |= 1 << (code % 64)
	if certain {
		c.seen[code/64] |= 1 << (code % 64)
	}
}

// bucket finds the answer's bucket of a number. Buckets of negative numbers are open below and closed above.
func (c *acc) bucket(n, rate float64, certain bool) {
	i := sort.Search(len(c.inBuckets), func(i int) bool {
		if n < 0 {
			return n <= c.inBuckets[i].To
		}
		return n < c.inBuckets[i].To
	})
	if i == len(c.inBuckets) || n < c.inBuckets[i].From {
		if certain {
			c.outside += rate
		}
		return
	}
	if certain {
		c.buckets[i] += rate
	} else {
		c.mayIn[i] += rate
	}
}

// compare says what of the answer the truth does not bear out.
func (v *evaluation) compare(rows []answerRow) []misfit {
	var list []misfit
	a := v.ask
	n := len(a.Calculations)
	there := make([]bool, v.groups)
	for _, x := range rows {
		there[x.group] = true
		if v.mayRows[x.group] == 0 && len(a.Breakdowns) > 0 {
			list = append(list, misfit{kind: "no such group", group: x.label, calc: "the group", want: "nothing, as no such event can be counted", got: cells(x.row)})
			continue
		}
		for k, calc := range a.Calculations {
			if m := v.accs[x.group*n+k].judge(calc); m != nil {
				m.group, m.calc = x.label, calc.name()
				list = append(list, *m)
			}
		}
	}
	if a.Limit > 0 && len(v.q.Result.Rows) >= a.Limit {
		return list // what is not there may have been cut off
	}
	for g, rows := range v.mustRows {
		if rows > 0 && !there[g] {
			list = append(list, misfit{kind: "too little", group: v.label(g), calc: "the group", want: plural(rows, "event") + " at least", got: "no row"})
		}
	}
	return list
}

// label names a group that the answer does not have.
func (v *evaluation) label(g int) string {
	parts := make([]string, len(v.byCode))
	for k := len(v.byCode) - 1; k >= 0; k-- {
		c := v.set.cols[v.ask.Breakdowns[k]]
		parts[k] = show(c.values[g%len(c.values)])
		g /= len(c.values)
	}
	s := strings.Join(parts, ", ")
	if v.step > 0 {
		s += fmt.Sprintf(" at %d s", (v.align+(v.firstBin+int64(g))*v.step)/int64(time.Second))
	}
	return s
}

// fits says whether an answer fits the truth, events accepted so long before the question being visible. series says that
// its time series was compared too. ok is false if it cannot be judged.
func (t *truth) fits(q *evidence.Query, a *asking, within time.Duration) (misfits []misfit, counted, ok bool) {
	v := evaluation{set: t.sets[q.Dataset], ask: a, q: q, within: within}
	if misfits, ok = v.run(); !ok || len(misfits) > 0 {
		return misfits, v.anyMust, ok
	}
	if a.Granularity <= 0 || len(q.Result.Series) == 0 {
		return nil, v.anyMust, true
	}
	s := evaluation{set: v.set, ask: a, q: q, within: within, step: a.Granularity * int64(time.Second)}
	s.align = q.Result.Series[0].Start * int64(time.Second) % s.step
	aligned := !slices.ContainsFunc(q.Result.Series, func(p exec.Point) bool { return p.Start*int64(time.Second)%s.step != s.align })
	if !aligned {
		// The first interval may begin with the window; the others lie on multiples.
		s.align = 0
	}
	misfits, _ = s.run()
	for i := range misfits {
		misfits[i].calc = "in the series, " + misfits[i].calc
	}
	return misfits, v.anyMust, true
}
