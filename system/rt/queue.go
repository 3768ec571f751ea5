package rt

import (
	"context"
	"sync"
)

// Queue is a first-in-first-out queue between tasks. It is safe for use by all tasks, by callbacks of real clients and,
// in the simulation, by scheduler callbacks (the calls without a ctx). Waiting tasks are served in order of arrival,
// but a task that arrives just then may overtake one that has been woken.
type Queue[T any] struct {
	r        Runtime
	mu       sync.Mutex // never held across a blocking call
	buf      []T        // ring
	head, n  int
	capacity int
	closed   bool
	poppers  waitList
	pushers  waitList
	watchers waitList // WaitAny: all are woken by every push and use up none of the poppers' wake-ups
}

// NewQueue returns an empty queue that holds at most capacity elements; 0 means no bound.
func NewQueue[T any](r Runtime, capacity int) *Queue[T] {
	if capacity < 0 {
		panic("rt: NewQueue: negative capacity")
	}
	return &Queue[T]{r: r, capacity: capacity}
}

// Push appends v, waiting for room. It returns ErrClosed if the queue is closed, ctx's error if ctx ends first (v is
// then not in the queue).
func (q *Queue[T]) Push(ctx context.Context, v T) error {
	Check(q.r)
	if err := ctx.Err(); err != nil {
		return err
	}
	for {
		q.mu.Lock()
		if q.closed {
			q.mu.Unlock()
			return ErrClosed
		}
		if q.capacity == 0 || q.n < q.capacity {
			q.put(v)
			q.mu.Unlock()
			return nil
		}
		if err := q.wait(ctx, &q.pushers); err != nil {
			return err
		}
	}
}

// TryPush appends v and reports whether there was room. It is false for a closed queue.
func (q *Queue[T]) TryPush(v T) bool {
	Check(q.r)
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || q.capacity > 0 && q.n >= q.capacity {
		return false
	}
	q.put(v)
	return true
}

// Pop removes the oldest element, waiting for one. It returns ErrClosed once the queue is closed and empty, ctx's error
// if ctx ends first.
func (q *Queue[T]) Pop(ctx context.Context) (T, error) {
	var zero T
	Check(q.r)
	if err := ctx.Err(); err != nil {
		return zero, err
	}
	for {
		q.mu.Lock()
		if q.n > 0 {
			v := q.take()
			q.mu.Unlock()
			return v, nil
		}
		if q.closed {
			q.mu.Unlock()
			return zero, ErrClosed
		}
		if err := q.wait(ctx, &q.poppers); err != nil {
			return zero, err
		}
	}
}

// TryPop removes the oldest element and reports whether there was one.
func (q *Queue[T]) TryPop() (T, bool) {
	Check(q.r)
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.n == 0 {
		var zero T
		return zero, false
	}
	return q.take(), true
}

// Close refuses further pushes; what is in the queue can still be popped. Closing twice is harmless.
func (q *Queue[T]) Close() {
	Check(q.r)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.poppers.wakeAll()
	q.pushers.wakeAll()
	q.watchers.wakeAll()
}

// Len returns the number of elements.
func (q *Queue[T]) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.n
}

// wait parks the calling task in list. It is called with q.mu held and returns without it. A waiter that was woken and
// cancelled at the same time passes the wake-up on, or it would be lost to those behind it.
func (q *Queue[T]) wait(ctx context.Context, list *waitList) error {
	w := list.join(q.r, 0)
	q.mu.Unlock()
	err := w.parker.Park(ctx)
	q.mu.Lock()
	if woken := list.quit(q.r, w, err); woken && err != nil {
		list.wakeOne()
	}
	q.mu.Unlock()
	return err
}

func (q *Queue[T]) put(v T) {
	if q.n == len(q.buf) {
		q.grow()
	}
	q.buf[(q.head+q.n)&(len(q.buf)-1)] = v
	q.n++
	q.poppers.wakeOne()
	q.watchers.wakeAll()
}

func (q *Queue[T]) take() T {
	var zero T
	v := q.buf[q.head]
	q.buf[q.head] = zero // let the collector have it
	q.head = (q.head + 1) & (len(q.buf) - 1)
	q.n--
	if q.capacity > 0 {
		q.pushers.wakeOne()
	}
	return v
}

// grow doubles the ring; its length stays a power of two.
func (q *Queue[T]) grow() {
	bigger := make([]T, max(8, 2*len(q.buf)))
	copied := copy(bigger, q.buf[q.head:])
	copy(bigger[copied:], q.buf[:q.head])
	q.buf, q.head = bigger, 0
}

func (q *Queue[T]) isReady() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.n > 0 || q.closed
}

func (q *Queue[T]) observe(w *waiter) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.n > 0 || q.closed {
		return true
	}
	q.watchers.add(w)
	return false
}

func (q *Queue[T]) unobserve(w *waiter) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.watchers.remove(w)
}
