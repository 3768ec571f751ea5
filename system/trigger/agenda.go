package trigger

import (
	"container/heap"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/ratel-sim/ratel/system/rt"
)

// agenda hands things out when they are due, the earliest first and those of one moment in the order in which they came.
type agenda[T any] struct {
	r     rt.Runtime
	ready *rt.Queue[T] // what is due

	mu      sync.Mutex // never held across a blocking call
	waiting entries[T]
	count   int64
	sooner  *rt.Future[struct{}] // done when something is due earlier than all before
}

type entry[T any] struct {
	due   time.Time
	count int64
	value T
}

// entries is a heap.
type entries[T any] []entry[T]

func (e entries[T]) Len() int { return len(e) }
func (e entries[T]) Less(i, j int) bool {
	if !e[i].due.Equal(e[j].due) {
		return e[i].due.Before(e[j].due)
	}
	return e[i].count < e[j].count
}
func (e entries[T]) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *entries[T]) Push(x any)   { *e = append(*e, x.(entry[T])) }
func (e *entries[T]) Pop() any {
	old := *e
	last := old[len(old)-1]
	old[len(old)-1] = entry[T]{} // let the collector have it
	*e = old[:len(old)-1]
	return last
}

func newAgenda[T any](r rt.Runtime) *agenda[T] {
	return &agenda[T]{r: r, ready: rt.NewQueue[T](r, 0), sooner: rt.NewFuture[struct{}](r)}
}

// put adds something.
func (a *agenda[T]) put(due time.Time, value T) {
	a.mu.Lock()
	a.count++
	first := len(a.waiting) == 0 || due.Before(a.waiting[0].due)
	heap.Push(&a.waiting, entry[T]{due, a.count, value})
	sooner := a.sooner
	if first {
		a.sooner = rt.NewFuture[struct{}](a.r)
	}
	a.mu.Unlock()
	if first {
		sooner.Complete(struct{}{}, nil)
	}
}

// run makes things ready when they are due, until ctx ends.
func (a *agenda[T]) run(ctx context.Context) error {
	for ctx.Err() == nil {
		a.mu.Lock()
		now := a.r.Now()
		for len(a.waiting) > 0 && !a.waiting[0].due.After(now) {
			a.ready.TryPush(heap.Pop(&a.waiting).(entry[T]).value)
		}
		sooner, idle, left := a.sooner, len(a.waiting) == 0, time.Duration(0)
		if !idle {
			left = a.waiting[0].due.Sub(now)
		}
		a.mu.Unlock()
		if idle {
			if _, err := sooner.Wait(ctx); err != nil {
				return nil //nolint:nilerr // the term is over
			}
			continue
		}
		limited, cancel := a.r.WithTimeout(ctx, left)
		_, err := sooner.Wait(limited)
		cancel()
		if errors.Is(err, rt.ErrKilled) {
			return nil
		}
	}
	return nil
}
