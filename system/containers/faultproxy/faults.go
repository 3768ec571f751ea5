package faultproxy

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// fate is what becomes of one request.
type fate struct {
	delay  time.Duration
	refuse bool // answer with an error, without the server
	cut    bool // let the server do it, then cut the connection
}

// dice decides the fate of requests and counts.
type dice struct {
	mu     sync.Mutex
	rand   *rand.Rand
	faults Faults
	counts Counts
}

func newDice(seed uint64) *dice { return &dice{rand: rand.New(rand.NewPCG(seed, 0))} }

func (d *dice) set(f Faults) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults = f
}

func (d *dice) get() (Faults, Counts) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.faults, d.counts
}

// roll decides the next request's fate.
func (d *dice) roll() fate {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.counts.Requests++
	f := fate{delay: d.faults.Delay}
	if f.delay > 0 {
		d.counts.Delayed++
	}
	if d.faults.Errors > 0 && d.rand.Float64() < d.faults.Errors {
		f.refuse = d.rand.IntN(2) == 0
		f.cut = !f.refuse
	}
	return f
}

// refused and cut count what was done in the end: a request that its client gave up while it was held meets neither.
func (d *dice) refused() { d.mu.Lock(); d.counts.Refused++; d.mu.Unlock() }
func (d *dice) cut()     { d.mu.Lock(); d.counts.Cut++; d.mu.Unlock() }

// hold waits, and tells whether the wait came to its end.
func hold(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
