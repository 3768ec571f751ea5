package sched

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/ratel-sim/ratel/system/rt"
)

// Process is one incarnation of a crash domain: tasks, callbacks and a clock that die together. It implements
// [rt.Runtime] for the code that runs in it.
type Process struct {
	sim         *Sim
	name        string
	incarnation int
	root        *simContext
	rand        *rand.Rand
	offset      time.Duration // of Now
	tasks       []*task
	onKill      []func()
	dead        bool
	paused      bool
	held        []*task // runnable, but paused
	late        []entry // callbacks that came due while paused
}

var (
	_ rt.Runtime = (*Process)(nil)
	_ rt.Checker = (*Process)(nil)
)

// Name returns the name.
func (p *Process) Name() string { return p.name }

// Incarnation counts the processes of this name from 1.
func (p *Process) Incarnation() int { return p.incarnation }

// Sim returns the simulation.
func (p *Process) Sim() *Sim { return p.sim }

// Alive reports whether the process has not been killed.
func (p *Process) Alive() bool { return !p.dead }

// Paused reports whether the process is paused.
func (p *Process) Paused() bool { return p.paused }

// Kill ends the process as kill -9 does: none of its tasks and callbacks runs again, and nothing of it has any effect
// from now on. A task that kills its own process goes on to its next blocking call or port call, and no further. The
// functions given to OnKill are called before Kill returns.
func (p *Process) Kill() {
	if p.dead || p.sim.callerDead() {
		return
	}
	p.dead = true
	s := p.sim
	for _, t := range p.tasks {
		if t != s.cur {
			t.dead = true
		}
		if t.foreground {
			s.foreground--
		}
	}
	p.held, p.late = nil, nil
	s.doomed = append(s.doomed, p)
	hooks := p.onKill
	p.onKill = nil
	for _, f := range hooks {
		f()
	}
}

// OnKill registers f to be called when the process is killed, for what lives outside it, such as its network node.
func (p *Process) OnKill(f func()) {
	if !p.dead {
		p.onKill = append(p.onKill, f)
	}
}

// Pause stops the process as SIGSTOP does: its tasks and callbacks do not run until Resume. A running task goes on to
// its next blocking call.
func (p *Process) Pause() { p.paused = true }

// Resume ends a pause. What came due meanwhile runs now, late.
func (p *Process) Resume() {
	if !p.paused {
		return
	}
	p.paused = false
	for _, e := range p.late {
		if p.sim.slots[e.slot].gen == e.gen {
			p.sim.arm(p.sim.now, e.slot)
		}
	}
	p.sim.ready = append(p.sim.ready, p.held...)
	clear(p.held)
	p.late, p.held = p.late[:0], p.held[:0]
}

// SetClockOffset skews Now against virtual time. Timers and sleeps are monotonic and do not notice.
func (p *Process) SetClockOffset(d time.Duration) { p.offset = d }

// After is [Sim.After] for a callback of this process: it never fires once the process is dead, and late if paused.
func (p *Process) After(d time.Duration, f func()) Timer {
	if p.dead {
		return Timer{}
	}
	return p.sim.schedule(d, slot{ev: callback(f), p: p})
}

// AfterEvent is After for an [Event].
func (p *Process) AfterEvent(d time.Duration, ev Event) Timer {
	if p.dead {
		return Timer{}
	}
	return p.sim.schedule(d, slot{ev: ev, p: p})
}

// Now implements [rt.Runtime].
func (p *Process) Now() time.Time { return Epoch.Add(time.Duration(p.sim.now) + p.offset) }

// Rand implements [rt.Runtime].
func (p *Process) Rand() *rand.Rand {
	if p.rand == nil {
		p.rand = rand.New(p.sim.pcg(fmt.Sprintf("process/%s#%d", p.name, p.incarnation)))
	}
	return p.rand
}

// Check implements [rt.Checker]: it does not return to a task that is dead.
func (p *Process) Check() {
	if t := p.sim.cur; t != nil && (t.dead || p.dead && t.p == p) {
		p.sim.die(t)
	}
}

// Go implements [rt.Runtime]. On a dead process it does nothing.
func (p *Process) Go(name string, f func(ctx context.Context)) { p.start(name, f, false) }

// Foreground is Go for a task that must come to its end: if it still waits when nothing is left to do, Run reports a
// deadlock. The tasks of servers, which wait for ever, are not foreground tasks.
func (p *Process) Foreground(name string, f func(ctx context.Context)) { p.start(name, f, true) }

func (p *Process) start(name string, f func(ctx context.Context), foreground bool) {
	p.Check()
	s := p.sim
	if p.dead || s.closed || s.callerDead() {
		return
	}
	s.taskIDs++
	t := &task{id: s.taskIDs, name: name, p: p, fn: f, state: runnable, deadline: never, index: len(p.tasks), foreground: foreground}
	if foreground {
		s.foreground++
	}
	p.tasks = append(p.tasks, t)
	s.ready = append(s.ready, t)
}

// Sleep implements [rt.Runtime].
func (p *Process) Sleep(ctx context.Context, d time.Duration) error {
	p.Check()
	s := p.sim
	t := s.task("Sleep")
	c := s.from(ctx)
	if err := ctx.Err(); err != nil {
		return err
	}
	if d <= 0 {
		s.ready = append(s.ready, t)
		t.state = runnable
		s.suspend(t)
		return nil
	}
	at := s.now + int64(d)
	if at < 0 {
		at = never - 1
	}
	cut := c != nil && c.deadline < at
	if cut {
		at = c.deadline
	}
	if s.sleep(t, c, at) == byTimer && !cut {
		return nil
	}
	return ctx.Err()
}

// WithTimeout implements [rt.Runtime].
func (p *Process) WithTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	at := p.sim.now
	if d > 0 {
		if at += int64(d); at < 0 {
			at = never
		}
	}
	return p.derive(ctx, at)
}

// WithCancel implements [rt.Runtime].
func (p *Process) WithCancel(ctx context.Context) (context.Context, context.CancelFunc) {
	return p.derive(ctx, never)
}

// NewParker implements [rt.Runtime].
func (p *Process) NewParker() rt.Parker {
	s := p.sim
	if n := len(s.parkers); n > 0 {
		k := s.parkers[n-1]
		s.parkers = s.parkers[:n-1]
		k.p = p
		return k
	}
	return &parker{p: p}
}

// ReuseParker takes back a parker on which nobody parks and which nobody will wake.
func (p *Process) ReuseParker(k rt.Parker) {
	if k, ok := k.(*parker); ok && k.t == nil && !k.token {
		p.sim.parkers = append(p.sim.parkers, k)
	}
}
