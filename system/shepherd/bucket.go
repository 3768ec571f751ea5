package shepherd

import (
	"fmt"
	"math"
	"time"

	"github.com/ratel-sim/ratel/system/port"
)

// bucket is a token bucket on the runtime's clock. A token lets one event in.
type bucket struct {
	limits port.Limits
	tokens float64
	at     time.Time // when tokens was right; zero before the first use
}

// unlimited says that limits do not limit.
func unlimited(l port.Limits) bool { return l.EventsPerSecond <= 0 }

// size is how many tokens the bucket holds. Below one it would never let anything in.
func size(l port.Limits) float64 {
	if l.Burst > 0 {
		return max(l.Burst, 1)
	}
	return max(l.EventsPerSecond, 1)
}

// refill brings the bucket up to date. A bucket that is new, or was not limited so far, is full.
func (b *bucket) refill(l port.Limits, now time.Time) {
	most := size(l)
	switch {
	case unlimited(l):
		b.tokens = 0
	case b.at.IsZero() || unlimited(b.limits):
		b.tokens = most
	default:
		if d := now.Sub(b.at); d > 0 {
			b.tokens += d.Seconds() * l.EventsPerSecond
		}
		b.tokens = min(b.tokens, most)
	}
	b.limits = l
	if b.at.Before(now) {
		b.at = now
	}
}

// whole is how many events the bucket lets in now. A sum of fractions that falls short of a whole by nothing but rounding is that whole.
func (b *bucket) whole() int64 {
	if unlimited(b.limits) {
		return math.MaxInt64
	}
	return int64(b.tokens + 1e-6)
}

// covers says whether n events may be let in together: there is a token for each, or the bucket is full and they are more
// than it holds.
func (b *bucket) covers(n int64) bool {
	return b.whole() >= min(n, int64(size(b.limits)))
}

// rateFor is rate for n events that were not let in together: Next is when they would be.
func (b *bucket) rateFor(n int64) Rate {
	r := b.rate()
	if missing := min(float64(n), float64(int64(size(b.limits)))) - b.tokens; r.Limit > 0 && missing > 0 {
		r.Next = time.Duration(min(missing/b.limits.EventsPerSecond*float64(time.Second), math.MaxInt64/2))
	}
	return r
}

func (b *bucket) take(n int64) {
	if !unlimited(b.limits) {
		b.tokens -= float64(n)
	}
}

// giveBack returns tokens of events that were not let in after all.
func (b *bucket) giveBack(n int64) {
	if !unlimited(b.limits) {
		b.tokens = min(b.tokens+float64(n), size(b.limits))
	}
}

// Rate is what a limit still allows, as the headers RateLimit and RateLimit-Policy tell it. The zero Rate: nothing limits.
type Rate struct {
	Limit     int64         // events that the bucket holds when full
	Window    time.Duration // in which an empty bucket fills
	Remaining int64         // events that would be let in now
	Reset     time.Duration // until the bucket is full
	Next      time.Duration // until the next event would be let in; 0 if one would be now
}

// rate tells how full the bucket is.
func (b *bucket) rate() Rate {
	if unlimited(b.limits) {
		return Rate{}
	}
	most := size(b.limits)
	wait := func(tokens float64) time.Duration {
		seconds := max(tokens, 0) / b.limits.EventsPerSecond
		return time.Duration(min(seconds*float64(time.Second), math.MaxInt64/2))
	}
	r := Rate{Limit: int64(most), Window: wait(most), Remaining: b.whole(), Reset: wait(most - b.tokens)}
	if r.Remaining < 1 {
		r.Next = wait(1 - b.tokens)
	}
	return r
}

// textLimited says which limit an event met.
func textLimited(what, name string, l port.Limits) string {
	return fmt.Sprintf("the rate limit of the %s %q is reached: %g events per second, at most %g at once; the event was not stored, send it again later",
		what, name, l.EventsPerSecond, size(l))
}

// limited says that a team's bucket is empty, so that its requests need not even be read: text is then for the client.
func (s *Shepherd) limited(t *tenant) (r Rate, text string) {
	now := s.r.Now()
	s.mu.Lock()
	limits := t.team.Limits
	t.bucket.refill(limits, now)
	empty := t.bucket.whole() < 1
	if empty {
		t.told.Limited++
		r = t.bucket.rate()
	}
	s.mu.Unlock()
	if empty {
		text = textLimited("team", t.name, limits)
	}
	return r, text
}
