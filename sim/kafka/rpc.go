package kafka

import (
	"errors"
	"fmt"
	"time"

	simnet "github.com/ratel-sim/ratel/sim/net"
	"github.com/ratel-sim/ratel/sim/sched"
)

// Errors of a call, before and after the request may have reached the broker.
var (
	errNotSent = errors.New("request was not sent")
	errLost    = errors.New("connection lost with the request in flight")
)

// timer is a deadline that is re-armed lazily: moving the deadline later costs nothing, because the one entry in the
// scheduler's heap looks at it when it fires.
type timer struct {
	p      *sched.Process
	f      func()
	at     time.Duration // the deadline; 0 is none
	armed  time.Duration // when the scheduled callback fires; 0 is none
	handle sched.Timer
	fire   func()
}

func (t *timer) init(p *sched.Process, f func()) {
	t.p, t.f = p, f
	t.fire = t.fired
}

// set moves the deadline to at, in virtual time since the start.
func (t *timer) set(now, at time.Duration) {
	t.at = at
	if t.armed != 0 && t.armed <= at {
		return
	}
	if t.armed != 0 {
		t.handle.Stop()
	}
	t.armed = at
	t.handle = t.p.After(at-now, t.fire)
}

func (t *timer) clear() { t.at = 0 }

func (t *timer) fired() {
	due := t.armed
	t.armed = 0
	switch {
	case t.at == 0:
	case t.at > due:
		t.armed = t.at
		t.handle = t.p.After(t.at-due, t.fire)
	default:
		t.at = 0
		t.f()
	}
}

// call is one request on its way.
type call struct {
	msg  simnet.Message
	done func(body any, err error) // nil if no response is expected (acks=0)
}

// rpcConn is one connection to a broker as a client holds it: requests go out in order, responses come back in order.
// It is made anew after it breaks.
type rpcConn struct {
	s           *sched.Sim
	conn        *simnet.Conn
	peer        string
	opened      bool
	dead        bool
	waiting     []call // until the connection is open
	inflight    []call // sent, in order
	head        int    // first of inflight that is not answered
	readTimeout time.Duration
	timeout     timer
	onDead      func()
}

func dial(s *sched.Sim, node *simnet.Node, p *sched.Process, peer string, dialTimeout, readTimeout time.Duration, onDead func()) *rpcConn {
	c := &rpcConn{s: s, peer: peer, readTimeout: readTimeout, onDead: onDead}
	c.timeout.init(p, c.timedOut)
	c.conn = node.Dial(peer, service)
	c.conn.OnOpen(c.onOpen)
	c.conn.OnMessage(c.onMessage)
	c.conn.OnClose(func(err error) { c.fail(err) })
	if !c.opened {
		c.timeout.set(s.Now(), s.Now()+dialTimeout)
	}
	return c
}

// call sends a request. done is called once, on the scheduler: with the response body, or with an error that matches
// errNotSent if the broker cannot have seen the request.
func (c *rpcConn) call(msg simnet.Message, done func(body any, err error)) {
	switch {
	case c.dead:
		if done != nil {
			done(nil, fmt.Errorf("%w: connection to %s is closed", errNotSent, c.peer))
		}
	case !c.opened:
		c.waiting = append(c.waiting, call{msg, done})
	default:
		c.send(call{msg, done})
	}
}

func (c *rpcConn) send(q call) {
	c.conn.Send(q.msg)
	if q.done == nil {
		return
	}
	if c.head == len(c.inflight) {
		c.inflight, c.head = c.inflight[:0], 0
		now := c.s.Now()
		c.timeout.set(now, now+c.readTimeout)
	}
	c.inflight = append(c.inflight, call{done: q.done})
}

func (c *rpcConn) onOpen() {
	if c.dead {
		return
	}
	c.opened = true
	c.timeout.clear()
	waiting := c.waiting
	c.waiting = nil
	for _, q := range waiting {
		c.send(q)
	}
}

func (c *rpcConn) onMessage(m simnet.Message) {
	if c.dead || c.head == len(c.inflight) {
		return
	}
	q := c.inflight[c.head]
	c.inflight[c.head] = call{}
	c.head++
	if c.head == len(c.inflight) {
		c.inflight, c.head = c.inflight[:0], 0
		c.timeout.clear()
	} else {
		now := c.s.Now()
		c.timeout.set(now, now+c.readTimeout)
	}
	q.done(m.Body, nil)
}

func (c *rpcConn) timedOut() {
	if c.opened {
		c.fail(errors.New("no response within the read timeout"))
	} else {
		c.fail(errors.New("no connection within the dial timeout"))
	}
}

// fail closes the connection and fails every call on it.
func (c *rpcConn) fail(cause error) {
	if c.dead {
		return
	}
	c.dead = true
	c.timeout.clear()
	c.conn.Close()
	inflight, waiting := c.inflight[c.head:], c.waiting
	c.inflight, c.waiting, c.head = nil, nil, 0
	if c.onDead != nil {
		c.onDead()
	}
	for _, q := range inflight {
		q.done(nil, fmt.Errorf("%w to %s: %w", errLost, c.peer, cause))
	}
	for _, q := range waiting {
		if q.done != nil {
			q.done(nil, fmt.Errorf("%w to %s: %w", errNotSent, c.peer, cause))
		}
	}
}

func (c *rpcConn) close() { c.fail(errors.New("closed")) }
