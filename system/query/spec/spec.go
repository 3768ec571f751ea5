// Package spec is the query specification of Honeycomb's API: parsing, defaults and limits, with errors that name the
// field, what a filter matches and how values compare, and a compact encoding for sending a query between nodes.
//
// Two points on which the API's sources disagree or are silent are settled so: the limit is 1 to 1,000 by default 1,000
// (10,000 for a request without a series), and a filter with a negative operator (!=, not-in, does-not-…) keeps exactly
// the rows that the positive one does not, rows without the column included.
package spec

import (
	"slices"
	"time"

	"github.com/ratel-sim/ratel/system/event"
)

// Bounds of a specification.
const (
	MaxBytes        = 256 << 10 // of the JSON
	MaxBreakdowns   = 100
	MaxCalculations = 50
	MaxFilters      = 100   // of the query, and of each calculation
	MaxValues       = 1000  // of an in or not-in filter
	MaxName         = 1024  // bytes of a column's or calculation's name
	MaxLimit        = 1000  // groups of the table
	MaxTableLimit   = 10000 // groups of the table where no series is asked for
	DefaultLimit    = MaxLimit
	// MaxIntervals bounds the intervals of the series: one more than the finest granularity has, since they begin at
	// multiples of it.
	MaxIntervals = 1001

	DefaultRange = 2 * time.Hour
	MaxRange     = 7 * 24 * time.Hour
)

// Query is a checked specification.
type Query struct {
	Calculations []Calculation
	Filters      []Filter
	Or           bool // filters are combined with OR
	Breakdowns   []string
	// Orders sort the table. Without any, and among equals, groups are sorted by their values; see Compare.
	Orders  []Order
	Havings []Having
	Limit   int
	// Start and End bound event time, [Start, End), whole seconds.
	Start, End time.Time
	// Granularity of the series, whole seconds. Intervals begin at multiples of it in Unix time.
	Granularity time.Duration
	// TableOnly says that no series is wanted (disable_series of a request; it is not part of the JSON).
	TableOnly bool
}

// Op is a calculation.
type Op string

// Calculations.
const (
	Count         Op = "COUNT"
	Sum           Op = "SUM"
	Avg           Op = "AVG"
	CountDistinct Op = "COUNT_DISTINCT"
	Max           Op = "MAX"
	Min           Op = "MIN"
	Heatmap       Op = "HEATMAP"
	RateAvg       Op = "RATE_AVG" // the change of AVG from one interval to the next; in the table from the first to the last
	RateSum       Op = "RATE_SUM"
	RateMax       Op = "RATE_MAX"
	concurrency   Op = "CONCURRENCY" // of the API, not calculated
)

// quantiles are the percentile calculations, by how many in a thousand values they leave below.
var quantiles = map[Op]int{
	"P001": 1, "P01": 10, "P05": 50, "P10": 100, "P20": 200, "P25": 250, "P50": 500, "P75": 750, "P80": 800, "P90": 900,
	"P95": 950, "P99": 990, "P999": 999,
}

// Ops lists the calculations.
func Ops() []Op {
	return []Op{
		Count, Sum, Avg, CountDistinct, Max, Min, "P001", "P01", "P05", "P10", "P20", "P25", "P50", "P75", "P80", "P90", "P95",
		"P99", "P999", Heatmap, RateAvg, RateSum, RateMax,
	}
}

// Quantile says whether the calculation is a percentile, and how many in a thousand values it leaves below: 950 for P95.
func (o Op) Quantile() (perMille int, ok bool) {
	perMille, ok = quantiles[o]
	return perMille, ok
}

// Rate says whether the calculation is a change over time, and of which calculation.
func (o Op) Rate() (of Op, ok bool) {
	switch o {
	case RateAvg:
		return Avg, true
	case RateSum:
		return Sum, true
	case RateMax:
		return Max, true
	}
	return "", false
}

// Calculation is one value per group. Column is empty for COUNT.
type Calculation struct {
	Op     Op
	Column string
	// Name is how the result calls it: given, or such as P95(duration_ms).
	Name    string
	Filters []Filter // of its own, beside the query's
	Or      bool
}

// Filter keeps rows.
type Filter struct {
	Column string
	Op     string // = != > >= < <= starts-with does-not-start-with ends-with does-not-end-with exists does-not-exist contains does-not-contain in not-in
	Values []event.Value
}

// Order sorts the table by a breakdown (Column alone) or by a calculation (Op, and Column unless COUNT).
type Order struct {
	Op         Op
	Column     string
	Descending bool
}

// Having keeps groups of the table.
type Having struct {
	Op     Op
	Column string
	Cmp    string // = != > >= < <=
	Value  float64
}

// Calculation finds the index of the first calculation of that operation and column, or -1.
func (q *Query) Calculation(op Op, column string) int {
	for i := range q.Calculations {
		if c := &q.Calculations[i]; c.Op == op && c.Column == column {
			return i
		}
	}
	return -1
}

// DefaultName is how a calculation without a name is called.
func DefaultName(op Op, column string) string {
	if op == Count {
		return string(op)
	}
	return string(op) + "(" + column + ")"
}

// Reads names the columns of events that the query looks at, each once, in the order in which it names them.
func (q *Query) Reads() []string {
	var names []string
	add := func(name string) {
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	filters := func(list []Filter) {
		for i := range list {
			add(list[i].Column)
		}
	}
	for i := range q.Calculations {
		add(q.Calculations[i].Column)
		filters(q.Calculations[i].Filters)
	}
	filters(q.Filters)
	for _, name := range q.Breakdowns {
		add(name)
	}
	return names
}

// Columns names what each row of the result holds: the breakdowns, then the calculations.
func (q *Query) Columns() []string {
	names := append(make([]string, 0, len(q.Breakdowns)+len(q.Calculations)), q.Breakdowns...)
	for i := range q.Calculations {
		names = append(names, q.Calculations[i].Name)
	}
	return names
}
