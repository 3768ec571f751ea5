package zookeeper

import (
	"fmt"
	"slices"
	"time"

	"github.com/ratel-sim/ratel/sim/sched"
	"github.com/ratel-sim/ratel/system/port"

	simnet "github.com/ratel-sim/ratel/sim/net"
)

// phase is how far a leader has come.
type phase uint8

const (
	phaseSetup    phase = iota + 1 // elected, not yet listening
	phaseDiscover                  // collecting the epochs that a quorum has accepted
	phasePromise                   // epoch proposed, collecting acknowledgements
	phaseSync                      // bringing a quorum to the leader's history
	phaseActive                    // broadcasting
)

// setupTime is how long an elected leader takes before it accepts followers: loading its database, binding its port.
const setupTime = 150 * time.Millisecond

// leader is a server's work while it leads.
type leader struct {
	p        *peer
	phase    phase
	epoch    int64
	learners []*learner // in order of arrival, one per server
	counter  int64      // low half of the newest zxid of this epoch
	tracker  *tracker
	syncs    []waitingSync
	ping     sched.Timer
	giveUp   sched.Timer
	ticks    int
}

// learner is a follower as its leader sees it.
type learner struct {
	l        *leader
	c        *simnet.Conn
	id       int
	accepted int64         // newest epoch it had accepted when it came
	logged   int64         // newest transaction it had when it came
	base     int64         // where its snapshot ends
	ready    bool          // has acknowledged the epoch
	promised bool          // ... as its first promise of this number, so that it counts
	synced   bool          // has been sent the history, and is sent everything since
	joined   bool          // has acknowledged the history
	acked    int64         // durable there
	last     time.Duration // last heard of
}

// waitingSync is a sync that waits for what was proposed before it.
type waitingSync struct {
	zxid int64
	to   *learner // nil: the leader's own client
	req  uint64
}

func (p *peer) startLeading() {
	l := &leader{p: p, phase: phaseSetup}
	p.role, p.lead = leading, l
	p.p.After(p.spread(setupTime, 0.25), func() {
		if p.lead == l {
			l.phase = phaseDiscover
			l.discover()
		}
	})
	l.giveUp = p.p.After(p.e.cfg.InitLimit, func() {
		if p.lead == l && l.phase != phaseActive {
			p.look()
		}
	})
	l.ping = p.p.After(p.e.cfg.Tick/2, l.tick)
}

func (l *leader) stop() {
	l.ping.Stop()
	l.giveUp.Stop()
	for _, f := range l.learners {
		f.c.Close()
	}
	l.learners = nil
}

func (l *leader) accept(c *simnet.Conn) {
	if l.phase == phaseSetup {
		c.Close()
		return
	}
	f := &learner{l: l, c: c, last: l.p.now()}
	c.OnMessage(func(m simnet.Message) {
		if l.p.lead == l {
			l.receive(f, m.Body.(*zab))
		}
	})
	c.OnClose(func(error) { l.forget(f) })
}

func (l *leader) forget(f *learner) {
	l.learners = slices.DeleteFunc(l.learners, func(o *learner) bool { return o == f })
}

func (l *leader) receive(f *learner, z *zab) {
	f.last = l.p.now()
	switch z.kind {
	case zabInfo:
		for _, o := range l.learners {
			if o.id == z.from { // reconnected before the old connection was seen to break
				o.c.Close()
				l.forget(o)
				break
			}
		}
		f.id, f.accepted = z.from, z.epoch
		l.learners = append(l.learners, f)
		if l.phase >= phasePromise {
			f.send(&zab{kind: zabEpoch, epoch: l.epoch})
			return
		}
		l.discover()
	case zabAckEpoch:
		l.acknowledged(f, z)
	case zabAckLeader:
		f.joined, f.acked = true, z.zxid
		if l.phase == phaseActive {
			f.send(&zab{kind: zabUpToDate, zxid: l.p.committed})
		}
		l.advance()
	case zabAck:
		f.acked = max(f.acked, z.zxid)
		l.advance()
	case zabPong:
		for _, id := range z.touched {
			l.touch(id)
		}
	case zabRequest:
		l.request(f, z.tx)
	case zabRevalidate:
		ok := l.phase == phaseActive && l.tracker.adopt(z.session, f.id, l.p.now())
		f.send(&zab{kind: zabRevalidated, req: z.req, ok: ok})
	case zabSync:
		l.sync(waitingSync{to: f, req: z.req})
	}
}

