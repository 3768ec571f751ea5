// Package spec is the query specification of Honeycomb's API: parsing, defaults and limits, with errors that name the field.
package spec

import (
	"time"

	"github.com/ratel-sim/ratel/system/event"
)

// Query is a checked specification.
type Query struct {
	Calculations []Calculation
	Filters      []Filter
	Or           bool // filters are combined with OR
	Breakdowns   []string
	Orders       []Order
	Havings      []Having
	Limit        int
	// Start and End bound event time, [Start, End), whole seconds.
	Start, End  time.Time
	Granularity time.Duration // of the series
}

// Op is a calculation.
type Op string

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
