package rt

import "context"

// Checker is implemented by a [Runtime] whose tasks may be dead while their code still runs: in the simulation, deferred
// functions of a killed task run while it is unwound. Check does not return to such a task. Every primitive of this
// package and every simulated port calls it before it has an effect, so that a dead process has none.
type Checker interface {
	Check()
}

// Check calls r's [Checker], if it is one.
func Check(r Runtime) {
	if c, ok := r.(Checker); ok {
		c.Check()
	}
}

// parkerPool is implemented by a [Runtime] that wants parkers back for reuse. A parker handed back is neither parked on
// nor will be woken.
type parkerPool interface {
	ReuseParker(Parker)
}

// mortal is implemented by a [Parker] whose task may die while it waits: a wake-up must not be spent on it.
type mortal interface {
	Dead() bool
}

// waiter is one task's place in a waitList. All fields are guarded by the lock of the primitive that owns the list.
type waiter struct {
	parker     Parker
	next, prev *waiter
	units      int64 // what a semaphore's waiter asks for
	listed     bool  // in the list; false once a waker has taken it out
}

// waitList is a FIFO of waiting tasks.
type waitList struct {
	first, last *waiter
}

func newWaiter(r Runtime) *waiter { return &waiter{parker: r.NewParker()} }

func (l *waitList) add(w *waiter) {
	w.listed, w.next, w.prev = true, nil, l.last
	if l.last == nil {
		l.first = w
	} else {
		l.last.next = w
	}
	l.last = w
}

func (l *waitList) remove(w *waiter) {
	if !w.listed {
		return
	}
	if w.prev == nil {
		l.first = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		l.last = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.listed, w.next, w.prev = false, nil, nil
}

// head returns the first waiter that is still alive, dropping dead ones.
func (l *waitList) head() *waiter {
	for w := l.first; w != nil; w = l.first {
		if m, ok := w.parker.(mortal); !ok || !m.Dead() {
			return w
		}
		l.remove(w)
	}
	return nil
}

// wakeOne takes the first live waiter out of the list and wakes it.
func (l *waitList) wakeOne() {
	if w := l.head(); w != nil {
		l.remove(w)
		w.parker.Wake()
	}
}

func (l *waitList) wakeAll() {
	for l.first != nil {
		l.wakeOne()
	}
}

// recycle gives the waiter's parker back unless a wake-up may still be stored in it. Call it once the waiter is out of
// every list; woken says whether a waker took it out, consumed whether Park returned that wake-up.
func recycle(r Runtime, w *waiter, woken, consumed bool) {
	if woken && !consumed {
		return
	}
	if p, ok := r.(parkerPool); ok {
		p.ReuseParker(w.parker)
	}
	w.parker = nil
}

// Waitable is what [WaitAny] can wait for: a [Future] that is done, or a [Queue] that has an element or is closed.
type Waitable interface {
	// observe adds w to those woken when the primitive becomes ready, or reports that it is ready already.
	observe(w *waiter) (ready bool)
	// unobserve takes w out again.
	unobserve(w *waiter)
	isReady() bool
}

// WaitAny blocks until one of the waitables is ready and returns the lowest ready index, or -1 and ctx's error. It
// consumes nothing: another task may empty a queue first, so take the element with TryPop and be ready to wait again.
func WaitAny(ctx context.Context, r Runtime, waitables ...Waitable) (int, error) {
	Check(r)
	if err := ctx.Err(); err != nil {
		return -1, err
	}
	parker := r.NewParker()
	for {
		places := make([]waiter, len(waitables))
		ready := -1
		added := 0
		for i, w := range waitables {
			places[i].parker = parker
			if w.observe(&places[i]) {
				ready = i
				break
			}
			added++
		}
		var err error
		if ready < 0 {
			err = parker.Park(ctx)
		}
		for i := range added {
			waitables[i].unobserve(&places[i])
		}
		if ready >= 0 {
			return ready, nil
		}
		// Several may have become ready, and one that woke us may have been emptied since: look again from the front.
		for i, w := range waitables {
			if w.isReady() {
				return i, nil
			}
		}
		if err != nil {
			return -1, err
		}
	}
}
