package loadgen

import (
	"encoding/json"
	"fmt"
	"time"
)

// Shapes of queries. Windows are of event time and end with the second in which they are asked, so that what was sent just
// now is in them.
const (
	QueryFresh   = "fresh"   // COUNT by service over the last 10 s
	QueryRecent  = "recent"  // COUNT, AVG and P95 of the duration by route over the last minute
	QueryOld     = "old"     // the same from the beginning until a minute ago
	QueryAll     = "all"     // COUNT by service, and its series, from the beginning
	QueryErrors  = "errors"  // COUNT where the status is 500 or above, by service and route, over the last five minutes
	QueryHeatmap = "heatmap" // HEATMAP of the duration over the last minute
	QueryUnique  = "unique"  // COUNT_DISTINCT of the route, MIN, MAX and SUM of the duration, from the beginning
	QueryCover   = "cover"   // COUNT and MAX of the sequence by producer, from the beginning
)

// QueryShapes lists all shapes.
func QueryShapes() []string {
	return []string{QueryFresh, QueryRecent, QueryOld, QueryAll, QueryErrors, QueryHeatmap, QueryUnique, QueryCover}
}

// WantsSeries says whether queries of a shape ask for the time series beside the table.
func WantsSeries(shape string) bool { return shape == QueryAll }

const (
	// shortestWindow is what a window is stretched to, backwards: ten intervals of a second are the fewest that a query has.
	shortestWindow = 10
	longestWindow  = 7 * 24 * 60 * 60
	// queryLimit is the most groups that all of the API's sources agree on.
	queryLimit = 1000
)

// querySpec is a specification as the API takes it.
type querySpec struct {
	Calculations []queryCalc   `json:"calculations"`
	Filters      []queryFilter `json:"filters,omitempty"`
	Breakdowns   []string      `json:"breakdowns,omitempty"`
	Start        int64         `json:"start_time"`
	End          int64         `json:"end_time"`
	Granularity  int64         `json:"granularity,omitempty"`
	Limit        int           `json:"limit"`
}

type queryCalc struct {
	Op     string `json:"op"`
	Column string `json:"column,omitempty"`
}

type queryFilter struct {
	Column string `json:"column"`
	Op     string `json:"op"`
	Value  int    `json:"value"`
}

// SpecFor is the specification of a query of a shape that is asked now about a run that began then. Its window is in whole
// seconds of event time, [start_time, end_time): it is at least ten seconds long, if need be by beginning before the run
// did, and a week at most. It is a pure function. It panics on a shape that is not in [QueryShapes].
func SpecFor(shape string, now, began time.Time) json.RawMessage {
	first, end := began.Unix(), now.Unix()+1
	count, duration := queryCalc{Op: "COUNT"}, func(op string) queryCalc { return queryCalc{op, FieldDuration} }
	q := querySpec{Start: first, End: end, Limit: queryLimit}
	switch shape {
	case QueryFresh:
		q.Start = end - 10
		q.Calculations, q.Breakdowns = []queryCalc{count}, []string{FieldService}
	case QueryRecent, QueryOld:
		if shape == QueryOld {
			q.End = end - 60
		} else {
			q.Start = end - 60
		}
		q.Calculations, q.Breakdowns = []queryCalc{count, duration("AVG"), duration("P95")}, []string{FieldRoute}
	case QueryAll:
		q.Calculations, q.Breakdowns = []queryCalc{count}, []string{FieldService}
	case QueryErrors:
		q.Start = end - 5*60
		q.Calculations, q.Breakdowns = []queryCalc{count}, []string{FieldService, FieldRoute}
		q.Filters = []queryFilter{{FieldStatus, ">=", 500}}
	case QueryHeatmap:
		q.Start = end - 60
		q.Calculations = []queryCalc{duration("HEATMAP")}
	case QueryUnique:
		q.Calculations = []queryCalc{{"COUNT_DISTINCT", FieldRoute}, duration("MIN"), duration("MAX"), duration("SUM")}
	case QueryCover:
		q.Calculations, q.Breakdowns = []queryCalc{count, {"MAX", FieldSeq}}, []string{FieldProducer}
	default:
		panic(fmt.Sprintf("loadgen: SpecFor: there is no shape %q of queries, only %q", shape, QueryShapes()))
	}
	q.Start = max(min(q.Start, q.End-shortestWindow), q.End-longestWindow)
	if WantsSeries(shape) {
		// A hundred intervals if they are of whole seconds.
		q.Granularity = (q.End - q.Start + 99) / 100
	}
	text, err := json.Marshal(&q)
	if err != nil {
		panic(err) // plain structs of strings and numbers
	}
	return text
}
