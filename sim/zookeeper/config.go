package zookeeper

import (
	"time"

	"github.com/ratel-sim/ratel/sim/sched"
	"github.com/ratel-sim/ratel/system/port"

	simnet "github.com/ratel-sim/ratel/sim/net"
)

// Config describes an ensemble. The zero value of each field stands for the default given with it; the defaults are
// those of the ensemble that Ratel runs in containers.
type Config struct {
	// Nodes names the servers, each a network node of that name. At least one.
	Nodes []string
	// Zones places the servers, in step with Nodes. Empty: all in zone "".
	Zones []string
	// Tick is ZooKeeper's tickTime: the leader pings its followers each half tick and expires sessions in steps of one.
	// Default 500 ms.
	Tick time.Duration
	// InitLimit is how long a leader waits for a quorum to join, and a joining follower for its leader. Default 20 ticks.
	InitLimit time.Duration
	// SyncLimit is how long a leader and its followers bear each other's silence. Default 4 ticks.
	SyncLimit time.Duration
	// MinSession and MaxSession clamp the session timeouts that clients ask for. Default 2 ticks and an hour.
	MinSession, MaxSession time.Duration
	// Fsync is the mean time to make the transaction log durable; each sync takes half to one and a half of it. Default 2 ms.
	Fsync time.Duration
	// ApplyLag bounds how long a server takes to apply what is committed, which makes its reads stale. Default 1 ms.
	ApplyLag time.Duration
	// Boot is the mean time from the start of a process to its first vote; each start takes 0.9 to 1.1 of it. Default 1 s.
	Boot time.Duration
	// SnapshotEvery is how many transactions a server logs before it snapshots its tree and drops the log. Default 5000.
	SnapshotEvery int
	// Events hears of leaders and of expired sessions. Default: nobody.
	Events port.Events
	// Bugs plants known faults; see [Bugs].
	Bugs Bugs
}

// Bugs are faults that ZooKeeper has had. All are off unless a test or a planted-bug run switches them on.
type Bugs struct {
	// AckBeforeSync: a follower acknowledges its new leader before what it was sent is on disk (Z7, ZOOKEEPER-4646).
	AckBeforeSync bool
	// NoTruncate: a follower keeps transactions that its new leader does not have (Z8, ZOOKEEPER-2832).
	NoTruncate bool
	// KeepEphemerals: followers do not remove a closed session's ephemeral znodes (Z9, ZOOKEEPER-5010).
	KeepEphemerals bool
}

func (c Config) withDefaults() Config {
	or := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	or(&c.Tick, 500*time.Millisecond)
	or(&c.InitLimit, 20*c.Tick)
	or(&c.SyncLimit, 4*c.Tick)
	or(&c.MinSession, 2*c.Tick)
	or(&c.MaxSession, time.Hour)
	or(&c.Fsync, 2*time.Millisecond)
	or(&c.ApplyLag, time.Millisecond)
	or(&c.Boot, time.Second)
	if c.SnapshotEvery == 0 {
		c.SnapshotEvery = 5000
	}
	if c.Events == nil {
		c.Events = port.Discard{}
	}
	return c
}

// Network services of an ensemble's nodes.
const (
	serviceClient   = "zk"          // port 2181
	serviceProbe    = "zk.probe"    // as the four-letter word srvr
	serviceQuorum   = "zk-quorum"   // port 2888: followers to their leader
	serviceElection = "zk-election" // port 3888: votes
)

// Ensemble is a simulated ZooKeeper ensemble. Its methods must be called from the simulation.
type Ensemble struct {
	sim      *sched.Sim
	cfg      Config
	machines []*machine
	clients  map[int64]string // session id -> network node of its client, for announcements
	nclients uint64
	// observe, if set, sees every application of a transaction by a server, and what that server had applied before.
	observe func(server *machine, before int64, x *txn, out outcome)
}

// machine is one server's node: what outlives its process.
type machine struct {
	name string
	id   int // 1.. , ZooKeeper's myid
	node *simnet.Node
	disk *disk
	proc *sched.Process
	peer *peer // nil while the process is down
	runs uint64
}

// New lays out an ensemble on the network. No server runs until [Ensemble.StartNode].
// It panics if cfg names no nodes, which is a mistake of the program.
func New(s *sched.Sim, n *simnet.Network, cfg Config) *Ensemble {
	if len(cfg.Nodes) == 0 {
		panic("sim/zookeeper: New: Config.Nodes is empty; an ensemble needs at least one server")
	}
	e := &Ensemble{sim: s, cfg: cfg.withDefaults(), clients: map[int64]string{}}
	for i, name := range cfg.Nodes {
		zone := ""
		if i < len(cfg.Zones) {
			zone = cfg.Zones[i]
		}
		e.machines = append(e.machines, &machine{name: name, id: i + 1, node: n.AddNode(name, zone), disk: newDisk()})
	}
	return e
}

// Nodes returns the servers' names in the order of their ids.
func (e *Ensemble) Nodes() []string {
	names := make([]string, len(e.machines))
	for i, m := range e.machines {
		names[i] = m.name
	}
	return names
}

// Leader returns the name of the server that leads: established by a quorum in the newest epoch, and running. It is
// empty if there is none. A leader that has been cut off counts until it notices or another is established.
func (e *Ensemble) Leader() string {
	best := ""
	var epoch int64 = -1
	for _, m := range e.machines {
		if m.peer != nil && m.peer.lead != nil && m.peer.lead.phase == phaseActive && m.peer.lead.epoch > epoch {
			best, epoch = m.name, m.peer.lead.epoch
		}
	}
	return best
}

// Serving reports whether the named server runs and answers clients.
func (e *Ensemble) Serving(name string) bool {
	m := e.machine(name)
	return m.peer != nil && m.peer.serving
}

// Running reports whether the named server's process exists, paused or not.
func (e *Ensemble) Running(name string) bool { return e.machine(name).peer != nil }

// StartNode starts the named server on the disk it has. It does nothing if it runs already.
func (e *Ensemble) StartNode(name string) {
	m := e.machine(name)
	if m.peer != nil {
		return
	}
	m.runs++
	m.proc = e.sim.Process(name)
	m.node.Start(m.proc)
	m.peer = newPeer(e, m)
}

// KillNode kills the named server at once (SIGKILL). Its disk stays, except that only a prefix of what was being written
// at that moment is there.
func (e *Ensemble) KillNode(name string) {
	m := e.machine(name)
	if m.peer == nil {
		return
	}
	m.disk.crash(m.peer.rand)
	m.peer = nil
	m.proc.Kill()
	m.node.Stop()
}

// PauseNode stops the named server's process (SIGSTOP): its connections stay open and nobody answers.
func (e *Ensemble) PauseNode(name string) {
	if m := e.machine(name); m.peer != nil {
		m.proc.Pause()
	}
}

// ResumeNode lets a paused server go on.
func (e *Ensemble) ResumeNode(name string) {
	if m := e.machine(name); m.peer != nil {
		m.proc.Resume()
	}
}

// WipeNode kills the named server if it runs and empties its disk. It fetches everything from the leader when started.
func (e *Ensemble) WipeNode(name string) {
	e.KillNode(name)
	e.machine(name).disk = newDisk()
}

func (e *Ensemble) machine(name string) *machine {
	for _, m := range e.machines {
		if m.name == name {
			return m
		}
	}
	panic("sim/zookeeper: no server named " + name + " in this ensemble")
}

func (e *Ensemble) quorum() int { return len(e.machines)/2 + 1 }
