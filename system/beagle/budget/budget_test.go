package budget_test

import (
	"math"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system/beagle/budget"
	"github.com/ratel-sim/ratel/system/port"
	"pgregory.net/rapid"
)

func at(minutes int) time.Time { return time.Unix(int64(minutes)*60, 0) }

// minutes are counts of consecutive minutes from 0 on, each of good and total.
func minutes(counts ...[2]int64) []port.SLOCount {
	out := make([]port.SLOCount, len(counts))
	for i, n := range counts {
		out[i] = port.SLOCount{SLO: 1, Minute: int64(i) * 60, Good: n[0], Total: n[1]}
	}
	return out
}

// TestFullMinutesOfTheLongestPeriod: no sample rates that clients send make sums overflow.
func TestFullMinutesOfTheLongestPeriod(t *testing.T) {
	t.Parallel()
	const all = 90 * 24 * 60
	full := make([]port.SLOCount, all)
	for i := range full {
		full[i] = port.SLOCount{SLO: 1, Minute: int64(i) * 60, Good: port.MaxCount - port.MaxCount/100, Total: port.MaxCount}
	}
	o := budget.Objective{TargetPerMillion: 980_000, Period: 90 * 24 * time.Hour}
	s := budget.Over(full, at(0), at(all))
	if s.Total != all*port.MaxCount || s.Bad() != all*(port.MaxCount/100) || !near(o.LeftAt(full, at(all)), 0.5) || !near(o.BurnOver(full, at(all), time.Hour), 0.5) {
		t.Errorf("%+v, %v left", s, o.LeftAt(full, at(all)))
	}
}

func near(a, b float64) bool { return a == b || math.Abs(a-b) <= 1e-9*max(1, math.Abs(a), math.Abs(b)) }

func TestExamples(t *testing.T) {
	t.Parallel()
	o := budget.Objective{TargetPerMillion: 990_000, Period: time.Hour}
	// 60 minutes of 100 events each: 60 may be bad. 15 are, 5 of them in the last 10 minutes.
	counts := make([][2]int64, 60)
	for i := range counts {
		counts[i] = [2]int64{100, 100}
	}
	counts[3] = [2]int64{90, 100}
	counts[55] = [2]int64{95, 100}
	c := minutes(counts...)
	if s := budget.Over(c, at(0), at(60)); s != (budget.Sum{Good: 5985, Total: 6000}) || !near(s.Compliance(), 0.9975) {
		t.Errorf("%+v", s)
	}
	if got := o.LeftAt(c, at(60)); !near(got, 0.75) {
		t.Errorf("left %v", got)
	}
	if got := o.BurnOver(c, at(60), 10*time.Minute); !near(got, 0.5) {
		t.Errorf("burn rate %v", got)
	}
	// 10 minutes ago 10 of 50 were used up: 0.8 were left. 0.05 in 10 minutes, so 0.75 last 150.
	if got := o.Exhaustion(c, at(60), 10*time.Minute); math.Abs(float64(got-150*time.Minute)) > float64(time.Millisecond) {
		t.Errorf("lasts %v", got)
	}
	if got := o.Decrease(c, at(60), 10*time.Minute); got != 50_000 {
		t.Errorf("decrease %d", got)
	}
	// Later the bad minutes leave the period, and the budget grows again.
	if got := o.LeftAt(c, at(64)); !near(got, 1-5/(0.01*5600)) {
		t.Errorf("left %v", got)
	}
	if got := o.Exhaustion(c, at(64), 4*time.Minute); got != budget.Never {
		t.Errorf("lasts %v", got)
	}
	if got := o.Decrease(c, at(64), 4*time.Minute); got >= 0 {
		t.Errorf("decrease %d", got)
	}
}

func TestWithoutEventsAndWithoutBudget(t *testing.T) {
	t.Parallel()
	strict := budget.Objective{TargetPerMillion: 1_000_000, Period: time.Hour}
	bad := minutes([2]int64{9, 10})
	for _, o := range []budget.Objective{strict, {TargetPerMillion: 999_000, Period: time.Hour}, {TargetPerMillion: 0, Period: time.Hour}} {
		if l, b, e, d := o.LeftAt(nil, at(60)), o.BurnOver(nil, at(60), time.Hour), o.Exhaustion(nil, at(60), time.Minute), o.Decrease(nil, at(60), time.Minute); l != 1 || b != 0 || e != budget.Never || d != 0 {
			t.Errorf("%+v without events: left %v, burn %v, lasts %v, decrease %v", o, l, b, e, d)
		}
	}
	if (budget.Sum{}).Compliance() != 1 {
		t.Error("compliance without events")
	}
	if !math.IsInf(strict.LeftAt(bad, at(1)), -1) || !math.IsInf(strict.BurnOver(bad, at(1), time.Hour), 1) || strict.Exhaustion(bad, at(1), time.Minute) != 0 {
		t.Error("a bad event under a target of 100 %")
	}
	if d := strict.Decrease(bad, at(1), time.Minute); d != 1e12 {
		t.Errorf("decrease %d", d)
	}
	if d := strict.Decrease(bad, at(2), time.Minute); d != 0 {
		t.Errorf("decrease %d when nothing was left before", d)
	}
}

