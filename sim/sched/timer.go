package sched

import (
	"fmt"
	"time"
)

// Event is a callback without a closure: scheduling a pooled object allocates nothing.
type Event interface {
	Fire()
}

// callback is an Event of a function; making it one allocates nothing either.
type callback func()

// Fire implements [Event].
func (f callback) Fire() { f() }

// slot is what a timer fires. Slots are reused; gen tells a timer of an earlier use.
type slot struct {
	ev  Event
	p   *Process // crash domain of a callback; nil for none
	w   *worker  // for the two timers of a worker
	gen uint32
	// sleep tells a worker's sleep timer from its timeout timer.
	sleep bool
}

// Timer is a pending callback. The zero Timer is one that has fired.
type Timer struct {
	s         *Sim
	slot, gen uint32
}

// Stop prevents the callback and reports whether it was still pending.
func (t Timer) Stop() bool {
	if t.s == nil || int(t.slot) >= len(t.s.slots) || t.s.slots[t.slot].gen != t.gen || t.s.callerDead() {
		return false
	}
	t.s.release(t.slot)
	t.s.outdated()
	return true
}

// Pending reports whether the callback is still to come.
func (t Timer) Pending() bool {
	return t.s != nil && int(t.slot) < len(t.s.slots) && t.s.slots[t.slot].gen == t.gen
}

// After calls f when d of virtual time has passed, on the scheduler and not in a task: f must not block. d <= 0 means
// at this instant, before any task runs again.
func (s *Sim) After(d time.Duration, f func()) Timer {
	return s.schedule(d, slot{ev: callback(f)})
}

// AfterEvent is After for an [Event].
func (s *Sim) AfterEvent(d time.Duration, ev Event) Timer {
	return s.schedule(d, slot{ev: ev})
}

func (s *Sim) schedule(d time.Duration, what slot) Timer {
	if s.closed || s.callerDead() {
		return Timer{}
	}
	i := s.acquire()
	what.gen = s.slots[i].gen
	s.slots[i] = what
	at := s.now
	if d > 0 {
		if at += int64(d); at < 0 {
			at = never - 1
		}
	}
	s.arm(at, i)
	return Timer{s: s, slot: i, gen: what.gen}
}

func (s *Sim) acquire() uint32 {
	if n := len(s.free); n > 0 {
		i := s.free[n-1]
		s.free = s.free[:n-1]
		return i
	}
	s.slots = append(s.slots, slot{gen: 1})
	return uint32(len(s.slots) - 1)
}

func (s *Sim) release(i uint32) {
	s.slots[i] = slot{gen: s.slots[i].gen + 1}
	s.free = append(s.free, i)
}

func (s *Sim) arm(at int64, i uint32) {
	s.seq++
	e := entry{at: at, seq: s.seq, slot: i, gen: s.slots[i].gen}
	if at <= s.now {
		s.due.push(e)
	} else {
		s.timers.push(e)
	}
}

// outdated notes that an entry in the heap has become stale, and throws stale ones out once they are the most.
func (s *Sim) outdated() {
	if s.stale++; s.stale > 256 && s.stale > len(s.timers)/2 {
		live := func(e entry) bool { return s.slots[e.slot].gen == e.gen }
		s.timers.keep(live)
		s.due.keep(live)
		s.stale = 0
	}
}

// fire handles one due entry.
func (s *Sim) fire(e entry) {
	sl := &s.slots[e.slot]
	if sl.gen != e.gen {
		s.stale--
		return
	}
	if sl.w != nil {
		if sl.sleep {
			sl.gen++
			s.wake(sl.w.task, byTimer)
		} else {
			s.timeout(sl.w)
		}
		return
	}
	what := *sl
	if what.p != nil {
		if what.p.paused && !what.p.dead {
			what.p.late = append(what.p.late, e)
			return
		}
		if what.p.dead {
			s.release(e.slot)
			return
		}
	}
	s.release(e.slot)
	s.step(e.seq << 1)
	if s.onStep != nil {
		owner := "world"
		if what.p != nil {
			owner = what.p.name
		}
		s.onStep(s.steps, fmt.Sprintf("t=%d callback %s seq %d", s.now, owner, e.seq))
	}
	if s.inTask {
		s.inTask = false
		s.watched.Store(nil)
	}
	what.ev.Fire()
}
