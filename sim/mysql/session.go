package mysql

import (
	"slices"
	"time"

	"github.com/ratel-sim/ratel/sim/host"
	simnet "github.com/ratel-sim/ratel/sim/net"
	"github.com/ratel-sim/ratel/sim/sched"
)

// run is one incarnation of the server: what a crash takes.
type run struct {
	srv     *Server
	p       *sched.Process
	locks   map[rowKey]*lock
	syncing []*commit // being made durable
	waiting []*commit // for the next fsync
}

// lock is a row's exclusive lock.
type lock struct {
	owner   *session
	waiters []*waiter // first come, first served
}

// waiter is a session that waits for the first of the keys, and needs the others after it.
type waiter struct {
	s       *session
	r       *request
	keys    []rowKey
	timeout sched.Timer
}

// commit is a transaction on its way to the disk.
type commit struct {
	apply func()
	done  func()
}

// session is the server's end of a connection. Statements come one at a time.
type session struct {
	run    *run
	conn   *simnet.Conn
	idle   sched.Timer
	closed bool

	held       []rowKey
	apply      func() // what the transaction's commit will change; nil if nothing
	open       bool   // in a transaction
	committing bool
	lost       bool // the commit's answer will not arrive
	wait       *waiter
}

func (r *run) accept(conn *simnet.Conn) {
	s := &session{run: r, conn: conn}
	s.rest()
	conn.OnMessage(func(m simnet.Message) {
		s.idle.Stop()
		q := m.Body.(*request)
		cost := r.srv.cfg.StatementCost
		if q.op.writes() {
			cost = r.srv.cfg.WorkCost
		}
		r.srv.Node().Serve(cost, func() {
			r.p.After(r.srv.Slow(), func() { s.statement(q) })
		})
	})
	conn.OnClose(func(error) { s.end() })
}

// HoldDataset takes the lock of a dataset's row and keeps it until release, as somebody's forgotten transaction does. It
// reports whether it could: the server runs, and the row is there and free.
func (s *Server) HoldDataset(id int64) (release func(), ok bool) {
	ds := s.db.datasets[id]
	if s.run == nil || ds == nil || s.run.locks[ds.key()] != nil {
		return nil, false
	}
	key := ds.key()
	nobody := &session{run: s.run, closed: true, held: []rowKey{key}}
	s.run.locks[key] = &lock{owner: nobody}
	return func() {
		if nobody.run == s.run {
			nobody.finish()
		}
	}, true
}

// rest arms wait_timeout.
func (s *session) rest() {
	s.idle = s.run.p.After(s.run.srv.cfg.Idle, func() {
		s.conn.Close()
		s.end()
	})
}

// end is the connection's end: its transaction is rolled back, unless its commit is on its way.
func (s *session) end() {
	if s.closed {
		return
	}
	s.closed = true
	s.idle.Stop()
	if s.wait != nil {
		s.wait.timeout.Stop()
		l := s.run.locks[s.wait.keys[0]]
		l.waiters = slices.DeleteFunc(l.waiters, func(w *waiter) bool { return w == s.wait })
		s.wait = nil
	}
	if !s.committing {
		s.finish()
	}
}

func (s *session) answer(a *reply) {
	if s.closed {
		return
	}
	s.conn.Send(a.message())
	s.rest()
}

// lose ends the connection instead of answering.
func (s *session) lose() {
	s.conn.Close()
	s.end()
}

func (s *session) statement(r *request) {
	if s.closed {
		return
	}
	switch {
	case r.op == opHello:
		s.answer(&reply{})
	case r.op == opCommit:
		s.commit()
	case r.op.writes():
		s.begin(r)
	default:
		switch s.run.srv.Fate() {
		case host.Served:
			s.answer(s.run.srv.db.read(r))
		case host.Refused:
			s.answer(&reply{code: codeTooMany})
		case host.Lost:
			s.lose()
		}
	}
}

// begin starts a transaction and does its work as soon as it has its lock.
func (s *session) begin(r *request) {
	switch s.run.srv.Fate() {
	case host.Served:
	case host.Refused:
		s.answer(&reply{code: codeTooMany})
		return
	case host.Lost:
		s.lost = true
	}
	s.open = true
	s.lock(r, s.run.srv.db.lockKeys(r))
}

// lock takes the locks of those rows, one after the other, and does the request's work when it has them all. Everybody
// takes them in one order, so that nobody waits in a circle.
func (s *session) lock(r *request, keys []rowKey) {
	for ; len(keys) > 0; keys = keys[1:] {
		l := s.run.locks[keys[0]]
		if l == nil {
			s.run.locks[keys[0]] = &lock{owner: s}
			s.held = append(s.held, keys[0])
			continue
		}
		w := &waiter{s: s, r: r, keys: keys}
		w.timeout = s.run.p.After(s.run.srv.cfg.LockWait, func() {
			l.waiters = slices.DeleteFunc(l.waiters, func(o *waiter) bool { return o == w })
			s.wait = nil
			s.finish()
			s.answer(&reply{code: codeLockWait})
		})
		s.wait = w
		l.waiters = append(l.waiters, w)
		return
	}
	s.work(r)
}

func (s *session) work(r *request) {
	a, apply := s.run.srv.db.work(r, s.run.p.Now())
	s.apply = apply
	if a.code != codeOK {
		s.finish()
	}
	s.answer(a)
}

// commit makes the transaction durable.
func (s *session) commit() {
	if !s.open {
		s.answer(&reply{code: codeNoCommand})
		return
	}
	done := func() {
		s.committing = false
		lost := s.lost
		s.finish()
		if lost {
			s.lose()
			return
		}
		s.answer(&reply{})
	}
	if s.apply == nil { // it changed nothing
		done()
		return
	}
	s.committing = true
	s.run.waiting = append(s.run.waiting, &commit{s.apply, done})
	s.run.sync()
}

// sync makes everything durable that waits for it, in one fsync after the other.
func (r *run) sync() {
	if len(r.syncing) > 0 || len(r.waiting) == 0 {
		return
	}
	r.syncing, r.waiting = r.waiting, nil
	mean := r.srv.cfg.Fsync
	r.p.After(mean/2+time.Duration(r.srv.Rand().Int64N(int64(mean))), func() {
		group := r.syncing
		r.syncing = nil
		for _, c := range group {
			c.apply()
		}
		for _, c := range group {
			c.done()
		}
		r.sync()
	})
}

// finish ends the transaction and hands each of its locks to the next that waits for it.
func (s *session) finish() {
	held := s.held
	s.held, s.apply, s.open, s.lost = nil, nil, false, false
	for _, key := range held {
		l := s.run.locks[key]
		if len(l.waiters) == 0 {
			delete(s.run.locks, key)
			continue
		}
		w := l.waiters[0]
		l.waiters = l.waiters[1:]
		w.timeout.Stop()
		w.s.wait = nil
		l.owner = w.s
		w.s.held = append(w.s.held, key)
		w.s.lock(w.r, w.keys[1:])
	}
}
