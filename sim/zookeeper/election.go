package zookeeper

import (
	"time"

	"github.com/ratel-sim/ratel/sim/sched"

	simnet "github.com/ratel-sim/ratel/sim/net"
)

// Timings of FastLeaderElection: how long an agreed vote waits for a better one, and how long a server that hears
// nothing waits before it sends its vote again (doubling; ZooKeeper goes on to 60 s, but reconnects meanwhile).
const (
	finalizeWait = 200 * time.Millisecond
	resendMax    = 3200 * time.Millisecond
)

// election is one server's part in fast leader election.
type election struct {
	votes    map[int]ballot // of this round, by server
	settled  map[int]notification
	finalize sched.Timer
	resend   sched.Timer
	wait     time.Duration
}

// link is this server's connection to another's election service.
type link struct {
	p    *peer
	to   *machine
	conn *simnet.Conn
	open bool
	next *notification // latest wins: only the newest vote matters
}

func (l *link) send(n notification) {
	if l.conn != nil && l.open {
		l.conn.Send(n.message())
		return
	}
	l.next = &n
	if l.conn != nil {
		return
	}
	c := l.p.m.node.Dial(l.to.name, serviceElection)
	l.conn = c
	c.OnOpen(func() {
		if l.conn == c {
			l.open = true
			l.p.sendPending(l)
		}
	})
	c.OnClose(func(error) {
		if l.conn == c {
			l.conn, l.open = nil, false
		}
	})
}

func (p *peer) sendPending(l *link) {
	if n := l.next; n != nil {
		l.next = nil
		l.conn.Send(n.message())
	}
}

func (p *peer) acceptElection(c *simnet.Conn) {
	c.OnMessage(func(m simnet.Message) { p.notified(m.Body.(notification)) })
}

func (p *peer) startElection() {
	p.round++
	p.vote = ballot{leader: p.m.id, epoch: p.disk.currentEpoch, zxid: p.disk.last()}
	p.stopElection()
	p.elect = &election{votes: map[int]ballot{}, settled: map[int]notification{}, wait: finalizeWait}
	p.elect.votes[p.m.id] = p.vote
	p.broadcast()
	p.armResend()
	p.consider()
}

func (p *peer) stopElection() {
	if p.elect != nil {
		p.elect.finalize.Stop()
		p.elect.resend.Stop()
		p.elect = nil
	}
}

func (p *peer) armResend() {
	el := p.elect
	el.resend.Stop()
	el.resend = p.p.After(p.spread(el.wait, 0.1), func() {
		el.wait = min(2*el.wait, resendMax)
		p.broadcast()
		p.armResend()
	})
}

func (p *peer) broadcast() {
	for _, l := range p.links {
		if l != nil {
			l.send(p.notification())
		}
	}
}

func (p *peer) notification() notification {
	return notification{from: p.m.id, state: p.role, round: p.round, vote: p.vote}
}

// notified handles another server's vote (FastLeaderElection.lookForLeader and its WorkerReceiver).
func (p *peer) notified(n notification) {
	l := p.links[n.from-1]
	if p.role != looking {
		if n.state == looking {
			l.send(p.notification())
		}
		return
	}
	el := p.elect
	if n.state != looking {
		el.settled[n.from] = n
		if n.round == p.round {
			el.votes[n.from] = n.vote
		}
		p.joinSettled(n)
		return
	}
	delete(el.settled, n.from)
	switch {
	case n.round > p.round:
		p.round = n.round
		clear(el.votes)
		own := ballot{leader: p.m.id, epoch: p.disk.currentEpoch, zxid: p.disk.last()}
		p.vote = own
		if n.vote.beats(own) {
			p.vote = n.vote
		}
		p.changed()
	case n.round < p.round:
		l.send(p.notification())
		return
	case n.vote.beats(p.vote):
		p.vote = n.vote
		p.changed()
	}
	el.votes[n.from] = n.vote
	p.consider()
}

func (p *peer) changed() {
	p.elect.finalize.Stop()
	p.elect.votes[p.m.id] = p.vote
	p.broadcast()
}

// consider starts the wait that ends the election once a quorum agrees with this server's vote.
func (p *peer) consider() {
	el, n := p.elect, 0
	// order: only counted
	for _, v := range el.votes {
		if v == p.vote {
			n++
		}
	}
	if n < p.e.quorum() || el.finalize.Pending() {
		return
	}
	el.finalize = p.p.After(finalizeWait, func() { p.decide(p.vote) })
}

// joinSettled joins an ensemble that has a leader already: a quorum reports it and it says so itself.
func (p *peer) joinSettled(n notification) {
	el, reports, votes := p.elect, 0, 0
	// order: only counted
	for _, o := range el.settled {
		if o.vote.leader == n.vote.leader {
			reports++
		}
	}
	// order: only counted
	for _, v := range el.votes {
		if v.leader == n.vote.leader {
			votes++
		}
	}
	lead, confirmed := el.settled[n.vote.leader]
	if max(reports, votes) >= p.e.quorum() && confirmed && lead.state == leading {
		p.round = lead.round
		p.decide(lead.vote)
	}
}

func (p *peer) decide(v ballot) {
	p.vote = v
	p.stopElection()
	p.e.sim.Fold(uint64(p.m.id)<<8|uint64(v.leader), uint64(p.round))
	if v.leader == p.m.id {
		p.startLeading()
	} else {
		p.startFollowing(p.e.machines[v.leader-1])
	}
}
