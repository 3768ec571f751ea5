// Package net models the network between simulated nodes: ordered, reliable connections over links with delay, jitter,
// bandwidth, loss and one-way cuts.
//
// It is event-driven: sending, delivering and accepting run as scheduler callbacks of the receiving process and must not
// block. What TCP does is modelled where it is visible to the program: a lost segment is not lost data but a delay of
// the retransmission timeout, also for all that is behind it; a cut link holds data until a retransmission after healing
// gets through; the kernel accepts connections and data for a process that is paused, and resets the connections of one
// that died.
package net

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/ratel-sim/ratel/sim/sched"
)

// Errors that OnClose tells.
var (
	// ErrRefused: the node is up but nothing listens, or its process is down. Nothing was sent.
	ErrRefused = errors.New("connection refused")
	// ErrUnreachable: there is no node of that name. Nothing was sent.
	ErrUnreachable = errors.New("no such host")
	// ErrReset: the process at the other end died. What was sent may or may not have been handled.
	ErrReset = errors.New("connection reset by peer")
	// ErrClosed: the other end closed the connection.
	ErrClosed = errors.New("connection closed by peer")
)

// Config describes every link of a network. The zero value has no delay at all.
type Config struct {
	Latency        time.Duration // one way, between two nodes
	ZoneLatency    time.Duration // added between nodes of different zones
	Jitter         time.Duration // added to each message, uniform in [0, Jitter)
	BytesPerSecond int64         // what one node can send; 0: no bound
	Loss           float64       // probability in [0, 1) that a transmission is lost and has to be repeated
	// RetransmitTimeout is the delay of the first retransmission; each further one doubles it up to MaxBackoff. The
	// defaults are those of Linux (TCP_RTO_MIN 200 ms, TCP_RTO_MAX 120 s).
	RetransmitTimeout time.Duration
	MaxBackoff        time.Duration
}

// connectTimeout is the delay of the first repetition of a SYN (RFC 6298 section 2, and Linux's TCP_TIMEOUT_INIT).
const connectTimeout = time.Second

// loopbackShare is the part of the latency that a node needs to reach itself.
const loopbackShare = 10

// Network is the nodes of one simulation and the links between them.
type Network struct {
	sim   *sched.Sim
	cfg   Config
	rand  *rand.Rand
	nodes []*Node
	named map[string]*Node
}

// New returns a network without nodes.
func New(s *sched.Sim, cfg Config) *Network {
	if cfg.RetransmitTimeout <= 0 {
		cfg.RetransmitTimeout = 200 * time.Millisecond
	}
	if cfg.MaxBackoff <= 0 {
		cfg.MaxBackoff = 120 * time.Second
	}
	if cfg.Loss < 0 || cfg.Loss >= 1 {
		panic(fmt.Sprintf("net: Config.Loss is %v; it must be in [0, 1)", cfg.Loss))
	}
	return &Network{sim: s, cfg: cfg, rand: s.Rand("net"), named: map[string]*Node{}}
}

// AddNode adds a node that is down. Names are unique.
func (n *Network) AddNode(name, zone string) *Node {
	if n.named[name] != nil {
		panic("net: AddNode: there is already a node " + name)
	}
	nd := &Node{net: n, name: name, zone: zone, index: len(n.nodes)}
	n.nodes = append(n.nodes, nd)
	n.named[name] = nd
	for _, from := range n.nodes {
		for len(from.links) < len(n.nodes) {
			from.links = append(from.links, n.newLink(from, n.nodes[len(from.links)]))
		}
	}
	return nd
}

// Node returns the node of that name, or nil.
func (n *Network) Node(name string) *Node { return n.named[name] }

// Nodes returns all nodes in the order they were added.
func (n *Network) Nodes() []*Node { return n.nodes }

// link is one direction between two nodes.
type link struct {
	from, to *Node
	latency  time.Duration
	extra    time.Duration // Delay
	cut      bool
	cutAt    time.Duration
	held     int64
	stalled  []stalled // in the order they were first held
}

// stalled is what waits for a link to heal.
type stalled interface {
	// healed is called when the link carries again.
	healed()
}

func (n *Network) newLink(from, to *Node) *link {
	l := &link{from: from, to: to, latency: n.cfg.Latency}
	switch {
	case from == to:
		l.latency /= loopbackShare
	case from.zone != to.zone:
		l.latency += n.cfg.ZoneLatency
	}
	return l
}

func (n *Network) link(op, from, to string) *link {
	f, t := n.named[from], n.named[to]
	if f == nil || t == nil {
		panic(fmt.Sprintf("net: %s(%q, %q): no such node", op, from, to))
	}
	return f.links[t.index]
}

// Cut stops the link from one node to another, in this direction only. What is in flight, or sent from now on, is held
// in order until the link heals.
func (n *Network) Cut(from, to string) {
	l := n.link("Cut", from, to)
	if !l.cut {
		l.cut, l.cutAt, l.held = true, n.sim.Now(), 0
	}
}

// Heal lets a link carry again. What it holds arrives with the next retransmission: the longer the cut, the longer that
// may take.
func (n *Network) Heal(from, to string) { n.link("Heal", from, to).heal() }

// HealAll heals every link.
func (n *Network) HealAll() {
	for _, from := range n.nodes {
		for _, l := range from.links {
			l.heal()
		}
	}
}

func (l *link) heal() {
	if !l.cut {
		return
	}
	l.cut = false
	waiting := l.stalled
	l.stalled = nil
	for _, w := range waiting {
		w.healed()
	}
}

// Delay adds extra latency to what is sent over a link from now on; 0 ends it.
func (n *Network) Delay(from, to string, extra time.Duration) {
	n.link("Delay", from, to).extra = max(extra, 0)
}

// Held counts the messages and connection attempts that the last cut of a link has held back, still in force or not.
func (n *Network) Held(from, to string) int64 { return n.link("Held", from, to).held }

// holds reports whether the link holds back what would have arrived at that time. What had arrived before the cut is
// there, even if a paused process has not read it yet.
func (l *link) holds(at time.Duration) bool { return l.cut && at > l.cutAt }

// travel draws the time from the end of a transmission to its arrival, lost transmissions included.
func (n *Network) travel(l *link) time.Duration {
	d := l.latency + l.extra
	if n.cfg.Jitter > 0 && l.from != l.to {
		d += time.Duration(n.rand.Uint64N(uint64(n.cfg.Jitter)))
	}
	if n.cfg.Loss > 0 && l.from != l.to {
		for rto := n.cfg.RetransmitTimeout; n.rand.Float64() < n.cfg.Loss; rto = min(2*rto, n.cfg.MaxBackoff) {
			d += rto
		}
	}
	return d
}

// retransmission returns when, at or after now, the sender repeats what it first sent at that time.
func (n *Network) retransmission(sent, rto time.Duration) time.Duration {
	now := n.sim.Now()
	at := sent
	for at < now {
		at += rto
		rto = min(2*rto, n.cfg.MaxBackoff)
	}
	return at
}
