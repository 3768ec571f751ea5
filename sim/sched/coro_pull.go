//go:build !ratel_baton

package sched

import "iter"

// coro is a coroutine: a body that runs until it yields, and goes on when it is resumed. This is the fast one, on
// iter.Pull; coro_baton.go has the same on goroutines, with identical results.
type coro struct {
	next  func() (struct{}, bool)
	halt  func()
	yield func(struct{}) bool
}

// newCoro prepares a coroutine. The body starts with the first resume.
func newCoro(body func(c *coro)) *coro {
	c := &coro{}
	c.next, c.halt = iter.Pull(func(yield func(struct{}) bool) {
		c.yield = yield
		body(c)
	})
	return c
}

// resume runs the body until it suspends or ends; false means that it has ended.
func (c *coro) resume() bool {
	_, alive := c.next()
	return alive
}

// suspend gives control back to the resumer. False means that the coroutine is being stopped and must unwind.
func (c *coro) suspend() bool { return c.yield(struct{}{}) }

// stop unwinds the body and returns when it has ended. The body may end by runtime.Goexit, which iter.Pull passes on to
// the caller of stop; so a goroutine that can be thrown away calls it.
func (c *coro) stop() {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.halt()
	}()
	<-ended
}

// stopIdle is stop for a body that is known to return when it is stopped, without Goexit.
func (c *coro) stopIdle() { c.halt() }
