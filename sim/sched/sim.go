// Package sched runs ordinary blocking Go under virtual time, exactly reproducibly from a seed.
//
// One [Sim] is one simulated run on one goroutine at a time. Tasks are coroutines: one runs until it blocks in a
// primitive of package rt (or a simulated port built on them), then the scheduler picks the next runnable one with a
// seeded generator. When none is runnable, virtual time jumps to the next timer. All timers due at one instant fire
// first, in the order they were armed; then tasks run. Nothing is global, so seeds run in parallel on many goroutines.
package sched

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// Epoch is the instant at which every simulation starts.
var Epoch = time.Date(2030, time.January, 1, 0, 0, 0, 0, time.UTC)

const (
	never = math.MaxInt64 // the time of what is not armed
	// maxStepsPerInstant bounds the steps while virtual time stands still. Beyond it tasks spin, each waking the other.
	maxStepsPerInstant = 1_000_000
)

// Sim is one simulated run. It is not safe for concurrent use: all calls come from its own tasks and callbacks, or from
// its owner while Run is not running.
type Sim struct {
	seed uint64
	now  int64 // virtual ns since Epoch

	timers heap
	due    queue // of timers armed for the instant at which they were; those in the heap that are due come first
	slots  []slot
	free   []uint32 // free slots
	seq    uint64   // of timers
	stale  int      // entries of timers that will not fire

	ready []*task
	pick  *rand.PCG
	cur   *task // nil while a callback runs

	hash   uint64
	steps  uint64
	still  uint64 // steps at this instant
	onStep func(uint64, string)

	streams      map[string]*rand.Rand
	incarnations map[string]int
	processes    []*Process
	doomed       []*Process // killed, tasks not yet unwound
	taskIDs      uint64
	idle         []*worker
	parkers      []*parker
	foreground   int // foreground tasks still running

	stopped bool
	closed  bool
	hung    bool // the watchdog gave up: a step never ended
	failure error
	// probing makes Context.Done answer instead of panicking while the package itself asks.
	probing bool
	// channel: what Done answers then; nobody ever receives from it.
	notNil chan struct{}

	inTask   bool                 // watched is not nil
	watchdog time.Duration        // wall time
	probe    atomic.Bool          // set by the watchdog, cleared by the next step
	watched  atomic.Pointer[task] // the task that runs now, for the watchdog
}

// New returns a simulation at [Epoch] with no processes. Close must be called.
func New(seed uint64) *Sim {
	s := &Sim{
		seed:         seed,
		streams:      map[string]*rand.Rand{},
		incarnations: map[string]int{},
		hash:         mix(seed, 0x5851f42d4c957f2d),
		watchdog:     defaultWatchdog,
		// channel: only compared with nil.
		notNil: make(chan struct{}),
	}
	s.pick = s.pcg("scheduler")
	return s
}

// Seed returns the seed.
func (s *Sim) Seed() uint64 { return s.seed }

// Now returns the virtual time since [Epoch].
func (s *Sim) Now() time.Duration { return time.Duration(s.now) }

// Time returns the virtual time as a time.Time, without any node's skew.
func (s *Sim) Time() time.Time { return Epoch.Add(time.Duration(s.now)) }

// Hash returns the running hash of the trace: every step's virtual time and task or timer, and everything given to Fold.
// Two runs of one seed must end with equal hashes.
func (s *Sim) Hash() uint64 { return s.hash }

// Steps returns the number of steps: task switches and callbacks.
func (s *Sim) Steps() uint64 { return s.steps }

// Fold folds two values into the trace hash, for instance a kind and a checksum of a message's content.
func (s *Sim) Fold(a, b uint64) { s.hash = mix(s.hash^a, b) }

// OnStep installs a sink that is told every step, to find the first one in which two runs differ. nil removes it.
func (s *Sim) OnStep(f func(step uint64, desc string)) { s.onStep = f }

// Stop ends Run after the present step.
func (s *Sim) Stop() { s.stopped = true }

// Rand returns the random stream of that name, derived from the seed and the name only, so that a new stream shifts no
// other. Calls with one name return the same stream.
func (s *Sim) Rand(name string) *rand.Rand {
	r := s.streams[name]
	if r == nil {
		r = rand.New(s.pcg(name))
		s.streams[name] = r
	}
	return r
}

