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
// nor will be woken any more, but it may hold a wake-up; the runtime does not reuse such a one.
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

// waitList is a FIFO of waiting tasks. It keeps one waiter for reuse, because most primitives are waited on by one task
// again and again, and has that one in itself.
type waitList struct {
	first, last *waiter
	spare       *waiter
	own         waiter
	lent        bool // own is in use, or its parker may still be woken
}

// join appends a waiter for the calling task, which asks for that many units.
func (l *waitList) join(r Runtime, units int64) *waiter {
	w := l.spare
	switch {
	case w != nil:
	case l.lent:
		w = &waiter{parker: r.NewParker()}
	default:
		w, l.lent = &l.own, true
		w.parker = r.NewParker()
	}
	l.spare, w.units = nil, units
	l.add(w)
	return w
}

// quit ends w's part after Park has returned err. It reports whether a waker had taken w out: if Park failed all the
// same, whatever came with the wake-up has to be passed on.
func (l *waitList) quit(r Runtime, w *waiter, err error) (woken bool) {
	woken = !w.listed
	l.remove(w)
	switch {
	case woken && err != nil: // the wake-up may still be stored in the parker
	case l.spare == nil:
		l.spare = w
	default:
		l.giveBack(r, w)
	}
	return woken
}

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

// discard gives the spare waiter's parker back, for primitives that are waited on once.
func (l *waitList) discard(r Runtime) {
	if l.spare != nil {
		l.giveBack(r, l.spare)
		l.spare = nil
	}
}

// giveBack ends the use of a waiter that nobody will wake.
func (l *waitList) giveBack(r Runtime, w *waiter) {
	reuse(r, w.parker)
	w.parker = nil
	if w == &l.own {
		l.lent = false
	}
}

func reuse(r Runtime, p Parker) {
	if pool, ok := r.(parkerPool); ok {
		pool.ReuseParker(p)
	}
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
	defer reuse(r, parker)
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
