package rttest

import (
	"context"
	"errors"
	"time"

	"github.com/ratel-sim/ratel/system/rt"
)

func queueRows() []row {
	return []row{
		{"a queue is first in, first out, beyond its first ring", func(r *running) {
			q := rt.NewQueue[int](r, 0)
			for i := range 100 {
				r.check(q.Push(r.ctx, i) == nil, "Push %d", i)
			}
			r.check(q.Len() == 100, "Len is %d", q.Len())
			for i := range 100 {
				v, err := q.Pop(r.ctx)
				r.check(v == i && err == nil, "Pop %d gave %d, %v", i, v, err)
				if i%3 == 0 {
					r.check(q.TryPush(1000+i), "TryPush")
				}
			}
		}},
		{"waiting poppers are served in order of arrival", func(r *running) {
			q := rt.NewQueue[string](r, 0)
			for _, name := range []string{"a", "b", "c"} {
				r.Go(name, func(ctx context.Context) { v, err := q.Pop(ctx); r.note("%s got %s %v", name, v, err) })
				r.settle()
			}
			for _, v := range []string{"1", "2", "3"} {
				r.check(q.TryPush(v), "TryPush")
				r.settle()
			}
			r.expect("a got 1 <nil>", "b got 2 <nil>", "c got 3 <nil>")
		}},
		{"a full queue holds the pusher back", func(r *running) {
			q := rt.NewQueue[int](r, 2)
			r.Go("pusher", func(ctx context.Context) {
				for i := range 4 {
					err := q.Push(ctx, i)
					r.note("pushed %d %v", i, err)
				}
			})
			r.settle()
			r.expect("pushed 0 <nil>", "pushed 1 <nil>")
			r.check(!q.TryPush(9), "TryPush into a full queue")
			v, ok := q.TryPop()
			r.check(v == 0 && ok, "TryPop gave %d, %v", v, ok)
			r.settle()
			r.expect("pushed 2 <nil>")
			ctx, cancel := r.timeout(time.Second)
			defer cancel()
			r.check(errors.Is(q.Push(ctx, 9), context.DeadlineExceeded), "Push beyond the deadline")
			r.check(q.Len() == 2, "a failed Push left %d elements", q.Len())
		}},
		{"a closed queue is drained, then ends", func(r *running) {
			q := rt.NewQueue[int](r, 1)
			r.check(q.TryPush(1), "TryPush")
			r.Go("pusher", func(ctx context.Context) { r.note("push: %v", q.Push(ctx, 2)) })
			r.settle()
			q.Close()
			q.Close()
			r.settle()
			r.expect("push: " + rt.ErrClosed.Error())
			r.check(!q.TryPush(3), "TryPush after Close")
			v, err := q.Pop(r.ctx)
			r.check(v == 1 && err == nil, "Pop gave %d, %v", v, err)
			_, err = q.Pop(r.ctx)
			r.check(errors.Is(err, rt.ErrClosed), "Pop of the closed and empty queue: %v", err)
		}},
		{"closing wakes every popper", func(r *running) {
			q := rt.NewQueue[int](r, 0)
			for range 3 {
				r.Go("popper", func(ctx context.Context) { _, err := q.Pop(ctx); r.note("%v", err) })
			}
			r.settle()
			q.Close()
			r.settle()
			r.expect(rt.ErrClosed.Error(), rt.ErrClosed.Error(), rt.ErrClosed.Error())
		}},
		{"an ended context wins over what is in the queue", func(r *running) {
			q := rt.NewQueue[int](r, 0)
			r.check(q.TryPush(1), "TryPush")
			ctx, cancel := r.WithCancel(r.ctx)
			cancel()
			_, err := q.Pop(ctx)
			r.check(errors.Is(err, context.Canceled) && q.Len() == 1, "Pop: %v, %d left", err, q.Len())
			r.check(errors.Is(q.Push(ctx, 2), context.Canceled) && q.Len() == 1, "Push with an ended context had an effect")
		}},
		{"a popper woken and cancelled at once loses nothing", func(r *running) {
			for i := range 400 {
				q := rt.NewQueue[int](r, 0)
				got := rt.NewQueue[int](r, 0)
				ctx, cancel := r.WithCancel(r.ctx)
				pop := func(ctx context.Context) {
					if v, err := q.Pop(ctx); err == nil {
						got.TryPush(v)
					}
				}
				r.Go("first", func(context.Context) { pop(ctx) })
				r.settle()
				r.Go("second", pop)
				r.settle()
				if i%2 == 0 {
					cancel()
					q.TryPush(i)
				} else {
					q.TryPush(i)
					cancel()
				}
				r.settle()
				v, ok := got.TryPop()
				r.check(ok && v == i && q.Len() == 0, "round %d: the element was not delivered (%d left)", i, q.Len())
				q.Close()
			}
		}},
		{"a pusher woken and cancelled at once passes the room on", func(r *running) {
			for i := range 400 {
				q := rt.NewQueue[int](r, 1)
				q.TryPush(0)
				ctx, cancel := r.WithCancel(r.ctx)
				r.Go("first", func(context.Context) { _ = q.Push(ctx, 1) })
				r.settle()
				r.Go("second", func(ctx context.Context) { _ = q.Push(ctx, 2) })
				r.settle()
				if i%2 == 0 {
					cancel()
				}
				_, ok := q.TryPop()
				cancel()
				r.settle()
				r.check(ok && q.Len() == 1, "round %d: room for one, but %d are in the queue", i, q.Len())
				q.Close()
			}
		}},
		{"WaitAny tells the lowest that is ready", func(r *running) {
			q, f := rt.NewQueue[int](r, 0), rt.NewFuture[int](r)
			wait := func(want int) {
				i, err := rt.WaitAny(r.ctx, r, q, f)
				r.check(i == want && err == nil, "WaitAny gave %d, %v; expected %d", i, err, want)
			}
			r.Go("pusher", func(ctx context.Context) { _ = r.Sleep(ctx, time.Second); q.TryPush(1) })
			wait(0)
			_, _ = q.TryPop()
			r.Go("completer", func(ctx context.Context) { _ = r.Sleep(ctx, time.Second); f.Complete(1, nil) })
			wait(1)
			q.Close()
			wait(0)
		}},
		{"WaitAny consumes nothing and steals no wake-up", func(r *running) {
			q, never := rt.NewQueue[int](r, 0), rt.NewFuture[int](r)
			for range 2 {
				r.Go("watcher", func(ctx context.Context) { i, err := rt.WaitAny(ctx, r, never, q); r.note("watcher %d %v", i, err) })
			}
			r.settle()
			r.Go("popper", func(ctx context.Context) { v, err := q.Pop(ctx); r.note("popper %d %v", v, err) })
			r.settle()
			q.TryPush(7)
			r.settle()
			q.Close()
			r.settle()
			r.expectAnyOrder("popper 7 <nil>", "watcher 1 <nil>", "watcher 1 <nil>")
		}},
		{"WaitAny ends with its context", func(r *running) {
			q := rt.NewQueue[int](r, 0)
			ctx, cancel := r.timeout(time.Second)
			defer cancel()
			i, err := rt.WaitAny(ctx, r, q)
			r.check(i == -1 && errors.Is(err, context.DeadlineExceeded), "WaitAny gave %d, %v", i, err)
			q.TryPush(1) // must not trip over the waiter that left
			v, _ := q.TryPop()
			r.check(v == 1, "TryPop gave %d", v)
		}},
	}
}
