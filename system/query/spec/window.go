package spec

import (
	"time"

	"github.com/ratel-sim/ratel/system/document"
)

// maxUnix is the last second whose nanoseconds, and a week more, fit into 64 bits.
const maxUnix = 9_222_000_000

// times reads the time range and the granularity.
func (p *parser) times(o document.Object, now time.Time, q *Query) {
	const week = int64(MaxRange / time.Second)
	before := p.Count()
	length, hasLength := o.At("time_range").Whole(1, week)
	start, hasStart := o.At("start_time").Whole(0, maxUnix)
	end, hasEnd := o.At("end_time").Whole(1, maxUnix)
	if p.Count() > before {
		return
	}
	if !hasLength {
		length = int64(DefaultRange / time.Second)
	}
	switch {
	case hasStart && hasEnd && hasLength:
		o.At("time_range").Wrong(document.CodeInvalid, "time_range, start_time and end_time together say too much: leave one out")
		return
	case hasStart && hasEnd && start >= end:
		o.At("end_time").Wrong(document.CodeInvalid, "end_time %d is not after start_time %d", end, start)
		return
	case hasStart && hasEnd && end-start > week:
		o.At("end_time").Wrong(document.CodeInvalid, "the time range is %d s, at most 7 days (%d s) are allowed", end-start, week)
		return
	case hasStart && hasEnd:
		length = end - start
	case hasStart:
		end = start + length
	default:
		if !hasEnd {
			end = now.Unix() + 1 // what happened this moment counts
		}
		start = end - length
		if start < 0 {
			o.At("time_range").Wrong(document.CodeInvalid, "the time range begins before 1970")
			return
		}
	}
	q.Start, q.End = time.Unix(start, 0).UTC(), time.Unix(end, 0).UTC()
	low, high := granularities(length)
	step := defaultGranularity(length)
	if n, ok := o.At("granularity").Whole(low, high); ok {
		step = n
	}
	q.Granularity = time.Duration(step) * time.Second
}

// granularities bounds the granularity of a time range, in seconds: a thousandth to a tenth of it.
func granularities(length int64) (low, high int64) {
	return max((length+999)/1000, 1), max(length/10, 1)
}

// defaultGranularity is a round number of seconds that cuts the range into about a hundred intervals.
func defaultGranularity(length int64) int64 {
	for _, step := range []int64{1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200} {
		if length/step <= 120 {
			return step
		}
	}
	return 14400
}

// Intervals is where the series' first interval begins (Unix seconds) and how many there are.
func (q *Query) Intervals() (first int64, n int) {
	step := int64(q.Granularity / time.Second)
	start, end := q.Start.Unix(), q.End.Unix()
	first = start - start%step
	return first, int((end - first + step - 1) / step)
}
