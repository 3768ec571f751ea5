package parquet

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

func BenchmarkDecode(b *testing.B) {
	const n = 8192
	rng := rand.New(rand.NewPCG(1, 2))
	for _, w := range []uint{1, 6, 13, 22, 60} {
		values, codes := make([]int64, n), make([]uint32, n)
		for i := range values {
			values[i] = rng.Int64N(1 << w)
			if i > 0 {
				values[i] += values[i-1]
			}
			codes[i] = uint32(rng.Uint64N(1 << min(w, 30)))
		}
		delta, hybrid := AppendDelta(nil, values), AppendHybrid(nil, codes, min(w, 30))
		b.Run(fmt.Sprintf("delta/bits=%d", w), func(b *testing.B) {
			for b.Loop() {
				if err := DecodeDelta(values, delta); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/value")
		})
		b.Run(fmt.Sprintf("hybrid/bits=%d", min(w, 30)), func(b *testing.B) {
			for b.Loop() {
				if err := DecodeHybrid(codes, hybrid, min(w, 30), 1<<31); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/value")
		})
	}
}
