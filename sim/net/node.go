package net

import (
	"time"

	"github.com/ratel-sim/ratel/sim/sched"
)

// Node is one host's network stack. It outlives the processes that run on it.
type Node struct {
	net       *Network
	name      string
	zone      string
	index     int
	links     []*link // by destination
	p         *sched.Process
	listeners map[string]func(*Conn)
	conns     []*Conn
	sendFree  time.Duration // when the interface has sent everything handed to it
	busyUntil time.Duration // when the node has worked off everything given to Serve
	pool      map[pooled]*idle
}

// Name returns the node's name.
func (nd *Node) Name() string { return nd.name }

// Zone returns the node's zone.
func (nd *Node) Zone() string { return nd.zone }

// Up reports whether a process runs on the node.
func (nd *Node) Up() bool { return nd.p != nil }

// Start brings the node up, owned by this incarnation, with nothing listening. The node goes down when the process is
// killed.
func (nd *Node) Start(p *sched.Process) {
	nd.Stop()
	if !p.Alive() {
		return
	}
	nd.p, nd.listeners, nd.pool, nd.busyUntil = p, map[string]func(*Conn){}, map[pooled]*idle{}, 0
	p.OnKill(func() {
		if nd.p == p {
			nd.Stop()
		}
	})
}

// Stop takes the node down as the kernel does when a process has ended: its listeners are gone, the other ends of its
// connections learn ErrReset as soon as the network carries it, and dials are refused. Stopping a stopped node does
// nothing.
func (nd *Node) Stop() {
	if nd.p == nil {
		return
	}
	nd.p, nd.listeners, nd.pool = nil, nil, nil
	conns := nd.conns
	nd.conns = nil
	for _, c := range conns {
		c.index = -1
		c.end(reset)
	}
}

// Listen has accept called for every connection to service. A paused process accepts late, though its kernel has
// completed the connection. Listening on a service again replaces the callback.
func (nd *Node) Listen(service string, accept func(c *Conn)) {
	if nd.p == nil {
		return
	}
	nd.p.Check()
	nd.listeners[service] = accept
}

// Dial starts to connect and returns at once. Set the callbacks on the connection before returning to the scheduler;
// OnOpen or OnClose tells how it went. On a cut link neither is called until the link heals, so have a timeout. Messages
// sent before OnOpen are transmitted when the connection opens.
func (nd *Node) Dial(to, service string) *Conn {
	c := &Conn{node: nd, service: service, remoteName: to, index: -1}
	if nd.p == nil {
		c.state = closed // a dead process dials without effect
		return c
	}
	nd.p.Check()
	c.p = nd.p
	nd.add(c)
	target := nd.net.named[to]
	if target == nil {
		c.p.After(0, func() { c.closed(ErrUnreachable) })
		return c
	}
	c.out.init(c, nd.links[target.index])
	(&handshake{c: c, to: target, sent: nd.net.sim.Now()}).start()
	return c
}

// Serve models the node's processor as one queue: f runs in the node's process when everything given to Serve before it
// is done and cost has passed. It never runs if the process dies first.
func (nd *Node) Serve(cost time.Duration, f func()) {
	if nd.p == nil {
		return
	}
	nd.p.Check()
	now := nd.net.sim.Now()
	nd.busyUntil = max(nd.busyUntil, now) + max(cost, 0)
	nd.p.After(nd.busyUntil-now, f)
}

// Backlog is how long the node would need for everything given to Serve so far.
func (nd *Node) Backlog() time.Duration { return max(nd.busyUntil-nd.net.sim.Now(), 0) }

func (nd *Node) add(c *Conn) {
	c.index = len(nd.conns)
	nd.conns = append(nd.conns, c)
}

func (nd *Node) drop(c *Conn) {
	if c.index < 0 {
		return
	}
	last := nd.conns[len(nd.conns)-1]
	nd.conns[c.index], last.index = last, c.index
	nd.conns[len(nd.conns)-1] = nil
	nd.conns = nd.conns[:len(nd.conns)-1]
	c.index = -1
}

// handshake is a connection attempt on its way. It implements sched.Event: its arrival.
type handshake struct {
	c    *Conn
	to   *Node
	sent time.Duration
	at   time.Duration
}

func (h *handshake) start() {
	n := h.c.node.net
	h.arriveIn(n.travel(h.c.out.link))
}

func (h *handshake) arriveIn(d time.Duration) {
	n := h.c.node.net
	h.at = n.sim.Now() + d
	n.sim.AfterEvent(d, h)
}

// Fire is the SYN's arrival. The kernel answers it, whether or not the process is paused.
func (h *handshake) Fire() {
	c := h.c
	if c.state == closed {
		return
	}
	l := c.out.link
	if l.holds(h.at) {
		l.held++
		l.stalled = append(l.stalled, h)
		return
	}
	c.node.net.sim.Fold(foldKind(opened, l), 0)
	peer := &Conn{node: h.to, p: h.to.p, service: c.service, remoteName: c.node.name, peer: c, index: -1}
	peer.out.init(peer, h.to.links[c.node.index])
	c.peer = peer
	var accept func(*Conn)
	if h.to.p != nil {
		accept = h.to.listeners[c.service]
	}
	if accept == nil {
		peer.state = closed
		peer.out.push(packet{kind: refused})
		return
	}
	peer.state = open
	h.to.add(peer)
	peer.out.push(packet{kind: opened})
	peer.p.After(0, func() {
		if peer.state == open {
			accept(peer)
		}
	})
}

func (h *handshake) healed() {
	n := h.c.node.net
	h.arriveIn(n.retransmission(h.sent, connectTimeout) - n.sim.Now() + n.travel(h.c.out.link))
}
