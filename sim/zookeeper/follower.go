package zookeeper

import (
	"time"

	"github.com/ratel-sim/ratel/sim/sched"

	simnet "github.com/ratel-sim/ratel/sim/net"
)

// A follower tries to reach its leader this often before it votes again (Learner.connectToLeader).
const (
	connectTries = 5
	connectPause = 100 * time.Millisecond
)

// follower is a server's work while it follows.
type follower struct {
	p         *peer
	leader    *machine
	c         *simnet.Conn
	tries     int
	last      time.Duration // last heard of the leader
	silence   sched.Timer
	limit     time.Duration // how much silence is borne: InitLimit until synced, then SyncLimit
	answered  bool          // the leader has answered on this connection
	newEpoch  int64         // the leader's epoch, once its history has come
	newLeader int64         // NEWLEADER is to be acknowledged once this is durable; -1: nothing to acknowledge
	install   *zab          // a snapshot that is being written
	queued    []*txn        // what goes after it
	acked     int64
}

func (p *peer) startFollowing(leader *machine) {
	f := &follower{p: p, leader: leader, newLeader: -1, last: p.now(), limit: p.e.cfg.InitLimit}
	p.role, p.follow = following, f
	f.connect()
	f.watch()
}

func (f *follower) stop() {
	f.silence.Stop()
	if f.c != nil {
		f.c.Close()
	}
}

func (f *follower) current() bool { return f.p.follow == f }

func (f *follower) connect() {
	f.tries++
	c := f.p.m.node.Dial(f.leader.name, serviceQuorum)
	f.c = c
	c.OnOpen(func() {
		if f.current() && f.c == c {
			f.send(&zab{kind: zabInfo, from: f.p.m.id, epoch: f.p.disk.acceptedEpoch})
		}
	})
	c.OnMessage(func(m simnet.Message) {
		if f.current() && f.c == c {
			f.answered, f.last = true, f.p.now()
			f.receive(m.Body.(*zab))
		}
	})
	c.OnClose(func(error) {
		if !f.current() || f.c != c {
			return
		}
		if f.answered || f.tries >= connectTries {
			f.p.look()
			return
		}
		f.p.p.After(connectPause, func() {
			if f.current() && f.c == c {
				f.connect()
			}
		})
	})
}

// watch gives the leader up after too long a silence, with one timer that is re-armed only when it fires.
func (f *follower) watch() {
	left := f.last + f.limit - f.p.now()
	if left <= 0 {
		f.p.look()
		return
	}
	f.silence = f.p.p.After(left, f.watch)
}

func (f *follower) send(z *zab) { f.c.Send(z.message()) }

func (f *follower) receive(z *zab) {
	p, d := f.p, f.p.disk
	switch z.kind {
	case zabEpoch:
		if z.epoch < d.acceptedEpoch {
			p.look()
			return
		}
		// A promise given before, perhaps to another leader of the same number, must not count again.
		fresh := z.epoch > d.acceptedEpoch
		d.acceptedEpoch = z.epoch
		p.p.After(p.spread(p.e.cfg.Fsync, 0.5), func() {
			if f.current() {
				f.send(&zab{kind: zabAckEpoch, epoch: d.currentEpoch, zxid: d.last(), base: d.snap.zxid, ok: fresh})
			}
		})
	case zabHistory:
		f.history(z)
	case zabUpToDate:
		p.commit(z.zxid)
		p.serving = true
		f.limit = p.e.cfg.SyncLimit
		f.silence.Stop()
		f.watch()
	case zabPropose:
		if f.install != nil {
			f.queued = append(f.queued, z.tx)
			return
		}
		p.append(z.tx)
	case zabCommit:
		p.commit(z.zxid)
	case zabPing:
		f.send(&zab{kind: zabPong, touched: p.touched})
		p.touched = nil
	case zabRevalidated, zabReject:
		p.answered(z)
	case zabSynced:
		// The answer must not overtake what it stands for.
		p.commit(z.zxid)
		p.apply()
		p.answered(z)
	}
}

// history takes over the leader's history and acknowledges NEWLEADER once it is on disk. A snapshot replaces what was on
// disk in one step, so that a crash on the way loses nothing that this server has acknowledged.
func (f *follower) history(z *zab) {
	p, d := f.p, f.p.disk
	if z.snap != nil {
		f.install = z
		f.queued = z.entries[:len(z.entries):len(z.entries)]
		p.p.After(p.spread(p.e.cfg.Fsync, 0.5), func() {
			if f.current() {
				f.installed()
			}
		})
		return
	}
	if d.last() > z.zxid && !p.e.cfg.Bugs.NoTruncate {
		d.truncate(z.zxid)
		p.rewritten()
		if p.tree.zxid > d.last() {
			p.rewind(p.committed)
		}
	}
	d.log = append(d.log, z.entries...)
	f.taken(z.epoch)
}

func (f *follower) installed() {
	p, d, z := f.p, f.p.disk, f.install
	d.restart(z.snap)
	p.rewritten()
	d.log, d.synced = f.queued, len(z.entries)
	f.install, f.queued = nil, nil
	p.rewind(p.committed)
	f.newEpoch, f.newLeader = z.epoch, d.durable()
	f.durable()
	p.flush()
}

func (f *follower) taken(epoch int64) {
	p, d := f.p, f.p.disk
	f.newEpoch, f.newLeader = epoch, d.last()
	if p.e.cfg.Bugs.AckBeforeSync {
		d.currentEpoch, f.newLeader = epoch, -1
		f.send(&zab{kind: zabAckLeader, zxid: d.last()})
	}
	if d.synced < len(d.log) {
		p.flush()
		return
	}
	p.p.After(p.spread(p.e.cfg.Fsync, 0.5), func() { // the epoch itself must be written
		if f.current() {
			f.durable()
		}
	})
}

// durable acknowledges what has become durable.
func (f *follower) durable() {
	d := f.p.disk
	z := d.durable()
	switch {
	case f.install != nil:
	case f.newLeader >= 0:
		if z >= f.newLeader {
			f.newLeader, f.acked = -1, z
			d.currentEpoch = f.newEpoch // not before its history is durable (ZOOKEEPER-4643)
			f.send(&zab{kind: zabAckLeader, zxid: z})
		}
	case f.synced() && z > f.acked:
		f.acked = z
		f.send(&zab{kind: zabAck, zxid: z})
	}
}

// synced reports whether this server has taken over its leader's history.
func (f *follower) synced() bool { return f.newEpoch > 0 }
