package check

import (
	"testing"

	"pgregory.net/rapid"
)

func TestACleanPipelinePasses(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		e := drawPipe(t).history()
		j := Judge(e)
		if j.Verdict != Pass {
			for _, res := range j.Results {
				for _, f := range res.Findings {
					t.Log(f.Title, f.Evidence)
				}
			}
			t.Fatal(verdicts(j))
		}
	})
}

func BenchmarkJudgePipeline(b *testing.B) {
	s := defaultPipe()
	s.perSecond, s.batch, s.producers = 80, 10, 50
	e := s.history()
	b.ReportMetric(float64(len(e.Queries)), "queries")
	b.ReportAllocs()
	for b.Loop() {
		if j := Judge(e); j.Verdict != Pass {
			b.Fatal(verdicts(j))
		}
	}
}
