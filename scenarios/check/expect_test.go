package check

import (
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/scenarios/plan"
	"github.com/ratel-sim/ratel/system/shepherd"
)

// measured makes a run of one phase from 10 s to 30 s in which a gauge has the given values, one a second from 10.5 s on
// (negative: not measured), and each second's 100 events take the given milliseconds to be accepted (0: none are sent,
// negative: refused).
func measured(gauge, latency []float64) *run {
	pl := &plan.Plan{Phases: []plan.Phase{{Name: "first", Length: plan.Duration(10 * sec)}, {Name: "it", Length: plan.Duration(20 * sec)}}}
	e := &evidence.Evidence{Plan: pl, Run: evidence.Run{Length: 31 * sec}}
	for i, p := range []string{"first", "it"} {
		at := []time.Duration{0, 10 * sec, 30 * sec}
		e.Timeline = append(e.Timeline, evidence.Entry{At: at[i], Kind: evidence.PhaseBegan, Phase: p}, evidence.Entry{At: at[i+1], Kind: evidence.PhaseEnded, Phase: p})
	}
	for i, v := range gauge {
		values := map[string]float64{}
		if v >= 0 {
			values[evidence.UnderReplicated] = v
		}
		e.Samples = append(e.Samples, evidence.Sample{At: 10*sec + time.Duration(i)*sec + sec/2, Values: values})
	}
	seq := uint64(0)
	for i, ms := range latency {
		for k := range 10 {
			if ms == 0 {
				continue
			}
			at := 10*sec + time.Duration(i)*sec + time.Duration(k)*sec/10
			o := evidence.Op{FirstSeq: seq, Count: 10, Intended: at, Sent: at, Done: at + time.Duration(max(1, ms)*1e6), Code: http.StatusOK, Parts: []evidence.Part{{Count: 10, Code: shepherd.Accepted, Offset: -1}}}
			if ms < 0 {
				o.Parts[0].Code = shepherd.Refused
			}
			e.Ops = append(e.Ops, o)
			seq += 10
		}
	}
	r := &run{e: e, plan: pl}
	r.prepare(&Judgement{})
	return r
}

// repeat makes twenty seconds of stretches: n times v, and so on.
func repeat(pairs ...float64) []float64 {
	var list []float64
	for i := 0; i < len(pairs); i += 2 {
		for range int(pairs[i]) {
			list = append(list, pairs[i+1])
		}
	}
	return list
}

