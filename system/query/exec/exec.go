// Package exec computes queries over columns: partial results of parts of the data, which can be encoded, sent, merged in
// any order, and finished.
package exec

import "github.com/ratel-sim/ratel/system/event"

// Result is a finished query.
type Result struct {
	// Columns names what each row holds: the breakdowns, then the calculations, such as "P95(duration_ms)".
	Columns []string
	Rows    []Row // the table, ordered and limited as asked
	// Series is the time series of the table's groups: one entry for each interval and group that has rows, by time.
	Series []Point
}

// Row is one group of the table.
type Row struct {
	Group  []event.Value // one per breakdown; null where the event had no such field
	Values []Cell        // one per calculation
}

// Point is one group in one interval.
type Point struct {
	Start int64 // Unix seconds
	Row
}

// Cell is the value of one calculation: null where nothing could be calculated.
type Cell struct {
	Value event.Value
	// Heatmap is set for HEATMAP: counts by bucket, ascending.
	Heatmap []Bucket
}

// Bucket counts values in [From, To).
type Bucket struct {
	From, To float64
	Count    float64
}
