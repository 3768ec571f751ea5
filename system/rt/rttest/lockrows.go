package rttest

import (
	"context"
	"errors"
	"time"

	"github.com/ratel-sim/ratel/system/rt"
)

func lockRows() []row {
	return []row{
		{"a mutex is held across blocking calls and handed over in order", func(r *running) {
			m := rt.NewMutex(r)
			for _, name := range []string{"a", "b", "c"} {
				r.Go(name, func(ctx context.Context) {
					if err := m.Lock(ctx); err != nil {
						r.note("%v", err)
						return
					}
					defer m.Unlock()
					r.note("%s in", name)
					_ = r.Sleep(ctx, time.Second)
					r.note("%s out", name)
				})
				r.settle()
			}
			r.sleep(time.Minute)
			r.expect("a in", "a out", "b in", "b out", "c in", "c out")
		}},
		{"unlocking hands the mutex over at once: nobody barges in", func(r *running) {
			m := rt.NewMutex(r)
			r.check(m.Lock(r.ctx) == nil, "Lock")
			r.Go("waiter", func(ctx context.Context) {
				if m.Lock(ctx) == nil {
					r.note("waiter")
					m.Unlock()
				}
			})
			r.settle()
			m.Unlock()
			if m.Lock(r.ctx) == nil {
				r.note("again")
				m.Unlock()
			}
			r.expect("waiter", "again")
		}},
		{"a cancelled wait for a mutex leaves it usable", func(r *running) {
			m := rt.NewMutex(r)
			r.check(m.Lock(r.ctx) == nil, "Lock")
			ctx, cancel := r.timeout(time.Second)
			defer cancel()
			r.check(errors.Is(m.Lock(ctx), context.DeadlineExceeded), "Lock beyond the deadline")
			m.Unlock()
			r.check(m.Lock(r.ctx) == nil, "Lock after a cancelled one")
		}},
		{"a mutex handed over and cancelled at once is not lost", func(r *running) {
			for i := range 400 {
				m := rt.NewMutex(r)
				_ = m.Lock(r.ctx)
				ctx, cancel := r.WithCancel(r.ctx)
				r.Go("first", func(context.Context) {
					if m.Lock(ctx) == nil {
						m.Unlock()
					}
				})
				r.settle()
				locked := rt.NewFuture[int](r)
				r.Go("second", func(ctx context.Context) {
					if m.Lock(ctx) == nil {
						locked.Complete(1, nil)
						m.Unlock()
					}
				})
				r.settle()
				if i%2 == 0 {
					cancel()
				}
				m.Unlock()
				cancel()
				r.settle()
				r.check(locked.Done(), "round %d: nobody got the mutex", i)
			}
		}},
		{"unlocking an unlocked mutex panics", func(r *running) {
			defer func() { r.check(recover() != nil, "no panic") }()
			rt.NewMutex(r).Unlock()
		}},
		{"a semaphore serves in order: a large request is not starved", func(r *running) {
			s := rt.NewSemaphore(r, 3)
			r.check(s.Acquire(r.ctx, 2) == nil, "Acquire")
			r.Go("large", func(ctx context.Context) { r.note("large %v", s.Acquire(ctx, 3)); s.Release(3) })
			r.settle()
			r.check(!s.TryAcquire(1), "TryAcquire overtook a waiter")
			r.Go("small", func(ctx context.Context) { r.note("small %v", s.Acquire(ctx, 1)); s.Release(1) })
			r.settle()
			r.expect()
			s.Release(2)
			r.settle()
			r.expect("large <nil>", "small <nil>")
			r.check(s.TryAcquire(3), "not all units came back")
		}},
		{"a large request that gives up lets smaller ones through", func(r *running) {
			s := rt.NewSemaphore(r, 3)
			r.check(s.Acquire(r.ctx, 2) == nil, "Acquire")
			ctx, cancel := r.WithCancel(r.ctx)
			r.Go("large", func(context.Context) { r.note("large %v", s.Acquire(ctx, 3)) })
			r.settle()
			r.Go("small", func(ctx context.Context) { r.note("small %v", s.Acquire(ctx, 1)) })
			r.settle()
			cancel()
			r.settle()
			r.expect("large context canceled", "small <nil>")
		}},
		{"units granted and cancelled at once are not lost", func(r *running) {
			for i := range 400 {
				s := rt.NewSemaphore(r, 1)
				_ = s.Acquire(r.ctx, 1)
				ctx, cancel := r.WithCancel(r.ctx)
				r.Go("first", func(context.Context) {
					if s.Acquire(ctx, 1) == nil {
						s.Release(1)
					}
				})
				r.settle()
				if i%2 == 0 {
					cancel()
				}
				s.Release(1)
				cancel()
				r.settle()
				r.check(s.TryAcquire(1), "round %d: the unit is gone", i)
			}
		}},
		{"asking for what can never be had is an error", func(r *running) {
			s := rt.NewSemaphore(r, 3)
			r.check(s.Acquire(r.ctx, 4) != nil, "4 of 3 units")
			r.check(s.Acquire(r.ctx, -1) != nil, "-1 units")
			r.check(!s.TryAcquire(4), "TryAcquire of 4 of 3 units")
			r.check(s.Acquire(r.ctx, 3) == nil, "3 of 3 units")
		}},
		{"giving back too much panics", func(r *running) {
			s := rt.NewSemaphore(r, 1)
			defer func() {
				r.check(recover() != nil, "no panic")
				r.check(s.TryAcquire(1), "the failed Release broke the semaphore")
			}()
			s.Release(1)
		}},
	}
}
