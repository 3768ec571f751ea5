package check

import (
	"slices"
	"strings"
	"time"

	"github.com/ratel-sim/ratel/scenarios/plan"
)

// isQueryMetric says whether a metric is computed from what the readers saw.
func isQueryMetric(name string) bool { return strings.HasPrefix(name, "query.") }

// queryBin is the queries that were to be sent in a stretch, and the ages of what they did not count yet.
type queryBin struct {
	counts          QueryCounts
	latencies, ages []uint64
}

// queryBins sorts the queries of a stretch into n parts of a length; what is left over is in the last.
func (r *run) queryBins(from, to, length time.Duration, n int) []queryBin {
	bins := make([]queryBin, n)
	of := func(at time.Duration) *queryBin {
		if at < from || at >= to {
			return nil
		}
		return &bins[min(int((at-from)/length), n-1)]
	}
	for i, o := range r.ask.outcomes {
		q := &r.e.Queries[i]
		if b := of(q.Intended); b != nil {
			b.counts.add(o)
			if o >= unjudged {
				b.latencies = append(b.latencies, pack(q.Done-q.Intended, 1))
			}
		}
	}
	for _, a := range r.ask.ages {
		if b := of(a.at); b != nil {
			b.ages = append(b.ages, pack(a.age, 1))
		}
	}
	return bins
}

// value is a metric of a bin; false if nothing bears on it.
func (b *queryBin) value(metric string) (float64, bool) {
	c := &b.counts
	asked := c.Asked - c.Early
	bad := c.Failed + c.Unanswered
	answered := c.Answered()
	l := distribution(b.latencies)
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
		l := distribution(b.ages)
		return l.Max.Seconds(), l.Events > 0
	}
	return 0, false
}

// queryValue is a metric of the queries that were to be sent in [from, to); false if none bears on it.
func (r *run) queryValue(metric string, from, to time.Duration) (float64, bool) {
	return r.queryBins(from, to, to-from, 1)[0].value(metric)
}

// queryPoints cuts a stretch into seconds, those without anything to measure left out, and says how long nothing may be
// measured: queries come as often as the readers ask.
func (r *run) queryPoints(metric string, from, to time.Duration) ([]point, time.Duration) {
	n := int(min((to-from+binLength-1)/binLength, 1<<20))
	var points []point
	for i, b := range r.queryBins(from, to, binLength, n) {
		p := point{from: from + time.Duration(i)*binLength, to: min(from+time.Duration(i+1)*binLength, to)}
		if i == n-1 {
			p.to = to
		}
		v, ok := b.value(metric)
		if p.value = v; ok {
			points = append(points, p)
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
