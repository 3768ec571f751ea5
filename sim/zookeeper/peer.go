package zookeeper

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/ratel-sim/ratel/sim/sched"

	simnet "github.com/ratel-sim/ratel/sim/net"
)

// role is what a server is in its ensemble.
type role uint8

const (
	looking role = iota + 1
	following
	leading
)

// peer is one incarnation of a server's process.
type peer struct {
	e    *Ensemble
	m    *machine
	p    *sched.Process
	disk *disk
	rand *rand.Rand
	run  uint64

	role    role
	serving bool // clients are answered
	vote    ballot
	elect   *election // while looking
	lead    *leader   // while leading
	follow  *follower // while following
	links   []*link   // to the others' election service, by index in e.machines; nil for itself
	round   int64     // election round (logical clock)

	tree      *tree
	committed int64 // newest transaction known to be committed
	applying  bool  // an application is scheduled
	flushing  bool
	flushGen  uint64 // truncation makes a sync under way worthless

	conns   []*clientConn // connected clients, in order of arrival
	asked   map[uint64]*pending
	nextReq uint64
	nextSID int64
	touched []int64 // sessions heard of since the leader's last ping
	watches watchTable
}

func newPeer(e *Ensemble, m *machine) *peer {
	p := &peer{
		e: e, m: m, p: m.proc, disk: m.disk, run: m.runs, role: looking,
		rand:  e.sim.Rand(fmt.Sprintf("zookeeper/%s/%d", m.name, m.runs)),
		tree:  m.disk.snap.clone(),
		asked: map[uint64]*pending{}, watches: newWatchTable(),
	}
	p.committed = p.tree.zxid
	p.links = make([]*link, len(e.machines))
	p.p.After(p.spread(e.cfg.Boot, 0.1), func() {
		m.node.Listen(serviceElection, p.acceptElection)
		m.node.Listen(serviceQuorum, p.acceptFollower)
		m.node.Listen(serviceClient, p.acceptClient)
		m.node.Listen(serviceProbe, p.acceptProbe)
		for i, o := range e.machines {
			if o != m {
				p.links[i] = &link{p: p, to: o}
			}
		}
		p.look()
	})
	return p
}

func (p *peer) now() time.Duration { return p.e.sim.Now() }

// spread returns a duration drawn evenly from d·(1-by) to d·(1+by).
func (p *peer) spread(d time.Duration, by float64) time.Duration {
	return time.Duration(float64(d) * (1 - by + 2*by*p.rand.Float64()))
}

// look gives up whatever role the server had and starts an election.
func (p *peer) look() {
	if p.lead != nil {
		p.lead.stop()
	}
	if p.follow != nil {
		p.follow.stop()
	}
	p.lead, p.follow = nil, nil
	p.role, p.serving = looking, false
	for _, c := range p.conns {
		c.drop()
	}
	p.conns, p.touched = nil, nil
	clear(p.asked)
	p.watches = newWatchTable()
	p.startElection()
}

// append logs transactions and starts to make them durable.
func (p *peer) append(entries ...*txn) {
	p.disk.log = append(p.disk.log, entries...)
	p.flush()
}

// flush syncs the log as it is now; what is appended meanwhile goes with the next sync (group commit).
func (p *peer) flush() {
	if p.flushing || p.disk.synced == len(p.disk.log) {
		return
	}
	p.flushing = true
	upTo, gen := p.disk.last(), p.flushGen
	p.p.After(p.spread(p.e.cfg.Fsync, 0.5), func() {
		if gen != p.flushGen {
			return
		}
		p.flushing = false
		p.disk.synced = max(p.disk.synced, p.disk.after(upTo))
		p.flush()
		p.durable()
	})
}

// rewritten is called when the log has been cut or replaced: a sync under way is forgotten.
func (p *peer) rewritten() {
	p.flushGen++
	p.flushing = false
}

// durable is called when more of the log has become durable.
func (p *peer) durable() {
	switch {
	case p.lead != nil:
		p.lead.advance()
	case p.follow != nil:
		p.follow.durable()
	}
}

// commit learns that everything up to zxid is committed. The leader applies at once, a follower a little later.
func (p *peer) commit(zxid int64) {
	if zxid <= p.committed {
		return
	}
	p.committed = zxid
	if p.role == leading {
		p.apply()
		return
	}
	if p.applying {
		return
	}
	p.applying = true
	p.p.After(time.Duration(p.rand.Int64N(int64(p.e.cfg.ApplyLag)+1)), func() {
		p.applying = false
		p.apply()
	})
}

// apply applies what is committed and logged here, answers the clients of this server and fires their watches.
func (p *peer) apply() {
	if p.follow != nil && p.follow.install != nil {
		return // what is on disk is about to be replaced
	}
	i := p.disk.after(p.tree.zxid)
	for ; i < len(p.disk.log) && p.disk.log[i].zxid <= p.committed; i++ {
		x := p.disk.log[i]
		p.tree.keepEphs = p.e.cfg.Bugs.KeepEphemerals && p.role == following
		before := p.tree.zxid
		out := p.tree.apply(x, p.watches.fire)
		p.e.sim.Fold(uint64(x.zxid)<<8|uint64(p.m.id), x.sum())
		if p.e.observe != nil {
			p.e.observe(p.m, before, x, out)
		}
		if p.lead != nil {
			p.lead.applied(x)
		}
		p.applied(x, out)
	}
	if d := p.disk; len(d.log) > 2*p.e.cfg.SnapshotEvery && d.synced == len(d.log) {
		d.compact(p.tree)
	}
}

// rewind rebuilds the tree from disk, after a leader has cut away history that had been applied here. That happens only
// when a quorum's disks were lost.
func (p *peer) rewind(committed int64) {
	p.tree = p.disk.snap.clone()
	p.committed = max(p.tree.zxid, min(committed, p.disk.last()))
	p.apply()
}

// acceptFollower takes a connection on the quorum service.
func (p *peer) acceptFollower(c *simnet.Conn) {
	if p.lead == nil {
		c.Close()
		return
	}
	p.lead.accept(c)
}
