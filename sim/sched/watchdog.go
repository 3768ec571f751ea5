package sched

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/ratel-sim/ratel/system/rt"
)

// This file alone looks at the wall clock: to notice a step that never ends. It cannot change a result, only refuse one.

// defaultWatchdog is how long one step may take in wall time: steps take microseconds, so a minute is a hang even on a
// machine that swaps.
const defaultWatchdog = time.Minute

// ErrHang is matched by the error for a step that did not end in wall time.
var ErrHang = errors.New("a step did not end")

// ErrDeadlock is matched by the error for a foreground task that can never go on.
var ErrDeadlock = errors.New("deadlock")

// ErrLivelock is matched by the error for tasks that keep virtual time from moving.
var ErrLivelock = errors.New("virtual time stands still")

// SetWatchdog sets how long one step may take in wall time before Run gives up (default one minute).
func (s *Sim) SetWatchdog(d time.Duration) { s.watchdog = d }

// watch runs the loop on a goroutine of its own, so that Run can return although a task hangs.
func (s *Sim) watch(loop func()) error {
	done := make(chan error, 1)
	go func() {
		completed := false
		defer func() {
			if v := recover(); v != nil {
				s.failure = &rt.PanicError{Task: "scheduler callback", Value: v, Stack: debug.Stack()}
			} else if !completed && s.failure == nil {
				s.failure = errors.New("sched: a callback called runtime.Goexit (a test's FailNow?)")
			}
			s.cur = nil
			done <- s.failure
		}()
		loop()
		completed = true
	}()
	s.probe.Store(true)
	timer := time.NewTimer(s.watchdog)
	defer timer.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-timer.C:
			if s.probe.Load() {
				s.hung = true
				return s.hang()
			}
			s.probe.Store(true)
			timer.Reset(s.watchdog)
		}
	}
}

func (s *Sim) hang() error {
	who := "a scheduler callback"
	if t := s.watched.Load(); t != nil {
		who = "task " + t.String()
	}
	return fmt.Errorf("sched: seed %d: %s: %w in %v of wall time: it loops without a blocking call, or waits on a channel, a sync.Mutex or real I/O, which stops the whole simulation; use package rt\n%s",
		s.seed, who, ErrHang, s.watchdog, hungStacks())
}

// hungStacks returns the stacks that can be to blame: those of this package's goroutines that are not merely suspended.
func hungStacks() string {
	buf := make([]byte, 4<<20)
	buf = buf[:runtime.Stack(buf, true)]
	var guilty []string
	for stack := range strings.SplitSeq(string(buf), "\n\n") {
		has := func(function string) bool { return strings.Contains(stack, "/sched."+function+"(") }
		if has("(*worker).perform") && !has("(*coro).suspend") || has("(*Sim).loop") && !has("(*coro).resume") {
			guilty = append(guilty, stack)
		}
	}
	return strings.Join(guilty, "\n\n")
}

func (s *Sim) deadlock() error {
	var waiting []string
	for _, p := range s.processes {
		for _, t := range p.tasks {
			if t.foreground {
				waiting = append(waiting, t.String())
			}
		}
	}
	return fmt.Errorf("sched: seed %d: %w at %v: nothing is left to do, but %s still wait(s)", s.seed, ErrDeadlock, s.Now(), strings.Join(waiting, ", "))
}

func (s *Sim) livelock() error {
	var spinning []string
	for _, t := range s.ready {
		if len(spinning) < 10 {
			spinning = append(spinning, t.String())
		}
	}
	if s.cur != nil {
		spinning = append(spinning, s.cur.String())
	}
	return fmt.Errorf("sched: seed %d: %w at %v for %d steps; runnable: %s", s.seed, ErrLivelock, s.Now(), s.still, strings.Join(spinning, ", "))
}