func TestHalfSeconds(t *testing.T) {
	t.Parallel()
	c := minutes([2]int64{1, 1}, [2]int64{2, 2})
	half := 500 * time.Millisecond
	if s := budget.Over(c, at(0).Add(half), at(1).Add(half)); s.Total != 2 {
		t.Errorf("%+v", s)
	}
	if s := budget.Over(c, at(0).Add(-half), at(1).Add(-half)); s.Total != 1 {
		t.Errorf("%+v", s)
	}
}

type drawn struct {
	o      budget.Objective
	counts []port.SLOCount
	now    time.Time
	window time.Duration
}

func draw(t *rapid.T) drawn {
	d := drawn{o: budget.Objective{TargetPerMillion: rapid.IntRange(1, 999_999).Draw(t, "target"), Period: time.Duration(rapid.IntRange(1, 100).Draw(t, "period")) * time.Minute}}
	for range rapid.IntRange(0, 60).Draw(t, "minutes") {
		total := rapid.Int64Range(0, 1000).Draw(t, "total")
		d.counts = append(d.counts, port.SLOCount{Minute: int64(len(d.counts)) * 60, Total: total, Good: rapid.Int64Range(0, total).Draw(t, "good")})
	}
	d.now = at(rapid.IntRange(0, 120).Draw(t, "now"))
	d.window = time.Duration(rapid.IntRange(1, 60).Draw(t, "window")) * time.Minute
	return d
}

func TestProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := draw(t)
		whole := budget.Over(d.counts, d.now.Add(-d.o.Period), d.now)
		cut := d.now.Add(-time.Duration(rapid.Int64Range(0, int64(d.o.Period)).Draw(t, "cut")))
		early, late := budget.Over(d.counts, d.now.Add(-d.o.Period), cut), budget.Over(d.counts, cut, d.now)
		if early.Good+late.Good != whole.Good || early.Total+late.Total != whole.Total {
			t.Fatalf("%+v and %+v are not %+v", early, late, whole)
		}
		left := d.o.LeftAt(d.counts, d.now)
		if left > 1 || (left == 1) != (whole.Bad() == 0) {
			t.Fatalf("left %v of %+v", left, whole)
		}
		// What is used up of a period's budget is its burn rate.
		if !near(left, 1-d.o.Burn(whole)) {
			t.Fatalf("left %v, burn rate %v", left, d.o.Burn(whole))
		}
		// The target is kept exactly if budget is left.
		share := float64(d.o.TargetPerMillion) / 1e6
		if c := whole.Compliance(); !near(c, share) && (c > share) != (left > 0) {
			t.Fatalf("compliance %v of %v, left %v", c, share, left)
		}
		lasts := d.o.Exhaustion(d.counts, d.now, d.window)
		lost := d.o.LeftAt(d.counts, d.now.Add(-d.window)) - left
		switch {
		case left <= 0:
			if lasts != 0 {
				t.Fatalf("nothing is left, and it lasts %v", lasts)
			}
		case lost <= 0:
			if lasts != budget.Never {
				t.Fatalf("it does not shrink, and lasts %v", lasts)
			}
		case lasts != budget.Never:
			// Going on like that, it is used up just then.
			if rest := left - lost*float64(lasts)/float64(d.window); math.Abs(rest) > 1e-6 {
				t.Fatalf("after %v there is %v left", lasts, rest)
			}
		}
		if dec := d.o.Decrease(d.counts, d.now, d.window); math.Abs(float64(dec)-lost*1e6) > 0.5+1e-6*math.Abs(lost*1e6) {
			t.Fatalf("decrease %d, lost %v", dec, lost)
		}
	})
}

// TestWorse: a good event that turns bad never makes anything look better.
func TestWorse(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := draw(t)
		for i := range d.counts {
			begins := time.Unix(d.counts[i].Minute, 0)
			if d.counts[i].Good == 0 || begins.Before(d.now.Add(-d.window)) || begins.Before(d.now.Add(-d.o.Period)) || !begins.Before(d.now) {
				continue
			}
			left, burn, lasts, dec := d.o.LeftAt(d.counts, d.now), d.o.BurnOver(d.counts, d.now, d.window), d.o.Exhaustion(d.counts, d.now, d.window), d.o.Decrease(d.counts, d.now, d.window)
			d.counts[i].Good--
			if l := d.o.LeftAt(d.counts, d.now); l >= left {
				t.Fatalf("left %v, was %v", l, left)
			}
			if b := d.o.BurnOver(d.counts, d.now, d.window); b <= burn {
				t.Fatalf("burn rate %v, was %v", b, burn)
			}
			if e := d.o.Exhaustion(d.counts, d.now, d.window); e > lasts {
				t.Fatalf("lasts %v, was %v", e, lasts)
			}
			if c := d.o.Decrease(d.counts, d.now, d.window); c < dec {
				t.Fatalf("decrease %d, was %d", c, dec)
			}
			return
		}
	})
}
