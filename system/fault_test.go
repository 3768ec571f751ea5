package system

import (
	"testing"
	"time"
)

func TestDegradation(t *testing.T) {
	t.Parallel()
	errs := func(rate float64) Fault { return Fault{Kind: FaultErrors, Rate: rate} }
	slow := func(d time.Duration) Fault { return Fault{Kind: FaultSlow, Delay: d} }
	for name, tt := range map[string]struct {
		faults []Fault
		rate   float64
		delay  time.Duration
	}{
		"none":                    {},
		"one rate, to the bit":    {[]Fault{errs(0.3)}, 0.3, 0},
		"rates are independent":   {[]Fault{errs(0.5), errs(0.5)}, 0.75, 0},
		"all fail":                {[]Fault{errs(1), errs(0.5)}, 1, 0},
		"delays add up":           {[]Fault{slow(time.Second), slow(2 * time.Second)}, 0, 3 * time.Second},
		"others are not counted":  {[]Fault{{Kind: FaultStarve, Rate: 0.5, Delay: time.Second}, {Kind: FaultKill}}, 0, 0},
		"both kinds side by side": {[]Fault{errs(0.25), slow(time.Second)}, 0.25, time.Second},
	} {
		if rate, delay := Degradation(tt.faults); rate != tt.rate || delay != tt.delay {
			t.Errorf("%s: rate %v and delay %v, expected %v and %v", name, rate, delay, tt.rate, tt.delay)
		}
	}
}
