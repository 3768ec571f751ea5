package event

import (
	"math"
	"testing"
)

func TestWeight(t *testing.T) {
	t.Parallel()
	for rate, want := range map[int64]int64{math.MinInt64: 1, -1: 1, 0: 1, 1: 1, 2: 2, MaxWeight - 1: MaxWeight - 1, MaxWeight: MaxWeight, MaxWeight + 1: MaxWeight, math.MaxInt64: MaxWeight} {
		if got := Weight(rate); got != want {
			t.Errorf("rate %d weighs %d, want %d", rate, got, want)
		}
	}
}
