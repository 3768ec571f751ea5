package zookeeper

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ratel-sim/ratel/sim/sched"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"

	simnet "github.com/ratel-sim/ratel/sim/net"
)

// Timings of the client: go-zookeeper's, and for answerTimeout that of Ratel's dialer.
const (
	connectTimeout = time.Second            // for the TCP connection
	answerTimeout  = 500 * time.Millisecond // for the answer to the connect request; go-zookeeper alone waits 6.7 session timeouts
	roundPause     = time.Second            // after all servers have been tried
	closeTimeout   = time.Second
)

var (
	errClosed       = errors.New("session closed")
	errDisconnected = errors.New("connection lost")
	errNoServer     = errors.New("no server could be reached")
)

// session is a client's session with its one connection. Everything happens in callbacks of the client's process; the
// port's methods wait for futures.
type session struct {
	p    *sched.Process
	node *simnet.Node

	servers       []string
	current, last int // position in servers; the one that last worked

	id       int64
	timeout  time.Duration
	zxid     int64 // newest seen
	conn     *simnet.Conn
	live     bool // the connection has the session
	ended    error
	deadline sched.Timer // of whatever the connection waits for
	pinger   sched.Timer
	heard    time.Duration

	xid    int64
	unsent []*call
	sent   []*call // in order; answers come in this order

	watches   map[watchKey][]*rt.Future[port.WatchEvent]
	watchKeys []watchKey // in order of registration
	states    *rt.Queue[port.SessionState]
	opened    *rt.Future[struct{}]
}

// call is an operation under way.
type call struct {
	r    *request
	done *rt.Future[*reply]
	// answered runs with the answer, before anything that the server sent after it is looked at.
	answered func(*reply)
}

func (s *session) now() time.Duration { return s.p.Sim().Now() }

// silence is how long a connection may be silent, and twice the interval of pings.
func (s *session) silence() time.Duration { return s.timeout * 2 / 3 }

// next tries the next server; once all have been tried since one worked, operations that wait to be sent fail and the
// next attempt is a second away.
func (s *session) next() {
	s.current = (s.current + 1) % len(s.servers)
	pause := s.current == s.last
	if s.last == -1 {
		s.last = 0
	}
	if !pause {
		s.dial()
		return
	}
	unsent := s.unsent
	s.unsent = nil
	fail(unsent, errNoServer)
	s.p.After(roundPause, func() {
		if s.ended == nil {
			s.dial()
		}
	})
}

func (s *session) dial() {
	c := s.node.Dial(s.servers[s.current], serviceClient)
	s.conn = c
	s.deadline = s.p.After(connectTimeout, func() { s.lost(c) })
	c.OnOpen(func() {
		if s.conn == c {
			s.deadline.Stop()
			s.deadline = s.p.After(answerTimeout, func() { s.lost(c) })
			c.Send((&request{op: opConnect, session: s.id, timeout: s.timeout, zxid: s.zxid}).message())
		}
	})
	c.OnMessage(func(m simnet.Message) {
		if s.conn == c {
			s.receive(c, m.Body.(*reply))
		}
	})
	c.OnClose(func(error) { s.lost(c) })
}

// lost gives up a connection and moves on. What was sent and not answered has an unknown outcome.
func (s *session) lost(c *simnet.Conn) {
	if s.conn != c {
		return
	}
	s.hangUp()
	sent := s.sent
	s.sent = nil
	if s.live {
		s.live = false
		s.states.TryPush(port.SessionDisconnected)
	}
	fail(sent, errDisconnected)
	if s.ended == nil {
		s.next()
	}
}

func (s *session) hangUp() {
	s.deadline.Stop()
	s.pinger.Stop()
	if c := s.conn; c != nil {
		s.conn = nil
		c.Close()
	}
}

func fail(calls []*call, err error) {
	for _, c := range calls {
		c.done.Complete(nil, fmt.Errorf("%w (%w)", err, port.ErrUnknown))
	}
}

func (s *session) receive(c *simnet.Conn, r *reply) {
	s.heard = s.now()
	switch r.op {
	case opConnect:
		s.connected(c, r)
		return
	case opEvent:
		s.event(r)
		return
	}
	if r.zxid > 0 {
		s.zxid = r.zxid
	}
	if r.op == opPing || r.op == opSetWatches {
		return
	}
	if len(s.sent) == 0 || s.sent[0].r.xid != r.xid {
		panic(fmt.Sprintf("sim/zookeeper: answer %d to client %s is out of order", r.xid, s.node.Name()))
	}
	call := s.sent[0]
	s.sent = s.sent[1:]
	if call.answered != nil {
		call.answered(r)
	}
	call.done.Complete(r, nil)
}

