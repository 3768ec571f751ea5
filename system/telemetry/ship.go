package telemetry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/rt"
)

// farewell bounds how long the end of a role waits for the observer to take its last words.
const farewell = 500 * time.Millisecond

// PartlyTakenError is an observer's that has answered for each event of a batch and has taken some.
type PartlyTakenError struct {
	Taken, Of int
	Why       string // what was said of the last that was not taken
}

// Error implements error.
func (e *PartlyTakenError) Error() string {
	return fmt.Sprintf("%d of %d events were not taken: %s", e.Of-e.Taken, e.Of, e.Why)
}

// Start begins to tick and to send. Both are tasks of the role's process and end with it.
func (t *Recorder) Start() {
	if t == nil {
		return
	}
	t.r.Go("telemetry ticks", func(ctx context.Context) {
		t.tick()
		for every := rt.NewTicker(t.r, t.cfg.Every); every.Next(ctx) == nil; {
			t.tick()
		}
	})
	if t.to == nil {
		return
	}
	t.r.Go("telemetry", func(ctx context.Context) {
		for t.r.Sleep(ctx, t.cfg.Every) == nil {
			t.ship(ctx, t.cfg.Timeout)
		}
	})
}

// End says how things are now and sends what waits, when the role has ended. It takes at most half a second.
func (t *Recorder) End(ctx context.Context) {
	if t == nil {
		return
	}
	t.tick()
	if t.to != nil {
		t.ship(ctx, min(farewell, t.cfg.Timeout))
	}
}

// tick says how things are.
func (t *Recorder) tick() {
	now := t.r.Now()
	t.mu.Lock()
	gap := now.Sub(t.ticked)
	if t.ticked.IsZero() {
		gap = 0
	}
	t.ticked = now
	totals, waiting := t.totals, t.count
	t.mu.Unlock()
	fields := make([]Field, 0, 64)
	fields = append(fields, Millis("tick.gap_ms", gap),
		Int("telemetry.sent", totals.Sent), Int("telemetry.dropped", totals.Dropped), Int("telemetry.failed", totals.Failed), Int("telemetry.waiting", int64(waiting)))
	for _, source := range t.sources {
		fields = source(fields)
	}
	t.Record(KindTick, 1, fields...)
	shown := Snapshot{Tick: fields}
	for _, source := range t.loops {
		source(func(loop ...Field) {
			t.Record(KindLoop, 1, loop...)
			shown.Loops = append(shown.Loops, slices.Clone(loop))
		})
	}
	t.mu.Lock()
	t.latest = shown
	t.mu.Unlock()
}

// ship hands over what waits. What the observer does not take is gone: it is counted, and never sent again, or an observer
// that is overloaded would be sent ever more.
func (t *Recorder) ship(ctx context.Context, patience time.Duration) {
	t.mu.Lock()
	batch, n := t.pending, t.count
	// The observer's client may still read a batch that was given up, so its memory is not used again.
	t.pending, t.count, t.size = nil, 0, len(batch)
	t.mu.Unlock()
	if n == 0 {
		return
	}
	ctx, cancel := t.r.WithTimeout(ctx, patience)
	err := t.to.Observe(ctx, t.id.Role, append(batch, ']'))
	cancel()
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case err == nil:
		t.totals.Sent += int64(n)
	case t.bugs.Has(planted.TelemetryKept):
		if t.count > 0 {
			batch = append(append(slices.Clip(batch), ','), t.pending[1:]...)
		}
		t.pending, t.count = batch, t.count+n
	default:
		taken := 0
		if part, ok := errors.AsType[*PartlyTakenError](err); ok && part.Of == n {
			taken = part.Taken
		}
		t.totals.Sent += int64(taken)
		t.totals.Failed += int64(n - taken)
	}
}

// Await does nothing but where the bug TelemetryBlocks is planted: then its caller waits for the observer to take what was said.
func (t *Recorder) Await(ctx context.Context) {
	if t.On() && t.bugs.Has(planted.TelemetryBlocks) {
		t.ship(ctx, t.cfg.Timeout)
	}
}
