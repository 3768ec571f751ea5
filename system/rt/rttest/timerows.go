package rttest

import (
	"context"
	"errors"
	"time"

	"github.com/ratel-sim/ratel/system/rt"
)

func timeRows() []row {
	return []row{
		{"sleeps end in order of their due times", func(r *running) {
			begin := r.Now()
			for _, d := range []time.Duration{30, 10, 50, 20, 40} {
				d *= time.Millisecond
				r.Go("sleeper", func(ctx context.Context) {
					err := r.Sleep(ctx, d)
					r.note("%v after %v %v", d, r.Now().Sub(begin), err)
				})
			}
			r.sleep(time.Second)
			r.expect("10ms after 10ms <nil>", "20ms after 20ms <nil>", "30ms after 30ms <nil>", "40ms after 40ms <nil>", "50ms after 50ms <nil>")
		}},
		{"a sleep of nothing lets others run", func(r *running) {
			turn := false
			r.Go("other", func(context.Context) { r.mu.Lock(); turn = true; r.mu.Unlock() })
			for range 1_000_000 {
				r.sleep(0)
				r.mu.Lock()
				done := turn
				r.mu.Unlock()
				if done {
					return
				}
			}
			r.Error("the other task never ran")
		}},
		{"a cancelled sleep ends at once", func(r *running) {
			begin := r.Now()
			ctx, cancel := r.WithCancel(r.ctx)
			r.Go("sleeper", func(context.Context) {
				err := r.Sleep(ctx, time.Hour)
				r.note("%v after %v", err, r.Now().Sub(begin))
			})
			r.sleep(time.Second)
			cancel()
			r.settle()
			r.expect("context canceled after 1s")
			r.check(errors.Is(r.Sleep(ctx, 0), context.Canceled), "Sleep with an ended context did not say so")
		}},
		{"a cancelled sleep does not cut the next wait short", func(r *running) {
			ctx, cancel := r.WithCancel(r.ctx)
			r.Go("canceller", func(ctx context.Context) { _ = r.Sleep(ctx, time.Second); cancel() })
			begin := r.Now()
			_ = r.Sleep(ctx, 3*time.Second)
			r.sleep(time.Minute)
			r.check(r.Now().Sub(begin) == time.Minute+time.Second, "the next sleep ended after %v", r.Now().Sub(begin))
			again, cancelAgain := r.WithCancel(r.ctx)
			r.Go("canceller", func(ctx context.Context) { _ = r.Sleep(ctx, time.Second); cancelAgain() })
			_ = r.Sleep(again, 3*time.Second)
			bounded, cancelBounded := r.timeout(time.Hour)
			defer cancelBounded()
			err := r.NewParker().Park(bounded)
			r.check(errors.Is(err, context.DeadlineExceeded), "a parker nobody woke returned %v", err)
		}},
		{"a sleep beyond the deadline ends at the deadline", func(r *running) {
			begin := r.Now()
			ctx, cancel := r.timeout(time.Second)
			defer cancel()
			err := r.Sleep(ctx, time.Minute)
			r.check(errors.Is(err, context.DeadlineExceeded), "Sleep returned %v", err)
			r.check(r.Now().Sub(begin) == time.Second, "Sleep took %v", r.Now().Sub(begin))
		}},
		{"a wake-up before parking is not lost, and many are one", func(r *running) {
			p := r.NewParker()
			p.Wake()
			p.Wake()
			r.check(p.Park(r.ctx) == nil, "the first Park failed")
			ctx, cancel := r.timeout(time.Second)
			defer cancel()
			r.check(errors.Is(p.Park(ctx), context.DeadlineExceeded), "the second Park was woken")
		}},
		{"a wake-up wins over the end of the context", func(r *running) {
			p := r.NewParker()
			ctx, cancel := r.WithCancel(r.ctx)
			p.Wake()
			cancel()
			r.check(p.Park(ctx) == nil, "a stored wake-up was not consumed")
			r.check(errors.Is(p.Park(ctx), context.Canceled), "the wake-up was there twice")
		}},
		{"many timeouts that never happen leave later deadlines exact", func(r *running) {
			p := r.NewParker()
			for i := range 100 {
				ctx, cancel := r.timeout(time.Duration(100-i) * time.Second)
				r.Go("waker", func(ctx context.Context) { _ = r.Sleep(ctx, time.Millisecond); p.Wake() })
				r.check(p.Park(ctx) == nil, "park %d", i)
				cancel()
			}
			begin := r.Now()
			for _, d := range []time.Duration{time.Minute, time.Second, time.Hour, time.Millisecond} {
				ctx, cancel := r.timeout(d)
				from := r.Now()
				err := p.Park(ctx)
				cancel()
				r.check(errors.Is(err, context.DeadlineExceeded) && r.Now().Sub(from) == d, "a deadline of %v came after %v: %v", d, r.Now().Sub(from), err)
			}
			r.check(r.Now().Sub(begin) == time.Hour+time.Minute+time.Second+time.Millisecond, "the deadlines add up to %v", r.Now().Sub(begin))
		}},
		{"a ticker keeps an absolute schedule and skips what it missed", func(r *running) {
			begin := r.Now()
			tick := rt.NewTicker(r, 10*time.Second)
			for _, work := range []time.Duration{0, 3 * time.Second, 25 * time.Second, 10 * time.Second, 0} {
				r.check(tick.Next(r.ctx) == nil, "Next failed")
				r.note("%v", r.Now().Sub(begin))
				if work > 0 {
					r.sleep(work)
				}
			}
			r.expect("10s", "20s", "30s", "1m0s", "1m10s")
			ctx, cancel := r.timeout(time.Second)
			defer cancel()
			r.check(errors.Is(tick.Next(ctx), context.DeadlineExceeded), "Next ignored its context")
		}},
	}
}
