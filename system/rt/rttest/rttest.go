// Package rttest is the table of behaviours that every implementation of rt.Runtime has to show: the same rows run on the
// wall clock and in the simulation, so that role code cannot tell the worlds apart.
//
// Rows rely on time that stands still while any task can run: virtual time, or the wall-clock runtime inside a bubble of
// testing/synctest. So they are exact, and none waits for real time.
package rttest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system/rt"
)

// World runs main as a task of a fresh process and returns when it has returned; it fails t if it does not.
type World func(t *testing.T, main func(ctx context.Context, h *Host))

// Host is what a row gets: a runtime, and further processes.
type Host struct {
	rt.Runtime
	// Spawn starts a further process; kill ends it.
	Spawn func(name string) (r rt.Runtime, kill func())
}

// Run runs the table.
func Run(t *testing.T, world World) {
	t.Helper()
	for _, row := range slices.Concat(timeRows(), queueRows(), lockRows(), futureRows(), contextRows(), processRows()) {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			world(t, func(ctx context.Context, h *Host) { row.run(&running{T: t, Host: h, ctx: ctx}) })
		})
	}
}

type row struct {
	name string
	run  func(*running)
}

// running is a row under way.
type running struct {
	*testing.T
	*Host
	ctx context.Context
	mu  sync.Mutex
	log []string
}

// note appends to the row's log, from any task.
func (r *running) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log = append(r.log, fmt.Sprintf(format, args...))
}

// expect compares the log and empties it.
func (r *running) expect(want ...string) {
	r.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Equal(r.log, want) {
		r.Errorf("log is %q, expected %q", r.log, want)
	}
	r.log = nil
}

// expectAnyOrder is expect for what happens at one instant in no certain order.
func (r *running) expectAnyOrder(want ...string) {
	r.Helper()
	r.mu.Lock()
	slices.Sort(r.log)
	r.mu.Unlock()
	slices.Sort(want)
	r.expect(want...)
}

func (r *running) check(ok bool, format string, args ...any) {
	r.Helper()
	if !ok {
		r.Errorf(format, args...)
	}
}

// settle returns when every other task is blocked: time moves only then.
func (r *running) settle() { r.sleep(time.Nanosecond) }

func (r *running) sleep(d time.Duration) {
	r.Helper()
	if err := r.Sleep(r.ctx, d); err != nil {
		r.Errorf("Sleep(%v): %v", d, err)
	}
}

func (r *running) timeout(d time.Duration) (context.Context, context.CancelFunc) {
	return r.WithTimeout(r.ctx, d)
}
