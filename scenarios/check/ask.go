package check

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	field "github.com/ratel-sim/ratel/system/event"
)

// asking is a query specification as far as this package judges it. It is read by code of its own, so that a defect of the
// pipeline's parser is not shared.
type asking struct {
	Calculations []calculation `json:"calculations"`
	Filters      []filter      `json:"filters"`
	Combination  string        `json:"filter_combination"`
	Breakdowns   []string      `json:"breakdowns"`
	Start        *int64        `json:"start_time"`
	End          *int64        `json:"end_time"`
	TimeRange    int64         `json:"time_range"` // seconds; only triggers' queries have it
	Granularity  int64         `json:"granularity"`
	Limit        int           `json:"limit"`
	Orders       any           `json:"orders"`
}

type calculation struct {
	Op     string `json:"op"`
	Column string `json:"column"`
}

type filter struct {
	Column string          `json:"column"`
	Op     string          `json:"op"`
	Value  json.RawMessage `json:"value"`
	want   field.Value
}

// name is what results call the calculation.
func (c calculation) name() string {
	if c.Column == "" {
		return c.Op
	}
	return c.Op + "(" + c.Column + ")"
}

// percentiles are the shares that the API's operations ask for.
var percentiles = map[string]float64{
	"P001": 0.001, "P01": 0.01, "P05": 0.05, "P10": 0.10, "P20": 0.20, "P25": 0.25, "P50": 0.50, "P75": 0.75, "P80": 0.80, "P90": 0.90, "P95": 0.95, "P99": 0.99, "P999": 0.999,
}

// readAsking reads a specification. An error says what of it cannot be judged.
func readAsking(spec json.RawMessage) (*asking, error) {
	a, err := readCalculations(spec)
	if err != nil {
		return nil, err
	}
	if a.Start == nil || a.End == nil || a.TimeRange != 0 {
		return nil, fmt.Errorf("its window is not given by start_time and end_time")
	}
	return a, nil
}

// readCalculations reads a specification, whatever its window.
func readCalculations(spec json.RawMessage) (*asking, error) {
	dec := json.NewDecoder(bytes.NewReader(spec))
	dec.DisallowUnknownFields()
	var a asking
	if err := dec.Decode(&a); err != nil {
		return nil, fmt.Errorf("its specification says what is not judged: %w", err)
	}
	if a.Combination != "" && a.Combination != "AND" {
		return nil, fmt.Errorf("its filters are combined by %s", a.Combination)
	}
	if len(a.Calculations) == 0 {
		a.Calculations = []calculation{{Op: "COUNT"}}
	}
	for _, c := range a.Calculations {
		switch c.Op {
		case "COUNT", "SUM", "AVG", "MIN", "MAX", "COUNT_DISTINCT", "HEATMAP":
		default:
			if _, ok := percentiles[c.Op]; !ok {
				return nil, fmt.Errorf("its calculation %s is not judged", c.Op)
			}
		}
	}
	for i := range a.Filters {
		f := &a.Filters[i]
		if !slices.Contains([]string{"=", ">", ">=", "<", "<=", "exists", "does-not-exist"}, f.Op) {
			return nil, fmt.Errorf("its filter %s is not judged", f.Op)
		}
		if strings.Contains(f.Op, "exist") {
			continue
		}
		want, err := filterValue(f.Value)
		if err != nil {
			return nil, err
		}
		f.want = want
	}
	return &a, nil
}

func filterValue(text json.RawMessage) (field.Value, error) {
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		return field.Value{}, fmt.Errorf("a filter's value cannot be read: %w", err)
	}
	switch v := v.(type) {
	case float64:
		return field.FloatValue(v), nil
	case string:
		return field.StringValue(v), nil
	case bool:
		return field.BoolValue(v), nil
	}
	return field.Value{}, fmt.Errorf("a filter's value %s is not judged", text)
}

// match says whether a canonical value passes.
func (f *filter) match(v field.Value) bool {
	switch f.Op {
	case "exists":
		return v.Kind() != field.Null
	case "does-not-exist":
		return v.Kind() == field.Null
	case "=":
		return v == f.want
	}
	if v.Kind() != f.want.Kind() {
		return false
	}
	less, equal := v.Float() < f.want.Float(), v == f.want
	if v.Kind() == field.String {
		less = v.Str() < f.want.Str()
	}
	switch f.Op {
	case "<":
		return less
	case "<=":
		return less || equal
	case ">":
		return !less && !equal
	}
	return !less || equal
}

// show writes a value for people, numbers without an exponent where they can do without.
func show(v field.Value) string {
	switch v.Kind() {
	case field.Int, field.Float:
		return showNumber(v.Float())
	case field.String:
		return strconv.Quote(v.Str())
	case field.Null, field.Bool:
	}
	return v.String()
}

func showNumber(f float64) string {
	if f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		return strconv.FormatFloat(f, 'f', 0, 64)
	}
	return strconv.FormatFloat(f, 'g', 10, 64)
}

// between writes an expected range.
func between(low, high float64) string {
	if low == high {
		return showNumber(low)
	}
	return showNumber(low) + " to " + showNumber(high)
}
