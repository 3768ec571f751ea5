package rt

import (
	"context"
	"time"
)

// Ticker paces one task on an absolute schedule: work between two calls of Next does not shift the later ticks, and
// ticks missed meanwhile are skipped, not made up for.
type Ticker struct {
	r     Runtime
	every time.Duration
	next  time.Time
}

// NewTicker returns a ticker whose first tick is due every after now. every must be positive.
func NewTicker(r Runtime, every time.Duration) *Ticker {
	if every <= 0 {
		panic("rt: NewTicker: the interval must be positive")
	}
	return &Ticker{r: r, every: every, next: r.Now().Add(every)}
}

// Next blocks until the next tick, or returns ctx's error.
func (t *Ticker) Next(ctx context.Context) error {
	now := t.r.Now()
	wait := t.next.Sub(now)
	switch {
	case wait > t.every:
		// The node's clock was set back. Waiting for the old schedule could take hours; start a new one.
		t.next, wait = now.Add(t.every), t.every
	case wait <= 0:
		missed := -wait / t.every
		t.next = t.next.Add(missed * t.every)
		if -wait%t.every != 0 {
			t.next = t.next.Add(t.every)
		}
		wait = t.next.Sub(now)
	}
	if err := t.r.Sleep(ctx, wait); err != nil {
		return err
	}
	t.next = t.next.Add(t.every)
	return nil
}
