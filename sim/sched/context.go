package sched

import (
	"context"
	"fmt"
	"time"
)

// simContext is a context on virtual time. Its end is computed, not signalled: Err and Deadline look at the clock, and a
// task that waits is woken through the list of tasks parked with it.
type simContext struct {
	p        *Process
	parent   context.Context // nil for a process's root; for Value
	up       *simContext     // nearest simulated ancestor
	deadline int64           // the earliest of its own and its ancestors'
	err      error
	waiters  *task
	children *simContext
	next     *simContext // among up's children
	prev     *simContext
}

type contextKey struct{}

// Deadline implements context.Context, on the clock of the process that made it.
func (c *simContext) Deadline() (time.Time, bool) {
	if c.deadline == never {
		return time.Time{}, false
	}
	return Epoch.Add(time.Duration(c.deadline) + c.p.offset), true
}

// Err implements context.Context.
func (c *simContext) Err() error {
	if c.err == nil && c.deadline <= c.p.sim.now {
		c.err = context.DeadlineExceeded
	}
	return c.err
}

// Done panics: nothing may wait on a channel in the simulation, because the whole of it would stand still.
//
// channel: context.Context has it so.
func (c *simContext) Done() <-chan struct{} {
	if c.p.sim.probing {
		return c.p.sim.notNil
	}
	panic("sched: Done called on a simulated context (process " + c.p.name + "): wait with the primitives of package rt, derive contexts with Runtime.WithTimeout and WithCancel, and keep libraries that watch contexts out of the simulation")
}

// Value implements context.Context.
func (c *simContext) Value(key any) any {
	if key == (contextKey{}) {
		return c
	}
	if c.parent == nil {
		return nil
	}
	return c.parent.Value(key)
}

// String names the context for people.
func (c *simContext) String() string { return fmt.Sprintf("simulated context of %s", c.p.name) }

// from finds the simulated context that ends ctx, under any number of value contexts. It is nil for a context that
// never ends.
func (s *Sim) from(ctx context.Context) *simContext {
	if c, ok := ctx.(*simContext); ok {
		return c
	}
	s.probing = true
	done := ctx.Done()
	s.probing = false
	c, _ := ctx.Value(contextKey{}).(*simContext)
	if done == nil { // Background, or cut off by WithoutCancel
		return nil
	}
	if c == nil {
		panic("sched: a real cancellable context in the simulation: nothing could wake the task that waits with it; derive it from the task's own context")
	}
	return c
}

func (p *Process) derive(parent context.Context, deadline int64) (context.Context, context.CancelFunc) {
	s := p.sim
	c := &simContext{p: p, parent: parent, up: s.from(parent), deadline: deadline}
	if up := c.up; up != nil {
		c.deadline = min(c.deadline, up.deadline)
		c.err = up.Err()
		if c.err == nil {
			c.next = up.children
			if c.next != nil {
				c.next.prev = c
			}
			up.children = c
		}
	}
	return c, c.cancel
}

// cancel ends the context and everything derived from it, and wakes the tasks parked with them.
func (c *simContext) cancel() {
	if c.p.sim.callerDead() {
		return
	}
	c.unlink()
	c.end(context.Canceled)
}

func (c *simContext) unlink() {
	if c.up == nil {
		return
	}
	switch {
	case c.prev != nil:
		c.prev.next = c.next
	case c.up.children == c:
		c.up.children = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	}
	c.next, c.prev = nil, nil
}

func (c *simContext) end(err error) {
	if c.Err() == nil {
		c.err = err
	}
	for c.waiters != nil {
		c.p.sim.wake(c.waiters, byCancel)
	}
	for child := c.children; child != nil; {
		next := child.next
		child.next, child.prev = nil, nil
		child.end(c.err)
		child = next
	}
	c.children = nil
}

// enter puts a task that parks into the list of its context.
func (s *Sim) enter(t *task, c *simContext) {
	t.ctx, t.next, t.prev = c, c.waiters, nil
	if c.waiters != nil {
		c.waiters.prev = t
	}
	c.waiters = t
}

// leave takes it out again.
func (s *Sim) leave(t *task) {
	c := t.ctx
	if c == nil {
		return
	}
	if t.prev == nil {
		c.waiters = t.next
	} else {
		t.prev.next = t.next
	}
	if t.next != nil {
		t.next.prev = t.prev
	}
	t.ctx, t.next, t.prev = nil, nil, nil
}
