//go:build ratel_baton

package sched

// coro is a coroutine on a goroutine of its own: a baton goes to and fro over two channels, so that only one side runs.
// It is the insurance against changes of iter.Pull; the results are identical, at two to three times the cost.
type coro struct {
	in      chan bool // resumer to body; false asks it to unwind
	out     chan bool // body to resumer; false says that it has ended
	started bool
	ended   bool
	body    func(*coro)
}

// newCoro prepares a coroutine. The body starts with the first resume.
func newCoro(body func(c *coro)) *coro {
	return &coro{in: make(chan bool), out: make(chan bool), body: body}
}

func (c *coro) run() {
	defer func() { c.out <- false }() // also after runtime.Goexit
	c.body(c)
}

// resume runs the body until it suspends or ends; false means that it has ended.
func (c *coro) resume() bool {
	if c.ended {
		return false
	}
	if c.started {
		c.in <- true
	} else {
		c.started = true
		go c.run()
	}
	c.ended = !<-c.out
	return !c.ended
}

// suspend gives control back to the resumer. False means that the coroutine is being stopped and must unwind.
func (c *coro) suspend() bool {
	c.out <- true
	return <-c.in
}

// stop unwinds the body and returns when it has ended.
func (c *coro) stop() {
	if c.ended {
		return
	}
	c.ended = true
	if c.started {
		c.in <- false
		<-c.out
	}
}

// stopIdle is stop for a body that is known to return when it is stopped, without Goexit.
func (c *coro) stopIdle() { c.stop() }
