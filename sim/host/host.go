// Package host is a machine that runs one server process: its life, how slow it is, and how often it fails. The models of
// MySQL and of the object store are servers on such a machine.
package host

import (
	"fmt"
	"math/rand/v2"
	"time"

	simnet "github.com/ratel-sim/ratel/sim/net"
	"github.com/ratel-sim/ratel/sim/sched"
)

// ProbeService answers any message with one of the same size, once the process has booted.
const ProbeService = "probe"

// Config describes a host and the server that runs on it.
type Config struct {
	Name, Zone string
	// Boot is the mean time from the start of the process until it listens; each start takes 0.9 to 1.1 of it.
	Boot time.Duration
	// Begin has the server listen on the node: a new process has booted.
	Begin func(p *sched.Process)
	// Ended is told that the process is gone, with its connections and whatever it had not made durable.
	Ended func()
}

// Host is one machine. Its methods must be called from the simulation.
type Host struct {
	sim  *sched.Sim
	cfg  Config
	node *simnet.Node
	proc *sched.Process // nil while nothing runs
	rand *rand.Rand
	rate float64
	slow time.Duration
	// Requests that errors and slowness have hit since the machine is there.
	failed, slowed int64
}

// New adds the machine to the network. Nothing runs until [Host.Start].
func New(s *sched.Sim, n *simnet.Network, cfg Config) *Host {
	return &Host{sim: s, cfg: cfg, node: n.AddNode(cfg.Name, cfg.Zone), rand: s.Rand("host/" + cfg.Name)}
}

// Node is the machine's place in the network.
func (h *Host) Node() *simnet.Node { return h.node }

// Sim is the simulation.
func (h *Host) Sim() *sched.Sim { return h.sim }

// Rand is the machine's own randomness.
func (h *Host) Rand() *rand.Rand { return h.rand }

// Process is what runs at the moment, or nil.
func (h *Host) Process() *sched.Process { return h.proc }

// Running reports whether the process exists, booted or not, paused or not.
func (h *Host) Running() bool { return h.proc != nil }

// Start starts the process on the disk that is there. It does nothing if one runs already.
func (h *Host) Start() {
	if h.proc != nil {
		return
	}
	p := h.sim.Process(h.cfg.Name)
	h.proc = p
	h.node.Start(p)
	boot := time.Duration(float64(h.cfg.Boot) * (0.9 + 0.2*h.rand.Float64()))
	p.After(boot, func() {
		h.node.Listen(ProbeService, func(c *simnet.Conn) {
			c.OnMessage(func(m simnet.Message) { c.Send(simnet.Message{Size: m.Size}) })
		})
		h.cfg.Begin(p)
	})
}

// Kill ends the process at once (SIGKILL). What it had made durable stays.
func (h *Host) Kill() {
	if h.proc == nil {
		return
	}
	p := h.proc
	h.proc = nil
	h.node.Stop()
	p.Kill()
	h.cfg.Ended()
}

// Pause freezes the process (SIGSTOP): connections stay open and nobody answers.
func (h *Host) Pause() {
	if h.proc != nil {
		h.proc.Pause()
	}
}

// Resume lets a paused process go on.
func (h *Host) Resume() {
	if h.proc != nil {
		h.proc.Resume()
	}
}

// SetErrors has that share of requests fail, in [0, 1]; 0 ends it. Half of the failures are refused before they have an
// effect, half take effect and lose the answer. It panics on another rate, which is a mistake of the program.
func (h *Host) SetErrors(rate float64) {
	if !(rate >= 0 && rate <= 1) {
		panic(fmt.Sprintf("sim/host: SetErrors(%v) on %s: the rate must be in [0, 1]", rate, h.cfg.Name))
	}
	h.rate = rate
}

// SetSlow has every request take that much longer; 0 ends it.
func (h *Host) SetSlow(delay time.Duration) { h.slow = max(delay, 0) }

// Slow is how much longer the next request takes.
func (h *Host) Slow() time.Duration {
	if h.slow > 0 {
		h.slowed++
	}
	return h.slow
}

// Disturbed counts the requests that errors, and those that slowness has hit, since the machine is there. What one fault has hit is the
// difference to when it began.
func (h *Host) Disturbed() (failed, slowed int64) { return h.failed, h.slowed }

// Fate is what becomes of a request.
type Fate uint8

// Fates. A request that is refused has no effect; one that is lost has its effect, and its sender does not learn of it.
const (
	Served Fate = iota
	Refused
	Lost
)

// Fate draws what becomes of the next request.
func (h *Host) Fate() Fate {
	if h.rate == 0 || h.rand.Float64() >= h.rate {
		return Served
	}
	h.failed++
	if h.rand.Uint64()&1 == 0 {
		return Refused
	}
	return Lost
}
