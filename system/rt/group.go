package rt

import (
	"context"
	"sync"
)

// Group runs tasks that belong together: the first error cancels the others' context.
type Group struct {
	r       Runtime
	ctx     context.Context
	cancel  context.CancelFunc
	mu      sync.Mutex // never held across a blocking call
	running int
	err     error
	waiters waitList
}

// NewGroup returns a group and its context, which ends with ctx, with the first error, and when Wait has seen the last
// task end.
func NewGroup(r Runtime, ctx context.Context) (*Group, context.Context) { //nolint:revive // a runtime comes first throughout this package
	inner, cancel := r.WithCancel(ctx)
	return &Group{r: r, ctx: inner, cancel: cancel}, inner
}

// Go starts f as a task of the group with the group's context.
func (g *Group) Go(name string, f func(ctx context.Context) error) {
	Check(g.r)
	g.mu.Lock()
	g.running++
	g.mu.Unlock()
	g.r.Go(name, func(context.Context) {
		err := f(g.ctx)
		Check(g.r)
		g.mu.Lock()
		first := err != nil && g.err == nil
		if first {
			g.err = err
		}
		g.running--
		if g.running == 0 {
			g.waiters.wakeAll()
		}
		g.mu.Unlock()
		if first {
			g.cancel()
		}
	})
}

// Wait blocks until all tasks have returned and returns the first error, or ctx's error if ctx ends first. The tasks
// then still run.
func (g *Group) Wait(ctx context.Context) error {
	Check(g.r)
	g.mu.Lock()
	for g.running > 0 {
		w := g.waiters.join(g.r, 0)
		g.mu.Unlock()
		err := w.parker.Park(ctx)
		g.mu.Lock()
		g.waiters.quit(g.r, w, err)
		if err != nil && g.running > 0 {
			g.mu.Unlock()
			return err
		}
	}
	err := g.err
	g.mu.Unlock()
	g.cancel()
	return err
}
