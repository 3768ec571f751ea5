package shepherd

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ratel-sim/ratel/system/port"
)

func TestBucket(t *testing.T) {
	t.Parallel()
	start := time.Unix(1000, 0)
	var b bucket
	at := func(d time.Duration, l port.Limits) int64 {
		b.refill(l, start.Add(d))
		return b.whole()
	}
	ten := port.Limits{EventsPerSecond: 10, Burst: 25}
	if n := at(0, port.Limits{}); n != math.MaxInt64 || b.rate() != (Rate{}) {
		t.Errorf("without limits: %d, %+v", n, b.rate())
	}
	if n := at(0, ten); n != 25 {
		t.Errorf("a new limit begins with %d tokens", n)
	}
	b.take(25)
	if got, want := b.rate(), (Rate{Limit: 25, Window: 2500 * time.Millisecond, Reset: 2500 * time.Millisecond, Next: 100 * time.Millisecond}); got != want {
		t.Errorf("empty: %+v, want %+v", got, want)
	}
	for i, want := range []int64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10} { // sums of tenths do not fall short
		if n := at(time.Duration(i)*100*time.Millisecond, ten); n != want {
			t.Errorf("after %d00 ms: %d", i, n)
		}
	}
	if n := at(500*time.Millisecond, ten); n != 10 {
		t.Errorf("a clock that goes back: %d", n)
	}
	if n := at(time.Hour, ten); n != 25 {
		t.Errorf("after an hour: %d", n)
	}
	if n := at(time.Hour, port.Limits{EventsPerSecond: 7}); n != 7 {
		t.Errorf("a lower limit: %d", n)
	}
	b.take(7)
	b.giveBack(3)
	if n := at(time.Hour, port.Limits{EventsPerSecond: 7}); n != 3 {
		t.Errorf("given back: %d", n)
	}
	b.giveBack(100)
	if n := b.whole(); n != 7 {
		t.Errorf("given back more than it holds: %d", n)
	}
	b = bucket{}
	if n := at(0, port.Limits{EventsPerSecond: 0.01}); n != 1 {
		t.Errorf("less than one a second: %d at first", n)
	}
	b.take(1)
	if n := at(99*time.Second, b.limits); n != 0 {
		t.Errorf("too early: %d", n)
	}
	if n := at(100*time.Second, b.limits); n != 1 {
		t.Errorf("after 100 s: %d", n)
	}
}

// TestBucketNeverLetsInMore: in any window, at most what the bucket holds plus its refill.
func TestBucketNeverLetsInMore(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l := port.Limits{EventsPerSecond: rapid.Float64Range(0.1, 1000).Draw(t, "rate"), Burst: rapid.Float64Range(0, 500).Draw(t, "burst")}
		var b bucket
		start := time.Unix(0, 0)
		now, in := time.Duration(0), int64(0)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now += time.Duration(rapid.Int64Range(0, int64(3*time.Second)).Draw(t, "wait"))
			b.refill(l, start.Add(now))
			n := min(rapid.Int64Range(0, 300).Draw(t, "events"), b.whole())
			if n < 0 {
				t.Fatalf("%d events fit", b.whole())
			}
			b.take(n)
			in += n
			if most := size(l) + now.Seconds()*l.EventsPerSecond; float64(in) > most+1e-3 {
				t.Fatalf("%d events in %v, at most %g", in, now, most)
			}
			if r := b.rate(); r.Remaining > r.Limit || r.Reset < 0 || r.Reset > r.Window+1 || r.Next < 0 || (r.Next > 0) != (r.Remaining == 0) {
				t.Fatalf("%+v", r)
			}
		}
	})
}

func TestRateLimits(t *testing.T) {
	t.Parallel()
	slow := func(burst float64) port.Limits { return port.Limits{EventsPerSecond: 1e-6, Burst: burst} }
	for name, c := range map[string]struct {
		team, datasets, dataset port.Limits
		in                      []int // events let in of batches of 10
		what                    string
	}{
		"none":                        {in: []int{10, 10}},
		"team":                        {team: slow(14), in: []int{10, 4, 0}, what: `team "one"`},
		"each dataset":                {datasets: slow(13), in: []int{10, 3, 0}, what: `dataset "data"`},
		"its own":                     {datasets: slow(3), dataset: slow(12), in: []int{10, 2, 0}, what: `dataset "data"`},
		"the tighter one: team":       {team: slow(4), dataset: slow(12), in: []int{4, 0}, what: `team "one"`},
		"the tighter one: dataset":    {team: slow(30), dataset: slow(7), in: []int{7, 0}, what: `dataset "data"`},
		"a limit below a whole event": {team: slow(0.5), in: []int{1, 0}, what: `team "one"`},
	} {
		b := newBench(t, 2, nil)
		b.dir.on(func(d *fakeDirectory) {
			d.teams["key"] = port.Team{ID: 1, Name: "one", Limits: c.team, DatasetLimits: c.datasets}
			d.limits = c.dataset
		})
		stored := 0
		for i, in := range c.in {
			a := b.Accept(context.Background(), batchOf(10))
			stored += in
			for j, s := range a.Statuses {
				switch {
				case j < in && s.Code != Accepted, j >= in && (s.Code != Throttled || !strings.Contains(s.Error, c.what) || !strings.Contains(s.Error, "1e-06 events per second")):
					t.Errorf("%s: batch %d, event %d: %+v", name, i, j, s)
				}
			}
			if (a.Rate.Limit > 0) != (c.what != "") || a.Rate.Remaining < 0 || a.Rate.Remaining >= 30 {
				t.Errorf("%s: %+v", name, a.Rate)
			}
		}
		if n := len(b.log.storedEvents(t)); n != stored {
			t.Errorf("%s: %d events stored, expected %d", name, n, stored)
		}
		h := b.Health()
		if limited := int64(10*len(c.in) - stored); h.Totals.Throttled != limited || h.Teams[0].Limited != limited || h.Teams[0].Shed != 0 {
			t.Errorf("%s: %+v", name, h)
		}
		other := batchFrom("key2", "other", 5)
		b.dir.on(func(d *fakeDirectory) { d.limits = port.Limits{} })
		if a := b.Accept(context.Background(), other); !slices.Equal(codes(a), []int{202, 202, 202, 202, 202}) {
			t.Errorf("%s: another team: %v", name, codes(a))
		}
	}
}

// TestShedEventsKeepTheirTokens: what found no room has used nothing of the limit.
func TestShedEventsKeepTheirTokens(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, func(c *Config) { c.MaxInFlightEvents, c.TeamShare, c.ChunkEvents = 4, 1, 2 })
	b.dir.on(func(d *fakeDirectory) {
		d.teams["key"] = port.Team{ID: 1, Name: "one", Limits: port.Limits{EventsPerSecond: 1e-6, Burst: 10}}
	})
	b.log.on(func(int32) error { return errHang })
	ctx, stop := context.WithCancel(context.Background())
	stop()
	if a := b.Accept(ctx, batchOf(10)); !slices.Equal(codes(a), []int{504, 504, 504, 504, 429, 429, 429, 429, 429, 429}) {
		t.Fatalf("%v", codes(a))
	}
	b.log.on(func(int32) error { return nil })
	b.log.settle(nil)
	for range 3 {
		b.Accept(context.Background(), batchOf(2))
	}
	if a := b.Accept(context.Background(), batchOf(1)); b.Health().Totals.Accepted != 6 || a.Statuses[0].Code != Throttled {
		t.Errorf("%+v, then %+v", b.Health().Totals, a)
	}
}