// connected handles the answer to the connect request.
func (s *session) connected(c *simnet.Conn, r *reply) {
	if r.session == 0 {
		s.shut(port.ErrSessionExpired)
		return
	}
	s.deadline.Stop()
	s.id, s.live, s.last = r.session, true, s.current
	s.timeout = r.timeout
	s.states.TryPush(port.SessionConnected)
	if keys := slices.Clone(s.watchKeys); len(keys) > 0 {
		c.Send((&request{op: opSetWatches, zxid: s.zxid, watches: keys}).message())
	}
	unsent := s.unsent
	s.unsent = nil
	for _, u := range unsent {
		s.transmit(u)
	}
	s.pinger = s.p.After(s.silence()/2, func() { s.ping(c) })
	s.opened.Complete(struct{}{}, nil)
}

// ping keeps the session alive, and gives the connection up at the moment when it has been silent for too long.
func (s *session) ping(c *simnet.Conn) {
	every := s.silence() / 2
	c.Send((&request{op: opPing}).message())
	s.pinger = s.p.After(every, func() { s.ping(c) })
	if left := s.heard + s.silence() - s.now(); left < every {
		s.deadline.Stop()
		s.deadline = s.p.After(left, func() { s.silent(c) })
	}
}

func (s *session) silent(c *simnet.Conn) {
	if s.heard+s.silence() <= s.now() {
		s.lost(c)
	}
}

func (s *session) transmit(c *call) {
	s.sent = append(s.sent, c)
	s.conn.Send(c.r.message())
}

// submit sends an operation now, or when there is a connection.
func (s *session) submit(r *request, answered func(*reply)) *rt.Future[*reply] {
	s.xid++
	r.xid = s.xid
	c := &call{r: r, done: rt.NewFuture[*reply](s.p), answered: answered}
	if s.live {
		s.transmit(c)
	} else {
		s.unsent = append(s.unsent, c)
	}
	return c.done
}

// shut ends the session on this side.
func (s *session) shut(why error) {
	if s.ended != nil {
		return
	}
	s.ended = why
	s.hangUp()
	calls := slices.Concat(s.sent, s.unsent)
	s.sent, s.unsent = nil, nil
	s.live = false
	if errors.Is(why, port.ErrSessionExpired) {
		s.states.TryPush(port.SessionExpired)
		for _, c := range calls { // they waited for a connection, so none was sent
			c.done.Complete(nil, refused(why))
		}
	} else {
		fail(calls, why)
	}
	keys := s.watchKeys
	s.watchKeys = nil
	for _, k := range keys {
		for _, f := range s.watches[k] {
			f.Complete(port.WatchEvent{Path: k.path, Err: why}, nil)
		}
	}
	clear(s.watches)
	s.states.Close()
}

// refused marks an error as certain: there was and will be no effect.
func refused(err error) error { return fmt.Errorf("%w (%w)", err, port.ErrRefused) }

// watch registers a one-shot watch.
func (s *session) watch(kind watchKind, path string, f *rt.Future[port.WatchEvent]) {
	k := watchKey{kind, path}
	if len(s.watches[k]) == 0 {
		s.watchKeys = append(s.watchKeys, k)
	}
	s.watches[k] = append(s.watches[k], f)
}

// event tells the watchers that a change concerns.
func (s *session) event(r *reply) {
	var kinds []watchKind
	switch r.change {
	case changeCreated:
		kinds = []watchKind{watchExist}
	case changeData:
		kinds = []watchKind{watchExist, watchData}
	case changeChildren:
		kinds = []watchKind{watchChildren}
	case changeDeleted:
		kinds = []watchKind{watchExist, watchData, watchChildren}
	}
	for _, kind := range kinds {
		k := watchKey{kind, r.path}
		waiting := s.watches[k]
		if len(waiting) == 0 {
			continue
		}
		delete(s.watches, k)
		s.watchKeys = slices.DeleteFunc(s.watchKeys, func(o watchKey) bool { return o == k })
		for _, f := range waiting {
			f.Complete(port.WatchEvent{Path: r.path}, nil)
		}
	}
}
