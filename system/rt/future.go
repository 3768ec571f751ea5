package rt

import (
	"context"
	"sync"
)

// Future is a result that will be known once. It may be completed by any task, by callbacks of real clients from any
// goroutine, and by scheduler callbacks in the simulation.
type Future[T any] struct {
	r       Runtime
	mu      sync.Mutex // never held across a blocking call or a callback
	done    bool
	value   T
	err     error
	waiters waitList
	after   func(T, error) // the first callback; more is rarely used
	more    []func(T, error)
}

// NewFuture returns a future that is not done.
func NewFuture[T any](r Runtime) *Future[T] { return &Future[T]{r: r} }

// Resolved returns a future that is done.
func Resolved[T any](r Runtime, v T, err error) *Future[T] {
	return &Future[T]{r: r, done: true, value: v, err: err}
}

// Complete sets the result and wakes all who wait. The first call wins; it reports whether this one did.
func (f *Future[T]) Complete(v T, err error) bool {
	Check(f.r)
	f.mu.Lock()
	if f.done {
		f.mu.Unlock()
		return false
	}
	f.done, f.value, f.err = true, v, err
	f.waiters.wakeAll()
	first, more := f.after, f.more
	f.after, f.more = nil, nil
	f.mu.Unlock()
	if first != nil {
		first(v, err)
	}
	for _, call := range more {
		call(v, err)
	}
	return true
}

// Wait blocks until the future is done and returns its result, or ctx's error if ctx ends first. A future that is done
// is returned even when ctx has ended.
func (f *Future[T]) Wait(ctx context.Context) (T, error) {
	Check(f.r)
	f.mu.Lock()
	for !f.done {
		w := f.waiters.join(f.r, 0)
		f.mu.Unlock()
		err := w.parker.Park(ctx)
		f.mu.Lock()
		f.waiters.quit(f.r, w, err)
		f.waiters.discard(f.r)
		if err != nil && !f.done {
			f.mu.Unlock()
			var zero T
			return zero, err
		}
	}
	v, err := f.value, f.err
	f.mu.Unlock()
	return v, err
}

// Done reports whether the result is known.
func (f *Future[T]) Done() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.done
}

// Peek returns the result without waiting.
func (f *Future[T]) Peek() (v T, err error, done bool) { //nolint:revive,staticcheck // the error is part of the result, not Peek's own
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.value, f.err, f.done
}

// OnDone calls fn once with the result: at once if it is known, else on the stack of whoever completes it. fn must not
// block. Several callbacks run in the order they were given.
func (f *Future[T]) OnDone(fn func(T, error)) {
	Check(f.r)
	f.mu.Lock()
	if f.done {
		v, err := f.value, f.err
		f.mu.Unlock()
		fn(v, err)
		return
	}
	if f.after == nil {
		f.after = fn
	} else {
		f.more = append(f.more, fn)
	}
	f.mu.Unlock()
}

func (f *Future[T]) isReady() bool { return f.Done() }

func (f *Future[T]) observe(w *waiter) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.done {
		return true
	}
	f.waiters.add(w)
	return false
}

func (f *Future[T]) unobserve(w *waiter) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiters.remove(w)
}
