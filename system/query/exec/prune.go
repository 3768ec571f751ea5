package exec

import (
	"math"
	"slices"
	"strings"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/query/spec"
	"github.com/ratel-sim/ratel/system/segment"
)

// Skips says whether no row of a source can be part of a query's result, by its statistics alone. Statistics without any
// column say nothing about columns.
func Skips(q *spec.Query, info *segment.Info) bool {
	if info.Rows == 0 {
		return true
	}
	if info.MaxTime < q.Start.UnixNano() || info.MinTime >= q.End.UnixNano() {
		return true
	}
	if len(info.Columns) == 0 || len(q.Filters) == 0 {
		return false
	}
	for i := range q.Filters {
		if possible := canMatch(&q.Filters[i], info); possible == q.Or {
			return !possible
		}
	}
	return q.Or
}

// canMatch is false only if no row can match.
func canMatch(f *spec.Filter, info *segment.Info) bool {
	var c *segment.ColumnStats
	i, there := slices.BinarySearchFunc(info.Columns, f.Column, func(c segment.ColumnStats, name string) int { return strings.Compare(c.Name, name) })
	if there {
		c = &info.Columns[i]
	}
	op, negated := spec.Positive(f.Op)
	switch {
	case negated && op == "exists":
		return c == nil || c.Nulls > 0 || c.Kinds&^(1<<event.Null) == 0
	case negated:
		return true
	case c == nil:
		return false
	case op == "exists":
		return c.Kinds&^(1<<event.Null) != 0
	}
	return slices.ContainsFunc(f.Values, func(v event.Value) bool { return couldBe(op, c, v) })
}

const numbers = 1<<event.Int | 1<<event.Float

// couldBe says whether a value of the column can compare as demanded with v.
func couldBe(op string, c *segment.ColumnStats, v event.Value) bool {
	switch v.Kind() {
	case event.Bool:
		return c.Kinds&(1<<event.Bool) != 0
	case event.String:
		return c.Kinds&(1<<event.String) != 0 && textCan(op, c, v.Str())
	}
	if c.Kinds&numbers == 0 {
		return false
	}
	// A whole number of the column, or of the filter, may be rounded here: leave room on both sides.
	low, high, x := math.Nextafter(c.Min, math.Inf(-1)), math.Nextafter(c.Max, math.Inf(1)), v.Float()
	switch op {
	case "=", "in":
		return x >= low && x <= high
	case ">", ">=":
		return high >= x
	case "<", "<=":
		return low <= x
	}
	return true
}

// textCan compares with the bounds of a column's strings: MinText is not above the smallest, MaxText not below the largest.
func textCan(op string, c *segment.ColumnStats, s string) bool {
	switch op {
	case "=", "in":
		return s >= c.MinText && s <= c.MaxText
	case ">", ">=":
		return c.MaxText >= s
	case "<", "<=":
		return c.MinText <= s
	case "starts-with":
		return c.MaxText >= s && (c.MinText <= s || strings.HasPrefix(c.MinText, s))
	}
	return true
}
