package rt

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"time"
)

// cancelledRuntime's parkers tell their task that its context has ended although a wake-up has come, which on real
// hardware happens between Park's return and the primitive's lock.
type cancelledRuntime struct {
	whileParked func() // runs while the task is parked
}

func (*cancelledRuntime) Now() time.Time                             { return time.Time{} }
func (*cancelledRuntime) Sleep(context.Context, time.Duration) error { return nil }
func (*cancelledRuntime) Go(_ string, f func(context.Context))       { f(context.Background()) }
func (*cancelledRuntime) Rand() *rand.Rand                           { return nil }
func (r *cancelledRuntime) NewParker() Parker                        { return &cancelledParker{r} }
func (*cancelledRuntime) WithCancel(ctx context.Context) (context.Context, context.CancelFunc) {
	return ctx, func() {}
}

func (*cancelledRuntime) WithTimeout(ctx context.Context, _ time.Duration) (context.Context, context.CancelFunc) {
	return ctx, func() {}
}

type cancelledParker struct{ r *cancelledRuntime }

func (p *cancelledParker) Park(context.Context) error {
	p.r.whileParked()
	return context.Canceled
}
func (*cancelledParker) Wake() {}

// countingParker stands for the next task in the list.
type countingParker struct{ wakes int }

func (*countingParker) Park(context.Context) error { return nil }
func (p *countingParker) Wake()                    { p.wakes++ }

// TestLostWakeUp: a waiter that was woken and cancelled at the same time passes the wake-up on to the next one.
func TestLostWakeUp(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, play := range map[string]func(r *cancelledRuntime, next *waiter) error{
		"popper": func(r *cancelledRuntime, next *waiter) error {
			q := NewQueue[int](r, 0)
			r.whileParked = func() { q.poppers.add(next); q.TryPush(1) }
			_, err := q.Pop(ctx)
			return err
		},
		"pusher": func(r *cancelledRuntime, next *waiter) error {
			q := NewQueue[int](r, 1)
			q.TryPush(1)
			r.whileParked = func() { q.pushers.add(next); q.TryPop() }
			return q.Push(ctx, 2)
		},
		"mutex": func(r *cancelledRuntime, next *waiter) error {
			m := NewMutex(r)
			_ = m.Lock(ctx)
			r.whileParked = func() { m.waiters.add(next); m.Unlock() }
			return m.Lock(ctx)
		},
		"semaphore": func(r *cancelledRuntime, next *waiter) error {
			s := NewSemaphore(r, 2)
			_ = s.Acquire(ctx, 2)
			next.units = 1
			r.whileParked = func() { s.waiters.add(next); s.Release(2) }
			err := s.Acquire(ctx, 2)
			if s.free != 1 {
				t.Errorf("semaphore: %d units are free, expected 1", s.free)
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			parker := &countingParker{}
			err := play(&cancelledRuntime{}, &waiter{parker: parker})
			if !errors.Is(err, context.Canceled) || parker.wakes != 1 {
				t.Errorf("the next waiter was woken %d times, %v; expected once, and %v", parker.wakes, err, context.Canceled)
			}
		})
	}
}

// TestFutureWokenAndCancelled: a result that came together with the end of the context is not thrown away.
func TestFutureWokenAndCancelled(t *testing.T) {
	t.Parallel()
	r := &cancelledRuntime{}
	f := NewFuture[int](r)
	r.whileParked = func() { f.Complete(7, nil) }
	if v, err := f.Wait(context.Background()); v != 7 || err != nil {
		t.Errorf("Wait gave %d, %v", v, err)
	}
}