func (s *Sim) pcg(name string) *rand.PCG {
	h := mix(s.seed, 0x2545f4914f6cdd1d)
	for i := range len(name) {
		h = mix(h^uint64(name[i]), 0x9e3779b97f4a7c15)
	}
	return rand.NewPCG(mix(h, 1), mix(h, 2))
}

// Process starts a new incarnation of the process of that name. Its tasks begin with Go; the older incarnation, if any,
// is not touched.
func (s *Sim) Process(name string) *Process {
	s.incarnations[name]++
	p := &Process{sim: s, name: name, incarnation: s.incarnations[name]}
	p.root = &simContext{p: p, deadline: never}
	s.processes = append(s.processes, p)
	return p
}

// Run runs until Stop, until the virtual time is limit (counted from [Epoch]; 0: no limit), or until nothing is left to
// do, in which case virtual time moves on to the limit; then it returns nil. It returns an error, at once, for a panic in a task or callback (with the guilty stack),
// when nothing is left to do while a foreground task still waits (deadlock), when virtual time stands still for ever,
// and when one step does not end in wall time (naming the task). After an error the simulation can only be closed.
func (s *Sim) Run(limit time.Duration) error {
	if s.closed {
		return fmt.Errorf("sched: Run after Close")
	}
	if s.failure != nil {
		return s.failure
	}
	end := int64(never)
	if limit > 0 {
		end = max(int64(limit), s.now)
	}
	s.stopped = false
	return s.watch(func() { s.loop(end) })
}

func (s *Sim) loop(end int64) {
	for s.failure == nil {
		if len(s.doomed) > 0 {
			s.reap()
		}
		if s.stopped {
			return
		}
		if s.probe.Load() {
			s.probe.Store(false)
		}
		if len(s.timers) > 0 && s.timers[0].at <= s.now {
			s.fire(s.timers.pop())
			continue
		}
		if s.due.len() > 0 {
			s.fire(s.due.pop())
			continue
		}
		if n := len(s.ready); n > 0 {
			i := 0
			if n > 1 {
				i = int((s.pick.Uint64() >> 32) * uint64(n) >> 32)
			}
			t := s.ready[i]
			s.ready[i] = s.ready[n-1]
			s.ready[n-1] = nil
			s.ready = s.ready[:n-1]
			s.run(t)
			continue
		}
		if len(s.timers) == 0 || s.timers[0].at > end {
			switch {
			case len(s.timers) == 0 && s.foreground > 0:
				s.failure = s.deadlock()
			case end < never:
				s.now = end
			}
			return
		}
		s.now, s.still = s.timers[0].at, 0
	}
}

// run resumes one task.
func (s *Sim) run(t *task) {
	if t.p.dead {
		return
	}
	if t.p.paused {
		t.p.held = append(t.p.held, t)
		return
	}
	s.cur = t
	s.step(t.id<<1 | 1)
	if s.onStep != nil {
		s.onStep(s.steps, fmt.Sprintf("t=%d run %s/%s#%d", s.now, t.p.name, t.name, t.id))
	}
	if t.w == nil {
		s.assign(t)
	}
	t.state = running
	s.inTask = true
	s.watched.Store(t)
	t.w.co.resume()
	s.cur = nil
}

func (s *Sim) step(what uint64) {
	s.steps++
	s.hash = mix(s.hash^uint64(s.now), what)
	if s.still++; s.still > maxStepsPerInstant {
		s.failure = s.livelock()
	}
}

// Close unwinds every task and ends the simulation. No coroutine is left behind unless the watchdog found one that
// never yields.
func (s *Sim) Close() {
	if s.closed {
		return
	}
	s.closed = true
	if s.hung {
		return
	}
	for _, p := range s.processes {
		p.Kill()
	}
	s.reap()
	for _, w := range s.idle {
		w.co.stopIdle()
	}
	s.idle, s.timers, s.due, s.slots, s.ready = nil, nil, queue{}, nil, nil
}

// mix is a 64-bit mixing step (multiply, fold the high half), with a round against zeros.
func mix(a, b uint64) uint64 {
	a ^= 0x9e3779b97f4a7c15
	a *= 0xff51afd7ed558ccd
	a ^= a >> 32
	a ^= b
	a *= 0xc4ceb9fe1a85ec53
	return a ^ a>>29
}
