package loadgen

import (
	"math"
	"math/bits"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// pacerScale expresses rates, which have fractions, in vegeta's whole hits per duration.
const pacerScale = 1000

// pacer turns the spec into a vegeta pacer of batches: a pure function of the time since the load's start.
func (s *Spec) pacer() vegeta.Pacer {
	rate := func(events float64) vegeta.Rate {
		return vegeta.Rate{Freq: int(math.Round(events / float64(s.EventsPerBatch) * pacerScale)), Per: pacerScale * time.Second}
	}
	switch s.Shape {
	case Ramp:
		slope := (s.ToPerSecond - s.EventsPerSecond) / float64(s.EventsPerBatch) / s.Length.Seconds()
		return vegeta.LinearPacer{StartAt: rate(s.EventsPerSecond), Slope: slope}
	case Wave:
		period, amplitude := s.Period, s.Amplitude
		if period == 0 {
			period = s.Length
		}
		if amplitude == 0 {
			amplitude = 0.5
		}
		return vegeta.SinePacer{Period: period, Mean: rate(s.EventsPerSecond), Amp: rate(s.EventsPerSecond * amplitude)}
	case Burst:
		return burstPacer{
			low: uint64(rate(s.EventsPerSecond).Freq), high: uint64(rate(s.ToPerSecond).Freq),
			every: uint64(s.BurstEvery), length: uint64(s.BurstLength),
		}
	case Steady:
	}
	return rate(s.EventsPerSecond)
}

// burstPacer has two rates: high for the first length of every period but the first, low else. Rates are in hits per
// pacerScale seconds; times are nanoseconds. It counts in whole numbers, so it is the same on every machine.
type burstPacer struct {
	low, high     uint64
	every, length uint64
}

// scaled is how many units of the pacer's count make one hit: rate × nanoseconds.
const scaled = pacerScale * uint64(time.Second)

var _ vegeta.Pacer = burstPacer{}

// u128 is an unsigned number of 128 bits.
type u128 struct{ hi, lo uint64 }

func times(a, b uint64) u128 {
	hi, lo := bits.Mul64(a, b)
	return u128{hi, lo}
}

func (a u128) plus(b u128) u128 {
	lo, carry := bits.Add64(a.lo, b.lo, 0)
	hi, _ := bits.Add64(a.hi, b.hi, carry)
	return u128{hi, lo}
}

func (a u128) minus(b u128) u128 {
	lo, borrow := bits.Sub64(a.lo, b.lo, 0)
	hi, _ := bits.Sub64(a.hi, b.hi, borrow)
	return u128{hi, lo}
}

func (a u128) less(b u128) bool { return a.hi < b.hi || a.hi == b.hi && a.lo < b.lo }

// over divides, rounding down or up. The quotient must fit into 64 bits; it is cut off at their largest else.
func (a u128) over(b uint64, up bool) uint64 {
	if a.hi >= b {
		return math.MaxUint64
	}
	q, rest := bits.Div64(a.hi, a.lo, b)
	if up && rest > 0 {
		q++
	}
	return q
}

// period is what a period with a burst counts.
func (p burstPacer) period() u128 {
	return times(p.high, p.length).plus(times(p.low, p.every-p.length))
}

// when is the first moment by which the units are due.
func (p burstPacer) when(units u128) uint64 {
	first := times(p.low, p.every)
	if !first.less(units) {
		return units.over(p.low, true)
	}
	units = units.minus(first)
	whole := p.period()
	// A period's units fit into 64 bits for any rate and period in use; longer ones are searched from the start.
	n := uint64(0)
	if whole.hi == 0 {
		n = units.over(whole.lo, false)
		done := times(whole.lo, n)
		units = units.minus(done)
	} else {
		for !units.less(whole) {
			units = units.minus(whole)
			n++
		}
	}
	if n >= math.MaxInt64/p.every {
		return math.MaxUint64
	}
	t := (n + 1) * p.every
	if burst := times(p.high, p.length); burst.less(units) {
		return later(t+p.length, units.minus(burst).over(p.low, true))
	}
	return later(t, units.over(p.high, true))
}

// later adds without overflow.
func later(t, d uint64) uint64 {
	if d > math.MaxUint64-t {
		return math.MaxUint64
	}
	return t + d
}

// Pace implements vegeta.Pacer.
func (p burstPacer) Pace(elapsed time.Duration, hits uint64) (wait time.Duration, stop bool) {
	at := p.when(times(hits+1, scaled))
	if at > math.MaxInt64 {
		return 0, true
	}
	return max(time.Duration(at)-elapsed, 0), false
}

// Rate implements vegeta.Pacer.
func (p burstPacer) Rate(elapsed time.Duration) float64 {
	if t := uint64(elapsed); t >= p.every && t%p.every < p.length {
		return float64(p.high) / pacerScale
	}
	return float64(p.low) / pacerScale
}
