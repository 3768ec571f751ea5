// Package rt is what a role may ask of its runtime: time, tasks, waiting and randomness.
//
// A role is plain sequential Go that blocks only through this package or a port, so the same code runs on the wall clock
// (goroutines, timers) and in the simulation (coroutines under virtual time). Only the operations of [Runtime] and [Parker]
// differ between the worlds; every other primitive of this package is written once on top of them, so that a primitive's
// bugs exist in both worlds and one test table covers both.
package rt

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// ErrKilled is returned by blocking operations of a process that has been killed. Role code treats it like any other
// error; in the simulation a killed task never sees it, because it never runs again.
var ErrKilled = errors.New("rt: process killed")

// ErrClosed is returned by operations on a closed primitive, such as a [Queue].
var ErrClosed = errors.New("rt: closed")

// Runtime is one process's (crash domain's) view of time and scheduling. It is safe for use by all tasks of the process.
type Runtime interface {
	// Now is this node's clock. It may be skewed against other nodes' clocks.
	Now() time.Time
	// Sleep blocks the calling task for d. It returns early with ctx's error if ctx ends first. d <= 0 yields.
	Sleep(ctx context.Context, d time.Duration) error
	// Go starts a task of this process. The task dies with its process. name is for people: traces and hang reports.
	// A panic in f is reported by the runtime as a crash of the process, with the guilty stack.
	Go(name string, f func(ctx context.Context))
	// WithTimeout and WithCancel derive contexts on this runtime's clock. Use these, never package context's own,
	// which would arm a real timer. A simulated context panics in Done: waiting on it is a bug.
	WithTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc)
	WithCancel(ctx context.Context) (context.Context, context.CancelFunc)
	// NewParker returns a parking place for one task.
	NewParker() Parker
	// Rand is this process's random source, seeded in the simulation. On the wall clock it is safe for concurrent use
	// only under the caller's lock; use it from one task or guard it.
	Rand() *rand.Rand
}

// Parker blocks one task until it is woken.
type Parker interface {
	// Park blocks until Wake, or until ctx ends (returning ctx.Err()). A Wake that came before Park is not lost: the
	// next Park returns at once. Wake and the end of ctx may coincide; Park then returns nil if the wake was consumed.
	Park(ctx context.Context) error
	// Wake releases the parked task, or the next Park. More wakes than parks are folded into one. Any task may call it;
	// real clients' callbacks may call it from any goroutine on the wall clock.
	Wake()
}