func (f *learner) send(z *zab) { f.c.Send(z.message()) }

// discover proposes an epoch newer than any that a quorum has accepted.
func (l *leader) discover() {
	if l.phase != phaseDiscover || 1+len(l.learners) < l.p.e.quorum() {
		return
	}
	l.epoch = l.p.disk.acceptedEpoch
	for _, f := range l.learners {
		l.epoch = max(l.epoch, f.accepted)
	}
	l.epoch++
	l.p.disk.acceptedEpoch = l.epoch
	l.phase = phasePromise
	for _, f := range l.learners {
		f.send(&zab{kind: zabEpoch, epoch: l.epoch})
	}
	l.establish()
}

// acknowledged counts a promise to follow this epoch only, and brings the follower to the leader's history when its
// turn has come.
func (l *leader) acknowledged(f *learner, z *zab) {
	d := l.p.disk
	if l.phase == phasePromise && z.ok {
		if z.epoch > d.currentEpoch || z.epoch == d.currentEpoch && z.zxid > d.last() {
			l.p.look() // that follower knows more: it must lead
			return
		}
		f.promised = true
	}
	f.ready, f.logged, f.base = true, z.zxid, z.base
	if l.phase >= phaseSync {
		l.bring(f)
		return
	}
	l.establish()
}

func (l *leader) establish() {
	n := 1
	for _, f := range l.learners {
		if f.promised {
			n++
		}
	}
	if l.phase != phasePromise || n < l.p.e.quorum() {
		return
	}
	l.phase = phaseSync
	for _, f := range l.learners {
		if f.ready {
			l.bring(f)
		}
	}
	l.p.flush()
	l.advance()
}

// bring sends a follower what makes its history the leader's: the missing transactions, after a truncation if it has
// ones of the same epoch that the leader has not, else a snapshot. NEWLEADER goes with it.
func (l *leader) bring(f *learner) {
	d := l.p.disk
	last := f.logged
	z := &zab{kind: zabHistory, epoch: l.epoch, zxid: last}
	common := d.snap.zxid // newest transaction of the leader that is not newer than the follower's last
	if i := d.after(last); i > 0 {
		common = d.log[i-1].zxid
	}
	known := last >= d.snap.zxid && common >= f.base
	switch {
	case known && common == last:
	case known && epochOf(common) == epochOf(last):
		z.zxid = common
	default:
		z.snap = d.snap
		common = d.snap.zxid
		z.zxid = common
	}
	z.entries = d.log[d.after(common):len(d.log):len(d.log)]
	f.synced = true
	f.send(z)
}

// advance commits what a quorum has on disk.
func (l *leader) advance() {
	if l.phase < phaseSync {
		return
	}
	d := l.p.disk
	acked := []int64{d.durable()}
	for _, f := range l.learners {
		if f.joined {
			acked = append(acked, f.acked)
		}
	}
	q := l.p.e.quorum()
	if len(acked) < q {
		return
	}
	slices.Sort(acked)
	upTo := acked[len(acked)-q]
	if l.phase == phaseSync {
		if d.durable() != d.last() || upTo < d.last() {
			return
		}
		l.activate()
		return
	}
	if upTo <= l.p.committed {
		return
	}
	for _, f := range l.learners {
		if f.synced {
			f.send(&zab{kind: zabCommit, zxid: upTo})
		}
	}
	l.p.commit(upTo)
	l.finishSyncs()
}

