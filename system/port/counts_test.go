package port

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// TestAMinuteNeverHasMoreThanFits: whatever is added in whatever order, a row stays within its bounds, and loses nothing that
// fits.
func TestAMinuteNeverHasMoreThanFits(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var n SLOCount
		total := rapid.OneOf(rapid.Int64Range(0, 3), rapid.Int64Range(0, MaxCount), rapid.Int64Range(MaxCount-3, MaxCount))
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			o := SLOCount{Total: total.Draw(t, "total")}
			o.Good = rapid.Int64Range(0, o.Total).Draw(t, "good")
			want := n
			if float64(n.Total)+float64(o.Total) <= MaxCount { // exact below 2^53
				want.Good, want.Total = n.Good+o.Good, n.Total+o.Total
			}
			if n.Add(o); n != want || n.Good < 0 || n.Good > n.Total || n.Total > MaxCount {
				t.Fatalf("%+v after %+v, want %+v", n, o, want)
			}
		}
	})
}

// TestMinutesOfAPeriodAddUp: those of the longest period of an SLO do not overflow, all of them full.
func TestMinutesOfAPeriodAddUp(t *testing.T) {
	t.Parallel()
	const longest = 90 * 24 * 60
	if math.MaxInt64/longest < MaxCount {
		t.Errorf("%d minutes of %d overflow", longest, int64(MaxCount))
	}
}
