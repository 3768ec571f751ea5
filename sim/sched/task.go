package sched

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/ratel-sim/ratel/system/rt"
)

type taskState uint8

const (
	runnable taskState = iota
	running
	parked
	finished
)

// reason says why a parked task runs again.
type reason uint8

const (
	byWake   reason = iota
	byTimer         // its sleep is over, or its context's deadline has come
	byCancel        // its context was cancelled
)

// task is one function started with Go.
type task struct {
	id         uint64
	name       string
	p          *Process
	fn         func(context.Context)
	w          *worker // nil before its first step
	state      taskState
	why        reason
	dead       bool
	foreground bool
	sleeping   bool
	deadline   int64 // of the context it is parked with
	index      int   // in p.tasks
	// While parked with a context, the task is in that context's list.
	ctx        *simContext
	next, prev *task
}

// worker is a coroutine that runs one task after another, because a fresh coroutine costs four times a switch. It owns
// the two timers that a blocked task needs: one for sleeping, and one for its contexts' deadlines that is armed lazily,
// so that a timeout which does not happen costs no heap entry.
type worker struct {
	s        *Sim
	co       *coro
	task     *task
	sleep    uint32 // slot
	timeout  uint32 // slot
	armed    int64  // when the timeout timer fires; never if it is not armed
	stopping bool   // the coroutine is being unwound
}

// assign gives a task that starts an idle worker, or a new one.
func (s *Sim) assign(t *task) {
	var w *worker
	if n := len(s.idle); n > 0 {
		w = s.idle[n-1]
		s.idle = s.idle[:n-1]
	} else {
		w = &worker{s: s, armed: never}
		w.sleep, w.timeout = s.acquire(), s.acquire()
		s.slots[w.sleep].w, s.slots[w.sleep].sleep = w, true
		s.slots[w.timeout].w = w
		w.co = newCoro(w.work)
	}
	w.task, t.w = t, w
}

func (w *worker) work(c *coro) {
	for {
		w.perform()
		if !c.suspend() {
			return
		}
	}
}

// perform runs the task to its end. A panic is recovered here, where its stack still shows the guilty frame.
func (w *worker) perform() {
	t, s := w.task, w.s
	returned := false
	defer func() {
		v := recover()
		switch {
		case w.stopping: // dead code was unwound; what it did on the way counts for nothing
			return
		case returned:
		case v != nil:
			s.failure = &rt.PanicError{Task: t.String(), Value: v, Stack: debug.Stack()}
		default:
			s.failure = fmt.Errorf("sched: task %s ended by runtime.Goexit (a test's FailNow?); end a task by returning", t)
		}
		t.finish()
	}()
	t.fn(t.p.root)
	returned = true
}

func (t *task) finish() {
	p, w := t.p, t.w
	t.state, t.fn = finished, nil
	last := p.tasks[len(p.tasks)-1]
	p.tasks[t.index], last.index = last, t.index
	p.tasks[len(p.tasks)-1] = nil
	p.tasks = p.tasks[:len(p.tasks)-1]
	if t.foreground && !p.dead {
		w.s.foreground--
	}
	w.task = nil
	w.s.idle = append(w.s.idle, w)
}

// String names the task for people.
func (t *task) String() string { return fmt.Sprintf("%s/%s#%d", t.p.name, t.name, t.id) }

// task returns the task that calls a blocking operation.
func (s *Sim) task(op string) *task {
	if s.cur == nil {
		panic("sched: " + op + " called outside a task: a callback must not block; start a task with Process.Go")
	}
	return s.cur
}

// callerDead reports whether the running code belongs to a dead task that is being unwound.
func (s *Sim) callerDead() bool {
	return s.cur != nil && s.cur.dead
}

// suspend gives control to the scheduler until the task is run again. It does not return to a task that has been killed.
func (s *Sim) suspend(t *task) {
	if t.w.stopping || !t.w.co.suspend() || t.w.stopping {
		runtime.Goexit()
	}
}