// activate starts broadcasting: a quorum has the leader's history, which is thereby committed.
func (l *leader) activate() {
	p := l.p
	l.phase = phaseActive
	p.disk.currentEpoch = l.epoch // only now that all of its history is durable (ZOOKEEPER-4643)
	l.giveUp.Stop()
	l.tracker = newTracker(p.e.cfg.Tick)
	p.commit(p.disk.last())
	p.apply()
	for _, id := range p.tree.sessionIDs() {
		l.tracker.add(id, p.tree.sessions[id].timeout, 0, p.now())
	}
	p.serving = true
	for _, f := range l.learners {
		if f.joined {
			f.send(&zab{kind: zabUpToDate, zxid: p.committed})
		}
	}
	p.e.cfg.Events.Announce(port.Event{Kind: port.EventEnsembleLeader, Node: p.m.name, Detail: fmt.Sprintf("epoch %d", l.epoch)})
}

// tick pings the followers each half tick; each whole tick it looks whether a quorum still follows, and expires sessions.
func (l *leader) tick() {
	p := l.p
	l.ping = p.p.After(p.e.cfg.Tick/2, l.tick)
	if l.phase != phaseActive {
		return
	}
	for _, f := range slices.Clone(l.learners) {
		if f.joined && p.now()-f.last > p.e.cfg.SyncLimit {
			f.c.Close()
			l.forget(f)
		}
	}
	n := 1
	for _, f := range l.learners {
		if f.joined {
			n++
		}
	}
	if n < p.e.quorum() {
		p.look()
		return
	}
	for _, f := range l.learners {
		if f.synced {
			f.send(&zab{kind: zabPing})
		}
	}
	if l.ticks++; l.ticks%2 == 0 {
		for _, id := range l.tracker.expire(p.now()) {
			l.propose(&txn{kind: txCloseSession, session: id, expired: true})
		}
	}
}

// propose puts a transaction into the total order.
func (l *leader) propose(x *txn) {
	l.counter++
	x.zxid = l.epoch<<32 | l.counter
	l.p.append(x)
	for _, f := range l.learners {
		if f.synced {
			f.send(&zab{kind: zabPropose, tx: x})
		}
	}
	if l.p.e.quorum() == 1 {
		l.advance()
	}
}

// request takes a write from one of the ensemble's servers (f nil: from this one), unless its session is gone or has
// moved to another server.
func (l *leader) request(f *learner, x *txn) {
	if l.phase != phaseActive {
		return
	}
	if x.kind != txCreateSession {
		server := l.p.m.id
		if f != nil {
			server = f.id
		}
		if c := l.tracker.check(x.session, server); c != codeOK {
			l.answer(f, &zab{kind: zabReject, req: x.from.req, code: c})
			return
		}
	}
	if x.kind == txCloseSession {
		l.tracker.closing(x.session)
	}
	l.propose(x)
}

// answer tells the server that asked; f nil is this one.
func (l *leader) answer(f *learner, z *zab) {
	if f != nil {
		f.send(z)
		return
	}
	l.p.answered(z)
}

// sync answers once what has been proposed is committed. As in ZooKeeper, no quorum is asked: a leader that has been
// deposed without knowing answers too.
func (l *leader) sync(s waitingSync) {
	if l.phase != phaseActive {
		return
	}
	s.zxid = l.p.disk.last()
	l.syncs = append(l.syncs, s)
	l.finishSyncs()
}

func (l *leader) finishSyncs() {
	for len(l.syncs) > 0 && l.syncs[0].zxid <= l.p.committed {
		s := l.syncs[0]
		l.syncs = l.syncs[1:]
		l.answer(s.to, &zab{kind: zabSynced, req: s.req, zxid: s.zxid})
	}
}

// applied follows the sessions that committed transactions open and close.
func (l *leader) applied(x *txn) {
	if l.phase != phaseActive || l.tracker == nil {
		return
	}
	switch x.kind {
	case txCreateSession:
		l.tracker.add(x.session, x.timeout, x.from.server, l.p.now())
	case txCloseSession:
		l.tracker.remove(x.session)
		if x.expired {
			l.p.e.cfg.Events.Announce(port.Event{Kind: port.EventSessionExpired, Node: l.p.e.clients[x.session], Detail: fmt.Sprintf("session 0x%x", x.session)})
		}
	}
}

func (l *leader) touch(id int64) {
	if l.phase == phaseActive {
		l.tracker.touch(id, l.p.now())
	}
}
