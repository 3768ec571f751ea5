package check

import (
	"bytes"
	"encoding/json"
	"testing"

	"pgregory.net/rapid"
)

func TestACleanHistoryPasses(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		e := drawShape(t).history()
		j := Judge(e)
		if j.Verdict != Pass {
			t.Fatal(verdicts(j))
		}
		for _, res := range j.Results {
			if len(res.Findings) > 0 {
				t.Fatalf("%s passes with findings: %+v", res.Name, res.Findings)
			}
		}
		if l := j.Ledger; l.Lost != 0 || l.Held < l.Accepted || l.Offered != l.Accepted+l.Throttled+l.Refused+l.Malformed+l.Unknown+l.NotSent || l.UnknownKept != l.Held-l.Accepted {
			t.Fatalf("the ledger does not add up: %+v", l)
		}
	})
}

func TestJudgedAgainTheBytesAreTheSame(t *testing.T) {
	t.Parallel()
	e := defaultShape().history()
	first, err := json.Marshal(Judge(e))
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if again, err := json.Marshal(Judge(e)); err != nil || !bytes.Equal(first, again) {
			t.Fatalf("another judgement (%v)", err)
		}
	}
}

func BenchmarkJudge(b *testing.B) {
	s := defaultShape()
	s.perSecond, s.before, s.during, s.after = 100, 30e9, 30e9, 30e9
	e := s.history()
	b.ReportAllocs()
	for b.Loop() {
		if j := Judge(e); j.Verdict != Pass {
			b.Fatal(verdicts(j))
		}
	}
	b.ReportMetric(float64(len(e.Ops)*s.batch), "events")
}