// die ends a dead task at the point where it tried to have an effect. It waits to be unwound: Goexit here would end the
// scheduler's goroutine, which resumed it.
func (s *Sim) die(t *task) {
	t.dead = true
	s.suspend(t)
	runtime.Goexit()
}

// reap unwinds the tasks of killed processes. Deferred functions run, but every primitive and port stops them.
func (s *Sim) reap() {
	for i := 0; i < len(s.doomed); i++ {
		p := s.doomed[i]
		for _, t := range p.tasks {
			t.dead = true
		}
		for _, t := range p.tasks {
			w := t.w
			if w == nil || w.stopping {
				continue
			}
			s.cur = t
			s.inTask = true
			s.watched.Store(t)
			w.stopping = true
			w.co.stop()
			s.cur = nil
			s.leave(t)
			s.release(w.sleep)
			s.release(w.timeout)
		}
		p.tasks = nil
	}
	clear(s.doomed)
	s.doomed = s.doomed[:0]
	alive := s.processes[:0]
	for _, p := range s.processes {
		if !p.dead {
			alive = append(alive, p)
		}
	}
	clear(s.processes[len(alive):])
	s.processes = alive
}

// park blocks t until it is woken or c ends.
func (s *Sim) park(t *task, c *simContext) reason {
	t.state = parked
	if c != nil {
		s.enter(t, c)
		if t.deadline = c.deadline; t.deadline < t.w.armed {
			s.armTimeout(t.w, t.deadline)
		}
	}
	s.suspend(t)
	return t.why
}

// sleep blocks t until the virtual time at, or until c is cancelled.
func (s *Sim) sleep(t *task, c *simContext, at int64) reason {
	t.state, t.sleeping = parked, true
	if c != nil {
		s.enter(t, c)
	}
	s.arm(at, t.w.sleep)
	s.suspend(t)
	return t.why
}

// wake makes a parked task runnable.
func (s *Sim) wake(t *task, why reason) {
	if t == nil || t.state != parked || t.dead {
		return
	}
	s.leave(t)
	if t.sleeping {
		t.sleeping = false
		if why != byTimer {
			s.slots[t.w.sleep].gen++
			s.outdated()
		}
	}
	t.deadline = never
	t.state, t.why = runnable, why
	s.ready = append(s.ready, t)
}

func (s *Sim) armTimeout(w *worker, at int64) {
	if w.armed != never {
		s.slots[w.timeout].gen++
		s.outdated()
	}
	w.armed = at
	s.arm(at, w.timeout)
}

// timeout handles the worker's timeout timer, which may be early: the task it was armed for went on long ago.
func (s *Sim) timeout(w *worker) {
	w.armed = never
	t := w.task
	if t == nil || t.state != parked || t.deadline == never {
		return
	}
	if t.deadline <= s.now {
		s.wake(t, byTimer)
		return
	}
	s.armTimeout(w, t.deadline)
}

// parker implements [rt.Parker].
type parker struct {
	p     *Process
	t     *task // parked here
	token bool  // a wake-up nobody has consumed yet
}

// Park implements [rt.Parker].
func (k *parker) Park(ctx context.Context) error {
	k.p.Check()
	s := k.p.sim
	t := s.task("Park")
	if k.token {
		k.token = false
		return nil
	}
	c := s.from(ctx)
	if err := ctx.Err(); err != nil {
		return err
	}
	k.t = t
	why := s.park(t, c)
	k.t = nil
	if why == byWake {
		return nil
	}
	if k.token { // woken and cancelled in one instant: the wake-up is consumed
		k.token = false
		return nil
	}
	return ctx.Err()
}

// Wake implements [rt.Parker].
func (k *parker) Wake() {
	k.p.Check()
	if k.t != nil && k.t.state == parked {
		k.p.sim.wake(k.t, byWake)
		return
	}
	k.token = true
}

// Dead reports whether the task that waits here has been killed, so that no wake-up is spent on it.
func (k *parker) Dead() bool { return k.t != nil && k.t.p.dead }
