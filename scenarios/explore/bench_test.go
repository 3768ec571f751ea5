package explore_test

import (
	"context"
	"testing"

	"github.com/ratel-sim/ratel/scenarios/check"
	"github.com/ratel-sim/ratel/scenarios/explore"
)

// BenchmarkSeeds explores broker-loss on all cores, judgement included, with the share of seeds over HTTP that exploring
// has. It measures wall time: what else runs on the machine counts against it.
func BenchmarkSeeds(b *testing.B) {
	o := explore.Options{Plan: planOf(b, "broker-loss", nil), From: 1, Count: b.N}
	b.ReportAllocs()
	b.ResetTimer()
	for _, out := range explore.Seeds(context.Background(), o) {
		if out.Err != nil || out.Verdict != check.Pass {
			b.Errorf("seed %d: %v %s %v", out.Seed, out.Verdict, out.Reason, out.Err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Minutes(), "seeds/min")
}