func TestExpectations(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		source         string
		gauge, latency []float64
		want           Verdict
	}{
		{"kafka.under_replicated == 0", repeat(20, 0), nil, Pass},
		{"kafka.under_replicated == 0", repeat(19, 0, 1, 1), nil, Fail},
		{"kafka.under_replicated == 0", nil, nil, Inconclusive},
		{"kafka.under_replicated == 0", repeat(20, -1), nil, Inconclusive},
		{"kafka.under_replicated == 0", repeat(7, 0, 6, -1, 7, 0), nil, Inconclusive}, // nothing for seven seconds
		{"kafka.under_replicated == 0", repeat(7, 0, 3, -1, 10, 0), nil, Pass},
		{"kafka.under_replicated == 0", repeat(12, 0, 8, -1), nil, Inconclusive}, // nor at the end
		{"kafka.under_replicated == 0 always", repeat(20, 0), nil, Pass},
		{"kafka.under_replicated == 0 always", repeat(5, 0, 1, 2, 14, 0), nil, Fail},
		{"kafka.under_replicated != 3 always", repeat(20, 0), nil, Pass},
		{"kafka.under_replicated >= 1 always", repeat(20, 1), nil, Pass},

		{"kafka.under_replicated == 0 within 10s", repeat(8, 2, 12, 0), nil, Pass},
		{"kafka.under_replicated == 0 within 10s", repeat(20, 0), nil, Pass},
		{"kafka.under_replicated == 0 within 10s", repeat(11, 2, 9, 0), nil, Fail},
		{"kafka.under_replicated == 0 within 10s", repeat(3, 2, 16, 0, 1, 1), nil, Fail},         // not to the end
		{"kafka.under_replicated == 0 within 10s", repeat(20, 1), nil, Fail},                     // never
		{"kafka.under_replicated == 0 within 10s", repeat(8, 1, 3, -1, 9, 0), nil, Inconclusive}, // between two samples
		{"kafka.under_replicated == 0 within 10s", repeat(11, -1, 9, 0), nil, Inconclusive},
		{"kafka.under_replicated == 0 within 10s", repeat(5, 1, 5, 0, 10, -1), nil, Inconclusive},
		{"kafka.under_replicated == 0 within 10s", repeat(5, 1, 15, -1), nil, Inconclusive},
		{"kafka.under_replicated == 0 within 10s", nil, nil, Inconclusive},

		{"kafka.under_replicated == 0 after 10s", repeat(10, 1, 10, 0), nil, Pass},
		{"kafka.under_replicated == 0 after 10s", repeat(11, 1, 9, 0), nil, Fail},
		{"kafka.under_replicated == 0 after 10s", repeat(10, 0, 10, -1), nil, Inconclusive},

		{"kafka.under_replicated > 0 for 5s", repeat(4, 0, 6, 1, 10, 0), nil, Pass},
		{"kafka.under_replicated > 0 for 5s", repeat(4, 0, 5, 1, 11, 0), nil, Fail}, // five samples span four seconds
		{"kafka.under_replicated > 0 for 5s", repeat(3, 1, 1, 0, 3, 1, 13, 0), nil, Fail},
		{"kafka.under_replicated > 0 for 5s", repeat(3, 1, 8, -1, 3, 1, 6, 0), nil, Inconclusive},
		{"kafka.under_replicated > 0 for 5s", repeat(20, 0), nil, Fail},

		{"ack.p99 < 150ms", nil, repeat(20, 100), Pass},
		{"ack.p99 < 150ms", nil, repeat(20, 150), Fail},
		{"ack.p99 <= 150ms", nil, repeat(20, 150), Pass},
		{"ack.p50 < 150ms", nil, repeat(9, 500, 11, 100), Pass},
		{"ack.p99 < 150ms", nil, repeat(20, 0), Inconclusive},
		{"ack.p99 < 150ms", nil, repeat(20, -1), Inconclusive}, // nothing accepted has no latency
		{"ack.errors == 0", nil, repeat(20, 100), Pass},
		{"ack.errors == 0", nil, repeat(19, 100, 1, -1), Fail},
		{"ack.errors <= 100", nil, repeat(19, 100, 1, -1), Pass},
		{"ack.errors == 0", nil, repeat(20, 0), Inconclusive},
		{"ack.error_rate < 10%", nil, repeat(19, 100, 1, -1), Pass},
		{"ack.error_rate < 5%", nil, repeat(19, 100, 1, -1), Fail},
		{"ack.rate >= 100/s", nil, repeat(20, 100), Pass},
		{"ack.rate > 100/s", nil, repeat(20, 100), Fail},
		{"ack.rate > 0", nil, repeat(20, 0), Fail}, // a rate of nothing is measured
		{"ack.rate > 50 always", nil, repeat(10, 100, 1, 0, 9, 100), Fail},
		{"ack.rate > 50", nil, repeat(10, 100, 1, 0, 9, 100), Pass},
		{"ack.p99 < 150ms after 5s", nil, repeat(5, 900, 15, 100), Pass},
		{"ack.p99 < 150ms after 5s", nil, repeat(6, 900, 14, 100), Fail},
		{"ack.p99 < 150ms within 5s", nil, repeat(5, 900, 15, 100), Pass},
		{"ack.p99 < 150ms within 5s", nil, repeat(6, 900, 14, 100), Fail},
		{"ack.p99 < 150ms within 5s", nil, repeat(2, 900, 17, 100, 1, 900), Fail},
		{"ack.p99 < 150ms for 5s", nil, repeat(6, 900, 5, 100, 9, 900), Pass},
		{"ack.p99 < 150ms for 5s", nil, repeat(6, 900, 4, 100, 10, 900), Fail},
		{"ack.p99 < 150ms always", nil, repeat(19, 100, 1, 900), Fail},
		{"ack.max < 1s", nil, repeat(19, 100, 1, 900), Pass},
	} {
		r := measured(c.gauge, c.latency)
		x := expect(c.source, 1)
		if res := r.judgeExpectation(1, &x); res.Verdict != c.want {
			t.Errorf("%s over %v %v: want %v, got %v: %s", c.source, c.gauge, c.latency, c.want, res.Verdict, res.Summary)
		} else if (res.Verdict == Fail) != (len(res.Findings) == 1) || res.Summary == "" {
			t.Errorf("%s: %v with %d findings: %q", c.source, res.Verdict, len(res.Findings), res.Summary)
		}
	}
}

func TestAPhaseThatDidNotRunHasNoData(t *testing.T) {
	t.Parallel()
	r := measured(repeat(20, 0), nil)
	r.phases[1].ran = false
	x := expect("kafka.under_replicated == 0", 1)
	if res := r.judgeExpectation(1, &x); res.Verdict != Inconclusive {
		t.Errorf("%v: %s", res.Verdict, res.Summary)
	}
}

// TestQuantilesAreExact compares with a sorted list of single latencies.
func TestQuantilesAreExact(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var words []uint64
		var all []time.Duration
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		for range rapid.IntRange(1, 300).Draw(t, "batches") {
			d, n := time.Duration(r.Int64N(1e10)), 1+r.Int64N(20)
			words = append(words, pack(d, n))
			for range n {
				all = append(all, d)
			}
		}
		slices.Sort(all)
		l := distribution(words)
		for _, q := range []struct {
			perMille int
			got      time.Duration
		}{{500, l.P50}, {900, l.P90}, {950, l.P95}, {990, l.P99}, {999, l.P999}, {1000, l.Max}} {
			i := (q.perMille*len(all)+999)/1000 - 1 // the smallest rank that reaches the share, in integers
			if q.got != all[i] {
				t.Fatalf("p%d of %d is %v, want %v", q.perMille, len(all), q.got, all[i])
			}
		}
		if l.Events != int64(len(all)) {
			t.Fatalf("%d events, want %d", l.Events, len(all))
		}
	})
}
