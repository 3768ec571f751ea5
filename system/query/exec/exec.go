// Package exec computes queries over columns: partial results of parts of the data, which can be encoded, sent, merged in
// any order, and finished.
//
// What a result means, beyond the API's documentation:
//   - Numeric calculations take the finite numbers of a column, whole or not, and ignore all else. Without any, their cell is
//     null; COUNT and COUNT_DISTINCT are then 0.
//   - Sample rates multiply COUNT, SUM, the weights of AVG, of percentiles and of HEATMAP; not COUNT_DISTINCT, MIN and MAX.
//     What a rate weighs says [event.Weight].
//   - SUM and AVG are exact sums, rounded once: they do not depend on how the rows were split or on the order of merging.
//     SUM is whole if all its numbers are and it fits into 64 bits.
//   - A percentile is the smallest value that at least its share of the weight does not exceed. It is exact up to
//     [ExactValues] different numbers; beyond that within 1/128 (0.8 %) of it, for magnitudes from 2^-1022 on.
//   - COUNT_DISTINCT is exact up to [ExactDistinct] values (by 64-bit hashes), beyond that a HyperLogLog with 8192 registers:
//     standard error 1.15 %.
//   - Values that compare as equal (package spec) are one group. Rows without a breakdown's column are a group of their own.
//   - Without breakdowns the table has one row, also over no data.
//   - RATE_* are the change from the interval before that has a value; in the table, from the first such interval to the last.
package exec

import "github.com/ratel-sim/ratel/system/event"

const (
	// MaxPoints is how many points a series has at most.
	MaxPoints = 200_000
	// MaxAnswer is how large a result is at most, as [Result.Size] tells.
	MaxAnswer = 128 << 20
)

// Result is a finished query.
type Result struct {
	// Columns names what each row holds: the breakdowns, then the calculations, such as "P95(duration_ms)".
	Columns []string
	Rows    []Row // the table, ordered and limited as asked
	// Series is the time series of the table's groups: one entry for each interval and group that has rows, by time and
	// then in the table's order. It is empty for a query of the table alone.
	Series []Point
	// Truncated says that there were more groups than are kept: those in Rows are right, but others are left out that
	// might have been ordered before them. Or the series would have more than MaxPoints, or be larger than MaxAnswer: the last
	// groups of the table are left out of it.
	Truncated bool
}

// bucketSize is what a bucket of a heatmap takes as JSON; in memory it is less.
const bucketSize = 80

// Size is about what the result takes in bytes, in memory and as JSON, whichever is more.
func (r *Result) Size() (n int64) {
	if r == nil {
		return 0
	}
	for i := range r.Rows {
		n += r.sizeOf(&r.Rows[i])
	}
	for i := range r.Series {
		n += r.sizeOf(&r.Series[i].Row)
	}
	return n
}

func (r *Result) sizeOf(row *Row) int64 {
	n := int64(64)
	for _, name := range r.Columns {
		n += int64(len(name)) + 6
	}
	for i := range row.Group {
		n += 32 + int64(len(row.Group[i].Str()))
	}
	for i := range row.Values {
		n += 64 + bucketSize*int64(len(row.Values[i].Heatmap))
	}
	return n
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

// Bucket counts values in [From, To); of negative values, in (From, To].
type Bucket struct {
	From, To float64
	Count    float64
}
