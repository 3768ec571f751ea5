package check

import (
	"slices"
	"strings"
	"time"

	"github.com/ratel-sim/ratel/scenarios/plan"
)

// isQueryMetric says whether a metric is computed from what the readers saw.
func isQueryMetric(name string) bool { return strings.HasPrefix(name, "query.") }

// queryValue is a metric of the queries that were to be sent in [from, to); false if none bears on it.
func (r *run) queryValue(metric string, from, to time.Duration) (float64, bool) {
	var c QueryCounts
	var latencies, ages []uint64
	for i, o := range r.ask.outcomes {
		q := &r.e.Queries[i]
		if q.Intended < from || q.Intended >= to {
			continue
		}
		c.add(o)
		if o >= unjudged {
			latencies = append(latencies, pack(q.Done-q.Intended, 1))
		}
	}
	asked := c.Asked - c.Early
	bad := c.Failed + c.Unanswered
	answered := c.Answered()
	l := distribution(latencies)
	switch metric {
	case "query.errors":
		return float64(bad), asked > 0
	case "query.error_rate":
		return float64(bad) / float64(max(1, asked)), asked > 0
	case "query.partial_rate":
		return float64(c.Partial) / float64(max(1, answered)), answered > 0
	case "query.p50":
		return l.P50.Seconds(), l.Events > 0
	case "query.p99":
		return l.P99.Seconds(), l.Events > 0
	case "query.max":
		return l.Max.Seconds(), l.Events > 0
	case "query.freshness":
		for _, a := range r.ask.ages {
			if a.at >= from && a.at < to {
				ages = append(ages, pack(a.age, 1))
			}
		}
		l := distribution(ages)
		return l.Max.Seconds(), l.Events > 0
	}
	return 0, false
}

// queryPoints cuts a stretch into seconds, those without anything to measure left out, and says how long nothing may be
// measured: queries come as often as the readers ask.
func (r *run) queryPoints(metric string, from, to time.Duration) ([]point, time.Duration) {
	var points []point
	for at := from; at < to && len(points) < 1<<16; at += binLength {
		end := min(at+binLength, to)
		if v, ok := r.queryValue(metric, at, end); ok {
			points = append(points, point{from: at, to: end, value: v})
		}
	}
	hole := gapMax
	for i := range r.plan.Readers {
		reader := &r.plan.Readers[i]
		every := time.Duration(reader.Every)
		if metric == "query.freshness" {
			if !slices.Contains(reader.Shapes, plan.QueryCover) {
				continue
			}
			every *= time.Duration(len(reader.Shapes))
		}
		hole = max(hole, 3*every)
	}
	return points, hole
}
