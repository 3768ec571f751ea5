package check

import (
	"testing"

	"pgregory.net/rapid"
)

// runsDrawn is how many runs of random shapes are made by a test: making one takes tens of milliseconds.
const runsDrawn = 10

func TestACleanPipelinePasses(t *testing.T) {
	t.Parallel()
	for seed := range runsDrawn {
		s := rapid.Custom(drawPipe).Example(seed)
		j := Judge(s.history())
		if j.Verdict == Pass {
			continue
		}
		t.Errorf("%+v: %s", s, verdicts(j))
		for _, res := range j.Results {
			for _, f := range res.Findings {
				t.Log(f.Title, f.Evidence)
			}
		}
	}
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
