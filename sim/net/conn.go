package net

import (
	"time"

	"github.com/ratel-sim/ratel/sim/sched"
)

// Message is what connections carry. Size, in bytes, is for the bandwidth model. Sum is a checksum of the content and
// goes into the trace hash at delivery. The receiver gets the sender's Body itself: it is immutable after Send.
type Message struct {
	Body any
	Size int
	Sum  uint64
}

type connState uint8

const (
	dialing connState = iota
	open
	closed
)

// Conn is one end of a connection. Its callbacks run on the scheduler, in the process that owns this end, and must not
// block. Set them as soon as the connection is there: after Dial, or in the accept callback.
type Conn struct {
	node       *Node
	p          *sched.Process
	peer       *Conn // nil while the connection attempt is on its way
	service    string
	remoteName string
	state      connState
	index      int // in node.conns; -1 if it is not there
	out        pipe
	unsent     []Message // until the connection is open
	unread     []Message // until OnMessage
	onMessage  func(Message)
	onOpen     func()
	onClose    func(error)
}

// Peer returns the name of the node at the other end.
func (c *Conn) Peer() string { return c.remoteName }

// Local returns the name of the node at this end.
func (c *Conn) Local() string { return c.node.name }

// Service returns the service that was dialled.
func (c *Conn) Service() string { return c.service }

// Open reports whether the connection can carry messages, as far as this end knows.
func (c *Conn) Open() bool { return c.state == open }

// OnMessage sets the callback for each message, in the order they were sent. A message that came before is not lost.
func (c *Conn) OnMessage(f func(Message)) {
	c.onMessage = f
	if f == nil {
		return
	}
	unread := c.unread
	c.unread = nil
	for _, m := range unread {
		c.p.After(0, func() {
			if c.state == open {
				f(m)
			}
		})
	}
}

// OnOpen sets the callback for when a dialled connection is open.
func (c *Conn) OnOpen(f func()) { c.onOpen = f }

// OnClose sets the callback for when the connection failed or was ended by the other end. It is not called after Close.
func (c *Conn) OnClose(f func(error)) { c.onClose = f }

// Send sends a message. On a connection that has ended, and from a dead process, it does nothing.
func (c *Conn) Send(m Message) {
	if c.state == closed {
		return
	}
	c.p.Check()
	if c.state == dialing {
		c.unsent = append(c.unsent, m)
		return
	}
	c.out.push(packet{kind: data, m: m})
}

// Close ends the connection: the other end gets what was sent, then ErrClosed. This end hears no more of it.
func (c *Conn) Close() {
	if c.state == closed {
		return
	}
	c.p.Check()
	c.node.drop(c)
	c.end(finished)
}

// end closes this end and tells the other.
func (c *Conn) end(kind packetKind) {
	c.state = closed
	c.onMessage, c.onOpen, c.onClose, c.unsent, c.unread = nil, nil, nil, nil, nil
	if c.peer != nil {
		c.out.push(packet{kind: kind})
	}
}

// closed is what happens at this end when the connection fails or the other end has ended it.
func (c *Conn) closed(why error) {
	if c.state == closed {
		return
	}
	c.state = closed
	c.node.drop(c)
	tell := c.onClose
	c.onMessage, c.onOpen, c.onClose, c.unsent, c.unread = nil, nil, nil, nil, nil
	if tell != nil {
		tell(why)
	}
}

// receive handles a packet that has arrived.
func (c *Conn) receive(k *packet) {
	if c.state == closed {
		return
	}
	switch k.kind {
	case data:
		if c.onMessage == nil {
			c.unread = append(c.unread, k.m)
			return
		}
		c.onMessage(k.m)
	case opened:
		c.state = open
		unsent := c.unsent
		c.unsent = nil
		for _, m := range unsent {
			c.out.push(packet{kind: data, m: m})
		}
		if c.onOpen != nil {
			c.onOpen()
		}
	case refused:
		c.closed(ErrRefused)
	case reset:
		c.closed(ErrReset)
	case finished:
		c.closed(ErrClosed)
	}
}

type packetKind uint8

const (
	data packetKind = iota
	opened
	refused
	finished
	reset
)

// controlSize is the size in bytes of a packet without data, and the overhead of one with.
const controlSize = 60

type packet struct {
	m        Message
	sent, at time.Duration
	kind     packetKind
}

// pipe is one direction of a connection: what is on its way, in order. One pending event, for the head, is enough.
type pipe struct {
	from  *Conn
	link  *link
	ring  []packet // its length is a power of two
	head  int
	n     int
	last  time.Duration // when the newest arrives at the earliest
	armed bool
	stall bool
}

func (p *pipe) init(from *Conn, l *link) { p.from, p.link = from, l }

func (p *pipe) push(k packet) {
	nd := p.from.node
	now := nd.net.sim.Now()
	k.sent = now
	leaves := now
	if bps := nd.net.cfg.BytesPerSecond; bps > 0 && p.link.from != p.link.to {
		leaves = max(nd.sendFree, now) + time.Duration(int64(k.m.Size+controlSize)*int64(time.Second)/bps)
		nd.sendFree = leaves
	}
	k.at = max(leaves+nd.net.travel(p.link), p.last)
	p.last = k.at
	if p.link.cut {
		p.link.held++
	}
	if p.from.peer.state == closed { // its kernel would throw it away
		return
	}
	if p.n == len(p.ring) {
		bigger := make([]packet, max(4, 2*len(p.ring)))
		copied := copy(bigger, p.ring[p.head:])
		copy(bigger[copied:], p.ring[:p.head])
		p.ring, p.head = bigger, 0
	}
	p.ring[(p.head+p.n)&(len(p.ring)-1)] = k
	p.n++
	if !p.armed && !p.stall {
		p.arm(k.at - now)
	}
}

func (p *pipe) arm(d time.Duration) {
	p.armed = true
	p.from.peer.p.AfterEvent(d, p)
}

// Fire is the arrival of the packet at the head. It implements sched.Event.
func (p *pipe) Fire() {
	p.armed = false
	sim := p.from.node.net.sim
	k := p.ring[p.head]
	if p.link.holds(k.at) {
		for i := range p.n {
			if p.ring[(p.head+i)&(len(p.ring)-1)].sent <= p.link.cutAt {
				p.link.held++ // in flight when the link was cut; what was sent later is counted already
			}
		}
		p.stall = true
		p.link.stalled = append(p.link.stalled, p)
		return
	}
	p.ring[p.head] = packet{}
	p.head = (p.head + 1) & (len(p.ring) - 1)
	p.n--
	if p.n > 0 {
		p.arm(p.ring[p.head].at - sim.Now())
	}
	sim.Fold(foldKind(k.kind, p.link), k.m.Sum)
	p.from.peer.receive(&k)
}

// healed has the sender repeat the oldest packet; the others follow it at once.
func (p *pipe) healed() {
	n := p.from.node.net
	p.stall = false
	head := &p.ring[p.head]
	head.at = n.retransmission(head.sent, n.cfg.RetransmitTimeout) + n.travel(p.link)
	p.last = max(p.last, head.at)
	p.arm(head.at - n.sim.Now())
}

func foldKind(kind packetKind, l *link) uint64 {
	return uint64(kind)<<32 | uint64(l.from.index)<<16 | uint64(l.to.index)
}
