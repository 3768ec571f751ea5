package rttest

import (
	"context"
	"errors"
	"time"

	"github.com/ratel-sim/ratel/system/rt"
)

var errRow = errors.New("row error")

func futureRows() []row {
	return []row{
		{"the first completion of a future wins, for all who wait", func(r *running) {
			f := rt.NewFuture[int](r)
			for range 3 {
				r.Go("waiter", func(ctx context.Context) { v, err := f.Wait(ctx); r.note("%d %v", v, err) })
			}
			r.settle()
			_, _, done := f.Peek()
			r.check(!done && !f.Done(), "done too early")
			r.check(f.Complete(1, errRow), "the first Complete did not win")
			r.check(!f.Complete(2, nil), "the second Complete won")
			r.settle()
			r.expect("1 row error", "1 row error", "1 row error")
			v, err, done := f.Peek()
			r.check(v == 1 && errors.Is(err, errRow) && done, "Peek gave %d, %v, %v", v, err, done)
		}},
		{"a wait for a future ends with its context, a known result is given even then", func(r *running) {
			f := rt.NewFuture[int](r)
			ctx, cancel := r.timeout(time.Second)
			defer cancel()
			_, err := f.Wait(ctx)
			r.check(errors.Is(err, context.DeadlineExceeded), "Wait: %v", err)
			f.Complete(3, nil)
			v, err := f.Wait(ctx)
			r.check(v == 3 && err == nil, "Wait for a known result: %d, %v", v, err)
			v, err = rt.Resolved(r, 4, nil).Wait(ctx)
			r.check(v == 4 && err == nil, "Resolved: %d, %v", v, err)
		}},
		{"OnDone is called once, in order, on the completer's stack", func(r *running) {
			f := rt.NewFuture[int](r)
			for _, name := range []string{"a", "b", "c"} {
				f.OnDone(func(v int, err error) { r.note("%s %d %v", name, v, err) })
			}
			r.expect()
			f.Complete(5, nil)
			r.expect("a 5 <nil>", "b 5 <nil>", "c 5 <nil>")
			f.OnDone(func(v int, _ error) { r.note("late %d", v) })
			r.expect("late 5")
		}},
		{"a group's first error cancels the others and is returned", func(r *running) {
			g, ctx := rt.NewGroup(r, r.ctx)
			g.Go("waits", func(ctx context.Context) error { return r.Sleep(ctx, time.Hour) })
			g.Go("fails", func(ctx context.Context) error { _ = r.Sleep(ctx, time.Second); return errRow })
			begin := r.Now()
			err := g.Wait(r.ctx)
			r.check(errors.Is(err, errRow), "Wait: %v", err)
			r.check(r.Now().Sub(begin) == time.Second, "Wait took %v", r.Now().Sub(begin))
			r.check(ctx.Err() != nil, "the group's context goes on")
		}},
		{"a group without errors waits for all, and its wait ends with a context", func(r *running) {
			g, _ := rt.NewGroup(r, r.ctx)
			for i := range 3 {
				g.Go("sleeper", func(ctx context.Context) error { return r.Sleep(ctx, time.Duration(i+1)*time.Minute) })
			}
			ctx, cancel := r.timeout(time.Second)
			defer cancel()
			r.check(errors.Is(g.Wait(ctx), context.DeadlineExceeded), "Wait ignored its context")
			r.check(g.Wait(r.ctx) == nil, "Wait failed")
			empty, _ := rt.NewGroup(r, r.ctx)
			r.check(empty.Wait(r.ctx) == nil, "Wait for nobody failed")
		}},
	}
}
