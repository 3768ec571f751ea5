package loadgen

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// intended lists when a spec's batches are intended, without time passing.
func intended(s Spec, until time.Duration) []time.Duration {
	p := s.pacer()
	var at time.Duration
	var out []time.Duration
	for hits := uint64(0); ; hits++ {
		wait, stop := p.Pace(at, hits)
		if at += max(wait, 0); stop || at >= until {
			return out
		}
		out = append(out, at)
	}
}

func TestRatesAreMet(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		spec Spec
		want float64 // batches within 60 s
	}{
		{Spec{Shape: Steady, EventsPerSecond: 1000, EventsPerBatch: 10}, 6000},
		{Spec{Shape: Steady, EventsPerSecond: 12.5, EventsPerBatch: 1}, 750},
		{Spec{Shape: Steady, EventsPerSecond: 1, EventsPerBatch: 10}, 6},
		{Spec{Shape: Ramp, EventsPerSecond: 100, ToPerSecond: 1000, EventsPerBatch: 10, Length: time.Minute}, 3300},
		{Spec{Shape: Ramp, EventsPerSecond: 1000, ToPerSecond: 100, EventsPerBatch: 10, Length: time.Minute}, 3300},
		{Spec{Shape: Wave, EventsPerSecond: 1000, EventsPerBatch: 10, Length: time.Minute}, 6000},
		{Spec{Shape: Wave, EventsPerSecond: 1000, EventsPerBatch: 10, Period: 10 * time.Second, Amplitude: 0.9}, 6000},
	} {
		times := intended(c.spec, time.Minute)
		if n := float64(len(times)); math.Abs(n-c.want) > 0.01*c.want+1 {
			t.Errorf("%+v: %v batches, want %v", c.spec, n, c.want)
		}
		if !slices.IsSorted(times) {
			t.Errorf("%+v: goes back in time", c.spec)
		}
	}
	up := intended(Spec{Shape: Ramp, EventsPerSecond: 100, ToPerSecond: 1000, EventsPerBatch: 10, Length: time.Minute}, 30*time.Second)
	if n := len(up); n < 950 || n > 1000 { // 30 s of 10 to 55 a second
		t.Errorf("the first half of the ramp has %d batches", n)
	}
}

// TestBurstsComeWhenStated compares the pacer with a count of what is due, second by second.
func TestBurstsComeWhenStated(t *testing.T) {
	t.Parallel()
	s := Spec{Shape: Burst, EventsPerSecond: 100, ToPerSecond: 1000, EventsPerBatch: 10, BurstEvery: 20 * time.Second, BurstLength: 3 * time.Second}
	perSecond := map[int]int{}
	for _, at := range intended(s, 61*time.Second+time.Nanosecond) {
		perSecond[int((at-1)/time.Second)]++ // what is due at a second's end belongs to it
	}
	for second := range 61 {
		want := 10
		if second >= 20 && second%20 < 3 {
			want = 100
		}
		if got := perSecond[second]; got != want {
			t.Errorf("second %d has %d batches, expected %d", second, got, want)
		}
	}
}

func TestBurstsMatchASlowCount(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		batch := rapid.IntRange(1, 100).Draw(t, "events per batch")
		rate := func(what string) float64 { return rapid.Float64Range(float64(batch), 5000).Draw(t, what) }
		s := Spec{
			Shape: Burst, EventsPerBatch: batch, EventsPerSecond: rate("low"), ToPerSecond: rate("high"),
			BurstEvery: time.Duration(rapid.Int64Range(int64(10*time.Millisecond), int64(10*time.Second)).Draw(t, "every")), Clients: 1, Datasets: 1, Timeout: 1,
		}
		s.BurstLength = time.Duration(rapid.Int64Range(1, int64(s.BurstEvery)).Draw(t, "length"))
		if err := s.check(0); err != nil {
			t.Fatal(err)
		}
		p := s.pacer()
		var at time.Duration
		due := 0.0
		for hits := range uint64(200) {
			wait, stop := p.Pace(at, hits)
			if stop || wait < 0 {
				t.Fatalf("hit %d: waits %v, stop %v", hits, wait, stop)
			}
			// Integrate piece by piece from this hit to the next.
			for left := wait; left > 0; {
				phase := at % s.BurstEvery
				piece := s.BurstEvery - phase
				if at >= s.BurstEvery && phase < s.BurstLength {
					piece = s.BurstLength - phase
				}
				piece = min(piece, left)
				due += p.Rate(at) * piece.Seconds()
				at, left = at+piece, left-piece
			}
			if math.Abs(due-float64(hits+1)) > 1e-6+2e-9*max(s.EventsPerSecond, s.ToPerSecond)*float64(hits+1) {
				t.Fatalf("at %v, when hit %d is sent, %v are due", at, hits+1, due)
			}
		}
	})
}

func TestBurstsLastForYears(t *testing.T) {
	t.Parallel()
	s := Spec{Shape: Burst, EventsPerSecond: 1e9, ToPerSecond: 1e9, EventsPerBatch: 1, BurstEvery: 24 * time.Hour, BurstLength: time.Hour}
	p := s.pacer()
	year := 365 * 24 * time.Hour
	if wait, stop := p.Pace(year-time.Second, uint64(year)-1); stop || wait != time.Second {
		t.Errorf("a year on: waits %v, stop %v", wait, stop)
	}
	if _, stop := p.Pace(0, math.MaxUint64/2); !stop {
		t.Error("goes on beyond what a duration can say")
	}
}
