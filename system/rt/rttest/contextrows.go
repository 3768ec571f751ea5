package rttest

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/ratel-sim/ratel/system/rt"
)

type rowKey struct{}

func contextRows() []row {
	return []row{
		{"a deadline is the earliest of its own and its ancestors'", func(r *running) {
			outer, cancel := r.timeout(time.Second)
			defer cancel()
			inner, cancelInner := r.WithTimeout(outer, time.Hour)
			defer cancelInner()
			a, okA := outer.Deadline()
			b, okB := inner.Deadline()
			r.check(okA && okB && a.Equal(b) && a.Sub(r.Now()) == time.Second, "deadlines %v and %v", a, b)
			_, has := r.ctx.Deadline()
			r.check(!has, "a task's context has a deadline")
			r.check(errors.Is(r.Sleep(inner, time.Minute), context.DeadlineExceeded), "the outer deadline did not end the inner context")
			r.check(errors.Is(outer.Err(), context.DeadlineExceeded), "outer: %v", outer.Err())
		}},
		{"cancelling ends all that is derived, and wakes those who wait", func(r *running) {
			parent, cancel := r.WithCancel(r.ctx)
			child, cancelChild := r.WithCancel(parent)
			defer cancelChild()
			grandchild, cancelGrandchild := r.WithTimeout(context.WithValue(child, rowKey{}, 1), time.Hour)
			defer cancelGrandchild()
			sibling, cancelSibling := r.WithCancel(r.ctx)
			defer cancelSibling()
			q := rt.NewQueue[int](r, 0)
			wait := func(name string, ctx context.Context) {
				r.Go(name, func(context.Context) { _, err := q.Pop(ctx); r.note("%s %v", name, err) })
			}
			wait("child", child)
			wait("grandchild", grandchild)
			r.settle()
			cancel()
			cancel()
			r.settle()
			r.expectAnyOrder("child context canceled", "grandchild context canceled")
			r.check(errors.Is(grandchild.Err(), context.Canceled), "grandchild: %v", grandchild.Err())
			r.check(sibling.Err() == nil && r.ctx.Err() == nil, "cancelling went up or sideways")
			late, cancelLate := r.WithCancel(parent)
			defer cancelLate()
			r.check(errors.Is(late.Err(), context.Canceled), "a context derived from an ended one goes on")
		}},
		{"cancelling a child leaves its parent and siblings alone", func(r *running) {
			parent, cancel := r.WithCancel(r.ctx)
			defer cancel()
			var children []context.Context
			var cancels []context.CancelFunc
			for range 4 {
				ctx, cancel := r.WithCancel(parent)
				children, cancels = append(children, ctx), append(cancels, cancel)
			}
			cancels[2]()
			cancels[1]()
			for i, ctx := range children {
				r.check((ctx.Err() != nil) == (i == 1 || i == 2), "child %d: %v", i, ctx.Err())
			}
			cancel()
			r.check(children[0].Err() != nil && children[3].Err() != nil && parent.Err() != nil, "the parent's end did not reach all children")
			cancels[3]()
			cancels[0]()
		}},
		{"values pass through, and waiting works under them", func(r *running) {
			ctx, cancel := r.WithCancel(context.WithValue(r.ctx, rowKey{}, "v"))
			wrapped := context.WithValue(ctx, struct{ other int }{}, 2)
			r.check(wrapped.Value(rowKey{}) == "v", "the value is %v", wrapped.Value(rowKey{}))
			r.check(wrapped.Value("absent") == nil, "an absent value is there")
			f := rt.NewFuture[int](r)
			r.Go("waiter", func(context.Context) { _, err := f.Wait(wrapped); r.note("%v", err) })
			r.settle()
			cancel()
			r.settle()
			r.expect("context canceled")
		}},
		{"a request's context ends waits", func(r *running) {
			ctx, cancel := r.timeout(time.Second)
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://shepherd/1/batch/x", http.NoBody)
			if err != nil {
				r.Error(err)
				return
			}
			req = req.Clone(context.WithValue(req.Context(), rowKey{}, 1))
			r.check(errors.Is(r.Sleep(req.Context(), time.Minute), context.DeadlineExceeded), "the deadline did not pass through the request")
		}},
		{"a context that never ends is waited with", func(r *running) {
			r.check(r.Sleep(context.Background(), time.Second) == nil, "Sleep")
			f := rt.NewFuture[int](r)
			r.Go("completer", func(ctx context.Context) { _ = r.Sleep(ctx, time.Second); f.Complete(1, nil) })
			v, err := f.Wait(context.WithValue(context.Background(), rowKey{}, 1))
			r.check(v == 1 && err == nil, "Wait gave %d, %v", v, err)
			ended, cancel := r.WithCancel(r.ctx)
			cancel()
			r.check(r.Sleep(context.WithoutCancel(ended), time.Second) == nil, "WithoutCancel did not keep the end away")
		}},
		{"a timeout of nothing has ended", func(r *running) {
			ctx, cancel := r.timeout(0)
			defer cancel()
			r.check(errors.Is(ctx.Err(), context.DeadlineExceeded), "Err is %v", ctx.Err())
		}},
	}
}
