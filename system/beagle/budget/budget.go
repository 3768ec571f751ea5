// Package budget says what the counts of an SLO mean: how much of its error budget is left, how fast it burns, and when it
// will be used up. All functions are pure, over the minutes that [port.Counts] keeps.
//
// Events are those that happened, as sample rates say. Sums of minutes do not overflow over the 90 days that a period may have,
// since a minute has at most [port.MaxCount].
//
// Over a period with N relevant events, of which B were bad, an SLO with the target t (a share, such as 0.999) has
//
//	compliance      1 - B/N
//	error budget    (1-t)·N bad events
//	budget left     1 - B/((1-t)·N), a share of the budget: 1 is all of it, 0 none, below 0 is overspent
//	burn rate       (b/n)/(1-t) over a window with n events and b bad ones: at 1 a budget lasts exactly one period
//
// as the Google SRE Workbook (chapter 5, Alerting on SLOs) and Honeycomb's documentation of SLOs define them. A period or
// window without events has used up nothing: its compliance is 1 and its burn rate 0.
package budget

import (
	"math"
	"time"

	"github.com/ratel-sim/ratel/system/port"
)

const million = 1_000_000

// Objective is what an SLO demands.
type Objective struct {
	TargetPerMillion int           // of the relevant events that must be good; 0 to 1,000,000
	Period           time.Duration // over which
}

// share is the part of the events that may be bad, 0 to 1.
func (o Objective) share() float64 {
	return float64(million-min(max(o.TargetPerMillion, 0), million)) / million
}

// Sum is how many events were good, of how many.
type Sum struct{ Good, Total int64 }

// Bad is how many were not good.
func (s Sum) Bad() int64 { return s.Total - s.Good }

// Compliance is the share of good events; 1 if there were none.
func (s Sum) Compliance() float64 {
	if s.Total <= 0 {
		return 1
	}
	return float64(s.Good) / float64(s.Total)
}

// Over sums up the minutes that begin in [from, to). Minutes may come in any order; one that comes twice counts twice.
func Over(counts []port.SLOCount, from, to time.Time) Sum {
	var s Sum
	for i := range counts {
		if at := counts[i].Minute; at >= ceilSecond(from) && at < ceilSecond(to) {
			s.Good += counts[i].Good
			s.Total += counts[i].Total
		}
	}
	return s
}

// ceilSecond is the first whole second that is not before t: a minute, which begins at a whole second, begins at or after
// t exactly if it is not below that.
func ceilSecond(t time.Time) int64 {
	if t.Nanosecond() > 0 {
		return t.Unix() + 1
	}
	return t.Unix()
}

// Left is the share of the error budget that is left after s: 1 - bad/(share·total). It is 1 without events, and below 0
// when the budget is overspent. A target of 100 % has no budget: it is 1 without a bad event, else negative infinity.
func (o Objective) Left(s Sum) float64 {
	bad := float64(s.Bad())
	if bad <= 0 {
		return 1
	}
	budget := o.share() * float64(s.Total)
	if budget <= 0 {
		return math.Inf(-1)
	}
	return 1 - bad/budget
}

// LeftAt is Left over the period that ends at now.
func (o Objective) LeftAt(counts []port.SLOCount, now time.Time) float64 {
	return o.Left(Over(counts, now.Add(-o.Period), now))
}

// Burn is how many times faster than the target allows the budget burns at the ratio of s: (bad/total)/share. It is 0
// without a bad event, and positive infinity for a bad event under a target of 100 %.
func (o Objective) Burn(s Sum) float64 {
	bad := float64(s.Bad())
	if bad <= 0 || s.Total <= 0 {
		return 0
	}
	if o.share() <= 0 {
		return math.Inf(1)
	}
	return bad / float64(s.Total) / o.share()
}

// BurnOver is Burn over the window that ends at now.
func (o Objective) BurnOver(counts []port.SLOCount, now time.Time, window time.Duration) float64 {
	return o.Burn(Over(counts, now.Add(-window), now))
}

// Never is how long a budget lasts that is not being used up.
const Never = time.Duration(math.MaxInt64)

// Exhaustion is how long the budget will last if it goes on shrinking as in the last window: with l left now, and L left
// of the same period's budget at the window's beginning, it is window·l/(L-l). It is 0 if nothing is left, and [Never] if
// the budget did not shrink. What was left at the window's beginning is that of the period that ended there, so a budget
// also grows again as bad minutes leave the period.
func (o Objective) Exhaustion(counts []port.SLOCount, now time.Time, window time.Duration) time.Duration {
	left := o.LeftAt(counts, now)
	if left <= 0 {
		return 0
	}
	lost := o.LeftAt(counts, now.Add(-window)) - left
	if math.IsNaN(lost) || lost <= 0 {
		return Never
	}
	lasts := float64(window) * left / lost
	if lasts >= float64(Never) {
		return Never
	}
	return time.Duration(lasts)
}

// Decrease is by how many parts of a million of the budget less is left now than at the window's beginning, as burn alerts
// by budget rate compare; below 0 if it has grown. Bounded to ±10^12.
func (o Objective) Decrease(counts []port.SLOCount, now time.Time, window time.Duration) int64 {
	before, left := o.LeftAt(counts, now.Add(-window)), o.LeftAt(counts, now)
	const most = 1e12
	switch lost := (before - left) * million; {
	case before == left, math.IsNaN(lost): // also when both are without bound
		return 0
	case lost > most:
		return most
	case lost < -most:
		return -most
	default:
		return int64(math.Round(lost))
	}
}
